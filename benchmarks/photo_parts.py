"""What crops and a second size are worth to a head: a row for each way of looking at a photo in `photo_parts.csv`.

`python benchmarks/photo_parts.py NAME=PHOTOS ...` embeds at most `--per-class` photos of each class of a collection
with EfficientNet-Lite0, each photo at its full size, squeezed to a square or cut into squares. `accuracy` and
`log_loss` are those of a head on a fifth of the photos, `--seeds` splits. The gain is that of the log-loss on the
squeezed photo at 224 pixels, of a quick head in cross-validation with as many seeds, photo by photo: what `train`
chooses by. `cost` is multiplications for a photo; the squeezed photo at 224 pixels has 1. `cpu_ms` is the time of a
core for the views of a photo, without decoding it.
"""

import argparse
import csv
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from heads import judge, split
from recording import REPOSITORY_DIR
from tellapart.backbones.embedder import Embedder, start_backbone
from tellapart.backbones.photo_pass import look_at
from tellapart.checkup.duplicates import find_groups, group_numbers
from tellapart.heads.cross_validation import held_out_losses
from tellapart.heads.head import fit_head
from tellapart.heads.head_data import HeadData
from tellapart.images.gate import decode_image
from tellapart.images.preprocess import resize_image
from tellapart.photos.sources import open_photos
from tellapart.runs.held_out import load_chosen
from tellapart.watcher import Watcher

RESULTS_PATH = Path(__file__).parent / "photo_parts.csv"
DATA_DIR = REPOSITORY_DIR / "../shared/data"
COLLECTIONS = ("weather", "hard-fruit", "hard-damage", "cats-dogs-native")
COLUMNS = (
    *("collection", "way", "cost", "photos", "non_square", "accuracy", "log_loss", "gain", "standard_error"),
    "cpu_ms",
)
FOLDS = 5

Image = NDArray[np.uint8]


def squeezed(image: Image) -> list[Image]:
    """The whole photo."""
    return [image]


def centre(image: Image) -> list[Image]:
    """The square in the middle."""
    return squares(image, 3)[1:2]


def three(image: Image) -> list[Image]:
    """Squares at the beginning, in the middle and at the end of the longer side."""
    return squares(image, 3)


def mirrored(image: Image) -> list[Image]:
    """The whole photo and its mirror image."""
    return [image, np.ascontiguousarray(image[:, ::-1])]


def squares(image: Image, num: int) -> list[Image]:
    """So many squares of the shorter side, at equal steps along the longer one."""
    height, width = image.shape[:2]
    side = min(height, width)
    starts = [round(place) for place in np.linspace(0, max(height, width) - side, num)]
    return [image[:, start : start + side] if width > height else image[start : start + side] for start in starts]


# A way is the sizes that are put side by side, and the views that are averaged.
WAYS: dict[str, tuple[tuple[int, ...], Callable[[Image], list[Image]]]] = {
    "224": ((224,), squeezed),
    "224 centre": ((224,), centre),
    "224 three crops": ((224,), three),
    "224 and 320": ((224, 320), squeezed),
    "288": ((288,), squeezed),
    "288 mirrored": ((288,), mirrored),
    "288 three crops": ((288,), three),
}


def embed(image: Image, way: str, embedders: dict[int, Embedder]) -> NDArray[np.float32]:
    """What is seen of a photo in one way."""
    sizes, views = WAYS[way]
    parts = []
    for size in sizes:
        embedder = embedders[size]
        images = [resize_image(np.ascontiguousarray(view), embedder.preprocess) for view in views(image)]
        parts.append(np.mean([embedder.embed(one[np.newaxis])[0] for one in images], axis=0))
    return np.concatenate(parts)


def figures_of(data: HeadData, seed: int) -> list[float]:
    """The figures of `heads.judge` for a fifth of the photos."""
    learnt, judged = split(data.labels, data.groups, "all", seed)
    head = fit_head(data.take(np.isin(np.arange(len(data.labels)), learnt)), FOLDS, seed)
    return judge(head.probabilities(data.embeddings[judged]), data.labels[judged], data.labels[learnt])


def measure(name: str, photos_dir: Path, per_class: int, num_seeds: int) -> list[list[object]]:
    """A row for each way of looking at the photos of a collection."""
    sizes = {size for found, _views in WAYS.values() for size in found}
    embedders = {size: start_backbone(f"efficientnet-lite0@{size}", None, Watcher()).embedder for size in sizes}
    seen = load_chosen(open_photos(str(photos_dir)), per_class, 0, look_at)
    photos, labels = seen.photos, np.asarray(seen.photos.labels)
    groups = group_numbers(find_groups(seen.digests, seen.facts), len(seen))
    embeddings: dict[str, list[NDArray[np.float32]]] = {way: [] for way in WAYS}
    seconds, num_other = dict.fromkeys(WAYS, 0.0), 0
    for row in range(len(photos)):
        image = decode_image(photos.read(row))
        num_other += max(image.shape[:2]) >= 1.2 * min(image.shape[:2])
        for way, found in embeddings.items():
            started = time.process_time()
            found.append(embed(image, way, embedders))
            seconds[way] += time.process_time() - started
    rows: list[list[object]] = []
    first: NDArray[np.float64] | None = None
    for way, found in embeddings.items():
        data = HeadData(np.stack(found), labels.astype(np.int64), groups, int(labels.max()) + 1)
        loss, _balanced, accuracy, _recall = np.mean([figures_of(data, seed) for seed in range(num_seeds)], axis=0)
        losses = np.stack([held_out_losses(data, FOLDS, seed) for seed in range(num_seeds)])
        first = losses if first is None else first
        gains = first - losses
        # The photos are the same with each seed, in another order.
        error = gains.std(axis=1, ddof=1).mean() / np.sqrt(gains.shape[1])
        sizes_of_way, views = WAYS[way]
        cost = len(views(np.zeros((2, 3, 3), np.uint8))) * sum((size / 224) ** 2 for size in sizes_of_way)
        figures = [f"{value:.4f}" for value in (accuracy, loss, gains.mean(), error)]
        share, cpu_ms = f"{num_other / len(photos):.2f}", f"{1000 * seconds[way] / len(photos):.1f}"
        rows.append([name, way, f"{cost:.2f}", len(photos), share, *figures, cpu_ms])
        print(*rows[-1], flush=True)
    return rows


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("collections", nargs="*", metavar="NAME=PHOTOS")
    parser.add_argument("--per-class", type=int, default=60)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--results", type=Path, default=RESULTS_PATH)
    arguments = parser.parse_args()
    with arguments.results.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for item in arguments.collections or [f"{name}={DATA_DIR / name}" for name in COLLECTIONS]:
            name, _, photos_dir = item.partition("=")
            writer.writerows(measure(name, Path(photos_dir), arguments.per_class, arguments.seeds))
            file.flush()


if __name__ == "__main__":
    main()
