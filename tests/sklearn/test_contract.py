"""Every tool of scikit-learn that engineers put an estimator into, with paths in every container."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
from cleanlab.classification import CleanLearning
from numpy.typing import NDArray
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import BaggingClassifier, StackingClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline

from tellapart.sklearn import PhotoClassifier, PhotoEmbedder

CONTAINERS: dict[str, Callable[[list[str]], Any]] = {
    "list": list,
    "1-d array": np.array,
    "column": lambda paths: np.array(paths).reshape(-1, 1),
    "Series": pandas.Series,
    "DataFrame": lambda paths: pandas.DataFrame({"path": paths}),
}
Labels = NDArray[np.int64]
# What the library itself refuses before the estimator is asked, and how it says so.
REFUSED = {
    ("Bagging", "list"): (ValueError, "Expected 2D array, got 1D array instead"),
    ("Bagging", "1-d array"): (ValueError, "Expected 2D array, got 1D array instead"),
    ("Bagging", "Series"): (ValueError, "Expected a 2-dimensional container"),
    ("CleanLearning", "list"): (TypeError, "only integer scalar arrays can be converted|list indices|mask|index"),
}


@pytest.fixture(scope="module")
def paths_and_labels(paths: list[str], names: NDArray[np.str_]) -> tuple[list[str], Labels]:
    return paths, np.unique(names, return_inverse=True)[1]


@pytest.fixture(scope="module")
def classifier(tiny_backbone: Path, cache_dir: str) -> PhotoClassifier:
    return PhotoClassifier(backbone=str(tiny_backbone), cache_dir=cache_dir, head="nearest-mean")


def cross_validated(model: PhotoClassifier, X: Any, y: Labels) -> Any:
    return cross_val_score(model, X, y, cv=2, error_score="raise")


def searched(model: PhotoClassifier, X: Any, y: Labels) -> Any:
    search = GridSearchCV(model, {"head": ["lda", "nearest-mean"]}, cv=2, error_score="raise").fit(X, y)
    return search.predict(X)


def bagged(model: PhotoClassifier, X: Any, y: Labels) -> Any:
    return BaggingClassifier(model, n_estimators=2, random_state=0).fit(X, y).predict(X)


def stacked(model: PhotoClassifier, X: Any, y: Labels) -> Any:
    return StackingClassifier([("photos", model)], LogisticRegression(), cv=2).fit(X, y).predict(X)


def piped(model: PhotoClassifier, X: Any, y: Labels) -> Any:
    embedder = PhotoEmbedder(model.backbone, cache_dir=model.cache_dir)
    return make_pipeline(embedder, LogisticRegression()).fit(X, y).predict(X)


def cleaned(model: PhotoClassifier, X: Any, y: Labels) -> Any:
    return CleanLearning(model, cv_n_folds=2, seed=0).fit(X, y).predict(X)


TOOLS: dict[str, Callable[[PhotoClassifier, Any, Labels], Any]] = {
    "cross_val_score": cross_validated,
    "GridSearchCV": searched,
    "CalibratedClassifierCV": lambda model, X, y: CalibratedClassifierCV(model, cv=2).fit(X, y).predict(X),
    "Voting": lambda model, X, y: VotingClassifier([("photos", model)], voting="soft").fit(X, y).predict(X),
    "Stacking": stacked,
    "Bagging": bagged,
    "Pipeline": piped,
    "CleanLearning": cleaned,
}
CELLS = [(tool, container) for tool in TOOLS for container in CONTAINERS]


@pytest.mark.parametrize(("tool", "container"), [cell for cell in CELLS if cell not in REFUSED])
def test_a_tool_takes_paths_in_a_container(
    tool: str, container: str, classifier: PhotoClassifier, paths_and_labels: tuple[list[str], Labels]
) -> None:
    paths, labels = paths_and_labels
    answers = np.asarray(TOOLS[tool](classifier, CONTAINERS[container](paths), labels))
    assert answers.shape == ((2,) if tool == "cross_val_score" else (len(paths),))
    assert set(answers.tolist()) <= {0, 1} or tool == "cross_val_score"
    assert ((answers >= 0) & (answers <= 1)).all()


@pytest.mark.parametrize(("tool", "container"), list(REFUSED))
def test_a_tool_refuses_a_container_in_its_own_words(
    tool: str, container: str, classifier: PhotoClassifier, paths_and_labels: tuple[list[str], Labels]
) -> None:
    paths, labels = paths_and_labels
    error, words = REFUSED[tool, container]
    with pytest.raises(error, match=words):
        TOOLS[tool](classifier, CONTAINERS[container](paths), labels)
