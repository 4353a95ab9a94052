"""How soon Studio's model counts a dropped photo, refits, and answers a camera, and whether that takes more memory.

The photos lie in a folder per class and were looked at before, so that what is measured is Studio's own.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import psutil
from fastapi.testclient import TestClient

from recording import Measurement, make_parser, record
from tellapart.studio.app import StudioConfig, create_studio_app
from tellapart.studio.studio_access import StudioKeys

TOKEN = "t" * 43
_LONGEST_WAIT = 900.0


def sort_photos(photos_dir: Path, num_photos: int, folder: Path) -> list[Path]:
    """Puts photos named `cat.0.jpg` into a folder per class, and gives others of the first class."""
    found = sorted(photos_dir.glob("*.jpg"))
    classes = sorted({path.name.partition(".")[0] for path in found})
    each = -(-num_photos // len(classes))
    for name in classes:
        (folder / name).mkdir(parents=True)
        for path in [one for one in found if one.name.startswith(f"{name}.")][:each]:
            shutil.copy(path, folder / name / path.name)
    return [one for one in found if one.name.startswith(f"{classes[0]}.")][each:]


def open_studio(folder: Path, cache_dir: Path) -> TestClient:
    """A client with a session, to be entered as a context, whose model never rests."""
    config = StudioConfig(StudioKeys(TOKEN, port=8100), cache_dir=str(cache_dir), rest_seconds=10**6)
    client = TestClient(create_studio_app(folder, config), base_url="http://127.0.0.1:8100")
    client.cookies.set("tellapart-studio-8100", TOKEN)
    return client


def wait_for_model(client: TestClient, is_it: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The model once it is as it should be."""
    until = time.monotonic() + _LONGEST_WAIT
    while not is_it(model := client.get("/api/model").json()):
        assert time.monotonic() < until, model
        time.sleep(0.01)
    return model


def has_counted(num_photos: int, model: dict[str, Any]) -> bool:
    """Whether the model was fitted to so many photos."""
    return model["state"] == "provisional" and model["num_photos"] == num_photos


def measure_drops(client: TestClient, photos: list[Path], num_photos: int) -> tuple[list[float], list[float]]:
    """Seconds from a drop until the photo counts in the model, and those of the refit alone."""
    chosen = client.get("/api/project").json()["classes"][0]["id"]
    counted, refits = [], []
    for number, path in enumerate(photos, start=1):
        begun = time.perf_counter()
        params = {"class": chosen, "name": path.name}
        client.post("/api/uploads", params=params, content=path.read_bytes()).raise_for_status()
        model = wait_for_model(client, partial(has_counted, num_photos + number))
        refits.append(model["num_seconds"])
        counted.append(time.perf_counter() - begun)
    return counted, refits


def measure_answers(client: TestClient, photos: list[Path], minutes: float) -> tuple[float, float]:
    """Answers a second with one frame on its way at a time, and megabytes that the process grew by from half-way on."""
    process, frames = psutil.Process(os.getpid()), [path.read_bytes() for path in photos]
    client.post("/api/try", content=frames[0]).raise_for_status()
    begun, num, middle = time.monotonic(), 0, 0.0
    while (passed := time.monotonic() - begun) < 60 * minutes:
        client.post("/api/try", content=frames[num % len(frames)]).raise_for_status()
        num += 1
        if not middle and passed > 30 * minutes:
            middle = process.memory_info().rss / 1e6
    return num / passed, process.memory_info().rss / 1e6 - middle


def main() -> None:
    """Measures at each number of photos, and the camera at the last."""
    parser = make_parser(__doc__, num_runs=10)
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 500, 2000], help="photos (default 100 500 2000)")
    parser.add_argument("--minutes", type=float, default=10.0, help="of the camera (default 10)")
    arguments = parser.parse_args()
    measurements: list[Measurement] = []
    with tempfile.TemporaryDirectory() as name:
        cache_dir = Path(name) / "cache"
        for size in arguments.sizes:
            folder = Path(name) / f"photos-{size}"
            dropped = sort_photos(arguments.photos, size, folder)[: arguments.runs]
            num_photos = sum(1 for _path in folder.glob("*/*.jpg"))
            with open_studio(folder, cache_dir) as client:
                wait_for_model(client, partial(has_counted, num_photos))
                counted, refits = measure_drops(client, dropped, num_photos)
                measurements.append(Measurement(f"live.{size}.counted", tuple(counted), "s"))
                measurements.append(Measurement(f"live.{size}.refit", tuple(refits), "s"))
                if size == arguments.sizes[-1]:
                    rate, growth = measure_answers(client, dropped, arguments.minutes)
                    measurements.append(Measurement("live.try.rate", (rate,), "1/s"))
                    measurements.append(Measurement("live.try.memory_growth", (growth,), "MB"))
    record(measurements, arguments.results)


if __name__ == "__main__":
    main()
