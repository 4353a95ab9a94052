from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from tellapart.backbones import user_onnx
from tellapart.backbones.onnx_preprocessing import OnnxPreprocessing
from tellapart.backbones.user_onnx import wrap_onnx
from tellapart.errors import BundleError, ConfigError, TellapartError
from tellapart.heads.onnx_head import add_head

SIZE = (6, 8)
FLOAT = TensorProto.FLOAT
PLAIN = OnnxPreprocessing("m.json", SIZE)
KERNEL = np.random.default_rng(1).normal(size=(5, 3, 2, 2)).astype(np.float32)
WEIGHTS = np.random.default_rng(2).normal(size=(5, 4)).astype(np.float32)
IMAGES = np.random.default_rng(3).integers(0, 256, (3, *SIZE, 3), dtype=np.uint8)

Shape = list[int | str | None]


def info(name: str, shape: Shape | None, kind: int = FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def serialise(graph: onnx.GraphProto, opset: int = 17, ir_version: int = 8) -> bytes:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir_version)
    return model.SerializeToString()


def conv_model(
    opset: int = 17,
    input_shape: Shape | None = None,
    outputs: tuple[str, ...] = ("places",),
    more_inputs: tuple[onnx.ValueInfoProto, ...] = (),
    **more: int,
) -> bytes:
    """Channels first; `places` (batch, 5, 3, 4), `pooled` (batch, 5), `logits` (batch, 4), `tokens` (batch, 12, 5)."""
    nodes = [
        helper.make_node("Conv", ["image", "kernel"], ["places"], strides=[2, 2]),
        helper.make_node("GlobalAveragePool", ["places"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["pooled"]),
        helper.make_node("MatMul", ["pooled", "weights"], ["logits"]),
        helper.make_node("Reshape", ["places", "shape"], ["rows"]),
        helper.make_node("Transpose", ["rows"], ["tokens"], perm=[0, 2, 1]),
    ]
    graph = helper.make_graph(
        nodes,
        "conv",
        [info("image", input_shape or ["batch", 3, *SIZE]), *more_inputs],
        [info(name, None) for name in outputs],
        [
            numpy_helper.from_array(KERNEL, "kernel"),
            numpy_helper.from_array(WEIGHTS, "weights"),
            numpy_helper.from_array(np.array([0, 5, -1]), "shape"),
        ],
    )
    return serialise(graph, opset, **more)


def one_node(
    operator: str, input_shape: Shape, output_shape: Shape | None, kind: int = FLOAT, **attributes: object
) -> bytes:
    """A model whose only node takes `pixels` to `result`."""
    node = helper.make_node(operator, ["pixels"], ["result"], **attributes)
    graph = helper.make_graph([node], "one", [info("pixels", input_shape, kind)], [info("result", output_shape, kind)])
    return serialise(graph)


def wrap(data: bytes, preprocessing: OnnxPreprocessing = PLAIN) -> bytes:
    return wrap_onnx(data, "m.onnx", preprocessing)[0]


def run(model: bytes, images: NDArray[np.uint8] = IMAGES) -> dict[str, NDArray[np.float32]]:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    (taken,) = session.get_inputs()
    assert (taken.name, taken.type, taken.shape[1:]) == ("image", "tensor(uint8)", [*images.shape[1:]])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"image": images}), strict=True))


def expected_places(scaled: NDArray[np.float32]) -> NDArray[np.float32]:
    """The convolution of `conv_model` by hand, of `(batch, height, width, 3)`."""
    count, height, width, _ = scaled.shape
    patches = scaled.reshape(count, height // 2, 2, width // 2, 2, 3)
    return np.einsum("nhiwjc,ocij->nohw", patches, KERNEL)


SCALED = (IMAGES / np.float32(255)).astype(np.float32)


@pytest.mark.parametrize("opset", [11, 13, 17, 18, 20, 22])
def test_places_become_features_and_their_mean_the_embedding_in_every_opset(opset: int) -> None:
    results = run(wrap(conv_model(opset), PLAIN))
    np.testing.assert_allclose(results["features"], expected_places(SCALED), atol=1e-5)
    np.testing.assert_allclose(results["embedding"], expected_places(SCALED).mean((2, 3)), atol=1e-5)
    assert list(results) == ["embedding", "features"]


@pytest.mark.parametrize("opset", [11, 17, 18, 22])
def test_a_head_can_be_put_on_top_in_every_opset(opset: int) -> None:
    backbone = wrap(conv_model(opset), PLAIN)
    results = run(add_head(backbone, WEIGHTS, np.zeros(4, np.float32)))
    logits = results["activation_map"].mean((2, 3))
    vectors = expected_places(SCALED).mean((2, 3))
    vectors /= np.sqrt(np.linalg.norm(vectors, axis=1, keepdims=True))
    np.testing.assert_allclose(logits, vectors @ WEIGHTS, atol=1e-4)
    np.testing.assert_allclose(results["probabilities"].sum(1), 1, atol=1e-5)


def test_scale_mean_and_deviation_come_before_the_model_in_this_order() -> None:
    preprocessing = OnnxPreprocessing("m.json", SIZE, 0.01, (0.1, 0.2, 0.3), (0.5, 1.0, 2.0))
    scaled = (IMAGES * np.float32(0.01) - np.float32([0.1, 0.2, 0.3])) / np.float32([0.5, 1.0, 2.0])
    results = run(wrap(conv_model(), preprocessing))
    np.testing.assert_allclose(results["features"], expected_places(scaled), atol=1e-5)


def test_a_model_for_bgr_gets_the_channels_reversed_before_the_mean() -> None:
    preprocessing = OnnxPreprocessing("m.json", SIZE, mean=(0.1, 0.2, 0.3), channel_order="bgr")
    results = run(wrap(conv_model(), preprocessing))
    expected = expected_places(SCALED[..., ::-1] - np.float32([0.1, 0.2, 0.3]))
    np.testing.assert_allclose(results["features"], expected, atol=1e-5)


def test_of_several_outputs_one_has_to_be_named() -> None:
    with pytest.raises(
        ConfigError,
        match=r"has 2 outputs: 'pooled', 'logits'. Name the embedding in 'm.json', .*\"output\": \"pooled\"",
    ):
        wrap(conv_model(outputs=("pooled", "logits")))


@pytest.mark.parametrize("outputs", [("pooled", "logits"), ("pooled",)], ids=["an output", "a tensor inside"])
def test_the_tensor_asked_for_is_taken(outputs: tuple[str, ...]) -> None:
    results = run(wrap(conv_model(outputs=outputs), OnnxPreprocessing("m.json", SIZE, outputs=("logits",))))
    np.testing.assert_allclose(results["embedding"], expected_places(SCALED).mean((2, 3)) @ WEIGHTS, atol=1e-5)
    assert list(results) == ["embedding"]


def test_the_places_inside_a_classifier_give_features() -> None:
    results = run(wrap(conv_model(outputs=("logits",)), OnnxPreprocessing("m.json", SIZE, outputs=("places",))))
    np.testing.assert_allclose(results["features"], expected_places(SCALED), atol=1e-5)
    np.testing.assert_allclose(results["embedding"], expected_places(SCALED).mean((2, 3)), atol=1e-5)


def test_what_stands_behind_the_tensor_asked_for_is_left_out() -> None:
    model = wrap(conv_model(outputs=("logits",)), OnnxPreprocessing("m.json", SIZE, outputs=("places",)))
    operators = [node.op_type for node in onnx.load_model_from_string(model).graph.node]
    assert "MatMul" not in operators
    assert "Reshape" not in operators


def test_of_several_names_the_first_that_is_there_is_taken() -> None:
    preprocessing = OnnxPreprocessing("m.json", SIZE, outputs=("image_embeds", "pooled", "tokens"))
    assert list(run(wrap(conv_model(outputs=("tokens", "pooled")), preprocessing))) == ["embedding"]


def test_the_only_output_is_taken_where_none_of_several_names_is_there() -> None:
    preprocessing = OnnxPreprocessing("m.json", SIZE, outputs=("image_embeds", "pooler_output"))
    assert "features" in run(wrap(conv_model(), preprocessing))


@pytest.mark.parametrize("opset", [11, 18])
@pytest.mark.parametrize("pooling", ["mean", "first"])
def test_tokens_become_their_mean_or_the_first(opset: int, pooling: str) -> None:
    preprocessing = OnnxPreprocessing("m.json", SIZE, pooling=pooling)
    results = run(wrap(conv_model(opset, outputs=("tokens",)), preprocessing))
    tokens = expected_places(SCALED).reshape(3, 5, -1)
    expected = {"mean": tokens.mean(2), "first": tokens[:, :, 0]}
    np.testing.assert_allclose(results["embedding"], expected[pooling], atol=1e-5)
    assert list(results) == ["embedding"]


@pytest.mark.parametrize("size", [(6, 8), (7, 7)], ids=["oblong", "square"])
def test_a_model_with_channels_last_gets_them_and_its_places_are_turned(size: tuple[int, int]) -> None:
    data = one_node("Relu", ["batch", *size, 3], None)
    images = np.random.default_rng(0).integers(0, 256, (2, *size, 3), dtype=np.uint8)
    preprocessing = OnnxPreprocessing("m.json", mean=(0.5, 0.5, 0.5))
    model, image_size = wrap_onnx(data, "m.onnx", preprocessing)
    results = run(model, images)
    expected = np.maximum(images / np.float32(255) - np.float32(0.5), 0).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(results["features"], expected, atol=1e-6)
    np.testing.assert_allclose(results["embedding"], expected.mean((2, 3)), atol=1e-6)
    assert image_size == size


def test_places_with_channels_last_behind_an_input_with_channels_first_are_turned_where_the_json_says_so() -> None:
    data = one_node("Transpose", ["batch", 3, 8, 8], None, perm=[0, 2, 3, 1])
    images = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
    results = run(wrap(data, OnnxPreprocessing("m.json", output_layout="nhwc")), images)
    np.testing.assert_allclose(results["features"], images.transpose(0, 3, 1, 2) / 255, atol=1e-6)


@pytest.mark.parametrize("kind", [TensorProto.FLOAT16, TensorProto.DOUBLE], ids=["float16", "double"])
def test_another_float_type_is_cast_to_and_from(kind: int) -> None:
    data = one_node("ReduceMean", ["batch", 3, *SIZE], None, kind, axes=[2, 3], keepdims=0)
    results = run(wrap(data, PLAIN))
    assert results["embedding"].dtype == np.float32
    np.testing.assert_allclose(results["embedding"], SCALED.mean((1, 2)), atol=2e-3)


def uint8_model() -> bytes:
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=FLOAT),
        helper.make_node("ReduceMean", ["float"], ["embedding"], axes=[1, 2], keepdims=0),
    ]
    image = info("image", ["batch", *SIZE, 3], TensorProto.UINT8)
    return serialise(helper.make_graph(nodes, "pixels", [image], [info("embedding", ["batch", 3])]))


def test_a_model_that_takes_whole_pixels_gets_them_as_they_are() -> None:
    results = run(wrap(uint8_model(), PLAIN))
    np.testing.assert_allclose(results["embedding"], IMAGES.mean((1, 2)), rtol=1e-5)


def test_a_wrapped_model_can_be_wrapped_again() -> None:
    once = wrap(conv_model(), PLAIN)
    twice = wrap(once, OnnxPreprocessing("m.json", outputs=("embedding",)))
    np.testing.assert_allclose(run(twice)["embedding"], run(once)["embedding"], rtol=1e-6)


def test_free_height_and_width_take_the_size_of_the_json() -> None:
    model, image_size = wrap_onnx(conv_model(input_shape=["batch", 3, "height", "width"]), "m.onnx", PLAIN)
    assert run(model)["features"].shape == (3, 5, 3, 4)
    assert image_size == SIZE


def test_channels_that_the_shape_leaves_open_are_where_the_json_says() -> None:
    data = conv_model(input_shape=["batch", "channels", "height", "width"])
    with pytest.raises(ConfigError, match=r"does not say where the channels are. Add \"layout\": \"nchw\" or"):
        wrap(data)
    assert run(wrap(data, OnnxPreprocessing("m.json", SIZE, layout="nchw")))["features"].shape == (3, 5, 3, 4)


def test_whole_pixels_of_a_fixed_size_need_no_json() -> None:
    model, image_size = wrap_onnx(uint8_model(), "m.onnx", None)
    assert image_size == SIZE
    np.testing.assert_allclose(run(model)["embedding"], IMAGES.mean((1, 2)), rtol=1e-5)


def test_other_inputs_need_a_json_and_the_message_shows_one() -> None:
    with pytest.raises(
        ConfigError, match=r"needs a file that says .*Write 'here/net.json' .*\"image_size\": \[224, 224\]"
    ):
        wrap_onnx(conv_model(), "m.onnx", None, "here/net.json")


def test_constants_that_are_also_listed_as_inputs_do_not_count_as_inputs() -> None:
    listed = (info("kernel", [5, 3, 2, 2]), info("weights", [5, 4]))
    data = conv_model(opset=11, more_inputs=listed, ir_version=3)
    assert run(wrap(data, PLAIN))["embedding"].shape == (3, 5)


def test_the_same_file_gives_the_same_bytes() -> None:
    assert wrap(conv_model(), PLAIN) == wrap(conv_model(), PLAIN)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "damaged or not an ONNX file. Download or export it again"),
        (b"<!DOCTYPE html><html>", "damaged or not an ONNX file"),
        (conv_model()[:-40], "damaged or not an ONNX file"),
        (conv_model().replace(b"b\x0e\n\x06places", b"b\x0e\n\x06place\xff"), "damaged or not an ONNX file"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer, not the file itself. Download"),
    ],
    ids=["empty", "web page", "cut short", "name of an output", "git lfs pointer"],
)
def test_what_is_no_onnx_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(BundleError, match=rf"^`backbone` 'm\.onnx' .*{words}"):
        wrap(data)


def external_tensor(name: str) -> TensorProto:
    tensor = TensorProto(name=name, data_type=FLOAT, dims=[1, 3, 1, 1], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="../elsewhere.bin")
    return tensor


def external_model() -> bytes:
    node = helper.make_node("Mul", ["image", "outer"], ["result"])
    tensor = external_tensor("outer")
    graph = helper.make_graph([node], "g", [info("image", ["batch", 3, *SIZE])], [info("result", None)], [tensor])
    return serialise(graph)


def test_tensors_in_another_file_are_refused() -> None:
    with pytest.raises(BundleError, match=r"keeps its weights in another file.*onnx\.save"):
        wrap(external_model())


def test_several_inputs_are_refused_and_named() -> None:
    data = conv_model(more_inputs=(info("text", ["batch", 77]),))
    with pytest.raises(BundleError, match=r"has 2 inputs \('image', 'text'\). Export the part with one image"):
        wrap_onnx(data, "m.onnx", PLAIN)


def test_no_input_is_refused() -> None:
    node = helper.make_node("Constant", [], ["result"], value=numpy_helper.from_array(np.zeros((1, 2), np.float32)))
    data = serialise(helper.make_graph([node], "none", [], [info("result", [1, 2])]))
    with pytest.raises(BundleError, match=r"has 0 inputs \(none\). Export the part"):
        wrap_onnx(data, "m.onnx", PLAIN)


@pytest.mark.parametrize(
    ("shape", "kind"),
    [
        (["batch", 128], FLOAT),
        (["batch", 1, 28, 28], FLOAT),
        (["batch", 28, 28, 1], FLOAT),
        (["batch", 3, 8, 8], TensorProto.INT64),
        (None, FLOAT),
    ],
    ids=["a vector", "grey", "grey, channels last", "whole numbers", "no shape"],
)
def test_an_input_that_is_no_colour_image_is_refused(shape: Shape, kind: int) -> None:
    data = one_node("Identity", shape, None, kind)
    with pytest.raises(
        BundleError, match=r"takes 'pixels', .*for colour photos. Its input must be float or uint8: \(batch, 3,"
    ):
        wrap_onnx(data, "m.onnx", PLAIN)


def test_a_fixed_batch_is_refused() -> None:
    with pytest.raises(BundleError, match="takes exactly 1 photos at a time.*free batch axis.*dynamic_axes=.'image': "):
        wrap_onnx(conv_model(input_shape=[1, 3, *SIZE]), "m.onnx", PLAIN)


def reshaping_model(shape: list[int]) -> bytes:
    node = helper.make_node("Reshape", ["image", "shape"], ["result"])
    constant = numpy_helper.from_array(np.array(shape), "shape")
    image = info("image", ["batch", 3, *SIZE])
    return serialise(helper.make_graph([node], "reshape", [image], [info("result", None)], [constant]))


def test_a_batch_that_is_fixed_behind_a_free_input_is_refused() -> None:
    with pytest.raises(BundleError, match=r"`backbone` 'm\.onnx' (gives|fails)"):
        wrap(reshaping_model([1, 288]))


def test_outputs_that_are_no_float_of_two_to_four_axes_are_refused_and_shown() -> None:
    nodes = [
        helper.make_node("Flatten", ["image"], ["flat"]),
        helper.make_node("ArgMax", ["flat"], ["best"], axis=1, keepdims=0),
    ]
    outputs = [info("best", ["batch"], TensorProto.INT64)]
    data = serialise(helper.make_graph(nodes, "best", [info("image", ["batch", 3, *SIZE])], outputs))
    with pytest.raises(
        BundleError, match=r"gives int64 \(2,\) for two photos. Name an output of numbers \(batch, size\)"
    ):
        wrap(data)


def test_an_output_that_is_not_there_names_the_nearest() -> None:
    preprocessing = OnnxPreprocessing("m.json", SIZE, outputs=("poold",))
    with pytest.raises(
        ConfigError, match="\"output\" in 'm.json', 'poold', is not in .*'m.onnx'. Did you mean 'pooled'"
    ):
        wrap_onnx(conv_model(outputs=("pooled", "logits")), "m.onnx", preprocessing)


def test_sizes_that_do_not_agree_name_both() -> None:
    preprocessing = OnnxPreprocessing("m.json", (224, 224))
    with pytest.raises(ConfigError, match=r"'m\.json' asks for images of 224x224 .*'m\.onnx' takes 8x6. Correct"):
        wrap_onnx(conv_model(), "m.onnx", preprocessing)


def test_a_size_that_nobody_says_is_asked_for() -> None:
    data = conv_model(input_shape=["batch", 3, "height", "width"])
    with pytest.raises(
        ConfigError, match=r"'m\.onnx' takes any image size. Add \"image_size\": \[height, width\] to 'm\.json'"
    ):
        wrap_onnx(data, "m.onnx", OnnxPreprocessing("m.json"))


def test_scaling_for_a_model_that_takes_whole_pixels_is_refused() -> None:
    preprocessing = OnnxPreprocessing("m.json", SIZE, mean=(0.5, 0.5, 0.5))
    with pytest.raises(
        ConfigError, match=r"takes whole pixels .*Remove \"scale\", \"mean\" and \"std\" from 'm\.json'"
    ):
        wrap_onnx(uint8_model(), "m.onnx", preprocessing)


def test_a_graph_that_breaks_the_rules_of_onnx_is_refused() -> None:
    node = helper.make_node("Conv", ["pixels", "nowhere"], ["result"])
    image = info("pixels", ["batch", 3, *SIZE])
    data = serialise(helper.make_graph([node], "broken", [image], [info("result", ["batch", 5, 3, 4])]))
    with pytest.raises(BundleError, match=r"`backbone` 'm\.onnx' does not load .*nowhere"):
        wrap_onnx(data, "m.onnx", PLAIN)


def test_a_file_too_large_for_onnx_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user_onnx, "MAX_ONNX_BYTES", user_onnx._ROOM_BYTES + 100)
    with pytest.raises(BundleError, match=r"has .* GB. Give an ONNX file of less than 2 GB"):
        wrap_onnx(conv_model(), "m.onnx", PLAIN)


def message_of(data: bytes) -> str:
    """What is said against the file, nothing if it is wrapped."""
    try:
        wrap(data)
    except TellapartError as exc:
        return str(exc)
    return ""


@given(st.integers(0, len(conv_model()) - 1), st.binary(min_size=0, max_size=8))
def test_a_damaged_file_is_wrapped_or_refused_in_one_line(place: int, damage: bytes) -> None:
    data = conv_model()
    assert "\n" not in message_of(data[:place] + damage + data[place + len(damage) :])


@given(st.integers(0, len(conv_model()) - 1))
def test_a_file_cut_short_is_refused(length: int) -> None:
    with pytest.raises(BundleError, match=r"'m\.onnx'"):
        wrap_onnx(conv_model()[:length], "m.onnx", PLAIN)


SECRET = "/home/someone/secret/net.py"


def note_in_model(model: onnx.ModelProto) -> None:
    model.doc_string = model.producer_name = model.producer_version = SECRET
    model.metadata_props.add(key="source", value=SECRET)


def note_in_graph(model: onnx.ModelProto) -> None:
    model.graph.doc_string = SECRET
    model.graph.metadata_props.add(key=SECRET, value="1")


def note_in_nodes(model: onnx.ModelProto) -> None:
    for node in model.graph.node:
        node.doc_string = SECRET
        node.metadata_props.add(key="pkg.torch.onnx.stack_trace", value=SECRET)
        for attribute in node.attribute:
            attribute.doc_string = SECRET


def note_in_constants(model: onnx.ModelProto) -> None:
    constant = numpy_helper.from_array(np.ones(4, np.float32), "one")
    model.graph.node.insert(0, helper.make_node("Constant", [], ["one"], value=constant))
    for tensor in (*model.graph.initializer, model.graph.node[0].attribute[0].t):
        tensor.doc_string = SECRET
        tensor.metadata_props.add(key="k", value=SECRET)


def note_in_values(model: onnx.ModelProto) -> None:
    model.graph.value_info.append(info("places", ["batch", 5, 3, 4]))
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        value.doc_string = SECRET
        value.metadata_props.add(key="k", value=SECRET)


@pytest.mark.parametrize("note", [note_in_model, note_in_graph, note_in_nodes, note_in_constants, note_in_values])
def test_what_an_exporter_notes_for_people_travels_no_further(note: Callable[[onnx.ModelProto], None]) -> None:
    model = onnx.load_model_from_string(conv_model())
    note(model)
    data = model.SerializeToString()
    assert SECRET.encode() in data
    wrapped = wrap(data)
    assert SECRET.encode() not in wrapped
    np.testing.assert_array_equal(run(wrapped)["embedding"], run(wrap(conv_model()))["embedding"])
