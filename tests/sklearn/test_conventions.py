"""The conventions of scikit-learn, by its own suite. It knows no photos, so it asks about embeddings in a 2-d array."""

from typing import Any, Self

import numpy as np
import pytest
from sklearn.utils.estimator_checks import check_estimator
from sklearn.utils.validation import validate_data

from tellapart.sklearn import PhotoClassifier

EXPECTED_FAILURES = {
    "check_fit2d_1sample": "the message names what is missing, a second class, and not the number of samples",
}


class EmbeddingClassifier(PhotoClassifier):
    """`PhotoClassifier` behind the checks that scikit-learn wants of an estimator of 2-d arrays."""

    def fit(self, X: Any, y: Any, groups: Any = None) -> Self:
        X, y = validate_data(self, X, y, dtype=np.float32)
        return super().fit(X, y, groups)

    def predict(self, X: Any) -> Any:
        return super().predict(self._checked(X))

    def predict_proba(self, X: Any) -> Any:
        return super().predict_proba(self._checked(X))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.one_d_array = tags.input_tags.string = False
        return tags

    def _checked(self, X: Any) -> Any:
        return validate_data(self, X, dtype=np.float32, reset=False) if hasattr(self, "head_") else X


@pytest.fixture(scope="module")
def checks() -> list[dict[str, Any]]:
    """What each check of the suite came to."""
    model = EmbeddingClassifier()
    return check_estimator(model, expected_failed_checks=EXPECTED_FAILURES, on_fail=None, on_skip=None)


def test_the_suite_of_scikit_learn_passes(checks: list[dict[str, Any]]) -> None:
    assert {one["check_name"]: repr(one["exception"]) for one in checks if one["status"] == "failed"} == {}


def test_the_whole_suite_ran(checks: list[dict[str, Any]]) -> None:
    assert sum(one["status"] == "passed" for one in checks) > 40


def test_what_is_expected_to_fail_fails(checks: list[dict[str, Any]]) -> None:
    assert {one["check_name"] for one in checks if one["status"] == "xfail"} == set(EXPECTED_FAILURES)
