"""The catalogues are complete and say what the code says; every sentence goes through them; one language a process."""

import ast
import os
import re
import string
import subprocess
import sys
import threading
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
from babel.messages.pofile import read_po

import tellapart
from tellapart.errors import ConfigError
from tellapart.translation import current_language, gettext, language_of_environment, ngettext, use_language

REPOSITORY = Path(__file__).parents[1]
PACKAGE = Path(tellapart.__file__).parent
TRANSLATIONS = REPOSITORY / "translations"
CATALOGUES = sorted(TRANSLATIONS.glob("*/*.po"))
MODULES = sorted(PACKAGE.rglob("*.py"))
# A sentence as it stands, or the name of one that is marked elsewhere.
WHOLE = (ast.Constant, ast.Name, ast.Attribute, ast.Subscript)
TRANSLATORS = ("_", "gettext", "ngettext", "gettext_noop")


def load_messages_script() -> Any:
    """The module that collects the sentences."""
    spec = spec_from_file_location("make_messages", TRANSLATIONS / "make_messages.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def entries(path: Path) -> Iterator[tuple[list[str], list[str], Any]]:
    """The English forms of each sentence of a catalogue, its translations, and the whole entry."""
    with open(path, "rb") as file:
        for message in read_po(file):
            if message.id:
                english = list(message.id) if isinstance(message.id, tuple) else [message.id]
                translated = list(message.string) if isinstance(message.string, tuple) else [message.string]
                yield english, translated, message


def placeholders(text: str) -> list[str]:
    """What is put into a text when it is used, with its format."""
    fields = [f"{name}!{conversion}:{spec}" for _, name, spec, conversion in string.Formatter().parse(text) if name]
    return sorted({*fields, *re.findall(r"%\(\w+\)[a-z]", text)})


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def is_translation(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in TRANSLATORS


def is_format(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and node.attr in ("format", "join")


def place(path: Path, node: Any) -> str:
    return f"{path.relative_to(PACKAGE)}:{node.lineno}"


def test_the_catalogues_are_those_of_the_code() -> None:
    stale = [path for path, data in load_messages_script().files().items() if path.read_bytes() != data]
    assert stale == [], "run `make messages`"


@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.stem)
def test_every_sentence_has_a_translation(path: Path) -> None:
    assert [english for english, translated, message in entries(path) if not all(translated) or message.fuzzy] == []


@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.stem)
def test_a_translation_names_what_the_sentence_names(path: Path) -> None:
    wrong = [
        (english[-1], one)
        for english, translated, _ in entries(path)
        for one in translated
        if one and placeholders(one) != placeholders(english[-1])
    ]
    assert wrong == []


@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.stem)
@pytest.mark.parametrize("pattern", [r"`[^`]+`", r"</?\w+[^>]*>", r"--[a-z-]+"], ids=["settings", "tags", "flags"])
def test_a_translation_keeps_settings_tags_and_flags(path: Path, pattern: str) -> None:
    wrong = [
        (english[-1], one)
        for english, translated, _ in entries(path)
        for one in translated
        if one and sorted(set(re.findall(pattern, one))) != sorted(set(re.findall(pattern, english[-1])))
    ]
    assert wrong == []


def test_a_sentence_has_one_translation_in_every_room() -> None:
    known: dict[tuple[str, tuple[str, ...]], set[tuple[str, ...]]] = {}
    for path in CATALOGUES:
        for english, translated, _ in entries(path):
            known.setdefault((path.parent.name, tuple(english)), set()).add(tuple(translated))
    assert [english for english, translated in known.items() if len(translated) > 1] == []


def test_only_whole_sentences_are_translated() -> None:
    wrong = []
    for path in MODULES:
        for node in ast.walk(tree_of(path)):
            if is_translation(node) and path.name != "translation.py":
                assert isinstance(node, ast.Call)
                texts = node.args[: 2 if getattr(node.func, "id", "") == "ngettext" else 1]
                if not all(isinstance(text, WHOLE) for text in texts):
                    wrong.append(place(path, node))

    assert wrong == []


def test_the_name_of_the_translation_is_used_for_nothing_else() -> None:
    wrong = []
    for path in MODULES:
        tree = tree_of(path)
        imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        if any(name.asname == "_" for node in imports for name in node.names):
            wrong += [
                place(path, node)
                for node in ast.walk(tree)
                if (isinstance(node, ast.Name) and node.id == "_" and isinstance(node.ctx, ast.Store))
                or (isinstance(node, ast.arg) and node.arg == "_")
            ]
    assert wrong == []


def test_only_the_command_line_translates_while_it_is_loaded() -> None:
    wrong = []
    for path in MODULES:
        if path.parent.name == "cli":
            continue
        waiting: list[ast.AST] = [tree_of(path)]
        while waiting:
            node = waiting.pop()
            if is_translation(node) and getattr(getattr(node, "func", None), "id", "") != "gettext_noop":
                wrong.append(place(path, node))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
                waiting += [*node.args.defaults, *(one for one in node.args.kw_defaults if one is not None)]
            else:
                waiting += ast.iter_child_nodes(node)
    assert wrong == []


def test_english_is_what_stands_in_the_code() -> None:
    assert gettext("Print the version.") == "Print the version."
    assert [ngettext("{num} photo", "{num} photos", num) for num in (1, 2)] == ["{num} photo", "{num} photos"]


def test_a_language_holds_for_a_block() -> None:
    with use_language("zh_CN.UTF-8"):
        assert current_language() == "zh"
        assert gettext("Print the version.") != "Print the version."
    assert gettext("Print the version.") == "Print the version."


def test_all_threads_read_the_same_language() -> None:
    seen: list[str] = []
    with use_language("zh"):
        thread = threading.Thread(target=lambda: seen.append(gettext("Print the version.")))
        thread.start()
        thread.join()
        assert seen == [gettext("Print the version.")]


def test_a_sentence_that_the_catalogue_lacks_is_printed_as_it_stands() -> None:
    with use_language("zh"):
        assert gettext("no such sentence") == "no such sentence"


@pytest.mark.parametrize("name", ["fr", "", "C", "zzh"])
def test_a_language_without_a_catalogue_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="Give one of en, zh"):
        use_language(name)


@pytest.mark.parametrize(
    ("environment", "language"),
    [
        ({}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "zh"}, "zh"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
        ({"LANG": "C.UTF-8"}, "en"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C"}, "en"),
        ({"LANG": "en_US.UTF-8", "LC_MESSAGES": "zh_TW.UTF-8"}, "zh"),
        ({"LANG": "en_US.UTF-8", "LANGUAGE": "fr:zh_CN:en"}, "zh"),
        ({"LANG": "zh_CN.UTF-8", "LANGUAGE": ""}, "zh"),
    ],
)
def test_the_environment_names_the_language(environment: dict[str, str], language: str) -> None:
    assert language_of_environment(environment) == language


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command in a process of its own, with this language in the environment."""
    kept = {name: value for name, value in os.environ.items() if name not in ("LANGUAGE", "LC_ALL", "LC_MESSAGES")}
    return subprocess.run(
        [sys.executable, "-m", "tellapart", *arguments],
        env={**kept, "LANG": "C.UTF-8", **environment},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )


@pytest.mark.parametrize("arguments", [["--language", "zh", "--help"], ["--language=zh", "--help"]])
def test_help_follows_the_flag(arguments: list[str]) -> None:
    assert "显示版本" in run(*arguments).stdout


def test_the_flag_may_stand_behind_the_command() -> None:
    assert "SOURCE" in run("show", "--help", "--language", "zh").stdout
    assert "Count the photos" not in run("show", "--help", "--language", "zh").stdout


def test_help_follows_the_environment() -> None:
    assert "显示版本" in run("--help", LANG="zh_CN.UTF-8").stdout


def test_a_mistyped_command_is_told_in_one_language() -> None:
    assert "没有命令 'trian'。是不是指 'train'？" in run("trian", LANG="zh_CN.UTF-8").stderr


def test_a_terminal_that_cannot_show_the_language_stays_english() -> None:
    assert "Print the version." in run("--help", LANG="zh_CN.UTF-8", PYTHONIOENCODING="latin-1").stdout


def test_the_flag_is_stronger_than_the_environment() -> None:
    assert "Print the version." in run("--help", "--language", "en", LANG="zh_CN.UTF-8").stdout


def test_a_language_that_is_missing_is_named_with_those_that_are_there() -> None:
    refused = run("show", "--language", "fr", "x")
    assert refused.returncode == 2
    assert refused.stderr.strip() == "tellapart: there is no language 'fr'. Give one of en, zh."


# What a sentence looks like: three words in a row.
SENTENCE = re.compile(r"[A-Za-z]{2,}[,:]? [a-z]{2,}[,:]? [a-z]{2,}")
# Rooms whose every sentence goes through the catalogue; `networks` tells programmers of layers, and `web` documents an
# interface for programs.
ROOMS = sorted({path.parent.name for path in MODULES if path.parent != PACKAGE} - {"networks", "web"})
# Modules with lists of words that file names hold, and with SQL.
NO_SENTENCES = ("folder_kinds", "labels", "photo_tables")
# Read by programs, not by people: commands, marks of files, answers of a model, programs, and what another
# library says.
NOT_FOR_PEOPLE = re.compile(
    r"^(tellapart (fix|predict|train|dial|sorted|cleaned)|default-src|learning curve|none of these|mean of LDA"
    r'|Raw profile type|does not take|\. Did you mean |\n?""")'
)


def untranslated(path: Path) -> Iterator[str]:
    """The sentences of a module that stand outside of docstrings, checks and calls of the catalogue."""
    waiting: list[ast.AST] = [tree_of(path)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Assert) or is_translation(node):
            continue
        if isinstance(node, ast.Raise) and getattr(getattr(node.exc, "func", None), "id", "") in BUILTIN_ERRORS:
            continue
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue
        text = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
        if SENTENCE.search(text) and not NOT_FOR_PEOPLE.search(text):
            yield f"{place(path, node)}: {text}"
        waiting += ast.iter_child_nodes(node)


BUILTIN_ERRORS = ("ValueError", "TypeError", "AttributeError", "NotImplementedError", "OSError", "RuntimeError")


@pytest.mark.parametrize("room", ROOMS)
def test_every_sentence_of_a_room_goes_through_the_catalogue(room: str) -> None:
    assert [
        found
        for path in sorted((PACKAGE / room).glob("*.py"))
        if path.stem not in NO_SENTENCES
        for found in untranslated(path)
    ] == []
