"""Transfer training and prediction beside the same task in plain Keras and plain PyTorch, all with the same weights.

Each turn trains tellapart with an empty embedding cache, then each peer on tellapart's own split, each in a process of
its own. Prediction is timed from files to answers on the validation photos.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from recording import REPOSITORY_DIR, Measurement, link_photos, make_parser, record, run_tellapart

BENCHMARKS_DIR = REPOSITORY_DIR / "benchmarks"
SAVE_NETWORK = (
    "import sys; from tellapart.learn.pretrained import load_pretrained;"
    " load_pretrained('efficientnet-lite0').save(sys.argv[1])"
)
TIME_PREDICTION = (
    "import json, sys, time; sys.path.insert(0, sys.argv[3]); import tellapart; from pathlib import Path\n"
    "from peer_photos import read_split\n"
    "model, paths = tellapart.load(sys.argv[1]), read_split(Path(sys.argv[2]))[1].paths\n"
    "list(model.predict(paths[:32]))\n"
    "started = time.perf_counter(); answers = list(model.predict(paths))\n"
    "print(json.dumps({'photos_per_second': len(answers) / (time.perf_counter() - started)}))\n"
)


def run_json(command: list[str | Path], **environment: str) -> dict[str, float]:
    """What the command printed in its last line, as JSON.

    Raises:
        SystemExit: it failed; carries what it said.
    """
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=os.environ | environment)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(words[:4])} exited with {done.returncode}: {done.stderr.strip()[-2000:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def measure_tellapart(photos_dir: Path, run_dir: Path, cache_dir: Path) -> dict[str, float]:
    """Training time, accuracy and prediction speed of tellapart; the backbone is in the cache, no embedding is."""
    for path in (cache_dir / "tellapart").glob("embeddings*"):
        path.unlink()
    shutil.rmtree(run_dir, ignore_errors=True)
    started = time.perf_counter()
    run_tellapart(["train", photos_dir, "--validation", "0.2", "--out", run_dir], cache_dir)
    result = {"train_seconds": time.perf_counter() - started}
    result["validation_accuracy"] = json.loads((run_dir / "metrics.json").read_bytes())["validation_accuracy"]
    return result | run_json([sys.executable, "-c", TIME_PREDICTION, run_dir, run_dir / "split.csv", BENCHMARKS_DIR])


def main() -> None:
    """Prints what each side gave, turn by turn, then records the medians and the ratios within the turns."""
    parser = make_parser(__doc__, num_runs=1)
    parser.add_argument("--keras-python", type=Path, required=True, help="Python with Keras on TensorFlow")
    parser.add_argument("--num-photos", type=int, default=2000, help="photos to take, half of each class")
    parser.add_argument("--epochs", type=int, default=5, help="epochs of the peers")
    arguments = parser.parse_args()
    turns: list[dict[str, dict[str, float]]] = []
    with tempfile.TemporaryDirectory() as name:
        work_dir = Path(name)
        photos_dir, run_dir, cache_dir = work_dir / "photos", work_dir / "run", work_dir / "cache"
        link_photos(arguments.photos, arguments.num_photos, photos_dir)
        network, split = work_dir / "network.keras", run_dir / "split.csv"
        subprocess.run([sys.executable, "-c", SAVE_NETWORK, str(network)], check=True, env=dict(os.environ))
        run_tellapart(["embed", photos_dir, "--out", work_dir / "warm-up.npz"], cache_dir)
        epochs = ["--epochs", str(arguments.epochs)]
        keras_script, torch_script = BENCHMARKS_DIR / "peer_keras.py", BENCHMARKS_DIR / "peer_pytorch.py"
        for _ in range(arguments.runs):
            turn = {"tellapart": measure_tellapart(photos_dir, run_dir, cache_dir)}
            keras_command = [arguments.keras_python, keras_script, split, network, *epochs]
            turn["keras-tensorflow"] = run_json(keras_command, KERAS_BACKEND="tensorflow", TF_CPP_MIN_LOG_LEVEL="2")
            turn["keras-torch"] = run_json(
                [sys.executable, keras_script, split, network, "--only-predict"], KERAS_BACKEND="torch"
            )
            turn["pytorch"] = run_json([sys.executable, torch_script, split, *epochs])
            turns.append(turn)
            print(json.dumps(turn), flush=True)
    record(_measurements(turns), arguments.results)


def _measurements(turns: list[dict[str, dict[str, float]]]) -> list[Measurement]:
    units = {"train_seconds": "s", "photos_per_second": "images/s", "validation_accuracy": "share"}
    found = [
        Measurement(f"peers.{side}.{what}", tuple(turn[side][what] for turn in turns), unit)
        for side in turns[0]
        for what, unit in units.items()
        if what in turns[0][side]
    ]
    for side in [side for side in turns[0] if side != "tellapart"]:
        for what in [what for what in ("train_seconds", "photos_per_second") if what in turns[0][side]]:
            ratios = tuple(_ratio(turn["tellapart"][what], turn[side][what], what) for turn in turns)
            found.append(Measurement(f"peers.{side}.{what}_ratio", ratios, "ratio"))
    return found


def _ratio(ours: float, theirs: float, what: str) -> float:
    """How many times faster tellapart is."""
    return theirs / ours if what == "train_seconds" else ours / theirs


if __name__ == "__main__":
    main()
