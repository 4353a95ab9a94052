"""`PhotoSet`: which photos there are, of which class, and how to read their bytes; holds no pixels.

`photos/sources.py` makes them; training, scoring and prediction take them.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tellapart.config import ImageLimits
from tellapart.errors import DatasetError, ImageError
from tellapart.photos.files import ArchiveMember, DiskFile
from tellapart.photos.names import PortablePaths, compare_names, name_some, natural_key
from tellapart.records import Skipped
from tellapart.translation import gettext as _
from tellapart.translation import ngettext


@dataclass(frozen=True, eq=False, repr=False)
class PhotoSet:
    """Photos in a fixed order, with a label each or without labels; rows are numbered from 0.

    Attributes:
        source: what the user named; several are joined by commas.
        paths: one per photo, as the user would recognise it; `train.zip/cat.0.jpg` for a member of a zip.
        labels: int64 numbers into `class_names`, shape `(n,)`, read-only; `None` for photos without labels.
        class_names: the classes in natural order; empty without labels.
        skipped: files of the source that are not used, with the reason.
        places: where the bytes of each photo are.
        limits: the largest photo that is read.
        given_splits: the split folder each photo stands in (`train`, `validation`, `test`), `None` outside of one;
            empty when the source has no split folders.
        unlabelled_reason: why no labels were found; `None` where they were, or were not looked for.
        sources: each folder, zip, CSV or photo where the user named several; empty for one, which `source` is.
        notes: sentences for the owner of the photos, such as that two classes differ only in case.
    """

    source: str
    paths: tuple[str, ...]
    labels: NDArray[np.int64] | None
    class_names: tuple[str, ...]
    skipped: tuple[Skipped, ...]
    places: tuple[DiskFile | ArchiveMember, ...] = field(repr=False)
    limits: ImageLimits = field(default_factory=ImageLimits, repr=False)
    given_splits: tuple[str | None, ...] = ()
    unlabelled_reason: str | None = None
    sources: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        assert len(self.paths) == len(self.places)
        assert len(self.given_splits) in (0, len(self.paths))
        if self.labels is not None:
            assert self.labels.shape == (len(self.paths),)
            self.labels.setflags(write=False)

    def __len__(self) -> int:
        return len(self.paths)

    def __repr__(self) -> str:
        classes = ", ".join(f"{name} {num:,}" for name, num in self.counts().items())
        skipped = f"; {len(self.skipped):,} skipped" if self.skipped else ""
        num = f"{len(self):,} photo{'s' * (len(self) != 1)}{': ' if classes else ''}"
        return f"PhotoSet({num}{classes}{skipped}; {self.source})"

    def read(self, row: int) -> bytes:
        """The bytes of one photo as they are in the file.

        Raises:
            ImageError: the file is too large, has vanished, may not be read, or is damaged in its archive.
        """
        try:
            return self.places[row].read(self.limits.max_bytes)
        except ImageError as exc:
            exc.path = self.paths[row]
            raise

    def take(self, rows: Sequence[int] | NDArray[np.integer]) -> "PhotoSet":
        """The photos of these rows, in this order; classes and skipped files stay the same."""
        order = np.asarray(rows, dtype=np.int64)
        return replace(
            self,
            paths=tuple(self.paths[row] for row in order),
            places=tuple(self.places[row] for row in order),
            labels=None if self.labels is None else self.labels[order],
            given_splits=tuple(self.given_splits[row] for row in order) if self.given_splits else (),
        )

    def portable(self) -> "PhotoSet":
        """The same photos for files that may travel: a path that was absolute begins at the source it is in."""
        shorten = PortablePaths(self.sources or (self.source,), self.paths)
        skipped = (Skipped(shorten(item.path), shorten.in_text(item.reason)) for item in self.skipped)
        return replace(
            self,
            source=", ".join(map(shorten, self.sources or (self.source,))),
            sources=tuple(map(shorten, self.sources)),
            paths=tuple(map(shorten, self.paths)),
            skipped=tuple(skipped),
        )

    def counts(self) -> dict[str, int]:
        """Photos per class, in class order, classes without photos included; empty without labels."""
        if self.labels is None:
            return {}
        numbers = np.bincount(self.labels, minlength=len(self.class_names))
        return {name: int(number) for name, number in zip(self.class_names, numbers, strict=True)}

    def shuffled(self, seed: int) -> "PhotoSet":
        """The same photos in an order that the seed decides."""
        return self.take(np.random.default_rng(seed).permutation(len(self)))

    def per_class(self, num: int, seed: int) -> "PhotoSet":
        """`num` photos of each class chosen by the seed, all of a class that has fewer; in the order they have here.

        Raises:
            DatasetError: the photos have no labels.
        """
        if self.labels is None:
            raise DatasetError(
                _(
                    "the photos of {source!r} have no labels, so none can be taken per class. Open "
                    "labelled photos with `open_photos`."
                ).format(source=self.source),
                paths=[self.source],
            )
        generator = np.random.default_rng(seed)
        chosen = [
            generator.permutation(np.flatnonzero(self.labels == label))[:num] for label in range(len(self.class_names))
        ]
        return self.take(np.sort(np.concatenate(chosen)) if chosen else [])

    def arrays(
        self, image_size: tuple[int, int] = (150, 150), channels: Literal[1, 3] = 3
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """All photos decoded and resized, and their labels.

        A photo that cannot be used is left out, with one warning that says how many were and why the first was.

        Args:
            image_size: `(height, width)` in pixels.
            channels: 3 for RGB, 1 for grey.

        Returns:
            uint8 `(n, height, width, channels)` and int64 `(n,)`; `n` is 0 for an empty set.

        Raises:
            DatasetError: the photos have no labels.
        """
        # Decoding needs OpenCV; listing photos does not.
        from tellapart.images.preprocess import PreprocessSpec
        from tellapart.photos.loading import stream_collection

        if self.labels is None:
            raise DatasetError(
                _(
                    "the photos of {source!r} have no labels, and arrays() needs labels. Open labelled photos "
                    "with `open_photos`."
                ).format(source=self.source),
                paths=[self.source],
            )
        spec = PreprocessSpec(image_size, channels)
        images = np.empty((len(self), *spec.shape), dtype=np.uint8)
        unusable: dict[int, Skipped] = {}
        for row, item in stream_collection(self, spec, self.limits):
            if isinstance(item, Skipped):
                unusable[row] = item
            else:
                images[row] = item
        if unusable:
            first = unusable[min(unusable)]
            warnings.warn(
                _(
                    "{num:,} of {total:,} photos of {source!r} cannot be used and are left out. The first is "
                    "{path!r}: {reason}"
                ).format(
                    num=len(unusable),
                    total=len(self),
                    source=self.source,
                    path=first.path,
                    reason=first.reason,
                ),
                stacklevel=2,
            )
        used = [row for row in range(len(self)) if row not in unusable]
        return (images[used] if unusable else images), self.labels[used]


def join_photos(parts: Sequence[PhotoSet]) -> PhotoSet:
    """The labelled photos of all parts, one part after the other; equal class names are one class.

    Args:
        parts: at least one; all with labels.
    """
    if len(parts) == 1:
        return parts[0]
    class_names = tuple(
        sorted({name for part in parts for name in part.class_names}, key=lambda name: natural_key((name,)))
    )
    numbers = {name: number for number, name in enumerate(class_names)}
    labels = [
        np.array([numbers[name] for name in part.class_names], np.int64)[part.labels]
        for part in parts
        if part.labels is not None
    ]
    sources = tuple(source for part in parts for source in part.sources or (part.source,))
    splits = tuple(split for part in parts for split in part.given_splits or (None,) * len(part))
    return PhotoSet(
        source=", ".join(sources),
        paths=tuple(path for part in parts for path in part.paths),
        labels=np.concatenate(labels),
        class_names=class_names,
        skipped=tuple(skipped for part in parts for skipped in part.skipped),
        places=tuple(place for part in parts for place in part.places),
        limits=parts[0].limits,
        given_splits=splits if any(splits) else (),
        sources=sources,
        notes=tuple(dict.fromkeys([*(note for part in parts for note in part.notes), *compare_names(class_names)])),
    )


def check_classes(counts: Mapping[str, int], source: str, min_photos: int = 2) -> None:
    """Nothing, if there are at least 2 classes and every class has at least `min_photos` photos.

    Args:
        counts: usable photos per class.
        source: what the user named.
        min_photos: 1 or 2.

    Raises:
        DatasetError: they are too few; the message names the classes and what to do.
    """
    if len(counts) < 2:
        found = ", ".join(
            _("{name!r} ({num:,} photos)").format(name=name, num=num) for name, num in counts.items()
        ) or _("none")
        raise DatasetError(
            _(
                "{source!r} has too few classes: {found}. Give photos of at least 2 classes, one folder per class. "
                "Or say where the labels are, with `labels_csv` or `label_pattern`."
            ).format(source=source, found=found),
            paths=[source],
        )
    small = {name: num for name, num in counts.items() if num < min_photos}
    if small:
        name, num = next(iter(small.items()))
        sentences = [
            ngettext(
                "class {name!r} in {source!r} has {num} photo.", "class {name!r} in {source!r} has {num} photos.", num
            ).format(name=name, source=source, num=num)
        ]
        if len(small) > 1:
            sentences.append(_("Also too few: {names}.").format(names=name_some(list(small)[1:], 4)))
        sentences.append(
            _("Every class needs at least {least}. Add photos, or remove the class.").format(least=min_photos)
        )
        raise DatasetError(
            " ".join(sentences),
            paths=[source],
        )
