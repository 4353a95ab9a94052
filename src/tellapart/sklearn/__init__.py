"""Estimators of scikit-learn that take photos: `PhotoClassifier` and `PhotoEmbedder`.

They are put together from the pass over photos, the heads and the trainings that the commands use. Imported only where
somebody asks for them: `from tellapart.sklearn import PhotoClassifier`.
"""

from tellapart.sklearn.photo_classifier import PhotoClassifier as PhotoClassifier
from tellapart.sklearn.photo_embedder import PhotoEmbedder as PhotoEmbedder
