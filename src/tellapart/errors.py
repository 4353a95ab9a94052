"""The errors a caller may see, each a sentence that says what was wrong and what to give instead.

    TellapartError
    ├── ConfigError        (ValueError)   a setting has a value it cannot have; `field`, `value`
    ├── DatasetError       (ValueError)   the photos as a collection cannot be used; `paths`
    ├── ImageError         (ValueError)   one photo cannot be used, and callers may skip it; `path`
    ├── BundleError        (ValueError)   a model folder is damaged, foreign or from another version; `path`
    ├── OutputError        (OSError)      a folder or file cannot be written, or belongs to someone else; `path`
    ├── ExportError        (RuntimeError) a model cannot be exported, or answers differently there; `target`
    ├── ClusterError       (RuntimeError) the machines that share the work are gone, or cannot do it; `address`
    └── DependencyError    (ImportError)  an optional part of the installation is missing; `name`

Messages call a setting by its Python name in backticks, as `learning_rate`; the command line prints the flag instead,
as one line, and exits with code 2.
"""

import errno
import os
import re
from collections.abc import Iterable

# As NumPy, PyTorch, ONNX Runtime, OpenCV and the system say it.
_OUT_OF_MEMORY = re.compile(
    r"out of memory|(not enough|insufficient) memory|bad[ _]alloc|(failed|unable|can't|cannot|could not) (to )?allocate"
    r"|smaller than requested bytes|can't start new thread",
    re.IGNORECASE,
)


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


class ExportError(TellapartError, RuntimeError):
    """A model cannot be turned into what was asked for, or its export answers differently.

    Attributes:
        target: what it was exported to, as `onnx-int8`.
    """

    def __init__(self, message: str, *, target: str | None = None) -> None:
        super().__init__(message)
        self.target = target


class ClusterError(TellapartError, RuntimeError):
    """The machines that share the work cannot be reached, are gone in mid-job, or cannot do it.

    Attributes:
        address: of the cluster; `None` where it is on this machine alone.
    """

    def __init__(self, message: str, *, address: str | None = None) -> None:
        super().__init__(message)
        self.address = address


class DependencyError(TellapartError, ImportError):
    """A package that this command needs is not installed; `name` is that of its module."""


def is_out_of_memory(exc: BaseException) -> bool:
    """Whether the error says that memory, of the machine or a GPU, did not suffice."""
    if isinstance(exc, TellapartError):
        return False
    if isinstance(exc, MemoryError) or (isinstance(exc, OSError) and exc.errno == errno.ENOMEM):
        return True
    is_of_a_library = type(exc).__module__.partition(".")[0] in ("cv2", "onnxruntime", "torch")
    return (is_of_a_library or type(exc) is RuntimeError) and _OUT_OF_MEMORY.search(str(exc)) is not None
