"""What to do next: everything that was found, the costliest first, each with an action."""

from dataclasses import replace

import numpy as np
import pytest

from tellapart.measure.measurement import Method
from tellapart.measure.metrics import evaluate_probabilities
from tellapart.measure.next_steps import rank_steps
from tellapart.measure.scores import Evaluation, LearningCurve, Step
from tellapart.measure.verdict import judge
from tellapart.records import Finding

PETS = {"cat": 100, "dog": 100}
CURVE = LearningCurve((), (), (0.4, 0.6), 200, "Twice as many photos would prevent about 30% of the mistakes.", 0.02)


def draw_model(sizes: dict[str, int], found: dict[str, float]) -> Evaluation:
    """A model that finds so much of each class, and takes the rest for the next class."""
    labels = np.repeat(np.arange(len(sizes)), list(sizes.values()))
    place = np.concatenate([np.arange(number) / number for number in sizes.values()])
    is_right = place < np.array(list(found.values()))[labels] - 1e-9
    predicted = np.where(is_right, labels, (labels + 1) % len(sizes))
    return evaluate_probabilities(labels, np.eye(len(sizes))[predicted], tuple(sizes))


def finding(kind: str, num_photos: int = 50) -> Finding:
    return Finding(kind, "what was found", "why", num_photos, (), (), is_problem=True, action="Do something.")


def steps_of(model: Evaluation, *findings: Finding, curve: LearningCurve | None = None) -> tuple[Step, ...]:
    verdict = judge(model, findings, model.num_photos)
    return rank_steps(verdict, model, findings, model.num_photos, Method("cross-validation", curve=curve))


def test_a_good_model_on_clean_photos_has_nothing_to_do() -> None:
    assert steps_of(draw_model(PETS, {"cat": 1.0, "dog": 1.0})) == ()


def test_a_coin_comes_before_everything_else() -> None:
    steps = steps_of(draw_model(PETS, {"cat": 0.5, "dog": 0.5}), finding("empty", 40), finding("shortcuts", 100))
    assert [step.kind for step in steps] == ["guessing", "shortcuts", "empty"]


def test_too_few_photos_name_the_class_and_a_number() -> None:
    (step,) = steps_of(draw_model({"cat": 100, "dog": 2}, {"cat": 1.0, "dog": 1.0}))
    assert step.title == "Add photos of 'dog'"
    assert "Take 30 or more" in step.action


def test_a_shortcut_of_a_whole_class_costs_more_than_a_few_labels() -> None:
    model = draw_model(PETS, {"cat": 0.99, "dog": 0.98})
    steps = steps_of(model, finding("label_suspects", 6), finding("shortcuts", 100))
    assert [step.kind for step in steps] == ["shortcuts", "label_suspects", "weak_class"]


def test_many_wrong_labels_cost_more_than_a_weak_class() -> None:
    model = draw_model(PETS, {"cat": 0.9, "dog": 0.95})
    few, many = (steps_of(model, finding("label_suspects", number)) for number in (4, 40))
    assert [step.kind for step in few] == ["weak_class", "label_suspects"]
    assert [step.kind for step in many] == ["label_suspects", "weak_class"]


def test_a_missed_rare_class_says_how_many_were_missed() -> None:
    (step,) = steps_of(draw_model({"good": 750, "cracked": 25}, {"good": 0.99, "cracked": 0.56}))
    assert step.title == "Add photos of 'cracked'"
    assert step.action.startswith("The model missed 11 of 25.")


@pytest.mark.parametrize(("gain", "kinds"), [(0.0, []), (0.02, ["more_photos"])])
def test_more_photos_are_asked_for_where_they_help(gain: float, kinds: list[str]) -> None:
    steps = steps_of(draw_model(PETS, {"cat": 1.0, "dog": 1.0}), curve=replace(CURVE, gain=gain))
    assert [step.kind for step in steps] == kinds


def test_what_is_only_good_to_know_is_no_step() -> None:
    harmless = replace(finding("near"), is_problem=False)
    assert steps_of(draw_model(PETS, {"cat": 1.0, "dog": 1.0}), harmless) == ()


def test_a_check_without_a_model_is_ranked_too() -> None:
    steps = rank_steps(None, None, [finding("empty", 3), finding("leak", 20)], 100, num_skipped=30)
    assert [step.kind for step in steps] == ["leak", "skipped", "empty"]


def test_every_step_has_an_action() -> None:
    models = [draw_model(PETS, {"cat": share, "dog": 0.9}) for share in (0.1, 0.5, 0.8)]
    assert all(step.action.endswith(".") for model in models for step in steps_of(model, curve=CURVE))


def test_a_class_of_few_photos_is_named_though_none_was_missed() -> None:
    (step,) = steps_of(draw_model({"dog": 450, "cat": 15}, {"dog": 1.0, "cat": 1.0}))
    assert (step.kind, step.title) == ("few_of_class", "Add photos of 'cat'")
    assert "There are only 15 to test with." in step.action


def test_a_class_is_weak_only_beyond_the_labels_that_are_in_doubt() -> None:
    model = draw_model(PETS, {"cat": 0.93, "dog": 1.0})
    steps = steps_of(model, finding("label_suspects", 7))
    assert [step.kind for step in steps] == ["label_suspects", "weak_class"]


@pytest.mark.parametrize(
    ("method", "said"),
    [
        (Method("cross-validation"), "Take 30 or more of each"),
        (Method("hold-out"), "Only a part of the photos is for testing."),
        (Method("hold-out", is_given=True), "It needs 30 or more of each that have no copy in training."),
        (Method("new photos"), "that are not in the training photos. Then evaluate again."),
    ],
    ids=lambda value: value.name if isinstance(value, Method) else "",
)
def test_what_to_do_about_too_few_photos_fits_how_it_was_tested(method: Method, said: str) -> None:
    model = draw_model({"cat": 100, "dog": 2}, {"cat": 1.0, "dog": 1.0})
    (step,) = rank_steps(judge(model), model, (), 102, method)
    assert said in step.action
