"""Every number of a report, read off the page and computed again from the tables of the run, in other words."""

import csv
import json
import math
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import tellapart
from tellapart.demo.drawing import write_demo_folder


@dataclass(frozen=True)
class Tables:
    """What `predictions.csv` and `split.csv` say of the photos that were measured on."""

    names: list[str]
    labels: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    groups: NDArray[np.int64]

    @property
    def said(self) -> NDArray[np.int64]:
        return self.probabilities.argmax(axis=1)


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        return list(csv.DictReader(file))


def plain(markup: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", "", markup)).strip()


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory, tiny_backbone: Path, cache_dir: str) -> Path:
    """A run on drawn photos with wrong labels and copies, so that no number is 0 or 1."""
    folder = tmp_path_factory.mktemp("numbers")
    photos = write_demo_folder(folder / "photos", 24, seed=5)
    cats, dogs = (sorted((photos / name).iterdir()) for name in ("cat", "dog"))
    for number in range(4):
        cats[number].rename(photos / "dog" / f"moved-{number}.jpg")
        dogs[number].rename(photos / "cat" / f"moved-{number}.jpg")
        shutil.copy(cats[10], photos / "cat" / f"copy-{number}.jpg")
    return tellapart.train(photos, folder / "run", backbone=str(tiny_backbone), cache_dir=cache_dir).run_dir


@pytest.fixture(scope="module")
def page(run_dir: Path) -> str:
    return (run_dir / "report.html").read_text()


@pytest.fixture(scope="module")
def tables(run_dir: Path) -> Tables:
    rows = read_csv(run_dir / "predictions.csv")
    names = json.loads((run_dir / "metrics.json").read_bytes())["class_names"]
    group_of = {row["path"]: int(row["group"]) for row in read_csv(run_dir / "split.csv")}
    return Tables(
        names,
        np.array([names.index(row["class"]) for row in rows]),
        np.array([[float(row[f"p_{name}"]) for name in names] for row in rows]),
        np.array([group_of[row["path"]] for row in rows]),
    )


@pytest.fixture(scope="module")
def tiles(page: str) -> dict[str, tuple[str, str]]:
    """The large number and the small print of each tile, by its title."""
    found = re.findall(r'<div class="tile"><h3>(.*?)</h3>\s*<p class="big">(.*?)</p>\s*<p>(.*?)</p></div>', page, re.S)
    return {plain(title): (plain(number), plain(small)) for title, number, small in found}


def written(share: float) -> str:
    """A share of up to 200 photos, as people read it."""
    return f"{round(100 * share)}%" if 0 < round(100 * share) < 100 else f"{100 * share:.1f}%"


def wilson(is_right: NDArray[np.bool_], groups: NDArray[np.int64]) -> tuple[float, float]:
    """The roots of `(p - share)^2 = z^2 p (1 - p) / n`, where photos of a group count as one."""
    num = len(groups) ** 2 / sum(int((groups == group).sum()) ** 2 for group in set(groups.tolist()))
    share, squared = float(is_right.mean()), 1.959963984540054**2
    low, high = sorted(np.roots([1 + squared / num, -(2 * share + squared / num), share**2]).real)
    return float(low), float(high)


def test_the_accuracy_and_its_interval(tables: Tables, tiles: dict[str, tuple[str, str]]) -> None:
    is_right = tables.said == tables.labels
    low, high = wilson(is_right, tables.groups)
    largest = int(np.bincount(tables.labels).argmax())
    constant = f"Always answering {tables.names[largest]} gets {written(float((tables.labels == largest).mean()))}."
    number, small = tiles["Accuracy"]
    assert number == written(float(is_right.mean()))
    assert 0 < is_right.mean() < 1
    assert small.startswith(f"of {len(is_right)} photos, by the mean of 3 cross-validations.")
    assert f"95% interval about {written(low)} to {written(high)}. {constant}" in small


def test_the_balanced_accuracy_and_its_interval(tables: Tables, tiles: dict[str, tuple[str, str]]) -> None:
    recalls, lows, highs = [], [], []
    for label in range(len(tables.names)):
        of_class = tables.labels == label
        low, high = wilson(tables.said[of_class] == label, tables.groups[of_class])
        recalls.append(float((tables.said[of_class] == label).mean()))
        lows.append(recalls[-1] - low)
        highs.append(high - recalls[-1])
    mean = sum(recalls) / len(recalls)
    low, high = mean - math.hypot(*lows) / len(lows), mean + math.hypot(*highs) / len(highs)
    number, small = tiles["Balanced accuracy"]
    assert number == written(mean)
    assert f"95% interval {written(low)} to {written(high)}." in small


def test_the_scores_of_the_probabilities(tables: Tables, tiles: dict[str, tuple[str, str]]) -> None:
    of_label = tables.probabilities[np.arange(len(tables.labels)), tables.labels]
    assert float(tiles["Log loss"][0]) == pytest.approx(float(-np.log(of_label).mean()), abs=6e-4)
    truth = np.eye(len(tables.names))[tables.labels]
    brier = float(np.square(tables.probabilities - truth).sum(axis=1).mean())
    assert float(tiles["Brier score"][0]) == pytest.approx(brier, abs=6e-4)
    f1 = [
        2 * int(((tables.said == label) & (tables.labels == label)).sum())
        / (int((tables.said == label).sum()) + int((tables.labels == label).sum()))
        for label in range(len(tables.names))
    ]  # fmt: skip
    assert f"Macro F1 {sum(f1) / len(f1):.3f}." in tiles["Balanced accuracy"][1]


@pytest.mark.parametrize("label", [0, 1])
def test_the_line_of_a_class(tables: Tables, page: str, label: int) -> None:
    table = page[page.index("<h3>Class by class</h3>") :]
    line = re.findall(r"<tr><th scope=\"row\">.*?</tr>", table[: table.index("</table>")], re.S)[label]
    of_class, said = tables.labels == label, tables.said == label
    recall, precision = float(said[of_class].mean()), float(of_class[said].mean())
    low, high = wilson(said[of_class], tables.groups[of_class])
    cells = [plain(cell) for cell in re.findall(r"<t[hd].*?</t[hd]>", line, re.S)]
    assert cells[0] == tables.names[label]
    assert int(cells[1].split()[0]) == of_class.sum()
    assert cells[2:] == [written(recall), f"{written(low)} to {written(high)}", written(precision)]


def test_copies_are_counted_once_beside_their_class(tables: Tables, page: str) -> None:
    num = len(set(tables.groups[tables.labels == 0].tolist()))
    assert f"({num} independent)" in plain(page)


def test_the_confusion_matrix(tables: Tables, page: str) -> None:
    matrix = re.search(r'<table class="matrix.*?<tbody>(.*?)</tbody>', page, re.S)
    assert matrix is not None
    rows = [re.findall(r"<td.*?</td>", row, re.S) for row in re.findall(r"<tr>.*?</tr>", matrix[1], re.S)]
    shown = np.array([[int(plain(cell)) for cell in row] for row in rows])
    expected = np.zeros_like(shown)
    np.add.at(expected, (tables.labels, tables.said), 1)
    np.testing.assert_array_equal(shown, expected)


def test_the_mistakes_are_those_of_the_table_each_with_its_probability(tables: Tables, page: str) -> None:
    section = page[page.index('<section id="mistakes"') :]
    shown = [plain(said) for said in re.findall(r'<p class="said">(.*?)</p>', section, re.S)]
    wrong = [one for one in shown if ": correct" not in one]
    places = np.flatnonzero(tables.said != tables.labels)
    expected = {f"{100 * tables.probabilities[place].max():.1f}%" for place in places}
    assert {re.findall(r"\d+\.\d%", one)[0] for one in wrong} == expected


def test_the_verdict_is_the_one_in_the_metrics(run_dir: Path, page: str) -> None:
    metrics = json.loads((run_dir / "metrics.json").read_bytes())
    head = page[: page.index('<main id="main"')]
    assert plain(re.findall(r'<p class="word">(.*?)</p>', head, re.S)[0]).startswith(metrics["verdict"])
    assert [plain(step) for step in re.findall(r"<li><b>(.*?)\.</b>", head, re.S)] == [
        step["title"].replace("'", "&#39;") for step in metrics["next_steps"][:5]
    ]
