"""The keywords of the Python calls are the fields of the configs."""

from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tellapart.checkup.thresholds import THRESHOLDS, CheckConfig
from tellapart.config import (
    RECIPE_CONFIGS,
    AnswerConfig,
    ClassicConfig,
    DialConfig,
    FinetuneConfig,
    ScratchConfig,
    SourceConfig,
    TransferConfig,
)
from tellapart.errors import ConfigError
from tellapart.settings import (
    AnswerSettings,
    CheckSettings,
    SourceSettings,
    TrainSettings,
    check_names,
    recipe_config,
    source_config,
    split_dial,
    split_settings,
)


def test_the_keywords_of_a_source_are_the_fields_of_its_config() -> None:
    assert set(SourceSettings.__annotations__) == {field.name for field in fields(SourceConfig)}


def test_the_keywords_of_a_training_are_the_fields_of_all_configs() -> None:
    configs = (SourceConfig, DialConfig, *RECIPE_CONFIGS.values())
    assert set(TrainSettings.__annotations__) == {field.name for config in configs for field in fields(config)}


def test_the_keywords_of_a_check_up_are_its_thresholds_and_those_of_a_source() -> None:
    legal = {field.name for config in (CheckConfig, SourceConfig) for field in fields(config)}
    assert set(CheckSettings.__annotations__) == legal
    assert {field.name for field in fields(CheckConfig)} == set(THRESHOLDS)


def test_the_keywords_of_an_answer_are_the_fields_of_its_config() -> None:
    assert set(AnswerSettings.__annotations__) == {field.name for field in fields(AnswerConfig)}


def test_the_dial_of_a_training_stands_apart_from_its_other_settings() -> None:
    settings = {"seed": 1, "threshold": {"cat": 0.2}}
    assert split_dial(settings) == (DialConfig(threshold={"cat": 0.2}), {"seed": 1})


def test_without_settings_the_defaults_are_used() -> None:
    assert (recipe_config({}), source_config({})) == (TransferConfig(), SourceConfig())


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"folds": 3}, TransferConfig(folds=3)),
        ({"recipe": "finetune", "steps": 5}, FinetuneConfig(steps=5)),
        ({"recipe": "scratch", "minutes": 2.0}, ScratchConfig(minutes=2.0)),
        ({"recipe": "classic", "epochs": 3, "augment": None}, ClassicConfig(epochs=3, augment=None)),
    ],
    ids=["transfer", "finetune", "scratch", "classic"],
)
def test_settings_make_the_config_of_their_recipe(settings: dict[str, object], expected: object) -> None:
    assert recipe_config(settings) == expected


def test_minutes_alone_let_the_training_choose_whether_to_fine_tune() -> None:
    assert recipe_config({"minutes": 4.0}) == FinetuneConfig(minutes=4.0)


def test_settings_replace_those_of_a_config() -> None:
    assert recipe_config({"epochs": 9}, ClassicConfig(epochs=3, seed=5)) == ClassicConfig(epochs=9, seed=5)


def test_settings_are_split_between_recipe_and_source() -> None:
    assert split_settings({"seed": 1, "cache_dir": "c", "per_class": 5}) == (
        {"seed": 1},
        {"cache_dir": "c", "per_class": 5},
    )


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"epochs": 3}, "`epochs` has no effect with `recipe='transfer'`. Leave it out, or give `recipe='scratch'` or"),
        ({"recipe": "classic", "folds": 3}, "`folds` has no effect with `recipe='classic'`. Leave it out, or give"),
        ({"channels": 1, "augment": None}, "`channels`, `augment` have no effect with `recipe='transfer'`. Leave them"),
        ({"folds": 3, "epochs": 3}, "`epochs` has no effect with `recipe='transfer'`. Leave it out, or give"),
    ],
    ids=["epochs", "folds", "two", "folds and epochs"],
)
def test_a_setting_of_another_recipe_is_refused_with_that_recipe(settings: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        recipe_config(settings)
    assert str(caught.value).startswith(words)
    assert caught.value.field in settings


@pytest.mark.parametrize("name", ["epoch", "learningrate", "cachedir", "lables_csv"])
def test_a_setting_that_does_not_exist_is_refused_with_the_nearest(name: str) -> None:
    nearest = {"epoch": "epochs", "learningrate": "learning_rate", "cachedir": "cache_dir", "lables_csv": "labels_csv"}
    with pytest.raises(ConfigError, match=f"There is no setting `{name}`. Did you mean `{nearest[name]}`?") as caught:
        split_settings({name: 1})
    assert caught.value.field == name


@given(name=st.text(max_size=12))
def test_a_name_is_refused_exactly_where_it_is_none(name: str) -> None:
    names = ("epochs", "seed")
    try:
        check_names([name], names)
        is_known = True
    except ConfigError:
        is_known = False
    assert is_known == (name in names)
