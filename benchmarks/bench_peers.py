"""Transfer training and prediction beside the same task in plain Keras and plain PyTorch, all with the same weights.

Each turn trains tellapart with an empty embedding cache, then each peer on tellapart's own split, each in a process of
its own. After that, prediction from files to answers is timed on the validation photos in turns of its own.
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
    """Training time and accuracy of tellapart; the backbone is in the cache, no embedding is."""
    for path in (cache_dir / "tellapart").glob("embeddings*"):
        path.unlink()
    shutil.rmtree(run_dir, ignore_errors=True)
    started = time.perf_counter()
    run_tellapart(["train", photos_dir, "--validation", "0.2", "--out", run_dir], cache_dir)
    result = {"train_seconds": time.perf_counter() - started}
    result["validation_accuracy"] = json.loads((run_dir / "metrics.json").read_bytes())["validation_accuracy"]
    return result


def main() -> None:
    """Prints what each side gave, turn by turn, then records the medians and the ratios within the turns."""
    parser = make_parser(__doc__, num_runs=1)
    parser.add_argument("--keras-python", type=Path, required=True, help="Python with Keras on TensorFlow")
    parser.add_argument("--num-photos", type=int, default=2000, help="photos to take, half of each class")
    parser.add_argument("--epochs", type=int, default=5, help="epochs of the peers")
    parser.add_argument("--prediction-turns", type=int, default=5, help="times that prediction is timed on each side")
    arguments = parser.parse_args()
    turns: list[dict[str, dict[str, float]]] = []
    prediction_turns: list[dict[str, dict[str, float]]] = []
    with tempfile.TemporaryDirectory() as name:
        work_dir = Path(name)
        photos_dir, run_dir, cache_dir = work_dir / "photos", work_dir / "run", work_dir / "cache"
        link_photos(arguments.photos, arguments.num_photos, photos_dir)
        network, split = work_dir / "network.keras", run_dir / "split.csv"
        environment = os.environ | {"KERAS_BACKEND": "torch"}
        subprocess.run([sys.executable, BENCHMARKS_DIR / "keras_lite0.py", network], check=True, env=environment)
        run_tellapart(["train", photos_dir, "--validation", "0.2", "--out", run_dir], cache_dir)
        epochs = ["--epochs", str(arguments.epochs)]
        keras_script, torch_script = BENCHMARKS_DIR / "peer_keras.py", BENCHMARKS_DIR / "peer_pytorch.py"
        on_tensorflow = {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "2"}
        for _ in range(arguments.runs):
            turn = {"tellapart": measure_tellapart(photos_dir, run_dir, cache_dir)}
            keras_command = [arguments.keras_python, keras_script, split, network, *epochs]
            turn["keras-tensorflow"] = run_json(keras_command, **on_tensorflow)
            turn["pytorch"] = run_json([sys.executable, torch_script, split, *epochs])
            turns.append(turn)
            print(json.dumps(turn), flush=True)
        only = [keras_script, split, network, "--only-predict"]
        for _ in range(arguments.prediction_turns):
            predictions = {
                "tellapart": run_json([sys.executable, "-c", TIME_PREDICTION, run_dir, split, BENCHMARKS_DIR]),
                "keras-tensorflow": run_json([arguments.keras_python, *only], **on_tensorflow),
                "keras-torch": run_json([sys.executable, *only], KERAS_BACKEND="torch"),
            }
            prediction_turns.append(predictions)
            print(json.dumps(predictions), flush=True)
    trained = _measurements(turns, "train_seconds", "s") + _measurements(turns, "validation_accuracy", "share")
    record(trained + _measurements(prediction_turns, "photos_per_second", "images/s"), arguments.results)


def _measurements(turns: list[dict[str, dict[str, float]]], what: str, unit: str) -> list[Measurement]:
    """One of the figures of each side over the turns, and how many times better tellapart is, within each turn."""
    if not turns:
        return []
    found = [Measurement(f"peers.{side}.{what}", tuple(turn[side][what] for turn in turns), unit) for side in turns[0]]
    if unit == "share":
        return found
    for side in [side for side in turns[0] if side != "tellapart"]:
        ratios = tuple(_ratio(turn["tellapart"][what], turn[side][what], unit) for turn in turns)
        found.append(Measurement(f"peers.{side}.{what}_ratio", ratios, "ratio"))
    return found


def _ratio(ours: float, theirs: float, unit: str) -> float:
    """How many times faster tellapart is."""
    return theirs / ours if unit == "s" else ours / theirs


if __name__ == "__main__":
    main()
