"""Which photos without a label are to be labelled next: those the model is least sure of, spread over what they show.

Uncertainty by the margin between the two most probable classes (Scheffer, Decomain and Wrobel 2001, "Active hidden
Markov models for information extraction"; Settles 2009, "Active learning literature survey", section 3.1). A batch of
the least sure photos would be near-copies of one another; so out of ten times as many candidates those far from each
other are taken, the farthest first (Gonzalez 1985; as Sener and Savarese 2018 choose, and Zhdanov 2019, "Diverse
mini-batch active learning", behind such a filter). Arrays in, an order out.
"""

import numpy as np
from numpy.typing import NDArray

from tellapart.heads.linear_models import to_unit_length

# Photos that a person sees at once, and candidates for each of them.
_BATCH_SIZE, _CANDIDATES_EACH = 12, 10
# Of few photos no more than one in so many is a candidate, so that those the model is sure of stay behind.
_LEAST_SHARE = 3
# Photos that are spread; behind them the order by margin does.
_MOST_SPREAD = 600


def order_to_label(probabilities: NDArray[np.float32], embeddings: NDArray[np.float32]) -> NDArray[np.int64]:
    """Rows in the order in which a label helps most, int64, shape `(n,)`; each row once.

    Args:
        probabilities: of the classes, shape `(n, num_classes)`, at least 2 classes; not modified.
        embeddings: float32, shape `(n, size)`, finite; not modified.
    """
    best = np.sort(probabilities, axis=1)
    by_margin = np.argsort(best[:, -1] - best[:, -2], kind="stable").astype(np.int64)
    vectors = to_unit_length(embeddings)
    spread: list[int] = []
    rest = by_margin
    while len(rest) and len(spread) < _MOST_SPREAD:
        num_candidates = min(_BATCH_SIZE * _CANDIDATES_EACH, max(_BATCH_SIZE, len(rest) // _LEAST_SHARE))
        candidates = rest[:num_candidates]
        taken = candidates[_farthest_first(vectors[candidates], _BATCH_SIZE)]
        spread += taken.tolist()
        rest = rest[~np.isin(rest, taken)]
    return np.concatenate([np.array(spread, np.int64), rest])


def _farthest_first(vectors: NDArray[np.float32], number: int) -> NDArray[np.int64]:
    """The first row, and then each time the row that is farthest from those taken; at most `number` of them."""
    taken = [0]
    nearest = np.full(len(vectors), np.inf)
    while len(taken) < min(number, len(vectors)):
        nearest = np.minimum(nearest, 2 - 2 * (vectors @ vectors[taken[-1]]))
        nearest[taken] = -1.0
        taken.append(int(nearest.argmax()))
    return np.array(taken, np.int64)
