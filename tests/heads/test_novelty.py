import json
import subprocess
import sys

import numpy as np
import pytest
from numpy.typing import NDArray

from tellapart.heads.head_data import HeadData
from tellapart.heads.novelty import LARGEST_ENTRY, Novelty, fit_novelty, whole_entries


def draw_embeddings(
    directions: list[int], counts: list[int], seed: int, size: int = 300, spread: float = 0.05
) -> NDArray[np.float32]:
    """Photos of each class around a direction of its own, not negative, of length about 10."""
    generator = np.random.default_rng(seed)
    rows = np.repeat(np.eye(size)[directions], counts, axis=0)
    return (10 * (rows + np.abs(generator.normal(0, spread, rows.shape)))).astype(np.float32)


def make_data(embeddings: NDArray[np.float32], counts: list[int], copies: int = 1) -> HeadData:
    labels, groups = np.repeat(np.arange(len(counts)), counts), np.arange(len(embeddings))
    return HeadData(
        np.repeat(embeddings, copies, axis=0), np.repeat(labels, copies), np.repeat(groups, copies), len(counts)
    )


def fit(counts: list[int], seed: int = 0, **how: float) -> Novelty:
    found = fit_novelty(make_data(draw_embeddings([0, 1], counts, seed, **how), counts), seed)  # type: ignore[arg-type]
    assert found is not None
    return found


def test_a_class_that_is_not_among_the_photos_is_flagged() -> None:
    novelty = fit([80, 80])
    strangers = draw_embeddings([2], [50], 100)
    assert (novelty.distances(strangers) > novelty.threshold(0.05)).mean() > 0.9


@pytest.mark.parametrize("rate", [0.02, 0.05, 0.2])
def test_usual_photos_are_flagged_as_seldom_as_promised(rate: float) -> None:
    rates = []
    for seed in range(8):
        novelty = fit([60, 60], seed)
        new = draw_embeddings([0, 1], [300, 300], seed + 100)
        rates.append((novelty.distances(new) > novelty.threshold(rate)).mean())
    assert rate / 3 < np.mean(rates) < 1.3 * rate


def test_distances_of_usual_photos_are_about_1() -> None:
    assert np.median(fit([60, 60]).usual) == pytest.approx(1, abs=0.15)


def test_a_tight_class_is_judged_on_its_own_scale() -> None:
    tight, loose = draw_embeddings([0], [80], 0, spread=0.01), draw_embeddings([1], [80], 1, spread=0.2)
    novelty = fit_novelty(make_data(np.concatenate([tight, loose]), [80, 80]), 0)
    assert novelty is not None
    look_alikes = draw_embeddings([0], [50], 2, spread=0.03)
    assert (novelty.distances(look_alikes) > novelty.threshold(0.05)).mean() > 0.9


def test_the_length_of_an_embedding_does_not_matter() -> None:
    novelty, photos = fit([30, 30]), draw_embeddings([0, 2], [5, 5], 7)
    np.testing.assert_allclose(novelty.distances(3 * photos), novelty.distances(photos), rtol=1e-3)


def test_copies_do_not_make_a_photo_usual() -> None:
    counts = [40, 40]
    embeddings = draw_embeddings([0, 1], counts, 0)
    once, often = (fit_novelty(make_data(embeddings, counts, copies), 0) for copies in (1, 6))
    assert once is not None
    assert often is not None
    np.testing.assert_allclose(often.usual, once.usual, rtol=1e-5)


def test_a_training_photo_is_measured_as_if_it_had_not_been_among_them() -> None:
    labels, embeddings = np.repeat([0, 1], 20), draw_embeddings([0, 1], [20, 20], 0, size=30)
    novelty = fit_novelty(HeadData(embeddings, labels, np.arange(40), 2), 0)
    assert novelty is not None
    distances = []
    for row in range(40):
        others = np.flatnonzero(np.arange(40) != row)
        without = fit_novelty(HeadData(embeddings[others], labels[others], others, 2), 0)
        assert without is not None
        distances.append(without.distances(embeddings[[row]])[0])
    np.testing.assert_allclose(novelty.usual, np.sort(distances), atol=2e-3)


def test_fewer_than_20_different_photos_promise_nothing() -> None:
    counts = [10, 9]
    assert fit_novelty(make_data(draw_embeddings([0, 1], counts, 0), counts, copies=5), 0) is None
    assert len(fit([10, 10]).usual) == 20


def test_centres_are_of_whole_entries_and_about_as_long_as_1() -> None:
    centres = fit([30, 30]).centres
    numbers, steps = whole_entries(centres)
    assert np.abs(numbers).max() == LARGEST_ENTRY
    np.testing.assert_allclose(numbers * steps[:, np.newaxis], centres, rtol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(centres, axis=1), 1, atol=1e-2)


@pytest.mark.parametrize("seed", range(3))
def test_distances_are_those_to_centres_that_were_not_rounded(seed: int) -> None:
    generator = np.random.default_rng(seed)
    centres = generator.random((30, 400)).astype(np.float32) ** 4
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    numbers, steps = whole_entries(centres)
    rounded, exact = (
        Novelty(some, np.ones(30, np.float32), np.ones(1, np.float32))
        for some in (numbers * steps[:, np.newaxis], centres)
    )
    photos = generator.random((10, 400)).astype(np.float32)
    np.testing.assert_allclose(rounded.distances(photos), exact.distances(photos), rtol=5e-3)


def test_a_rate_that_the_photos_cannot_show_flags_nothing() -> None:
    novelty = fit([10, 10])
    strangers = draw_embeddings([2], [10], 100)
    assert not (novelty.distances(strangers) > novelty.threshold(0.04)).any()
    assert (novelty.distances(strangers) > novelty.threshold(0.05)).any()


def test_a_threshold_leaves_the_promised_share_of_photos_and_the_next_one_beyond() -> None:
    novelty = Novelty(np.eye(2), np.ones(2), np.arange(1, 100, dtype=np.float32))
    assert novelty.threshold(0.05) == 95
    assert novelty.threshold(0.5) == 50
    assert novelty.threshold(0.01) == 99
    assert novelty.threshold(0.005) > 1e30


def test_quantiles_rise_are_finite_and_travel_as_json() -> None:
    novelty = fit([30, 30])
    quantiles = novelty.quantiles
    assert len(quantiles) == 201
    assert list(quantiles) == sorted(quantiles)
    assert np.isfinite(quantiles).all()
    assert json.loads(json.dumps(quantiles)) == list(quantiles)
    assert quantiles[190] == novelty.threshold(0.05)


def test_many_photos_are_represented_by_some_of_each_class() -> None:
    counts = [4500, 30]
    novelty = fit_novelty(make_data(draw_embeddings([0, 1], counts, 0, size=20), counts), 0)
    assert novelty is not None
    assert novelty.centres.shape == (500, 20)
    assert len(novelty.usual) == 4000
    rare = draw_embeddings([1], [50], 5, size=20)
    assert (novelty.distances(rare) > novelty.threshold(0.05)).mean() < 0.4


def test_5_photos_of_each_of_many_classes_are_enough() -> None:
    counts = [5] * 60
    novelty = fit_novelty(make_data(draw_embeddings(list(range(60)), counts, 0), counts), 0)
    assert novelty is not None
    strangers = draw_embeddings([70], [20], 1)
    assert (novelty.distances(strangers) > novelty.threshold(0.05)).mean() > 0.9


def test_photos_that_are_all_alike_have_finite_distances() -> None:
    embeddings = np.repeat(draw_embeddings([0, 1], [1, 1], 0), 15, axis=0)
    novelty = fit_novelty(make_data(embeddings, [15, 15]), 0)
    assert novelty is not None
    assert np.isfinite(novelty.usual).all()
    assert np.isfinite(novelty.distances(draw_embeddings([2], [3], 1))).all()
    assert np.isfinite(novelty.distances(np.zeros((1, 300), np.float32))).all()


def test_the_same_seed_gives_the_same_distances() -> None:
    photos = draw_embeddings([0, 2], [5, 5], 3)
    np.testing.assert_array_equal(fit([30, 30]).distances(photos), fit([30, 30]).distances(photos))


def test_novelty_is_fitted_without_loading_keras() -> None:
    code = "import sys, tellapart.heads.novelty; print({'keras', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
