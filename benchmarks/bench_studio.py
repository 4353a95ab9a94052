"""How long Studio takes to open a large folder, to list it, to show a change, and to take over a dropped photo.

The photos are drawn: small JPEGs in ten classes, of which nothing is known at the first opening and all at the second.
"""

import io
import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import psutil
from fastapi.testclient import TestClient
from PIL import Image

from recording import Measurement, make_parser, record
from tellapart.studio.app import StudioConfig, create_studio_app
from tellapart.studio.studio_access import StudioKeys

NUM_CLASSES = 10
TOKEN = "t" * 43


def draw(seed: int, side: int = 320) -> bytes:
    """A JPEG unlike all of other seeds."""
    pixels = np.random.default_rng(seed).integers(0, 255, (9, 12, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).resize((side, side * 3 // 4), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


def draw_folder(folder: Path, num_photos: int) -> None:
    """Writes so many photos into ten classes."""
    for number in range(num_photos):
        path = folder / f"class {number % NUM_CLASSES}" / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(draw(number))


def seconds_of(work: Callable[[], object]) -> float:
    """Wall time of the work."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def open_studio(folder: Path, cache_dir: Path) -> TestClient:
    """A client with a session, to be entered as a context."""
    config = StudioConfig(StudioKeys(TOKEN, port=8100), cache_dir=str(cache_dir))
    client = TestClient(create_studio_app(folder, config), base_url="http://127.0.0.1:8100")
    client.cookies.set("tellapart-studio-8100", TOKEN)
    return client


def wait_until_seen(client: TestClient) -> None:
    """Returns once something is known of every photo."""
    while client.get("/api/project").json()["num_unseen"]:
        time.sleep(0.1)


def measure_opening(folder: Path, cache_dir: Path) -> tuple[float, float]:
    """Seconds until the classes are listed, and until one of them is."""

    def list_classes() -> None:
        nonlocal client
        client = open_studio(folder, cache_dir)
        client.get("/api/project").raise_for_status()

    client: TestClient
    opening = seconds_of(list_classes)
    first = client.get("/api/project").json()["classes"][0]["id"]
    listing = seconds_of(lambda: client.get("/api/photos", params={"class": first}).raise_for_status())
    client.app.state.studio.project.close()  # type: ignore[attr-defined]
    return opening, listing


def label(client: TestClient, identity: str, chosen: str) -> None:
    """Gives a photo another class."""
    command = {"do": "label", "photos": [identity], "class": chosen}
    client.post("/api/commands", json=command).raise_for_status()


def drop(client: TestClient, data: bytes, chosen: str) -> None:
    """Adds a photo to a class, and asks for what the page shows of it."""
    params = {"class": chosen, "name": "drop.jpg"}
    (added,) = client.post("/api/uploads", params=params, content=data).json()["added"]
    listed = client.get("/api/photos", params={"class": chosen}).json()["photos"]
    digest = next(photo["digest"] for photo in listed if photo["id"] == added)
    client.get(f"/thumb/{digest}.webp").raise_for_status()


def main() -> None:
    """Opens the folder once to see all of it, then measures."""
    parser = make_parser(__doc__, num_runs=10)
    parser.add_argument("--num-photos", type=int, default=10_000, help="photos to draw (default 10,000)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, cache_dir = Path(name) / "zoo", Path(name) / "cache"
        draw_folder(folder, arguments.num_photos)
        with open_studio(folder, cache_dir) as client:
            first = seconds_of(lambda: wait_until_seen(client))
        openings = [measure_opening(folder, cache_dir) for _number in range(arguments.runs)]
        with open_studio(folder, cache_dir) as client:
            chosen = [one["id"] for one in client.get("/api/project").json()["classes"]]
            shown = client.get("/api/photos", params={"class": chosen[0]}).json()["photos"][: arguments.runs]
            changes = [seconds_of(partial(label, client, photo["id"], chosen[1])) for photo in shown]
            dropped = [draw(10**7 + number, side=1600) for number in range(arguments.runs)]
            drops = [seconds_of(partial(drop, client, data, chosen[2])) for data in dropped]
        memory = psutil.Process(os.getpid()).memory_info().rss / 1e6
    size = f"{arguments.num_photos}"
    measurements = [
        Measurement(f"studio.{size}.first_pass", (first,), "s"),
        Measurement(f"studio.{size}.opening", tuple(one for one, _two in openings), "s"),
        Measurement(f"studio.{size}.listing", tuple(two for _one, two in openings), "s"),
        Measurement(f"studio.{size}.label", tuple(changes), "s"),
        Measurement(f"studio.{size}.drop", tuple(drops), "s"),
        Measurement(f"studio.{size}.memory", (memory,), "MB"),
    ]
    record(measurements, arguments.results)


if __name__ == "__main__":
    main()
