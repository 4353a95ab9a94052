"""`tellapart predict`: photos nobody has labelled in, what the model says of each out.

The predictions are a stream that every output takes from as it passes; none of them keeps more than it shows, so that
100,000 photos need no more memory than a thousand.
"""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tellapart.commands.sorting import PhotoSorter, SortedPhotos, sort_photos
from tellapart.commands.submission import Submission, SubmissionWriter, is_submission_for
from tellapart.config import ImageLimits
from tellapart.errors import ConfigError, DatasetError
from tellapart.images.gate import decode_image
from tellapart.images.preprocess import load_image
from tellapart.photos.photoset import PhotoSet
from tellapart.photos.sources import list_photos
from tellapart.predict.answers import AnswerConfig, AnswerRule
from tellapart.predict.predictor import Predictor, load
from tellapart.records import Prediction, Skipped
from tellapart.runs.outputs import OutputFile, check_output_files, has_columns, has_png_mark
from tellapart.store import open_whole, to_csv_bytes, write_file

Result = Prediction | Skipped
# Takes each result in order, with its number: the row of the photo, and beyond the rows for files set aside.
Taker = Callable[[int, Result], None]

# A photo in the grid is at most this large on paper; larger JPEGs are decoded at a reduced scale.
_GRID_SIZE = (480, 480)
_COLUMNS = ("path", "predicted_class", "probability")


@dataclass(frozen=True)
class PredictOutputs:
    """What is made of the predictions, besides the summary.

    Attributes:
        csv_path: a row for each photo.
        grid_path: a picture of the first photos that can be read.
        has_heatmap: the picture shows where the model looked.
        submission: the competition's sample file, and the file to write.
        sort_dir: a copy of each photo in a folder per predicted class.
        limit: predictions in the summary and photos in the picture, at most; one is always taken.
        answers: when the model may not answer.
    """

    csv_path: Path | None = None
    grid_path: Path | None = None
    has_heatmap: bool = False
    submission: tuple[Path, Path] | None = None
    sort_dir: Path | None = None
    limit: int = 10
    answers: AnswerConfig = AnswerConfig()

    def __post_init__(self) -> None:
        if self.has_heatmap and self.grid_path is None:
            raise ConfigError(
                "--heatmap is drawn into the picture of --grid, and there is no --grid; pass --grid FILE.png as well."
            )


@dataclass
class PredictSummary:
    """What was predicted, in numbers; complete when `predict_photos` returns it.

    Attributes:
        first: the first predictions with their rows, as many as are shown.
        counts: answer to photos, without classes that no photo has.
        first_skipped: the first photos that could not be read, and files that are none.
        num_skipped: how many there are of them.
        submission: what was written of one.
        sorted_photos: what was copied.
        notes: what the rates of doubt come to, a sentence each.
    """

    first: list[tuple[int, Prediction]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    first_skipped: list[Skipped] = field(default_factory=list)
    num_skipped: int = 0
    submission: Submission | None = None
    sorted_photos: SortedPhotos | None = None
    notes: tuple[str, ...] = ()


def open_model(
    model_dir: str | Path, sources: PhotoSet | Sequence[str | Path], limits: ImageLimits = ImageLimits()
) -> tuple[Predictor, PhotoSet]:
    """The model and the photos it is to look at, both checked; no photo is read yet.

    Args:
        model_dir: the folder that training made.
        sources: an opened photo set, or photos, folders and zips.
        limits: the largest photo that is decoded; a photo set has its own.

    Raises:
        BundleError: the folder holds no model that can be used.
        DatasetError: a source does not exist, or there is no photo in any.
    """
    predictor = load(model_dir)
    photos = sources if isinstance(sources, PhotoSet) else list_photos(sources, limits)
    if not len(photos) and not photos.skipped:
        raise DatasetError(
            f"there are no photos in {photos.source!r}; photos, and folders and zips with photos in them, are "
            "accepted. Check the path."
        )
    return predictor, photos


def predict_photos(
    model_dir: str | Path,
    sources: PhotoSet | Sequence[str | Path],
    outputs: PredictOutputs = PredictOutputs(),
    *,
    limits: ImageLimits = ImageLimits(),
    on_photo: Callable[[int, int], None] = lambda num_done, num_photos: None,
) -> PredictSummary:
    """What the model says of the photos, in numbers, with all that was asked for written.

    Args:
        model_dir, sources, limits: as for `open_model`.
        outputs: what to write.
        on_photo: told after each photo how many are done, and of how many.

    Raises:
        BundleError, DatasetError: as for `open_model`; or no photo can be drawn, or the submission lacks a photo.
        ConfigError: a heat map of a model that has none is asked for.
        OutputError: a file cannot be written, or is not an earlier one of its kind; it is then as it was.
    """
    _check_outputs(outputs, [sources.source] if isinstance(sources, PhotoSet) else sources)
    predictor, photos = open_model(model_dir, sources, limits)
    if outputs.has_heatmap:
        predictor.check_activation_maps()
    rule = AnswerRule(predictor, outputs.answers)
    summary = PredictSummary(notes=rule.notes)
    submission = SubmissionWriter(*outputs.submission, predictor.class_names) if outputs.submission else None
    with contextlib.ExitStack() as stack:
        takers: list[Taker] = [_summary_taker(summary, outputs.limit)]
        if submission is not None:
            takers.append(lambda row, result: submission.add(result))
        if outputs.csv_path is not None:
            takers.append(stack.enter_context(_csv_taker(outputs.csv_path, predictor.class_names, outputs.answers)))
        sorter: PhotoSorter | None = None
        if outputs.sort_dir is not None:
            named = [photos.source] if isinstance(sources, PhotoSet) else sources
            answers = (*predictor.class_names, *outputs.answers.doubts)
            sorter = stack.enter_context(sort_photos(outputs.sort_dir, named, photos, answers))
            takers.append(sorter.add)
        _run(predictor, rule, photos, takers, on_photo)
    # The CSV and the sorted photos are there; what follows may still fail for reasons of its own.
    if sorter is not None:
        summary.sorted_photos = sorter.done
    if outputs.grid_path is not None:
        _write_grid(outputs.grid_path, predictor, photos, summary.first, outputs.has_heatmap)
    if submission is not None:
        summary.submission = submission.write()
    return summary


def _check_outputs(outputs: PredictOutputs, sources: Sequence[str | Path]) -> None:
    files: list[OutputFile] = []
    if outputs.csv_path is not None:
        files.append(OutputFile(outputs.csv_path, "csv", "a table of predictions", has_columns(*_COLUMNS)))
    if outputs.grid_path is not None:
        files.append(OutputFile(outputs.grid_path, "grid", "a picture", has_png_mark))
    sample: tuple[Path, ...] = ()
    if outputs.submission is not None:
        sample, out_path = outputs.submission[:1], outputs.submission[1]
        files.append(OutputFile(out_path, "out", "a submission for this sample", is_submission_for(sample[0])))
    check_output_files(files, [*sources, *sample])


def _run(
    predictor: Predictor,
    rule: AnswerRule,
    photos: PhotoSet,
    takers: Sequence[Taker],
    on_photo: Callable[[int, int], None],
) -> None:
    # Closed at once when an output fails or the user stops, so that no thread goes on predicting.
    with contextlib.closing(predictor.predict(photos, with_distances=rule.needs_distances)) as results:
        for row, predicted in enumerate(results):
            result = predicted if isinstance(predicted, Skipped) else rule.apply(predicted)
            for take in takers:
                take(row, result)
            if row < len(photos):
                on_photo(row + 1, len(photos))


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
def _csv_taker(path: Path, class_names: Sequence[str], answers: AnswerConfig) -> Iterator[Taker]:
    """A row for each photo that could be read, in a file that appears when the block has ended.

    Columns: `path`, `predicted_class`, `probability`, and `p_<class>` for each class; 6 significant digits. Where the
    model may be in doubt, `answer` is the last of them, with `distance` before it where it was measured.
    """
    header = [*_COLUMNS, *(f"p_{name}" for name in class_names)]
    header += ["distance"] * (answers.none_of_these is not None) + ["answer"] * bool(answers.doubts)
    with open_whole(path) as file:
        file.write(to_csv_bytes([header]))

        def take(row: int, result: Result) -> None:
            if isinstance(result, Prediction):
                numbers = [result.probability, *result.probabilities]
                numbers += [] if result.distance is None else [result.distance]
                words = [f"{value:.6g}" for value in numbers] + [result.answer] * bool(answers.doubts)
                file.write(to_csv_bytes([[result.path, result.predicted_class, *words]]))

        yield take


def _write_grid(
    path: Path, predictor: Predictor, photos: PhotoSet, shown: Sequence[tuple[int, Prediction]], has_heatmap: bool
) -> None:
    """Writes a PNG with these photos, each under its class and probability."""
    # Matplotlib takes half a second to load, which a prediction without a picture need not wait for.
    from tellapart.report.figures import figure_png
    from tellapart.report.grid import draw_grid

    if not shown:
        raise DatasetError(f"none of the photos of {photos.source!r} can be read, so there is no grid to draw.")
    images = []
    for row, prediction in shown:
        data = photos.read(row)
        image = decode_image(data, photos.limits, at_least=_GRID_SIZE)
        if has_heatmap:
            seen = load_image(data, predictor.preprocess, photos.limits)
            image = _draw_heatmap(predictor, image, seen, prediction.predicted_class)
        images.append(image)
    titles = [f"{prediction.answer} {prediction.probability:.2f}" for _, prediction in shown]
    write_file(path, figure_png(draw_grid(images, titles)))


def _draw_heatmap(
    predictor: Predictor, image: NDArray[np.uint8], seen: NDArray[np.uint8], class_name: str
) -> NDArray[np.uint8]:
    """The image with the places that speak for the class; `seen` is the image as the model sees it."""
    from tellapart.report.heatmap import overlay_map

    (maps,) = predictor.activation_maps(seen[np.newaxis])
    return overlay_map(image, maps[predictor.class_names.index(class_name)])
