"""The network of a bundle in ONNX Runtime: batches of images to probabilities, distances and maps, all of them checked.

What people use is `predict/model.py`'s `Model`, which shares photos out to threads.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tellapart.backbones.onnx_session import (
    ORT_ERRORS,
    WHAT_TO_DO,
    InferenceSession,
    NodeArg,
    open_session,
    refused,
    signature,
)
from tellapart.backbones.onnx_wire import keep_outputs, output_names
from tellapart.config import MAX_SIDE
from tellapart.errors import BundleError
from tellapart.measure.softmax import temper
from tellapart.predict.bundle import Bundle
from tellapart.translation import gettext as _

# How far a sum of float32 or float16 may be from 1, and a probability from one half.
_LARGEST_ERROR, _HALF = 0.01, 0.51
_PROBABILITIES, _MAP, _DISTANCE = "probabilities", "activation_map", "distance"


class ModelNetwork:
    """The network of a bundle, ready to run; may be used from several threads.

    Args:
        bundle: as `read_bundle` gives it.
        path: the folder that it was read from, for errors.

    Attributes:
        has_maps: whether it also says where it looked.
        has_distances: whether it also says how unlike the photos of the training a photo is.

    Raises:
        BundleError: the network does not run, or does not fit the rest of the bundle.
    """

    def __init__(self, bundle: Bundle, path: Path | None) -> None:
        self._bundle, self._path = bundle, path
        outputs = _find_outputs(bundle.model)
        self.has_maps: bool = _MAP in outputs
        self.has_distances: bool = _DISTANCE in outputs
        # A model with an output of another name is opened whole, and refused for it.
        is_known = set(outputs) <= {_PROBABILITIES, _MAP, _DISTANCE}
        self._has_more = len(outputs) > 1 and is_known
        self._session = self._open((_PROBABILITIES, _DISTANCE) if self.has_distances else (_PROBABILITIES,))
        # Maps are rarely asked for, and computed in a session of their own, opened when they are.
        self._map_session: InferenceSession | None = None

    def numbers(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The probabilities of one batch, at least one image, and behind them a column with the distances, if any."""
        probabilities, *more = self._run(self._session, images)
        if not more:
            return self._checked(probabilities, len(images))
        (distances,) = more
        if distances.shape != (len(images),):
            raise BundleError(
                _("the model gives distances of shape {shape} for {num_images} photos. {what_to_do}.").format(
                    shape=distances.shape, num_images=len(images), what_to_do=_(WHAT_TO_DO)
                ),
                path=self._path,
            )
        return np.column_stack([self._checked(probabilities, len(images)), distances])

    def open_maps(self) -> None:
        """Gets ready for `maps`, in one thread, so that not each of several opens a session."""
        if self._map_session is None:
            self._map_session = self._open((_MAP,))

    def maps(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The maps of one batch, at least one image."""
        assert self._map_session is not None, "`activation_maps` opens it"
        (maps,) = self._run(self._map_session, images)
        is_known = maps.ndim == 4 and maps.shape[:2] == (len(images), len(self._bundle.class_names))
        if not is_known or not maps.size or max(maps.shape) > MAX_SIDE:
            raise BundleError(
                _(
                    "the model gives maps of shape {shape} for {num_images} photos and {num_class_names} "
                    "classes. {what_to_do}."
                ).format(
                    shape=maps.shape,
                    num_images=len(images),
                    num_class_names=len(self._bundle.class_names),
                    what_to_do=_(WHAT_TO_DO),
                ),
                path=self._path,
            )
        with np.errstate(over="ignore"):  # such a map shows nothing
            return maps / np.float32(self._bundle.temperature)

    def _open(self, outputs: tuple[str, ...]) -> InferenceSession:
        """A session that computes these outputs alone."""
        num_classes = len(self._bundle.class_names)
        shapes: dict[str, tuple[int | None, ...]] = {
            _PROBABILITIES: (num_classes,),
            _MAP: (num_classes, None, None),
            _DISTANCE: (),
        }
        model = keep_outputs(self._bundle.model, outputs) if self._has_more else self._bundle.model
        # One thread a run, and as many runs at once as there are threads: so no core waits for another between layers.
        session = open_session(model, num_threads=1)
        _check_session(session, self._bundle.preprocess.shape, [shapes[output] for output in outputs])
        return session

    def _checked(self, probabilities: NDArray[np.float32], num_images: int) -> NDArray[np.float32]:
        """The probabilities at the temperature of the bundle."""
        if probabilities.shape != (num_images, len(self._bundle.class_names)):
            raise BundleError(
                _(
                    "the model gives an array of shape {shape} for {num_images} photos and "
                    "{num_class_names} classes. {what_to_do}."
                ).format(
                    shape=probabilities.shape,
                    num_images=num_images,
                    num_class_names=len(self._bundle.class_names),
                    what_to_do=_(WHAT_TO_DO),
                ),
                path=self._path,
            )
        if abs(probabilities - 0.5).max() > _HALF or abs(probabilities.sum(axis=1) - 1).max() > _LARGEST_ERROR:
            raise BundleError(
                _("the model gives numbers that are not probabilities. {what_to_do}.").format(what_to_do=_(WHAT_TO_DO)),
                path=self._path,
            )
        return temper(probabilities, self._bundle.temperature)

    def _run(self, session: InferenceSession, images: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        """All outputs of the session for a batch."""
        try:
            outputs = session.run(None, {session.get_inputs()[0].name: images})
        except ORT_ERRORS as exc:
            raise refused(_("the model fails on a batch of photos"), exc, path=self._path) from exc
        results = [np.asarray(raw, np.float32) for raw in outputs]
        if not all(np.isfinite(result).all() for result in results):
            raise BundleError(
                _(
                    "the model gives numbers that are not finite. Its training diverged. Train again with a smaller "
                    "`learning_rate`."
                ),
                path=self._path,
            )
        return results


def _find_outputs(model: bytes) -> list[str]:
    try:
        return output_names(model)
    except ValueError:
        return []  # no ONNX at all, which ONNX Runtime refuses with its reason


def _check_session(
    session: InferenceSession, shape: tuple[int, int, int], output_shapes: list[tuple[int | None, ...]]
) -> None:
    """Nothing, if the model takes images of this shape and gives these outputs.

    Args:
        session: the opened model.
        shape: `(height, width, channels)`.
        output_shapes: without the batch axis; `None` is any size.

    Raises:
        BundleError: it does not.
    """
    inputs, outputs = session.get_inputs(), session.get_outputs()
    fits_input = len(inputs) == 1 and inputs[0].type == "tensor(uint8)" and tuple(inputs[0].shape[1:]) == shape
    has_free_batch = fits_input and not isinstance(inputs[0].shape[0], int)
    fits_outputs = len(outputs) == len(output_shapes) and all(map(_fits, outputs, output_shapes))
    # A map without places shows nothing.
    has_places = all(side != 0 for output in outputs for side in output.shape)
    if not (has_free_batch and fits_outputs and has_places):
        wanted = ", ".join(
            f"float ({', '.join(['batch', *('size' if side is None else str(side) for side in sides)])})"
            for sides in output_shapes
        )
        raise BundleError(
            _(
                "the model does not fit its bundle.json: found {found}, not uint8 (batch, {shape}) -> {wanted} with a "
                "free batch axis. {what_to_do}."
            ).format(
                found=f"{signature(inputs)} -> {signature(outputs)}",
                shape=", ".join(map(str, shape)),
                wanted=wanted,
                what_to_do=_(WHAT_TO_DO),
            )
        )


def _fits(output: NodeArg, sides: tuple[int | None, ...]) -> bool:
    return (
        output.type == "tensor(float)"
        and len(output.shape) == 1 + len(sides)
        and all(wanted is None or found == wanted for found, wanted in zip(output.shape[1:], sides, strict=True))
    )
