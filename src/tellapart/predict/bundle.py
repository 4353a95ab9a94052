"""The model folder on disk: `bundle.json` and `model.onnx`, all that a prediction needs, loaded without running code.

`bundle.json` holds the checksum of `model.onnx` and one of its own content, so a changed value in either file is found.
Its line ends and indents may be others: editors and version control change them. Running the model is
`predict/model.py`'s.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tellapart.backbones.onnx_limits import OnnxRefusedError, check_onnx
from tellapart.errors import BundleError, OutputError
from tellapart.file_set import read_files, write_files
from tellapart.images.preprocess import PreprocessSpec
from tellapart.measure.scores import OperatingCurve, SelectivePoint
from tellapart.predict.bundle_parts import (
    curve_to_json,
    read_curve,
    read_dial,
    read_distances,
    read_layer,
    read_names,
    read_points,
)
from tellapart.records import Dial, LayerRecord
from tellapart.store import sha256_hex, to_json_bytes
from tellapart.translation import gettext as _
from tellapart.translation import gettext_noop
from tellapart.untrusted import (
    MAX_JSON_BYTES,
    MAX_ONNX_BYTES,
    number_of,
    parse_json,
    reason_of,
    short_repr,
    text_of,
)

BUNDLE_FILE = "bundle.json"
MODEL_FILE = "model.onnx"
RUN_FILE = "run.json"  # what an unfinished run already has
EXPORT_FILE, EXPORTS_DIR = "export.json", "exports"  # what is in each export, and the folder of all of them

_KIND = "tellapart bundle"
_SCHEMA = 3  # 2 saw photos as decoder 2 does; 1 had neither `selective` nor `usual_distances`
_SCHEMA_WITH_DIAL = 4  # 3 would answer as if there were no dial, so it must not read one
_MAX_BYTES = {MODEL_FILE: MAX_ONNX_BYTES, BUNDLE_FILE: MAX_JSON_BYTES}
# Beyond these, dividing logits makes all probabilities the same, or 0 and 1.
_LOWEST_TEMPERATURE, _HIGHEST_TEMPERATURE = 1e-6, 1e6
_WHAT_TO_DO = gettext_noop("Copy the folder again or train again")


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
        operating: how each class was told from the rest at many thresholds; empty where that is unknown.
        dial: from which probability on a photo is called one of the classes; `None` takes the most probable one.
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
    operating: tuple[OperatingCurve, ...] = ()
    dial: Dial | None = None


def write_bundle(model_dir: Path, bundle: Bundle) -> None:
    """The folder, made if need be, holds the bundle; a crash leaves the earlier bundle or this one.

    Raises:
        BundleError: the bundle is not one that could be read back.
        OutputError: the folder cannot be written to.
    """
    described: dict[str, Any] = {
        "schema": _SCHEMA if bundle.dial is None else _SCHEMA_WITH_DIAL,
        "kind": _KIND,
        "class_names": list(bundle.class_names),
        "preprocess": bundle.preprocess.to_json(),
        "temperature": float(bundle.temperature),
        "selective": [asdict(point) for point in bundle.selective],
        "usual_distances": list(bundle.usual_distances),
        "operating": [curve_to_json(curve) for curve in bundle.operating],
        **({} if bundle.dial is None else {"dial": asdict(bundle.dial)}),
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
            _("cannot make the folder {model_dir!r}: {strerror}. Give another folder as `out`.").format(
                model_dir=str(model_dir), strerror=exc.strerror
            ),
            path=model_dir,
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
        raise _damaged(model_dir / BUNDLE_FILE, _("its content does not match its checksum"))
    return _parse(model_dir, described, files[MODEL_FILE])


def digest_bundle(model_dir: Path) -> str:
    """SHA-256 of the two files of the model in the folder, as they are.

    Raises:
        OSError: one cannot be read.
    """
    return sha256_hex(b"".join((model_dir / name).read_bytes() for name in (BUNDLE_FILE, MODEL_FILE)))


def _read_both(model_dir: Path) -> dict[str, bytes]:
    if not model_dir.is_dir():
        message = (
            _("{model_dir!r} is a file. Give a folder made by `tellapart train`, or train a model first.")
            if model_dir.exists()
            else _("{model_dir!r} does not exist. Give a folder made by `tellapart train`, or train a model first.")
        )
        raise BundleError(
            message.format(model_dir=str(model_dir)),
            path=model_dir,
        )
    try:
        return read_files(model_dir, _MAX_BYTES, last=BUNDLE_FILE)
    except FileNotFoundError as exc:
        raise _missing(model_dir, Path(exc.filename or MODEL_FILE).name) from exc
    except OSError as exc:
        raise BundleError(
            _(
                "cannot read the model folder {model_dir!r}: {strerror}. {bundle_file} and {model_file} "
                "must be readable files. Check their permissions, or copy the folder again."
            ).format(model_dir=str(model_dir), strerror=exc.strerror, bundle_file=BUNDLE_FILE, model_file=MODEL_FILE),
            path=model_dir,
        ) from exc


def _missing(model_dir: Path, name: str) -> BundleError:
    has_other = any((model_dir / other).exists() for other in (BUNDLE_FILE, MODEL_FILE))
    if not has_other and (model_dir / RUN_FILE).exists():
        return BundleError(
            _(
                "the training in {model_dir!r} has not finished: it has {run_file} but no {bundle_file} "
                "yet. Continue it with `resume=True`, the same photos and the same folder."
            ).format(model_dir=str(model_dir), run_file=RUN_FILE, bundle_file=BUNDLE_FILE),
            path=model_dir,
        )
    if not has_other:
        return BundleError(
            _(
                "{model_dir!r} is not a model folder: it has no {bundle_file}. Give a folder made by "
                "`tellapart train`, or train a model first."
            ).format(model_dir=str(model_dir), bundle_file=BUNDLE_FILE),
            path=model_dir,
        )
    return BundleError(
        _(
            "the model folder {model_dir!r} has no {name}. It needs both {bundle_file} and {model_file}. {what_to_do}."
        ).format(
            model_dir=str(model_dir),
            name=name,
            bundle_file=BUNDLE_FILE,
            model_file=MODEL_FILE,
            what_to_do=_(_WHAT_TO_DO),
        ),
        path=model_dir,
    )


def _load_json(model_dir: Path, data: bytes) -> dict[str, Any]:
    try:
        described = parse_json(data)
    except json.JSONDecodeError as exc:
        raise _damaged(model_dir / BUNDLE_FILE, _("it is cut short or not JSON")) from exc
    except ValueError as exc:
        raise _damaged(model_dir / BUNDLE_FILE, reason_of(exc)) from exc
    if not isinstance(described, dict):
        raise _damaged(
            model_dir / BUNDLE_FILE, _("it holds a {type} and not an object").format(type=type(described).__name__)
        )
    return described


def _check_schema(model_dir: Path, described: dict[str, Any]) -> None:
    kind, schema = described.get("kind"), described.get("schema")
    if kind != _KIND or type(schema) is not int or schema < 1:
        raise BundleError(
            _(
                "{path!r} was not made by tellapart: kind {kind}, schema {schema}, and not {wanted!r}, schema 1 to "
                "{newest}. Give a folder made by `tellapart train`."
            ).format(
                path=str(model_dir / BUNDLE_FILE),
                kind=short_repr(kind),
                schema=short_repr(schema),
                wanted=_KIND,
                newest=_SCHEMA_WITH_DIAL,
            ),
            path=model_dir / BUNDLE_FILE,
        )
    if schema > _SCHEMA_WITH_DIAL:
        raise BundleError(
            _(
                "{model_dir!r} was made by a newer tellapart: schema {schema}, and this one reads up to "
                "{newest}. Update with `pip install --upgrade tellapart`."
            ).format(model_dir=str(model_dir), schema=short_repr(schema), newest=_SCHEMA_WITH_DIAL),
            path=model_dir,
        )


def _own_checksum(rest: dict[str, Any]) -> str:
    """SHA-256 over the canonical JSON: keys sorted, no spaces, ASCII only."""
    return sha256_hex(json.dumps(rest, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii"))


def _parse(model_dir: Path, described: dict[str, Any], model: bytes) -> Bundle:
    """The bundle that `described` and `model` make, both checked against each other.

    Raises:
        BundleError: a part is missing, or is not what it has to be.
    """
    try:
        stated = described["model"]
        class_names = read_names(described["class_names"])
        bundle = Bundle(
            class_names=class_names,
            preprocess=PreprocessSpec.from_json(described["preprocess"]),
            layers=tuple(read_layer(layer) for layer in described["layers"]),
            model=model,
            versions={text_of(name): text_of(version) for name, version in described["versions"].items()},
            recipe=text_of(described["recipe"]),
            temperature=number_of(described["temperature"], _LOWEST_TEMPERATURE, _HIGHEST_TEMPERATURE),
            selective=read_points(described.get("selective", [])),
            usual_distances=read_distances(described.get("usual_distances", [])),
            operating=tuple(read_curve(curve, class_names) for curve in described.get("operating", [])),
            dial=read_dial(described.get("dial"), class_names),
        )
        if stated["file"] != MODEL_FILE:
            raise ValueError(
                _("model file {found}, not {wanted!r}").format(found=short_repr(stated["file"]), wanted=MODEL_FILE)
            )
        is_same = (stated["size_bytes"], stated["sha256"]) == (len(model), sha256_hex(model))
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise _damaged(model_dir / BUNDLE_FILE, reason_of(exc)) from exc
    if not is_same:
        raise _damaged(
            model_dir / MODEL_FILE,
            _("its bytes do not match the checksum in {bundle_file}").format(bundle_file=BUNDLE_FILE),
        )
    _check_model(model_dir, model)
    return bundle


def _check_model(model_dir: Path, model: bytes) -> None:
    path = model_dir / MODEL_FILE
    try:
        check_onnx(model)
    except OnnxRefusedError as exc:
        raise BundleError(
            _("{path!r} is not run: {reason}. Give a model that tellapart made, or train again.").format(
                path=str(path), reason=exc
            ),
            path=path,
        ) from exc
    except ValueError as exc:
        raise _damaged(path, _("it is not ONNX: {reason}").format(reason=reason_of(exc))) from exc


def _damaged(path: Path, reason: str) -> BundleError:
    return BundleError(
        _("{path!r} is damaged: {reason}. {what_to_do}.").format(
            path=str(path), reason=reason, what_to_do=_(_WHAT_TO_DO)
        ),
        path=path,
    )
