import csv
import json
from pathlib import Path

import pytest

from tellapart.commands.compare import CompareConfig, compare
from tellapart.config import ClassicConfig, ScratchConfig, SourceConfig, TransferConfig
from tellapart.errors import ConfigError, OutputError
from tellapart.measure.scores import Comparison
from tellapart.records import EpochRecord
from tellapart.watcher import Watcher

CONFIG = CompareConfig(epochs=1, validation_fraction=0.25)


# First, for the recipes are made small for the rest of the module.
def test_the_settings_reach_the_recipes() -> None:
    config = CompareConfig(epochs=3, validation_fraction=0.3, seed=9)
    classic, transfer = config.train_config("classic"), config.train_config("transfer")
    assert config.train_config("scratch") == ScratchConfig(epochs=3, validation_fraction=0.3, seed=9)
    assert isinstance(classic, ClassicConfig)
    assert (classic.epochs, classic.validation_fraction, classic.seed) == (3, 0.3, 9)
    assert (transfer.validation_fraction, transfer.seed) == (0.3, 9)


@pytest.fixture(scope="module")
def small_recipes(tiny_backbone: Path) -> pytest.MonkeyPatch:
    """Recipes that train in a second, for the time of a module."""

    def train_config(self: CompareConfig, recipe: str) -> TransferConfig | ClassicConfig:
        shared = {"validation_fraction": self.validation_fraction, "seed": self.seed}
        transfer = TransferConfig(backbone=str(tiny_backbone), folds=3, **shared)
        classic = ClassicConfig(image_size=(46, 48), batch_size=8, epochs=self.epochs or 1, **shared)
        return {"transfer": transfer, "classic": classic}[recipe]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CompareConfig, "train_config", train_config)
        yield patch


@pytest.fixture(scope="module")
def out_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("compare") / "out"


@pytest.fixture(scope="module")
def compared(
    small_recipes: pytest.MonkeyPatch, animals_dir: Path, out_dir: Path, source_config: SourceConfig
) -> Comparison:
    """A finished comparison in `out_dir`."""
    return compare(animals_dir, out_dir, epochs=1, validation_fraction=0.25, cache_dir=source_config.cache_dir)


def test_every_recipe_is_measured_on_the_same_photos(compared: Comparison, out_dir: Path) -> None:
    assert [result.recipe for result in compared.results] == ["classic", "transfer"]
    assert {result.validation.num_photos for result in compared.results} == {6}
    splits = []
    for recipe in ("classic", "transfer"):
        with (out_dir / recipe / "split.csv").open(newline="", encoding="utf-8-sig") as file:
            splits.append([(row["path"], row["split"]) for row in csv.DictReader(file)])
    assert splits[0] == splits[1]


def test_each_pair_is_tested_once(compared: Comparison) -> None:
    assert [(test.first, test.second) for test in compared.tests] == [("classic", "transfer")]
    assert 0 < compared.tests[0].p_value <= 1


def test_time_speed_and_size_are_measured(compared: Comparison) -> None:
    assert all(result.train_seconds > 0 and result.photos_per_second > 0 for result in compared.results)
    assert all(result.model_bytes > 1000 for result in compared.results)


def test_the_table_and_the_figure_are_written(compared: Comparison, out_dir: Path) -> None:
    with (out_dir / "comparison.csv").open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    assert [row["recipe"] for row in rows] == ["classic", "transfer"]
    assert (out_dir / "comparison.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((out_dir / "comparison.json").read_bytes())["tests"][0]["first"] == "classic"


def test_comparing_again_trains_nothing_anew(
    compared: Comparison,
    small_recipes: pytest.MonkeyPatch,
    animals_dir: Path,
    out_dir: Path,
    source_config: SourceConfig,
) -> None:
    epochs: list[EpochRecord] = []
    again = compare(
        animals_dir,
        out_dir,
        epochs=1,
        validation_fraction=0.25,
        cache_dir=source_config.cache_dir,
        watch=lambda recipe: Watcher(on_epoch=epochs.append),
    )
    assert epochs == []
    assert [one.validation for one in again.results] == [one.validation for one in compared.results]


def test_other_settings_in_the_same_folder_are_refused(
    compared: Comparison,
    small_recipes: pytest.MonkeyPatch,
    animals_dir: Path,
    out_dir: Path,
    source_config: SourceConfig,
) -> None:
    with pytest.raises(ConfigError, match="`seed` 7"):
        compare(animals_dir, out_dir, epochs=1, validation_fraction=0.25, seed=7, cache_dir=source_config.cache_dir)


def test_a_folder_with_something_else_in_it_is_refused(animals_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(OutputError, match=r"letter\.txt"):
        compare(animals_dir, tmp_path)


@pytest.mark.parametrize(
    ("recipes", "words"),
    [
        (("transfer",), "are not two different recipes"),
        (("transfer", "transfer"), "are not two different recipes"),
        (("transfer", "clasic"), "Did you mean 'classic'"),
    ],
    ids=["one", "twice", "unknown"],
)
def test_recipes_that_cannot_be_compared_are_refused(recipes: tuple[str, ...], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        CompareConfig(recipes)
