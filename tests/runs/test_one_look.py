"""How often a training opens the files of its photos, counted by an audit hook in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tellapart.demo.drawing import write_demo_folder

NUM_PHOTOS = 480
CODE = """
import os, sys
folder, num_opens = os.path.realpath(sys.argv[1]), 0

def count(event, arguments):
    global num_opens
    if event == "open" and isinstance(arguments[0], (str, bytes)):
        num_opens += os.fsdecode(arguments[0]).startswith(folder + os.sep)

sys.addaudithook(count)
import tellapart
configs = {
    "transfer": lambda: tellapart.TransferConfig(backbone=sys.argv[5], folds=3),
    "scratch": lambda: tellapart.ScratchConfig(image_size=(32, 32), epochs=1),
    "classic": lambda: tellapart.ClassicConfig(image_size=(46, 46), epochs=1),
}
config = configs[sys.argv[4]]()
tellapart.train(folder, sys.argv[2], config=config, source=tellapart.SourceConfig(cache_dir=sys.argv[3]))
print(num_opens)
"""


@pytest.fixture(scope="module", params=["transfer", "scratch", "classic"])
def opens(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, tiny_backbone: Path) -> list[float]:
    """How often each photo is opened in the mean, by a training from an empty cache and by another one after it."""
    folder = tmp_path_factory.mktemp("opens")
    photos = write_demo_folder(folder / "photos", NUM_PHOTOS // 2, seed=0)
    num_photos = sum(path.is_file() for path in photos.rglob("*"))
    means = []
    for name in ("first", "second"):
        words = [sys.executable, "-c", CODE, photos, folder / name, folder / "cache", request.param, tiny_backbone]
        done = subprocess.run(
            [str(word) for word in words], capture_output=True, text=True, check=True, env=dict(os.environ)
        )
        means.append(int(done.stdout.split()[-1]) / num_photos)
    return means


def test_with_an_empty_cache_a_training_opens_each_photo_little_more_than_once(opens: list[float]) -> None:
    assert 1 <= opens[0] <= 1.2


def test_with_everything_cached_a_training_opens_each_photo_once_and_a_tenth(opens: list[float]) -> None:
    assert 1 <= opens[1] <= 1.1
