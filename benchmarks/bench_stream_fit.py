"""A head for a million embeddings that memory does not hold: peak memory, processor time, and what the stream adds.

The embeddings are drawn batch by batch whenever they are asked for, so the disk takes no part. They go through the same
functions as `tellapart train --engine ray`: a stratified sample, LDA of all others by sums, and the head chosen by
cross-validation on the sample. The accuracy is that on the held-out fifth of the sample, with and without the stream.
Processor time is of all threads. Linux only.
"""

import resource
import time
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from recording import Measurement, make_parser, record
from tellapart.heads.head import FittedHead, fit_head
from tellapart.heads.head_data import HeadData
from tellapart.heads.novelty import fit_novelty
from tellapart.heads.stream_fit import SAMPLE_SIZE, Batch, draw_sample, fit_lda_stream
from tellapart.measure.splits import split_indices
from tellapart.randomness import named_generator

_BATCH = 8192
_HELD_OUT = 0.2


class DrawnEmbeddings:
    """Embeddings of classes that overlap, the same ones whenever they are drawn.

    Args:
        num: how many.
        size: numbers of each.
        num_classes: equally frequent.
        distance: of the means of two classes, in standard deviations of the noise.
    """

    def __init__(self, num: int, size: int, num_classes: int, distance: float) -> None:
        self.labels = named_generator(0, "labels").integers(0, num_classes, num)
        self.contents = np.arange(num, dtype=np.uint64)
        means = named_generator(0, "means").standard_normal((num_classes, size))
        means *= distance / np.sqrt(2) / np.linalg.norm(means, axis=1, keepdims=True)
        self._means = means.astype(np.float32)
        # Features of a network are alike in part, which is what a covariance is for.
        self._scales = np.geomspace(3, 0.3, size).astype(np.float32)

    def batches(self, rows: NDArray[np.bool_]) -> Iterator[Batch]:
        """Embeddings and labels of these rows."""
        for number, start in enumerate(range(0, len(self.labels), _BATCH)):
            labels = self.labels[start : start + _BATCH]
            generator = named_generator(0, "embeddings", number)
            embeddings = generator.standard_normal((len(labels), self._means.shape[1]), np.float32)
            embeddings += self._means[labels]
            embeddings *= self._scales
            embeddings += 1
            kept = rows[start : start + _BATCH]
            if kept.any():
                yield embeddings[kept], labels[kept]


def gather(drawn: DrawnEmbeddings, rows: NDArray[np.bool_], num_classes: int) -> HeadData:
    """The photos of these rows, in memory."""
    parts = list(drawn.batches(rows))
    embeddings, labels = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return HeadData(embeddings, labels, np.arange(len(labels)), num_classes)


def accuracy(head: FittedHead, data: HeadData) -> float:
    return float((head.probabilities(data.embeddings).argmax(axis=1) == data.labels).mean())


def main() -> None:
    """Fits the head and records what it took."""
    parser = make_parser(__doc__, 1)
    parser.add_argument("--num-embeddings", type=int, default=1_000_000)
    parser.add_argument("--size", type=int, default=1280, help="numbers of an embedding (default 1280)")
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--distance", type=float, default=5.5, help="of the means of two classes (default 5.5)")
    parser.add_argument("--sample", type=int, default=SAMPLE_SIZE)
    arguments = parser.parse_args()
    num_classes = arguments.classes
    drawn = DrawnEmbeddings(arguments.num_embeddings, arguments.size, num_classes, arguments.distance)
    started, used = time.perf_counter(), time.process_time()
    is_sampled = draw_sample(drawn.labels, drawn.contents, arguments.sample, 0)
    sample = gather(drawn, is_sampled, num_classes)
    split = split_indices(sample.labels, sample.groups, _HELD_OUT, 0)
    is_train = np.isin(np.arange(len(sample.labels)), split.train)
    train, held_out = sample.take(is_train), sample.take(~is_train)
    before = time.process_time()
    streamed = fit_lda_stream(lambda: drawn.batches(~is_sampled), num_classes, is_corrected=False)
    of_stream = time.process_time() - before
    head = fit_head(train, 5, 0, streamed=streamed)
    fit_novelty(train, 0)
    seconds, cpu = time.perf_counter() - started, time.process_time() - used
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    print(f"{seconds:.0f} s; chosen: {', '.join(head.chosen)}")
    alone = fit_head(train, 5, 0)
    name = f"stream_fit.{arguments.num_embeddings}"
    record(
        [
            Measurement(f"{name}.peak", (peak,), "GB"),
            Measurement(f"{name}.cpu", (cpu,), "core-s"),
            Measurement(f"{name}.stream_cpu", (1e6 * of_stream / arguments.num_embeddings,), "core-us/photo"),
            Measurement(f"{name}.accuracy", (accuracy(head, held_out),), "share"),
            Measurement(f"{name}.accuracy_of_sample_alone", (accuracy(alone, held_out),), "share"),
        ],
        arguments.results,
    )


if __name__ == "__main__":
    main()
