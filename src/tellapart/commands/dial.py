"""`tellapart dial`: from which probability on a model answers with one of its classes, kept in its bundle."""

from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Unpack

from tellapart.config import DialConfig
from tellapart.measure.scores import OperatingCurve
from tellapart.predict.bundle import RUN_FILE, read_bundle, write_bundle
from tellapart.predict.dial import choose_dial, describe_dial
from tellapart.records import Dial
from tellapart.runs.run_folder import claimed
from tellapart.settings import DialSettings
from tellapart.translation import gettext as _


@dataclass(frozen=True)
class DialSummary:
    """The dial of a model, and what other thresholds would do.

    Attributes:
        dial: the one that is in force now; `None` where the most probable class wins.
        curve: of the class of the dial, else of the class with the fewest photos; `None` where none was measured.
        sentence: what the dial does.
    """

    dial: Dial | None
    curve: OperatingCurve | None
    sentence: str


def set_dial(model_dir: str | Path, **settings: Unpack[DialSettings]) -> DialSummary:
    """The dial of a model, after setting it; without settings as it is, and nothing is written.

    Args:
        model_dir: the folder that training made, or a copy of its bundle.
        settings: `threshold={"cracked": 0.2}`, `max_missed={"cracked": 0.02}`, or `threshold="off"`.

    Raises:
        BundleError: the folder holds no model, or a damaged one.
        ConfigError: a setting has a value it cannot have, or names no class of the model.
        OutputError: the bundle cannot be written; it is then as it was. Or a training writes into the folder.
    """
    config, folder = DialConfig(**settings), Path(model_dir)
    bundle = read_bundle(folder)
    dial = choose_dial(config, bundle.class_names, bundle.operating, bundle.dial)
    if dial != bundle.dial:
        with claimed(folder) if (folder / RUN_FILE).exists() else nullcontext():
            write_bundle(folder, replace(bundle, dial=dial))
    if dial is None:
        fewest = min(bundle.operating, key=lambda curve: curve.num_photos, default=None)
        return DialSummary(None, fewest, _("The model answers with the most probable class."))
    curve = next((curve for curve in bundle.operating if curve.class_name == dial.class_name), None)
    return DialSummary(dial, curve, describe_dial(dial, bundle.operating))
