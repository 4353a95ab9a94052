import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tellapart.backbones.onnx_preprocessing import EXAMPLE, OnnxPreprocessing, parse_preprocessing, read_preprocessing
from tellapart.errors import ConfigError

IMAGENET_MEAN, IMAGENET_STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner))
KEYS = st.sampled_from(
    "image_size scale mean std channel_order layout output pooling pretrained_cfg size crop_size do_center_crop "
    "do_rescale rescale_factor "
    "do_normalize image_mean image_std do_flip_channel_order rescale_offset".split()
)


def parse(value: Any) -> OnnxPreprocessing:
    return parse_preprocessing(json.dumps(value).encode(), "m.json")


def test_every_key_of_ours_is_read() -> None:
    found = parse(
        {
            "image_size": [224, 192],
            "scale": 0.5,
            "mean": [1, 2, 3],
            "std": [4, 5, 6],
            "channel_order": "bgr",
            "layout": "nhwc",
            "output_layout": "nchw",
            "output": "pooled",
            "pooling": "first",
        }
    )
    assert found == OnnxPreprocessing(
        "m.json", (224, 192), 0.5, (1, 2, 3), (4, 5, 6), "bgr", "nhwc", "nchw", ("pooled",), "first"
    )


def test_an_empty_object_scales_pixels_to_0_to_1() -> None:
    found = parse({})
    assert (found.image_size, found.scale, found.is_plain()) == (None, 1 / 255, True)


def test_the_example_that_errors_show_is_accepted() -> None:
    assert parse_preprocessing(EXAMPLE.encode(), "m.json").image_size == (224, 224)


def test_a_byte_order_mark_is_no_obstacle() -> None:
    assert parse_preprocessing(b"\xef\xbb\xbf" + EXAMPLE.encode(), "m.json").image_size == (224, 224)


@pytest.mark.parametrize(
    ("config", "image_size"),
    [
        ({"size": 224}, (224, 224)),
        ({"size": {"height": 256, "width": 192}}, (256, 192)),
        ({"size": {"shortest_edge": 224}}, (224, 224)),
        (
            {"size": {"shortest_edge": 256}, "do_center_crop": True, "crop_size": {"height": 224, "width": 200}},
            (224, 200),
        ),
        ({"size": 256, "do_center_crop": True, "crop_size": 224}, (224, 224)),
        ({"size": 256, "do_center_crop": False, "crop_size": 224}, (256, 256)),
        ({"size": 256, "do_center_crop": True}, (256, 256)),
        ({"do_normalize": False}, None),
    ],
    ids=[
        "number",
        "height and width",
        "shortest edge",
        "crop",
        "crop number",
        "no crop",
        "crop without size",
        "no size",
    ],
)
def test_the_size_of_hugging_face_is_read(config: dict[str, Any], image_size: tuple[int, int] | None) -> None:
    assert parse(config).image_size == image_size


def test_scaling_of_hugging_face_is_read() -> None:
    config = {"size": 224, "rescale_factor": 0.5, "image_mean": IMAGENET_MEAN, "image_std": IMAGENET_STD}
    found = parse({**config, "do_rescale": True, "do_normalize": True})
    assert (found.scale, list(found.mean), list(found.std)) == (0.5, IMAGENET_MEAN, IMAGENET_STD)


@pytest.mark.parametrize(
    ("config", "scale", "mean"),
    [
        ({"do_rescale": False}, 1.0, (0, 0, 0)),
        ({"do_resize": True}, 1 / 255, (0, 0, 0)),
        ({"do_normalize": False, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}, 1 / 255, (0, 0, 0)),
        ({"do_rescale": True, "rescale_factor": 1 / 127.5, "rescale_offset": True}, 1 / 127.5, (1, 1, 1)),
        ({"image_mean": [0.5] * 3, "image_std": [0.5] * 3}, 1 / 255, (0.5, 0.5, 0.5)),
    ],
    ids=["no rescaling", "nothing said", "no normalising", "offset", "old files"],
)
def test_steps_of_hugging_face_are_switched_as_it_does(
    config: dict[str, Any], scale: float, mean: tuple[float]
) -> None:
    found = parse({"size": 224, **config})
    assert (found.scale, found.mean) == (scale, mean)


def test_flipped_channels_of_hugging_face_are_bgr() -> None:
    assert parse({"size": 256, "do_flip_channel_order": True}).channel_order == "bgr"


def test_output_and_pooling_may_be_added_to_the_file_of_hugging_face() -> None:
    found = parse({"size": 224, "output": "last_hidden_state", "pooling": "first"})
    assert (found.outputs, found.pooling) == (("last_hidden_state",), "first")


def test_without_a_name_the_outputs_of_transformers_are_looked_for_in_turn() -> None:
    assert parse({"size": 224}).outputs == ("image_embeds", "pooler_output", "last_hidden_state")


def test_the_configuration_of_timm_is_read() -> None:
    config = {"input_size": [3, 288, 256], "mean": IMAGENET_MEAN, "std": IMAGENET_STD, "crop_pct": 0.95}
    found = parse({"architecture": "resnet50", "pretrained_cfg": config})
    assert (found.image_size, list(found.mean), list(found.std)) == ((288, 256), IMAGENET_MEAN, IMAGENET_STD)
    assert found.outputs == ()


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([], "'m.json' holds a list. Write a JSON object such as"),
        ({"imagesize": [2, 2]}, "'imagesize' is not known. Did you mean 'image_size'.*Choose from image_size"),
        ({"image_size": 224}, r'"image_size" in .m.json. is 224. Give \[height, width\]'),
        ({"image_size": [224]}, r'"image_size" in .m.json. is \[224\]. Give \[height, width\]'),
        ({"image_size": [224, 0]}, '"image_size" in .m.json., 0 must be between 1'),
        ({"image_size": [224.0, 8]}, '"image_size" in .m.json., 224.0 must be a whole number'),
        ({"mean": [0.5, 0.5]}, r'"mean" in .m.json. is \[0.5, 0.5\]. Give three numbers'),
        ({"mean": 0.5}, '"mean" in .m.json. is 0.5. Give three numbers'),
        ({"mean": ["a", 0, 0]}, '"mean" in .m.json. is .*Give three numbers'),
        ({"mean": [True, 0, 0]}, '"mean" in .m.json. is .*Give three numbers'),
        ({"std": [0.5, 0, 0.5]}, '"std" in .m.json. is .*Give three positive numbers'),
        ({"scale": -1}, '"scale" in .m.json. is -1. Give a positive number'),
        ({"scale": float("nan")}, r"is not JSON \(the number NaN is not finite\)"),
        ({"pooling": "max"}, '"pooling" in .m.json., .max. is not known.*Choose from mean, first'),
        ({"layout": "hwc"}, '"layout" in .m.json., .hwc. is not known.*Choose from nchw, nhwc'),
        ({"channel_order": "grb"}, '"channel_order" in .m.json., .grb. is not known.*Choose from rgb, bgr'),
        ({"output": 3}, '"output" in .m.json. is 3. Give the name'),
        ({"size": {"longest_edge": 5}}, '"image_size" in .m.json., None must be a whole number'),
        ({"size": "big"}, '"image_size" in .m.json., .big. must be a whole number'),
        ({"do_normalize": True, "image_std": [1, 1, 1]}, '"mean" in .m.json. is None'),
        ({"image_mean": [0, 0, 0]}, '"std" in .m.json. is None'),
    ],
)
def test_what_is_not_accepted_is_named(value: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        parse(value)


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe", b"[" * 100_000], ids=["empty", "cut", "no text", "deep"])
def test_what_is_no_json_is_refused(data: bytes) -> None:
    with pytest.raises(ConfigError, match=r"^'m\.json' is not JSON \(.*Write a file such as"):
        parse_preprocessing(data, "m.json")


@pytest.mark.parametrize("name", ["net.json", "preprocessor_config.json"])
def test_the_json_is_found_beside_the_onnx(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text('{"size": 224}')
    found = read_preprocessing(tmp_path / "net.onnx")
    assert found is not None
    assert found.source == str(tmp_path / name)


def test_the_json_with_the_name_of_the_onnx_comes_first(tmp_path: Path) -> None:
    (tmp_path / "preprocessor_config.json").write_text('{"size": 224}')
    (tmp_path / "net.json").write_text('{"image_size": [32, 48]}')
    found = read_preprocessing(tmp_path / "net.onnx")
    assert found is not None
    assert found.image_size == (32, 48)


def test_the_files_of_the_hub_may_be_in_another_folder(tmp_path: Path) -> None:
    (tmp_path / "onnx").mkdir()
    (tmp_path / "config.json").write_text('{"pretrained_cfg": {"input_size": [3, 64, 64]}}')
    found = read_preprocessing(tmp_path / "onnx" / "model.onnx", tmp_path)
    assert found is not None
    assert found.image_size == (64, 64)


@pytest.mark.parametrize("files", [{}, {"config.json": '{"hidden_size": 8}'}], ids=["none", "config of a network"])
def test_without_a_json_about_pixels_there_is_none(tmp_path: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    assert read_preprocessing(tmp_path / "net.onnx") is None


@given(st.dictionaries(KEYS, VALUES, max_size=4) | VALUES)
def test_any_json_is_read_or_refused(value: Any) -> None:
    with contextlib.suppress(ConfigError):
        assert isinstance(parse(value), OnnxPreprocessing)


@given(st.binary(max_size=40))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(ConfigError):
        parse_preprocessing(data, "m.json")
