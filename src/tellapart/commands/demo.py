"""`tellapart demo`: the whole way from photos to predictions, on photos that it draws itself."""

from dataclasses import dataclass
from pathlib import Path

from tellapart.commands.predict import PredictOutputs, write_predictions
from tellapart.commands.show import Show, show
from tellapart.config import AugmentConfig, ClassicConfig
from tellapart.demo.drawing import write_demo_zips
from tellapart.runs.job import Run
from tellapart.runs.outputs import claim_dir
from tellapart.runs.train import train
from tellapart.store import to_json_bytes, write_file
from tellapart.watcher import Watcher

_MARKER = "demo.json"
_NUM_PER_CLASS = 300
_NUM_TEST = 20
# Smaller photos, fewer epochs, a larger step and less augmentation than for real photos: over in a minute or so.
DEMO_CONFIG = ClassicConfig(
    image_size=(96, 96),
    epochs=16,
    learning_rate=5e-4,
    augment=AugmentConfig(rotation_degrees=10.0, width_shift=0.1, height_shift=0.1, zoom=0.1),
)


@dataclass(frozen=True)
class Demo:
    """What the demo left in its folder."""

    shown: Show
    run: Run
    pictures: tuple[Path, ...]


def run_demo(out_dir: Path, watcher: Watcher, config: ClassicConfig = DEMO_CONFIG) -> Demo:
    """Draws photos as Kaggle ships them, looks at them, trains on them and predicts unseen ones.

    Args:
        out_dir: new, empty, or the folder of an earlier demo, whose photos and pictures are replaced; the run gets a
            folder of its own.
        watcher: who is told about the training.
        config: how to train; the seed also decides what is drawn.

    Raises:
        OutputError: the folder holds something else, or cannot be written.
    """
    claim_dir(out_dir, _MARKER)
    write_file(out_dir / _MARKER, to_json_bytes({"kind": "tellapart demo"}))
    train_zip, test_zip = write_demo_zips(out_dir, _NUM_PER_CLASS, _NUM_TEST, config.seed)
    shown = show(train_zip, out_dir / "show")
    run = train(train_zip, _next_run_dir(out_dir), config=config, cache_dir=str(out_dir / "cache"), watcher=watcher)
    outputs = PredictOutputs(out_dir / "predictions.csv", out_dir / "predictions.png", limit=_NUM_TEST)
    write_predictions(run.run_dir, test_zip, outputs=outputs)
    pictures = (
        out_dir / "show" / "grid.png",
        out_dir / "show" / "classes.png",
        run.run_dir / "curves.png",
        out_dir / "predictions.png",
    )
    return Demo(shown, run, pictures)


def _next_run_dir(out_dir: Path) -> Path:
    number = 1
    while (out_dir / f"run-{number}").exists():
        number += 1
    return out_dir / f"run-{number}"
