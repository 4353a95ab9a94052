"""The model folder on disk: `bundle.json` and `model.onnx`, all that a prediction needs, loaded without running code.

`bundle.json` holds the checksum of `model.onnx` and one of its own content, so a changed value in either file is found.
Its line ends and indents may be others: editors and version control change them. Running the model is
`predict/model.py`'s.
"""

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tellapart.backbones.onnx_wire import has_external_data
from tellapart.errors import BundleError, OutputError
from tellapart.images.preprocess import PreprocessSpec
from tellapart.records import LayerRecord, SelectivePoint
from tellapart.store import read_files, sha256_hex, to_json_bytes, write_files

BUNDLE_FILE = "bundle.json"
MODEL_FILE = "model.onnx"
RUN_FILE = "run.json"  # what an unfinished run already has

_KIND = "tellapart bundle"
_SCHEMA = 3  # 2 saw photos as decoder 2 does; 1 had neither `selective` nor `usual_distances`
_WHAT_TO_DO = "Copy the folder again or train again"


@dataclass(frozen=True)
class Bundle:
    """A trained model and what is needed to use it.

    Attributes:
        class_names: distinct and at least two; `class_names[i]` belongs to column `i` of the model's output.
        preprocess: what a photo is turned into before the model.
        layers: the network as `tellapart summary` shows it.
        model: ONNX bytes; one input `image`, uint8 `(batch, height, width, channels)`; one output `probabilities`,
            float32 `(batch, num_classes)`; and maybe a second, `activation_map`, float32
            `(batch, num_classes, h, w)`, of which the logits are the mean over the places; and maybe `distance`,
            float32 `(batch,)`, how unlike the photos of the training a photo is.
        versions: package name to version, of the installation that trained it.
        recipe: name of the recipe it was trained with.
        temperature: what the logits behind the model's output are still to be divided by; 1 leaves them alone.
        selective: how the model did on the photos it was surest about, of those it had not seen; the lowest threshold
            first. Empty where that is unknown.
        usual_distances: quantiles of the output `distance` over photos like those of the training, evenly spaced from
            the least to the largest; empty where the model has no such output.
    """

    class_names: tuple[str, ...]
    preprocess: PreprocessSpec
    layers: tuple[LayerRecord, ...]
    model: bytes
    versions: dict[str, str]
    recipe: str
    temperature: float = 1.0
    selective: tuple[SelectivePoint, ...] = ()
    usual_distances: tuple[float, ...] = ()


def write_bundle(model_dir: Path, bundle: Bundle) -> None:
    """The folder, made if need be, holds the bundle; a crash leaves the earlier bundle or this one.

    Raises:
        BundleError: the bundle is not one that could be read back.
        OutputError: the folder cannot be written to.
    """
    described: dict[str, Any] = {
        "schema": _SCHEMA,
        "kind": _KIND,
        "class_names": list(bundle.class_names),
        "preprocess": bundle.preprocess.to_json(),
        "temperature": float(bundle.temperature),
        "selective": [asdict(point) for point in bundle.selective],
        "usual_distances": list(bundle.usual_distances),
        "recipe": bundle.recipe,
        "layers": [asdict(layer) for layer in bundle.layers],
        "versions": dict(bundle.versions),
        "model": {"file": MODEL_FILE, "sha256": sha256_hex(bundle.model), "size_bytes": len(bundle.model)},
    }
    described = json.loads(to_json_bytes(described))
    _parse(model_dir, described, bundle.model)
    described["sha256"] = _own_checksum(described)
    try:
        model_dir.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise OutputError(
            f"cannot make the folder {str(model_dir)!r}: {exc.strerror}. Give another folder as `out`.", path=model_dir
        ) from exc
    write_files(model_dir, {MODEL_FILE: bundle.model, BUNDLE_FILE: to_json_bytes(described)}, last=BUNDLE_FILE)


def read_bundle(model_dir: Path) -> Bundle:
    """The bundle in the folder, checked against its checksums; nothing is written.

    Raises:
        BundleError: there is none, or it is damaged, foreign, or made by a newer tellapart.
    """
    files = _read_both(model_dir)
    described = _load_json(model_dir, files[BUNDLE_FILE])
    _check_schema(model_dir, described)
    rest = {key: value for key, value in described.items() if key != "sha256"}
    if described.get("sha256") != _own_checksum(rest):
        raise _damaged(model_dir / BUNDLE_FILE, "its content does not match its checksum")
    return _parse(model_dir, described, files[MODEL_FILE])


def _read_both(model_dir: Path) -> dict[str, bytes]:
    if not model_dir.is_dir():
        found = "is a file" if model_dir.exists() else "does not exist"
        raise BundleError(
            f"{str(model_dir)!r} {found}. Give a folder made by `tellapart train`, or train a model first.",
            path=model_dir,
        )
    try:
        return read_files(model_dir, [MODEL_FILE], last=BUNDLE_FILE)
    except FileNotFoundError as exc:
        raise _missing(model_dir, Path(exc.filename or MODEL_FILE).name) from exc
    except OSError as exc:
        raise BundleError(
            f"cannot read the model folder {str(model_dir)!r}: {exc.strerror}. {BUNDLE_FILE} and {MODEL_FILE} "
            "must be readable files. Check their permissions, or copy the folder again.",
            path=model_dir,
        ) from exc


def _missing(model_dir: Path, name: str) -> BundleError:
    has_other = any((model_dir / other).exists() for other in (BUNDLE_FILE, MODEL_FILE))
    if not has_other and (model_dir / RUN_FILE).exists():
        return BundleError(
            f"the training in {str(model_dir)!r} has not finished: it has {RUN_FILE} but no {BUNDLE_FILE} yet. "
            "Continue it with `resume=True`, the same photos and the same folder.",
            path=model_dir,
        )
    if not has_other:
        return BundleError(
            f"{str(model_dir)!r} is not a model folder: it has no {BUNDLE_FILE}. Give a folder made by `tellapart "
            "train`, or train a model first.",
            path=model_dir,
        )
    return BundleError(
        f"the model folder {str(model_dir)!r} has no {name}. It needs both {BUNDLE_FILE} and {MODEL_FILE}. "
        f"{_WHAT_TO_DO}.",
        path=model_dir,
    )


def _load_json(model_dir: Path, data: bytes) -> dict[str, Any]:
    try:
        described = json.loads(data.decode("utf-8-sig"))  # some editors put a mark before the text
    except (ValueError, RecursionError) as exc:
        raise _damaged(model_dir / BUNDLE_FILE, "it is cut short or not JSON") from exc
    if not isinstance(described, dict):
        raise _damaged(model_dir / BUNDLE_FILE, f"it holds a {type(described).__name__} and not an object")
    return described


def _check_schema(model_dir: Path, described: dict[str, Any]) -> None:
    kind, schema = described.get("kind"), described.get("schema")
    if kind != _KIND or type(schema) is not int or schema < 1:
        raise BundleError(
            f"{str(model_dir / BUNDLE_FILE)!r} was not made by tellapart: kind {_short(kind)}, schema "
            f"{_short(schema)}, not {_KIND!r}, schema 1 to {_SCHEMA}. Give a folder made by `tellapart train`.",
            path=model_dir / BUNDLE_FILE,
        )
    if schema > _SCHEMA:
        raise BundleError(
            f"{str(model_dir)!r} was made by a newer tellapart: schema {_short(schema)}, and this one reads up to "
            f"{_SCHEMA}. Update with `pip install --upgrade tellapart`.",
            path=model_dir,
        )


def _own_checksum(rest: dict[str, Any]) -> str:
    """SHA-256 over the canonical JSON: keys sorted, no spaces, ASCII only."""
    try:
        return sha256_hex(json.dumps(rest, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii"))
    except ValueError:
        return "none: a number is not finite"


def _parse(model_dir: Path, described: dict[str, Any], model: bytes) -> Bundle:
    """The bundle that `described` and `model` make, both checked against each other.

    Raises:
        BundleError: a part is missing, or is not what it has to be.
    """
    try:
        stated = described["model"]
        bundle = Bundle(
            class_names=_checked_names(described["class_names"]),
            preprocess=PreprocessSpec.from_json(described["preprocess"]),
            layers=tuple(_checked_layer(layer) for layer in described["layers"]),
            model=model,
            versions={_text(name): _text(version) for name, version in described["versions"].items()},
            recipe=_text(described["recipe"]),
            temperature=_checked_temperature(described["temperature"]),
            selective=tuple(_checked_point(point) for point in described.get("selective", ())),
            usual_distances=tuple(_checked_distance(number) for number in described.get("usual_distances", ())),
        )
        if stated["file"] != MODEL_FILE:
            raise ValueError(f"model file {_short(stated['file'])}, not {MODEL_FILE!r}")
        is_same = (stated["size_bytes"], stated["sha256"]) == (len(model), sha256_hex(model))
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        reason = f"{exc} is missing" if isinstance(exc, KeyError) else " ".join(str(exc).split())
        raise _damaged(model_dir / BUNDLE_FILE, reason) from exc
    if not is_same:
        raise _damaged(model_dir / MODEL_FILE, f"its bytes do not match the checksum in {BUNDLE_FILE}")
    _check_model(model_dir, model)
    return bundle


def _check_model(model_dir: Path, model: bytes) -> None:
    try:
        is_external = has_external_data(model)
    except ValueError as exc:
        raise _damaged(model_dir / MODEL_FILE, f"it is not ONNX: {exc}") from exc
    if is_external:
        raise BundleError(
            f"{str(model_dir / MODEL_FILE)!r} keeps its weights in other files, which is refused. Give one ONNX "
            "file with everything in it, or train again.",
            path=model_dir / MODEL_FILE,
        )


def _checked_names(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(name, str) and name for name in value):
        raise ValueError(f"class names {_short(value)}, not a list of words")
    if len(value) < 2 or len(set(value)) != len(value):
        raise ValueError(f"class names {_short(value)}, not at least two, each different")
    return tuple(value)


def _checked_layer(value: dict[str, Any]) -> LayerRecord:
    shape = tuple(_count(side) for side in value["output_shape"])
    return LayerRecord(_text(value["name"]), _text(value["kind"]), shape, _count(value["num_parameters"]))


def _checked_temperature(value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value) or value <= 0:
        raise ValueError(f"temperature {_short(value)}, not a number above 0")
    return float(value)


def _checked_point(value: dict[str, Any]) -> SelectivePoint:
    point = SelectivePoint(float(value["threshold"]), _count(value["num_answered"]), _count(value["num_wrong"]))
    if not (0 <= point.threshold <= 1 and point.num_wrong <= point.num_answered):
        raise ValueError(f"{_short(value)}, not a threshold from 0 to 1 and no more wrong than answered")
    return point


def _checked_distance(value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise ValueError(f"distance {_short(value)}, not a finite number")
    return float(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{_short(value)} where a word belongs")
    return value


def _count(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"{_short(value)} where a whole number belongs")
    return value


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:117]}..."


def _damaged(path: Path, reason: str) -> BundleError:
    return BundleError(f"{str(path)!r} is damaged: {reason}. {_WHAT_TO_DO}.", path=path)
