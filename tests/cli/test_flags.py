"""Settings that messages name in backticks reach the user of the command line as flags."""

import ast
import dataclasses
import re
import sys
from pathlib import Path

import pytest

import tellapart
from tellapart.cli.app import main
from tellapart.cli.flags import with_flags
from tellapart.config import AugmentConfig, ClassicConfig, ScratchConfig, SourceConfig, TransferConfig

SOURCE = Path(tellapart.__file__).parent
CONFIGS = (AugmentConfig, ClassicConfig, ScratchConfig, SourceConfig, TransferConfig)
# Settings of the Python API, whatever messages name; those of a config are added.
SETTINGS = {
    *("csv", "decisions", "drop_copies", "grid", "heatmap", "html", "json", "none_of_these", "not_sure", "out"),
    *("resume", "sort_into", "submission", "recipes"),
    *(field.name for config in CONFIGS for field in dataclasses.fields(config)),
}


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


def texts_of(path: Path) -> list[str]:
    """The strings of a module that are no docstrings, a 0 for each value that is filled in."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    docstrings = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    formatted = [node for node in nodes if isinstance(node, ast.JoinedStr)]
    parts = {id(part) for whole in formatted for part in whole.values}
    plain = [node for node in nodes if isinstance(node, ast.Constant) and id(node) not in docstrings | parts]
    return [
        *(node.value for node in plain if isinstance(node.value, str)),
        *(
            "".join(str(getattr(part, "value", "")) if isinstance(part, ast.Constant) else "0" for part in whole.values)
            for whole in formatted
        ),
    ]


# The report shows whole commands, and everything in `cli/` is for people who type flags.
MODULES = [path for path in sorted(SOURCE.rglob("*.py")) if not {"cli", "report"} & set(path.parts)]
MESSAGES = [text for path in MODULES for text in texts_of(path)]
# Named through the `setting` of an output file, or in the command line alone.
SHOWN_BY_VALUE = ("csv", "grid", "html", "json", "none_of_these", "sort_into")
NAMED = sorted(
    {name for text in MESSAGES for name in re.findall(r"`([a-z_]+)(?:=[^`]*)?`", text)} & SETTINGS - {*SHOWN_BY_VALUE}
)


@pytest.mark.parametrize("command", ["predict"], indirect=True)
@pytest.mark.parametrize("name", [*NAMED, *SHOWN_BY_VALUE])
def test_every_setting_that_a_message_names_has_a_flag(command: str, name: str) -> None:
    assert with_flags(f"`{name}`").startswith("--")


def test_messages_name_no_flags() -> None:
    messages = [text for text in MESSAGES if "pip install" not in text]
    assert [text for text in messages if re.search(r"(?<![\w-])--[a-z]", text)] == []
