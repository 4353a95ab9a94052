"""Bare ONNX Runtime: seconds for a backbone over as many ready-made inputs as asked for, in batches of 32, all cores.

Nothing is decoded; the session has its default options. Prints one line of JSON.
"""

import argparse
import json
import os
import time
from pathlib import Path

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # before the import, so that nothing leaves the machine

import numpy as np
import onnxruntime

BATCH_SIZE = 32


def main() -> None:
    """Makes the inputs, warms up on two batches, and times the rest."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("model", type=Path, help="ONNX file that takes uint8 (batch, height, width, 3)")
    parser.add_argument("--num-images", type=int, default=4000)
    parser.add_argument("--output", default="embedding", help="name of the output to compute")
    arguments = parser.parse_args()
    session = onnxruntime.InferenceSession(arguments.model, providers=["CPUExecutionProvider"])
    shape = session.get_inputs()[0].shape[1:]
    # 256 different images, used again and again, so that memory is not what is measured.
    images = np.random.default_rng(0).integers(0, 256, (256, *shape), dtype=np.uint8)
    for _ in range(2):
        session.run([arguments.output], {"image": images[:BATCH_SIZE]})
    started = time.perf_counter()
    for start in range(0, arguments.num_images, BATCH_SIZE):
        num_images = min(BATCH_SIZE, arguments.num_images - start)
        offset = start % len(images)
        session.run([arguments.output], {"image": images[offset : offset + num_images]})
    seconds = time.perf_counter() - started
    print(json.dumps({"seconds": seconds, "images_per_second": arguments.num_images / seconds}))


if __name__ == "__main__":
    main()
