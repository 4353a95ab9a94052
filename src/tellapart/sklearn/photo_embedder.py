"""`PhotoEmbedder`: photos to vectors, as a step of a scikit-learn pipeline."""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from tellapart.config import DEFAULT_BACKBONE
from tellapart.errors import DatasetError
from tellapart.sklearn.photo_rows import PhotoRows, to_rows
from tellapart.sklearn.row_embedding import embed_rows, find_backbone_of, open_embedder, refuse_unreadable
from tellapart.translation import gettext as _


class PhotoEmbedder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Embeddings of photos by a frozen backbone; each photo is embedded once and kept in the cache.

    Nothing is learned, so `fit` only opens the backbone. A pickle carries its bytes.

    Args:
        backbone: a name such as `efficientnet-lite0@288`, the path of an ONNX file, or `hf:OWNER/NAME`.
        errors: `raise` refuses photos that cannot be read; `uncertain` gives them a row of NaN.
        cache_dir: folder of the cache; `None` is the user's own.

    Attributes:
        backbone_: the backbone.
    """

    def __init__(
        self, backbone: str = DEFAULT_BACKBONE, *, errors: str = "raise", cache_dir: str | None = None
    ) -> None:
        self.backbone = backbone
        self.errors = errors
        self.cache_dir = cache_dir

    def fit(self, X: Any, y: Any = None) -> Self:
        """The embedder with its backbone open; the photos are not looked at.

        Args:
            X: photos, as for `transform`.
            y: plays no part.

        Raises:
            ConfigError, BundleError, DependencyError: the backbone cannot be had; `errors` is not known.
            DatasetError: `X` holds no photos.
        """
        refuse_unreadable({}, _photos_only(X), self.errors)
        self.backbone_ = find_backbone_of(self.backbone, self.cache_dir)
        self._n_features_out = open_embedder(self.backbone_).embedding_size
        return self

    def transform(self, X: Any) -> NDArray[np.float32]:
        """Embeddings, float32 `(n, size)`, in the order of the rows.

        Args:
            X: a list, array of shape `(n,)` or `(n, 1)`, Series, or DataFrame of one column, of paths; or uint8 images
                of shape `(n, height, width, 3)`.

        Raises:
            DatasetError: `X` holds no photos, or some cannot be read and `errors` is `raise`.
            BundleError: the backbone fails.
        """
        check_is_fitted(self)
        rows = _photos_only(X)
        found = embed_rows(rows, self.backbone_, self.cache_dir)
        refuse_unreadable(found.reasons, rows, self.errors)
        return found.embeddings

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn may give it: a column of text."""
        tags = super().__sklearn_tags__()
        tags.input_tags.one_d_array = tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        tags.requires_fit = True
        return tags


def _photos_only(X: Any) -> PhotoRows:
    rows = to_rows(X)
    if rows.embeddings is not None:
        raise DatasetError(_("X holds numbers, not photos. Give paths or uint8 images."))
    return rows
