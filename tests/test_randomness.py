import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tellapart.randomness import named_generator

SEEDS = st.integers(0, 2**32 - 1)
EPOCHS = st.integers(1, 100_000)
NAMES = st.sampled_from(["augment", "dropout", "keras", "order", "split"])


def first_numbers(seed: int, name: str, *numbers: int) -> NDArray[np.uint64]:
    return named_generator(seed, name, *numbers).integers(2**64, size=4, dtype=np.uint64)


@given(seed=SEEDS, name=st.text(max_size=20), epoch=EPOCHS)
def test_the_same_arguments_give_the_same_numbers(seed: int, name: str, epoch: int) -> None:
    np.testing.assert_array_equal(first_numbers(seed, name, epoch), first_numbers(seed, name, epoch))


@given(keys=st.lists(st.tuples(SEEDS, NAMES, EPOCHS), min_size=2, max_size=8, unique=True))
def test_another_seed_name_or_epoch_gives_other_numbers(keys: list[tuple[int, str, int]]) -> None:
    streams = {tuple(first_numbers(*key)) for key in keys}

    assert len(streams) == len(keys)


def test_drawing_from_one_generator_does_not_move_another() -> None:
    named_generator(1, "order", 2).random(1000)

    np.testing.assert_array_equal(first_numbers(1, "order", 2), first_numbers(1, "order", 2))


def test_numpys_own_state_plays_no_part() -> None:
    np.random.seed(1)
    first = first_numbers(0, "split")
    np.random.seed(2)

    np.testing.assert_array_equal(first_numbers(0, "split"), first)


def test_streams_of_neighbouring_epochs_do_not_follow_one_another() -> None:
    draws = np.stack([named_generator(0, "augment", epoch).random(2000) for epoch in range(1, 11)])

    correlations = np.corrcoef(draws) - np.eye(10)
    assert np.abs(correlations).max() < 0.1


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((0, "split"), [9712381586804237898, 9046335792313127702]),
        ((7, "augment", 3), [674673368989834168, 8846386228620678163]),
    ],
    ids=["split", "augment"],
)
def test_a_seed_means_the_same_in_every_version(arguments: tuple[int, str], expected: list[int]) -> None:
    assert named_generator(*arguments).bit_generator.random_raw(2).tolist() == expected


@pytest.mark.parametrize("arguments", [(-1, "split"), (0, "augment", -1)], ids=["seed", "number"])
def test_negative_numbers_are_refused(arguments: tuple[int, str]) -> None:
    with pytest.raises(ValueError, match="non-negative"):
        named_generator(*arguments)
