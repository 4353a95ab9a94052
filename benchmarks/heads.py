"""How good heads are on photos they have not seen: log-loss, accuracy, balanced accuracy, a row a fit in `heads.csv`.

First `python benchmarks/heads.py embed NAME=PHOTOS ... --folder F` keeps embeddings, labels and groups of collections.
Then `python benchmarks/heads.py fit --folder F --head NAME` fits the head of the tellapart that Python imports, so that
two versions are compared on the same splits by running this file with two values of `PYTHONPATH`. `table` prints the
means of both, and their paired difference with its standard error.

Sizes: 3, 10 and 30 photos of each class, `all` (four fifths), and `30:1`, where half of the classes, drawn again for
each seed, keep a thirtieth of what the largest has, at least 3. All figures weigh the classes as the training photos
do; the balanced ones weigh them alike.
"""

import argparse
import csv
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

RESULTS_PATH = Path(__file__).parent / "heads.csv"
SIZES = ("3", "10", "30", "30:1", "all")
FIGURES = ("log_loss", "balanced_log_loss", "accuracy", "balanced_accuracy")
COLUMNS = ("head", "collection", "size", "seed", *FIGURES, "seconds")
HELD_OUT = 0.2


def embed(photos_dir: str, backbone: str, path: Path) -> None:
    """Keeps the embeddings of a collection, as it is and mirrored, its labels, and what the check-up ties together."""
    from tellapart.backbones.embedder import start_backbone
    from tellapart.backbones.photo_pass import Eye, look_at
    from tellapart.checkup.check_up import check_up
    from tellapart.photos.sources import open_photos
    from tellapart.watcher import Watcher

    embedder = start_backbone(backbone, None, Watcher()).embedder
    seen = look_at(open_photos(photos_dir), [Eye(embedder), Eye(embedder, is_mirrored=True)])
    (mirrored,) = seen.further_embeddings
    groups = check_up(seen, 0).group_numbers
    np.savez(path, plain=seen.embeddings, mirrored=mirrored, labels=seen.photos.labels, groups=groups)


def split(
    labels: NDArray[np.int64], groups: NDArray[np.int64], size: str, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows to learn from and rows to judge by, without a group in common."""
    from tellapart.measure.splits import split_indices

    parts = split_indices(labels, groups, HELD_OUT, seed)
    if size == "all":
        return parts.train, parts.validation
    generator = np.random.default_rng([seed, 77])
    counts = np.bincount(labels[parts.train])
    wanted = np.full(len(counts), int(size.partition(":")[0]))
    if size == "30:1":
        is_rare = generator.permutation(len(counts)) < len(counts) // 2
        wanted = np.where(is_rare, np.minimum(counts, max(3, round(int(counts.max()) / 30))), counts)
    drawn = [
        generator.permutation(parts.train[labels[parts.train] == label])[:number] for label, number in enumerate(wanted)
    ]
    learnt = np.sort(np.concatenate(drawn))
    return learnt, parts.validation if size == "30:1" else np.flatnonzero(~np.isin(groups, groups[learnt]))


def judge(probabilities: NDArray[np.float32], labels: NDArray[np.int64], learnt: NDArray[np.int64]) -> list[float]:
    """The figures, in the order of `FIGURES`, of photos with these labels; `learnt` are the labels learnt from."""
    num_classes = probabilities.shape[1]
    counts = np.maximum(np.bincount(labels, minlength=num_classes), 1)
    losses = -np.log(np.maximum(probabilities[np.arange(len(labels)), labels], 1e-12))
    is_right = probabilities.argmax(axis=1) == labels
    as_learnt = (np.bincount(learnt, minlength=num_classes) / counts)[labels]
    alike = (1 / counts)[labels]
    return [float(np.average(terms, weights=by)) for terms in (losses, is_right) for by in (as_learnt, alike)]


def fit(folder: Path, head: str, num_seeds: int, results: Path) -> None:
    """Fits the head to every collection, size and seed."""
    from tellapart.heads.head import fit_head
    from tellapart.heads.head_data import HeadData

    is_new = not results.exists()
    with results.open("a", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        if is_new:
            writer.writerow(COLUMNS)
        for path in sorted(folder.glob("*.npz")):
            data = np.load(path)
            embeddings, labels, groups = data["plain"], data["labels"], data["groups"]
            for size in SIZES:
                for seed in range(num_seeds):
                    learnt, judged = split(labels, groups, size, seed)
                    started = time.perf_counter()
                    fitted = fit_head(
                        HeadData(embeddings[learnt], labels[learnt], groups[learnt], int(labels.max()) + 1), 5, seed
                    )
                    seconds = time.perf_counter() - started
                    figures = judge(fitted.probabilities(embeddings[judged]), labels[judged], labels[learnt])
                    row = [head, path.stem, size, seed, *(f"{value:.4f}" for value in figures), f"{seconds:.2f}"]
                    writer.writerow(row)
                    file.flush()


def print_table(results: Path, before: str, after: str) -> None:
    """The means of both heads, and their paired difference with its standard error, a line for each size."""
    figures: dict[tuple[str, ...], dict[str, list[float]]] = defaultdict(dict)
    with results.open(newline="") as file:
        for row in csv.DictReader(file):
            figures[row["collection"], row["size"], row["seed"]][row["head"]] = [float(row[name]) for name in FIGURES]
    pairs = {key: (both[before], both[after]) for key, both in figures.items() if before in both and after in both}
    print(f"{'':24}" + "".join(f"{name:>36}" for name in FIGURES))
    collections = sorted({key[0] for key in pairs})
    for size in SIZES:
        for collection in (*collections, "mean"):
            chosen = [pair for key, pair in pairs.items() if key[1] == size and collection in (key[0], "mean")]
            if len(chosen) < 2:
                continue
            old, new = np.array(chosen).transpose(1, 0, 2)
            errors = (new - old).std(axis=0, ddof=1) / np.sqrt(len(chosen))
            cells = zip(old.mean(axis=0), new.mean(axis=0), (new - old).mean(axis=0), errors, strict=True)
            line = "".join(f"  {a:10.4f} {b:7.4f} {d:+.4f} ({e:.4f})" for a, b, d, e in cells)
            print(f"{collection:14}{size:>5} n={len(chosen):<3}{line}")


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("what", choices=["embed", "fit", "table"])
    parser.add_argument("collections", nargs="*", metavar="NAME=PHOTOS")
    parser.add_argument("--folder", type=Path, default=Path("embeddings"))
    parser.add_argument("--backbone", default="efficientnet-lite0")
    parser.add_argument("--head", default="after")
    parser.add_argument("--before", default="before")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--results", type=Path, default=RESULTS_PATH)
    arguments = parser.parse_args()
    if arguments.what == "embed":
        arguments.folder.mkdir(parents=True, exist_ok=True)
        for item in arguments.collections:
            name, _, photos_dir = item.partition("=")
            embed(photos_dir, arguments.backbone, arguments.folder / f"{name}.npz")
    elif arguments.what == "fit":
        fit(arguments.folder, arguments.head, arguments.seeds, arguments.results)
    else:
        print_table(arguments.results, arguments.before, arguments.head)


if __name__ == "__main__":
    main()
