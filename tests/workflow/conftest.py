"""A folder of drawn photos and one training on it, shared by the tests of the workflow."""

from pathlib import Path

import pytest

from tellapart.config import SourceConfig, TrainConfig
from tellapart.photos.demo import write_demo_folder
from tellapart.workflow.job import Run
from tellapart.workflow.train import train

TINY = TrainConfig(image_size=(46, 48), epochs=2, batch_size=8, learning_rate=1e-3)


@pytest.fixture(scope="session")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Where the tests keep decoded photos."""
    return str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def source_config(cache_dir: str) -> SourceConfig:
    """Settings that leave the user's cache folder alone."""
    return SourceConfig(cache_dir=cache_dir)


@pytest.fixture(scope="session")
def animals_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder per class with 12 drawn photos each; not to be changed."""
    return write_demo_folder(tmp_path_factory.mktemp("animals") / "photos", 12, seed=0)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, animals_dir: Path, source_config: SourceConfig) -> Run:
    """A finished run of two epochs; not to be changed."""
    return train(animals_dir, tmp_path_factory.mktemp("runs") / "animals", TINY, source=source_config)
