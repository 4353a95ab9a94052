"""A command that is stopped says one word, with an exit code of its own for each signal, at whatever moment."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tellapart.cli import stopping
from tellapart.demo.drawing import write_demo_folder

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM and SIGHUP that can be looked after")
CODES = {"SIGINT": 130, "SIGTERM": 143, "SIGHUP": 129}
ALL = [getattr(signal, name) for name in CODES if hasattr(signal, name)]


def take_signals() -> None:
    """Undoes what a child inherits where the tests themselves run in the background."""
    for number in ALL:
        signal.signal(number, signal.SIG_DFL)


def ignore_hangups() -> None:
    """What nohup does."""
    take_signals()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def start(*arguments: object, before: Callable[[], None] = take_signals) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tellapart", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=before)


@pytest.fixture(scope="module")
def many_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_demo_folder(tmp_path_factory.mktemp("many") / "photos", 40, seed=0)


def train_flags(photos: Path, out: Path, cache_dir: str) -> list[object]:
    sizes = ["--image-size", 46, "--batch-size", 8, "--epochs", 500]
    return ["train", photos, "--recipe", "classic", *sizes, "--out", out, "--cache-dir", cache_dir]


@pytest.mark.parametrize("name", CODES)
def test_a_stopped_training_keeps_its_model_whatever_stopped_it(
    name: str, animals_dir: Path, cache_dir: str, tmp_path: Path
) -> None:
    process = start(*train_flags(animals_dir, tmp_path / "run", cache_dir))
    assert process.stdout is not None
    assert any(line.startswith("epoch   2") for line in process.stdout)
    process.send_signal(getattr(signal, name))
    said, errors = process.communicate(timeout=120)
    assert process.returncode == CODES[name]
    assert errors.splitlines() == ["tellapart: stopped."]
    assert "You can use the model as it is" in said
    assert '"state": "stopped"' in (tmp_path / "run" / "run.json").read_text()


@pytest.mark.parametrize("name", CODES)
@pytest.mark.parametrize("seconds", [0.6, 1.2, 2.5])
def test_at_any_moment_a_command_says_the_word_alone(
    name: str, seconds: float, many_photos: Path, tmp_path: Path
) -> None:
    process = start("check", many_photos, "--cache-dir", tmp_path / "cache")
    time.sleep(seconds)
    process.send_signal(getattr(signal, name))
    _, errors = process.communicate(timeout=120)
    assert process.returncode in (CODES[name], 0)
    assert errors.splitlines() in (["tellapart: stopped."], [])


def test_a_second_ctrl_c_ends_at_once_with_the_same_word(animals_dir: Path, cache_dir: str, tmp_path: Path) -> None:
    process = start(*train_flags(animals_dir, tmp_path / "run", cache_dir))
    assert process.stdout is not None
    assert any(line.startswith("epoch   1") for line in process.stdout)
    process.send_signal(signal.SIGINT)
    time.sleep(stopping._ONE_PRESS_SECONDS + 0.1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130
    assert errors.splitlines() == ["tellapart: stopped."]


def test_a_hangup_that_was_ignored_at_the_start_stays_ignored(
    animals_dir: Path, cache_dir: str, tmp_path: Path
) -> None:
    flags = train_flags(animals_dir, tmp_path / "run", cache_dir)
    process = start(*flags, before=ignore_hangups)
    assert process.stdout is not None
    assert any(line.startswith("epoch   1") for line in process.stdout)
    process.send_signal(signal.SIGHUP)
    assert any(line.startswith("epoch   3") for line in process.stdout)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=120)
    assert process.returncode == 143


def test_signals_are_those_of_before_after_the_block() -> None:
    before = [signal.getsignal(number) for number in ALL]
    with stopping.signals_heeded():
        assert [signal.getsignal(number) for number in ALL] != before
    assert [signal.getsignal(number) for number in ALL] == before


@pytest.fixture
def usual_signals() -> Iterator[None]:
    """The handlers of a process that a shell has started in the foreground; in the background Ctrl-C is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("usual_signals")
def test_the_first_signal_is_a_keyboard_interrupt_and_one_press_counts_once() -> None:
    with pytest.raises(KeyboardInterrupt), stopping.signals_heeded():
        signal.raise_signal(signal.SIGTERM)
    assert stopping.exit_code() == 143
    with stopping.signals_heeded():
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
    assert stopping.exit_code() == 130
    stopping._State.first = None


class Stubborn:
    """Python ignores what is raised while an object is taken away."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGTERM)


def be_stubborn() -> None:
    Stubborn()
    time.sleep(5)


def test_a_stop_that_python_swallows_comes_again() -> None:
    with pytest.raises(KeyboardInterrupt), stopping.signals_heeded():
        be_stubborn()
    stopping._State.first = None
