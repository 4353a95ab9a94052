"""Photos for learning tests: a folder of drawn animals, decoded once a session, in sizes that train in a second."""

import numpy as np
import pytest

from tellapart.config import ImageLimits, TrainConfig
from tellapart.learn.fit import FitData
from tellapart.photos.cache import cache_images
from tellapart.photos.demo import write_demo_folder
from tellapart.photos.preprocess import PreprocessSpec
from tellapart.photos.sources import open_photos
from tellapart.photos.splits import split_indices

TINY = TrainConfig(image_size=(46, 48), epochs=2, batch_size=8)


@pytest.fixture(scope="session")
def tiny_config() -> TrainConfig:
    """The smallest settings the article's network takes; height and width differ."""
    return TINY


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> FitData:
    """24 drawn photos at `TINY.image_size`, 5 of them to validate."""
    folder = tmp_path_factory.mktemp("tiny")
    photos = open_photos(write_demo_folder(folder / "photos", 12, seed=0))
    images = cache_images(photos, PreprocessSpec(TINY.image_size), ImageLimits(), folder / "cache")
    labels = np.array(images.photos.labels)
    return FitData(images, labels, split_indices(labels, images.groups(), 0.2, seed=0))
