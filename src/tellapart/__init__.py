"""tellapart teaches a computer to tell your own photos apart, on your own machine.

    photos = tellapart.open_photos("photos/")
    run = tellapart.train(photos, "runs/pets")
    model = tellapart.load("runs/pets")
    for prediction in model.predict("new/"):
        print(prediction.path, prediction.class_name, prediction.probability)

Names are loaded when they are first used, so that importing the package costs nothing. Only the names listed here are
public; the modules they come from may move.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tellapart.checkup.check_up import Checkup as Checkup
    from tellapart.checkup.check_up import check as check
    from tellapart.commands.backbone import PackSummary as PackSummary
    from tellapart.commands.backbone import pack_backbone as pack_backbone
    from tellapart.commands.compare import compare as compare
    from tellapart.commands.dial import DialSummary as DialSummary
    from tellapart.commands.dial import set_dial as set_dial
    from tellapart.commands.embed import embed as embed
    from tellapart.commands.evaluate import evaluate as evaluate
    from tellapart.commands.fix import fix as fix
    from tellapart.commands.predict import PredictOutputs as PredictOutputs
    from tellapart.commands.predict import write_predictions as write_predictions
    from tellapart.commands.show import show as show
    from tellapart.config import AugmentConfig as AugmentConfig
    from tellapart.config import ClassicConfig as ClassicConfig
    from tellapart.config import FinetuneConfig as FinetuneConfig
    from tellapart.config import ImageLimits as ImageLimits
    from tellapart.config import ScratchConfig as ScratchConfig
    from tellapart.config import SourceConfig as SourceConfig
    from tellapart.config import TransferConfig as TransferConfig
    from tellapart.demo.drawing import write_demo_zips as write_demo_zips
    from tellapart.errors import BundleError as BundleError
    from tellapart.errors import ClusterError as ClusterError
    from tellapart.errors import ConfigError as ConfigError
    from tellapart.errors import DatasetError as DatasetError
    from tellapart.errors import DependencyError as DependencyError
    from tellapart.errors import ExportError as ExportError
    from tellapart.errors import ImageError as ImageError
    from tellapart.errors import OutputError as OutputError
    from tellapart.errors import TellapartError as TellapartError
    from tellapart.export.export_model import Export as Export
    from tellapart.export.export_model import export_model as export_model
    from tellapart.export.proof import Proof as Proof
    from tellapart.measure.scores import Comparison as Comparison
    from tellapart.measure.scores import Evaluation as Evaluation
    from tellapart.measure.scores import ModelEvaluation as ModelEvaluation
    from tellapart.photos.photoset import PhotoSet as PhotoSet
    from tellapart.photos.sources import open_photos as open_photos
    from tellapart.predict.answers import Predictions as Predictions
    from tellapart.predict.model import Model as Model
    from tellapart.predict.model import load as load
    from tellapart.records import EpochRecord as EpochRecord
    from tellapart.records import Finding as Finding
    from tellapart.records import Prediction as Prediction
    from tellapart.records import Skipped as Skipped
    from tellapart.records import StepRecord as StepRecord
    from tellapart.runs.job import Run as Run
    from tellapart.runs.run_report import rebuild_report as rebuild_report
    from tellapart.runs.train import train as train
    from tellapart.training.augment import augment as augment
    from tellapart.translation import use_language as use_language
    from tellapart.tune.lead import Lead as Lead
    from tellapart.tune.trial_table import TrialRecord as TrialRecord
    from tellapart.tune.tuning import Tuning as Tuning
    from tellapart.tune.tuning import tune_recipe as tune_recipe
    from tellapart.watcher import Watcher as Watcher

    __version__: str

_HOMES = {
    "checkup.check_up": "Checkup check",
    "commands.backbone": "PackSummary pack_backbone",
    "commands.compare": "compare",
    "commands.dial": "DialSummary set_dial",
    "commands.embed": "embed",
    "commands.evaluate": "evaluate",
    "commands.fix": "fix",
    "commands.predict": "PredictOutputs write_predictions",
    "commands.show": "show",
    "config": "AugmentConfig ClassicConfig FinetuneConfig ImageLimits ScratchConfig SourceConfig TransferConfig",
    "demo.drawing": "write_demo_zips",
    "errors": (
        "BundleError ClusterError ConfigError DatasetError DependencyError ExportError ImageError OutputError "
        "TellapartError"
    ),
    "export.export_model": "Export export_model",
    "export.proof": "Proof",
    "photos.photoset": "PhotoSet",
    "photos.sources": "open_photos",
    "predict.answers": "Predictions",
    "predict.model": "Model load",
    "measure.scores": "Comparison Evaluation ModelEvaluation",
    "records": "EpochRecord Finding Prediction Skipped StepRecord",
    "runs.job": "Run",
    "runs.run_report": "rebuild_report",
    "runs.train": "train",
    "training.augment": "augment",
    "translation": "use_language",
    "tune.lead": "Lead",
    "tune.trial_table": "TrialRecord",
    "tune.tuning": "Tuning tune_recipe",
    "watcher": "Watcher",
}
_HOME_OF = {name: f"{__name__}.{module}" for module, names in _HOMES.items() for name in names.split()}
__all__ = sorted([*_HOME_OF, "__version__"])


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version(__name__)
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOME_OF[name]), name)
    value.__module__ = __name__  # what a traceback or `help` shows is what the user can import
    return value


def __dir__() -> list[str]:
    return __all__
