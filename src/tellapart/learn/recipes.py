"""How each recipe trains: its network, and the optimizers they all share."""

from collections.abc import Callable
from dataclasses import dataclass

from tellapart.config import TrainConfig
from tellapart.errors import ConfigError
from tellapart.learn.backend import DataFormat, keras
from tellapart.learn.networks.article import build_article_network


@dataclass(frozen=True)
class Recipe:
    """A way to train.

    Attributes:
        build_network: from `((height, width, channels), num_classes, data_format)` to a model.
        min_side: the smallest height and width the network can take, in pixels.
    """

    build_network: Callable[[tuple[int, int, int], int, DataFormat], keras.Model]
    min_side: int


RECIPES = {"classic": Recipe(build_article_network, min_side=46)}

_OPTIMIZERS: dict[str, type[keras.optimizers.Optimizer]] = {
    "adadelta": keras.optimizers.Adadelta,
    "adagrad": keras.optimizers.Adagrad,
    "adam": keras.optimizers.Adam,
    "adamw": keras.optimizers.AdamW,
    "rmsprop": keras.optimizers.RMSprop,
    "sgd": keras.optimizers.SGD,
}


def build_network(config: TrainConfig, num_classes: int, data_format: DataFormat) -> keras.Model:
    """The recipe's network for photos of the configured size, with fresh weights, not compiled.

    Raises:
        ConfigError: the image size is too small for the network.
    """
    recipe = RECIPES[config.recipe]
    if min(config.image_size) < recipe.min_side:
        raise ConfigError(
            f"--image-size {min(config.image_size)} is too small for the recipe {config.recipe!r};"
            f" it needs at least {recipe.min_side}."
        )
    return recipe.build_network((*config.image_size, config.channels), num_classes, data_format)


def compile_network(model: keras.Model, config: TrainConfig) -> None:
    """Gives `model` its loss, the accuracy metric and the configured optimizer with fresh state."""
    is_binary = model.output_shape[-1] == 1
    model.compile(
        optimizer=_OPTIMIZERS[config.optimizer](learning_rate=config.learning_rate),
        loss="binary_crossentropy" if is_binary else "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    model.optimizer.build(model.trainable_variables)
