"""`export.json`: what an export is made from, what is in it, how its answers are read, and its proof."""

from pathlib import Path
from typing import Any

from tellapart.export.target import HEAT_MAPS, NONE_OF_THESE, Target
from tellapart.measure.selective import threshold_for
from tellapart.predict.bundle import digest_bundle
from tellapart.predict.model import Model
from tellapart.runs.run_tables import installed_versions
from tellapart.store import sha256_hex
from tellapart.translation import gettext as _

_KIND, _SCHEMA = "tellapart export", 1
# The shares that are written down for programs that have no rule of their own.
_RATES = (0.01, 0.02, 0.05, 0.1)


def describe_export(export_dir: Path, model: Model, target: Target) -> dict[str, Any]:
    """The content of `export.json` but for the proof.

    Args:
        export_dir: the finished export without that file.
        model: what it was made from.
        target: what it is.
    """
    paths = sorted(path for path in export_dir.rglob("*") if path.is_file())
    files = {path.relative_to(export_dir).as_posix(): path.read_bytes() for path in paths}
    return {
        "kind": _KIND,
        "schema": _SCHEMA,
        "target": target.name,
        "precision": target.precision,
        "versions": installed_versions(),
        "bundle": {"sha256": bundle_digest(model), "recipe": model.bundle.recipe},
        "files": {name: {"sha256": sha256_hex(data), "size_bytes": len(data)} for name, data in files.items()},
        "class_names": list(model.class_names),
        "preprocess": model.preprocess.to_json(),
        "answers": _describe_answers(model, target),
        "left_out": list(describe_left_out(model, target)),
    }


def bundle_digest(model: Model) -> str:
    """SHA-256 of the files of the model's folder, else of the model alone."""
    if model.path is None:
        return sha256_hex(model.bundle.model)
    return digest_bundle(model.path)


def describe_left_out(model: Model, target: Target) -> tuple[str, ...]:
    """What the model can do and the target cannot hold, a sentence each."""
    left_out = []
    if model.has_activation_maps and HEAT_MAPS not in target.holds:
        left_out.append(_("{target} has no heat maps. `tellapart predict` draws them.").format(target=target.name))
    if model.has_distances and NONE_OF_THESE not in target.holds:
        left_out.append(_("{target} cannot answer 'none of these'.").format(target=target.name))
    return tuple(left_out)


def _describe_answers(model: Model, target: Target) -> dict[str, Any]:
    """From which probability on an answer is sure, beyond which distance it is none, and the dial.

    A threshold is `None` where no share of wrong answers as small can be promised.
    """
    not_sure = {f"{rate:g}": threshold_for(model.selective, rate) for rate in _RATES if model.selective}
    usual = model.usual_distances if NONE_OF_THESE in target.holds else ()
    none_of_these = {f"{rate:g}": usual[-1 - int(rate * (len(usual) - 1))] for rate in _RATES if usual}
    dial = model.dial
    return {
        "not_sure": not_sure,
        "none_of_these": none_of_these,
        "dial": None if dial is None else {"class_name": dial.class_name, "threshold": dial.threshold},
    }
