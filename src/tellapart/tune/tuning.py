"""`tellapart tune`: trials of other settings, the best of them trained as a normal run, and what its lead is worth."""

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
from numpy.typing import NDArray

from tellapart.backbones.photo_pass import look_at
from tellapart.checkup.check_up import Checkup, check_up
from tellapart.config import RecipeConfig, SourceConfig
from tellapart.decisions.decisions import apply_own_decisions
from tellapart.errors import DatasetError, DependencyError
from tellapart.installation import install_extra
from tellapart.measure.splits import Split
from tellapart.photos.photoset import PhotoSet, check_classes
from tellapart.photos.sources import Photos, open_labelled, source_paths
from tellapart.runs.held_out import hold_out, load_chosen
from tellapart.runs.job import Run
from tellapart.runs.outputs import check_dir, check_outside
from tellapart.runs.run_folder import RUN_FILE_NAME, claimed
from tellapart.runs.train import train
from tellapart.settings import TuneSettings, recipe_config, source_config, split_dial, split_settings
from tellapart.translation import gettext as _
from tellapart.tune.lead import Lead, measure_lead
from tellapart.tune.objective import TRIAL_PREFIX, Objective, with_length
from tellapart.tune.search import MODELS_NAME, Engine, Search, try_in_turn
from tellapart.tune.search_space import space_of, with_values
from tellapart.tune.study_file import KIND, MARKER_NAME, SCHEMA, make_budget, read_marker
from tellapart.tune.trial_table import TrialRecord, find_best, find_default, write_trials
from tellapart.watcher import Watcher

if TYPE_CHECKING:  # Optuna is needed by searches alone
    pass

STUDY_NAME, BEST_NAME = "study.sqlite3", "best"
_UNSEEN_FRACTION = 0.2


@dataclass(frozen=True)
class Tuning:
    """What a search has come to.

    Attributes:
        out_dir: its folder; the winner is the run in `best`.
        trials: all of them, in order.
        best: the trial that won.
        lead: what its lead is worth; `None` where the default settings won.
        run: of the winner.
        pictures: names of the pictures in the folder.
        seconds: of the whole search, earlier parts included.
    """

    out_dir: Path
    trials: tuple[TrialRecord, ...]
    best: TrialRecord
    lead: Lead | None
    run: Run
    pictures: tuple[str, ...]
    seconds: float


def tune_recipe(
    photos: Photos,
    out: str | Path,
    *,
    minutes: float | None = None,
    trials: int | None = None,
    resume: bool = False,
    watch: Callable[[TrialRecord], None] = lambda record: None,
    watcher: Watcher | None = None,
    engine: Engine | None = None,
    **settings: Unpack[TuneSettings],
) -> Tuning:
    """The best settings of a recipe that a search finds for these photos, trained as a normal run in `out/best`.

    A share of the photos is held back from all trials, and tests the winner. A search that was stopped or killed is
    resumed without its finished trials being run again.

    Args:
        photos: labelled photos, as `open_photos` takes them.
        out: folder of the search: new, empty, or with `resume` that of an earlier one.
        minutes: wall time of everything, the final training included; `None` without `trials` is 60.
        trials: how many settings are tried, instead of `minutes`.
        resume: go on with the search in `out`.
        watch: told of each trial that is over.
        watcher: who is told about the progress.
        engine: who runs the trials; `None` runs one after another here, as Optuna proposes them.
        settings: as for `train`; `recipe` says what is tuned. Those that are given are not searched.

    Raises:
        ConfigError: a setting has a wrong value, or differs from those of the search to resume.
        DatasetError: the photos cannot be used, or differ from those of the search to resume.
        BundleError: the search to resume is damaged or of another version.
        DependencyError: Optuna, or what the recipe needs, is not installed.
        OutputError: `out` is not ours, or cannot be written.
        KeyboardInterrupt: the user stopped it; finished trials are kept.
    """
    _check_installed()
    watcher, out_dir = watcher or Watcher(), Path(out)
    dial, others = split_dial(settings)
    of_recipe, of_source = split_settings(others, TuneSettings)
    source, config = source_config(of_source), recipe_config(of_recipe)
    config = replace(config, validation_fraction=config.validation_fraction or _UNSEEN_FRACTION)
    space = space_of(config, of_recipe)
    for named in source_paths(photos):
        check_outside(out_dir, Path(named))
    check_dir(out_dir, MARKER_NAME)
    described = {"kind": KIND, "schema": SCHEMA, "config": _plain(asdict(config)), "fields": sorted(space)}
    stored = read_marker(out_dir, resume, described)
    budget = make_budget(minutes, trials, stored)
    with claimed(out_dir, MARKER_NAME):
        checkup, split, confirmed = _hold_back(photos, source, config, watcher)
        described |= {"photos": _key_of(checkup), "minutes": budget.minutes, "num_trials": budget.num_trials}
        if stored.get("photos") not in (None, described["photos"]):
            said = _(
                "the photos of {source!r} are not those of the study in {folder!r}. Tune again with another `out`."
            )
            raise DatasetError(said.format(source=checkup.photos.source, folder=str(out_dir)))
        searched = replace(checkup.photos.take(split.train), skipped=(), notes=())
        objective = Objective(searched, replace(source, per_class=None), out_dir, confirmed, watcher)
        search = Search(out_dir, config, space, budget, checkup, split, objective, described, watch)
        search.save()
        return _tune(search, engine or try_in_turn, photos, source, dict(dial_settings(dial)))


def dial_settings(dial: Any) -> Mapping[str, Any]:
    """The settings of the dial that were given."""
    return {name: value for name, value in asdict(dial).items() if value is not None}


def _tune(search: Search, engine: Engine, photos: Photos, source: SourceConfig, dial: dict[str, Any]) -> Tuning:
    """The story of a search: trials, the pictures of them, the winner as a run, and what its lead is worth."""
    from tellapart.tune.optuna_study import open_study
    from tellapart.tune.trial_pictures import draw_study

    watcher, out_dir = search.objective.watcher, search.out_dir
    for left in out_dir.glob(f"{TRIAL_PREFIX}*"):
        shutil.rmtree(left, ignore_errors=True)
    with open_study(out_dir / STUDY_NAME, search.space, search.config.seed) as study:
        study.close_stale()
        try:
            engine(search, study)
        finally:
            write_trials(out_dir, study.records())
        trials = tuple(study.records())
        watcher.on_stage(_("drawing the trials"))
        pictures = tuple(draw_study(study.study, out_dir))
    best = find_best(trials)
    assert best is not None, "the default has a result, or its error was raised"
    lead = _measure(search, trials, best)
    run = _train_best(search, best, photos, source, dial)
    if run.is_stopped:
        raise KeyboardInterrupt
    tuning = Tuning(out_dir, trials, best, lead, run, pictures, search.budget.seconds)
    search.save(best=asdict(best) | {"values": _plain(dict(best.values))}, lead=lead and asdict(lead))
    return tuning


def _measure(search: Search, trials: tuple[TrialRecord, ...], best: TrialRecord) -> Lead | None:
    """What the lead of the best trial is worth; `None` where it is that of the default settings."""
    default = find_default(trials)
    assert default is not None, "or its error was raised"
    if best == default:
        return None
    search.objective.watcher.on_stage(_("testing the winner on photos that no trial saw"))
    assert best.validation_accuracy is not None and default.validation_accuracy is not None
    rows = search.split.validation
    models = search.out_dir / MODELS_NAME
    unseen = replace(search.checkup.photos.take(rows), skipped=())
    accuracies = (best.validation_accuracy, default.validation_accuracy)
    groups = search.checkup.group_numbers[rows]
    return measure_lead(models / str(best.number), models / str(default.number), accuracies, unseen, groups)


def _train_best(search: Search, best: TrialRecord, photos: Photos, source: SourceConfig, dial: dict[str, Any]) -> Run:
    """The winner as a normal run, within the time that is left; its test photos are those that no trial saw."""
    run_dir, watcher, left = search.out_dir / BEST_NAME, search.objective.watcher, search.budget.final_seconds
    if (run_dir / RUN_FILE_NAME).exists():
        return train(photos, run_dir, source=source, resume=True, watcher=watcher)
    config = with_values(search.config, best.values)
    if left is not None:
        # An epoch of the final training has the photos that a trial held out as well.
        share = len(search.split.train) * (1 - (search.config.validation_fraction or _UNSEEN_FRACTION))
        epoch_seconds = best.seconds / max(1, best.num_epochs) * len(search.split.train) / max(1.0, share)
        most = getattr(search.config, "epochs", None) or best.num_epochs
        config = with_length(config, max(1, min(most, int(left / max(epoch_seconds, 1e-6)))), left)
    return train(photos, run_dir, config=config, source=source, watcher=watcher, **dial)


def _hold_back(
    photos: Photos, source: SourceConfig, config: RecipeConfig, watcher: Watcher
) -> tuple[Checkup, Split, frozenset[tuple[str, str]]]:
    """The photos, which of them trials see (`train`) and which test the winner (`validation`), as a training draws."""
    opened = open_labelled(photos, source)
    for note in opened.notes:
        watcher.on_note(note)
    decided = apply_own_decisions(opened, watcher)

    def look(chosen: PhotoSet) -> Any:
        return look_at(chosen, cache_dir=source.cache_dir, watcher=watcher)

    seen = load_chosen(decided.photos, source.per_class, config.seed, look)
    check_classes(seen.photos.counts(), seen.photos.source)
    checkup = check_up(seen, config.seed, decided.confirmed)
    fraction = config.validation_fraction or _UNSEEN_FRACTION
    return checkup, hold_out(checkup.photos, checkup.group_numbers, fraction, config.seed), decided.confirmed


def _key_of(checkup: Checkup) -> str:
    names = "".join(checkup.seen.digests) + json.dumps(checkup.photos.class_names)
    labels: NDArray[np.int64] | None = checkup.photos.labels
    return hashlib.sha256(names.encode() + (b"" if labels is None else labels.tobytes())).hexdigest()


def _check_installed() -> None:
    try:
        import optuna  # noqa: F401
    except ModuleNotFoundError as exc:
        raise DependencyError(
            _("tuning needs {name}, which is not installed. Install it with: {command}").format(
                name=exc.name, command=install_extra("tune")
            ),
            name=exc.name,
        ) from exc


def _plain(value: Any) -> Any:
    """The value as JSON gives it back."""
    return json.loads(json.dumps(value))
