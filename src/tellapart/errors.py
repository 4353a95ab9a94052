"""The errors a caller may see, each a sentence that says what was found, what is accepted and what to do.

    TellapartError
    ├── ConfigError        (ValueError)   a setting outside what is accepted
    ├── DatasetError       (ValueError)   the photos as a collection cannot be used
    ├── ImageError         (ValueError)   one photo cannot be used; callers turn it into a `Skipped` record
    ├── BundleError        (ValueError)   a model folder is damaged, foreign or from another version
    ├── OutputError        (OSError)      a folder or file cannot be written, or belongs to someone else
    └── DependencyError    (ImportError)  an optional part of the installation is missing

The command line prints the message as one line and exits with code 2.
"""


class TellapartError(Exception):
    """Base of every error raised on purpose; anything else is a defect of tellapart."""


class ConfigError(TellapartError, ValueError):
    """A setting is outside what is accepted."""


class DatasetError(TellapartError, ValueError):
    """The photos, taken together, cannot be used for what was asked."""


class ImageError(TellapartError, ValueError):
    """The bytes of one photo cannot be turned into an image."""


class BundleError(TellapartError, ValueError):
    """A model folder is missing, damaged, foreign or of an unknown version."""


class OutputError(TellapartError, OSError):
    """A result cannot be written where it was asked for."""


class DependencyError(TellapartError, ImportError):
    """A package that this command needs is not installed."""
