import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tellapart.backbones.onnx_session import open_session
from tellapart.errors import BundleError, ConfigError, DatasetError
from tellapart.images.preprocess import PreprocessSpec, load_image
from tellapart.photos.sources import list_photos
from tellapart.predict import model_network
from tellapart.predict.bundle import Bundle
from tellapart.predict.model import Model, load
from tellapart.records import Skipped

MakeBundle = Callable[..., Bundle]
Paint = Callable[..., Path]
TYPES = onnx.TensorProto


def identity_model(input_type: int, input_shape: list[object], output_shape: list[object]) -> bytes:
    """ONNX bytes of a model that casts and reshapes, for signatures that do not fit."""
    nodes = [
        onnx.helper.make_node("Cast", ["image"], ["float"], to=TYPES.FLOAT),
        onnx.helper.make_node("Reshape", ["float", "shape"], ["probabilities"]),
    ]
    target = np.array([-1, *(side for side in output_shape[1:])], np.int64)
    graph = onnx.helper.make_graph(
        nodes,
        "identity",
        [onnx.helper.make_tensor_value_info("image", input_type, input_shape)],
        [onnx.helper.make_tensor_value_info("probabilities", TYPES.FLOAT, output_shape)],
        [onnx.numpy_helper.from_array(target, "shape")],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9)
    return model.SerializeToString()


def not_a_number_model() -> bytes:
    """ONNX bytes of a model for 1x1 grey images and two classes that gives NaN, as diverged weights do."""
    nodes = [
        onnx.helper.make_node("Cast", ["image"], ["float"], to=TYPES.FLOAT),
        onnx.helper.make_node("Flatten", ["float"], ["flat"], axis=1),
        onnx.helper.make_node("MatMul", ["flat", "weights"], ["probabilities"]),
    ]
    graph = onnx.helper.make_graph(
        nodes,
        "diverged",
        [onnx.helper.make_tensor_value_info("image", TYPES.UINT8, ["batch", 1, 1, 1])],
        [onnx.helper.make_tensor_value_info("probabilities", TYPES.FLOAT, ["batch", 2])],
        [onnx.numpy_helper.from_array(np.full((1, 2), np.nan, np.float32), "weights")],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9)
    return model.SerializeToString()


@pytest.fixture(scope="module")
def predictor(make_bundle: MakeBundle) -> Model:
    return Model(make_bundle(), num_threads=1)


def test_load_knows_the_classes_and_the_preprocessing(model_dir: Path) -> None:
    loaded = load(str(model_dir))
    assert loaded.class_names == ("blue", "red")
    assert loaded.preprocess == PreprocessSpec((4, 6))


def test_probabilities_are_the_softmax_the_model_was_built_with(predictor: Model) -> None:
    red = np.zeros((1, 4, 6, 3), np.uint8)
    red[..., 0] = 255
    got = predictor.predict_proba(red)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, [[1 / (1 + np.exp(6)), 1 / (1 + np.exp(-6))]], rtol=1e-5)


@settings(deadline=None, max_examples=25)
@given(images=arrays(np.uint8, st.tuples(st.integers(0, 70), st.just(4), st.just(6), st.just(3))))
def test_a_photo_gets_the_same_probabilities_alone_and_in_any_batch(predictor: Model, images: np.ndarray) -> None:
    together = predictor.predict_proba(images)
    assert together.shape == (len(images), 2)
    alone = [predictor.predict_proba(image[np.newaxis])[0] for image in images]
    np.testing.assert_allclose(together, np.array(alone).reshape(-1, 2), atol=1e-6)
    np.testing.assert_allclose(together.sum(axis=1), np.ones(len(images)), atol=1e-6)


@pytest.mark.parametrize(
    "images",
    [np.zeros((1, 4, 6, 3), np.float32), np.zeros((6, 4, 3), np.uint8), np.zeros((1, 6, 4, 3), np.uint8)],
    ids=["float", "one image, width first", "width first"],
)
def test_images_of_another_kind_are_refused(predictor: Model, images: np.ndarray) -> None:
    with pytest.raises(DatasetError, match=r"Give uint8 of shape \(n, 4, 6, 3\)"):
        predictor.predict_proba(images)


def test_predict_keeps_the_order_and_names_the_class(predictor: Model, paint: Paint) -> None:
    paths = [paint(f"{number}.png", colour) for number, colour in enumerate(["red", "blue", "red"])]
    results = list(predictor.predict(paths))
    assert [result.path for result in results] == [str(path) for path in paths]
    assert [result.nearest_class for result in results] == ["red", "blue", "red"]
    assert results[0].probability == max(results[0].probabilities) == pytest.approx(1 / (1 + np.exp(-6)), rel=1e-5)


@pytest.mark.parametrize("num_photos", [1, 15, 16, 17, 80])
def test_an_unreadable_photo_is_left_out_and_named_in_its_place(
    predictor: Model, paint: Paint, num_photos: int
) -> None:
    paths = [paint(f"{number}.png", "red") for number in range(num_photos)]
    paths[num_photos // 2].write_bytes(b"\x89PNG\r\n\x1a\n and then nothing")
    predictions = predictor.predict(list_photos(paths))
    items = list(predictions.items())
    assert [(row, item.path) for row, item in items] == [(row, str(path)) for row, path in enumerate(paths)]
    assert [row for row, item in items if isinstance(item, Skipped)] == [num_photos // 2]
    assert [skipped.path for skipped in predictions.skipped] == [str(paths[num_photos // 2])]


def test_a_batch_of_nothing_but_unreadable_photos_is_skipped(predictor: Model, tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.jpg" for number in range(40)]
    for path in paths:
        path.write_bytes(b"\xff\xd8\xff\xe0 no")
    predictions = predictor.predict(paths)
    assert (list(predictions), len(predictions.skipped)) == ([], 40)


def test_files_set_aside_when_listing_come_last(predictor: Model, paint: Paint, tmp_path: Path) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("no photo")
    predictions = predictor.predict([notes, paint("a.png", "red")])
    assert predictions.skipped == ()
    assert [prediction.class_name for prediction in predictions] == ["red"]
    assert [skipped.path for skipped in predictions.skipped] == [str(notes)]


def test_a_missing_path_is_an_error_before_the_first_photo(predictor: Model, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="gone.png"):
        predictor.predict([tmp_path / "gone.png"])


def test_no_photos_give_no_predictions(predictor: Model) -> None:
    assert list(predictor.predict([])) == []


def test_photos_are_not_all_decoded_before_the_first_prediction(
    predictor: Model, paint: Paint, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = list_photos([paint("a.png", "red")])
    seen: list[int] = []

    def load_counting(data: bytes, *settings: object) -> np.ndarray:
        seen.append(1)
        return load_image(data, *settings)

    monkeypatch.setattr("tellapart.predict.inputs.load_image", load_counting)
    results = predictor.predict(photos.take([0] * 1000))
    next(results)
    assert len(seen) <= 32  # one thread, two batches of 16
    results.close()


def test_the_temperature_divides_the_logits(make_bundle: MakeBundle) -> None:
    red = np.full((1, 4, 6, 3), (255, 0, 0), np.uint8)
    (row,) = Model(make_bundle(temperature=2.0), num_threads=1).predict_proba(red)
    np.testing.assert_allclose(row, [1 / (1 + np.exp(3)), 1 / (1 + np.exp(-3))], rtol=1e-5)


@pytest.mark.parametrize(
    ("model", "found"),
    [
        (identity_model(TYPES.FLOAT, ["batch", 1, 1, 2], ["batch", 2]), r"float \(batch, 1, 1, 2\)"),
        (identity_model(TYPES.UINT8, ["batch", 2], ["batch", 2]), r"uint8 \(batch, 2\)"),
        (identity_model(TYPES.UINT8, [2, 1, 1, 1], [1, 2]), r"uint8 \(2, 1, 1, 1\)"),
        (identity_model(TYPES.UINT8, ["batch", 1, 1, 1], ["batch", 3]), r"-> float \(batch, 3\)"),
    ],
    ids=["float input", "rank 2", "fixed batch", "three classes"],
)
def test_a_model_that_does_not_fit_its_bundle_is_refused(make_bundle: MakeBundle, model: bytes, found: str) -> None:
    bundle = make_bundle(model=model, preprocess=PreprocessSpec((1, 1), 1))
    with pytest.raises(BundleError, match=f"does not fit its bundle.json: found .*{found}.*train again"):
        Model(bundle)


def test_bytes_that_are_no_model_are_refused_in_one_line(make_bundle: MakeBundle) -> None:
    with pytest.raises(BundleError, match="does not load in ONNX Runtime .*train again") as caught:
        Model(make_bundle(model=b"no model"))
    assert "\n" not in str(caught.value)


def test_a_model_with_an_operation_nobody_knows_is_refused(make_bundle: MakeBundle) -> None:
    model = onnx.load_from_string(make_bundle().model)
    model.graph.node[0].op_type = "Cats"
    with pytest.raises(BundleError, match="does not load in ONNX Runtime"):
        Model(make_bundle(model=model.SerializeToString()))


def test_a_diverged_model_is_named_as_such(make_bundle: MakeBundle) -> None:
    bundle = make_bundle(model=not_a_number_model(), preprocess=PreprocessSpec((1, 1), 1))
    with pytest.raises(BundleError, match="not finite.*smaller `learning_rate`"):
        Model(bundle).predict_proba(np.zeros((1, 1, 1, 1), np.uint8))


def test_a_model_that_fails_on_a_batch_is_refused(make_bundle: MakeBundle) -> None:
    fails = identity_model(TYPES.UINT8, ["batch", 1, 1, 1], ["batch", 2])  # one pixel cannot fill two columns
    predictor = Model(make_bundle(model=fails, preprocess=PreprocessSpec((1, 1), 1)))
    with pytest.raises(BundleError, match="fails on a batch of photos"):
        predictor.predict_proba(np.zeros((1, 1, 1, 1), np.uint8))


def test_the_class_order_is_that_of_the_bundle(make_bundle: MakeBundle, paint: Paint) -> None:
    bundle = replace(make_bundle(("red", "green", "blue")), preprocess=PreprocessSpec((4, 6)))
    (result,) = Model(bundle).predict([paint("a.png", "green")])
    assert np.argmax(result.probabilities) == 1
    assert result.nearest_class == "green"


def test_predicting_a_photo_loads_nothing_that_only_learning_or_drawing_needs(model_dir: Path, paint: Paint) -> None:
    program = (
        "import sys\n"
        "from tellapart.predict.model import load\n"
        f"(result,) = load({str(model_dir)!r}).predict([{str(paint('a.jpg', 'red'))!r}])\n"
        "assert result.nearest_class == 'red', result\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    heavy = {"keras", "torch", "tensorflow", "jax", "onnx", "pandas", "matplotlib", "sklearn", "scipy"}
    assert heavy & set(done.stdout.split()) == set()


@pytest.fixture(scope="module")
def map_predictor(map_bundle: Bundle) -> Model:
    return Model(map_bundle, num_threads=2)


@pytest.fixture(scope="module")
def noise() -> np.ndarray:
    """40 images."""
    return np.random.default_rng(0).integers(0, 256, (40, 4, 6, 3)).astype(np.uint8)


def test_a_model_says_whether_it_has_activation_maps(predictor: Model, map_predictor: Model) -> None:
    assert (predictor.has_activation_maps, map_predictor.has_activation_maps) == (False, True)


def test_the_softmax_of_the_mean_of_a_map_is_the_probability(map_predictor: Model, noise: np.ndarray) -> None:
    maps = map_predictor.activation_maps(noise)
    assert maps.dtype == np.float32
    assert maps.shape == (40, 2, 2, 3)
    powers = np.exp(maps.mean(axis=(2, 3)))
    np.testing.assert_allclose(
        powers / powers.sum(axis=1, keepdims=True), map_predictor.predict_proba(noise), rtol=1e-5
    )


def test_threads_share_the_session_of_the_maps(
    map_bundle: Bundle, noise: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []
    monkeypatch.setattr(
        model_network, "open_session", lambda *given, **more: opened.append(given) or open_session(*given, **more)
    )
    model = Model(map_bundle, num_threads=4)
    model.activation_maps(noise)
    model.activation_maps(noise)
    assert len(opened) == 2


def test_a_map_is_high_where_the_colour_of_its_class_is(map_predictor: Model) -> None:
    image = np.zeros((1, 4, 6, 3), np.uint8)
    image[0, 2:, 4:, 0] = 255
    (maps,) = map_predictor.activation_maps(image)
    assert np.unravel_index(maps[1].argmax(), maps[1].shape) == (1, 2)


def test_the_temperature_divides_the_maps_as_well(map_bundle: Bundle, noise: np.ndarray) -> None:
    hot, cold = Model(replace(map_bundle, temperature=2.0)), Model(map_bundle)
    np.testing.assert_allclose(hot.activation_maps(noise) * 2, cold.activation_maps(noise), rtol=1e-5)


def test_the_maps_are_not_computed_when_only_probabilities_are_wanted(
    map_bundle: Bundle, noise: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[bytes] = []

    def open_and_keep(model: bytes, num_threads: int) -> object:
        opened.append(model)
        return open_session(model, num_threads)

    monkeypatch.setattr("tellapart.predict.model_network.open_session", open_and_keep)
    Model(map_bundle).predict_proba(noise)
    (model,) = opened
    assert "map" not in [node.name for node in onnx.load_from_string(model).graph.node]


def test_no_images_give_no_maps(map_predictor: Model) -> None:
    assert map_predictor.activation_maps(np.empty((0, 4, 6, 3), np.uint8)).shape == (0, 2, 0, 0)


def test_maps_of_a_model_without_them_are_refused_with_the_models_that_have_them(predictor: Model) -> None:
    with pytest.raises(ConfigError, match="`heatmap` needs .*'transfer'.*efficientnet-lite"):
        predictor.activation_maps(np.zeros((1, 4, 6, 3), np.uint8))


def test_maps_of_another_number_of_classes_are_refused(map_bundle: Bundle) -> None:
    model = onnx.load_from_string(map_bundle.model)
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.ones((3, 3, 1, 1), np.float32), "three"))
    model.graph.node[3].input[:] = ["features", "three"]
    model.graph.output[1].type.tensor_type.shape.dim[1].dim_value = 3
    predictor = Model(replace(map_bundle, model=model.SerializeToString()))
    found = r"float \(batch, 3, 2, 3\), not uint8 .*float \(batch, 2, size, size\) with .*train again"
    with pytest.raises(BundleError, match=found):
        predictor.activation_maps(np.zeros((1, 4, 6, 3), np.uint8))


def test_a_second_output_of_another_name_is_refused(map_bundle: Bundle) -> None:
    model = onnx.load_from_string(map_bundle.model)
    model.graph.output[1].name = "features"
    model.graph.node[2].output[0] = "features"
    with pytest.raises(BundleError, match="does not fit its bundle.json: found .*train again"):
        Model(replace(map_bundle, model=model.SerializeToString()))


@pytest.mark.parametrize("num_threads", [1, 2, 3, 0], ids=["one", "two", "three", "all cores"])
def test_the_number_of_threads_does_not_change_the_answer(
    make_bundle: MakeBundle, noise: np.ndarray, num_threads: int
) -> None:
    got = Model(make_bundle(), num_threads).predict_proba(noise)
    np.testing.assert_allclose(got, Model(make_bundle(), 1).predict_proba(noise), atol=1e-6)


def test_several_threads_may_predict_at_once(map_predictor: Model, noise: np.ndarray) -> None:
    expected = map_predictor.predict_proba(noise), map_predictor.activation_maps(noise)
    results: list[tuple[np.ndarray, np.ndarray]] = []

    def work() -> None:
        for _ in range(20):
            results.append((map_predictor.predict_proba(noise), map_predictor.activation_maps(noise)))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 80
    np.testing.assert_allclose([result[0] for result in results], [expected[0]] * 80, atol=1e-6)
    np.testing.assert_allclose([result[1] for result in results], [expected[1]] * 80, atol=1e-5)


def test_two_streams_at_once_keep_their_own_order(predictor: Model, paint: Paint) -> None:
    paths = [paint(f"{number}.png", ["red", "blue"][number % 2]) for number in range(40)]
    pairs = list(zip(predictor.predict(paths), predictor.predict(paths[::-1]), strict=True))
    assert [result.path for result, _ in pairs] == list(map(str, paths))
    assert [result.path for _, result in pairs] == list(map(str, paths[::-1]))


def test_closing_a_stream_early_ends_its_threads(predictor: Model, paint: Paint) -> None:
    results = predictor.predict(list_photos([paint("a.png", "red")]).take([0] * 500))
    next(results)
    results.close()
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("photos")] == []
