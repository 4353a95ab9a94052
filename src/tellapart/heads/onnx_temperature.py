"""A finished model as ONNX that answers as `predict` does: its temperature is inside."""

from collections.abc import Sequence

import numpy as np
import onnx

from tellapart.backbones.onnx_wire import keep_outputs, output_names
from tellapart.networks.onnx_nodes import MAP_NAME, PROBABILITIES_NAME, NodeList

_PREFIX = "temperature/"


def answering_onnx(model: bytes, temperature: float, outputs: Sequence[str] = (PROBABILITIES_NAME,)) -> bytes:
    """The graph with these outputs, those that it has, whose logits are divided by the temperature.

    Probabilities become logits again by their logarithm, as `measure/softmax.py` does, so that the graph behind them
    may be any. Maps, whose means are the logits, are divided as well.

    Args:
        model: ONNX bytes of a bundle.
        temperature: of the bundle; 1 leaves the logits alone.
        outputs: of `probabilities`, `activation_map` and `distance`.

    Returns:
        ONNX bytes; the input is `image`, uint8 `(batch, height, width, channels)`.
    """
    there = [name for name in output_names(model) if name in outputs]
    model = keep_outputs(model, there)
    if temperature == 1:
        return model
    proto = onnx.load_model_from_string(model)
    (opset,) = (imported.version for imported in proto.opset_import if imported.domain in ("", "ai.onnx"))
    nodes = NodeList(opset)
    for name in {PROBABILITIES_NAME, MAP_NAME}.intersection(there):
        for node in proto.graph.node:
            if name in node.output:
                node.name = _PREFIX + node.name  # ONNX Runtime wants the name of each node once
            node.output[:] = [_PREFIX + name if output == name else output for output in node.output]
            node.input[:] = [_PREFIX + name if source == name else source for source in node.input]
    divisor = nodes.constant(f"{_PREFIX}temperature", float(temperature))
    if PROBABILITIES_NAME in there:
        least = nodes.constant(f"{_PREFIX}least", float(np.finfo(np.float32).tiny))
        logits = nodes.add("Max", [_PREFIX + PROBABILITIES_NAME, least], f"{_PREFIX}positive")
        logits = nodes.add("Log", [logits], f"{_PREFIX}logits")
        nodes.add("Softmax", [nodes.add("Div", [logits, divisor], f"{_PREFIX}divided")], PROBABILITIES_NAME, axis=-1)
    if MAP_NAME in there:
        nodes.add("Div", [_PREFIX + MAP_NAME, divisor], MAP_NAME)
    proto.graph.node.extend(nodes.nodes)
    proto.graph.initializer.extend(nodes.constants)
    onnx.checker.check_model(proto, full_check=True)
    return bytes(proto.SerializeToString(deterministic=True))
