"""`tellapart predict`: photos nobody has labelled in, what the model says of each out."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from tellapart.config import ImageLimits
from tellapart.errors import DatasetError
from tellapart.infer.predictor import Predictor, load
from tellapart.photos.gate import decode_image
from tellapart.photos.photoset import PhotoSet
from tellapart.photos.sources import list_photos
from tellapart.records import Prediction, Skipped
from tellapart.store import to_csv_bytes, write_file

# A photo in the grid is at most this large on paper; larger JPEGs are decoded at a reduced scale.
_GRID_SIZE = (480, 480)


def open_model(
    model_dir: str | Path, sources: Sequence[str | Path], limits: ImageLimits = ImageLimits()
) -> tuple[Predictor, PhotoSet]:
    """The model and the photos it is to look at, both checked; no photo is read yet.

    Args:
        model_dir: the folder that training made.
        sources: photos, folders and zips.
        limits: the largest photo that is decoded.

    Raises:
        BundleError: the folder holds no model that can be used.
        DatasetError: a source does not exist, or there is no photo in any.
    """
    predictor = load(model_dir)
    photos = list_photos(sources, limits)
    if not len(photos) and not photos.skipped:
        raise DatasetError(
            f"there are no photos in {photos.source!r}; photos, and folders and zips with photos in them, are "
            "accepted. Check the path."
        )
    return predictor, photos


def predict_photos(predictor: Predictor, photos: PhotoSet) -> list[Prediction | Skipped]:
    """One item a photo, in order, then one for each file that was set aside as no photo."""
    return list(predictor.predict(photos))


def write_predictions_csv(
    path: Path, results: Iterable[Prediction | Skipped], class_names: Sequence[str]
) -> tuple[Skipped, ...]:
    """The photos without a row, now that the CSV holds a row for each of the others, in order.

    Columns: `path`, `predicted_class`, `probability`, and `p_<class>` for each class; 6 significant digits.

    Raises:
        OutputError: the file cannot be written; an earlier file of that name is then as it was.
    """
    skipped: list[Skipped] = []
    rows = [["path", "predicted_class", "probability", *(f"p_{name}" for name in class_names)]]
    for result in results:
        if isinstance(result, Skipped):
            skipped.append(result)
        else:
            numbers = [f"{value:.6g}" for value in (result.probability, *result.probabilities)]
            rows.append([result.path, result.predicted_class, *numbers])
    write_file(path, to_csv_bytes(rows))
    return tuple(skipped)


def write_predictions_grid(path: Path, photos: PhotoSet, results: Sequence[Prediction | Skipped], limit: int) -> None:
    """Writes a PNG with the first `limit` photos that could be read, each under its class and probability.

    Args:
        path: the picture.
        photos: what was predicted.
        results: from `predict_photos`, in the order of `photos`.
        limit: photos in the grid at most.

    Raises:
        DatasetError: no photo could be read, so there is nothing to draw.
        OutputError: the file cannot be written.
    """
    # Matplotlib takes half a second to load, which a prediction without a picture need not wait for.
    from tellapart.report.figures import figure_png
    from tellapart.report.grid import draw_grid

    shown = [(row, item) for row, item in enumerate(results) if isinstance(item, Prediction)][:limit]
    if not shown:
        raise DatasetError(f"none of the photos of {photos.source!r} can be read, so there is no grid to draw.")
    images = [decode_image(photos.read(row), photos.limits, at_least=_GRID_SIZE) for row, _ in shown]
    titles = [f"{item.predicted_class} {item.probability:.2f}" for _, item in shown]
    write_file(path, figure_png(draw_grid(images, titles)))
