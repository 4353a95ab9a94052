"""`tellapart demo`: the whole way from photos to predictions, on drawn photos that ship with the package."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tellapart.commands.predict import PredictOutputs, write_predictions
from tellapart.config import TransferConfig
from tellapart.demo.collection import TRAPS, DemoPhotos, unpack_collection
from tellapart.runs.job import Run
from tellapart.runs.outputs import claim_dir
from tellapart.runs.run_report import CHECK_NAME
from tellapart.runs.train import train
from tellapart.store import to_json_bytes, write_file
from tellapart.watcher import Watcher

_MARKER = "demo.json"
# What kinds of finding name each planted mistake.
_FOUND_AS = {
    "wrong label": ("label_suspects",),
    "copy": ("copies", "near"),
    "foreign photo": ("outliers", "label_suspects", "masks"),
}
_NOT_SURE, _NONE_OF_THESE = 0.05, 0.05


@dataclass(frozen=True)
class Demo:
    """What the demo left in its folder.

    Attributes:
        photos: the unpacked photos.
        run: the training.
        found: kind of planted mistake to how many the check-up names, and of how many.
        answers: answer to how many of the new photos got it.
        table, picture: of these answers.
    """

    photos: DemoPhotos
    run: Run
    found: Mapping[str, tuple[int, int]]
    answers: Mapping[str, int]
    table: Path
    picture: Path


def run_demo(
    out_dir: Path, watcher: Watcher, config: TransferConfig = TransferConfig(), cache_dir: str | None = None
) -> Demo:
    """Unpacks the photos, trains on them, and predicts new ones.

    Args:
        out_dir: new, empty, or the folder of an earlier demo, whose photos and answers are replaced; the run gets a
            folder of its own.
        watcher: who is told about the training.
        config: how to train.
        cache_dir: as for a training.

    Raises:
        OutputError: the folder holds something else, or cannot be written.
    """
    claim_dir(out_dir, _MARKER)
    write_file(out_dir / _MARKER, to_json_bytes({"kind": "tellapart demo"}))
    photos = unpack_collection(out_dir)
    run = train(photos.labelled, _next_run_dir(out_dir), config=config, cache_dir=cache_dir, watcher=watcher)
    table, picture = out_dir / "answers.csv", out_dir / "answers.png"
    outputs = PredictOutputs(table, picture, limit=len(list(photos.new.iterdir())))
    summary = write_predictions(
        run.run_dir, photos.new, outputs=outputs, not_sure=_NOT_SURE, none_of_these=_NONE_OF_THESE
    )
    return Demo(photos, run, _count_found(photos, run.run_dir), dict(summary.counts), table, picture)


def _count_found(photos: DemoPhotos, run_dir: Path) -> dict[str, tuple[int, int]]:
    """How many of the planted mistakes of each kind the check-up of the run names, and of how many."""
    findings = json.loads((run_dir / CHECK_NAME).read_bytes())["findings"]
    named: dict[str, set[str]] = {}
    for finding in findings:
        paths = {"/".join(Path(path).parts[-2:]) for example in finding["examples"] for path in example}
        named.setdefault(finding["kind"], set()).update(paths)
    planted = Counter(photos.planted.values())
    found = {trap: set[str]().union(*(named.get(kind, set()) for kind in _FOUND_AS[trap])) for trap in TRAPS}
    return {
        trap: (sum(path in found[trap] for path, one in photos.planted.items() if one == trap), planted[trap])
        for trap in TRAPS
    }


def _next_run_dir(out_dir: Path) -> Path:
    number = 1
    while (out_dir / f"run-{number}").exists():
        number += 1
    return out_dir / f"run-{number}"
