import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas
import pytest
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline

import sklearn
from tellapart.backbones.embedder import Embedder
from tellapart.errors import ConfigError, DatasetError
from tellapart.sklearn import PhotoClassifier, PhotoEmbedder

Make = Callable[..., PhotoClassifier]


@pytest.fixture(scope="module")
def make(tiny_backbone: Path, cache_dir: str) -> Make:
    """A function from settings to a classifier with a small backbone."""
    return lambda **settings: PhotoClassifier(
        **{"backbone": str(tiny_backbone), "cache_dir": cache_dir, "head": "lda"} | settings
    )


@pytest.fixture(scope="module")
def fitted(make: Make, paths: list[str], names: NDArray[np.str_]) -> PhotoClassifier:
    """A classifier of all photos; not to be changed."""
    return make().fit(paths, names)


@pytest.fixture
def count_embedded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Photos embedded, a number a batch; the opening of a backbone embeds a blank one."""
    counted: list[int] = []
    embed = Embedder.embed

    def counting(self: Embedder, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        counted.append(int(images.any(axis=(1, 2, 3)).sum()))
        return embed(self, images)

    monkeypatch.setattr(Embedder, "embed", counting)
    return counted


@pytest.mark.parametrize("head", [None, "lda", "logistic", "nearest-mean"])
def test_each_head_learns_the_photos(head: str | None, make: Make, paths: list[str], names: NDArray[np.str_]) -> None:
    assert make(head=head).fit(paths, names).score(paths, names) > 0.7


@pytest.mark.parametrize(
    "dtype", [str, object, "category", np.int64, bool], ids=["text", "objects", "categories", "numbers", "booleans"]
)
def test_labels_of_any_kind_come_back(dtype: Any, make: Make, paths: list[str], names: NDArray[np.str_]) -> None:
    numbers = np.unique(names, return_inverse=True)[1]
    labels = pandas.Series(names if dtype in (str, object, "category") else numbers).astype(dtype)
    answers = make().fit(paths, labels).predict(paths)
    assert set(answers) <= set(labels)
    assert accuracy_score(np.asarray(labels), answers) > 0.7


def test_probabilities_sum_to_one_in_the_order_of_the_classes(fitted: PhotoClassifier, paths: list[str]) -> None:
    probabilities = fitted.predict_proba(paths)
    assert probabilities.shape == (len(paths), 2)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    assert (fitted.classes_[probabilities.argmax(axis=1)] == fitted.predict(paths)).all()


def test_images_embeddings_and_paths_learn_the_same(
    make: Make, paths: list[str], names: NDArray[np.str_], tiny_backbone: Path, cache_dir: str
) -> None:
    images = np.stack([cv2.resize(cv2.imread(path)[..., ::-1], (40, 36)) for path in paths])
    embeddings = PhotoEmbedder(str(tiny_backbone), cache_dir=cache_dir).fit_transform(paths)
    answers = [make().fit(X, names).score(X, names) for X in (images, list(images), embeddings)]
    assert min(answers) > 0.7
    by_path = make().fit(paths, names).predict_proba(paths)
    np.testing.assert_allclose(make().fit(embeddings, names).predict_proba(embeddings), by_path, atol=0.05)


def test_a_clone_has_the_settings_and_no_model(fitted: PhotoClassifier) -> None:
    copy = clone(fitted)
    assert copy.get_params() == fitted.get_params()
    assert not hasattr(copy, "classes_")


def test_a_pickle_answers_in_another_process_without_cache_and_backbone(
    tmp_path: Path, tiny_backbone: Path, paths: list[str], names: NDArray[np.str_]
) -> None:
    for suffix in (".onnx", ".json"):
        (tmp_path / f"net{suffix}").write_bytes(tiny_backbone.with_suffix(suffix).read_bytes())
    model = PhotoClassifier(backbone=str(tmp_path / "net.onnx"), cache_dir=str(tmp_path / "cache"), head="lda")
    (tmp_path / "model.pickle").write_bytes(pickle.dumps(model.fit(paths, names)))
    expected = model.predict_proba(paths)
    for path in [*tmp_path.glob("net.*"), *(tmp_path / "cache").rglob("*.sqlite3")]:
        path.unlink()
    code = (
        "import pickle, sys, numpy\n"
        f"model = pickle.load(open({str(tmp_path / 'model.pickle')!r}, 'rb'))\n"
        f"numpy.save({str(tmp_path / 'answers.npy')!r}, model.predict_proba({paths!r}))\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    np.testing.assert_allclose(np.load(tmp_path / "answers.npy"), expected, atol=1e-5)


def test_two_processes_of_loky_give_the_same(make: Make, paths: list[str], names: NDArray[np.str_]) -> None:
    scores = [cross_val_score(make(), paths, names, cv=2, n_jobs=num, error_score="raise") for num in (1, 2)]
    np.testing.assert_array_equal(*scores)


def test_a_grid_search_over_heads_embeds_each_photo_once(
    tmp_path: Path, make: Make, paths: list[str], names: NDArray[np.str_], count_embedded: list[int]
) -> None:
    grid = [{"head": ["lda", "nearest-mean"]}, {"head": ["logistic"], "C": [1, 100]}]
    search = GridSearchCV(make(cache_dir=str(tmp_path)), grid, cv=3, error_score="raise").fit(paths, names)
    search.predict(paths)
    assert sum(count_embedded) == len(paths)


def test_groups_are_routed_through_a_search_and_a_pipeline(
    make: Make, paths: list[str], names: NDArray[np.str_], monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Any] = []
    groups = np.arange(len(paths)) // 2
    with sklearn.config_context(enable_metadata_routing=True):
        model = make().set_fit_request(groups=True)
        monkeypatch.setattr(model.__class__, "_check_settings", lambda self, groups: given.append(groups))
        GridSearchCV(model, {"head": ["lda"]}, cv=GroupKFold(2), error_score="raise").fit(paths, names, groups=groups)
        make_pipeline(model).fit(paths, names, groups=groups)
    assert [len(one) for one in given] == [12, 12, 24, 24]


def test_photos_of_a_group_stay_in_one_fold(make: Make, paths: list[str], names: NDArray[np.str_]) -> None:
    # Each class is one group, so nothing can be held out.
    assert make().fit(paths, names, groups=names).head_.num_folds == 0
    assert make().fit(paths, names).head_.num_folds == 5


@pytest.fixture
def unreadable(tmp_path: Path, paths: list[str]) -> list[Any]:
    """Rows that hold no photo, each in its own way."""
    (tmp_path / "text.jpg").write_text("no photo")
    (tmp_path / "cut.jpg").write_bytes(Path(paths[0]).read_bytes()[:200])
    return [str(tmp_path / name) for name in ("text.jpg", "cut.jpg", "gone.jpg", ".")] + [None, float("nan")]


@pytest.mark.parametrize("row", range(6), ids=["text", "cut", "gone", "folder", "none", "nan"])
def test_a_photo_that_cannot_be_read_raises(
    row: int, unreadable: list[Any], make: Make, fitted: PhotoClassifier, paths: list[str], names: NDArray[np.str_]
) -> None:
    with pytest.raises(DatasetError, match=r"1 of 25 rows cannot be read.*errors='uncertain'"):
        fitted.predict([*paths, unreadable[row]])
    with pytest.raises(DatasetError, match="1 of 25 rows cannot be read"):
        make().fit([unreadable[row], *paths], [names[0], *names])


def test_uncertain_photos_keep_their_rows(
    unreadable: list[Any], make: Make, paths: list[str], names: NDArray[np.str_], fitted: PhotoClassifier
) -> None:
    mixed = [*unreadable[:3], *paths, *unreadable[3:]]
    labels = [*names[:3], *names, *names[-3:]]
    model = make(errors="uncertain").fit(mixed, labels)
    probabilities = model.predict_proba(mixed)
    assert sorted(model.unreadable_) == [0, 1, 2, 27, 28, 29]
    np.testing.assert_array_equal(probabilities[[0, 1, 2, 27, 28, 29]], 0.5)
    np.testing.assert_allclose(probabilities[3:27], fitted.predict_proba(paths), atol=1e-6)
    assert model.predict(mixed).shape == (30,)


def test_not_sure_is_answered_where_the_model_is_not_sure(
    unreadable: list[Any], make: Make, paths: list[str], names: NDArray[np.str_]
) -> None:
    model = make(not_sure=0.2, errors="uncertain").fit(paths, names)
    answers = model.predict([*paths, unreadable[0]])
    assert answers[-1] == "not sure"
    assert set(answers) <= {*names, "not sure"}
    sure = answers[:-1] != "not sure"
    assert (model.predict_proba(paths).max(axis=1)[sure] >= model.threshold_).all()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"recipe": "tranfser"}, "Did you mean 'transfer'"),
        ({"head": "forest"}, "Choose from lda, logistic, nearest-mean"),
        ({"head": "lda", "C": 1.0}, "`C` has no effect with `head='lda'`"),
        ({"C": 0}, "`C` 0 must be above 0"),
        ({"errors": "ignore"}, "Choose from raise, uncertain"),
        ({"not_sure": 5}, "`not_sure` 5 must be above 0 and below 1"),
        ({"recipe": "classic", "head": "lda"}, "`head` has no effect with `recipe='classic'`"),
        ({"backbone": "efficientnet"}, "Did you mean"),
    ],
)
def test_a_wrong_setting_is_told_when_fitting(
    settings: dict[str, Any], words: str, make: Make, paths: list[str], names: NDArray[np.str_]
) -> None:
    with pytest.raises(ConfigError, match=words):
        make(**settings).fit(paths, names)


def test_not_sure_needs_labels_that_are_text(make: Make, paths: list[str]) -> None:
    with pytest.raises(ConfigError, match="y must be text"):
        make(not_sure=0.1).fit(paths, np.arange(len(paths)) % 2)


@pytest.mark.parametrize(
    ("X", "words"),
    [
        (pandas.DataFrame({"path": ["a"] * 4, "other": ["b"] * 4}), r"of shape \(4, 2\)"),
        (["a", 3, "b", "c"], "a row of X is a int"),
        ("photos/", "X is a str"),
        (np.zeros((4, 8, 8, 3)), "Give a column of paths, uint8 images"),
        ([[1.0, 2.0], [3.0], [1.0], [2.0]], "rows of different lengths"),
        (np.zeros((4, 3), np.float32) * np.nan, "4 of 4 rows cannot be read"),
    ],
    ids=["two columns", "a number", "a folder", "float images", "ragged", "nan"],
)
def test_what_is_no_column_of_photos_is_refused(X: Any, words: str, make: Make) -> None:
    with pytest.raises(DatasetError, match=words):
        make().fit(X, [0, 1, 0, 1])


def test_a_model_of_embeddings_asks_for_embeddings(make: Make, paths: list[str]) -> None:
    generator = np.random.default_rng(0)
    model = make().fit(generator.normal(size=(12, 5)), np.arange(12) % 2)
    with pytest.raises(DatasetError, match="trained on embeddings"):
        model.predict(paths)
    with pytest.raises(DatasetError, match="X has 4 features, but PhotoClassifier is expecting 5"):
        model.predict(generator.normal(size=(3, 4)))


@pytest.mark.parametrize(
    "seed", [None, 3, np.int64(3), np.random.RandomState(3)], ids=["none", "int", "numpy", "state"]
)
def test_a_seed_of_any_kind_is_taken(seed: Any, make: Make, paths: list[str], names: NDArray[np.str_]) -> None:
    assert make(random_state=seed).fit(paths, names).score(paths, names) > 0.7


def test_another_recipe_trains_a_network_and_travels(
    cache_dir: str, paths: list[str], names: NDArray[np.str_], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from tellapart.config import RECIPE_CONFIGS, ClassicConfig

    def small(**settings: Any) -> ClassicConfig:
        return ClassicConfig(**{"image_size": (46, 46), "epochs": 1, "batch_size": 8} | settings)

    monkeypatch.setitem(RECIPE_CONFIGS, "classic", small)  # type: ignore[arg-type]
    monkeypatch.setattr("tellapart.settings._check_recipe", lambda settings, recipe: None)
    (tmp_path / "text.jpg").write_text("no photo")
    asked = [*paths[:5], str(tmp_path / "text.jpg")]
    model = PhotoClassifier("classic", cache_dir=cache_dir, errors="uncertain").fit(paths, names)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict_proba(asked), model.predict_proba(asked))
    np.testing.assert_array_equal(model.predict_proba(asked)[-1], 0.5)
