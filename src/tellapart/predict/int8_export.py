"""The export of a run to `onnx-int8`, to answer by: only if its proof passed on this machine, and it is faster.

What the export says of itself is checked first: that it is whole, that it was made from this model, and that it was
proved by this processor and this ONNX Runtime. Thresholds, the dial and the distances of usual photos stay the run's.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tellapart.backbones.onnx_session import describe_processor, describe_runtime
from tellapart.errors import ConfigError
from tellapart.predict.bundle import EXPORT_FILE, EXPORTS_DIR, MODEL_FILE, Bundle, digest_bundle, read_bundle
from tellapart.store import sha256_hex
from tellapart.translation import gettext as _
from tellapart.untrusted import MAX_ONNX_BYTES, number_of, read_json, read_regular, text_of

TARGET_NAME = "onnx-int8"
_FASTEST = 1000.0


@dataclass(frozen=True)
class _Claim:
    """What `export.json` says.

    Attributes:
        bundle: SHA-256 of the model that was exported.
        model: that of the export.
        runtime, processor: what proved it.
        has_passed: whether it passed all gates.
        speed_ratio: how many times as fast as float32 it was.
    """

    bundle: str
    model: str
    runtime: str
    processor: str
    has_passed: bool
    speed_ratio: float


def read_int8_export(run_dir: Path) -> Bundle:
    """The bundle of a run, with the network of its int8 export.

    Raises:
        BundleError: the folder holds no model that can be used.
        ConfigError: there is no int8 export, or it is not one that answers for this model on this machine, faster.
    """
    bundle = read_bundle(run_dir)
    folder = run_dir / EXPORTS_DIR / TARGET_NAME
    try:
        claim = _read_claim(read_json(folder / EXPORT_FILE))
        model = read_regular(folder / MODEL_FILE, MAX_ONNX_BYTES)
    except FileNotFoundError as exc:
        raise _refused(_("{run!r} has no int8 export."), run_dir) from exc
    except (AttributeError, KeyError, OSError, TypeError, ValueError) as exc:
        raise _refused(_("the int8 export of {run!r} cannot be read."), run_dir) from exc
    if sha256_hex(model) != claim.model:
        raise _refused(_("the int8 export of {run!r} is damaged."), run_dir)
    if digest_bundle(run_dir) != claim.bundle:
        raise _refused(_("the int8 export of {run!r} was made from an earlier model."), run_dir)
    if (claim.runtime, claim.processor) != (describe_runtime(), describe_processor()):
        raise _refused(_("the int8 export of {run!r} was not proved on this machine."), run_dir)
    _check_worth(claim, run_dir)
    # The temperature is inside the export.
    return replace(bundle, model=model, temperature=1.0)


def _read_claim(told: Any) -> _Claim:
    """The parts of `export.json` that count.

    Raises:
        AttributeError, KeyError, TypeError, ValueError: it is none of ours.
    """
    proof = told["proof"]
    return _Claim(
        bundle=text_of(told["bundle"]["sha256"]),
        model=text_of(told["files"][MODEL_FILE]["sha256"]),
        runtime=text_of(proof["runtime"]),
        # Earlier exports have neither of these.
        processor=text_of(proof.get("processor", "")),
        has_passed=proof["failures"] == [],
        speed_ratio=number_of(proof.get("speed_ratio", 0), 0, _FASTEST),
    )


def _check_worth(claim: _Claim, run_dir: Path) -> None:
    """Nothing, if the export answers as it should, and faster.

    Raises:
        ConfigError: it does not.
    """
    found = None
    if not claim.has_passed:
        found = _("the int8 export of {run!r} answers differently, as its proof says.")
    elif claim.speed_ratio <= 1:
        found = _("int8 is not faster on this machine: its proof measured {ratio:.2f} times the speed of float32.")
    if found is not None:
        raise ConfigError(
            _("{found} Leave `runtime` out.").format(found=found.format(run=str(run_dir), ratio=claim.speed_ratio)),
            field="runtime",
            value="int8",
        )


def _refused(found: str, run_dir: Path) -> ConfigError:
    """The error for an export that has to be made again."""
    return ConfigError(
        _("{found} Export {run} to onnx-int8 first.").format(found=found.format(run=str(run_dir)), run=run_dir),
        field="runtime",
        value="int8",
    )
