"""The models that are served, by name: what each answers, and the takeover of a new bundle in its folder.

A new bundle is loaded beside the old one and put in its place in one step, between two requests. One that cannot be
loaded is refused, and the old one goes on.
"""

import hashlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tellapart.config import ImageLimits
from tellapart.errors import ImageError, TellapartError
from tellapart.images.gate import check_head
from tellapart.images.preprocess import load_image
from tellapart.predict.answers import AnswerMaker
from tellapart.predict.bundle import BUNDLE_FILE, MODEL_FILE, Bundle, read_bundle
from tellapart.predict.model import Model
from tellapart.records import Prediction
from tellapart.report.pictures import map_uri
from tellapart.translation import gettext as _
from tellapart.value_checks import did_you_mean
from tellapart.web.refusals import RequestError, photo_error
from tellapart.web.serve_config import ServeConfig

_VERSION_LENGTH = 12
_CHECK_SECONDS = 1.0
# Inode, time of the last change and size of each file of a bundle; empty where there is none.
_Stamp = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True)
class PhotoAnswer:
    """What a model says of one photo.

    Attributes:
        prediction: the answer.
        heatmap: PNG with opacity in base64, square, to be stretched over the photo; `None` where it was not asked for,
            or no place speaks for the class.
    """

    prediction: Prediction
    heatmap: str | None = None


@dataclass(frozen=True)
class ServedModel:
    """A loaded model under its name.

    Attributes:
        name: by which clients ask for it.
        version: 12 hexadecimal digits of the content of the bundle, the same on every machine.
        model: ready to predict.
        config: with the rates of the server.
        maker: turns its numbers into answers, at these rates.
        seconds: that one photo took when it was loaded.
    """

    name: str
    version: str
    model: Model
    config: ServeConfig
    maker: AnswerMaker
    seconds: float

    def maker_for(self, not_sure: float | None, none_of_these: float | None) -> AnswerMaker:
        """The maker at the rates of a request, which leave those of the server alone where they are `None`.

        Raises:
            ConfigError: a rate cannot be kept by this model.
        """
        if not_sure is none_of_these is None:
            return self.maker
        return self.model.answer_maker(
            self.config.not_sure if not_sure is None else not_sure,
            self.config.none_of_these if none_of_these is None else none_of_these,
        )

    def answer_image(self, image: NDArray[np.uint8], maker: AnswerMaker) -> PhotoAnswer:
        """What the model says of an image that is already as it sees it: uint8, shape `model.preprocess.shape`.

        Raises:
            BundleError: the model fails.
        """
        return PhotoAnswer(self.model.answer(image, maker))

    def check_head(self, head: bytes, limits: ImageLimits) -> bool:
        """Whether the beginning of a photo settles that its pixels are within the limits; `False` asks for more of it.

        Raises:
            RequestError: it has more pixels, or is no photo.
        """
        try:
            return check_head(head, limits, self.model.preprocess.image_size)
        except ImageError as exc:
            raise photo_error(exc, head) from exc

    def answer_photo(self, data: bytes, maker: AnswerMaker, limits: ImageLimits, heatmap: bool = False) -> PhotoAnswer:
        """What the model says of the bytes of a photo.

        Raises:
            RequestError: it is no photo that can be read.
            BundleError: the model fails.
        """
        try:
            image = load_image(data, self.model.preprocess, limits)
        except ImageError as exc:
            raise photo_error(exc, data) from exc
        answer = self.answer_image(image, maker)
        if not heatmap:
            return answer
        (maps,) = self.model.activation_maps(image)
        uri = map_uri(maps[self.model.class_names.index(answer.prediction.forced_class)])
        return answer if uri is None else replace(answer, heatmap=uri.partition(",")[2])


class ServedModels:
    """The models by name, each the newest bundle of its folder that could be loaded.

    Args:
        folders: by name; at least one.
        config: with the rates at which they answer.
        on_event: told of each takeover that was made or refused, with a word and its details.

    Raises:
        TellapartError: a model cannot be loaded, or cannot keep the rates.
    """

    def __init__(
        self,
        folders: Mapping[str, Path],
        config: ServeConfig,
        on_event: Callable[[str, Mapping[str, object]], None] = lambda event, details: None,
    ) -> None:
        self._folders = dict(folders)
        self._config = config
        self._on_event = on_event
        self._stamps = {name: _stamp(folder) for name, folder in self._folders.items()}
        self._served = {name: self._load(name) for name in self._folders}
        self._is_closed = threading.Event()
        self._thread: threading.Thread | None = None

    def __iter__(self) -> Iterator[ServedModel]:
        return iter(self._served.values())

    def get(self, name: str | None) -> ServedModel:
        """The model of that name; without a name, the only one.

        Raises:
            RequestError: there is none, or several.
        """
        served = self._served
        if name is None and len(served) == 1:
            return next(iter(served.values()))
        names = ", ".join(served)
        if name is None:
            raise RequestError(400, _("Several models are served. Give `model`, one of: {names}.").format(names=names))
        if name not in served:
            message = _("There is no model {name!r}.{hint} These are served: {names}.")
            said = message.format(name=name[:64], hint=did_you_mean(name[:64], served), names=names)
            raise RequestError(404, said, reason="no model")
        return served[name]

    def refresh(self) -> None:
        """Nothing; a bundle that has changed in its folder since it was last looked at is taken over or refused."""
        for name, folder in self._folders.items():
            stamp = _stamp(folder)
            if stamp == self._stamps[name]:
                continue
            self._stamps[name] = stamp
            try:
                served = self._load(name)
            except (TellapartError, MemoryError, OSError) as exc:
                self._on_event("model refused", {"model": name, "reason": " ".join(str(exc).split())})
                continue
            if served.version != self._served[name].version:
                self._served = {**self._served, name: served}
                self._on_event("model taken over", {"model": name, "version": served.version})

    def watch(self) -> None:
        """Nothing; from now on a thread looks for new bundles every second."""
        self._thread = threading.Thread(target=self._watch, name="bundles", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Nothing; the thread has ended."""
        self._is_closed.set()
        if self._thread is not None:
            self._thread.join()

    def _watch(self) -> None:
        while not self._is_closed.wait(_CHECK_SECONDS):
            self.refresh()

    def _load(self, name: str) -> ServedModel:
        return open_served(name, read_bundle(self._folders[name]), self._config, self._folders[name])


def open_served(name: str, bundle: Bundle, config: ServeConfig, path: Path | None = None) -> ServedModel:
    """The model of a bundle, ready to answer one photo at a time.

    Args:
        name: by which it is asked for.
        bundle: the model.
        config: with the rates at which it answers.
        path: the folder that the bundle was read from; `None` for one that is in no folder.

    Raises:
        TellapartError: it does not run, or cannot keep the rates.
    """
    model = Model(bundle, num_threads=1, path=path)
    maker = model.answer_maker(config.not_sure, config.none_of_these)
    image = np.zeros(model.preprocess.shape, np.uint8)
    model.answer(image, maker)  # the first run makes room for what all others need
    begun = time.perf_counter()
    model.answer(image, maker)
    return ServedModel(name, _version(bundle), model, config, maker, time.perf_counter() - begun)


def _version(bundle: Bundle) -> str:
    digest = hashlib.sha256(bundle.model)
    digest.update(repr(replace(bundle, model=b"", versions={})).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()[:_VERSION_LENGTH]


def _stamp(folder: Path) -> _Stamp:
    try:
        states = [(folder / name).stat() for name in (BUNDLE_FILE, MODEL_FILE)]
    except OSError:
        return ()
    return tuple((state.st_ino, state.st_mtime_ns, state.st_size) for state in states)
