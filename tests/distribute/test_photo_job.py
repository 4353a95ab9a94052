"""A list of photos shared out to two workers of a Ray on this machine, which the whole module shares."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import tellapart
from tellapart.distribute import cluster_versions, photo_job
from tellapart.distribute.embedding import embed_list
from tellapart.distribute.part_folder import PartFolder, SeenUris
from tellapart.distribute.photo_job import PhotoWorkers, run_job
from tellapart.distribute.predicting import predict_list
from tellapart.distribute.ray_session import RayConfig, ray_session
from tellapart.distribute.uri_list import open_uri_list
from tellapart.errors import ClusterError, DatasetError, OutputError
from tellapart.photos.loading import digest_photo
from tellapart.predict.bundle import Bundle, write_bundle

# What Ray and its libraries warn of is theirs.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
NUM_PHOTOS = 40
TWO = RayConfig(workers=2)
# Each worker that starts costs seconds.
ONE = RayConfig(workers=1)
# A command whose every block is a part.
DRIVER = """
import sys
from tellapart.distribute import part_folder, photo_job
part_folder.SECONDS_A_PART, photo_job._PHOTOS_A_BLOCK = 0.0, 8
from tellapart.cli.entry import main
sys.argv = ["tellapart", *sys.argv[1:]]
main()
"""


@pytest.fixture(scope="module", autouse=True)
def ray() -> Iterator[None]:
    """Ray with two workers."""
    with ray_session(TWO):
        yield


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn photos of several sizes and formats; not to be changed."""
    folder, generator = tmp_path_factory.mktemp("drawn"), np.random.default_rng(5)
    for number in range(NUM_PHOTOS):
        pixels = generator.integers(0, 256, (5, 7, 3)).astype(np.uint8)
        size = (20 + number % 7 * 9, 30 + number % 5 * 8)
        Image.fromarray(pixels).resize(size).save(folder / f"{number:04d}.{('png', 'jpg', 'webp')[number % 3]}")
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, map_bundle: Bundle) -> Path:
    """A model folder for the classes blue and red."""
    folder = tmp_path_factory.mktemp("model") / "run"
    write_bundle(folder, map_bundle)
    return folder


def write_list(path: Path, uris: list[str]) -> str:
    pq.write_table(pa.table({"uri": uris}), path)
    return str(path)


def names(folder: Path) -> list[str]:
    return sorted(str(path) for path in folder.iterdir())


def read(out: Path) -> dict[str, dict[str, Any]]:
    """The rows of all parts by path; each path is there once."""
    rows = pq.read_table(out).to_pylist()  # as pandas and DuckDB read it
    found = {row.pop("path"): row for row in rows}
    assert len(found) == len(rows)
    return found


def expected(model: Path, folder: Path) -> dict[str, dict[str, Any]]:
    """What `predict` says of the same photos."""
    loaded = tellapart.load(model)
    rows: dict[str, dict[str, Any]] = {}
    for item in loaded.predict(folder):
        shares = {f"p_{name}": share for name, share in zip(loaded.class_names, item.probabilities, strict=True)}
        answers = {"predicted_class": item.class_name, "probability": item.probability, "answer": item.answer}
        rows[item.path] = answers | shares | {"nearest_class": item.nearest_class, "reason": None}
    return rows


def test_the_numbers_are_those_of_predict(model: Path, photos: Path, tmp_path: Path) -> None:
    done = predict_list(model, write_list(tmp_path / "l.parquet", names(photos)), tmp_path / "out", cluster=TWO)
    assert read(tmp_path / "out") == expected(model, photos)
    assert done.counts.total() == done.summary.num_photos == NUM_PHOTOS


def test_a_killed_worker_costs_no_row(
    model: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(photo_job, "_PHOTOS_A_BLOCK", 1)
    killed: list[int] = []

    def kill(num_done: int, num_photos: int) -> None:
        for process in psutil.Process().children(recursive=True)[: 0 if killed else None]:
            if "MapWorker" in " ".join(process.cmdline()):
                killed.append(process.pid)
                os.kill(process.pid, signal.SIGKILL)
                return

    source = write_list(tmp_path / "l.parquet", names(photos))
    predict_list(model, source, tmp_path / "out", cluster=TWO, on_photo=kill)
    assert len(killed) == 1
    assert read(tmp_path / "out") == expected(model, photos)


def test_a_stopped_job_continues_where_it_was(
    model: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(photo_job, "_PHOTOS_A_BLOCK", 2)

    def stop(num_done: int, num_photos: int) -> None:
        if num_done >= 10:
            raise KeyboardInterrupt

    source, out = write_list(tmp_path / "l.parquet", names(photos)), tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        predict_list(model, source, out, cluster=ONE, on_photo=stop)
    before = {path.name: path.read_bytes() for path in out.glob("*.parquet")}
    num_before = len(read(out))
    done = predict_list(model, source, out, cluster=ONE)
    assert 10 <= num_before < NUM_PHOTOS
    assert (done.summary.num_found, done.summary.num_passed) == (num_before, num_before)
    assert before.items() <= {path.name: path.read_bytes() for path in out.glob("*.parquet")}.items()
    assert read(out) == expected(model, photos)


def test_what_cannot_be_read_is_a_row_with_its_reason(model: Path, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("no photo")
    good, text = names(photos)[0], str(tmp_path / "text.jpg")
    uris = [good, text, "gone.jpg", "http://198.51.100.7/a.jpg", good, "", "gone.jpg"]
    done = predict_list(model, write_list(tmp_path / "l.parquet", uris), tmp_path / "out", cluster=ONE).summary
    reasons = {path: row["reason"] for path, row in read(tmp_path / "out").items()}
    assert reasons[good] is None
    assert "text" in reasons[text]
    assert reasons["gone.jpg"] == "there is no such file"
    assert "http:// are not read" in reasons["http://198.51.100.7/a.jpg"]
    assert read(tmp_path / "out")["gone.jpg"]["p_red"] is None
    assert (done.num_photos, done.num_skipped, done.num_passed, done.num_blank) == (4, 3, 2, 1)


def test_a_list_of_which_nothing_can_be_read_leaves_no_part(model: Path, tmp_path: Path) -> None:
    source = write_list(tmp_path / "l.parquet", ["gone.jpg", "lost.jpg"])
    with pytest.raises(DatasetError, match=r"none of the first 2 photos.*there is no such file"):
        predict_list(model, source, tmp_path / "out", cluster=ONE)
    assert list((tmp_path / "out").glob("*.parquet")) == []


@pytest.mark.parametrize(
    ("raised", "expected", "words"),
    [
        pytest.param(
            DatasetError("the storage of 's3://a/b' cannot be reached", paths=["s3://a/b"]),
            DatasetError,
            "^the storage of 's3://a/b' cannot be reached$",
            id="of ours",
        ),
        pytest.param(KeyError("boom"), ClusterError, r"^Ray has stopped: KeyError: 'boom'\. What", id="of Python"),
    ],
)
def test_what_a_worker_raises_is_told_in_its_own_words(
    raised: Exception, expected: type[Exception], words: str, photos: Path, tmp_path: Path
) -> None:
    class Worker:
        def __call__(self, table: pa.Table) -> pa.Table:
            raise raised

    uris = open_uri_list(write_list(tmp_path / "list.parquet", names(photos)), None)
    with pytest.raises(expected, match=words) as caught, ray_session(ONE):
        run_job(uris, PartFolder(tmp_path, SeenUris(), 0), PhotoWorkers(Worker, (), 1))

    assert type(caught.value) is expected


def test_answers_of_another_setting_are_refused(model: Path, photos: Path, tmp_path: Path) -> None:
    source = write_list(tmp_path / "l.parquet", names(photos)[:2])
    predict_list(model, source, tmp_path / "out", cluster=ONE)
    with pytest.raises(OutputError, match="has parts with another settings"):
        predict_list(model, source, tmp_path / "out", cluster=ONE, threshold="red=0.2")


def test_the_vectors_are_those_of_embed(photos: Path, tmp_path: Path, tiny_backbone: Path, cache_dir: str) -> None:
    source = write_list(tmp_path / "l.parquet", [*names(photos), "gone.jpg"])
    summary = embed_list(source, tmp_path / "out", backbone=str(tiny_backbone), cache_dir=cache_dir, cluster=ONE)
    tellapart.embed(photos, tmp_path / "here.npz", backbone=str(tiny_backbone), cache_dir=cache_dir)
    rows = read(tmp_path / "out")
    with np.load(tmp_path / "here.npz") as here:
        there = np.array([rows[path]["embedding"] for path in here["paths"]], np.float32)
        np.testing.assert_array_equal(there, here["embeddings"])
    assert rows["gone.jpg"] == {"content": None, "embedding": None, "reason": "there is no such file"}
    first = names(photos)[0]
    assert rows[first]["content"] == digest_photo(Path(first).read_bytes())
    assert (summary.num_photos, summary.num_skipped) == (NUM_PHOTOS + 1, 1)


def test_a_machine_with_another_tellapart_is_named(
    model: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = tellapart.__version__
    monkeypatch.setattr(tellapart, "__version__", "99.1")
    source = write_list(tmp_path / "l.parquet", names(photos))
    with pytest.raises(ClusterError, match=rf"[0-9.]+ of the Ray cluster has tellapart {version}\. Here is 99\.1"):
        predict_list(model, source, tmp_path / "out", cluster=ONE)
    assert list(tmp_path.glob("out/*.parquet")) == []


def test_a_machine_without_tellapart_is_named(
    model: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_versions, "_make_question", lambda: lambda: None)
    source = write_list(tmp_path / "l.parquet", names(photos))
    with pytest.raises(ClusterError, match=r"[0-9.]+ of the Ray cluster has no tellapart installed"):
        predict_list(model, source, tmp_path / "out", cluster=ONE)


@pytest.mark.soak
def test_a_thousand_photos_survive_the_death_of_the_command_and_of_a_worker(model: Path, tmp_path: Path) -> None:
    folder, out, generator = tmp_path / "photos", tmp_path / "out", np.random.default_rng(6)
    folder.mkdir()
    for number in range(1000):
        pixels = generator.integers(0, 256, (5, 7, 3)).astype(np.uint8)
        Image.fromarray(pixels).resize((40, 30)).save(folder / f"{number:04d}.jpg")
    source = write_list(tmp_path / "l.parquet", names(folder))
    words = ["predict", str(model), source, "--engine", "ray", "--workers", "2", "--out", str(out)]
    command = subprocess.Popen([sys.executable, "-c", DRIVER, *words])
    wait_for(lambda: len(list(out.glob("*.parquet"))) > 5)
    helpers = psutil.Process(command.pid).children(recursive=True)
    command.kill()
    command.wait()
    wait_for(lambda: not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in helpers))
    num_before = len(read(out))
    assert 0 < num_before < 1000

    again = subprocess.Popen([sys.executable, "-c", DRIVER, *words], stderr=subprocess.PIPE)
    wait_for(lambda: len(read(out)) > num_before)
    children = psutil.Process(again.pid).children(recursive=True)
    next(one for one in children if "MapWorker" in " ".join(one.cmdline())).kill()
    said = again.communicate()[1].splitlines()
    assert ([line for line in said if not line.startswith(b"  photo ")], again.returncode) == ([], 0)
    assert read(out) == expected(model, folder)


def wait_for(is_so: Callable[[], bool], seconds: float = 300) -> None:
    """Returns as soon as it is so."""
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.02)
