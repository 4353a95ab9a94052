"""The keywords of the Python calls, typed, and the configs that they make.

A keyword is a field of a config; `tests/test_settings.py` holds the two together.
"""

from collections.abc import Collection, Mapping
from dataclasses import fields, replace
from typing import Any, Literal, TypedDict

from tellapart.config import (
    RECIPE_CONFIGS,
    AugmentConfig,
    ClassNumber,
    DialConfig,
    FinetuneConfig,
    ImageLimits,
    RecipeConfig,
    SourceConfig,
    TransferConfig,
)
from tellapart.errors import ConfigError
from tellapart.translation import gettext as _
from tellapart.translation import ngettext
from tellapart.value_checks import check_choice, did_you_mean


class SourceSettings(TypedDict, total=False):
    """How photos and their classes are found: the fields of `SourceConfig`."""

    labels_csv: str | None
    label_pattern: str | None
    class_level: int | None
    per_class: int | None
    cache_dir: str | None
    limits: ImageLimits


class CheckSettings(SourceSettings, total=False):
    """What the check-up names, and in which photos: the fields of `CheckConfig` and of `SourceConfig`."""

    empty: float
    dark: float
    blurred: float
    small: int
    mask: float
    burst: float
    wrong_label: float | None
    odd: float | None
    shortcut: float
    imbalance: float
    few: int


class CompareSettings(SourceSettings, total=False):
    """What recipes are compared on: the fields of `CompareConfig` and of `SourceConfig`."""

    recipes: tuple[str, ...]
    epochs: int | None
    validation_fraction: float
    seed: int


class DialSettings(TypedDict, total=False):
    """From which probability on a photo is called one of the classes: the fields of `DialConfig`."""

    threshold: ClassNumber | None
    max_missed: ClassNumber | None


class AnswerSettings(DialSettings, total=False):
    """When a model answers, and with which class: the fields of `AnswerConfig`."""

    not_sure: float | None
    none_of_these: float | None


class TuneSettings(SourceSettings, DialSettings, total=False):
    """How the classifiers of a search are trained, and on which photos, and the dial of the winner.

    The fields of the recipes' configs but `minutes`, which a search has itself, of `SourceConfig` and of `DialConfig`.
    """

    recipe: Literal["transfer", "finetune", "scratch", "classic"]
    backbone: str | None
    eyes: str
    folds: int
    steps: int | None
    epochs: int | None
    image_size: tuple[int, int] | None
    channels: Literal[1, 3]
    flip: bool
    rotations: bool
    batch_size: int
    optimizer: str
    learning_rate: float
    augment: AugmentConfig | None
    validation_fraction: float | None
    seed: int


class TrainSettings(TuneSettings, total=False):
    """How a classifier is trained, and on which photos, and its dial.

    The fields of the recipes' configs, of `SourceConfig` and of `DialConfig`.
    """

    minutes: float | None


def check_names(given: Collection[str], legal: Collection[str]) -> None:
    """Nothing, if all settings exist.

    Raises:
        ConfigError: one does not; the message says which is nearest.
    """
    for name in given:
        if name not in legal:
            hint = did_you_mean(name, legal, "`{}`".format)
            said = _("There is no setting `{name}`.{hint} Choose from {legal}.")
            raise ConfigError(said.format(name=name, hint=hint, legal=", ".join(sorted(legal))), field=name)


def source_config(settings: Mapping[str, Any], base: SourceConfig = SourceConfig()) -> SourceConfig:
    """`base` with these settings in place of its own.

    Raises:
        ConfigError: a setting does not exist, or has a value it cannot have.
    """
    check_names(settings, SourceSettings.__annotations__)
    return replace(base, **settings)


def split_settings(
    settings: Mapping[str, Any],
    legal: type[TypedDict] = TrainSettings,  # type: ignore[valid-type]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The settings of the recipe, or of what else `legal` is for, and those of the source.

    Raises:
        ConfigError: a setting does not exist.
    """
    check_names(settings, legal.__annotations__)
    of_source = {name: value for name, value in settings.items() if name in SourceSettings.__annotations__}
    return {name: value for name, value in settings.items() if name not in of_source}, of_source


def split_dial(settings: Mapping[str, Any]) -> tuple[DialConfig, dict[str, Any]]:
    """The dial among the settings of a training, and the others.

    Raises:
        ConfigError: it has a value it cannot have.
    """
    of_dial = {name: settings[name] for name in DialSettings.__annotations__ if name in settings}
    return DialConfig(**of_dial), {name: value for name, value in settings.items() if name not in of_dial}


def recipe_config(settings: Mapping[str, Any], base: RecipeConfig | None = None) -> RecipeConfig:
    """`base` with these settings in place of its own; without a base, that of the recipe among the settings.

    Raises:
        ConfigError: a setting has a value it cannot have, or belongs to another recipe.
    """
    recipe: Any = base.recipe if base is not None else chosen_recipe(settings)
    check_choice("recipe", recipe, tuple(RECIPE_CONFIGS))
    _check_recipe(settings, recipe)
    config: RecipeConfig = (
        RECIPE_CONFIGS[recipe](**{**settings, "recipe": recipe}) if base is None else replace(base, **settings)
    )
    return config


def chosen_recipe(settings: Mapping[str, Any]) -> Any:
    """The recipe among the settings; without one `finetune` where there are minutes, and else `transfer`."""
    is_timed = settings.get("minutes") is not None
    return settings.get("recipe", FinetuneConfig.recipe if is_timed else TransferConfig.recipe)


def _check_recipe(settings: Mapping[str, Any], recipe: str) -> None:
    """Nothing, if the recipe has all these settings.

    Raises:
        ConfigError: it lacks some; the message names them, and the recipes that have them.
    """
    legal = {name: {field.name for field in fields(config)} for name, config in RECIPE_CONFIGS.items()}
    others = [name for name in settings if name not in legal[recipe]]
    if not others:
        return
    shown = ", ".join(f"`{name}`" for name in others)
    recipes = _(" or ").join(f"`recipe={name!r}`" for name, names in legal.items() if set(others) <= names)
    found = ngettext(
        "{shown} has no effect with `recipe={recipe!r}`.",
        "{shown} have no effect with `recipe={recipe!r}`.",
        len(others),
    ).format(shown=shown, recipe=recipe)
    what_to_do = (
        ngettext("Leave it out, or give {recipes}.", "Leave them out, or give {recipes}.", len(others))
        if recipes
        else ngettext("Leave it out.", "Leave them out.", len(others))
    ).format(recipes=recipes)
    raise ConfigError(
        f"{found} {what_to_do}",
        field=others[0],
        value=settings[others[0]],
    )
