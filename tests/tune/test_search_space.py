from typing import Any

import numpy as np
import pytest

from tellapart.config import RECIPE_CONFIGS, ClassicConfig, TransferConfig
from tellapart.errors import ConfigError
from tellapart.tune.search_space import SEARCH_SPACES, Choices, NumberRange, Range, space_of, values_of, with_values


def draw(one: Range, generator: np.random.Generator) -> Any:
    if isinstance(one, Choices):
        return one.values[generator.integers(len(one.values))]
    return float(generator.uniform(one.low, one.high))


@pytest.mark.parametrize("recipe", list(SEARCH_SPACES))
def test_each_range_holds_the_default(recipe: str) -> None:
    config = RECIPE_CONFIGS[recipe]()
    values = values_of(config, SEARCH_SPACES[recipe])
    outside = {
        name
        for name, one in SEARCH_SPACES[recipe].items()
        if not (one.low <= values[name] <= one.high if isinstance(one, NumberRange) else values[name] in one.values)
    }
    assert outside == set()


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("recipe", list(SEARCH_SPACES))
def test_each_drawn_value_is_one_that_the_recipe_takes(recipe: str, seed: int) -> None:
    config, generator = RECIPE_CONFIGS[recipe](), np.random.default_rng(seed)
    values = {name: draw(one, generator) for name, one in SEARCH_SPACES[recipe].items()}
    assert values_of(with_values(config, values), SEARCH_SPACES[recipe]) == values


def test_what_the_user_has_fixed_is_not_searched() -> None:
    config = ClassicConfig(augment=None, batch_size=8)
    assert set(space_of(config, {"augment": None, "batch_size": 8})) == {"learning_rate", "optimizer", "image_size"}


def test_a_space_without_a_choice_is_refused() -> None:
    with pytest.raises(ConfigError, match="Nothing is left to tune for the recipe 'transfer'"):
        space_of(TransferConfig(backbone="efficientnet-lite0"), {"backbone": "efficientnet-lite0"})
