"""The dial: one class is answered from a probability of one's own choice on, everywhere that answers."""

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tellapart.commands.predict import PredictOutputs, write_predictions
from tellapart.config import AnswerConfig, DialConfig
from tellapart.errors import BundleError, ConfigError
from tellapart.measure.operating import operating_curves
from tellapart.measure.scores import OperatingCurve, SelectivePoint
from tellapart.predict import bundle as bundle_module
from tellapart.predict.answers import AnswerRule
from tellapart.predict.bundle import Bundle, read_bundle, write_bundle
from tellapart.predict.dial import apply_dial, choose_dial, describe_dial
from tellapart.predict.model import Model, load
from tellapart.records import Dial, Prediction

MakeBundle = Callable[..., Bundle]
Paint = Callable[..., Path]
NAMES = ("cracked", "good", "stained")


def draw_curves(num_photos: int, seed: int = 0, copies: int = 1) -> tuple[OperatingCurve, ...]:
    """Of three classes with `num_photos` photos each, told apart well."""
    generator = np.random.default_rng(seed)
    labels = np.repeat(np.arange(3), num_photos)
    probabilities = generator.dirichlet(np.ones(3), len(labels)) + 2 * np.eye(3)[labels]
    probabilities = (probabilities / 3).astype(np.float32)
    groups = np.tile(np.arange(len(labels)), copies)
    return operating_curves(np.tile(labels, copies), np.tile(probabilities, (copies, 1)), NAMES, groups)


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.integers(2, 6), st.floats(0.001, 0.999))
def test_the_class_is_answered_exactly_from_its_threshold_on(seed: int, num_classes: int, threshold: float) -> None:
    shares = np.random.default_rng(seed).dirichlet(np.full(num_classes, 0.5), 50)
    names = [f"class {number}" for number in range(num_classes)]
    found = apply_dial(Dial("class 1", threshold), names, shares)
    np.testing.assert_array_equal(found == 1, shares[:, 1] >= threshold)


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.integers(2, 6), st.floats(0.001, 0.999))
def test_below_the_threshold_the_most_probable_other_class_is_answered(
    seed: int, num_classes: int, threshold: float
) -> None:
    shares = np.random.default_rng(seed).dirichlet(np.full(num_classes, 0.5), 50)
    names = [f"class {number}" for number in range(num_classes)]
    found = apply_dial(Dial("class 1", threshold), names, shares)
    others = np.delete(shares, 1, axis=1)
    is_other = found != 1
    np.testing.assert_array_equal(shares[is_other, found[is_other]], others[is_other].max(axis=1))


@pytest.mark.parametrize("threshold", [{"cracked": 0.2}, "cracked=0.2"], ids=["dict", "text"])
def test_a_threshold_is_taken_as_it_is(threshold: dict[str, float] | str) -> None:
    assert choose_dial(DialConfig(threshold=threshold), NAMES, ()) == Dial("cracked", 0.2)


def test_a_class_may_have_an_equals_sign_in_its_name() -> None:
    assert choose_dial(DialConfig(threshold="a=b=0.2"), ("a=b", "c"), ()) == Dial("a=b", 0.2)


def test_a_class_may_be_typed_in_another_unicode_form() -> None:
    assert choose_dial(DialConfig(threshold="e\u0301te\u0301=0.2"), ("\u00e9t\u00e9", "c"), ()) == Dial(
        "\u00e9t\u00e9", 0.2
    )


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("cracked", "names no class. Give a class and a number, such as cracked=0.2"),
        ("=0.2", "names no class"),
        ({}, "names no class"),
        ({3: 0.2}, "names no class"),
        ("cracked=often", "has no number"),
        ({"cracked": None}, "has no number"),
        ("cracked=5", "must be above 0 and below 1. For 5%, write 0.05"),
        ("cracked=0", "must be above 0 and below 1"),
        ("cracked=nan", "must be above 0 and below 1"),
        ({"cracked": 0.2, "good": 0.3}, "names several classes. Give one of them"),
    ],
    ids=str,
)
@pytest.mark.parametrize("name", ["threshold", "max_missed"])
def test_what_is_no_class_with_a_number_is_refused(name: str, setting: object, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        DialConfig(**{name: setting})  # type: ignore[arg-type]
    assert words in str(caught.value)
    assert caught.value.field == name


def test_two_settings_of_one_dial_are_refused() -> None:
    with pytest.raises(ConfigError, match="`threshold` and `max_missed` were both given"):
        DialConfig("cracked=0.2", "cracked=0.02")


@pytest.mark.parametrize("name", ["threshold", "max_missed"])
def test_an_unknown_class_is_refused_with_the_nearest(name: str) -> None:
    config = DialConfig(**{name: "crakced=0.2"})
    with pytest.raises(ConfigError, match=f"class of `{name}` 'crakced' is not known. Did you mean 'cracked'"):
        choose_dial(config, NAMES, draw_curves(50))


def test_so_few_misses_as_can_be_promised_need_no_excuse() -> None:
    curves = draw_curves(100)
    dial = choose_dial(DialConfig(max_missed="cracked=0.05"), NAMES, curves)
    assert dial is not None
    assert dial.max_missed == 0.05
    assert "Too few photos" not in describe_dial(dial, curves)


def test_fewer_misses_than_the_photos_can_promise_are_said_to_be_no_promise() -> None:
    curves = draw_curves(20)
    dial = choose_dial(DialConfig(max_missed="cracked=0.02"), NAMES, curves)
    assert dial is not None
    said = describe_dial(dial, curves)
    assert "it missed 0 (0%, 95% interval 0% to 16%)" in said
    assert "Too few photos to promise at most 2% missed: that takes 49 independent photos of 'cracked'" in said
    assert said.endswith("and there are 20.")


def test_copies_are_not_counted_as_photos_of_their_own() -> None:
    curves = draw_curves(20, copies=5)
    dial = choose_dial(DialConfig(max_missed="cracked=0.02"), NAMES, curves)
    assert dial is not None
    assert describe_dial(dial, curves).endswith("and there are 20.")


def test_misses_of_a_class_that_was_not_measured_are_refused() -> None:
    with pytest.raises(ConfigError, match="`max_missed` needs photos of 'cracked'.*Give `threshold`"):
        choose_dial(DialConfig(max_missed="cracked=0.2"), NAMES, draw_curves(20)[1:])


def test_a_threshold_of_a_class_that_was_not_measured_says_so() -> None:
    assert describe_dial(Dial("cracked", 0.2), ()).endswith("What that misses was not measured.")


@pytest.mark.parametrize("config", [DialConfig(), AnswerConfig(not_sure=0.1)], ids=["nothing", "something else"])
def test_without_a_setting_the_dial_of_the_model_stays(config: DialConfig) -> None:
    assert choose_dial(config, NAMES, (), Dial("good", 0.7)) == Dial("good", 0.7)


@pytest.mark.parametrize("name", ["threshold", "max_missed"])
def test_off_takes_the_dial_of_the_model_away(name: str) -> None:
    assert choose_dial(DialConfig(**{name: "off"}), NAMES, (), Dial("good", 0.7)) is None


def test_a_bundle_with_a_dial_reads_back_the_same(tmp_path: Path, make_bundle: MakeBundle) -> None:
    curves = tuple(
        replace(curve, class_name=name) for curve, name in zip(draw_curves(9), ("red", "blue"), strict=False)
    )
    bundle = make_bundle(dial=Dial("red", 0.2, 0.05), operating=curves)
    write_bundle(tmp_path, bundle)
    assert read_bundle(tmp_path) == bundle


def test_a_version_that_knows_no_dial_does_not_read_a_bundle_that_has_one(
    tmp_path: Path, make_bundle: MakeBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_bundle(tmp_path, make_bundle(dial=Dial("red", 0.2)))
    monkeypatch.setattr(bundle_module, "_SCHEMA_WITH_DIAL", 3)
    with pytest.raises(BundleError, match="made by a newer tellapart"):
        read_bundle(tmp_path)


def test_a_bundle_without_a_dial_is_one_that_earlier_versions_read(tmp_path: Path, make_bundle: MakeBundle) -> None:
    write_bundle(tmp_path, make_bundle())
    assert b'"schema": 3,' in (tmp_path / "bundle.json").read_bytes()


@pytest.fixture
def low_dir(tmp_path: Path, make_bundle: MakeBundle) -> Path:
    """A model that answers red from a probability on that blue photos have: 0.0025."""
    write_bundle(tmp_path / "low", make_bundle(dial=Dial("red", 0.002)))
    return tmp_path / "low"


def test_a_model_answers_as_its_dial_says(low_dir: Path, paint: Paint) -> None:
    (prediction,) = load(low_dir).predict(paint("a.png", "blue"))
    assert (prediction.class_name, prediction.answer, prediction.nearest_class) == ("red", "red", "blue")
    assert prediction.probability == pytest.approx(0.00247, abs=1e-5)


@pytest.mark.parametrize(
    ("settings", "answer"),
    [
        ({}, "red"),
        ({"threshold": {"red": 0.1}}, "blue"),
        ({"threshold": "off"}, "blue"),
        ({"threshold": "blue=0.5"}, "blue"),
    ],
    ids=str,
)
def test_a_prediction_may_set_another_dial(
    low_dir: Path, paint: Paint, settings: dict[str, object], answer: str
) -> None:
    (prediction,) = load(low_dir).predict(paint("a.png", "blue"), **settings)  # type: ignore[arg-type]
    assert prediction.answer == answer


def test_a_high_threshold_gives_the_others_what_is_most_probable(model_dir: Path, paint: Paint) -> None:
    (prediction,) = load(model_dir).predict(paint("a.png", "red"), threshold="red=0.999")
    assert (prediction.class_name, prediction.nearest_class) == ("blue", "red")
    assert prediction.probability == pytest.approx(0.00247, abs=1e-5)


def test_one_image_is_answered_as_its_dial_says(low_dir: Path, paint: Paint) -> None:
    model = load(low_dir)
    image = model.preprocess.load(paint("a.png", "blue"))
    assert model.answer(image, model.answer_maker()).answer == "red"
    assert model.answer(image, model.answer_maker(threshold="off")).answer == "blue"


def test_what_the_dial_does_is_said(low_dir: Path, paint: Paint) -> None:
    predictions = load(low_dir).predict(paint("a.png", "blue"))
    assert predictions.dial == Dial("red", 0.002)
    assert predictions.notes == ("A photo is 'red' from probability 0.002 on. What that misses was not measured.",)


def test_table_counts_and_folders_obey_the_dial(low_dir: Path, paint: Paint, tmp_path: Path) -> None:
    paint("photos/a.png", "blue")
    outputs = PredictOutputs(csv=tmp_path / "answers.csv", grid=tmp_path / "grid.png", sort_into=tmp_path / "sorted")
    summary = write_predictions(low_dir, tmp_path / "photos", outputs=outputs)
    with (tmp_path / "answers.csv").open(newline="", encoding="utf-8-sig") as file:
        (row,) = csv.DictReader(file)
    assert (row["predicted_class"], row["answer"], row["nearest_class"]) == ("red", "red", "blue")
    assert row["probability"] == row["p_red"]
    assert summary.counts == {"red": 1}
    assert (tmp_path / "sorted" / "red" / "a.png").exists()


def test_a_submission_obeys_the_dial(low_dir: Path, paint: Paint, tmp_path: Path) -> None:
    (tmp_path / "sample.csv").write_text("id,label\na,blue\n")
    outputs = PredictOutputs(submission=(tmp_path / "sample.csv", tmp_path / "mine.csv"))
    write_predictions(low_dir, paint("a.png", "blue"), outputs=outputs)
    assert (tmp_path / "mine.csv").read_text() == "id,label\na,red\n"


def test_not_sure_does_not_go_with_a_dial(make_bundle: MakeBundle) -> None:
    bundle = make_bundle(dial=Dial("red", 0.2), selective=(SelectivePoint(0.0, 100, 1),))
    with pytest.raises(ConfigError, match="`not_sure` does not go with the threshold of 'red'.*`threshold='off'`"):
        AnswerRule(AnswerConfig(not_sure=0.1), bundle)
    assert AnswerRule(AnswerConfig(not_sure=0.1, threshold="off"), bundle).dial is None


def test_a_photo_of_none_of_the_classes_is_none_of_these_whatever_the_dial_says(make_bundle: MakeBundle) -> None:
    bundle = make_bundle(dial=Dial("red", 0.1), usual_distances=tuple(np.linspace(0, 2, 201)))
    rule = AnswerRule(AnswerConfig(none_of_these=0.05), bundle)
    refused = rule.apply(Prediction("a.jpg", "blue", (0.8, 0.2), 2.5))
    assert (refused.answer, refused.class_name, refused.probability) == ("none of these", None, None)
    assert rule.apply(Prediction("a.jpg", "blue", (0.8, 0.2), 1.0)).answer == "red"


def test_a_model_that_was_not_measured_takes_a_threshold_alone(make_bundle: MakeBundle) -> None:
    model = Model(make_bundle())
    assert model.answer_maker(threshold="red=0.2").rule.dial == Dial("red", 0.2)
    with pytest.raises(ConfigError, match="`max_missed` needs photos of 'red'"):
        model.answer_maker(max_missed="red=0.2")
