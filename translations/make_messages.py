"""Collects every sentence that a person reads, room by room, and compiles the catalogues that the package ships.

`translations/LANGUAGE/ROOM.po` holds all sentences of a room in the order of its files, each with its translation. It
is rewritten here from the code: what is known keeps its translation, what is new has an empty one, what is gone is
dropped.
All rooms of a language become one `.mo`, which is what `tellapart.translation` reads.

Run by `make messages`. `--check` changes nothing and ends with 1 where a file would change; `--show ROOM` prints the
sentences of a room, to be read in one go.
"""

import ast
import inspect
import io
import json
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from babel.messages.catalog import Catalog
from babel.messages.extract import extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from tellapart.translation import SCRIPT_MESSAGE

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGE = REPOSITORY / "src" / "tellapart"
TRANSLATIONS = REPOSITORY / "translations"
LANGUAGES = tuple(sorted(path.name for path in TRANSLATIONS.iterdir() if path.is_dir() and path.name[0] not in "._"))
# The room of the modules that lie in the package itself.
ROOT_ROOM = "root"
# Functions that take a message, and which of their arguments are messages.
KEYWORDS: dict[str, tuple[int, ...] | None] = {"_": None, "gettext": None, "gettext_noop": None, "ngettext": (1, 2)}
_METHODS = {".py": "python", ".html": "jinja2"}
# Read by the pattern that a page looks its sentences up with: babel loses its place in templates within templates.
_SCRIPT = ".js"
# Modules of others.
_VENDOR = "vendor"
_OPTIONS = {"jinja2": {"trimmed": "true", "silent": "false"}}
# Comments for translators begin so.
_COMMENT_TAGS = ("Translators:",)
# A catalogue says nothing of when it was made: the same sentences give the same bytes.
_NO_DATE = datetime(2026, 1, 1, tzinfo=UTC)
_SPACE = re.compile(r"\s+")

_Id = str | tuple[str, str]


def rooms() -> list[str]:
    """The rooms of the package that have sentences, in alphabetical order."""
    return sorted({room_of(path) for path in source_files()})


def source_files() -> list[Path]:
    """Every file of the package that can hold a sentence."""
    endings = (*_METHODS, _SCRIPT)
    return sorted(
        path for path in PACKAGE.rglob("*") if path.suffix in endings and path.is_file() and path.parent.name != _VENDOR
    )


def room_of(path: Path) -> str:
    """The room that a file of the package belongs to."""
    parts = path.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else ROOT_ROOM


def messages_of(path: Path) -> Iterator[tuple[_Id, list[str]]]:
    """The sentences of a file with what is said to translators, in the order in which they stand in it."""
    if path.suffix == _SCRIPT:
        for singular, plural in SCRIPT_MESSAGE.findall(path.read_text("utf-8")):
            one, many = json.loads(f'["{singular}", "{plural}"]')
            yield ((one, many) if many else one), []
        return
    method = _METHODS[path.suffix]
    data = path.read_bytes()
    found: list[tuple[int, _Id, list[str]]] = [
        (line, message, comments)
        for line, message, comments, _ in extract(
            method, io.BytesIO(data), KEYWORDS, _COMMENT_TAGS, _OPTIONS.get(method, {})
        )
    ]
    found += [(line, text, []) for line, text in _command_help(path, data)]
    for _, message, comments in sorted(found, key=lambda one: one[0]):
        yield message, comments


def _command_help(path: Path, data: bytes) -> Iterator[tuple[int, str]]:
    """What `--help` says of a command: the docstring of the function that has the name of its module in `cli/`."""
    if room_of(path) != "cli" or path.suffix != ".py":
        return
    for node in ast.parse(data).body:
        if isinstance(node, ast.FunctionDef) and node.name == path.stem and (text := ast.get_docstring(node)):
            yield node.lineno, inspect.cleandoc(text)


def room_catalogue(room: str) -> Catalog:
    """All sentences of a room, without translations."""
    catalogue = Catalog(charset="utf-8")
    for path in source_files():
        if room_of(path) == room:
            for message, comments in messages_of(path):
                catalogue.add(message, locations=[(path.relative_to(PACKAGE).as_posix(), 0)], auto_comments=comments)
    return catalogue


def read_translations(language: str) -> dict[Any, Any]:
    """What the files of a language have for each sentence, whichever room it stands in."""
    known: dict[Any, Any] = {}
    for path in sorted((TRANSLATIONS / language).glob("*.po")):
        with open(path, "rb") as file:
            known |= {message.id: message.string for message in read_po(file) if message.id and is_filled(message)}
    return known


def is_filled(message: Any) -> bool:
    """Whether the message has a translation, in every form."""
    return all(message.string) if isinstance(message.string, tuple) else bool(message.string)


def files() -> dict[Path, bytes]:
    """Every file that is generated, with its content."""
    made: dict[Path, bytes] = {}
    for language in LANGUAGES:
        known = read_translations(language)
        together = Catalog(language, charset="utf-8", creation_date=_NO_DATE, revision_date=_NO_DATE)
        for room in rooms():
            catalogue = room_catalogue(room)
            catalogue.locale = language
            for message in catalogue:
                if message.id:
                    message.string = known.get(message.id, message.string)
                    if is_filled(message):
                        together.add(message.id, message.string)
            if len(catalogue):
                made[TRANSLATIONS / language / f"{room}.po"] = _po_bytes(catalogue)
        compiled = io.BytesIO()
        write_mo(compiled, together)
        made[PACKAGE / "locale" / language / "LC_MESSAGES" / "tellapart.mo"] = compiled.getvalue()
    return made


def _po_bytes(catalogue: Catalog) -> bytes:
    body = io.BytesIO()
    write_po(body, catalogue, width=120, omit_header=True, include_lineno=False)
    header = (
        'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=utf-8\\n"\n'
        f'"Language: {catalogue.locale}\\n"\n"Plural-Forms: {catalogue.plural_forms}\\n"\n\n'
    )
    return (header + body.getvalue().decode().strip() + "\n").encode()


def _show(room: str) -> None:
    for path in source_files():
        if room_of(path) == room and (texts := [message for message, _ in messages_of(path)]):
            print(f"\n{path.relative_to(PACKAGE).as_posix()}")
            for text in dict.fromkeys(texts):
                print("  " + " | ".join(_SPACE.sub(" ", one) for one in ([text] if isinstance(text, str) else text)))


def main(arguments: list[str]) -> int:
    """The exit code, after doing what the module says."""
    if arguments[:1] == ["--show"]:
        for room in arguments[1:] or rooms():
            _show(room)
        return 0
    made = files()
    stale = [path for path in TRANSLATIONS.glob("*/*.po") if path not in made]
    changed = [path for path, data in made.items() if not path.exists() or path.read_bytes() != data]
    if arguments == ["--check"]:
        for path in (*stale, *changed):
            print(f"{path.relative_to(REPOSITORY)} is not up to date. Run `make messages`.")
        return 1 if stale or changed else 0
    for path in stale:
        path.unlink()
    for path, data in made.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    missing = sum(
        len([line for line in data.split(b"\n\n") if line.rstrip().endswith(b'msgstr ""')]) for data in made.values()
    )
    print(f"{len(made)} files written, {missing} sentences without a translation")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
