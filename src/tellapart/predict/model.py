"""A model as people use it: images and photos to probabilities and answers; neither Keras nor PyTorch is loaded.

Reading the model folder is `predict/bundle.py`'s, running the network `predict/model_network.py`'s, decoding photos
`photos/`'s.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tellapart.config import AnswerConfig, ClassNumber, ImageLimits
from tellapart.errors import BundleError, ConfigError, DatasetError
from tellapart.images.preprocess import PreprocessSpec
from tellapart.measure.scores import SelectivePoint
from tellapart.photos.loading import even_size, map_images, num_cores
from tellapart.photos.photoset import PhotoSet
from tellapart.predict.answers import AnswerMaker, AnswerRule, Predictions
from tellapart.predict.bundle import Bundle, read_bundle
from tellapart.predict.inputs import AnyPhotos, Inputs
from tellapart.predict.int8_export import read_int8_export
from tellapart.predict.model_network import ModelNetwork
from tellapart.records import Dial, Prediction
from tellapart.translation import gettext as _
from tellapart.value_checks import check_choice

RUNTIMES = ("float32", "int8")
# Photos a thread predicts at once, at most. With more, what lies between the layers leaves the cache of a core, and
# takes more memory. 96 photos at 288 pixels, seconds of both cores and peak: 1.97 s and 267 MB with 2 at once, 2.0 s
# and 350 MB with 4, 2.15 s and 490 MB with 8; their maps 2.1, 2.2 and 2.5 s, 460, 630 and 910 MB (2026-11-28, n = 2).
_BATCH_SIZE = 2


class Model:
    """A trained model, ready to predict; may be used from several threads.

    Args:
        bundle: as `read_bundle` gives it.
        num_threads: threads that photos are shared out to; 0 is one a core.
        path: the folder that the bundle was read from.

    Attributes:
        class_names: the classes, in the order of all probabilities.
        preprocess: what a photo is turned into; `preprocess.load("one.jpg")` does so.
        has_activation_maps: whether the model can also say where it looked, see `activation_maps`.
        has_distances: whether it can also say how unlike the photos of the training a photo is.
        selective, usual_distances: as in the bundle.
        dial: from which probability on it answers with one of the classes; `None` where the most probable one wins.
        bundle: what it was made from.
        path: the folder it was loaded from; `None` for one made from a bundle alone.

    Raises:
        BundleError: the model inside the bundle does not run, or does not fit the rest of the bundle.
    """

    def __init__(self, bundle: Bundle, num_threads: int = 0, path: Path | None = None) -> None:
        self.path = path
        self.class_names: tuple[str, ...] = bundle.class_names
        self.preprocess: PreprocessSpec = bundle.preprocess
        self._network = ModelNetwork(bundle, path)
        self.has_activation_maps: bool = self._network.has_maps
        self.has_distances: bool = self._network.has_distances
        self.selective: tuple[SelectivePoint, ...] = bundle.selective
        self.usual_distances: tuple[float, ...] = bundle.usual_distances
        self.dial: Dial | None = bundle.dial
        self.bundle: Bundle = bundle
        self._bundle = bundle if self.has_distances else replace(bundle, usual_distances=())
        self._num_threads = num_threads or num_cores()

    def predict_proba(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Class probabilities, float32, shape `(n, num_classes)`, each row summing to 1; no images give no rows.

        Args:
            images: uint8, shape `(n, *preprocess.shape)`, or one image, which gives one row; as `preprocess.load` and
                `PhotoSet.arrays` make them; not modified.

        Raises:
            DatasetError: the images have another shape or dtype.
            BundleError: the model fails, or gives numbers that are not finite.
        """
        images = self._check_images(images)
        if not len(images):
            return np.empty((0, len(self.class_names)), np.float32)
        return self._share_out(images, self._network.numbers)[:, : len(self.class_names)]

    def activation_maps(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Where the evidence for each class is: float32, shape `(n, num_classes, map_height, map_width)`.

        A map is spread over the whole image; its mean is the logit of its class, before the softmax. No images give no
        rows, of maps without positions.

        Args:
            images: as for `predict_proba`.

        Raises:
            ConfigError: the model has no maps.
            DatasetError: the images have another shape or dtype.
            BundleError: the model fails, or gives numbers that are not finite.
        """
        self.check_activation_maps()
        images = self._check_images(images)
        if not len(images):
            return np.empty((0, len(self.class_names), 0, 0), np.float32)
        self._network.open_maps()
        return self._share_out(images, self._network.maps)

    def check_activation_maps(self) -> None:
        """Nothing, if the model has activation maps.

        Raises:
            ConfigError: it has none.
        """
        if not self.has_activation_maps:
            raise ConfigError(
                _(
                    "`heatmap` needs a model that can show where it looks, and this model cannot. Train with "
                    "`recipe='scratch'`, or with `recipe='transfer'` and a backbone such as efficientnet-lite0. Or "
                    "leave `heatmap` out."
                ),
                field="heatmap",
            )

    def predict(
        self,
        photos: AnyPhotos,
        *,
        not_sure: float | None = None,
        none_of_these: float | None = None,
        threshold: ClassNumber | None = None,
        max_missed: ClassNumber | None = None,
        limits: ImageLimits = ImageLimits(),
    ) -> Predictions:
        """A `Prediction` for each photo that can be read, in order, made while they are read.

        What cannot be read is in `skipped` of the answer, which is complete when all of them are read.

        Args:
            photos: a `PhotoSet`; the path of a photo, folder or zip; the bytes of a photo; a Pillow image; pixels,
                uint8 RGB, shape `(height, width, 3)` or `(n, height, width, 3)`; or any of these in a list.
            not_sure: answer `not sure` so that at most this share of the other answers is wrong, as 0.05.
            none_of_these: answer `none of these` for photos unlike those of the training; about this share of photos
                like them is flagged too, as 0.05.
            threshold: answer one class from this probability on, and else the most probable of the others, as
                `{"cracked": 0.2}` or `"cracked=0.2"`; `"off"` answers with the most probable class. `None` does as the
                dial of the model says.
            max_missed: the same with the largest threshold that misses at most this share of the photos of the class.
            limits: the largest photo that is decoded; a photo set has its own.

        Raises:
            ConfigError: a setting has a value it cannot have, or this model cannot keep to it.
            DatasetError: a path does not exist, or something is no photo; raised at once, not while iterating.
            BundleError: the model fails.
        """
        maker = self.answer_maker(not_sure, none_of_these, threshold, max_missed)
        inputs, run = Inputs(photos, limits), self._network.numbers
        numbers = map_images(
            inputs.paths, lambda row: inputs.load(row, self.preprocess), run, _BATCH_SIZE, self._num_threads
        )
        return Predictions(inputs, maker, numbers)

    def export(
        self,
        to: str,
        out: str | Path | None = None,
        *,
        proof: PhotoSet | str | Path | Sequence[str | Path] | None = None,
        accept_difference: bool = False,
    ) -> Any:
        """The model for another runtime, in a folder, with the proof that it answers as here: an `Export`.

        Args:
            to: such as `onnx-int8`, `openvino`, `keras`.
            out: the folder; that of the run, `exports` and `to` if not given.
            proof: photos to prove it on; those that the run held out if not given.
            accept_difference: keep it although it answers differently, which its proof then says.

        Raises:
            ConfigError, DatasetError, DependencyError, ExportError, OutputError: as `tellapart.export_model`.
        """
        # The room that exports lies above this one; the package has it at its front door.
        package = import_module(__name__.partition(".")[0])
        return package.export_model(self, to, out, proof=proof, accept_difference=accept_difference)

    def answer_maker(
        self,
        not_sure: float | None = None,
        none_of_these: float | None = None,
        threshold: ClassNumber | None = None,
        max_missed: ClassNumber | None = None,
    ) -> AnswerMaker:
        """What `predict` with these settings makes its answers with.

        Raises:
            ConfigError: a setting has a value it cannot have, or this model cannot keep to it.
        """
        config = AnswerConfig(threshold, max_missed, not_sure, none_of_these)
        return AnswerMaker(self.class_names, AnswerRule(config, self._bundle))

    def answer(self, image: NDArray[np.uint8], maker: AnswerMaker, path: str = "") -> Prediction:
        """What `predict` answers for one image, in the calling thread.

        Args:
            image: uint8, shape `preprocess.shape`; not modified.
            maker: as `answer_maker` makes it.
            path: of the photo.

        Raises:
            DatasetError: the image has another shape or dtype.
            BundleError: the model fails.
        """
        (numbers,) = self._network.numbers(self._check_images(image)[:1])
        return maker.make(path, numbers)

    def _check_images(self, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The images as a batch."""
        expected = self.preprocess.shape
        batch = np.asarray(images)
        if batch.shape == expected:
            batch = batch[np.newaxis]
        if batch.dtype != np.uint8 or batch.shape[1:] != expected or batch.ndim != 4:
            raise DatasetError(
                _(
                    "images are {dtype} of shape {shape}. Give uint8 of shape (n, {expected}), as "
                    "model.preprocess.load(path) makes them."
                ).format(dtype=batch.dtype, shape=batch.shape, expected=", ".join(str(side) for side in expected))
            )
        return batch

    def _share_out(
        self, images: NDArray[np.uint8], run: Callable[[NDArray[np.uint8]], NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        """What `run` gives for the images, a batch at a time, on all threads."""
        size = even_size(len(images), _BATCH_SIZE, self._num_threads)
        batches = [images[start : start + size] for start in range(0, len(images), size)]
        if len(batches) == 1:
            return run(images)
        with ThreadPoolExecutor(min(self._num_threads, len(batches)), thread_name_prefix="images") as pool:
            return np.concatenate(list(pool.map(run, batches)))


def load(run: str | Path, runtime: str = "float32") -> Model:
    """The model in the folder of a run, ready to predict.

    Args:
        run: the folder that training made.
        runtime: `float32`; or `int8`, which answers by the run's export to `onnx-int8`, if that was proved on this
            machine to answer as it should, and faster.

    Raises:
        BundleError: the folder holds no model, or one that is damaged, foreign, or made by a newer tellapart.
        ConfigError: there is no such runtime, or no int8 export that passed its proof on this machine.
    """
    check_choice("runtime", runtime, RUNTIMES)
    try:
        read = read_int8_export if runtime == "int8" else read_bundle
        return Model(read(Path(run)), path=Path(run))
    except BundleError as exc:
        exc.path = exc.path or str(run)
        raise
