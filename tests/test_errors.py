import inspect
import pickle

import pytest

from tellapart import errors
from tellapart.errors import (
    BundleError,
    ConfigError,
    DatasetError,
    DependencyError,
    ImageError,
    OutputError,
    TellapartError,
)

TREE = {
    BundleError: ValueError,
    ConfigError: ValueError,
    DatasetError: ValueError,
    DependencyError: ImportError,
    ImageError: ValueError,
    OutputError: OSError,
}


def test_the_tree_holds_every_error_of_the_module() -> None:
    defined = {value for _, value in inspect.getmembers(errors, inspect.isclass) if issubclass(value, Exception)}

    assert defined == {TellapartError, *TREE}


@pytest.mark.parametrize(("error", "builtin"), TREE.items(), ids=lambda kind: kind.__name__)
def test_every_error_is_ours_and_of_a_builtin_kind(error: type[TellapartError], builtin: type[Exception]) -> None:
    assert error.__bases__ == (TellapartError, builtin)


@pytest.mark.parametrize(("error", "builtin"), TREE.items(), ids=lambda kind: kind.__name__)
def test_the_docstring_draws_every_error(error: type[TellapartError], builtin: type[Exception]) -> None:
    (line,) = [line for line in errors.__doc__.splitlines() if f"── {error.__name__} " in line]

    assert f"({builtin.__name__})" in line


def test_the_base_catches_nothing_that_is_not_ours() -> None:
    assert TellapartError.__bases__ == (Exception,)


@pytest.mark.parametrize("error", TREE, ids=lambda kind: kind.__name__)
def test_the_message_is_what_was_given(error: type[TellapartError]) -> None:
    assert str(error("found, accepted, to do")) == "found, accepted, to do"


@pytest.mark.parametrize("error", TREE, ids=lambda kind: kind.__name__)
def test_an_error_passes_between_processes(error: type[TellapartError]) -> None:
    copy = pickle.loads(pickle.dumps(error("found, accepted, to do")))

    assert type(copy) is error
    assert str(copy) == "found, accepted, to do"


@pytest.mark.parametrize(
    ("error", "objects"),
    [
        (BundleError, {"path": "runs/pets"}),
        (ConfigError, {"field": "epochs", "value": 0}),
        (DatasetError, {"paths": ("a.jpg", "b.jpg")}),
        (DependencyError, {"name": "onnx"}),
        (ImageError, {"path": "a.jpg"}),
        (OutputError, {"path": "out.csv"}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_an_error_carries_what_it_is_about_between_processes_too(
    error: type[TellapartError], objects: dict[str, object]
) -> None:
    copy = pickle.loads(pickle.dumps(error("what was wrong", **objects)))

    assert {name: getattr(copy, name) for name in objects} == objects
