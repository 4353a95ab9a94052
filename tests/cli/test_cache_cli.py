"""`tellapart cache` as a user sees it."""

import subprocess
import sys
from pathlib import Path

import pytest

from tellapart.cache.photo_store import PhotoStore
from tellapart.cli.app import main
from tellapart.cli.cache import format_bytes


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """The exit code of `tellapart cache` with these arguments, run in this process."""
    monkeypatch.setattr(sys, "argv", ["tellapart", "cache", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        main()
    return int(stop.value.code or 0)


@pytest.fixture
def cache_dir(tmp_path: Path) -> Path:
    """A cache with 3 seen photos and nothing else."""
    with PhotoStore(tmp_path / "cache" / "seen" / "photos.sqlite3") as store:
        store.add({f"{row:040x}": {"facts 1": b"known"} for row in range(3)})
    return tmp_path / "cache"


def test_the_folder_and_the_size_of_its_parts_are_shown(
    cache_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "--cache-dir", cache_dir) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    size = format_bytes((cache_dir / "seen" / "photos.sqlite3").stat().st_size)
    assert lines == [
        str(cache_dir),
        "",
        "part folder holds size",
        "decoded photos images 0 sets 0 bytes",
        f"seen photos seen 3 photos {size}",
        "backbones backbones 0 networks 0 bytes",
        f"together {size}",
    ]


def test_without_a_flag_it_is_the_users_cache_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("platformdirs.user_cache_path", lambda name: tmp_path / name)
    assert run(monkeypatch) == 0
    assert capsys.readouterr().out.startswith(f"{tmp_path / 'tellapart'}\n")
    assert list(tmp_path.iterdir()) == []


def test_clearing_says_how_much_was_freed(
    cache_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    size = format_bytes((cache_dir / "seen" / "photos.sqlite3").stat().st_size)
    assert run(monkeypatch, "--clear", "--cache-dir", cache_dir) == 0
    assert capsys.readouterr().out == f"{size} freed in {cache_dir}\n"
    assert [path for path in cache_dir.rglob("*") if path.is_file()] == []


def test_clearing_names_at_most_five_files_that_stay(
    cache_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (cache_dir / "images").mkdir()
    for number in range(7):
        (cache_dir / "images" / f".images-{number}.partial").write_bytes(b"half of a")
    assert run(monkeypatch, "--clear", "--cache-dir", cache_dir) == 0
    kept = capsys.readouterr().out.splitlines()[1]
    assert kept.startswith("Not deleted, because they are in use or protected: ")
    assert kept.count(".partial") == 5
    assert kept.endswith(" and 2 more")


def test_a_file_that_is_no_store_is_told(
    cache_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (cache_dir / "seen" / "photos.sqlite3").write_bytes(b"not a database" * 100)
    assert run(monkeypatch, "--cache-dir", cache_dir) == 0
    first = capsys.readouterr().out.splitlines()[0]
    assert first.startswith("note: the store of seen photos")
    assert "is not a store of tellapart and stays as it is" in first


@pytest.mark.parametrize(
    ("num_bytes", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1 kB"),
        (411_600, "412 kB"),
        (999_500, "1.0 MB"),
        (21_300_000, "21.3 MB"),
        (999_950_000, "1.0 GB"),
        (1_234_000_000_000, "1,234.0 GB"),
    ],
)
def test_a_size_is_said_as_a_person_says_it(num_bytes: int, text: str) -> None:
    assert format_bytes(num_bytes) == text


def test_looking_at_the_cache_loads_neither_keras_nor_a_runtime(cache_dir: Path) -> None:
    code = (
        f"import sys; sys.argv = ['tellapart', 'cache', '--cache-dir', {str(cache_dir)!r}]\n"
        "from tellapart.cli.app import main\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    assert not stop.code, stop.code\n"
        "heavy = {'keras', 'torch', 'onnx', 'onnxruntime', 'matplotlib', 'pandas', 'sklearn', 'scipy'}\n"
        "print('loaded:', sorted(heavy & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "loaded: []"
