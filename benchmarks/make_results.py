"""Writes `RESULTS.md`, every table of measurements, and the table of the README, from the CSV files of this folder.

Run by `make results`; a test fails when a file is not what this writes. `results.csv`, `ablation.csv` and `folds.csv`
are written by the benchmarks; each file in `tables/` is one table, written by hand from a run that took too long, or
too many machines, for a benchmark.
"""

import csv
import re
import statistics
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from tellapart.measure.intervals import wilson_interval

BENCHMARKS_DIR = Path(__file__).resolve().parent
RESULTS_PAGE = BENCHMARKS_DIR / "RESULTS.md"
# Each README, and the words of its table: the head, the mark of the default, seconds and minutes.
READMES = {
    BENCHMARKS_DIR.parent / "README.md": (
        "| recipe | accuracy on 800 new photos (95% interval) | time |",
        "the default",
        "{low:.1%} to {high:.1%}",
        ("s", "min"),
    ),
    BENCHMARKS_DIR.parent / "README.zh-CN.md": (
        "| 方法 | 800 张新照片上的准确率 (95% 置信区间) | 用时 |",
        "默认",
        "{low:.1%} 至 {high:.1%}",
        ("秒", "分钟"),
    ),
}
_README_BLOCK = re.compile(
    r"(<!-- numbers: benchmarks/tables/recipes.csv -->\n).*?(<!-- end of numbers -->)", re.DOTALL
)

Row = Mapping[str, str]

# The benchmarks of results.csv, by the first word of their names: the title of their table, and what makes it again.
GROUPS = {
    "classic": ("Training the article's network, beside the article's own code", "make bench-classic"),
    "transfer": ("Commands of the recipe transfer, 3,950 photos", "make bench-transfer"),
    "phone": ("Photos of 12 megapixels", "make bench-transfer"),
    "peers": ("Beside the same network in Keras and PyTorch, 2,000 photos", "make bench-peers"),
    "accuracy": ("Accuracy of the recipe transfer, by photos per class", "python benchmarks/accuracy_transfer.py"),
    "run": ("Whole trainings from scratch", "python benchmarks/record_run.py RUN"),
    "reading": ("Reading photos", "make bench-reading"),
    "memory": ("Memory while training", "make bench-memory"),
    "start": ("Starting", "make bench-start"),
    "step": ("One step of the article's network", "make bench-step"),
    "scratch_step": ("One step of the network of scratch", "make bench-step"),
    "serve": ("Photos over HTTP", "make bench-serve"),
    "studio": ("Studio with 10,000 photos", "make bench-studio"),
    "live": ("Studio's model, by photos, and its answers to a camera", "make bench-studio"),
    "int8": ("The network in 8 bits beside float32", "python benchmarks/bench_int8.py"),
    "finetune": (
        "Fine-tuning beside the frozen network, by photos per class and steps",
        "python benchmarks/bench_finetune.py",
    ),
    "gpu": ("Steps and trainings on a GPU", "benchmarks/gpu.sh"),
    "export": ("Exports beside the model", "python benchmarks/bench_export.py"),
    "scale": ("What a photo costs as collections grow", "make bench-scale"),
    "cluster": (
        "Lists of photos worked through with Ray; seconds of a core with all of Ray's processes",
        "python benchmarks/bench_cluster.py",
    ),
    "tune": ("An hour of tuning", "make bench-tune"),
    "checkouts": ("Before and after a change", "python benchmarks/compare_checkouts.py"),
    "stream_fit": ("A head for embeddings that memory does not hold", "python benchmarks/bench_stream_fit.py"),
    "duplicates": ("Planted near copies, and how long they take to find", "make bench-check"),
}
# The files of tables/: title, and a sentence that says what was done.
TABLES = {
    "recipes": (
        "The recipes",
        "4,000 cats and dogs, about 800 held out; the table of the README.",
    ),
    "scratch-trainings": (
        "Trainings from scratch",
        "3,200 cats and dogs to train, 800 held out; a seed decides the split.",
    ),
    "scratch-grey-pictures": (
        "Grey pictures, from scratch",
        "Settings as they are, a width of 32 but for the last row.",
    ),
    "scratch-last-steps": (
        "What the last steps are worth",
        "Accuracy of the same trained weights, from scratch.",
    ),
    "scratch-temperature": (
        "One temperature for a network",
        "Log-loss of held-out photos, as trained and calibrated.",
    ),
    "scratch-simplified": (
        "The simplified recipe, from scratch",
        "800 cats and dogs to train, 1,600 held out, width 16; before and after decision 010, on the same splits.",
    ),
    "scratch-tried": (
        "What was tried on the way",
        "Plain PyTorch, 3,200 photos; one seed carries 1.6 points either way.",
    ),
    "scratch-step-parts": (
        "Where a step of scratch goes",
        "Shares by PyTorch's profiler, 16 photos on one core.",
    ),
    "classic-choices": (
        "Two choices of the recipe classic",
        "Images a second, batches of 32.",
    ),
    "near-copies-own-runs": (
        "More planted near copies",
        "Share found, lowest to highest.",
    ),
    "wrong-labels": (
        "Labels flipped on purpose, 5% of them",
        "Mean over the seeds, n of them.",
    ),
    "shortcuts": (
        "Shortcuts",
        "Collections with a planted shortcut, and without one.",
    ),
    "none-of-these": (
        "None of these",
        "Share turned away at a rate of 0.05, mean of the seeds.",
    ),
    "promises": (
        "Promises kept",
        "100 photos drawn, the rest of the photos as the truth (benchmarks/coverage.py).",
    ),
    "scale": (
        "Ten million photos, and a billion",
        "A plan: stages played by `benchmarks/simulate_scale.py`, which states its assumptions; hours until all is"
        " embedded, and of the one machine that fits the head; shares of that time that a stage is busy.",
    ),
    "scale-checked": (
        "The plan beside what was measured",
        "`predict --engine ray` on this machine: planned from the shortest list with Ray and from `predict` without Ray"
        " (`benchmarks/simulate_scale.py`), and measured (`benchmarks/bench_cluster.py`).",
    ),
    "group-intervals": (
        "Intervals count groups",
        "Share of 95% intervals that hold the truth, by groups and by files: groups of 1 to `largest_group` photos,"
        " right or wrong `together` to that degree, 1 for copies (benchmarks/coverage_groups.py).",
    ),
    "group-promises": (
        "Promises count groups",
        "`--not-sure` and `--max-missed` at a rate: share of collections that answer or promise anything, and their"
        " mean error or share missed among new photos, by groups and by files (benchmarks/coverage_not_sure.py).",
    ),
}


def results_page() -> str:
    """The whole of `RESULTS.md`."""
    parts = [
        "<!-- Written by benchmarks/make_results.py; `make results` renews it. -->\n",
        "# Results\n",
        "Every table comes from a CSV file of this folder. Speeds on one machine drift by tens of percent within an"
        " hour, so both sides of a ratio are measured in turn, in one run. The median is shown with the spread"
        " (largest minus smallest) and n, the number of repetitions or seeds.\n",
    ]
    for group, (title, command) in GROUPS.items():
        parts += _section(title, f"`{command}`", _latest(group))
    parts += _section("What the parts of scratch are worth", "`make bench-scratch`; mean over the seeds.", _ablations())
    parts += _section("Weather from scratch, in five folds", "`make bench-scratch`", _folds())
    for name, (title, sentence) in TABLES.items():
        parts += _section(title, sentence, read_rows(BENCHMARKS_DIR / f"tables/{name}.csv"))
    return "\n".join(parts).rstrip() + "\n"


def readme_page(path: Path) -> str:
    """A README with its table of recipes filled in from `tables/recipes.csv`."""
    head, default, interval, units = READMES[path]
    lines = [head, "|---|---|---|"]
    for row in read_rows(BENCHMARKS_DIR / "tables/recipes.csv"):
        num_right, num_photos = int(row["num_right"]), int(row["num_photos"])
        low, high = wilson_interval(num_right, num_photos)
        accuracy = f"{num_right / num_photos:.1%} ({interval.format(low=low, high=high)})"
        recipe = _code(row["recipe"]).replace("the default", default)
        lines.append(f"| {recipe} | {accuracy} | {_duration(float(row['seconds']), *units)} |")
    text = path.read_text(encoding="utf-8")
    return _README_BLOCK.sub(lambda match: match[1] + "\n".join(lines) + "\n" + match[2], text)


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file, by column."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _code(recipe: str) -> str:
    name, _, note = recipe.partition(" (")
    return f"`{name}`" + (f" ({note}" if note else "")


def _duration(seconds: float, second: str = "s", minute: str = "min") -> str:
    return f"{seconds:.0f} {second}" if seconds < 120 else f"{seconds / 60:.0f} {minute}"


def _section(title: str, sentence: str, rows: Sequence[Row]) -> list[str]:
    if not rows:
        return []
    columns = list(rows[0])
    lines = ["| " + " | ".join(column.replace("_", " ") for column in columns) + " |", "|---" * len(columns) + "|"]
    lines += ["| " + " | ".join(row[column] for column in columns) + " |" for row in rows]
    return [f"## {title}\n", f"{sentence}\n", *lines, ""]


def _latest(group: str) -> list[Row]:
    """The newest row of each benchmark on each machine, in the order they first appeared."""
    newest: dict[tuple[str, str], Row] = {}
    for row in read_rows(BENCHMARKS_DIR / "results.csv"):
        if row["benchmark"].partition(".")[0] == group:
            newest[row["benchmark"], row["machine"]] = {
                "benchmark": row["benchmark"].partition(".")[2],
                **{column: row[column] for column in ("median", "unit", "spread", "n", "machine", "date")},
            }
    return list(newest.values())


def _ablations() -> list[Row]:
    """Ingredient by ingredient; runs that differ by a photo in their split belong together."""
    same = ("views", "width", "learning_rate", "ingredient")
    groups = _grouped(
        read_rows(BENCHMARKS_DIR / "ablation.csv"),
        lambda row: (f"{round(int(row['num_train']), -2):,}", *(row[name] for name in same)),
    )
    return [
        {
            **dict(zip(("photos to train", *same), key, strict=True)),
            "accuracy": f"{_mean(rows, 'accuracy'):.3f}",
            "lowest to highest": _range(rows, "accuracy"),
            "log_loss": f"{_mean(rows, 'log_loss'):.3f}",
            "core_minutes": f"{_mean(rows, 'core_minutes'):.1f}",
            "n": str(len(rows)),
        }
        for key, rows in sorted(groups.items(), key=lambda item: (int(item[0][1]), item[0]))
    ]


def _folds() -> list[Row]:
    groups = _grouped(read_rows(BENCHMARKS_DIR / "folds.csv"), lambda row: (row["machine"], row["width"]))
    found: list[Row] = []
    for (machine, width), rows in groups.items():
        num_right, num_photos = (sum(int(row[name]) for row in rows) for name in ("num_right", "num_photos"))
        low, high = wilson_interval(num_right, num_photos)
        shown = (width, f"{num_right / num_photos:.3f} ({low:.3f} to {high:.3f})", f"{_mean(rows, 'core_minutes'):.1f}")
        columns = ("width", "accuracy", "core_minutes a fold", "n", "machine")
        found.append(dict(zip(columns, (*shown, str(len(rows)), machine), strict=True)))
    return found


def _grouped(rows: Iterable[Row], key: Callable[[Row], tuple[str, ...]]) -> dict[tuple[str, ...], list[Row]]:
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return groups


def _mean(rows: Sequence[Row], column: str) -> float:
    return statistics.fmean(float(row[column]) for row in rows)


def _range(rows: Sequence[Row], column: str) -> str:
    values = [float(row[column]) for row in rows]
    return f"{min(values):.3f} to {max(values):.3f}"


def pages() -> dict[Path, str]:
    """The text of all files, by path."""
    return {RESULTS_PAGE: results_page(), **{path: readme_page(path) for path in READMES}}


if __name__ == "__main__":
    for page, text in pages().items():
        page.write_text(text, encoding="utf-8")
        sys.stdout.write(f"{page}\n")
