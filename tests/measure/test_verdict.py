"""The verdict on drawn models: each rule on its own, their order, and what is said of a rare class."""

import numpy as np
import pytest

from tellapart.measure.metrics import evaluate_probabilities
from tellapart.measure.scores import Evaluation
from tellapart.measure.verdict import GOOD, GUESSING, TOO_FEW, WITH_CARE, compare_with_promise, describe_accuracy, judge
from tellapart.records import Finding


def draw_model(sizes: dict[str, int], found: dict[str, float], copies: int = 1, seed: int | None = None) -> Evaluation:
    """A model that finds so much of each class, exactly or by chance, and takes the rest for the next class.

    Args:
        sizes: photos of each class.
        found: recalls.
        copies: files of each photo.
        seed: draws the answers; `None` takes the first ones as right.
    """
    names, generator = tuple(sizes), np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(names)), list(sizes.values()))
    share = np.array([found[name] for name in names])[labels]
    place = np.concatenate([np.arange(number) / number for number in sizes.values()])
    is_right = place < share - 1e-9 if seed is None else generator.random(len(labels)) < share
    predicted = np.where(is_right, labels, (labels + 1) % len(names))
    rows = np.repeat(np.arange(len(labels)), copies)
    return evaluate_probabilities(labels[rows], np.eye(len(names))[predicted][rows], names, rows)


def finding(kind: str, num_photos: int = 50, title: str = "what was found") -> Finding:
    return Finding(kind, title, "why", num_photos, (), (), is_problem=True)


PETS = {"cat": 100, "dog": 100}


def test_a_model_that_finds_both_classes_is_good() -> None:
    verdict = judge(draw_model(PETS, {"cat": 0.95, "dog": 0.9}), (), 200)
    assert (verdict.word, verdict.colour) == (GOOD, "green")
    assert verdict.sentence.startswith(
        "The model was right on 92% of 200 photos it had not seen. On similar photos expect 88%"
    )
    assert any("'dog': it found 90 (90%, between 83% and 94%) of 100" in reason for reason in verdict.reasons)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("num_classes", [2, 5])
def test_a_coin_is_not_better_than_guessing(seed: int, num_classes: int) -> None:
    names = [f"class {number}" for number in range(num_classes)]
    model = draw_model(dict.fromkeys(names, 60), dict.fromkeys(names, 1 / num_classes), seed=seed)
    assert judge(model, (), 300).word in (GUESSING, WITH_CARE)
    if model.balanced_interval_95[0] <= 1 / num_classes:
        assert judge(model, (), 300).word == GUESSING


def test_a_coin_is_refused_nearly_always() -> None:
    words = [judge(draw_model(PETS, {"cat": 0.5, "dog": 0.5}, seed=seed), (), 200).word for seed in range(200)]
    assert words.count(GUESSING) >= 190
    assert GOOD not in words


def test_a_model_that_always_says_the_frequent_class_is_guessing() -> None:
    verdict = judge(draw_model({"good": 750, "cracked": 25}, {"good": 1.0, "cracked": 0.0}), (), 775)
    assert verdict.word == GUESSING


def test_30_to_1_leads_with_the_rare_class_and_is_not_good() -> None:
    verdict = judge(draw_model({"good": 750, "cracked": 25}, {"good": 0.96, "cracked": 0.56}), (), 775)
    assert verdict.word == WITH_CARE
    assert verdict.sentence == (
        "Of 25 photos of 'cracked' the model found 14 (56%, between 37% and 73%). Of 750 photos of 'good' it called 30"
        " 'cracked' (4.0%)."
    )
    assert verdict.reasons[0] == "Always answering 'good' is right more often: 96.8% instead of 94.7%."
    assert "The model may miss half of 'cracked'" in verdict.reasons[1]


def test_the_rarest_class_that_is_found_least_leads_among_many() -> None:
    sizes = {"oak": 300, "elm": 40, "ash": 30, "fir": 280}
    verdict = judge(draw_model(sizes, {"oak": 0.9, "elm": 0.75, "ash": 0.9, "fir": 0.8}), (), 650)
    assert verdict.sentence.startswith("Of 40 photos of 'elm' the model found 30")
    assert " other photos it called " in verdict.sentence


@pytest.mark.parametrize("number", [1, 2, 9])
def test_a_class_with_few_photos_is_too_few_to_know(number: int) -> None:
    verdict = judge(draw_model({"cat": 100, "dog": number}, {"cat": 1.0, "dog": 1.0}), (), 100 + number)
    assert (verdict.word, verdict.colour) == (TOO_FEW, "red")
    assert f"{number} independent photo" in verdict.reasons[0]


def test_copies_do_not_make_few_photos_many() -> None:
    assert judge(draw_model({"cat": 9, "dog": 50}, {"cat": 1.0, "dog": 1.0}, copies=20), (), 1180).word == TOO_FEW
    assert judge(draw_model({"cat": 10, "dog": 50}, {"cat": 1.0, "dog": 1.0}, copies=20), (), 1200).word != TOO_FEW


def test_a_class_missing_from_the_test_is_named() -> None:
    model = evaluate_probabilities(np.zeros(40, np.int64), np.eye(2)[np.zeros(40, int)], ("cat", "dog"))
    verdict = judge(model)
    assert verdict.word == TOO_FEW
    assert verdict.reasons[0] == "There are no photos of 'dog' to test with."


def test_too_few_wins_over_guessing() -> None:
    verdict = judge(draw_model({"cat": 30, "dog": 4}, {"cat": 0.5, "dog": 0.5}), (), 34)
    assert verdict.word == TOO_FEW
    assert len(verdict.reasons) > 1


def test_without_a_measurement_nothing_is_known() -> None:
    assert judge(None).word == TOO_FEW


def test_a_class_whose_recall_may_be_under_one_half_takes_care() -> None:
    verdict = judge(draw_model({"cat": 60, "dog": 60, "fox": 60}, {"cat": 0.95, "dog": 0.95, "fox": 0.55}), (), 180)
    assert verdict.word == WITH_CARE
    assert "'fox'" in verdict.reasons[0]


@pytest.mark.parametrize("kind", ["shortcuts", "leak"])
def test_a_shortcut_or_a_leak_takes_care(kind: str) -> None:
    verdict = judge(draw_model(PETS, {"cat": 1.0, "dog": 1.0}), [finding(kind, title="one camera a class")], 200)
    assert verdict.word == WITH_CARE
    assert "one camera a class" in verdict.reasons[0]


@pytest.mark.parametrize(("kind", "num_photos"), [("label_suspects", 4), ("cross_class", 8)])
def test_two_percent_of_labels_in_doubt_take_care(kind: str, num_photos: int) -> None:
    model = draw_model(PETS, {"cat": 1.0, "dog": 1.0})
    assert judge(model, [finding(kind, num_photos)], 200).word == WITH_CARE
    assert judge(model, [finding(kind, num_photos)], 201).word == GOOD


def test_accuracy_is_never_said_without_the_constant_answer() -> None:
    said = describe_accuracy(draw_model({"good": 750, "cracked": 25}, {"good": 0.96, "cracked": 0.56}))
    assert said == (
        "Accuracy 94.7% (95% interval 92.9% to 96.1%). Balanced accuracy 76.0%. Always answering 'good' gets 96.8%."
    )


@pytest.mark.parametrize("num_photos", [40, 400, 4000])
def test_no_sentence_claims_100_percent_of_a_model_with_a_mistake(num_photos: int) -> None:
    labels = np.arange(num_photos) % 2
    predicted = labels.copy()
    predicted[0] = 1
    verdict = judge(evaluate_probabilities(labels, np.eye(2)[predicted], ("cat", "dog")), (), num_photos)
    assert "on 100%" not in verdict.sentence


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (0.97, "as promised."),
        (1.0, "better than promised."),
        (0.94, "less than promised, but that may be chance."),
        (0.8, "worse than promised. These photos differ from those it was trained on."),
    ],
    ids=["as promised", "better", "chance", "worse"],
)
def test_what_was_promised_is_held_against_what_came_true(found: float, said: str) -> None:
    model = draw_model({"cat": 500, "dog": 500}, {"cat": found, "dog": found})
    sentence = compare_with_promise((0.95, 0.992), model, 1000)
    assert sentence.startswith("Training promised 95.0% to 99.2%. Here it is ")
    assert sentence.endswith(said)
