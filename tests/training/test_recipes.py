from dataclasses import replace

import pytest

from tellapart.config import OPTIMIZER_NAMES, RECIPE_CONFIGS, ClassicConfig, ScratchConfig
from tellapart.errors import ConfigError
from tellapart.training.recipes import RECIPES, build_network, compile_network


def test_every_recipe_without_a_pretrained_network_has_a_design() -> None:
    assert set(RECIPES) == set(RECIPE_CONFIGS) - {"transfer", "finetune"}


@pytest.mark.parametrize("name", OPTIMIZER_NAMES)
def test_every_optimizer_that_may_be_asked_for_takes_the_learning_rate(tiny_config: ClassicConfig, name: str) -> None:
    model = build_network(tiny_config, 2, "channels_first")
    compile_network(model, replace(tiny_config, optimizer=name, learning_rate=0.25))
    assert type(model.optimizer).__name__.lower() == name
    assert float(model.optimizer.learning_rate) == 0.25


def test_two_classes_use_binary_crossentropy_and_more_the_categorical_one(tiny_config: ClassicConfig) -> None:
    losses = []
    for num_classes in (2, 3):
        model = build_network(tiny_config, num_classes, "channels_first")
        compile_network(model, tiny_config)
        losses.append(model.loss)
    assert losses == ["binary_crossentropy", "sparse_categorical_crossentropy"]


def test_an_image_size_below_what_the_network_takes_names_the_flag(tiny_config: ClassicConfig) -> None:
    with pytest.raises(ConfigError, match=r"`image_size` 40 is too small for the recipe 'classic'.*at least 46"):
        build_network(replace(tiny_config, image_size=(64, 40)), 2, "channels_first")


def test_scratch_takes_weight_decay_off_kernels_alone() -> None:
    config = ScratchConfig(image_size=(32, 32))
    model = build_network(config, 2, "channels_first")
    compile_network(model, config)
    decayed = {variable.name for variable in model.trainable_variables if model.optimizer._use_weight_decay(variable)}
    assert decayed == {"kernel"}


def test_an_image_size_below_what_scratch_takes_names_the_flag() -> None:
    with pytest.raises(ConfigError, match=r"`image_size` 24 is too small for the recipe 'scratch'.*at least 32"):
        build_network(ScratchConfig(image_size=(24, 64)), 2, "channels_first")
