"""What a search may change: fields of the recipes' configs with their ranges. A new recipe adds its ranges here.

Knows no engine: an engine asks for a value of each range, and `with_values` makes the config of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from tellapart.backbones.pretrained import PACKAGED_BACKBONES
from tellapart.config import DEFAULT_BACKBONE, QUICK_BACKBONE, RecipeConfig
from tellapart.errors import ConfigError
from tellapart.translation import gettext as _
from tellapart.tune.trial_table import show_value


@dataclass(frozen=True)
class NumberRange:
    """Numbers from `low` to `high`, both included; `is_log` draws the logarithm evenly."""

    low: float
    high: float
    is_log: bool = False


@dataclass(frozen=True)
class Choices:
    """A few values, each as good a guess as the others."""

    values: tuple[Any, ...]


Range = NumberRange | Choices
# By recipe: field of its config, or field of a config in it behind a point, to range. Each holds the default.
SEARCH_SPACES: dict[str, dict[str, Range]] = {
    "transfer": {
        "backbone": Choices(
            (None, QUICK_BACKBONE, DEFAULT_BACKBONE, f"{DEFAULT_BACKBONE}+mirrored", "efficientnet-lite1",
             "efficientnet-lite2", "efficientnet-lite2+mirrored")
        ),
    },
    "finetune": {
        "backbone": Choices(
            (None, QUICK_BACKBONE, DEFAULT_BACKBONE, "efficientnet-lite1", "efficientnet-lite2")
        ),
        "flip": Choices((True, False)),
    },
    "scratch": {
        "image_size": Choices((None, (64, 64), (96, 96), (128, 128), (160, 160))),
        "flip": Choices((True, False)),
        "rotations": Choices((False, True)),
    },
    "classic": {
        "learning_rate": NumberRange(3e-5, 3e-2, is_log=True),
        "optimizer": Choices(("rmsprop", "adam", "adamw", "sgd")),
        "batch_size": Choices((16, 32, 64)),
        "image_size": Choices(((96, 96), (128, 128), (150, 150))),
        "augment.rotation_degrees": NumberRange(0, 45),
        "augment.width_shift": NumberRange(0, 0.25),
        "augment.height_shift": NumberRange(0, 0.25),
        "augment.zoom": NumberRange(0, 0.3),
    },
}  # fmt: skip


def space_of(config: RecipeConfig, fixed: Mapping[str, Any]) -> dict[str, Range]:
    """What is searched for the recipe of `config`: all its ranges but those of settings that the user has fixed.

    Args:
        config: of the recipe, with the fixed settings in it.
        fixed: settings that the user has given.

    Raises:
        ConfigError: nothing is left to search.
    """
    found = {
        name: _installed(one)
        for name, one in SEARCH_SPACES.get(config.recipe, {}).items()
        if name.partition(".")[0] not in fixed and _is_there(config, name)
    }
    if not any(isinstance(one, NumberRange) or len(one.values) > 1 for one in found.values()):
        raise ConfigError(
            _("Nothing is left to tune for the recipe {recipe!r}. Leave out one of the settings that you gave.").format(
                recipe=config.recipe
            ),
            field="recipe",
            value=config.recipe,
        )
    return found


def values_of(config: RecipeConfig, names: Mapping[str, Range]) -> dict[str, Any]:
    """The value that each of these fields has in `config`."""
    return {name: _get(config, name) for name in names}


def with_values(config: RecipeConfig, values: Mapping[str, Any]) -> RecipeConfig:
    """`config` with these values in its fields.

    Raises:
        ConfigError: a value is one that its field cannot have.
    """
    for name, value in values.items():
        outer, _point, inner = name.partition(".")
        changed = replace(getattr(config, outer), **{inner: value}) if inner else value
        config = replace(config, **{outer: changed})
    return config


def encode_values(space: Mapping[str, Range], values: Mapping[str, Any]) -> dict[str, Any]:
    """The values as an engine has them: numbers as they are, choices as the words that people read."""
    return {name: show_value(value) if isinstance(space[name], Choices) else value for name, value in values.items()}


def decode_values(space: Mapping[str, Range], encoded: Mapping[str, Any]) -> dict[str, Any]:
    """The values that those of an engine stand for.

    Raises:
        KeyError, StopIteration: a name or a value is unknown.
    """
    found = {}
    for name, value in encoded.items():
        one = space[name]
        if isinstance(one, Choices):
            value = next(choice for choice in one.values if show_value(choice) == value)
        found[name] = value
    return found


def _get(config: RecipeConfig, name: str) -> Any:
    found: Any = config
    for part in name.split("."):
        found = getattr(found, part)
    return found


def _is_there(config: RecipeConfig, name: str) -> bool:
    """Whether the config has what the field is in; `augment` may be `None`."""
    return "." not in name or getattr(config, name.partition(".")[0]) is not None


def _installed(one: Range) -> Range:
    """The range without networks whose weights are not installed."""
    if isinstance(one, NumberRange):
        return one
    names = {value: str(value).partition("@")[0].partition("+")[0] for value in one.values}
    packaged = {value: PACKAGED_BACKBONES.get(name) for value, name in names.items()}
    return Choices(tuple(value for value in one.values if (found := packaged[value]) is None or found.is_installed))
