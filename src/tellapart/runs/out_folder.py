"""Which folders the commands may write into: never among the photos, never over what is not theirs."""

from pathlib import Path

from tellapart.errors import OutputError
from tellapart.store import is_partial, output_error

# Held by a training while it writes into a folder; one that was killed leaves it there.
LOCK_NAME = "run.lock"


def claim_dir(path: Path, marker: str, flag: str = "--out") -> None:
    """The folder exists and may be written to: it is new, empty, or carries the file `marker` that our runs carry.

    Nothing in it is touched; the caller writes the marker. `flag` is what the user named the folder with.

    Raises:
        OutputError: it holds something else, or cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        names = [entry.name for entry in path.iterdir() if not is_partial(entry.name) and entry.name != LOCK_NAME]
    except FileExistsError as exc:
        raise OutputError(f"{str(path)!r} exists and is not a folder; pass another {flag}.") from exc
    except OSError as exc:
        raise output_error(path, exc) from exc
    if names and not (path / marker).is_file():
        raise OutputError(
            f"{str(path)!r} exists and is not a tellapart run: it holds {_some_names(names)} and no {marker!r}; "
            f"nothing was changed. An empty folder, a new one or an earlier run is accepted; pass another {flag}."
        )


def check_outside(out_dir: Path, source: Path, flag: str = "--out") -> None:
    """Nothing, if `out_dir` is not within the folder of photos `source`; a source that is no folder holds no other.

    Raises:
        OutputError: it is.
    """
    folder, target = source.resolve(), out_dir.resolve()
    if folder.is_dir() and target.is_relative_to(folder):
        raise OutputError(
            f"{flag} {str(out_dir)!r} lies inside the photos of {str(source)!r}, where what is written would count as "
            f"photos; a folder outside of them is accepted. Pass another {flag}."
        )


def _some_names(names: list[str]) -> str:
    shown = ", ".join(repr(name) for name in sorted(names)[:5])
    return f"{shown} and {len(names) - 5} more" if len(names) > 5 else shown
