"""The errors a caller may see, each a sentence that says what was wrong and what to give instead.

    TellapartError
    ├── ConfigError        (ValueError)   a setting has a value it cannot have; `field`, `value`
    ├── DatasetError       (ValueError)   the photos as a collection cannot be used; `paths`
    ├── ImageError         (ValueError)   one photo cannot be used, and callers may skip it; `path`
    ├── BundleError        (ValueError)   a model folder is damaged, foreign or from another version; `path`
    ├── OutputError        (OSError)      a folder or file cannot be written, or belongs to someone else; `path`
    └── DependencyError    (ImportError)  an optional part of the installation is missing; `name`

Messages call a setting by its Python name in backticks, as `learning_rate`; the command line prints the flag instead,
as one line, and exits with code 2.
"""

import os
from collections.abc import Iterable


class TellapartError(Exception):
    """Base of every error raised on purpose; anything else is a defect of tellapart."""


class ConfigError(TellapartError, ValueError):
    """A setting has a value it cannot have.

    Attributes:
        field: the setting as Python callers name it, such as `learning_rate`; `None` where several are concerned.
        value: what it was given.
    """

    def __init__(self, message: str, *, field: str | None = None, value: object = None) -> None:
        super().__init__(message)
        self.field = field
        self.value = value


class DatasetError(TellapartError, ValueError):
    """The photos, taken together, cannot be used for what was asked.

    Attributes:
        paths: the photos, folders or files it is about, as text; empty where it is about the collection as a whole.
    """

    def __init__(self, message: str, *, paths: Iterable[str | os.PathLike[str]] = ()) -> None:
        super().__init__(message)
        self.paths = tuple(os.fspath(path) for path in paths)


class ImageError(TellapartError, ValueError):
    """The bytes of one photo cannot be turned into an image.

    Attributes:
        path: the photo; `None` where only its bytes were given.
    """

    def __init__(self, message: str, *, path: str | os.PathLike[str] | None = None) -> None:
        super().__init__(message)
        self.path = None if path is None else os.fspath(path)


class BundleError(TellapartError, ValueError):
    """A model folder is missing, damaged, foreign or of an unknown version.

    Attributes:
        path: the folder or file; `None` where the model was not read from one.
    """

    def __init__(self, message: str, *, path: str | os.PathLike[str] | None = None) -> None:
        super().__init__(message)
        self.path = None if path is None else os.fspath(path)


class OutputError(TellapartError, OSError):
    """A result cannot be written where it was asked for.

    Attributes:
        path: the folder or file.
    """

    def __init__(self, message: str, *, path: str | os.PathLike[str] | None = None) -> None:
        super().__init__(message)
        self.path = None if path is None else os.fspath(path)


class DependencyError(TellapartError, ImportError):
    """A package that this command needs is not installed; `name` is that of its module."""
