import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tellapart.errors import DatasetError
from tellapart.heads import head as heads
from tellapart.heads.head import FittedHead, cross_validate_head, fit_head
from tellapart.heads.head_data import HeadData


def draw_data(counts: list[int], num_features: int = 16, distance: float = 6.0, seed: int = 0) -> HeadData:
    """Photos of each class around a mean of their own, each a group of its own; class k lies at `eye[k] * distance`."""
    generator = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(counts)), counts)
    embeddings = 3 + distance * np.eye(len(counts), num_features)[labels]
    embeddings = embeddings + generator.normal(0, 1, embeddings.shape)
    return HeadData(embeddings.astype(np.float32), labels, np.arange(len(labels)), len(counts))


def accuracy(head: FittedHead, data: HeadData) -> float:
    return float((head.probabilities(data.embeddings).argmax(axis=1) == data.labels).mean())


def log_loss(head: FittedHead, data: HeadData) -> float:
    return float(-np.log(head.probabilities(data.embeddings)[np.arange(len(data.labels)), data.labels]).mean())


@pytest.mark.parametrize("counts", [[1, 1], [2, 2, 2], [3, 3], [30, 30], [40, 50, 60, 70]], ids=str)
def test_a_head_tells_unseen_photos_apart(counts: list[int]) -> None:
    head = fit_head(draw_data(counts), 5, 0)
    assert accuracy(head, draw_data([200] * len(counts), seed=1)) > 0.95


@pytest.mark.parametrize("counts", [[1, 1], [2, 2, 2], [6, 6]], ids=str)
def test_a_head_is_float32_and_linear(counts: list[int]) -> None:
    data = draw_data(counts)
    head = fit_head(data, 5, 0)
    assert head.weights.dtype == head.bias.dtype == np.float32
    assert (head.weights.shape, head.bias.shape) == ((16, len(counts)), (len(counts),))
    roots = np.sqrt(np.linalg.norm(data.embeddings, axis=1, keepdims=True))
    logits = data.embeddings / roots @ head.weights + head.bias
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    probabilities = head.probabilities(data.embeddings)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities, expected, rtol=1e-4)


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e5])
@pytest.mark.parametrize("num_features", [3, 64, 500])
def test_neither_the_scale_nor_the_number_of_features_matters(scale: float, num_features: int) -> None:
    data, fresh = draw_data([25, 25], num_features, 9), draw_data([100, 100], num_features, 9, seed=1)
    head = fit_head(HeadData(data.embeddings * np.float32(scale), data.labels, data.groups, 2), 5, 0)
    scaled = HeadData(fresh.embeddings * np.float32(scale), fresh.labels, fresh.groups, 2)
    assert accuracy(head, scaled) > 0.97


@pytest.mark.parametrize(("counts", "num_held_out"), [([1, 1], 0), ([2, 2, 1], 4)], ids=["one", "two"])
def test_with_one_or_two_photos_a_class_it_is_the_nearest_mean(counts: list[int], num_held_out: int) -> None:
    data = draw_data(counts)
    head = fit_head(data, 5, 0)
    assert head.chosen == ("nearest mean",)
    assert head.temperature == 1.0
    assert (head.tried[0].log_loss is not None) == (num_held_out > 0)


def test_copies_of_two_photos_a_class_count_as_two_photos() -> None:
    data = draw_data([6, 6])
    head = fit_head(HeadData(data.embeddings, data.labels, data.groups // 3, 2), 5, 0)
    assert head.chosen == ("nearest mean",)
    assert head.num_folds == 2


def test_with_more_photos_lda_and_logistic_regression_are_tried() -> None:
    head = fit_head(draw_data([20, 20]), 5, 0)
    names = {"LDA", "logistic regression", "mean of LDA and logistic regression"}
    assert {candidate.name for candidate in head.tried} == names
    assert len({(candidate.name, candidate.setting) for candidate in head.tried}) == len(head.tried)
    assert set(head.chosen) <= {f"{candidate.name} {candidate.setting}" for candidate in head.tried}
    assert head.num_folds == 5


def test_a_clearly_better_kind_is_taken_alone() -> None:
    # The class is decided by the sign of one feature; LDA is thrown off by far outliers, logistic regression is not.
    generator = np.random.default_rng(0)
    labels = np.arange(400) % 2
    embeddings = generator.normal(0, 0.3, (400, 4))
    embeddings[:, 0] += 2.0 * labels - 1
    far = np.arange(400) % 8 < 2
    embeddings[far, 0] *= np.where(labels[far] == 1, 60, 1)
    embeddings[far, 1] += np.where(labels[far] == 1, generator.normal(0, 50, far.sum()), 0)
    head = fit_head(HeadData(embeddings.astype(np.float32), labels, np.arange(400), 2), 5, 0)
    assert len(head.chosen) == 1
    assert head.chosen[0].startswith("logistic regression")


def test_the_probabilities_are_as_sure_as_they_are_right() -> None:
    data, fresh = draw_data([300, 300], 8, 2.0), draw_data([4000, 4000], 8, 2.0, seed=1)
    head = fit_head(data, 5, 0)
    confidence = head.probabilities(fresh.embeddings).max(axis=1).mean()
    assert confidence == pytest.approx(accuracy(head, fresh), abs=0.02)
    # The best that can be had is the log-loss of the densities that the photos were drawn from.
    exact = fresh.embeddings[:, :2] @ np.array([[2.0, 0.0], [0.0, 2.0]])
    bayes = np.log(np.exp(exact).sum(axis=1)) - exact[np.arange(8000), fresh.labels]
    assert log_loss(head, fresh) < bayes.mean() + 0.02


def test_the_frequencies_of_the_classes_are_learnt() -> None:
    data = draw_data([300, 120], 4, 0.3)
    head = fit_head(data, 5, 0)
    assert head.class_weights is None
    assert head.probabilities(data.embeddings)[:, 0].mean() == pytest.approx(300 / 420, abs=0.03)


@pytest.mark.parametrize("seed", range(3))
def test_at_thirty_to_one_the_rare_class_is_found(seed: int) -> None:
    head = fit_head(draw_data([300, 10], 64, 5.0, seed), 5, 0)
    fresh = draw_data([500, 500], 64, 5.0, seed + 100)
    found = head.probabilities(fresh.embeddings).argmax(axis=1)
    assert (found[fresh.labels == 1] == 1).mean() > 0.9
    assert (found[fresh.labels == 0] == 0).mean() > 0.9
    assert head.class_weights == pytest.approx((310 / 600, 310 / 20))
    assert any("300 and 10 photos" in note for note in head.notes)


def test_a_rare_class_of_one_photo_does_not_stop_the_others() -> None:
    data, fresh = draw_data([30, 30, 1], 8, 8.0), draw_data([100, 100, 100], 8, 8.0, seed=1)
    assert accuracy(fit_head(data, 5, 0), fresh) > 0.95


def test_a_class_of_copies_alone_is_said() -> None:
    data = draw_data([6, 6])
    groups = data.groups.copy()
    groups[6:] = 6
    head = fit_head(HeadData(data.embeddings, data.labels, groups, 2), 3, 0)
    assert any("1 class has only copies of one photo" in note for note in head.notes)


@settings(deadline=None, max_examples=15)
@given(
    pairs=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 9)), min_size=3, max_size=30),
    folds=st.integers(2, 6),
    seed=st.integers(0, 3),
)
def test_groups_that_hold_several_classes_give_a_head_all_the_same(
    pairs: list[tuple[int, int]], folds: int, seed: int
) -> None:
    labels, groups = np.array([(0, 0), (1, 1), (2, 2), *pairs]).T
    embeddings = np.random.default_rng(0).normal(0, 1, (10, 4)).astype(np.float32)[groups]
    data = HeadData(embeddings, labels, groups, 3)

    head, probabilities = fit_head(data, folds, seed), cross_validate_head(data, folds, seed)

    assert np.isfinite(head.weights).all()
    assert np.isfinite(head.bias).all()
    np.testing.assert_allclose(head.probabilities(embeddings).sum(axis=1), 1, rtol=1e-5)
    measured = np.isfinite(probabilities).all(axis=1)
    assert np.isnan(probabilities[~measured]).all()
    np.testing.assert_allclose(probabilities[measured].sum(axis=1), 1, rtol=1e-5)


def test_every_photo_in_all_classes_is_no_reason_to_fail() -> None:
    embeddings = np.random.default_rng(0).normal(0, 1, (4, 5)).astype(np.float32)
    data = HeadData(np.tile(embeddings, (2, 1)), np.repeat([0, 1], 4), np.tile(np.arange(4), 2), 2)
    np.testing.assert_allclose(fit_head(data, 5, 0).probabilities(embeddings), 0.5, atol=0.2)


def test_the_same_photos_give_the_same_head_to_the_bit() -> None:
    data = draw_data([25, 25, 25], 100)
    first, second = (fit_head(data, 5, 3) for _ in range(2))
    np.testing.assert_array_equal(first.weights, second.weights)
    np.testing.assert_array_equal(first.bias, second.bias)
    assert first.to_json() == second.to_json()


def test_the_arrays_are_not_modified() -> None:
    data = draw_data([8, 8])
    for array in (data.embeddings, data.labels, data.groups):
        array.setflags(write=False)
    fit_head(data, 4, 0)
    assert cross_validate_head(data, 4, 0).shape == (16, 2)


def test_what_was_tried_and_chosen_is_plain_json() -> None:
    head = fit_head(draw_data([40, 10]), 3, 0)
    read = json.loads(json.dumps(head.to_json(), allow_nan=False))
    assert read == head.to_json()
    assert read["num_folds"] == 3
    assert {"name", "setting", "log_loss", "standard_error", "temperature"} == set(read["tried"][0])


def test_more_folds_than_photos_are_reduced() -> None:
    assert fit_head(draw_data([4, 3]), 100, 0).num_folds == 4


@pytest.mark.parametrize(
    ("limit", "num_tried", "words"),
    [("_ALL_PENALTIES_COST", 1, "with a single penalty"), ("_LOGISTIC_COST", 0, "only LDA was tried")],
)
def test_beyond_a_cost_logistic_regression_is_cut_short(
    monkeypatch: pytest.MonkeyPatch, limit: str, num_tried: int, words: str
) -> None:
    monkeypatch.setattr(heads, "_ALL_PENALTIES_COST", 10.0)
    monkeypatch.setattr(heads, limit, 10.0)
    head = fit_head(draw_data([20, 20]), 5, 0)
    assert sum(candidate.name == "logistic regression" for candidate in head.tried) == num_tried
    assert any(words in note for note in head.notes)


def test_a_thousand_classes_of_four_photos_are_told_apart() -> None:
    generator = np.random.default_rng(0)
    means = generator.normal(0, 1, (1000, 64))
    labels = np.arange(4000) % 1000
    embeddings = (means[labels] + generator.normal(0, 0.4, (4000, 64))).astype(np.float32)
    head = fit_head(HeadData(embeddings, labels, np.arange(4000), 1000), 4, 0)
    fresh = (means + generator.normal(0, 0.4, means.shape)).astype(np.float32)
    probabilities = head.probabilities(fresh)
    right = (probabilities.argmax(axis=1) == np.arange(1000)).mean()
    assert right > 0.9
    assert probabilities.max(axis=1).mean() == pytest.approx(right, abs=0.1)


@pytest.mark.parametrize("fit", [fit_head, cross_validate_head])
def test_embeddings_that_cannot_be_learnt_from_are_refused(fit: object) -> None:
    same = HeadData(np.ones((6, 3), np.float32), np.arange(6) % 2, np.arange(6), 2)
    with pytest.raises(DatasetError, match=r"all 6 photos are the same.*another `backbone`"):
        fit(same, 5, 0)  # type: ignore[operator]
    missing = draw_data([4, 4])
    with pytest.raises(DatasetError, match=r"Of 3 classes, 1 has no photo to train on"):
        fit(HeadData(missing.embeddings, missing.labels, missing.groups, 3), 5, 0)  # type: ignore[operator]


def test_cross_validation_tells_how_often_unseen_photos_are_right() -> None:
    data = draw_data([60, 60, 60], 32, 3.0)
    probabilities = cross_validate_head(data, 5, 0)
    assert probabilities.dtype == np.float32
    right = (probabilities.argmax(axis=1) == data.labels).mean()
    truth = accuracy(fit_head(data, 5, 0), draw_data([2000] * 3, 32, 3.0, seed=1))
    assert right == pytest.approx(truth, abs=0.08)


@pytest.mark.parametrize("counts", [[2, 2], [3, 3], [20, 20]], ids=str)
def test_cross_validation_of_labels_without_meaning_promises_nothing(counts: list[int]) -> None:
    right = []
    for seed in range(8):
        generator = np.random.default_rng(seed)
        labels = generator.permutation(np.repeat(np.arange(len(counts)), counts))
        embeddings = generator.normal(0, 1, (len(labels), 50)).astype(np.float32)
        probabilities = cross_validate_head(HeadData(embeddings, labels, np.arange(len(labels)), 2), 5, seed)
        right.append((probabilities.argmax(axis=1) == labels).mean())
    assert np.mean(right) < 0.65


def test_a_photo_is_judged_by_a_head_that_has_seen_no_copy_of_it() -> None:
    generator = np.random.default_rng(0)
    originals = generator.normal(0, 1, (30, 50)).astype(np.float32)
    groups = np.repeat(np.arange(30), 4)
    labels = generator.integers(0, 2, 30)[groups]
    probabilities = cross_validate_head(HeadData(originals[groups], labels, groups, 2), 5, 0)
    # Labels without meaning: were a copy among the photos learnt from, nearly all would be right.
    assert (probabilities.argmax(axis=1) == labels).mean() < 0.75


def test_photos_that_are_never_held_out_have_no_probabilities() -> None:
    probabilities = cross_validate_head(draw_data([6, 6, 1]), 3, 0)
    assert np.isnan(probabilities[12]).all()
    assert np.isfinite(probabilities[:12]).all()


def test_one_photo_a_class_is_never_held_out() -> None:
    assert np.isnan(cross_validate_head(draw_data([1, 1, 1]), 5, 0)).all()


def test_a_fold_whose_other_photos_are_all_the_same_knows_nothing() -> None:
    embeddings = np.zeros((4, 3), np.float32)
    embeddings[0, 0] = 1
    probabilities = cross_validate_head(HeadData(embeddings, np.array([0, 0, 1, 1]), np.arange(4), 2), 2, 0)
    assert np.isfinite(probabilities).all()
    np.testing.assert_array_equal(probabilities[0], [0.5, 0.5])


def test_the_head_needs_neither_keras_nor_pytorch() -> None:
    code = "import sys, tellapart.heads.head; print([n for n in ('keras', 'torch', 'onnx') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("seed", range(4))
def test_what_has_the_least_log_loss_is_chosen(seed: int) -> None:
    head = fit_head(draw_data([30, 30, 30], distance=2.5, seed=seed), 5, 0)
    best = min(head.tried, key=lambda candidate: candidate.log_loss or np.inf)
    kinds = {"LDA", "logistic regression"} if best.name.startswith("mean of") else {best.name}
    assert {name.replace("logistic regression", "logistic_regression").split()[0] for name in head.chosen} == {
        kind.replace(" ", "_") for kind in kinds
    }
    assert head.temperature == best.temperature


@pytest.mark.parametrize("spread", [1.0, 1e-2, 1e-4])
def test_embeddings_that_differ_by_rounding_give_probabilities_that_differ_no_more_than_is_said(spread: float) -> None:
    generator = np.random.default_rng(4)
    labels = np.repeat([0, 1], 20)
    embeddings = 3 + spread * (np.eye(2, 64)[labels] * 6 + generator.normal(0, 1, (40, 64)))
    data = HeadData(embeddings.astype(np.float32), labels, np.arange(40), 2)
    head = fit_head(data, 5, 0)
    others = data.embeddings * (1 + generator.uniform(-2e-6, 2e-6, data.embeddings.shape).astype(np.float32))
    moved = np.abs(head.probabilities(others) - head.probabilities(data.embeddings)).max()
    assert moved <= head.rounding(data.embeddings)


def test_the_head_of_photos_unlike_each_other_is_hardly_moved_by_rounding() -> None:
    data = draw_data([40, 40])
    assert fit_head(data, 5, 0).rounding(data.embeddings) < 1e-3
