"""The pretrained network in 8 bits beside float32: time of an answer, size, and what the head loses.

Both answer the same images in turn, in one process. A ratio above 1 is that of the time in float32 over the time in 8
bits, once by the clock and once by the processor time of all threads, which other programs disturb less. The log-loss
is that of a quick head in cross-validation, photo by photo on the embeddings of both; above 0 the one in 8 bits is
worse. The instruction set is in the name of each row.
"""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

import tellapart
from recording import REPOSITORY_DIR, Measurement, make_parser, record
from tellapart.backbones.backbone import Backbone, open_backbone
from tellapart.backbones.embedder import Embedder
from tellapart.backbones.onnx_session import InferenceSession, describe_instructions, open_session
from tellapart.backbones.onnx_wire import keep_outputs
from tellapart.backbones.photo_pass import Eye, look_at
from tellapart.backbones.quantisation import quantise_network
from tellapart.checkup.duplicates import find_groups, group_numbers
from tellapart.config import DEFAULT_BACKBONE
from tellapart.heads.cross_validation import held_out_losses
from tellapart.heads.head_data import HeadData
from tellapart.networks.onnx_nodes import EMBEDDING_NAME, INPUT_NAME

NUM_CALIBRATION, WARM_UPS = 100, 3
COLLECTIONS = tuple(REPOSITORY_DIR / "../shared/data" / name for name in ("cats-dogs/train", "weather", "hard-fruit"))


def time_answers(session: InferenceSession, images: NDArray[np.uint8]) -> tuple[float, float]:
    """Seconds of an answer, by the clock and of the processor."""
    clock, processor = time.perf_counter(), time.process_time()
    session.run(None, {INPUT_NAME: images})
    return time.perf_counter() - clock, time.process_time() - processor


def compare_speed(models: tuple[bytes, bytes], images: NDArray[np.uint8], num_runs: int) -> Iterator[Measurement]:
    """Ratios for one and two threads, and one and several images at once."""
    for num_threads in (1, 2):
        sessions = [open_session(model, num_threads) for model in models]
        for batch in (1, len(images)):
            shown = images[:batch]
            for _ in range(WARM_UPS):
                for session in sessions:
                    time_answers(session, shown)
            found = np.empty((num_runs, 2, 2))
            for run in range(num_runs):
                order = (0, 1) if run % 2 else (1, 0)
                for which in order:
                    found[run, which] = time_answers(sessions[which], shown)
            for kind, name in enumerate(("clock", "processor")):
                ratios = tuple((found[:, 0, kind] / found[:, 1, kind]).tolist())
                yield Measurement(f"threads{num_threads}.batch{batch}.{name}", ratios, "ratio")
            float_ms = tuple((1000 * found[:, 0, 1] / batch).tolist())
            yield Measurement(f"threads{num_threads}.batch{batch}.float32", float_ms, "processor ms a photo")


def compare_losses(photos_dir: Path, float32: Backbone, images_at_most: int, work_dir: Path) -> Iterator[Measurement]:
    """What a head loses in 8 bits whose ranges are those of the first photos of the collection."""
    photos = tellapart.open_photos(photos_dir).shuffled(0)
    photos = photos.take(np.arange(min(images_at_most, len(photos))))
    calibration, _ = photos.take(np.arange(NUM_CALIBRATION)).arrays(float32.image_size)
    models = [float32.model, quantise(float32, calibration, work_dir)]
    eyes = [Eye(Embedder(model, float32.image_size, float32.name)) for model in models]
    seen = look_at(photos, eyes, cache_dir=str(work_dir / "cache"))
    assert seen.photos.labels is not None
    assert seen.embeddings is not None
    groups = group_numbers(find_groups(seen.digests, seen.facts), len(seen))
    num_classes = len(seen.photos.class_names)
    losses = [
        held_out_losses(HeadData(embeddings, seen.photos.labels, groups, num_classes), 5, 0)
        for embeddings in (seen.embeddings, *seen.further_embeddings)
    ]
    lost = losses[1] - losses[0]
    error = lost.std(ddof=1) / np.sqrt(len(lost))
    name = photos_dir.name if photos_dir.name != "train" else photos_dir.parent.name
    yield Measurement(f"{name}.log_loss.float32", (float(losses[0].mean()),), "nats")
    yield Measurement(f"{name}.log_loss.lost", (float(lost.mean()),), "nats")
    yield Measurement(f"{name}.log_loss.standard_error_of_lost", (float(error),), "nats")
    print(name, len(lost), "photos", losses[0].mean(), lost.mean(), error, flush=True)


def quantise(backbone: Backbone, calibration: NDArray[np.uint8], work_dir: Path) -> bytes:
    model = onnx.load_model_from_string(keep_outputs(backbone.model, [EMBEDDING_NAME]))
    return bytes(quantise_network(model, calibration, work_dir).SerializeToString())


def main() -> None:
    """Measures speed and size with photos of the first collection, and losses on all."""
    parser = make_parser(__doc__, num_runs=60)
    parser.add_argument("--backbone", default=DEFAULT_BACKBONE)
    parser.add_argument("--collections", type=Path, nargs="*", default=COLLECTIONS)
    parser.add_argument("--most", type=int, default=900, help="photos of each collection (default 900)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        work_dir = Path(name)
        backbone = open_backbone(arguments.backbone, work_dir)
        photos = tellapart.open_photos(arguments.photos).shuffled(0).take(np.arange(NUM_CALIBRATION))
        images, _ = photos.arrays(backbone.image_size)
        models = (keep_outputs(backbone.model, [EMBEDDING_NAME]), quantise(backbone, images, work_dir))
        found = [Measurement("size", (len(models[1]) / len(models[0]),), "ratio")]
        found += compare_speed(models, images[:8], arguments.runs)
        for photos_dir in arguments.collections:
            found += compare_losses(photos_dir, backbone, arguments.most, work_dir)
    prefix = f"int8.{backbone.name}.{describe_instructions()}"
    record([Measurement(f"{prefix}.{item.benchmark}", item.values, item.unit) for item in found], arguments.results)


if __name__ == "__main__":
    main()
