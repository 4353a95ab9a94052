from dataclasses import replace

import numpy as np
import pytest

from tellapart.heads.head import FittedHead
from tellapart.measure.calibration import fit_temperature, log_loss_terms
from tellapart.runs.fine_tuning_choice import SHARES, FoldTrial, choose, describe_few_errors, log_frequencies

NUM = 400


def trial(number: int, strengths: dict[float, float], frozen: float = 1.0, seed: int = 0) -> FoldTrial:
    """One half, whose logits point to the label with these strengths, in noise."""
    generator = np.random.default_rng([seed, number])
    rows = np.arange(number, NUM, 2)
    sign = np.where(LABELS[rows] == 1, 1.0, -1.0)
    noise = generator.normal(0, 1, len(rows))

    def logits(strength: float) -> np.ndarray:
        margin = strength * (sign * strength + noise)
        return np.stack([-margin, margin], axis=1).astype(np.float32)

    return FoldTrial(
        rows=rows,
        frozen=logits(frozen),
        tuned={share: logits(strengths[share]) for share in SHARES},
        weights=np.ones(len(rows)),
        distances=lambda share: None,
        num_steps=7,
    )


LABELS = np.random.default_rng(5).integers(0, 2, NUM)


def trials(strengths: dict[float, float], frozen: float = 1.0, seed: int = 0) -> list[FoldTrial]:
    return [trial(number, strengths, frozen, seed) for number in range(2)]


def test_a_clear_gain_is_kept_at_the_share_that_gains_most() -> None:
    choice = choose(trials({0.5: 1.2, 0.75: 2.0, 1.0: 1.5}), LABELS, 8)

    assert choice.is_kept
    assert choice.share == 0.75
    assert (choice.gain or 0) > (choice.standard_error or 9)
    assert choice.sentence.startswith("Fine-tuning pays: the log loss falls by 0.")
    assert (choice.num_photos, choice.num_views, choice.num_steps) == (NUM, 8, (7, 7))


@pytest.mark.parametrize("seed", range(5))
def test_the_standard_error_counts_that_other_halves_would_make_other_networks(seed: int) -> None:
    halves = trials(dict.fromkeys(SHARES, 1.1), seed=seed)
    choice = choose(halves, LABELS, 8)
    gains = list[float]()
    for half, other in zip(halves, reversed(halves), strict=True):
        temperature = fit_temperature(other.tuned[1.0], LABELS[other.rows])
        tuned = log_loss_terms(half.tuned[1.0] / temperature, LABELS[half.rows])
        gains.extend(log_loss_terms(half.frozen, LABELS[half.rows]) - tuned)
    # Of two trainings, Nadeau and Bengio 2003: 1 / 2 + 1 / 1 in place of 1 / 2.
    expected = np.sqrt(3 * np.var(gains, ddof=1) / NUM)

    assert choice.gain == pytest.approx(np.mean(gains))
    assert choice.standard_error == pytest.approx(expected)
    assert choice.is_kept == (np.mean(gains) > expected)


@pytest.mark.parametrize("num_errors", [0, 1, 9, 10, 60])
def test_few_errors_leave_nothing_to_decide_on(num_errors: int) -> None:
    generator = np.random.default_rng(num_errors)
    labels = generator.integers(0, 3, 90)
    logits = np.eye(3, dtype=np.float32)[labels] + generator.uniform(0, 0.4, (90, 3)).astype(np.float32)
    wrong = generator.choice(90, num_errors, replace=False)
    logits[wrong] = np.roll(logits[wrong], 1, axis=1)
    said = describe_few_errors([(logits[:50], labels[:50]), (logits[50:], labels[50:])])

    assert (said is None) == (num_errors >= 10)
    assert said is None or f" {num_errors} of 90 photos wrong" in said


@pytest.mark.parametrize(("strength", "said"), [(0.8, "rises by"), (0.2, "rises by")])
def test_a_loss_is_answered_with_the_pretrained_network(strength: float, said: str) -> None:
    choice = choose(trials(dict.fromkeys(SHARES, strength)), LABELS, 8)

    assert not choice.is_kept
    assert (choice.share, choice.temperature) == (0.0, 1.0)
    assert said in choice.sentence


def test_what_is_the_same_is_not_kept() -> None:
    both = [replace(one, tuned=dict.fromkeys(SHARES, one.frozen)) for one in trials(dict.fromkeys(SHARES, 1.0))]

    choice = choose(both, LABELS, 8)

    assert choice.gain == pytest.approx(0, abs=0.01)


def test_the_temperature_makes_honest_what_is_too_sure() -> None:
    both = trials(dict.fromkeys(SHARES, 2.0))
    sure = [replace(one, tuned={share: 3 * logits for share, logits in one.tuned.items()}) for one in both]

    honest, tempered = choose(both, LABELS, 8), choose(sure, LABELS, 8)

    assert tempered.temperature == pytest.approx(3 * honest.temperature, rel=1e-3)
    assert tempered.tuned_log_loss == pytest.approx(honest.tuned_log_loss, rel=1e-3)


def test_what_is_chosen_for_one_half_never_comes_from_that_half() -> None:
    """One half asks for a share that ruins the other; the difference must show what that would have cost."""
    first, second = trial(0, {0.5: 2.0, 0.75: 0.1, 1.0: 0.1}), trial(1, {0.5: 0.1, 0.75: 0.1, 1.0: 2.0})

    choice = choose([first, second], LABELS, 8)

    assert choice.gain is not None
    assert choice.gain < 0


def test_classes_count_as_their_weights_say() -> None:
    both = trials(dict.fromkeys(SHARES, 2.0))
    light = [replace(one, weights=0.5 * one.weights) for one in both]

    assert choose(light, LABELS, 8).gain == pytest.approx(choose(both, LABELS, 8).gain)


@pytest.mark.parametrize(
    ("class_weights", "expected"), [(None, None), ((0.5, 2.0), [np.log(0.75), np.log(0.25)])], ids=["as is", "evened"]
)
def test_frequencies_matter_only_where_the_head_goes_without_them(
    class_weights: tuple[float, ...] | None, expected: list[float] | None
) -> None:
    head = FittedHead(
        np.zeros((4, 2), np.float32), np.zeros(2, np.float32), 1.0, (), (), 0, class_weights=class_weights, notes=()
    )
    found = log_frequencies(head, np.array([0, 0, 0, 1]))

    assert (None if found is None else found.tolist()) == (None if expected is None else pytest.approx(expected))
