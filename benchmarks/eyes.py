"""What image size, a mirrored view and a larger network are worth to a head: a row a fit in `eyes.csv`.

`python benchmarks/eyes.py embed NAME=PHOTOS ... --folder F` keeps embeddings of each collection by each network, and
`python benchmarks/eyes.py fit --folder F` fits heads to 10 and 30 photos of each class and four fifths of all. Splits
and figures are those of `heads.py`. `cost` is multiplications for a photo; EfficientNet-Lite0 at 224 pixels has 1.
"""

import argparse
import csv
from pathlib import Path

import numpy as np

from heads import FIGURES, embed, judge, split
from tellapart.backbones.pretrained import MIRRORED, find_packaged
from tellapart.heads.head import fit_head
from tellapart.heads.head_data import HeadData

RESULTS_PATH = Path(__file__).parent / "eyes.csv"
BACKBONES = ("efficientnet-lite0", "efficientnet-lite0@288", "efficientnet-lite2")
SIZES = ("10", "30", "all")
COLUMNS = ("collection", "eyes", "cost", "size", "seed", *FIGURES)


def fit(folder: Path, num_seeds: int, results: Path) -> None:
    """Fits a head to what each network sees, as it is and with the mirrored view."""
    with results.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for path in sorted(folder.glob("*+*.npz")):
            collection, _, backbone = path.stem.partition("+")
            data = np.load(path)
            labels, groups = data["labels"], data["groups"]
            views = {backbone: data["plain"], backbone + MIRRORED: (data["plain"] + data["mirrored"]) / 2}
            for name, embeddings in views.items():
                packaged = find_packaged(name)
                assert packaged is not None
                for size in SIZES:
                    for seed in range(num_seeds):
                        learnt, judged = split(labels, groups, size, seed)
                        examples = HeadData(embeddings[learnt], labels[learnt], groups[learnt], int(labels.max()) + 1)
                        head = fit_head(examples, 5, seed)
                        figures = judge(head.probabilities(embeddings[judged]), labels[judged], labels[learnt])
                        values = [f"{value:.4f}" for value in figures]
                        writer.writerow([collection, name, f"{packaged.cost:.2f}", size, seed, *values])
                        file.flush()


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("what", choices=["embed", "fit"])
    parser.add_argument("collections", nargs="*", metavar="NAME=PHOTOS")
    parser.add_argument("--folder", type=Path, default=Path("embeddings"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--results", type=Path, default=RESULTS_PATH)
    arguments = parser.parse_args()
    if arguments.what == "fit":
        fit(arguments.folder, arguments.seeds, arguments.results)
        return
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for item in arguments.collections:
        name, _, photos_dir = item.partition("=")
        for backbone in BACKBONES:
            embed(photos_dir, backbone, arguments.folder / f"{name}+{backbone}.npz")


if __name__ == "__main__":
    main()
