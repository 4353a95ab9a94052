"""What an ONNX file wants to be given, and which of its tensors is the embedding: read from a small JSON beside it.

For `net.onnx` that is `net.json`, with these keys, of which only `image_size` is often needed:

    {
      "image_size": [224, 224],          height and width in pixels; needed where the ONNX file leaves them free
      "mean": [0.485, 0.456, 0.406],     subtracted from the scaled pixels, one a channel; the default is 0
      "std": [0.229, 0.224, 0.225],      divided by last, one a channel; the default is 1
      "scale": 0.00392156862745098,      pixels, 0 to 255, are multiplied with it first; the default is 1/255
      "channel_order": "rgb",            or "bgr", in which `mean` and `std` are then given
      "layout": "nchw",                  or "nhwc": where the input has its channels, if its shape does not say
      "output": "pooler_output",         the tensor that is the embedding, inside the network or at its end; of a list
                                         the first that the network has
      "output_layout": "nchw",           where an output with places has its channels; the default is as the input
      "pooling": "mean"                  of an output (batch, tokens, size), the mean of the tokens or the "first"
    }

In its place, as repositories of the Hugging Face Hub have them, `preprocessor_config.json`, or a `config.json` with the
`pretrained_cfg` of timm. Photos are always resized to the full input and nothing is cropped away.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tellapart.config import MAX_SIDE
from tellapart.errors import ConfigError
from tellapart.translation import gettext as _
from tellapart.untrusted import MAX_JSON_BYTES, parse_json, read_regular
from tellapart.value_checks import check_choice, check_whole

HUB_FILES = ("preprocessor_config.json", "config.json")
EXAMPLE = '{"image_size": [224, 224], "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}'
# Of these outputs of a network of transformers, the first that it has is the embedding.
_TRANSFORMERS_OUTPUTS = ("image_embeds", "pooler_output", "last_hidden_state")
_CHOICES = {
    "channel_order": ("rgb", "bgr"),
    "layout": ("nchw", "nhwc"),
    "output_layout": ("nchw", "nhwc"),
    "pooling": ("mean", "first"),
}
_KEYS = ("image_size", "mean", "std", "scale", "output", *_CHOICES)
_LARGEST_NUMBER = 1e6
_PER_CHANNEL = tuple[float, float, float]


@dataclass(frozen=True)
class OnnxPreprocessing:
    """How pixels become the input of an ONNX file, and how its output becomes the embedding.

    Attributes:
        source: the file that says so, for messages.
        image_size: `(height, width)` in pixels; `None` where the ONNX file says it.
        scale, mean, std: the input is `(pixels * scale - mean) / std`.
        channel_order: `rgb` or `bgr`, which the ONNX file takes, and which `mean` and `std` are in.
        layout, output_layout: `nchw` or `nhwc`; `None` where the shape of the input says it.
        outputs: names of tensors, of which the first that exists is taken; none where there is only one output.
        pooling: `mean` or `first`, what becomes of the tokens of an output `(batch, tokens, size)`.
    """

    source: str
    image_size: tuple[int, int] | None = None
    scale: float = 1 / 255
    mean: _PER_CHANNEL = (0.0, 0.0, 0.0)
    std: _PER_CHANNEL = (1.0, 1.0, 1.0)
    channel_order: str = "rgb"
    layout: str | None = None
    output_layout: str | None = None
    outputs: tuple[str, ...] = ()
    pooling: str = "mean"

    def is_plain(self) -> bool:
        """Whether nothing is said about scaling."""
        return (self.scale, self.mean, self.std) == (1 / 255, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))

    def to_json(self) -> dict[str, Any]:
        """The object that `parse_preprocessing` reads back, but for `source`."""
        value: dict[str, Any] = {"scale": self.scale, "mean": list(self.mean), "std": list(self.std)}
        if self.image_size is not None:
            value["image_size"] = list(self.image_size)
        if self.outputs:
            value["output"] = self.outputs[0] if len(self.outputs) == 1 else list(self.outputs)
        return value | {key: found for key in _CHOICES if (found := getattr(self, key)) is not None}


def read_preprocessing(model_path: Path, *folders: Path) -> OnnxPreprocessing | None:
    """The preprocessing for an ONNX file, from `FILE.json` beside it or a file of the Hub; `None` without either.

    Args:
        folders: where the files of the Hub may also be.

    Raises:
        ConfigError: the first file found cannot be read, or says something wrong.
    """
    candidates = [folder / name for name in HUB_FILES for folder in (model_path.parent, *folders)]
    for path in (model_path.with_suffix(".json"), *candidates):
        try:
            data = read_regular(path, MAX_JSON_BYTES)
        except (FileNotFoundError, IsADirectoryError):
            continue
        except OSError as exc:
            raise ConfigError(
                _("{path!r} cannot be read ({reason}). Check its permissions.").format(
                    path=str(path), reason=exc.strerror or exc
                )
            ) from exc
        if path.name != "config.json" or b'"pretrained_cfg"' in data:  # others say nothing about pixels
            return parse_preprocessing(data, str(path))
    return None


def parse_preprocessing(data: bytes, source: str) -> OnnxPreprocessing:
    """The preprocessing that the JSON in `data` describes, in any of the three formats.

    Raises:
        ConfigError: it is no JSON object, or says something wrong.
    """
    try:
        value = parse_json(data)
    except ValueError as exc:
        reason = str(exc).partition("\n")[0]
        raise ConfigError(
            _("{source!r} is not JSON ({reason}). Write a file such as {example}").format(
                source=source, reason=reason, example=EXAMPLE
            )
        ) from exc
    if not isinstance(value, dict):
        raise ConfigError(
            _("{source!r} holds a {type}. Write a JSON object such as {example}").format(
                source=source, type=type(value).__name__, example=EXAMPLE
            )
        )
    if isinstance(config := value.get("pretrained_cfg"), dict):
        size = config.get("input_size")
        side = {"image_size": size[1:]} if isinstance(size, list) else {}
        return _from_ours(side | {key: config[key] for key in ("mean", "std") if key in config}, source)
    if {"image_mean", "size", "crop_size", "do_rescale", "do_normalize", "do_resize"} & value.keys():
        return _from_transformers(value, source)
    return _from_ours(value, source)


def _from_ours(value: Mapping[str, Any], source: str) -> OnnxPreprocessing:
    for key in value:
        check_choice(_("the key of {source!r},").format(source=source), key, _KEYS)
    for key, choices in _CHOICES.items():
        if key in value:
            check_choice(_('"{key}" in {source!r},').format(key=key, source=source), value[key], choices)
    output = value.get("output")
    outputs = output if isinstance(output, list) else [] if output is None else [output]
    if not all(isinstance(name, str) and name for name in outputs):
        raise _refused("output", output, source, _("the name of a tensor of the ONNX file"))
    return OnnxPreprocessing(
        source=source,
        image_size=_image_size(value["image_size"], "image_size", source) if "image_size" in value else None,
        scale=_numbers([value["scale"]], "scale", source, num=1, is_positive=True)[0] if "scale" in value else 1 / 255,
        mean=_per_channel(value.get("mean", [0.0] * 3), "mean", source),
        std=_per_channel(value.get("std", [1.0] * 3), "std", source, is_positive=True),
        outputs=tuple(outputs),
        **{key: value[key] for key in _CHOICES if key in value},
    )


def _from_transformers(value: Mapping[str, Any], source: str) -> OnnxPreprocessing:
    """As the image processors of transformers take these keys."""
    crop_key = "crop_size" if value.get("do_center_crop", False) and "crop_size" in value else "size"
    size = value.get(crop_key)
    if isinstance(size, dict):
        edge = size.get("shortest_edge")
        size = [size.get("height", edge), size.get("width", edge)]
    elif size is not None:
        size = [size, size]
    ours: dict[str, Any] = {} if size is None else {"image_size": size}
    ours["scale"] = value.get("rescale_factor", 1 / 255) if value.get("do_rescale", True) else 1.0
    if value.get("do_normalize", "image_mean" in value):
        ours |= {"mean": value.get("image_mean"), "std": value.get("image_std")}
    if value.get("rescale_offset", False):
        # The image processor of EfficientNet subtracts 1 after the scaling, before the mean.
        ours["mean"] = [number + 1 for number in _per_channel(ours.get("mean", [0.0] * 3), "image_mean", source)]
    if value.get("do_flip_channel_order", False):
        ours["channel_order"] = "bgr"
    found = _from_ours(ours | {key: value[key] for key in ("output", "pooling") if key in value}, source)
    return found if found.outputs else OnnxPreprocessing(**{**vars(found), "outputs": _TRANSFORMERS_OUTPUTS})


def _image_size(value: Any, key: str, source: str) -> tuple[int, int]:
    if not isinstance(value, list) or len(value) != 2:
        raise _refused(key, value, source, _("[height, width] in pixels, such as [224, 224]"))
    for side in value:
        check_whole(_('"{key}" in {source!r},').format(key=key, source=source), side, 1, MAX_SIDE)
    return value[0], value[1]


def _per_channel(value: Any, key: str, source: str, *, is_positive: bool = False) -> _PER_CHANNEL:
    first, second, third = _numbers(value, key, source, num=3, is_positive=is_positive)
    return first, second, third


def _numbers(value: Any, key: str, source: str, *, num: int, is_positive: bool = False) -> list[float]:
    numbers = value if isinstance(value, list) else []
    is_fine = len(numbers) == num and all(type(number) in (int, float) for number in numbers)
    if not is_fine or not all(abs(number) <= _LARGEST_NUMBER and (number > 0 or not is_positive) for number in numbers):
        kind = _("a positive number")
        if num > 1 and is_positive:
            kind = _("three positive numbers, such as [0.5, 0.5, 0.5]")
        elif num > 1:
            kind = _("three numbers, such as [0.5, 0.5, 0.5]")
        raise _refused(key, value if num > 1 else value[0], source, kind)
    return [float(number) for number in numbers]


def _refused(key: str, value: Any, source: str, wanted: str) -> ConfigError:
    return ConfigError(
        _('"{key}" in {source!r} is {value!r}. Give {wanted}.').format(
            key=key, source=source, value=value, wanted=wanted
        )
    )
