"""`tellapart predict`: photos nobody has labelled in, what the model says of each out.

The predictions are a stream that every output takes from as it passes; none of them keeps more than it shows, so that
100,000 photos need no more memory than a thousand.
"""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import numpy as np
from numpy.typing import NDArray

from tellapart.errors import ConfigError, DatasetError, ImageError
from tellapart.images.gate import decode_photo
from tellapart.images.preprocess import load_image
from tellapart.measure.number_words import percent
from tellapart.photos.photoset import PhotoSet
from tellapart.photos.sources import Photos, list_photos, source_paths
from tellapart.predict.model import Model, load
from tellapart.records import Prediction, Skipped
from tellapart.runs.outputs import OutputFile, check_output_files, has_columns, has_png_mark
from tellapart.settings import AnswerSettings
from tellapart.store import open_whole, to_csv_bytes, write_file
from tellapart.translation import gettext as _
from tellapart.translation import ngettext

if TYPE_CHECKING:
    from tellapart.commands.sorting import PhotoSorter, SortedPhotos
    from tellapart.commands.submission import Submission, SubmissionWriter

Result = Prediction | Skipped
# Takes each result in order, with its number: the row of the photo, and beyond the rows for files set aside.
Taker = Callable[[int, Result], None]

# A photo in the grid is at most this large on paper; larger JPEGs are decoded at a reduced scale.
_GRID_SIZE = (480, 480)
# Stands for a photo that has gone.
_GONE = np.full((48, 64, 3), 200, np.uint8)
_COLUMNS = ("path", "predicted_class", "probability")


@dataclass(frozen=True)
class PredictOutputs:
    """What is made of the predictions, besides the summary.

    Attributes:
        csv: a row for each photo.
        grid: a picture of the first photos that can be read.
        heatmap: the picture shows where the model looked.
        submission: the competition's sample file, and the file to write.
        sort_into: a copy of each photo in a folder per predicted class.
        limit: predictions in the summary and photos in the picture, at most; one is always taken.
    """

    csv: Path | None = None
    grid: Path | None = None
    heatmap: bool = False
    submission: tuple[Path, Path] | None = None
    sort_into: Path | None = None
    limit: int = 10

    def __post_init__(self) -> None:
        if self.heatmap and self.grid is None:
            raise ConfigError(
                _("`heatmap` is drawn into the picture of `grid`, and there is no `grid`. Give `grid=FILE.png` too."),
                field="heatmap",
                value=True,
            )


@dataclass
class PredictSummary:
    """What was predicted, in numbers; complete when `write_predictions` returns it.

    Attributes:
        first: the first predictions with their rows, as many as are shown.
        counts: answer to photos, without classes that no photo has.
        first_skipped: the first photos that could not be read, and files that are none.
        num_skipped: how many there are of them.
        submission: what was written of one.
        sorted_photos: what was copied.
        notes: what is to be said of the photos and the sample, and what the settings come to, a sentence each.
    """

    first: list[tuple[int, Prediction]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    first_skipped: list[Skipped] = field(default_factory=list)
    num_skipped: int = 0
    submission: "Submission | None" = None
    sorted_photos: "SortedPhotos | None" = None
    notes: tuple[str, ...] = ()


def write_predictions(
    model: Model | str | Path,
    photos: Photos,
    *,
    outputs: PredictOutputs = PredictOutputs(),
    runtime: str = "float32",
    on_photo: Callable[[int, int], None] = lambda num_done, num_photos: None,
    **settings: Unpack[AnswerSettings],
) -> PredictSummary:
    """What the model says of the photos, in numbers, with all that was asked for written.

    Args:
        model: the model, or the folder that training made.
        photos: an opened photo set, or photos, folders and zips.
        outputs: what to write.
        runtime: of a model that is given as a folder, as for `load`.
        on_photo: told after each photo how many are done, and of how many.
        settings: when the model answers, and with which class, as for `Model.predict`.

    Raises:
        BundleError: the folder holds no model that can be used.
        DatasetError: a path does not exist, no photo can be read, or the submission lacks one.
        ConfigError: a heat map, a rate, a threshold or a runtime is asked for that the model does not have.
        OutputError: a file cannot be written, or is not an earlier one of its kind; it is then as it was.
    """
    _check_outputs(outputs, source_paths(photos))
    model = model if isinstance(model, Model) else load(model, runtime)
    if outputs.heatmap:
        model.check_activation_maps()
    submission = _submission_writer(outputs, model)
    opened = _open(photos)
    predictions = model.predict(opened, **settings)
    summary = PredictSummary()
    with contextlib.ExitStack() as stack:
        # Closed at once when an output fails or the user stops, so that no thread goes on predicting.
        stack.enter_context(contextlib.closing(predictions))
        takers: list[Taker] = [_summary_taker(summary, outputs.limit)]
        if submission is not None:
            takers.append(lambda row, result: submission.add(result))
        if outputs.csv is not None:
            takers.append(stack.enter_context(_csv_taker(outputs.csv, model)))
        sorter: PhotoSorter | None = None
        if outputs.sort_into is not None:
            from tellapart.commands.sorting import sort_photos  # only who sorts needs it

            sorting = sort_photos(outputs.sort_into, source_paths(photos), opened, predictions.answers)
            sorter = stack.enter_context(sorting)
            takers.append(sorter.add)
        for row, result in predictions.items():
            for take in takers:
                take(row, result)
            if row < len(opened):
                on_photo(row + 1, len(opened))
        if not summary.counts:  # before any file is there
            raise _no_predictions(opened, summary)
    sample_notes = () if submission is None else submission.notes
    map_notes = _judge_maps(model) if outputs.heatmap else ()
    summary.notes = (*opened.notes, *sample_notes, *predictions.notes, *map_notes)
    # The CSV and the sorted photos are there; what follows may still fail for reasons of its own.
    if sorter is not None:
        summary.sorted_photos = sorter.done
    if outputs.grid is not None:
        _write_grid(outputs.grid, model, opened, summary.first, outputs.heatmap)
    if submission is not None:
        summary.submission = submission.write()
    return summary


def _no_predictions(photos: PhotoSet, summary: PredictSummary) -> DatasetError:
    """The error for photos of which none could be read; outputs that were begun are given up."""
    first = summary.first_skipped[0]
    return DatasetError(
        ngettext(
            "there are no predictions, because {path!r} {reason}.",
            "none of the {num:,} files of {source!r} can be read, so there are no predictions. The first is "
            "{path!r}: {reason}. `tellapart show` lists the reasons.",
            summary.num_skipped,
        ).format(num=summary.num_skipped, source=photos.source, path=first.path, reason=first.reason),
        paths=[item.path for item in summary.first_skipped],
    )


def _submission_writer(outputs: PredictOutputs, model: Model) -> "SubmissionWriter | None":
    if outputs.submission is None:
        return None
    from tellapart.commands.submission import SubmissionWriter  # only a competition needs it

    return SubmissionWriter(*outputs.submission, model.class_names)


def _open(photos: Photos) -> PhotoSet:
    opened = photos if isinstance(photos, PhotoSet) else list_photos(source_paths(photos))
    if not len(opened) and not opened.skipped:
        raise DatasetError(
            _("there are no photos in {source!r}. Give photos, or folders and zips with photos in them.").format(
                source=opened.source
            ),
            paths=[opened.source],
        )
    return opened


def _check_outputs(outputs: PredictOutputs, sources: Sequence[str | Path]) -> None:
    files: list[OutputFile] = []
    if outputs.csv is not None:
        files.append(OutputFile(outputs.csv, "csv", _("a table of predictions"), has_columns(*_COLUMNS)))
    if outputs.grid is not None:
        files.append(OutputFile(outputs.grid, "grid", _("a picture"), has_png_mark))
    sample: tuple[Path, ...] = ()
    if outputs.submission is not None:
        from tellapart.commands.submission import is_submission_for

        sample, out_path = outputs.submission[:1], outputs.submission[1]
        files.append(OutputFile(out_path, "out", _("a submission for this sample"), is_submission_for(sample[0])))
    check_output_files(files, [*sources, *sample])
    if outputs.sort_into is not None:
        from tellapart.commands.sorting import check_sort_dir

        check_sort_dir(outputs.sort_into, sources)


def _summary_taker(summary: PredictSummary, limit: int) -> Taker:
    shown = max(1, limit)

    def take(row: int, result: Result) -> None:
        if isinstance(result, Skipped):
            summary.num_skipped += 1
            if len(summary.first_skipped) < shown:
                summary.first_skipped.append(result)
        else:
            summary.counts[result.answer] += 1
            if len(summary.first) < shown:
                summary.first.append((row, result))

    return take


@contextlib.contextmanager
def _csv_taker(path: Path, model: Model) -> Iterator[Taker]:
    """A row for each photo that could be read, in a file that appears when the block has ended.

    Columns: `path`, `predicted_class`, `probability`, `p_<class>` for each class, `nearest_class`, `distance` where the
    model has it, and `answer`; 6 significant digits. A photo that is refused has neither class nor probability.
    """
    header = [*_COLUMNS, *(f"p_{name}" for name in model.class_names), "nearest_class"]
    header += ["distance"] * model.has_distances + ["answer"]
    with open_whole(path) as file:
        file.write(to_csv_bytes([header]))

        def take(row: int, result: Result) -> None:
            if isinstance(result, Prediction):
                start = [result.path, result.class_name or "", _digits(result.probability)]
                shares = map(_digits, result.probabilities)
                distance = [_digits(result.distance)] * model.has_distances
                cells = [*start, *shares, result.nearest_class, *distance, result.answer]
                file.write(to_csv_bytes([cells], is_start=False))

        yield take


def _digits(number: float | None) -> str:
    return "" if number is None else f"{number:.6g}"


def _write_grid(
    path: Path, model: Model, photos: PhotoSet, shown: Sequence[tuple[int, Prediction]], heatmap: bool
) -> None:
    """Writes a PNG with these photos, each under its class and probability."""
    # Matplotlib takes half a second to load, which a prediction without a picture need not wait for.
    from tellapart.report.figures import figure_png
    from tellapart.report.grid import draw_grid

    images = []
    for row, prediction in shown:
        try:
            data = photos.read(row)
            image = decode_photo(data, photos.limits, _GRID_SIZE, model.preprocess.depths).image
            if heatmap:
                seen = load_image(data, model.preprocess, photos.limits)
                image = _draw_heatmap(model, image, seen, prediction.forced_class)
        except ImageError:  # it has gone since it was predicted
            image = _GONE
        images.append(image)
    titles = [describe_answer(prediction) for _unused, prediction in shown]
    write_file(path, figure_png(draw_grid(images, titles)))


def describe_answer(prediction: Prediction) -> str:
    """The answer with its probability, which a refusal has not: `cat 98.0%`, `not sure`."""
    if prediction.probability is None:
        return prediction.answer
    return f"{prediction.answer} {percent(prediction.probability)}"


def _judge_maps(model: Model) -> tuple[str, ...]:
    """A sentence where the model's maps have too few places to show anything."""
    from tellapart.report.pictures import judge_map

    (maps,) = model.activation_maps(np.zeros((1, *model.preprocess.shape), np.uint8))
    if judge_map(maps[0]) != "coarse":
        return ()
    said = _(
        "The heat maps of this model have only {width} x {height} places, too few to show where it looked. Train with "
        "a larger `image_size` for finer ones."
    )
    return (said.format(width=maps.shape[2], height=maps.shape[1]),)


def _draw_heatmap(
    model: Model, image: NDArray[np.uint8], seen: NDArray[np.uint8], class_name: str
) -> NDArray[np.uint8]:
    """The image with the places that speak for the class; `seen` is the image as the model sees it."""
    from tellapart.report.pictures import overlay_map

    (maps,) = model.activation_maps(seen[np.newaxis])
    return overlay_map(image, maps[model.class_names.index(class_name)])
