"""When a model says `not sure` or `none of these`."""

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from tellapart.commands.predict import PredictOutputs, predict_photos
from tellapart.config import SourceConfig, TransferConfig
from tellapart.errors import ConfigError
from tellapart.predict.answers import NONE_OF_THESE, NOT_SURE, AnswerConfig, AnswerRule
from tellapart.predict.bundle import read_bundle
from tellapart.predict.predictor import Predictor
from tellapart.records import Prediction, SelectivePoint
from tellapart.runs.job import Run
from tellapart.runs.train import train


@pytest.fixture(scope="module")
def headed(
    tmp_path_factory: pytest.TempPathFactory, animals_dir: Path, tiny_backbone: Path, source_config: SourceConfig
) -> Run:
    """A finished run of `transfer` on a tiny backbone, which is often wrong; not to be changed."""
    config = TransferConfig(backbone=str(tiny_backbone), folds=3)
    return train(animals_dir, tmp_path_factory.mktemp("runs") / "headed", config, source=source_config)


@pytest.fixture
def predictor(headed: Run) -> Predictor:
    """The model, as if it had been measured on 100 photos."""
    points = (SelectivePoint(0.0, 100, 30), SelectivePoint(0.7, 80, 11), SelectivePoint(0.9, 60, 1))
    return Predictor(replace(read_bundle(headed.run_dir), selective=points))


def said(probability: float, distance: float | None = None) -> Prediction:
    return Prediction("a.jpg", "cat", probability, (probability, 1 - probability), distance)


def test_without_a_rate_every_photo_is_answered(predictor: Predictor) -> None:
    rule = AnswerRule(predictor, AnswerConfig())
    assert rule.apply(said(0.51, 1e9)).answer == "cat"
    assert not rule.needs_distances


def test_a_bundle_brings_along_how_the_model_did_when_it_was_sure(headed: Run) -> None:
    points = read_bundle(headed.run_dir).selective
    assert [point.threshold for point in points] == sorted(point.threshold for point in points)
    assert points[0].num_answered == 24
    assert points[0].num_wrong == sum(not right for right in headed.is_right)


@pytest.mark.parametrize(("rate", "threshold"), [(0.5, 0.0), (0.2, 0.7), (0.1, 0.9)])
def test_a_stricter_rate_asks_for_more(predictor: Predictor, rate: float, threshold: float) -> None:
    assert AnswerRule(predictor, AnswerConfig(not_sure=rate)).least_probability == threshold


def test_below_the_threshold_the_answer_is_not_sure(predictor: Predictor) -> None:
    rule = AnswerRule(predictor, AnswerConfig(not_sure=0.1))
    assert rule.apply(said(0.89)).answer == NOT_SURE
    assert rule.apply(said(0.9)).answer == "cat"


def test_a_rate_that_cannot_be_promised_answers_nothing(predictor: Predictor) -> None:
    assert AnswerRule(predictor, AnswerConfig(not_sure=1e-6)).apply(said(1.0)).answer == NOT_SURE


def test_further_away_than_usual_is_none_of_these(predictor: Predictor) -> None:
    rule = AnswerRule(predictor, AnswerConfig(none_of_these=0.05))
    assert rule.needs_distances
    assert rule.apply(said(0.99, rule.largest_distance * 1.01 + 1)).answer == NONE_OF_THESE
    assert rule.apply(said(0.99, rule.largest_distance)).answer == "cat"


def test_fewer_false_alarms_than_could_be_measured_are_refused(predictor: Predictor) -> None:
    with pytest.raises(ConfigError, match=r"--none-of-these 0.004 asks for fewer false alarms.*such as 0.05"):
        AnswerRule(predictor, AnswerConfig(none_of_these=0.004))


def test_what_a_rate_comes_to_is_said(predictor: Predictor) -> None:
    (note,) = AnswerRule(predictor, AnswerConfig(not_sure=0.1)).notes
    assert "it would answer 60 % of photos" in note


def test_more_false_alarms_leave_less_room(predictor: Predictor) -> None:
    near = AnswerRule(predictor, AnswerConfig(none_of_these=0.5)).largest_distance
    assert near < AnswerRule(predictor, AnswerConfig(none_of_these=0.1)).largest_distance


@pytest.mark.parametrize("rate", [0.0, 1.0, -0.1, float("nan")])
def test_a_rate_is_between_0_and_1(rate: float) -> None:
    with pytest.raises(ConfigError, match="--not-sure"):
        AnswerConfig(not_sure=rate)


def test_a_network_without_distances_cannot_say_none_of_these(trained: Run) -> None:
    network = Predictor(read_bundle(trained.run_dir))
    assert AnswerRule(network, AnswerConfig(not_sure=0.2)).least_probability > 0
    with pytest.raises(ConfigError, match="--none-of-these"):
        AnswerRule(network, AnswerConfig(none_of_these=0.05))


def test_the_table_the_counts_and_the_folders_hold_the_answers(headed: Run, animals_dir: Path, tmp_path: Path) -> None:
    outputs = PredictOutputs(
        csv_path=tmp_path / "answers.csv",
        sort_dir=tmp_path / "sorted",
        answers=AnswerConfig(not_sure=1e-6, none_of_these=0.5),
    )
    summary = predict_photos(headed.run_dir, [animals_dir], outputs)
    with (tmp_path / "answers.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert set(summary.counts) == {row["answer"] for row in rows} == {NOT_SURE, NONE_OF_THESE}
    assert {path.name for path in (tmp_path / "sorted").iterdir() if path.is_dir()} == {NOT_SURE, NONE_OF_THESE}
    assert all(float(row["distance"]) > 0 and row["predicted_class"] for row in rows)
