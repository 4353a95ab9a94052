import contextlib
from collections.abc import Callable

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from tellapart.backbones.onnx_limits import MAX_NODES, OPERATORS, OnnxRefusedError, check_onnx

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


def one(kind: int = FLOAT, shape: list[int] | None = None) -> TensorProto:
    return helper.make_tensor("one", kind, [1] if shape is None else shape, [1])


def info(name: str, shape: list[int | str] | None = None) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, FLOAT, ["batch"] if shape is None else shape)


def model_of(*nodes: NodeProto, tensors: list[TensorProto] | None = None, domain: str = "") -> ModelProto:
    graph = helper.make_graph(list(nodes), "g", [info("x")], [info("y")], tensors or [])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid(domain, 17)], ir_version=9)


def body(operator: str = "Identity") -> GraphProto:
    return helper.make_graph([helper.make_node(operator, ["x"], ["inner"])], "body", [], [info("inner")])


def external_tensor() -> TensorProto:
    tensor = TensorProto(name="weights", data_type=FLOAT, dims=[3], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="secrets.bin")
    return tensor


def shape_without_values(*sides: int, kind: int = FLOAT) -> ModelProto:
    return model_of(helper.make_node("Relu", ["x"], ["y"]), tensors=[TensorProto(name="w", data_type=kind, dims=sides)])


def with_sparse() -> ModelProto:
    model = model_of(helper.make_node("Relu", ["x"], ["y"]))
    sparse = helper.make_sparse_tensor(one(), one(INT64), [2**40])
    model.graph.sparse_initializer.append(sparse)
    return model


def with_function() -> ModelProto:
    model = model_of(helper.make_node("f", ["x"], ["y"]))
    node = helper.make_node("Relu", ["a"], ["b"])
    model.functions.append(helper.make_function("", "f", ["a"], ["b"], [node], [helper.make_opsetid("", 17)]))
    return model


def with_training() -> ModelProto:
    model = model_of(helper.make_node("Relu", ["x"], ["y"]))
    model.training_info.add().initialization.CopyFrom(body())
    return model


def with_graph_in_an_unknown_place() -> ModelProto:
    node = helper.make_node("Relu", ["x"], ["y"])
    node.attribute.append(AttributeProto(name="alpha", type=AttributeProto.GRAPH, g=body()))
    return model_of(node)


def sized(operator: str, sizes: TensorProto, *before: str) -> ModelProto:
    return model_of(helper.make_node(operator, ["x", *before, sizes.name], ["y"]), tensors=[sizes])


def whole(*numbers: int) -> TensorProto:
    return numpy_helper.from_array(np.array(numbers, np.int64), "numbers")


def real(*numbers: float) -> TensorProto:
    return numpy_helper.from_array(np.array(numbers, np.float32), "numbers")


REFUSED = {
    "loop": (model_of(helper.make_node("Loop", ["x"], ["y"], body=body())), "'Loop'|a graph inside a node"),
    "scan": (model_of(helper.make_node("Scan", ["x"], ["y"], body=body(), num_scan_inputs=1)), "Scan|a graph inside"),
    "if": (model_of(helper.make_node("If", ["x"], ["y"], then_branch=body(), else_branch=body())), "If|a graph inside"),
    "graph in another operator": (with_graph_in_an_unknown_place(), "a graph inside a node"),
    "function": (with_function(), "functions|'f'"),
    "training": (with_training(), "steps of a training"),
    "expand": (model_of(helper.make_node("Expand", ["x", "x"], ["y"])), "'Expand'"),
    "tile": (model_of(helper.make_node("Tile", ["x", "x"], ["y"])), "'Tile'"),
    "constant of shape": (model_of(helper.make_node("ConstantOfShape", ["x"], ["y"])), "'ConstantOfShape'"),
    "range": (model_of(helper.make_node("Range", ["x", "x", "x"], ["y"])), "'Range'"),
    "random": (model_of(helper.make_node("RandomNormal", [], ["y"], shape=[2**20, 2**20])), "'RandomNormal'"),
    "one hot": (model_of(helper.make_node("OneHot", ["x", "x", "x"], ["y"])), "'OneHot'"),
    "other domain": (model_of(helper.make_node("Relu", ["x"], ["y"], domain="com.microsoft")), "com.microsoft.Relu"),
    "many nodes": (model_of(*[helper.make_node("Relu", ["x"], ["y"])] * (MAX_NODES + 1)), "5,001 nodes"),
    "external": (model_of(tensors=[external_tensor()]), "in another file"),
    "external constant": (
        model_of(helper.make_node("Constant", [], ["y"], value=external_tensor())),
        "in another file",
    ),
    "sparse": (with_sparse(), "sparse tensors"),
    "large tensor": (shape_without_values(2**20, 2**10), "4,295 MB"),
    "huge tensor": (shape_without_values(2**31, 2**31, 2**31), "far more"),
    "text": (model_of(tensors=[helper.make_tensor("t", TensorProto.STRING, [1], [b"a"])]), "tensors of text"),
    "wide margin": (model_of(helper.make_node("Conv", ["x", "x"], ["y"], pads=[10**9] * 4)), "1,000,000,000 pixels"),
    "large pad": (sized("Pad", whole(0, 0, 2**40, 0)), "'Pad' asks"),
    "large resize": (sized("Resize", whole(1, 3, 10**6, 10**6), "", ""), "'Resize' asks"),
    "large factor": (sized("Resize", real(1, 1, 1e6, 1e6), ""), "'Resize' asks"),
    "factor that is no number": (sized("Resize", real(1, 1, float("nan"), 1), ""), "'Resize' asks"),
    "computed size": (model_of(helper.make_node("Resize", ["x", "", "", "x"], ["y"])), "computes a size"),
}


@pytest.mark.parametrize(("model", "words"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_run_is_named(model: ModelProto, words: str) -> None:
    with pytest.raises(OnnxRefusedError, match=words):
        check_onnx(model.SerializeToString())


@pytest.mark.parametrize("sides", [(3,), (-1,), (2**20, 3), (-(2**40), 2)], ids=str)
def test_a_tensor_whose_values_are_not_there_is_damaged(sides: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="a tensor has"):
        check_onnx(shape_without_values(*sides).SerializeToString())


def test_two_graphs_in_one_file_are_refused() -> None:
    data = model_of(helper.make_node("Relu", ["x"], ["y"])).SerializeToString()
    with pytest.raises(OnnxRefusedError, match="twice"):
        check_onnx(data + data)


def named(field: Callable[[ModelProto], object]) -> bytes:
    """A model in which a text of five letters that `field` marks is not UTF-8."""
    model = model_of(helper.make_node("Relu", ["x"], ["y"]), tensors=[one()])
    field(model)
    return model.SerializeToString().replace(b"QQQQQ", b"\xff\xfe\xfd\xfc\xfb")


PLACES_OF_TEXT: list[Callable[[ModelProto], object]] = [
    lambda model: setattr(model, "producer_name", "QQQQQ"),
    lambda model: setattr(model, "doc_string", "QQQQQ"),
    lambda model: setattr(model.graph, "name", "QQQQQ"),
    lambda model: setattr(model.graph.node[0], "name", "QQQQQ"),
    lambda model: model.graph.node[0].input.append("QQQQQ"),
    lambda model: setattr(model.graph.node[0], "op_type", "QQQQQ"),
    lambda model: setattr(model.graph.initializer[0], "name", "QQQQQ"),
    lambda model: setattr(model.graph.input[0], "name", "QQQQQ"),
    lambda model: setattr(model.graph.output[0].type.tensor_type.shape.dim[0], "dim_param", "QQQQQ"),
    lambda model: model.metadata_props.add(key="QQQQQ", value="v"),
    lambda model: model.graph.value_info.add(name="QQQQQ"),
    lambda model: model.opset_import.add(domain="QQQQQ"),
]


@pytest.mark.parametrize("place", PLACES_OF_TEXT, ids=range(len(PLACES_OF_TEXT)))
def test_a_name_that_is_no_text_is_damaged(place: Callable[[ModelProto], object]) -> None:
    with pytest.raises(ValueError, match="utf-8"):
        check_onnx(named(place))


@given(st.binary(max_size=300))
def test_any_bytes_pass_or_are_refused(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        check_onnx(data)


@given(st.data())
def test_a_model_with_other_bytes_in_it_passes_or_is_refused(data: st.DataObject) -> None:
    whole_file = model_of(helper.make_node("Pad", ["x", "numbers"], ["y"]), tensors=[whole(0, 1)]).SerializeToString()
    start = data.draw(st.integers(0, len(whole_file)))
    end = data.draw(st.integers(start, min(start + 4, len(whole_file))))
    with contextlib.suppress(ValueError):
        check_onnx(whole_file[:start] + data.draw(st.binary(max_size=6)) + whole_file[end:])


def test_what_two_readers_take_differently_is_not_in_the_list() -> None:
    assert not OPERATORS & {"Loop", "Scan", "If", "SequenceMap", "Expand", "Tile", "ConstantOfShape", "Range"}


@pytest.mark.parametrize("typed", [[1.0, 2.0, 3.0], []], ids=["numbers", "none"])
def test_numbers_may_stand_in_a_typed_list(typed: list[float]) -> None:
    check_onnx(model_of(tensors=[helper.make_tensor("t", FLOAT, [len(typed)], typed)]).SerializeToString())


def test_sizes_within_bounds_pass() -> None:
    check_onnx(sized("Pad", whole(0, 0, 1, 1, 0, 0, 1, 1)).SerializeToString())
    check_onnx(sized("Resize", real(1, 1, 2, 2), "").SerializeToString())
