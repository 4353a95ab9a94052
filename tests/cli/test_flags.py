"""Settings that messages name in backticks reach the user of the command line as flags."""

import sys

import pytest

from tellapart.cli.app import main
from tellapart.cli.flags import with_flags


@pytest.fixture(params=["train", "compare", "predict"])
def command(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A command that has begun, and ended with an error."""
    monkeypatch.setattr(sys, "argv", ["tellapart", request.param, "nowhere", "nowhere"])
    with pytest.raises(SystemExit):
        main()
    return str(request.param)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("`learning_rate` 200 must be", "--learning-rate 200 must be"),
        ("`validation_fraction` 1", "--validation 1"),
        ("`recipe='scratch'`", "--recipe scratch"),
        ("`resume=True`", "--resume"),
        ("`flip=False`", "--no-flip"),
        ("`channels=1`", "--grayscale"),
        ("`augment=None`", "--no-augment"),
        ("`max_bytes` and `tellapart train` and `a b`", "`max_bytes` and `tellapart train` and `a b`"),
        ("no backticks: learning_rate", "no backticks: learning_rate"),
    ],
)
def test_settings_are_shown_as_flags_whatever_command_runs(command: str, text: str, shown: str) -> None:
    assert with_flags(text) == shown


@pytest.mark.parametrize("command", ["predict"], indirect=True)
def test_an_argument_is_shown_as_the_help_calls_it(command: str) -> None:
    assert with_flags("`photos`") == "SOURCE"
