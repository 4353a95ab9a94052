"""What an ONNX file wants to be given and which of its outputs is the embedding, read from a small JSON beside it.

Two formats are read. Ours, every key optional:

    {
      "image_size": [224, 224],          height and width in pixels; needed where the ONNX leaves them free
      "scale": 0.00392156862745098,      pixels, 0-255, are multiplied with it first; the default is 1/255
      "mean": [0.485, 0.456, 0.406],     subtracted next, one a channel; the default is 0
      "std": [0.229, 0.224, 0.225],      divided by last, one a channel; the default is 1
      "channel_order": "rgb",            or "bgr", in which `mean` and `std` are then given
      "output": "pooler_output",         the output that is the embedding; the default is foreign_outputs.py's choice
      "pooling": "mean"                  of an output (batch, tokens, size), the mean of the tokens or the "first"
    }

and Hugging Face's `preprocessor_config.json`: `size` (pixels, `{"height", "width"}` or `{"shortest_edge"}`), in its
place `crop_size` with `do_center_crop`, `do_rescale`, `rescale_factor`, `rescale_offset`, `do_normalize`,
`image_mean`, `image_std`, `do_flip_channel_order`; `output` and `pooling` may be added to it. Photos are always resized
to the full input without keeping the aspect ratio, and nothing is cropped away: what stands at the edge counts too.

No ONNX is looked into here; `foreign_onnx.py` builds the graph.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tellapart.config import check_choice, check_range, check_whole
from tellapart.errors import BundleError, ConfigError

# Protocol buffers, which ONNX files are, hold 2 GiB; the nodes that are added need a little of it.
_MAX_ONNX_BYTES = 2**31 - 2**20
HUGGING_FACE_FILE = "preprocessor_config.json"
EXAMPLE = '{"image_size": [224, 224], "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}'
_OUR_KEYS = ("image_size", "scale", "mean", "std", "channel_order", "output", "pooling")
_HUGGING_FACE_KEYS = frozenset(
    "size crop_size do_resize do_center_crop do_rescale rescale_factor do_normalize image_mean image_std "
    "image_processor_type feature_extractor_type".split()
)
_MAX_SIDE = 4096
_LARGEST_NUMBER = 1e6
_PER_CHANNEL = tuple[float, float, float]


@dataclass(frozen=True)
class OnnxPreprocessing:
    """How pixels become the input of an ONNX file, and how its output becomes the embedding.

    Attributes:
        shown_source: where this was read, for messages.
        image_size: `(height, width)` in pixels; `None` where the ONNX file says it.
        scale, mean, std: the input is `(pixels * scale - mean) / std`.
        channel_order: order of the channels that the ONNX file takes, and that `mean` and `std` are in.
        output: name of the output to take; `None` leaves the choice to `foreign_outputs.py`.
        pooling: what becomes of the tokens of an output `(batch, tokens, size)`.
    """

    shown_source: str
    image_size: tuple[int, int] | None = None
    scale: float = 1 / 255
    mean: _PER_CHANNEL = (0.0, 0.0, 0.0)
    std: _PER_CHANNEL = (1.0, 1.0, 1.0)
    channel_order: Literal["rgb", "bgr"] = "rgb"
    output: str | None = None
    pooling: Literal["mean", "first"] = "mean"

    def is_plain(self) -> bool:
        """Whether nothing is said about scaling."""
        return (self.scale, self.mean, self.std) == (1 / 255, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


def check_onnx_size(size_bytes: int, shown: str) -> None:
    """Nothing, if an ONNX file of that size can be read.

    Args:
        shown: what the user would recognise the file by.

    Raises:
        BundleError: it is too large.
    """
    if size_bytes > _MAX_ONNX_BYTES:
        raise BundleError(
            f"{shown} has {size_bytes / 1e9:.1f} GB; accepted is an ONNX file of less than 2 GB. Pass a smaller model, "
            "or one exported in float16."
        )


def read_preprocessing(model_path: Path) -> OnnxPreprocessing:
    """The preprocessing for an ONNX file: of `FILE.json`, else `FILE.onnx.json`, else `preprocessor_config.json`.

    Raises:
        ConfigError: there is none of these files beside it, or the first one found says something not accepted.
    """
    candidates = (
        model_path.with_suffix(".json"),
        model_path.with_name(f"{model_path.name}.json"),
        model_path.with_name(HUGGING_FACE_FILE),
    )
    for path in candidates:
        if path.is_file():
            return _read_file(path)
    raise ConfigError(
        f"--backbone {str(model_path)!r} has no JSON beside it that says how photos are to be prepared; accepted is "
        f"{candidates[0].name!r}, or the {HUGGING_FACE_FILE!r} of a Hugging Face model. Write into "
        f"{str(candidates[0])!r} what the model was trained with, such as {EXAMPLE}"
    )


def _read_file(path: Path) -> OnnxPreprocessing:
    try:
        data = path.read_bytes()
    except OSError as exc:
        raise ConfigError(f"{str(path)!r} cannot be read ({exc.strerror or exc}); check its permissions.") from exc
    return parse_preprocessing(data, str(path))


def parse_preprocessing(data: bytes, shown_source: str) -> OnnxPreprocessing:
    """The preprocessing that the JSON in `data` describes, in either format.

    Raises:
        ConfigError: it is not JSON, or says something not accepted.
    """
    try:
        value = json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as exc:
        reason = str(exc).partition("\n")[0]
        raise ConfigError(f"{shown_source!r} is not JSON ({reason}); accepted is a file such as {EXAMPLE}") from exc
    if not isinstance(value, dict):
        raise ConfigError(
            f"{shown_source!r} holds a {type(value).__name__}; accepted is a JSON object such as {EXAMPLE}"
        )
    if _HUGGING_FACE_KEYS.intersection(value):
        return _from_hugging_face(value, shown_source)
    return _from_ours(value, shown_source)


def _from_ours(value: Mapping[str, Any], source: str) -> OnnxPreprocessing:
    for key in value:
        check_choice(f"the key of {source!r},", key, _OUR_KEYS)
    order = value.get("channel_order", "rgb")
    check_choice(f"channel_order in {source!r},", order, ("rgb", "bgr"))
    size = value.get("image_size")
    if size is not None and (not isinstance(size, list) or len(size) != 2):
        raise ConfigError(
            f"image_size in {source!r} is {size!r}; accepted is [height, width] in pixels, such as [224, 224]. "
            "Correct it in that file."
        )
    return OnnxPreprocessing(
        shown_source=source,
        image_size=None if size is None else _check_size(size[0], size[1], source),
        scale=_check_scale(value.get("scale", 1 / 255), f"scale in {source!r}"),
        mean=_three_numbers(value.get("mean", [0.0] * 3), "mean", source),
        std=_check_std(value.get("std", [1.0] * 3), "std", source),
        channel_order=order,
        output=_check_output(value, source),
        pooling=_check_pooling(value, source),
    )


def _from_hugging_face(value: Mapping[str, Any], source: str) -> OnnxPreprocessing:
    scale, mean, std = 1.0, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    if value.get("do_rescale", True):
        scale = _check_scale(value.get("rescale_factor", 1 / 255), f"rescale_factor in {source!r}")
    if value.get("do_normalize", "image_mean" in value):
        for key in ("image_mean", "image_std"):
            if key not in value:
                raise ConfigError(
                    f"{source!r} asks for do_normalize and has no {key}; accepted are three numbers, one a channel. "
                    f"Add {key} to that file."
                )
        mean = _three_numbers(value["image_mean"], "image_mean", source)
        std = _check_std(value["image_std"], "image_std", source)
    if value.get("rescale_offset", False):
        # The image processor of EfficientNet subtracts 1 after the scaling, before the mean.
        mean = (mean[0] + 1, mean[1] + 1, mean[2] + 1)
    return OnnxPreprocessing(
        shown_source=source,
        image_size=_hugging_face_size(value, source),
        scale=scale,
        mean=mean,
        std=std,
        channel_order="bgr" if value.get("do_flip_channel_order", False) else "rgb",
        output=_check_output(value, source),
        pooling=_check_pooling(value, source),
    )


def _hugging_face_size(value: Mapping[str, Any], source: str) -> tuple[int, int] | None:
    key = "crop_size" if value.get("do_center_crop", False) and "crop_size" in value else "size"
    size = value.get(key)
    if size is None:
        return None
    if isinstance(size, dict):
        sides = (size.get("height"), size.get("width"))
        if None in sides:
            sides = (size.get("shortest_edge"), size.get("shortest_edge"))
    else:
        sides = (size, size)
    if None in sides:
        raise ConfigError(
            f'{key} in {source!r} is {size!r}; accepted are pixels, {{"height", "width"}} or {{"shortest_edge"}}. '
            "Correct it in that file."
        )
    return _check_size(sides[0], sides[1], source)


def _check_size(height: Any, width: Any, source: str) -> tuple[int, int]:
    check_whole(f"the height in {source!r},", height, 1, _MAX_SIDE)
    check_whole(f"the width in {source!r},", width, 1, _MAX_SIDE)
    return height, width


def _check_scale(value: Any, shown: str) -> float:
    check_range(f"{shown},", value, 0, _LARGEST_NUMBER, open_ends=True)
    return float(value)


def _three_numbers(value: Any, key: str, source: str) -> _PER_CHANNEL:
    if not isinstance(value, list) or len(value) != 3:
        raise ConfigError(
            f"{key} in {source!r} is {value!r}; accepted are three numbers, one a channel, such as "
            "[0.485, 0.456, 0.406]. Correct it in that file."
        )
    for number in value:
        check_range(f"{key} in {source!r},", number, -_LARGEST_NUMBER, _LARGEST_NUMBER)
    return float(value[0]), float(value[1]), float(value[2])


def _check_std(value: Any, key: str, source: str) -> _PER_CHANNEL:
    numbers = _three_numbers(value, key, source)
    for number in numbers:
        check_range(f"{key} in {source!r},", number, 0, _LARGEST_NUMBER, open_ends=True)
    return numbers


def _check_output(value: Mapping[str, Any], source: str) -> str | None:
    output = value.get("output")
    if output is None or (isinstance(output, str) and output):
        return output
    raise ConfigError(
        f"output in {source!r} is {output!r}; accepted is the name of an output of the ONNX file. Correct it in that "
        "file."
    )


def _check_pooling(value: Mapping[str, Any], source: str) -> Literal["mean", "first"]:
    pooling = value.get("pooling", "mean")
    check_choice(f"pooling in {source!r},", pooling, ("mean", "first"))
    return "first" if pooling == "first" else "mean"
