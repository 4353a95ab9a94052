"""When a model says `not sure` or `none of these`."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tellapart.commands.predict import PredictOutputs, write_predictions
from tellapart.config import AnswerConfig, SourceConfig, TransferConfig
from tellapart.errors import ConfigError
from tellapart.measure.scores import SelectivePoint
from tellapart.predict.answers import NONE_OF_THESE, NOT_SURE, AnswerRule, name_doubts
from tellapart.predict.bundle import read_bundle
from tellapart.predict.model import Model
from tellapart.records import Prediction
from tellapart.runs.job import Run
from tellapart.runs.train import train


@pytest.fixture(scope="module")
def headed(
    tmp_path_factory: pytest.TempPathFactory, animals_dir: Path, tiny_backbone: Path, source_config: SourceConfig
) -> Run:
    """A finished run of `transfer` on a tiny backbone, which is often wrong; not to be changed."""
    config = TransferConfig(backbone=str(tiny_backbone), folds=3)
    return train(animals_dir, tmp_path_factory.mktemp("runs") / "headed", config=config, source=source_config)


@pytest.fixture
def predictor(headed: Run) -> Model:
    """The model, as if it had been measured on 100 photos."""
    points = (SelectivePoint(0.0, 100, 30), SelectivePoint(0.7, 80, 11), SelectivePoint(0.9, 60, 1))
    return Model(replace(read_bundle(headed.run_dir), selective=points))


def rule(model: Model, not_sure: float | None = None, none_of_these: float | None = None) -> AnswerRule:
    return AnswerRule(AnswerConfig(not_sure=not_sure, none_of_these=none_of_these), model._bundle)


def said(probability: float, distance: float | None = None) -> Prediction:
    return Prediction("a.jpg", "cat", (probability, 1 - probability), distance)


def test_without_a_rate_every_photo_is_answered(predictor: Model) -> None:
    strict = rule(predictor)
    assert strict.apply(said(0.51, 1e9)).answer == "cat"


def test_a_bundle_brings_along_how_the_model_did_when_it_was_sure(headed: Run) -> None:
    points = read_bundle(headed.run_dir).selective
    assert [point.threshold for point in points] == sorted(point.threshold for point in points)
    assert points[0].num_answered == 24
    assert points[0].num_wrong == sum(not right for right in headed.is_right)


@pytest.mark.parametrize(("rate", "threshold"), [(0.5, 0.0), (0.2, 0.7), (0.1, 0.9)])
def test_a_stricter_rate_asks_for_more(predictor: Model, rate: float, threshold: float) -> None:
    assert rule(predictor, not_sure=rate).least_probability == threshold


def test_below_the_threshold_the_answer_is_not_sure(predictor: Model) -> None:
    strict = rule(predictor, not_sure=0.1)
    assert strict.apply(said(0.89)).answer == NOT_SURE
    assert strict.apply(said(0.9)).answer == "cat"


def test_a_rate_that_cannot_be_promised_answers_nothing(predictor: Model) -> None:
    assert rule(predictor, not_sure=1e-6).apply(said(1.0)).answer == NOT_SURE


def test_further_away_than_usual_is_none_of_these(predictor: Model) -> None:
    strict = rule(predictor, none_of_these=0.05)
    assert strict.apply(said(0.99, strict.largest_distance * 1.01 + 1)).answer == NONE_OF_THESE
    assert strict.apply(said(0.99, strict.largest_distance)).answer == "cat"


def test_fewer_false_alarms_than_could_be_measured_are_refused(predictor: Model) -> None:
    with pytest.raises(ConfigError, match=r"`none_of_these` 0.004 asks for fewer false alarms.*such as 0.05"):
        rule(predictor, none_of_these=0.004)


def test_many_photos_that_look_unfamiliar_are_named_with_what_answers(predictor: Model, animals_dir: Path) -> None:
    near = replace(predictor._bundle, usual_distances=tuple(np.linspace(0, 1e-6, 201)))
    predictions = Model(near).predict(animals_dir)
    num_photos = len(list(predictions))
    assert predictions.notes == (
        f"{num_photos} of {num_photos} photos look unlike the training photos. `none_of_these=0.05` answers 'none "
        "of these' for such photos.",
    )


def test_photos_like_those_of_the_training_are_not_called_unfamiliar(predictor: Model, animals_dir: Path) -> None:
    predictions = predictor.predict(animals_dir)
    assert len(list(predictions)) == len(predictions)
    assert predictions.notes == ()


def test_whoever_asks_for_none_of_these_is_told_no_more(predictor: Model, animals_dir: Path) -> None:
    near = replace(predictor._bundle, usual_distances=tuple(np.linspace(0, 1e-6, 201)))
    predictions = Model(near).predict(animals_dir, none_of_these=0.05)
    assert {prediction.doubt for prediction in predictions} == {NONE_OF_THESE}
    assert predictions.notes == ()


def test_every_photo_has_its_distance_where_the_model_can_tell(predictor: Model, animals_dir: Path) -> None:
    assert all(prediction.distance is not None for prediction in predictor.predict(animals_dir))


def test_a_network_that_cannot_tell_gives_no_distance(trained: Run, animals_dir: Path) -> None:
    predictions = Model(read_bundle(trained.run_dir)).predict(animals_dir)
    assert {prediction.distance for prediction in predictions} == {None}
    assert predictions.notes == ()


def test_what_a_rate_comes_to_is_said(predictor: Model) -> None:
    (note,) = rule(predictor, not_sure=0.1).notes
    assert "the model answers 60% of photos" in note


def test_more_false_alarms_leave_less_room(predictor: Model) -> None:
    near = rule(predictor, none_of_these=0.5).largest_distance
    assert near < rule(predictor, none_of_these=0.1).largest_distance


@pytest.mark.parametrize("rate", [0.0, 1.0, -0.1, float("nan")])
def test_a_rate_is_between_0_and_1(rate: float) -> None:
    with pytest.raises(ConfigError, match="`not_sure`"):
        AnswerConfig(not_sure=rate)


def test_a_network_without_distances_cannot_say_none_of_these(trained: Run) -> None:
    network = Model(read_bundle(trained.run_dir))
    assert rule(network, not_sure=0.2).least_probability > 0
    with pytest.raises(ConfigError, match="`none_of_these`"):
        rule(network, none_of_these=0.05)


def test_the_table_the_counts_and_the_folders_hold_the_answers(headed: Run, animals_dir: Path, tmp_path: Path) -> None:
    outputs = PredictOutputs(
        csv=tmp_path / "answers.csv",
        sort_into=tmp_path / "sorted",
    )
    summary = write_predictions(headed.run_dir, animals_dir, outputs=outputs, not_sure=1e-6, none_of_these=0.5)
    with (tmp_path / "answers.csv").open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    assert set(summary.counts) == {row["answer"] for row in rows} == {NOT_SURE, NONE_OF_THESE}
    assert {path.name for path in (tmp_path / "sorted").iterdir() if path.is_dir()} == {NOT_SURE, NONE_OF_THESE}
    assert all(float(row["distance"]) > 0 and row["nearest_class"] for row in rows)
    assert {(row["predicted_class"], row["probability"]) for row in rows} == {("", "")}


def test_where_the_model_does_not_answer_there_is_no_class_and_the_nearest_is_still_told(predictor: Model) -> None:
    refused = rule(predictor, not_sure=0.1).apply(said(0.8))
    assert (refused.class_name, refused.probability, refused.doubt) == (None, None, NOT_SURE)
    assert (refused.nearest_class, refused.highest_probability) == ("cat", 0.8)


def test_where_the_model_answers_class_and_probability_are_those_of_the_nearest(predictor: Model) -> None:
    answered = rule(predictor, not_sure=0.1).apply(said(0.95))
    assert (answered.class_name, answered.probability, answered.doubt) == ("cat", 0.95, None)


def test_a_model_refuses_as_its_rates_say(predictor: Model, animals_dir: Path) -> None:
    predictions = predictor.predict(animals_dir, not_sure=1e-6)
    assert {prediction.doubt for prediction in predictions} == {NOT_SURE}
    assert len(predictions.notes) == 1


@pytest.mark.parametrize(
    "names", [("none of these", "not sure"), ("None of these", "NOT SURE"), ("not sure", "unknown")]
)
def test_classes_that_are_called_like_a_doubt_are_told_from_it_everywhere(
    headed: Run, animals_dir: Path, tmp_path: Path, names: tuple[str, str]
) -> None:
    model = Model(replace(read_bundle(headed.run_dir), class_names=names))
    outputs = PredictOutputs(csv=tmp_path / "answers.csv", sort_into=tmp_path / "sorted", limit=1000)
    summary = write_predictions(model, animals_dir, outputs=outputs, not_sure=0.4, none_of_these=0.5)
    with (tmp_path / "answers.csv").open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    said = {item.path: item for _, item in summary.first}
    by_answer: dict[str, set[str | None]] = {}
    for row in rows:
        by_answer.setdefault(row["answer"], set()).add(said[row["path"]].doubt)

    assert {row["nearest_class"] for row in rows} <= set(names)
    assert all(len(doubts) == 1 for doubts in by_answer.values())
    assert (
        len({answer.casefold() for answer in by_answer})
        == len(by_answer)
        == len(list((tmp_path / "sorted").glob("*/")))
    )
    assert set(summary.counts) == set(by_answer)
    assert {item.doubt for item in said.values()} <= {None, NOT_SURE, NONE_OF_THESE}


def test_a_doubt_keeps_its_words_where_no_class_has_them() -> None:
    assert name_doubts(("cat", "unsure")) == {NOT_SURE: NOT_SURE, NONE_OF_THESE: NONE_OF_THESE}


def test_a_doubt_gets_other_words_than_any_class() -> None:
    assert name_doubts(("Not sure", "not sure (no answer)"))[NOT_SURE] == "not sure (no answer) (no answer)"


@pytest.mark.parametrize("rates", [(None, None), (0.2, 0.3)], ids=["always", "with doubts"])
def test_one_image_is_answered_as_among_others(rates: tuple[float | None, float | None], predictor: Model) -> None:
    images = np.random.default_rng(4).integers(0, 256, (5, *predictor.preprocess.shape), dtype=np.uint8)
    maker = predictor.answer_maker(*rates)
    together = list(predictor.predict(images, not_sure=rates[0], none_of_these=rates[1]))
    assert [predictor.answer(image, maker).answer for image in images] == [one.answer for one in together]
