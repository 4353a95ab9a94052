"""What a proof says of answers, and which gates it holds them to."""

from dataclasses import replace

import numpy as np
import pytest

from tellapart.export.proof import Answers, Proof, compare_answers, describe_proof, sure_threshold
from tellapart.export.proof_gates import differ_in_logits
from tellapart.export.target import TARGETS
from tellapart.measure.selective import selective_points, threshold_for
from tellapart.records import Dial

RUNTIME = {"runtime": "a runtime 1.0", "is_native": True, "processor": "a processor", "speed_ratio": None}


def answers_of(sure: list[float], changed: list[float]) -> Answers:
    """Of two classes: the model's probabilities of the first class, and those of the export."""
    expected, found = (np.array([[one, 1 - one] for one in ones], np.float32) for ones in (sure, changed))
    num = len(sure)
    return Answers(expected, found, found, np.zeros(num, np.int64), None, tuple("abcdefgh"[:num]), np.ones(num))


def prove(answers: Answers, target: str, threshold: float | None = None) -> Proof:
    return compare_answers(answers, TARGETS[target], "given", threshold, RUNTIME)


@pytest.mark.parametrize("threshold", [0.55, 0.7, 0.95])
def test_an_answer_is_sure_from_the_threshold_of_the_model_on(threshold: float) -> None:
    below, above = threshold - 0.01, threshold + 0.01
    proof = prove(answers_of([below, above], [0.49, 0.49]), "onnx-int8", threshold)
    assert (proof.num_changed, proof.num_changed_sure, proof.sure_from) == (2, 1, threshold)
    assert proof.has_threshold


def test_without_a_threshold_an_answer_is_sure_from_a_fixed_probability_on() -> None:
    proof = prove(answers_of([0.89, 0.91], [0.49, 0.49]), "onnx-int8")
    assert (proof.num_changed_sure, proof.sure_from, proof.has_threshold) == (1, 0.9, False)
    assert "as the model has no threshold of 'not sure'" in describe_proof(proof)[-1]


def test_a_threshold_that_leaves_no_photo_out_is_none() -> None:
    first = np.linspace(0.5, 1, 400)
    probabilities = np.stack([first, 1 - first], axis=1)
    rarely_wrong = selective_points((np.arange(400) % 100 == 0).astype(int), probabilities)
    often_wrong = selective_points((np.arange(400) < 60).astype(int), probabilities)
    assert threshold_for(rarely_wrong, 0.05) == 0
    assert sure_threshold(rarely_wrong) is None
    assert sure_threshold(often_wrong) == threshold_for(often_wrong, 0.05)
    assert sure_threshold(()) is None


def test_a_class_is_that_of_the_dial() -> None:
    answers = replace(answers_of([0.81, 0.6], [0.79, 0.6]), dial=(Dial("a", 0.8), ("a", "b")))
    assert prove(answers, "onnx-int8").num_changed == 1


@pytest.mark.parametrize("temperature", [0.4, 0.7, 1.3, 2.5])
def test_a_temperature_that_is_missing_is_as_much_of_the_logits(temperature: float) -> None:
    logits = np.random.default_rng(0).normal(0, 1, (50, 4))
    right, wrong = (np.exp(one) / np.exp(one).sum(axis=1, keepdims=True) for one in (logits, logits * temperature))
    assert differ_in_logits(wrong, right) == pytest.approx(abs(temperature - 1), rel=0.05)


def test_large_photos_count_in_the_mean_and_their_copies_each() -> None:
    answers = replace(answers_of([0.9, 0.8], [0.88, 0.79]), is_otherwise=np.array([True, True]))
    assert prove(answers, "web").failures == ()
    copies = (answers.expected[:1], answers.expected[:1] + np.array([[-0.002, 0.002]], np.float32), ("photo.jpg",))
    assert "'photo.jpg'" in prove(replace(answers, copies=copies), "web").failures[0]


def test_a_copy_that_cannot_be_read_is_a_difference() -> None:
    answers = replace(answers_of([0.9], [0.9]), is_otherwise=np.array([True]))
    copies = (answers.expected, np.full((1, 2), np.nan, np.float32), ("photo.jpg",))
    assert prove(replace(answers, copies=copies), "web").failures


def test_photos_are_told_with_how_many_there_were() -> None:
    proof = replace(prove(answers_of([0.9, 0.8], [0.9, 0.8]), "triton"), num_photos_there=1200)
    assert describe_proof(proof)[0].endswith("on 2 photos that you gave, evenly chosen from 1,200.")


@pytest.mark.parametrize("kind", ["held out", "given", "training"])
@pytest.mark.parametrize(("num", "said"), [(1, " 1 photo that "), (2, " 2 photos that ")])
def test_one_photo_is_told_as_one(kind: str, num: int, said: str) -> None:
    proof = compare_answers(answers_of([0.9] * num, [0.9] * num), TARGETS["triton"], kind, None, RUNTIME)
    assert said in describe_proof(proof)[0]
