"""Everything a run needs to go on after a kill: weights, optimizer, random state and history, verified when read back.

A checkpoint is one `.npz` file of plain arrays. `manifest.json` beside it names the newest and the one before with
their checksums, and is written last; a kill at any moment leaves a manifest whose files are whole.
"""

import io
import json
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tellapart.errors import BundleError
from tellapart.networks.backend import keras
from tellapart.records import EpochRecord
from tellapart.store import sha256_hex, to_json_bytes, write_file
from tellapart.translation import gettext as _
from tellapart.untrusted import number_of, read_json, read_regular, reason_of, whole_of

_MANIFEST_NAME = "manifest.json"
_NUM_KEPT = 2
# Weights and two moments of each: 300 million parameters.
_MAX_CHECKPOINT_BYTES = 4 * 1024**3
# What reading a file with arrays of another kind raises.
_DAMAGE = (
    AttributeError,
    EOFError,
    KeyError,
    NotImplementedError,
    RecursionError,
    TypeError,
    ValueError,
    zipfile.BadZipFile,
)


@dataclass(frozen=True)
class TrainingState:
    """A model in training, between two epochs.

    Attributes:
        history: the epochs so far, from 1.
        variables: weights and the random state of dropout, in the model's order.
        optimizer_variables: iterations, learning rate and moments, in the optimizer's order.
    """

    history: tuple[EpochRecord, ...]
    variables: tuple[NDArray[Any], ...]
    optimizer_variables: tuple[NDArray[Any], ...]


def capture_state(model: keras.Model, history: tuple[EpochRecord, ...]) -> TrainingState:
    """A copy of the state of a compiled model."""
    return TrainingState(history, _values(_state_variables(model)), _values(model.optimizer.variables))


def restore_state(model: keras.Model, state: TrainingState) -> None:
    """Puts `state` into a compiled model of the same network and optimizer.

    Raises:
        BundleError: the state is that of another network.
    """
    pairs = (
        (_state_variables(model), state.variables),
        (model.optimizer.variables, state.optimizer_variables),
    )
    for variables, values in pairs:
        if [tuple(variable.shape) for variable in variables] != [value.shape for value in values]:
            raise BundleError(_("the checkpoint is of another network. Train again with another `out`."))
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)


def save_checkpoint(checkpoint_dir: Path, state: TrainingState, num_kept: int = _NUM_KEPT) -> None:
    """Writes `state` as the newest checkpoint, and deletes all but the newest ones.

    Args:
        checkpoint_dir: folder of one training; made when missing.
        state: with a longer history than the one before.
        num_kept: checkpoints that stay, with this one.

    Raises:
        OutputError: the disk is full or the folder cannot be written; the earlier checkpoints are untouched.
    """
    checkpoint_dir.mkdir(parents=True, exist_ok=True)
    data = _to_bytes(state)
    name = f"epoch-{len(state.history):06d}.npz"
    write_file(checkpoint_dir / name, data)
    earlier = [entry for entry in _read_manifest(checkpoint_dir) if entry["file"] != name]
    entries = [{"file": name, "sha256": sha256_hex(data)}, *earlier][:num_kept]
    write_file(checkpoint_dir / _MANIFEST_NAME, to_json_bytes(entries))
    kept = {entry["file"] for entry in entries}
    for path in checkpoint_dir.glob("epoch-*.npz"):
        if path.name not in kept:
            path.unlink(missing_ok=True)


def load_checkpoint(checkpoint_dir: Path) -> TrainingState | None:
    """The newest state that is whole, or `None` when the run was stopped before its first checkpoint.

    Raises:
        BundleError: there are checkpoints, and all of them are damaged.
    """
    entries = _read_manifest(checkpoint_dir)
    for entry in entries:
        try:
            data = read_regular(checkpoint_dir / entry["file"], _MAX_CHECKPOINT_BYTES)
        except OSError:
            continue
        if sha256_hex(data) == entry["sha256"]:
            try:
                return _from_bytes(data)
            except (*_DAMAGE, MemoryError) as exc:
                raise BundleError(
                    _(
                        "the checkpoint {file!r} in {checkpoint_dir!r} is damaged: {reason}. "
                        "Train again with another `out`."
                    ).format(file=entry["file"], checkpoint_dir=str(checkpoint_dir), reason=reason_of(exc)),
                    path=checkpoint_dir,
                ) from exc
    if entries or any(checkpoint_dir.glob("epoch-*.npz")):
        raise BundleError(
            _(
                "the checkpoints in {checkpoint_dir!r} are damaged: none has its checksum. Train "
                "again with another `out`."
            ).format(checkpoint_dir=str(checkpoint_dir))
        )
    return None


def _read_manifest(checkpoint_dir: Path) -> list[dict[str, str]]:
    """The entries of the manifest, newest first; none when it is missing or not readable."""
    try:
        entries = read_json(checkpoint_dir / _MANIFEST_NAME)
        return [{"file": Path(entry["file"]).name, "sha256": str(entry["sha256"])} for entry in entries]
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return []


def _state_variables(model: keras.Model) -> list[keras.Variable]:
    """Weights and random state; metrics are left out, as they start anew with each epoch."""
    metrics = {id(variable) for metric in model.metrics for variable in metric.variables}
    optimizer = {id(variable) for variable in model.optimizer.variables}
    return [variable for variable in model.variables if id(variable) not in metrics | optimizer]


def _values(variables: list[keras.Variable]) -> tuple[NDArray[Any], ...]:
    return tuple(np.array(keras.ops.convert_to_numpy(variable.value)) for variable in variables)


def _to_bytes(state: TrainingState) -> bytes:
    arrays = {f"variable_{number:04d}": value for number, value in enumerate(state.variables)}
    arrays |= {f"optimizer_{number:04d}": value for number, value in enumerate(state.optimizer_variables)}
    history = json.dumps([asdict(record) for record in state.history]).encode()
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, history=np.frombuffer(history, np.uint8), **arrays)
    return buffer.getvalue()


def _from_bytes(data: bytes) -> TrainingState:
    """The state that `_to_bytes` wrote; one of `_DAMAGE` where it did not."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        # Ours are not compressed, so that no member is larger than the file.
        if any(member.file_size > member.compress_size for member in archive.infolist()):
            raise ValueError(_("an array in it is compressed"))
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        names = sorted(arrays.files)
        variables, optimizer_variables = (
            tuple(_checked_array(arrays[name]) for name in names if name.startswith(prefix))
            for prefix in ("variable_", "optimizer_")
        )
        history = json.loads(arrays["history"].tobytes())
    return TrainingState(tuple(_checked_record(record) for record in history), variables, optimizer_variables)


def _checked_array(array: NDArray[Any]) -> NDArray[Any]:
    if array.dtype.kind not in "fiub":
        raise ValueError(_("an array of {dtype} where numbers belong").format(dtype=array.dtype))
    return array


def _checked_record(record: dict[str, Any]) -> EpochRecord:
    """The record of an epoch; losses are not finite after a training that diverged."""
    for name, value in record.items():
        if name.endswith("_loss") and isinstance(value, float):
            continue
        if value is not None or not name.startswith("validation_"):
            number_of(value)
    whole_of(record["epoch"], 1)
    return EpochRecord(**record)
