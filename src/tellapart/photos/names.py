"""Names of files as people read them: natural order, text that can always be printed, names for any disk, some of many.

Also paths for files that may travel. Holds no file access; every module that lists photos sorts with `natural_key`.
"""

import functools
import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tellapart.records import Skipped
from tellapart.translation import gettext as _

_TABLE_SUFFIXES = (".csv", ".tsv")
_DIGITS = re.compile(r"([0-9]+)")
_SURROGATES = re.compile("[\ud800-\udfff]")
# What differs between reasons for skipping files that are the same to a reader.
_VARYING = re.compile(r"'[^']*'|\"[^\"]*\"|\d[\d.,]*")

_SYSTEM_NAMES = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "$recycle.bin", "@eadir"})

# What tellapart itself leaves beside the class folders of a cleaned copy.
DECISIONS_NAME, CLEANED_MARKER = "decisions.csv", "fixed.json"
# The folder in a folder of photos in which Studio keeps what is its own; hidden, so that it is never read as photos.
PROJECT_DIR_NAME = ".tellapart"

_FORBIDDEN = frozenset('<>:"/\\|?*')
# What Windows takes for a device, whatever follows the first dot.
_DEVICE = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9\u00b9\u00b2\u00b3]) *(\..*)?", re.IGNORECASE)
LONGEST_FOLDER_NAME = 60
_NUMBER = re.compile(r"[+-]?\d{1,15}(?:\.\d{0,15})?", re.ASCII)

NaturalKey = tuple[tuple[tuple[tuple[int, str], ...], str], ...]


# Names of photos share their words: without, the keys of 100,000 take as much memory as all else that is known of them.
@functools.lru_cache(maxsize=4096)
def _text_key(text: str) -> tuple[int, str]:
    return 0, text


def _number_key(digits: str) -> tuple[int, str]:
    number = digits.lstrip("0")
    return len(number), number


# Photos share their folders; a key takes longer to make than the name takes to read.
@functools.lru_cache(maxsize=4096)
def _part_key(part: str) -> tuple[tuple[tuple[int, str], ...], str]:
    """A key that puts `2` before `10`, and `1` before `01`; numbers are compared as text of equal length."""
    pieces = _DIGITS.split(part)
    return tuple(_number_key(piece) if i % 2 else _text_key(piece) for i, piece in enumerate(pieces)), part


def natural_key(parts: Iterable[str]) -> NaturalKey:
    """A sort key for a path given as its parts: folder by folder, numbers by value, case-sensitive otherwise."""
    return tuple(_part_key(part) for part in parts)


def printable(name: str) -> str:
    r"""The name as text that any UTF-8 output accepts: bytes that were not UTF-8 on disk become `\xNN`."""
    return _SURROGATES.sub(_escape_surrogate, name)


def _escape_surrogate(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"


def class_name(text: str) -> str:
    """The text as a class name: printable, in one Unicode form (NFC), without surrounding blanks."""
    return unicodedata.normalize("NFC", printable(text)).strip()


def safe_name(text: str) -> str:
    """The text without what some system does not allow in a file name, never empty, hidden or a device."""
    shown = "".join("_" if char in _FORBIDDEN or not char.isprintable() else char for char in text).strip(" .") or "_"
    return f"_{shown}" if _DEVICE.fullmatch(shown) else shown


def same_name_key(name: str) -> str:
    """Equal for names that a file system may take for the same, whatever their case and Unicode form."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def compare_names(class_names: Sequence[str]) -> list[str]:
    """A sentence for all classes that are one number written differently, and one for those that differ in case."""
    notes: list[str] = []
    numbers: defaultdict[float, list[str]] = defaultdict(list)
    words: defaultdict[str, list[str]] = defaultdict(list)
    for name in class_names:
        (numbers[float(name)] if _NUMBER.fullmatch(name) else words[same_name_key(name)]).append(name)
    kinds = (
        (_("The classes {names} are the same number. If they mean the same, give them one name."), numbers.values()),
        (
            _("The classes {names} differ only in upper and lower case. If they mean the same, give them one name."),
            words.values(),
        ),
    )
    for sentence, groups in kinds:
        alike = [_(" and ").join(map(repr, names)) for names in groups if len(names) > 1]
        if alike:
            notes.append(sentence.format(names=list_some(alike, 3)))
    return notes


def is_system_name(name: str) -> bool:
    """Whether an operating system made this file or folder, or it is hidden."""
    return name.startswith(".") or name.lower() in _SYSTEM_NAMES


def name_some(names: Iterable[str], limit: int = 5) -> str:
    """The first names, quoted, and how many more there are: `'a', 'b' and 3 more`."""
    return list_some([repr(name) for name in names], limit)


def list_some(texts: Sequence[str], limit: int = 5) -> str:
    """The first texts as they are, and how many more there are: `a, b and 3 more`."""
    shown = ", ".join(texts[:limit])
    if len(texts) <= limit:
        return shown
    return _("{shown} and {num:,} more").format(shown=shown, num=len(texts) - limit)


@dataclass(frozen=True)
class SkippedGroup:
    """Files that are skipped for one reason: the first few of them, and how many there are in all."""

    reason: str
    first: tuple[str, ...]
    num_files: int


def group_skipped(skipped: Sequence[Skipped], num_first: int = 5, most: int | None = None) -> tuple[SkippedGroup, ...]:
    """Skipped files by reason, the commonest first; numbers and quoted names in a reason do not tell groups apart.

    Args:
        skipped: in the order of the source.
        num_first: paths to keep of each group.
        most: groups to give at most, the last of them for all other reasons; `None` gives all.
    """
    groups: dict[str, list[Skipped]] = {}
    for item in skipped:
        groups.setdefault(_VARYING.sub("…", item.reason), []).append(item)
    ordered = sorted(groups.items(), key=lambda group: -len(group[1]))
    named = [
        (items[0].reason if len({item.reason for item in items}) == 1 else pattern, items) for pattern, items in ordered
    ]
    if most is not None and len(named) > most:
        named[most - 1 :] = [(_("other reasons"), [item for _unused, items in named[most - 1 :] for item in items])]
    return tuple(
        SkippedGroup(reason, tuple(item.path for item in items[:num_first]), len(items)) for reason, items in named
    )


class PortablePaths:
    """From absolute paths to ones for files that may travel: they begin with the name of the source they are in.

    Such a path says which photo is meant, and nothing of the machine it was on. Relative paths stay as they are.

    Paths that differ stay different.

    Args:
        sources: as the user named them; only absolute ones matter.
        paths: all paths there are, for those that are in no source.
    """

    def __init__(self, sources: Sequence[str], paths: Iterable[str]) -> None:
        self._roots: list[tuple[str, str]] = []
        taken: set[str] = set()
        for source in map(printable, sources):
            if os.path.isabs(source):
                self._add(_root_of(source), taken)
        self._name_of = dict(reversed(self._roots))
        strange = [os.path.dirname(path) for path in paths if os.path.isabs(path) and self._find(path) is None]
        if strange:
            self._add(os.path.commonpath(strange), taken)
        self._roots.sort(key=lambda item: -len(item[0]))
        self._name_of = dict(reversed(self._roots))

    def __call__(self, path: str) -> str:
        """The path from the source on."""
        shown = printable(path).rstrip(os.sep) if os.path.isabs(path) else printable(path)
        if not os.path.isabs(shown):
            return shown
        found = self._find(shown)
        if found is None:
            return os.path.basename(shown) or "photos"
        root, name = found
        return os.path.join(name, shown[len(root) :].lstrip(os.sep)) if len(shown) > len(root) else name

    def in_text(self, text: str) -> str:
        """A text in which no absolute path of a source stands."""
        for root, name in self._roots:
            text = text.replace(root, name)
        return text

    def _find(self, path: str) -> tuple[str, str] | None:
        """The root that a path is in, and its name: the path itself, or the nearest folder above it."""
        here, below = path, ""
        while here != below:
            if here in self._name_of:
                return here, self._name_of[here]
            here, below = os.path.dirname(here), here
        return ("", self._name_of[""]) if "" in self._name_of else None

    def _add(self, root: str, taken: set[str]) -> None:
        base = os.path.basename(root) or "photos"
        name, number = base, 2
        while name in taken:
            name, number = f"{base} ({number})", number + 1
        taken.add(name)
        self._roots.append((root, name))


def _root_of(source: str) -> str:
    """The folder or zip that paths of the source begin with: for a table that in which it is."""
    is_table = source.lower().endswith(_TABLE_SUFFIXES)
    return (os.path.dirname(source) if is_table else source).rstrip(os.sep)
