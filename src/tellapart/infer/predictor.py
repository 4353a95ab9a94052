"""Images and photos to class probabilities with ONNX Runtime; neither Keras nor PyTorch is needed or loaded.

Reading the model folder is `infer/bundle.py`'s, decoding photos is `photos/`'s.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from tellapart.errors import BundleError, DatasetError
from tellapart.infer.bundle import Bundle, read_bundle
from tellapart.photos.loading import stream_images
from tellapart.photos.photoset import PhotoSet
from tellapart.photos.preprocess import PreprocessSpec
from tellapart.photos.sources import list_photos
from tellapart.records import Prediction, Skipped

_BATCH_SIZE = 32
_WHAT_TO_DO = "copy the model folder again or train again"

# Each is a direct subclass of `Exception`: ONNX Runtime has no common base.
_ORT_ERRORS = (
    ort_errors.EPFail,
    ort_errors.EngineError,
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NoModel,
    ort_errors.NoSuchFile,
    ort_errors.NotFound,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
)


class Predictor:
    """A bundle made ready to predict; may be used from several threads.

    Args:
        bundle: as `read_bundle` gives it.
        num_threads: threads of one prediction; 0 uses all cores.

    Raises:
        BundleError: the model inside the bundle does not run, or does not fit the rest of the bundle.
    """

    def __init__(self, bundle: Bundle, num_threads: int = 0) -> None:
        self.class_names: tuple[str, ...] = bundle.class_names
        self.preprocess: PreprocessSpec = bundle.preprocess
        self._temperature = bundle.temperature
        self._session = _open_session(bundle.model, num_threads)
        _check_session(self._session, bundle)
        self._input_name: str = self._session.get_inputs()[0].name

    def probabilities(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Class probabilities, float32, shape `(n, num_classes)`, each row summing to 1; no images give no rows.

        Args:
            images: uint8, shape `(n, *preprocess.shape)`, as `preprocess.load_image` makes them; not modified.

        Raises:
            DatasetError: the images have another shape or dtype.
            BundleError: the model fails, or gives numbers that are not finite.
        """
        expected = self.preprocess.shape
        if images.dtype != np.uint8 or images.shape[1:] != expected or images.ndim != 4:
            raise DatasetError(
                f"images are {images.dtype} of shape {images.shape}; accepted is uint8 of shape (n, "
                f"{', '.join(str(side) for side in expected)}). Prepare them with `load_image` or `PhotoSet.arrays`."
            )
        result = np.empty((len(images), len(self.class_names)), np.float32)
        for start in range(0, len(images), _BATCH_SIZE):
            rows = slice(start, start + _BATCH_SIZE)
            result[rows] = self._run(images[rows])
        return result

    def predict(self, photos: PhotoSet | Sequence[str | Path]) -> Iterator[Prediction | Skipped]:
        """One item for each of `photos.paths`, in order, then one for each of `photos.skipped`.

        Photos are decoded ahead while the model works, so memory does not grow with their number. A photo that
        cannot be read is a `Skipped` in its place.

        Args:
            photos: a `PhotoSet`, or paths of photos, folders and zips.

        Raises:
            DatasetError: a path does not exist; raised at once, not while iterating.
            BundleError: the model fails.
        """
        return self._stream(photos if isinstance(photos, PhotoSet) else list_photos(photos))

    def _stream(self, photos: PhotoSet) -> Iterator[Prediction | Skipped]:
        items = stream_images(photos, self.preprocess, photos.limits)
        paths = iter(photos.paths)
        while batch := list(islice(items, _BATCH_SIZE)):
            images = [item for item in batch if not isinstance(item, Skipped)]
            rows = iter(self.probabilities(np.stack(images)) if images else ())
            for item, path in zip(batch, paths, strict=False):  # in this order: the shorter one ends it
                yield item if isinstance(item, Skipped) else self._prediction(path, next(rows))
        yield from photos.skipped

    def _prediction(self, path: str, probabilities: NDArray[np.float32]) -> Prediction:
        best = int(probabilities.argmax())
        return Prediction(path, self.class_names[best], float(probabilities[best]), tuple(probabilities.tolist()))

    def _run(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        try:
            (raw,) = self._session.run(None, {self._input_name: images})
        except _ORT_ERRORS as exc:
            raise _refused("fails on a batch of photos", exc) from exc
        result = np.asarray(raw)
        if result.shape != (len(images), len(self.class_names)):
            raise BundleError(
                f"the model gives an array of shape {result.shape} for {len(images)} photos and "
                f"{len(self.class_names)} classes; {_WHAT_TO_DO}."
            )
        if not np.isfinite(result).all():
            raise BundleError(
                "the model gives probabilities that are not finite, as after a training that diverged; "
                "train again with a smaller --learning-rate."
            )
        return _tempered(result, self._temperature)


def load(model_dir: str | Path) -> Predictor:
    """The model in the folder, ready to predict.

    Raises:
        BundleError: the folder holds no model, or one that is damaged, foreign, or made by a newer tellapart.
    """
    return Predictor(read_bundle(Path(model_dir)))


def _open_session(model: bytes, num_threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = num_threads
    options.log_severity_level = 4  # fatal only; what goes wrong is raised
    # Idle threads of ONNX Runtime would otherwise spin on the cores that decode the next photos.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except _ORT_ERRORS as exc:
        raise _refused("does not load", exc) from exc


def _check_session(session: onnxruntime.InferenceSession, bundle: Bundle) -> None:
    """Nothing, if the model takes the images of `bundle.preprocess` and gives a column for each of its classes.

    Raises:
        BundleError: it does not.
    """
    inputs, outputs = session.get_inputs(), session.get_outputs()
    found = f"{_signature(inputs)} -> {_signature(outputs)}"
    shape, num_classes = bundle.preprocess.shape, len(bundle.class_names)
    fits_input = len(inputs) == 1 and inputs[0].type == "tensor(uint8)" and tuple(inputs[0].shape[1:]) == shape
    has_free_batch = fits_input and not isinstance(inputs[0].shape[0], int)
    fits_output = len(outputs) == 1 and outputs[0].type == "tensor(float)" and outputs[0].shape[1:] == [num_classes]
    if not (has_free_batch and fits_output):
        height, width, channels = shape
        raise BundleError(
            f"the model does not fit its bundle.json: found {found}; accepted is uint8 (batch, {height}, {width}, "
            f"{channels}) -> float (batch, {num_classes}) with a free batch axis; {_WHAT_TO_DO}."
        )


def _signature(tensors: Sequence[onnxruntime.NodeArg]) -> str:
    return ", ".join(
        f"{tensor.type.removeprefix('tensor(').removesuffix(')')} ({', '.join(str(side) for side in tensor.shape)})"
        for tensor in tensors
    )


def _tempered(probabilities: NDArray[np.float32], temperature: float) -> NDArray[np.float32]:
    """What softmax would have given for logits divided by `temperature` (Guo et al. 2017, equation 9)."""
    if temperature == 1.0:
        return probabilities
    logits = np.log(np.maximum(probabilities, np.finfo(np.float32).tiny)) / temperature
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)


def _refused(what: str, exc: Exception) -> BundleError:
    reason = " ".join(str(exc).split())
    reason = reason if len(reason) <= 200 else f"{reason[:197]}..."
    return BundleError(f"the model {what} in ONNX Runtime {onnxruntime.__version__}: {reason}; {_WHAT_TO_DO}.")
