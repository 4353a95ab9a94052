"""The run folder: who writes into it, and what `run.json` says of it; its tables are `run_tables.py`'s."""

import dataclasses
import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tellapart.config import (
    LABEL_SETTINGS,
    AugmentConfig,
    ClassicConfig,
    DialConfig,
    FinetuneConfig,
    RecipeConfig,
    ScratchConfig,
    SourceConfig,
    TransferConfig,
)
from tellapart.errors import BundleError, ConfigError, DatasetError, OutputError
from tellapart.photos.names import name_some
from tellapart.photos.photoset import PhotoSet
from tellapart.runs.outputs import claim_dir, lock_name_of
from tellapart.store import output_error, to_json_bytes, write_file
from tellapart.translation import gettext as _
from tellapart.untrusted import number_of, read_json, reason_of, short_repr, text_of, whole_of

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

RUN_FILE_NAME = "run.json"
CHECKPOINT_DIR_NAME = "checkpoints"
_SCHEMA = 1
# Between the opening of a lock and its closing by another training, at most so often.
_MOST_TRIES = 100
_LOCK_NOT_SUPPORTED = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)


@dataclass(frozen=True)
class RunFile:
    """What `run.json` says of a run: enough to continue it.

    Attributes:
        source: where the photos are: an absolute path, or several.
        config: the settings, with the number of epochs last asked for.
        per_class: photos taken of each class, or `None`.
        photos_key: names the content of the photos; another key means that they have changed.
        state: `training`, `stopped` by the user, or `finished`.
        views: computing a photo that a training by the clock was planned for; `None` for any other.
        labels: the settings that say where labels are, such as `label_pattern`; empty where that was found out.
        dial: the settings of the dial that was asked for.
    """

    source: str | tuple[str, ...]
    config: RecipeConfig
    per_class: int | None
    photos_key: str
    state: str
    views: float | None = None
    labels: dict[str, Any] = field(default_factory=dict)
    dial: DialConfig = DialConfig()


def run_file_of(photos: PhotoSet, source: SourceConfig, config: RecipeConfig, photos_key: str) -> RunFile:
    """What `run.json` says of a training on these photos that begins.

    Raises:
        OutputError: the working folder, which relative paths start from, was deleted.
    """
    places = tuple(_absolute(place) for place in photos.sources or (photos.source,))
    setting = source.label_setting
    labels = {} if setting is None else {setting: getattr(source, setting)}
    if source.labels_csv is not None:
        labels["labels_csv"] = _absolute(source.labels_csv)
    where = places if len(places) > 1 else places[0]
    return RunFile(where, config, source.per_class, photos_key, "training", labels=labels)


def _absolute(path: str) -> str:
    try:
        return path if "://" in path else os.path.abspath(path)  # a list of photos may lie in a bucket
    except FileNotFoundError as exc:
        raise OutputError(_("the working folder was deleted. Change to a folder that exists."), path=path) from exc


def remembered_photos(run_dir: Path, run_file: RunFile, setting: str = "photos") -> list[str | Path]:
    """Where the photos of a run were when it was trained; `setting` is what says where they are now.

    Raises:
        DatasetError: they are no longer there.
    """
    places = [run_file.source] if isinstance(run_file.source, str) else list(run_file.source)
    missing = [place for place in places if not os.path.exists(place)]
    if missing:
        raise DatasetError(
            _("the photos of {folder!r} are no longer at {places}. Say where they are now with `{setting}`.").format(
                folder=str(run_dir), places=name_some(missing), setting=setting
            ),
            paths=missing,
        )
    return [*places]


@contextmanager
def claimed(run_dir: Path, marker: str = RUN_FILE_NAME) -> Iterator[None]:
    """The folder, made where it is missing, belongs to this training alone until the block ends.

    The lock in it goes with the process, so that a killed training blocks no other. A folder that was made here and is
    empty in the end is taken away again.

    Args:
        run_dir: the folder.
        marker: the file that makes a folder with something in it one of ours.

    Raises:
        OutputError: the folder holds something that is not ours, another training writes into it, or it cannot be made.
    """
    missing = [folder for folder in (run_dir, *run_dir.parents) if not folder.exists()]
    lock = _lock_folder(run_dir, marker)
    try:
        yield
    finally:
        path = run_dir / lock_name_of(marker)
        with suppress(OSError):  # Windows removes no file that is open
            path.unlink(missing_ok=True)
        os.close(lock)
        with suppress(OSError):
            if sys.platform == "win32":
                path.unlink(missing_ok=True)
            for folder in missing:
                folder.rmdir()  # refused where something is in it


def _lock_folder(run_dir: Path, marker: str) -> int:
    """The open lock file of the folder, which no other training has."""
    path = run_dir / lock_name_of(marker)
    for _try in range(_MOST_TRIES):
        claim_dir(run_dir, marker)
        try:
            descriptor, is_ours = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666), True
        except FileExistsError:
            try:
                descriptor, is_ours = os.open(path, os.O_RDWR), False
            except FileNotFoundError:
                continue  # the other training has just ended
        except FileNotFoundError:
            continue  # the other training could not start, and has taken the folder away
        except OSError as exc:
            raise output_error(path, exc) from exc
        if not take_lock(descriptor, is_ours):
            holder = os.read(descriptor, 100).decode(errors="replace").strip() or _("process unknown")
            os.close(descriptor)
            raise OutputError(
                _(
                    "another training writes into {folder!r} ({holder}). Wait for it to end, or give another `out`. If"
                    " no training is running, delete {lock!r}."
                ).format(folder=str(run_dir), holder=holder, lock=str(path)),
                path=run_dir,
            )
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                os.ftruncate(descriptor, 0)
                os.write(descriptor, f"process {os.getpid()}\n".encode())
                return descriptor
        os.close(descriptor)  # the other training has removed this file between our opening and locking it
    said = _("other trainings keep starting in {folder!r}. Give another `out`.")
    raise OutputError(said.format(folder=str(run_dir)), path=run_dir)


def take_lock(descriptor: int, is_ours: bool) -> bool:
    """Whether this process now holds the lock; on a disk without locks, whether it has made the file."""
    try:
        if sys.platform == "win32":
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        return is_ours and exc.errno in _LOCK_NOT_SUPPORTED
    return True


def begin_run(run_dir: Path, run_file: RunFile, resumed: RunFile | None) -> None:
    """Writes `run.json`: the folder is that of a training under way on these photos.

    Raises:
        DatasetError: the run to resume was trained on other photos.
        OutputError: the file cannot be written.
    """
    if resumed is not None and resumed.photos_key != run_file.photos_key:
        named = [run_file.source] if isinstance(run_file.source, str) else list(run_file.source)
        shown = ", ".join(named)
        raise DatasetError(
            _(
                "the photos of {source!r} are not those that {folder!r} was trained on. `resume` needs the same photos."
                " Train again with another `out`."
            ).format(source=shown, folder=str(run_dir)),
            paths=named,
        )
    write_run_file(run_dir, run_file)


def finish_run_file(run_dir: Path, run_file: RunFile, is_stopped: bool = False) -> None:
    """Writes to `run.json` that the training is over."""
    write_run_file(run_dir, dataclasses.replace(run_file, state="stopped" if is_stopped else "finished"))


def write_run_file(run_dir: Path, run: RunFile) -> None:
    """Writes `run.json`, which also marks the folder as ours."""
    write_file(run_dir / RUN_FILE_NAME, to_json_bytes({"kind": "tellapart run", "schema": _SCHEMA} | asdict(run)))


def read_run_file(run_dir: Path) -> RunFile:
    """What `run.json` says.

    Raises:
        BundleError: there is no run in the folder, or it is damaged or of another version.
    """
    path = run_dir / RUN_FILE_NAME
    try:
        value = read_json(path)
    except FileNotFoundError as exc:
        raise BundleError(
            _("{folder!r} holds no run (no {name}). Give a folder made by `tellapart train`.").format(
                folder=str(run_dir), name=RUN_FILE_NAME
            ),
            path=run_dir,
        ) from exc
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else reason_of(exc)
        raise BundleError(
            _("{path!r} cannot be read: {reason}. Train again into another folder.").format(
                path=str(path), reason=reason
            ),
            path=path,
        ) from exc
    try:
        if value["kind"] != "tellapart run" or value["schema"] != _SCHEMA:
            raise ValueError(f"kind {short_repr(value['kind'])}, schema {short_repr(value['schema'])}")
        source, per_class, views = value["source"], value["per_class"], value.get("views")
        labels = {name: value["labels"][name] for name in LABEL_SETTINGS if name in value.get("labels", {})}
        SourceConfig(**labels)  # refuses what is no setting
        dial = value.get("dial", {})
        return RunFile(
            source=source if isinstance(source, str) else tuple(text_of(each) for each in source),
            config=_config_from(value["config"]),
            per_class=None if per_class is None else whole_of(per_class, 2),
            photos_key=text_of(value["photos_key"]),
            state=text_of(value["state"]),
            views=None if views is None else number_of(views, 0),
            labels=labels,
            dial=DialConfig(dial.get("threshold"), dial.get("max_missed")),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as exc:
        raise BundleError(
            _("{path!r} is damaged or of another version ({reason}). Train again into another folder.").format(
                path=str(path), reason=reason_of(exc)
            ),
            path=path,
        ) from exc


def check_same_settings(stored: RecipeConfig, config: RecipeConfig) -> None:
    """Nothing, if a run with `stored` settings can go on with `config`: all but the epochs of `classic` are the same.

    Raises:
        ConfigError: some differ; it names them.
    """
    # The learning rate of `scratch` has fallen to nothing by its last epoch, so that more of them would do nothing.
    names = [field.name for field in dataclasses.fields(stored)]
    names = [name for name in names if name != "epochs" or stored.recipe == "scratch"]
    if stored.recipe != config.recipe:
        names = ["recipe"]
    differing = [
        _("`{name}` {value!r} (the run has {stored!r})").format(
            name=name, value=getattr(config, name), stored=getattr(stored, name)
        )
        for name in names
        if getattr(stored, name) != getattr(config, name)
    ]
    if differing:
        raise ConfigError(
            _(
                "`resume` uses the settings of the run, and these differ: {differing}. Leave them out, or train again"
                " with another `out`."
            ).format(differing=", ".join(differing[:5])),
            field="resume",
            value=True,
        )


def _config_from(value: dict[str, Any]) -> RecipeConfig:
    if value["recipe"] == "finetune":
        return FinetuneConfig(**value)
    if value["recipe"] == "transfer":
        return TransferConfig(**value)
    if value["recipe"] == "scratch":
        size = value["image_size"]
        return ScratchConfig(**value | {"image_size": None if size is None else tuple(size)})
    augment = value["augment"]
    return ClassicConfig(
        **value
        | {
            "image_size": tuple(value["image_size"]),
            "augment": None if augment is None else AugmentConfig(**augment),
        }
    )
