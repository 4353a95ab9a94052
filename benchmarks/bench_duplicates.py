"""Near-duplicates: planted ones that are found, photos grouped by mistake, and the time that a search takes.

Every kind of change is planted in turn: versions of some photos beside all photos of a folder. A photo counts as
grouped by mistake when a group joins it with a photo that it was not made of; pairs that are in the folder already are
looked for first, printed, and set aside. Speed is measured on thumbnails that are blends of those of the photos; it is
given with the memory that the search took beyond its input, where the system tells.
"""

import argparse
import io
import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import cv2
import numpy as np
from PIL import Image

from recording import Measurement, make_parser, record
from tellapart.checkup.cells import Cells, find_directions, sample_rows, to_unit_length
from tellapart.checkup.duplicates import find_groups, group_numbers
from tellapart.checkup.neighbours import find_pairs
from tellapart.checkup.thumbnails import Thumbnails
from tellapart.config import ImageLimits
from tellapart.images.facts import PhotoFacts, facts_of
from tellapart.images.facts_table import FactsTable
from tellapart.images.gate import decode_image

Change = Callable[[np.ndarray, np.random.Generator], bytes]


def encode(image: np.ndarray, kind: str = "JPEG", orientation: int = 1, **options: object) -> bytes:
    """A file of the image, values beyond `[0, 255]` clipped."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    target = io.BytesIO()
    Image.fromarray(np.clip(image, 0, 255).astype(np.uint8)).save(target, kind, exif=exif, **options)
    return target.getvalue()


def scale(image: np.ndarray, factor: float) -> np.ndarray:
    """The image at another size."""
    method = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return cv2.resize(image, None, fx=factor, fy=factor, interpolation=method)


def crop(image: np.ndarray, generator: np.random.Generator, share: float = 0.1) -> np.ndarray:
    """The image less this share of its height and of its width, taken off at random on both sides."""
    height, width = image.shape[:2]
    top, left = (int(length * share * generator.uniform()) for length in (height, width))
    return image[top : top + round(height * (1 - share)), left : left + round(width * (1 - share))]


CHANGES: dict[str, Change] = {
    "exif": lambda image, generator: encode(image, orientation=int(generator.integers(2, 9)), quality=90),
    "mirrored": lambda image, generator: encode(image[:, ::-1], quality=90),
    "turned": lambda image, generator: encode(np.rot90(image, int(generator.integers(1, 4))), quality=90),
    "jpeg30": lambda image, generator: encode(image, quality=30),
    "png": lambda image, generator: encode(image, "PNG"),
    "webp50": lambda image, generator: encode(image, "WEBP", quality=50),
    "third": lambda image, generator: encode(scale(image, 1 / 3), quality=85),
    "double": lambda image, generator: encode(scale(image, 2), quality=85),
    "cropped10": lambda image, generator: encode(crop(image, generator), quality=90),
    "cropped20": lambda image, generator: encode(crop(image, generator, 0.2), quality=90),
    "brighter": lambda image, generator: encode(image * 1.4, quality=90),
    "lighter": lambda image, generator: encode(image + 40.0, quality=90),
    "darker": lambda image, generator: encode(image * 0.6, quality=90),
    "contrast": lambda image, generator: encode(128 + (image - 128.0) * generator.choice([0.6, 1.4]), quality=90),
}


def group_all(facts: Sequence[PhotoFacts]) -> np.ndarray:
    """Equal numbers for photos that belong together, none of them taken for copies."""
    return group_numbers(find_groups([str(row) for row in range(len(facts))], facts), len(facts))


def plant(photos: Sequence[bytes], facts: Sequence[PhotoFacts], num_planted: int) -> list[Measurement]:
    """The share found of each kind of change, and the share of photos grouped by mistake in all runs together."""
    known = group_all(facts)
    print(f"{len(facts) - len(np.unique(known))} near-duplicates are in the folder already")
    generator = np.random.default_rng(0)
    found = []
    num_wrong, num_seen = 0, 0
    for name, change in CHANGES.items():
        rows = np.sort(generator.choice(len(photos), num_planted, replace=False))
        versions = [facts_of(change(decode_image(photos[row]), generator)) for row in rows]
        numbers = group_all([*facts, *versions])
        is_found = numbers[len(facts) :] == numbers[rows]
        found.append(Measurement(f"duplicates.{name}", (float(is_found.mean()),), "share"))
        # A group is mixed when it holds photos of more than one origin.
        joined = np.unique(np.stack([numbers, np.concatenate([known, known[rows]])]), axis=1)[0]
        mixed = np.flatnonzero(np.bincount(joined) > 1)
        num_wrong += int(np.isin(numbers, mixed).sum())
        num_seen += len(numbers)
        print(found[-1], flush=True)
    return [*found, Measurement("duplicates.grouped_by_mistake", (num_wrong / num_seen,), "share")]


def blend(facts: Sequence[PhotoFacts], num_photos: int) -> FactsTable:
    """Facts of so many photos that do not exist: two photos over each other, one of them turned."""
    generator = np.random.default_rng(0)
    first, second = generator.integers(len(facts), size=(2, num_photos))
    share = generator.uniform(0.25, 0.5, num_photos).astype(np.float32)
    made = FactsTable(num_photos)
    for number, (row, other, part) in enumerate(zip(first, second, share, strict=True)):
        below = facts[row].thumbnail[:: generator.choice([1, -1]), :: generator.choice([1, -1])]
        luma = (1 - part) * below + part * facts[other].thumbnail + generator.normal(0, 2, below.shape)
        made.enter(number, replace(facts[row], thumbnail=np.clip(luma, 0, 255).astype(np.uint8)))
    return made


def peak_gb() -> float:
    """Peak resident memory of this process so far, in GB of 10^9 bytes; on Linux."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def time_search(facts: Sequence[PhotoFacts], num_photos: int, num_runs: int) -> list[Measurement]:
    """Seconds for so many photos, those of all cores, and the memory: beyond what was there before, and in all."""
    made = blend(facts, num_photos)
    before = peak_gb()
    seconds, of_cores = [], []
    for _ in range(num_runs):
        started, used = time.perf_counter(), time.process_time()
        group_all(made)
        seconds.append(time.perf_counter() - started)
        of_cores.append(time.process_time() - used)
    name = f"duplicates.search_{num_photos}"
    return [
        Measurement(name, tuple(seconds), "s"),
        Measurement(f"{name}.cpu", tuple(of_cores), "s"),
        Measurement(f"{name}.memory", (peak_gb() - before,), "GB"),
        Measurement(f"{name}.process", (peak_gb(),), "GB"),
    ]


def measure_recall(facts: Sequence[PhotoFacts], num_photos: int) -> Measurement:
    """Of the nearest neighbours among so many photos, the share that is found by looking at some of the photos."""
    thumbnails = Thumbnails.of(blend(facts, num_photos))
    rows = np.arange(num_photos)
    directions = find_directions(thumbnails.coarse(sample_rows(num_photos)), 80)
    cells = Cells.of(to_unit_length(thumbnails.coarse(rows) @ directions))
    found, exact = (
        pairs.first * num_photos + pairs.second
        for pairs in (find_pairs(cells, 0.65, 4), find_pairs(cells, 0.65, 4, num_looked_at=num_photos))
    )
    return Measurement(f"duplicates.recall_{num_photos}", (float(np.isin(exact, found).mean()),), "share")


def time_facts(photos: Sequence[bytes], num_runs: int) -> list[Measurement]:
    """Milliseconds a photo for all its facts, and how many times as long that is as decoding it."""
    seconds: list[float] = []
    ratios: list[float] = []
    for _ in range(num_runs):
        started = time.perf_counter()
        for data in photos:
            decode_image(data, ImageLimits(), at_least=(192, 192))
        decoded = time.perf_counter()
        for data in photos:
            facts_of(data)
        seconds.append((time.perf_counter() - decoded) / len(photos) * 1000)
        ratios.append((time.perf_counter() - decoded) / (decoded - started))
    return [
        Measurement("duplicates.facts", tuple(seconds), "ms/photo"),
        Measurement("duplicates.facts_to_decoding", tuple(ratios), "ratio"),
    ]


def parse_arguments() -> argparse.Namespace:
    """The flags all benchmarks have, and those of this one."""
    parser = make_parser(__doc__, num_runs=3)
    parser.add_argument("--num-planted", type=int, default=200, help="versions of each kind")
    parser.add_argument("--num-photos", type=int, default=50_000, help="photos of the large search")
    return parser.parse_args()


def main() -> None:
    """Plants, then measures speed."""
    arguments = parse_arguments()
    paths = sorted(arguments.photos.glob("*.jpg"))
    photos = [path.read_bytes() for path in paths]
    facts = [facts_of(data) for data in photos]
    measurements = plant(photos, facts, arguments.num_planted)
    measurements += time_facts(photos[:1000], arguments.runs)
    measurements += time_search(facts, len(facts), arguments.runs)
    measurements += time_search(facts, arguments.num_photos, 1)
    measurements.append(measure_recall(facts, min(arguments.num_photos, 50_000)))
    record(measurements, arguments.results)


if __name__ == "__main__":
    main()
