"""Settings that messages name in backticks reach the user of the command line as flags."""

import ast
import dataclasses
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

import tellapart
from tellapart.cli.app import app, main
from tellapart.cli.flags import with_flags
from tellapart.config import AugmentConfig, ClassicConfig, ScratchConfig, SourceConfig, TransferConfig
from tellapart.export.target import TARGETS

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
    return begin(str(request.param), monkeypatch)


def begin(command: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(sys, "argv", ["tellapart", command, *["nowhere"] * 9])
    with pytest.raises(SystemExit):
        main()
    return command


@pytest.mark.parametrize("command", ["train"], indirect=True)
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
    ],
)
def test_settings_are_shown_as_flags_of_the_command_that_runs(command: str, text: str, shown: str) -> None:
    assert with_flags(text) == shown


@pytest.mark.parametrize("command", ["predict"], indirect=True)
@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Train with `recipe='scratch'`.", "Train with `tellapart train --recipe scratch`."),
        ("give it as `labels_csv`", "give it as `tellapart train --labels-csv`"),
        ("`channels=1`", "`tellapart train --grayscale`"),
        ("`flip=False`", "`tellapart train --no-flip`"),
        ("`out`", "--out"),
    ],
)
def test_a_flag_that_the_command_lacks_is_shown_with_a_command_that_has_it(command: str, text: str, shown: str) -> None:
    assert with_flags(text) == shown


@pytest.mark.parametrize(
    "text", ["`max_bytes` and `tellapart train` and `a b`", "no backticks: learning_rate"], ids=["code", "plain"]
)
def test_what_is_no_setting_stays(command: str, text: str) -> None:
    assert with_flags(text) == text


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
# A flag by itself is an argument for another program, and no message.
MESSAGES = [text for path in MODULES for text in texts_of(path) if not re.fullmatch(r"--[a-z][a-z-]*(=.*)?", text)]
# Named through the `setting` of an output file, or in the command line alone.
SHOWN_BY_VALUE = ("csv", "grid", "html", "json", "none_of_these", "sort_into")
NAMED = sorted(
    {name for text in MESSAGES for name in re.findall(r"`([a-z_]+)(?:=[^`]*)?`", text)} & SETTINGS - {*SHOWN_BY_VALUE}
)


# Messages with a command of another program, which has flags of its own.
INSTALLER = re.compile(r"pip install|pipx|uv tool|--with 0")
COMMANDS: dict[str, Any] = get_command(app).commands  # type: ignore[attr-defined]


def flags_of(command: str) -> set[str]:
    commands = [COMMANDS[command], *getattr(COMMANDS[command], "commands", {}).values()]
    params = [param for one in commands for param in one.params]
    return {flag for param in params for flag in (*param.opts, *param.secondary_opts)} | {"--help"}


@pytest.mark.parametrize("command", ["predict"], indirect=True)
@pytest.mark.parametrize("name", [*NAMED, *SHOWN_BY_VALUE])
def test_every_setting_that_a_message_names_has_a_flag(command: str, name: str) -> None:
    assert with_flags(f"`{name}`").strip("`").rpartition(" ")[2].startswith("--")


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_no_message_names_a_flag_that_the_command_lacks(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    begin(name, monkeypatch)
    shown = [with_flags(text) for text in MESSAGES if not INSTALLER.search(text)]
    calls = [call for text in shown for call in re.findall(r"`tellapart (\w+) (--[a-z-]+)", text)]
    alone = {flag for text in shown for flag in re.findall(r"(?<![\w-])--[a-z-]+", re.sub(r"`[^`]*`", "", text))}

    assert [call for call in calls if call[1] not in flags_of(call[0])] == []
    assert alone - flags_of(name) == set()


CLI_TEXTS = [(path.stem, text) for path in sorted((SOURCE / "cli").glob("*.py")) for text in texts_of(path)]


def test_a_command_s_own_messages_name_its_own_flags() -> None:
    wrong = [
        (command, flag)
        for command, text in CLI_TEXTS
        for flag in re.findall(r"(?<![\w`-])--[a-z][a-z-]*", re.sub(r"`[^`]*`", "", text))
        if command in COMMANDS
        and not any(flag in flags_of(one) for one in (command, *re.findall(r"tellapart (\w+) ", text)))
    ]
    assert wrong == []


def test_commands_that_texts_name_exist_and_have_the_flags() -> None:
    texts = [*MESSAGES, *(text for _, text in CLI_TEXTS)]
    named = [call for text in texts for call in re.findall(r"`tellapart ([a-z]+)([^`]*)", text)]
    assert {command for command, _ in named} <= set(COMMANDS)
    assert [
        (command, flag)
        for command, rest in named
        for flag in re.findall(r"(?<![\w-])--[a-z-]+", rest)
        if flag not in flags_of(command)
    ] == []


def test_messages_name_no_flags() -> None:
    # Commands of other programs have flags of their own.
    messages = [re.sub(r"`(?!tellapart)[a-z]+ [^`]*`", "", text) for text in MESSAGES if not INSTALLER.search(text)]
    assert [text for text in messages if re.search(r"(?<![\w-])--[a-z]", text)] == []


def test_the_help_of_export_names_every_target() -> None:
    (to,) = [param for param in COMMANDS["export"].params if param.name == "target" or "--to" in param.opts]
    assert set(re.findall(r"[a-z][a-z0-9-]+", to.help.partition(":")[2])) - {"or"} == set(TARGETS)
