import contextlib

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from tellapart.backbones.onnx_wire import keep_outputs, output_names, read_fields


@pytest.mark.parametrize(
    "data",
    [b"\x3a\x05ab", b"\x3a", b"\x08\xff", b"\x0f", b"\x09\x01", b"\x08" + b"\x80" * 12, b"\xff\xff\xff\xff\x1f\x00"],
    ids=bytes.hex,
)
def test_bytes_that_are_no_protocol_buffer_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="byte"):
        list(read_fields(data, 0, len(data)))


@given(st.binary(max_size=200))
def test_fields_cover_all_bytes_or_are_refused(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        assert [0, *(field.end for field in read_fields(data, 0, len(data)))][-1] == len(data)


def value(name: str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch"])


def branching_model() -> onnx.ModelProto:
    """Two outputs from one input; `kept` depends on both of the nodes before it."""
    nodes = [
        helper.make_node("Exp", ["x"], ["shared"]),
        helper.make_node("Sin", ["x"], ["inside"]),
        helper.make_node("Cos", ["shared"], ["dropped"]),
        helper.make_node("Where", ["flag", "shared", "inside"], ["chosen"]),
        helper.make_node("Dropout", ["chosen"], ["kept", ""]),
    ]
    flag = helper.make_tensor("flag", TensorProto.BOOL, [], [True])
    graph = helper.make_graph(nodes, "g", [value("x")], [value("kept"), value("dropped")], [flag])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], producer_name="test", ir_version=9)


def test_the_outputs_are_named_in_order() -> None:
    assert output_names(branching_model().SerializeToString()) == ["kept", "dropped"]


def test_what_only_another_output_needs_is_taken_out() -> None:
    model = onnx.load_from_string(keep_outputs(branching_model().SerializeToString(), ["dropped"]))
    assert [node.op_type for node in model.graph.node] == ["Exp", "Cos"]
    assert [output.name for output in model.graph.output] == ["dropped"]


def test_what_an_output_depends_on_stays() -> None:
    model = onnx.load_from_string(keep_outputs(branching_model().SerializeToString(), ["kept"]))
    assert [node.op_type for node in model.graph.node] == ["Exp", "Sin", "Where", "Dropout"]
    onnx.checker.check_model(model)


def test_all_else_stays_as_it_was() -> None:
    whole = branching_model()
    model = onnx.load_from_string(keep_outputs(whole.SerializeToString(), ["kept"]))
    del whole.graph.output[1]
    del whole.graph.node[2]
    assert model == whole


@given(st.binary(max_size=60))
def test_bytes_that_are_no_model_have_no_outputs_or_are_refused(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        output_names(data)
    with contextlib.suppress(ValueError):
        keep_outputs(data, ["probabilities"])
