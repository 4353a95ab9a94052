import pickle
from pathlib import Path

import numpy as np
import pandas
import pytest
from sklearn.base import clone

from tellapart.commands.embed import embed
from tellapart.errors import ConfigError, DatasetError
from tellapart.sklearn import PhotoEmbedder


@pytest.fixture(scope="module")
def embedder(tiny_backbone: Path, cache_dir: str) -> PhotoEmbedder:
    return PhotoEmbedder(str(tiny_backbone), cache_dir=cache_dir).fit([])


def test_the_embeddings_are_those_of_the_command(embedder: PhotoEmbedder, paths: list[str], tmp_path: Path) -> None:
    seen = embed(paths, tmp_path / "out.npz", backbone=embedder.backbone, cache_dir=embedder.cache_dir)
    np.testing.assert_array_equal(embedder.transform(paths), seen.embeddings)


def test_rows_keep_their_order_and_repeat(embedder: PhotoEmbedder, paths: list[str]) -> None:
    order = np.random.default_rng(0).integers(0, len(paths), 30)
    vectors = embedder.transform(paths)
    np.testing.assert_array_equal(embedder.transform(np.array(paths)[order]), vectors[order])


def test_the_columns_have_names(embedder: PhotoEmbedder, paths: list[str]) -> None:
    names = embedder.get_feature_names_out()
    assert (names[0], len(names)) == ("photoembedder0", 24)
    frame = clone(embedder).set_output(transform="pandas").fit_transform(pandas.Series(paths))
    assert list(frame.columns) == list(names)


def test_a_photo_that_cannot_be_read_raises_or_is_a_row_of_nan(
    embedder: PhotoEmbedder, paths: list[str], tmp_path: Path
) -> None:
    mixed = [paths[0], str(tmp_path / "gone.jpg"), paths[1]]
    with pytest.raises(DatasetError, match="1 of 3 rows cannot be read. It is '.*gone.jpg': the file is no longer"):
        embedder.transform(mixed)
    lenient = clone(embedder).set_params(errors="uncertain").fit(mixed)
    assert np.isnan(lenient.transform(mixed)).all(axis=1).tolist() == [False, True, False]


def test_a_pickle_gives_the_same(embedder: PhotoEmbedder, paths: list[str]) -> None:
    copy = pickle.loads(pickle.dumps(embedder))
    np.testing.assert_array_equal(copy.transform(paths[:3]), embedder.transform(paths[:3]))


def test_numbers_are_refused(embedder: PhotoEmbedder) -> None:
    with pytest.raises(DatasetError, match="X holds numbers, not photos"):
        embedder.transform(np.zeros((3, 2)))


def test_an_unknown_backbone_is_told(cache_dir: str, paths: list[str]) -> None:
    with pytest.raises(ConfigError, match="`backbone` 'lite0' is not known"):
        PhotoEmbedder("lite0", cache_dir=cache_dir).fit(paths)
