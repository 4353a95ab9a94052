"""The mechanical rules of good English, for the README, the documentation, `--help` and every message of the code."""

import re
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from tellapart.cli.app import app

REPOSITORY = Path(__file__).parents[1]
PAGES = sorted([REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", *(REPOSITORY / "docs").rglob("*.md")])
# Words that people do not type into a search box, and what they would type.
INSTEAD = {
    r"anew": "again",
    r"mend(s|ed|ing)?": "fix",
    r"rightly": "correct",
    r"alike": "similar, equally",
    r"slips?": "mistake, spelling",
    r"turn(s|ed)? away": "flag",
    r"hold(s)? on to": "follow, keep",
    r"go(es)? by": "use",
    r"stand(s|ing)?|stood": "is",
    r"doubted|doubts?": "check, not sure",
    r"dealt|deals?": "split",
    r"learnt": "learned, trained on",
    r"accepted (is|are)": "Give ...",
    r"from nothing": "from scratch",
    r"encoded anew": "re-saved",
    r"goes on with": "continues",
    r"[,;] for (it|they|there|we|you|its|their|what|that|this|these|the|a|an|all|no)": "because",
}
BANNED_WORDS = re.compile("|".join(rf"(?<![\w-])(?:{word})(?![\w-])" for word in INSTEAD), re.I)
MOST_WORDS = 20


def prose_of(text: str) -> str:
    """A page without code, tables, pictures, comments and the marks of Markdown."""
    text = re.sub(r"<!--.*?-->|^ *```.*?^ *```$|^\|.*?$|!\[.*?\]\(.*?\)", "", text, flags=re.M | re.S)
    text = re.sub(r"`[^`]*`", "code", text)
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    return re.sub(r"^ *(?:[-*]|\d+\.|#+) +", "\n\n", text, flags=re.M).replace("**", "")


def sentences_of(text: str) -> list[str]:
    """The sentences of the prose of a page."""
    paragraphs = re.split(r"\n\s*\n", prose_of(text))
    return [
        sentence for part in paragraphs for sentence in re.split(r"(?<=[.:;?!])\s+", " ".join(part.split())) if sentence
    ]


def inner_commands(command: Any) -> list[Any]:
    """The commands of a group; none of what is a command itself."""
    return list(getattr(command, "commands", {}).values())


def help_texts() -> list[str]:
    """What `--help` says of every command and every option."""
    group: Any = get_command(app)
    commands = [one for command in group.commands.values() for one in (command, *inner_commands(command))]
    return [text for command in commands for text in (command.help, *(param.help for param in command.params)) if text]


@pytest.mark.parametrize("page", [pytest.param(page, id=page.stem) for page in PAGES])
def test_sentences_are_short(page: Path) -> None:
    sentences = sentences_of(page.read_text(encoding="utf-8"))
    assert [sentence for sentence in sentences if len(sentence.split()) > MOST_WORDS] == []


@pytest.mark.parametrize("page", [pytest.param(page, id=page.stem) for page in PAGES])
def test_words_are_those_that_people_use(page: Path) -> None:
    found = [match[0] for match in BANNED_WORDS.finditer(prose_of(page.read_text(encoding="utf-8")))]
    assert found == []


@pytest.mark.parametrize("page", [pytest.param(page, id=page.stem) for page in PAGES])
def test_a_percentage_has_no_space(page: Path) -> None:
    assert re.findall(r"\d %", page.read_text(encoding="utf-8")) == []


def test_help_uses_the_words_that_people_use() -> None:
    assert [text for text in help_texts() if BANNED_WORDS.search(text)] == []


def test_help_has_no_semicolons() -> None:
    assert [text for text in help_texts() if ";" in text] == []


def messages() -> list[str]:
    """Every sentence of the code that a person reads, both forms of a plural."""
    spec = spec_from_file_location("make_messages", REPOSITORY / "translations/make_messages.py")
    assert spec is not None
    assert spec.loader is not None
    script = module_from_spec(spec)
    spec.loader.exec_module(script)
    found = [message.id for room in script.rooms() for message in script.room_catalogue(room) if message.id]
    return sorted({text for one in found for text in ([one] if isinstance(one, str) else one)})


@pytest.fixture(scope="module")
def printed() -> list[str]:
    """The messages without settings, tags and what is put into them."""
    return [re.sub(r"`[^`]*`|<[^>]+>|&\w+;|\{[^{}]*\}|%\(\w+\)s", "code", text) for text in messages()]


def test_messages_are_short_sentences(printed: list[str]) -> None:
    sentences = [one for text in printed for one in re.split(r"(?<=[.:?!])\s+", " ".join(text.split()))]
    assert [sentence for sentence in sentences if len(sentence.split()) > MOST_WORDS] == []


def test_messages_have_no_semicolons(printed: list[str]) -> None:
    assert [text for text in printed if ";" in text] == []


def test_messages_use_the_words_that_people_use(printed: list[str]) -> None:
    assert [text for text in printed if BANNED_WORDS.search(text)] == []


def test_a_percentage_in_a_message_has_no_space(printed: list[str]) -> None:
    assert [text for text in printed if re.search(r"\d %|code %", text)] == []
