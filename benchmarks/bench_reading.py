"""Reading photos to 150x150: the article's OpenCV loop against tellapart, in turn, on small photos and on phone photos.

Both sides go from a folder to one uint8 array. `stream` is the decoding alone; `arrays` also finds the photos and
their labels.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from recording import Measurement, link_photos, make_parser, record
from tellapart import open_photos
from tellapart.config import ImageLimits
from tellapart.images.preprocess import PreprocessSpec
from tellapart.photos.loading import stream_images
from tellapart.photos.photoset import PhotoSet

SIZE = (150, 150)
PHONE_SIZE = (3000, 4000)
PHONE_QUALITY = 92
# A photo that is only enlarged is too smooth: grain brings the files to 3-4 MB, as phones write them.
PHONE_GRAIN = 6.0


def read_as_article(folder: Path) -> np.ndarray:
    """The article's loop, BGR uint8 `(n, 150, 150, 3)`."""
    images = []
    for path in sorted(folder.iterdir()):
        image = cv2.imread(str(path), cv2.IMREAD_COLOR)
        images.append(cv2.resize(image, SIZE[::-1], interpolation=cv2.INTER_CUBIC))
    return np.array(images)


def read_stream(photos: PhotoSet) -> np.ndarray:
    """The images of photos already found, RGB uint8 `(n, 150, 150, 3)`."""
    images = np.empty((len(photos), *SIZE, 3), np.uint8)
    for row, image in enumerate(stream_images(photos, PreprocessSpec(SIZE), ImageLimits())):
        assert isinstance(image, np.ndarray), image
        images[row] = image
    return images


def draw_phone_photos(photos_dir: Path, num_photos: int, out_dir: Path) -> None:
    """Fills a new folder with 12-megapixel JPEGs made of the photos."""
    small_dir = out_dir.with_name(f"{out_dir.name}-small")
    link_photos(photos_dir, num_photos, small_dir)
    out_dir.mkdir()
    generator = np.random.default_rng(0)
    for path in sorted(small_dir.iterdir()):
        image = cv2.resize(cv2.imread(str(path)), PHONE_SIZE[::-1], interpolation=cv2.INTER_CUBIC)
        grain = generator.standard_normal((*PHONE_SIZE, 1), np.float32) * PHONE_GRAIN
        image = np.clip(image + grain, 0, 255).astype(np.uint8)
        cv2.imwrite(str(out_dir / path.name), image, [cv2.IMWRITE_JPEG_QUALITY, PHONE_QUALITY])


def seconds_of(work: Callable[[], object]) -> float:
    """How long `work` takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def compare(name: str, folder: Path, num_runs: int) -> list[Measurement]:
    """Speeds and ratios on one folder; every file is read once before, so that the disk is out of it."""
    num_bytes = sum(len(path.read_bytes()) for path in folder.iterdir())
    num_photos = len(list(folder.iterdir()))
    print(f"{name}: {num_photos} photos, {num_bytes / num_photos / 1e6:.2f} MB each", flush=True)
    seconds: dict[str, list[float]] = {"article": [], "stream": [], "arrays": []}
    for number in range(num_runs):
        photos = open_photos(folder)
        works = {
            "article": lambda: read_as_article(folder),
            "stream": lambda photos=photos: read_stream(photos),
            "arrays": lambda: open_photos(folder).arrays(image_size=SIZE),
        }
        for side, work in works.items():
            seconds[side].append(seconds_of(work))
        figures = ", ".join(f"{side} {num_photos / taken[-1]:.1f}" for side, taken in seconds.items())
        print(f"{name} run {number + 1}: {figures} photos/s", flush=True)
    speeds = [
        Measurement(f"reading.{name}.{side}", tuple(num_photos / one for one in taken), "photos/s")
        for side, taken in seconds.items()
    ]
    ratios = [
        Measurement(
            f"reading.{name}.{side}_ratio",
            tuple(their / our for their, our in zip(seconds["article"], seconds[side], strict=True)),
            "ratio",
        )
        for side in ("stream", "arrays")
    ]
    return speeds + ratios


def main() -> None:
    """Compares on small photos and on phone photos."""
    parser = make_parser(__doc__, num_runs=5)
    parser.add_argument("--num-photos", type=int, default=4000, help="small photos, half of each class")
    parser.add_argument("--num-phone-photos", type=int, default=24)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        small_dir, phone_dir = Path(name) / "small", Path(name) / "phone"
        link_photos(arguments.photos, arguments.num_photos, small_dir)
        draw_phone_photos(arguments.photos, arguments.num_phone_photos, phone_dir)
        measurements = compare("small", small_dir, arguments.runs) + compare("phone", phone_dir, arguments.runs)
    record(measurements, arguments.results)


if __name__ == "__main__":
    main()
