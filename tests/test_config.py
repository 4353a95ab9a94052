import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tellapart import config
from tellapart.config import (
    OPTIMIZER_NAMES,
    ArchiveLimits,
    AugmentConfig,
    ClassicConfig,
    CropConfig,
    FinetuneConfig,
    ImageLimits,
    ScratchConfig,
    SourceConfig,
    TransferConfig,
    check_pattern,
)
from tellapart.errors import ConfigError
from tellapart.value_checks import check_choice, check_range, check_whole, find_similar

STAGES = [
    ArchiveLimits,
    AugmentConfig,
    CropConfig,
    FinetuneConfig,
    ImageLimits,
    ScratchConfig,
    SourceConfig,
    ClassicConfig,
    TransferConfig,
]

# Per setting: the stage, the field, and the smallest and largest value.
WHOLE = [
    (ImageLimits, "max_bytes", 1, 2**40),
    (ImageLimits, "max_pixels", 1, 2**40),
    (ArchiveLimits, "max_members", 1, 10**8),
    (ArchiveLimits, "max_total_bytes", 1, 2**50),
    (SourceConfig, "per_class", 2, 10**8),
    (ClassicConfig, "epochs", 1, 100_000),
    (ClassicConfig, "batch_size", 1, 65_536),
    (ClassicConfig, "seed", 0, 2**32 - 1),
]
CLOSED = [
    (ArchiveLimits, "max_ratio", 1.0, 10_000.0),
    (AugmentConfig, "rotation_degrees", 0.0, 180.0),
    (AugmentConfig, "width_shift", 0.0, 1.0),
    (AugmentConfig, "height_shift", 0.0, 1.0),
    (AugmentConfig, "shear_degrees", 0.0, 89.0),
    (AugmentConfig, "zoom", 0.0, 0.99),
]
OPEN = [
    (ClassicConfig, "validation_fraction", 0.0, 1.0),
    (ClassicConfig, "learning_rate", 0.0, 100.0),
]

Setting = tuple[type, str, Any, Any]


def ids(settings: list[Setting]) -> list[str]:
    return [field for _, field, *_ in settings]


def message(stage: type, **fields: Any) -> str:
    """What the stage says of these fields."""
    with pytest.raises(ConfigError) as caught:
        stage(**fields)
    return str(caught.value)


@pytest.mark.parametrize("stage", STAGES)
def test_the_defaults_are_accepted(stage: type) -> None:
    assert stage() == stage()


@pytest.mark.parametrize("stage", STAGES)
def test_a_setting_cannot_be_changed_afterwards(stage: type) -> None:
    first = dataclasses.fields(stage)[0].name

    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(stage(), first, None)


@pytest.mark.parametrize("stage", STAGES)
def test_every_setting_is_explained(stage: type) -> None:
    lines = stage.__doc__.split("Attributes:")[1].splitlines()
    explained = {name.strip() for line in lines for name in line.split(":")[0].split(",")}

    assert {field.name for field in dataclasses.fields(stage)} <= explained


@pytest.mark.parametrize("setting", WHOLE + CLOSED, ids=ids(WHOLE + CLOSED))
def test_both_ends_of_a_range_are_accepted(setting: Setting) -> None:
    stage, field, low, high = setting

    assert [getattr(stage(**{field: value}), field) for value in (low, high)] == [low, high]


@pytest.mark.parametrize("setting", WHOLE, ids=ids(WHOLE))
def test_a_count_beyond_its_range_is_refused_by_name(setting: Setting) -> None:
    stage, field, low, high = setting

    for value in (low - 1, high + 1, -(10**400)):
        expected = f"`{field}` {value!r} must be between {low:,} and {high:,}."
        assert message(stage, **{field: value}) == expected


@pytest.mark.parametrize("setting", CLOSED, ids=ids(CLOSED))
def test_a_number_beyond_its_range_is_refused_by_name(setting: Setting) -> None:
    stage, field, low, high = setting

    for value in (math.nextafter(low, -math.inf), math.nextafter(high, math.inf), math.nan, math.inf, -math.inf):
        assert message(stage, **{field: value}).startswith(f"`{field}` {value!r} must be between ")


@pytest.mark.parametrize("setting", OPEN, ids=ids(OPEN))
def test_the_ends_of_an_open_range_are_refused_by_name(setting: Setting) -> None:
    stage, field, low, high = setting

    for value in (low, high, -0.5, math.nan, math.inf):
        found = message(stage, **{field: value})
        assert found.startswith(f"`{field}` {value!r} must be above 0 and below {high:.0f}.")


@pytest.mark.parametrize("setting", OPEN, ids=ids(OPEN))
def test_anything_inside_an_open_range_is_accepted(setting: Setting) -> None:
    stage, field, low, high = setting

    for value in (math.nextafter(low, 1), high / 2, math.nextafter(high, 0)):
        assert getattr(stage(**{field: value}), field) == value


@pytest.mark.parametrize("value", [2.5, 3.0, "3", True, np.int64(3)], ids=["2.5", "3.0", "text", "bool", "numpy"])
@pytest.mark.parametrize("setting", WHOLE, ids=ids(WHOLE))
def test_a_count_that_is_no_whole_number_is_refused_by_name(setting: Setting, value: Any) -> None:
    stage, field, low, _ = setting

    assert f"`{field}` {value!r} must be a whole number between {low:,}" in message(stage, **{field: value})


@pytest.mark.parametrize("value", ["0.1", None, 1j], ids=["text", "None", "complex"])
@pytest.mark.parametrize("setting", CLOSED + OPEN, ids=ids(CLOSED + OPEN))
def test_what_is_no_number_is_refused_by_name(setting: Setting, value: Any) -> None:
    stage, field, *_ = setting

    assert message(stage, **{field: value}).startswith(f"`{field}` {value!r} must be a number ")


@pytest.mark.parametrize(
    ("image_size", "words"),
    [
        ((15, 150), "`image_size` 15 must be between 16 and 4,096."),
        ((150, 4097), "`image_size` 4097 must be between 16 and 4,096."),
        ((150.0, 150), "`image_size` 150.0 must be a whole number"),
        (150, "`image_size` 150 must be a pair (height, width) in pixels, such as (150, 150)."),
        ((150, 150, 3), "`image_size` (150, 150, 3) must be a pair (height, width) in pixels, such as (150, 150)."),
        ((), "`image_size` () must be a pair (height, width) in pixels, such as (150, 150)."),
    ],
    ids=["too low", "too wide", "no whole number", "one number", "three numbers", "no number"],
)
def test_an_image_size_that_is_not_accepted_is_named(image_size: Any, words: str) -> None:
    assert words in message(ClassicConfig, image_size=image_size)


@pytest.mark.parametrize("image_size", [(16, 16), (4096, 4096), (46, 150)])
def test_an_image_size_in_range_is_accepted(image_size: tuple[int, int]) -> None:
    assert ClassicConfig(image_size=image_size).image_size == image_size


@pytest.mark.parametrize("channels", [0, 2, 4, None])
def test_other_numbers_of_channels_are_refused(channels: Any) -> None:
    assert message(ClassicConfig, channels=channels) == (f"`channels` {channels!r} must be 3 (colour) or 1 (grey).")


@pytest.mark.parametrize("optimizer", OPTIMIZER_NAMES)
def test_every_optimizer_of_the_list_is_accepted(optimizer: str) -> None:
    assert ClassicConfig(optimizer=optimizer).optimizer == optimizer


@pytest.mark.parametrize(
    ("typed", "nearest"),
    [
        ("adamm", "adam"),
        ("Adam", "adam"),
        ("ADAM", "adam"),
        ("AdamW", "adamw"),
        ("rms_prop", "rmsprop"),
        ("RMSProp", "rmsprop"),
        ("sdg", "sgd"),
        ("adagard", "adagrad"),
        ("AdaDelta", "adadelta"),
    ],
)
def test_the_nearest_optimizer_is_suggested(typed: str, nearest: str) -> None:
    found = message(ClassicConfig, optimizer=typed)

    assert found.startswith(f"`optimizer` {typed!r} is not known. Did you mean {nearest!r}? Choose from adadelta, ")


@pytest.mark.parametrize("optimizer", ["", None, 3], ids=["empty", "None", "a number"])
def test_any_other_optimizer_is_refused_with_the_list(optimizer: Any) -> None:
    found = message(ClassicConfig, optimizer=optimizer)
    assert found.startswith(f"`optimizer` {optimizer!r} is not known. ")
    assert found.endswith(f" Choose from {', '.join(OPTIMIZER_NAMES)}.")


def test_the_nearest_recipe_is_suggested() -> None:
    assert message(ClassicConfig, recipe="clasic") == (
        "`recipe` 'clasic' is not known. Did you mean 'classic'? Choose from classic."
    )


def test_two_ways_to_find_labels_are_refused() -> None:
    found = message(SourceConfig, labels_csv="labels.csv", label_pattern="(a)")

    assert found == "`labels_csv` and `label_pattern` were both given. Give one of them."


@pytest.mark.parametrize(
    "fields", [{"labels_csv": "labels.csv"}, {"label_pattern": r"^([a-z]+)\."}, {"label_pattern": "(?P<label>x)"}]
)
def test_one_way_to_find_labels_is_accepted(fields: dict[str, str]) -> None:
    assert dataclasses.replace(SourceConfig(), **fields) == SourceConfig(**fields)


def test_a_pattern_that_is_no_expression_is_refused_with_the_reason() -> None:
    with pytest.raises(ConfigError, match=r"`label_pattern` '\(' is not a regular expression: missing \)") as caught:
        check_pattern("(")

    assert caught.value.__cause__ is not None


@pytest.mark.parametrize("pattern", ["", "cat|dog", "(?:cat|dog)"], ids=["empty", "no group", "no capturing group"])
def test_a_pattern_without_a_group_is_refused_with_an_example(pattern: str) -> None:
    assert "has no group. Put parentheses around the class, as in '^([a-z]+)_'." in message(
        SourceConfig, label_pattern=pattern
    )


def test_stages_that_stand_as_defaults_are_not_shared_by_mistake() -> None:
    assert ClassicConfig().augment == AugmentConfig()
    assert ClassicConfig(augment=None).augment is None
    assert SourceConfig().limits == ImageLimits()


@given(value=st.floats(), low=st.floats(-1e6, 1e6), span=st.floats(0, 1e6))
def test_a_range_accepts_exactly_what_lies_inside(value: float, low: float, span: float) -> None:
    high = low + span

    assert accepts(check_range, value, low, high) == (low <= value <= high)


@given(value=st.integers(-20, 20))
def test_a_whole_range_accepts_exactly_what_lies_inside(value: int) -> None:
    assert accepts(check_whole, value, -5, 5) == (-5 <= value <= 5)


def accepts(check: Any, *values: float) -> bool:
    try:
        check("setting", *values)
    except ConfigError:
        return False
    return True


@given(value=st.text(max_size=12))
def test_an_unknown_choice_is_always_answered_with_the_accepted_ones(value: str) -> None:
    with pytest.raises(
        ConfigError, match="is not known\\.( Did you mean '(one|two|three)'\\?)? Choose from one, two, "
    ):
        check_choice("setting", f"{value}?", ("one", "two", "three"))


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("openvno", "openvino"),
        ("CoreMl", "CoreML"),
        ("int8", "web-int8"),
        ("pytorch", None),
        ("tensorrt", None),
        ("", None),
    ],
)
def test_only_a_choice_that_looks_like_what_was_typed_is_suggested(typed: str, meant: str | None) -> None:
    assert find_similar(typed, ("openvino", "CoreML", "triton", "litert", "web-int8")) == meant


@given(value=st.text(max_size=12))
def test_messages_are_one_line(value: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_choice("setting", f"\n{value}", ("one", "two"))

    assert len(str(caught.value).splitlines()) == 1


def test_each_recipe_is_set_with_settings_of_its_own_name() -> None:
    assert {name: kind().recipe for name, kind in config.RECIPE_CONFIGS.items()} == {
        name: name for name in ("transfer", "finetune", "scratch", "classic")
    }


def test_minutes_and_epochs_together_are_refused() -> None:
    words = "`minutes` 5 and `epochs` 10 were both given, and each sets how long to train. Give one of them."
    assert message(ScratchConfig, minutes=5, epochs=10) == words


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"minutes": 0.01}, r"`minutes` 0.01 must be between 0.1 and 100,000"),
        ({"minutes": "5"}, r"`minutes` '5' must be a number"),
        ({"epochs": 0}, r"`epochs` 0 must be"),
        ({"image_size": (8, 64)}, r"`image_size` 8 must be"),
        ({"channels": 2}, r"`channels` 2 must be 3"),
        ({"seed": -1}, r"`seed` -1 must be"),
        ({"recipe": "classic"}, r"`recipe` 'classic' is not known\. Choose from scratch"),
    ],
)
def test_what_scratch_does_not_accept_is_named(settings: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        ScratchConfig(**settings)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"recipe": "classic"}, r"`recipe` 'classic' is not known\. Choose from transfer"),
        (
            {"backbone": ""},
            r"`backbone` '' is not a backbone\. Give a name such as 'efficientnet-lite0@288', the path of an ONNX",
        ),
        ({"validation_fraction": 1.0}, r"`validation_fraction` 1.0 must be above 0 and below 1"),
        ({"folds": 1}, r"`folds` 1 must be between 2 and 100"),
        ({"seed": -1}, r"`seed` -1 must be"),
    ],
    ids=["recipe", "backbone", "validation", "folds", "seed"],
)
def test_a_transfer_setting_outside_what_is_accepted_is_refused_by_its_flag(
    settings: dict[str, object], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        TransferConfig(**settings)


def test_minutes_and_steps_together_are_refused() -> None:
    words = "`minutes` 5 and `steps` 10 were both given, and each sets how long to train. Give one of them."
    assert message(FinetuneConfig, minutes=5, steps=10) == words


@pytest.mark.parametrize("settings", [{"minutes": 0.01}, {"steps": 0}, {"folds": 1}, {"backbone": ""}], ids=str)
def test_settings_of_fine_tuning_are_checked(settings: dict[str, object]) -> None:
    assert f"`{next(iter(settings))}`" in message(FinetuneConfig, **settings)


@pytest.mark.parametrize("config", [TransferConfig, FinetuneConfig])
def test_a_recipe_is_only_itself(config: type[TransferConfig]) -> None:
    assert "is not known" in message(config, recipe="scratch")
