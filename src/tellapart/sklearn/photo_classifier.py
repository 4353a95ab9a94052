"""`PhotoClassifier`: paths of photos in, classes out, as scikit-learn has it."""

import math
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_consistent_length, check_is_fitted, column_or_1d

from tellapart.config import DEFAULT_BACKBONE, RECIPE_CONFIGS, TransferConfig
from tellapart.errors import ConfigError, DatasetError
from tellapart.heads.head import HEADS, cross_validate_head, fit_head, tried_of
from tellapart.heads.head_data import HeadData
from tellapart.measure.scores import SelectivePoint
from tellapart.measure.selective import selective_points, threshold_for
from tellapart.predict.answers import NOT_SURE, name_doubts
from tellapart.predict.model import Model
from tellapart.sklearn.photo_rows import PhotoRows, to_rows
from tellapart.sklearn.row_embedding import belong_together, embed_rows, find_backbone_of, refuse_unreadable
from tellapart.sklearn.run_training import ask_model, train_bundle
from tellapart.translation import gettext as _
from tellapart.value_checks import check_choice, check_range

_FOLDS = 5
_DEFAULT_RECIPE = TransferConfig.recipe


class PhotoClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier of photos with the interface of scikit-learn.

    With `recipe="transfer"` it fits a head to the embeddings of a frozen backbone. Each photo is embedded once and kept
    in the cache, so cross-validation and grid searches read photos and fit heads. Other recipes train a network from
    the files in each fit. A pickle carries the whole model and needs neither the cache nor the backbone's package.

    Args:
        recipe: `transfer`, or another recipe of `tellapart train` with its own settings.
        backbone: of `transfer`: a name such as `efficientnet-lite0@288`, the path of an ONNX file, or `hf:OWNER/NAME`.
        head: of `transfer`: `lda`, `logistic`, `nearest-mean`, or `None` for the best of them by cross-validation.
        C: of the head `logistic`: the inverse penalty, above 0, as in scikit-learn's `LogisticRegression`; `None` tries
            several. Without a `head` it asks for `logistic`.
        errors: `raise` refuses photos that cannot be read. `uncertain` keeps their rows: they train nothing, and all
            classes are equally probable for them.
        cache_dir: folder of the cache; `None` is the user's own.
        not_sure: `predict` answers `not sure` so that at most this share of its other answers is wrong, as 0.05; needs
            labels that are text. `None` always answers with a class.
        random_state: the seed, 0 or more; a generator draws one; `None` is 0.

    Attributes:
        classes_: the labels, sorted; the order of the columns of `predict_proba`.
        unreadable_: row numbers of the training photos that could not be read, with the reasons.
        head_: the fitted head of `transfer`.
        bundle_: the model of any other recipe.
    """

    def __init__(
        self,
        recipe: str = _DEFAULT_RECIPE,
        backbone: str = DEFAULT_BACKBONE,
        *,
        head: str | None = None,
        C: float | None = None,
        errors: str = "raise",
        cache_dir: str | None = None,
        not_sure: float | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.recipe = recipe
        self.backbone = backbone
        self.head = head
        self.C = C
        self.errors = errors
        self.cache_dir = cache_dir
        self.not_sure = not_sure
        self.random_state = random_state

    def fit(self, X: Any, y: Any, groups: Any = None) -> Self:
        """The classifier, trained.

        Args:
            X: a list, array of shape `(n,)` or `(n, 1)`, Series, or DataFrame of one column, of paths; uint8 images of
                shape `(n, height, width, 3)`; or embeddings of shape `(n, size)`, of `transfer` alone.
            y: a label a row, of any kind that can be sorted.
            groups: one a row, equal for photos that belong together, such as those of one animal. They stay in one fold
                of the cross-validation inside, as copies and bursts do in any case. Of `transfer` alone.

        Raises:
            ConfigError: a setting has a value it cannot have.
            DatasetError: `X` or `y` cannot be used, or a photo cannot be read and `errors` is `raise`.
            BundleError, DependencyError: the backbone cannot be had, or fails.
        """
        self._check_settings(groups)
        rows = to_rows(X)
        labels = self._number_labels(y)
        check_consistent_length(range(len(rows)), labels, groups)
        for name in ("backbone_", "head_", "bundle_", "n_features_in_"):
            self.__dict__.pop(name, None)
        if self.recipe == _DEFAULT_RECIPE:
            self._fit_head(rows, labels, groups)
        else:
            self._fit_run(rows, labels)
        return self

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Probabilities, float64 `(n, num_classes)`, columns as `classes_`, rows summing to 1.

        Args:
            X: as for `fit`.

        Raises:
            DatasetError: `X` cannot be used, or a photo cannot be read and `errors` is `raise`.
        """
        return self._probabilities(X)[0]

    def predict(self, X: Any) -> NDArray[Any]:
        """The label of each row, `(n,)`; with `not_sure` some are `not sure`.

        Args:
            X: as for `fit`.

        Raises:
            DatasetError: as for `predict_proba`.
        """
        probabilities, is_read = self._probabilities(X)
        labels = np.asarray(self.classes_[probabilities.argmax(axis=1)])
        if self.threshold_ is None:
            return labels
        is_sure = is_read & (probabilities.max(axis=1) >= self.threshold_)
        doubt = name_doubts([str(name) for name in self.classes_])[NOT_SURE]
        return np.where(is_sure, labels.astype(object), doubt)

    def __getstate__(self) -> dict[str, Any]:
        """What a pickle holds: the bytes of the model, not its open session."""
        state: dict[str, Any] = super().__getstate__()
        return {name: value for name, value in state.items() if name != "_model"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "bundle_" in state:
            self._model = Model(self.bundle_)

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn may give it: a column of text, or a table of numbers."""
        tags = super().__sklearn_tags__()
        tags.input_tags.one_d_array = tags.input_tags.string = True
        return tags

    def _check_settings(self, groups: Any) -> None:
        check_choice("recipe", self.recipe, tuple(RECIPE_CONFIGS))
        refuse_unreadable({}, PhotoRows(), self.errors)
        if self.head is not None:
            check_choice("head", self.head, tuple(HEADS))
        if self.C is not None:
            check_range("C", self.C, 0, 1e12, open_ends=True)
        if self.not_sure is not None:
            check_range("not_sure", self.not_sure, 0, 1, open_ends=True)
        if self.C is not None and self.head not in (None, "logistic"):
            said = _("`C` has no effect with `head={head!r}`. Leave it out, or give `head='logistic'`.")
            raise ConfigError(said.format(head=self.head), field="C", value=self.C)
        given = {"head": self.head, "C": self.C, "groups": groups}
        for name, value in given.items():
            if value is not None and self.recipe != _DEFAULT_RECIPE:
                said = _("`{name}` has no effect with `recipe={recipe!r}`. Leave it out, or give `recipe='transfer'`.")
                raise ConfigError(said.format(name=name, recipe=self.recipe), field=name, value=value)

    def _number_labels(self, y: Any) -> NDArray[np.int64]:
        """The number of the class of each row; `classes_` is entered."""
        if y is None:
            raise DatasetError(_("PhotoClassifier requires y to be passed, but the target y is None."))
        column = column_or_1d(y, warn=True)
        check_classification_targets(column)
        self.classes_, labels = np.unique(column, return_inverse=True)
        if self.not_sure is not None and not all(isinstance(name, str) for name in self.classes_):
            said = _("`not_sure` answers with words, so y must be text. Give y.astype(str), or leave `not_sure` out.")
            raise ConfigError(said, field="not_sure", value=self.not_sure)
        return labels.reshape(-1).astype(np.int64)

    def _seed(self) -> int:
        if self.random_state is None:
            return 0
        if isinstance(self.random_state, int | np.integer):
            return int(self.random_state)
        return int(check_random_state(self.random_state).randint(2**31 - 1))

    def _fit_head(self, rows: PhotoRows, labels: NDArray[np.int64], groups: Any) -> None:
        backbone = None
        if rows.embeddings is None:
            backbone = find_backbone_of(self.backbone, self.cache_dir)
        else:
            self.n_features_in_ = rows.embeddings.shape[1]
        found = embed_rows(rows, backbone, self.cache_dir)
        refuse_unreadable(found.reasons, rows, self.errors)
        together, is_usable, seed = belong_together(found, labels, groups), found.is_usable, self._seed()
        data = HeadData(found.embeddings[is_usable], labels[is_usable], together[is_usable], len(self.classes_))
        tried = tried_of(self.head, self.C)
        self.head_ = fit_head(data, _FOLDS, seed, tried)
        self.backbone_, self.unreadable_ = backbone, dict(found.reasons)
        self.threshold_ = None
        if self.not_sure is not None:
            probabilities = cross_validate_head(data, _FOLDS, seed, tried)
            known = np.isfinite(probabilities).all(axis=1)
            points = selective_points(data.labels[known], probabilities[known], data.groups[known])
            self.threshold_ = _choose_threshold(points, self.not_sure)

    def _fit_run(self, rows: PhotoRows, labels: NDArray[np.int64]) -> None:
        names = [str(name) for name in self.classes_]
        settings = {"recipe": self.recipe, "seed": self._seed(), "cache_dir": self.cache_dir}
        self.bundle_, self.unreadable_ = train_bundle(rows, labels, names, settings, self.errors)
        self._model = Model(self.bundle_)
        self.threshold_ = None if self.not_sure is None else _choose_threshold(self.bundle_.selective, self.not_sure)

    def _probabilities(self, X: Any) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """The probabilities, and which rows could be read."""
        check_is_fitted(self)
        rows = to_rows(X)
        if "head_" in self.__dict__:
            if rows.embeddings is not None and rows.embeddings.shape[1] != len(self.head_.weights):
                said = _("X has {found} features, but PhotoClassifier is expecting {wanted} features as input.")
                raise DatasetError(said.format(found=rows.embeddings.shape[1], wanted=len(self.head_.weights)))
            found = embed_rows(rows, self.backbone_, self.cache_dir)
            reasons, is_read = found.reasons, found.is_usable
            answers = self.head_.probabilities(found.embeddings[is_read])
        else:
            answers, reasons = ask_model(self._model, rows)
            is_read = np.asarray(np.isfinite(answers).all(axis=1))
            answers = answers[is_read]
        refuse_unreadable(reasons, rows, self.errors)
        probabilities = np.full((len(rows), len(self.classes_)), 1 / len(self.classes_))
        probabilities[is_read] = answers
        return probabilities, is_read


def _choose_threshold(points: Sequence[SelectivePoint], not_sure: float) -> float:
    """The least probability of an answer; infinite where so few mistakes cannot be promised."""
    threshold = threshold_for(points, not_sure) if points else None
    return math.inf if threshold is None else threshold
