"""Paths for files that may travel: they say which photo is meant, and nothing of the machine it was on."""

import os
from collections.abc import Iterable, Sequence

from tellapart.photos.names import printable

_TABLE_SUFFIXES = (".csv", ".tsv")


class PortablePaths:
    """From absolute paths to ones that begin with the name of the source they are in; others stay as they are.

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
        strange = [os.path.dirname(path) for path in paths if os.path.isabs(path) and self._find(path) is None]
        if strange:
            self._add(os.path.commonpath(strange), taken)
        self._roots.sort(key=lambda item: -len(item[0]))

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
        return next(
            (
                (root, name)
                for root, name in self._roots
                if path == root or path.startswith(root.rstrip(os.sep) + os.sep)
            ),
            None,
        )

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
