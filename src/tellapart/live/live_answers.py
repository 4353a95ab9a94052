"""What answers while one tries photos: the head that was refitted last, or the run that was chosen; and the proposals.

Both are served models, so that Studio answers as `tellapart serve` does.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tellapart.backbones.embedder import OpenBackbone
from tellapart.heads.head import FittedHead
from tellapart.heads.head_data import HeadData
from tellapart.heads.label_order import order_to_label
from tellapart.heads.novelty import fit_novelty
from tellapart.images.depth import SampleDepths
from tellapart.live.run_list import RunSummary
from tellapart.predict.bundle import Bundle, read_bundle
from tellapart.runs.head_recipe import make_head_bundle
from tellapart.translation import gettext as _
from tellapart.web.refusals import RequestError
from tellapart.web.serve_config import ServeConfig
from tellapart.web.served_models import ServedModel, open_served

# Share of photos like those of the training that are answered by `none of these`.
_FALSE_ALARMS = 0.05
PROVISIONAL_NAME = "provisional"
# Number of an unsorted photo to the class it may be of and its probability, in the order that helps most.
Proposals = dict[str, tuple[str, float]]


@dataclass(frozen=True, eq=False)
class RefittedModel:
    """A head that was refitted, and what it takes to make a model of it.

    Attributes:
        opened: the backbone.
        class_names: in the order of the head.
        head: fitted to all photos.
        data: what it was fitted to.
        seed: of what is drawn at random.
    """

    opened: OpenBackbone
    class_names: tuple[str, ...]
    head: FittedHead
    data: HeadData
    seed: int

    def bundle(self) -> Bundle:
        """The model of the head with its backbone; `none of these` is told as in a run."""
        return make_head_bundle(
            self.opened, self.class_names, SampleDepths(), self.head, fit_novelty(self.data, self.seed)
        )

    def propose(self, ids: Sequence[str], embeddings: NDArray[np.float32]) -> Proposals:
        """What unsorted photos may be, in the order in which a label helps most.

        Args:
            ids: of the photos.
            embeddings: of each.
        """
        probabilities = self.head.probabilities(embeddings)
        best = probabilities.argmax(axis=1)
        return {
            ids[row]: (self.class_names[best[row]], float(probabilities[row, best[row]]))
            for row in order_to_label(probabilities, embeddings).tolist()
        }


class LiveAnswers:
    """The model that answers now; may be used from several threads. It is opened when it is first asked."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wanted: RefittedModel | RunSummary | None = None
        self._served: ServedModel | None = None

    def offer(self, model: RefittedModel | RunSummary | None) -> None:
        """Nothing; from now on this answers, or nothing does."""
        with self._lock:
            self._wanted, self._served = model, None

    def served(self) -> tuple[ServedModel, bool]:
        """The model, and whether it is provisional.

        Raises:
            RequestError: there is none yet.
            TellapartError: its run is damaged, or it does not run.
        """
        with self._lock:
            wanted = self._wanted
            if wanted is None:
                raise RequestError(409, _("There is no model yet. Add photos to at least two classes."))
            if self._served is None:
                self._served = _open(wanted)
            return self._served, isinstance(wanted, RefittedModel)


def _open(model: RefittedModel | RunSummary) -> ServedModel:
    if isinstance(model, RefittedModel):
        name, bundle, path = PROVISIONAL_NAME, model.bundle(), None
    else:
        name, bundle, path = model.name, read_bundle(model.run_dir), model.run_dir
    config = ServeConfig(none_of_these=_FALSE_ALARMS if bundle.usual_distances else None)
    return open_served(name, bundle, config, path)
