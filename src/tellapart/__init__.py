"""tellapart teaches a computer to tell your own photos apart, on your own machine.

    photos = tellapart.open_photos("photos/")
    run = tellapart.train(photos, "runs/pets")
    model = tellapart.load("runs/pets")

Names are loaded when they are first used, so that importing the package costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tellapart.checkup.check_up import Checkup, check_photos
    from tellapart.commands.compare import CompareConfig, compare_recipes
    from tellapart.commands.embed import embed_to_file
    from tellapart.commands.evaluate import evaluate
    from tellapart.config import AugmentConfig, ClassicConfig, ImageLimits, ScratchConfig, SourceConfig, TransferConfig
    from tellapart.errors import (
        BundleError,
        ConfigError,
        DatasetError,
        DependencyError,
        ImageError,
        OutputError,
        TellapartError,
    )
    from tellapart.photos.sources import PhotoSet, list_photos, open_photos
    from tellapart.predict.model import Model, load
    from tellapart.records import EpochRecord, Evaluation, Finding, Prediction, Skipped, StepRecord
    from tellapart.runs.job import Run
    from tellapart.runs.train import train
    from tellapart.watcher import Watcher

__all__ = [
    "AugmentConfig",
    "BundleError",
    "Checkup",
    "ClassicConfig",
    "CompareConfig",
    "ConfigError",
    "DatasetError",
    "DependencyError",
    "EpochRecord",
    "Evaluation",
    "Finding",
    "ImageError",
    "ImageLimits",
    "Model",
    "OutputError",
    "PhotoSet",
    "Prediction",
    "Run",
    "ScratchConfig",
    "Skipped",
    "SourceConfig",
    "StepRecord",
    "TellapartError",
    "TransferConfig",
    "Watcher",
    "check_photos",
    "compare_recipes",
    "embed_to_file",
    "evaluate",
    "list_photos",
    "load",
    "open_photos",
    "train",
]

_HOMES = {
    "tellapart.config": (
        "AugmentConfig",
        "ImageLimits",
        "ScratchConfig",
        "SourceConfig",
        "ClassicConfig",
        "TransferConfig",
    ),
    "tellapart.errors": (
        "BundleError",
        "ConfigError",
        "DatasetError",
        "DependencyError",
        "ImageError",
        "OutputError",
        "TellapartError",
    ),
    "tellapart.predict.model": ("Model", "load"),
    "tellapart.photos.sources": ("PhotoSet", "list_photos", "open_photos"),
    "tellapart.records": ("EpochRecord", "Evaluation", "Finding", "Prediction", "Skipped", "StepRecord"),
    "tellapart.checkup.check_up": ("Checkup", "check_photos"),
    "tellapart.commands.compare": ("CompareConfig", "compare_recipes"),
    "tellapart.commands.embed": ("embed_to_file",),
    "tellapart.commands.evaluate": ("evaluate",),
    "tellapart.runs.job": ("Run",),
    "tellapart.watcher": ("Watcher",),
    "tellapart.runs.train": ("train",),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return __all__
