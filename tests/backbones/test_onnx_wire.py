import contextlib
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from tellapart.backbones.onnx_wire import has_external_data, keep_outputs, output_names
from tellapart.errors import BundleError
from tellapart.predict.bundle import Bundle, write_bundle

NOTHING = helper.make_graph([], "empty", [], [])


def external_tensor() -> TensorProto:
    tensor = TensorProto(name="weights", data_type=TensorProto.FLOAT, dims=[3], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="secrets.bin")
    return tensor


def inner_tensor() -> TensorProto:
    return helper.make_tensor("weights", TensorProto.FLOAT, [3], [1, 2, 3])


def as_initializer(tensor: TensorProto) -> onnx.ModelProto:
    return helper.make_model(helper.make_graph([], "g", [], [], [tensor]))


def as_constant(tensor: TensorProto) -> onnx.ModelProto:
    node = helper.make_node("Constant", [], ["weights"], value=tensor)
    return helper.make_model(helper.make_graph([node], "g", [], []))


def as_sparse(tensor: TensorProto) -> onnx.ModelProto:
    indices = helper.make_tensor("indices", TensorProto.INT64, [3], [0, 1, 2])
    return helper.make_model(
        helper.make_graph([], "g", [], [], sparse_initializer=[helper.make_sparse_tensor(tensor, indices, [3])])
    )


def in_branch(tensor: TensorProto) -> onnx.ModelProto:
    branch = as_initializer(tensor).graph
    node = helper.make_node("If", ["condition"], ["out"], then_branch=branch, else_branch=NOTHING)
    return helper.make_model(helper.make_graph([node], "g", [], []))


def in_function(tensor: TensorProto) -> onnx.ModelProto:
    node = helper.make_node("Constant", [], ["weights"], value=tensor)
    function = helper.make_function("own", "f", [], ["weights"], [node], [helper.make_opsetid("", 17)])
    return helper.make_model(NOTHING, functions=[function])


def in_training_info(tensor: TensorProto) -> onnx.ModelProto:
    model = helper.make_model(NOTHING)
    model.training_info.add().initialization.CopyFrom(as_initializer(tensor).graph)
    return model


PLACES = [as_initializer, as_constant, as_sparse, in_branch, in_function, in_training_info]


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
def test_a_tensor_kept_in_another_file_is_found(place: Callable[[TensorProto], onnx.ModelProto]) -> None:
    assert has_external_data(place(external_tensor()).SerializeToString())


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
def test_a_tensor_kept_inside_is_not_taken_for_another_file(place: Callable[[TensorProto], onnx.ModelProto]) -> None:
    assert not has_external_data(place(inner_tensor()).SerializeToString())


def test_a_location_without_the_external_flag_is_found() -> None:
    tensor = external_tensor()
    tensor.data_location = TensorProto.DEFAULT
    assert has_external_data(as_initializer(tensor).SerializeToString())


@given(st.binary(max_size=200))
def test_any_bytes_are_answered_or_refused(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        assert has_external_data(data) in (True, False)


@pytest.mark.parametrize(
    "data", [b"\x3a\x05ab", b"\x3a", b"\x08\xff", b"\x0f", b"\x09\x01", b"\x08" + b"\x80" * 12], ids=bytes.hex
)
def test_bytes_that_are_no_protocol_buffer_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="byte"):
        has_external_data(data)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (as_initializer(external_tensor()).SerializeToString(), "keeps its weights in other files"),
        (b"\x0f not onnx", "is not ONNX"),
    ],
    ids=["external", "not onnx"],
)
def test_a_bundle_with_such_a_model_is_refused(
    tmp_path: Path, make_bundle: Callable[..., Bundle], model: bytes, words: str
) -> None:
    with pytest.raises(BundleError, match=words):
        write_bundle(tmp_path, make_bundle(model=model))


def value(name: str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch"])


def branching_model() -> onnx.ModelProto:
    """Two outputs from one input; `kept` also depends, through the branches of an `If`, on `inside`."""
    then_branch = helper.make_graph([helper.make_node("Neg", ["inside"], ["then"])], "then", [], [value("then")])
    else_branch = helper.make_graph([helper.make_node("Abs", ["shared"], ["else"])], "else", [], [value("else")])
    nodes = [
        helper.make_node("Exp", ["x"], ["shared"]),
        helper.make_node("Sin", ["x"], ["inside"]),
        helper.make_node("Cos", ["shared"], ["dropped"]),
        helper.make_node("If", ["flag"], ["chosen"], then_branch=then_branch, else_branch=else_branch),
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


def test_what_branches_use_stays() -> None:
    model = onnx.load_from_string(keep_outputs(branching_model().SerializeToString(), ["kept"]))
    assert [node.op_type for node in model.graph.node] == ["Exp", "Sin", "If", "Dropout"]
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
