"""`tellapart predict --submission`: predictions in the columns and the row order of a competition's sample file.

The first column of the sample is the id, matched with the path of a photo, its file name, or that without its suffix,
in one Unicode form (NFC). What the other columns hold decides what is written, see `_plan`.
"""

import csv
import io
import os
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tellapart.errors import DatasetError
from tellapart.photos.csv_table import read_table
from tellapart.photos.names import class_name, name_some
from tellapart.records import Prediction, Skipped
from tellapart.store import write_file
from tellapart.translation import gettext as _
from tellapart.translation import ngettext

Result = Prediction | Skipped

_ENOUGH = 2


@dataclass(frozen=True)
class Submission:
    """What was written: `num_rows` predictions, `num_ignored` photos that the sample does not ask for.

    `meaning` says in words what the columns hold, such as `label: probability of 'dog'`.
    """

    num_rows: int
    num_ignored: int
    meaning: str


@dataclass(frozen=True)
class _Sample:
    path: Path
    header: list[str]
    rows: list[list[str]]
    delimiter: str
    note: str | None

    @property
    def ids(self) -> list[str]:
        return [row[0] for row in self.rows]


@dataclass(frozen=True)
class _Plan:
    meaning: str
    fill: Callable[[Prediction], list[str]]


@dataclass
class _Found:
    """What was predicted for one id: the first two photos that fit it, and why the first unreadable one cannot be read.

    Two are enough to say that the id is not clear.
    """

    predictions: list[Prediction] = field(default_factory=list)
    reason: str | None = None

    @property
    def is_empty(self) -> bool:
        return not self.predictions and self.reason is None

    def add(self, result: Result) -> None:
        if isinstance(result, Skipped):
            self.reason = self.reason or result.reason
        elif len(self.predictions) < _ENOUGH:
            self.predictions.append(result)


class SubmissionWriter:
    """Predictions on their way into a submission: the sample's header and ids, with the model's answers.

    Only what the sample asks for is kept; photos that are not in it are counted and forgotten.

    Args:
        sample_path: the competition's sample file; not modified.
        out_path: the file to write.
        class_names: the classes of the model, in order.

    Raises:
        DatasetError: the sample cannot be read or does not fit the model.
    """

    def __init__(self, sample_path: Path, out_path: Path, class_names: Sequence[str]) -> None:
        self._sample = _read_sample(sample_path)
        self._plan = _plan(self._sample, class_names)
        self._out_path = out_path
        # A path goes before a name, and a name before one without its suffix, which a mask or a text file may share.
        self._found = [{_key(row_id): _Found() for row_id in self._sample.ids} for _unused in range(3)]
        self._num_parts = sorted({key.count("/") + 1 for key in self._found[0]})
        self._num_predicted = 0

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on the sample."""
        note = self._sample.note
        return (
            () if note is None else (_("the sample {path!r} {note}.").format(path=str(self._sample.path), note=note),)
        )

    def add(self, result: Result) -> None:
        """Takes one item; they may come in any order."""
        self._num_predicted += isinstance(result, Prediction)
        parts = _key(result.path).split("/")
        ends = ["/".join(parts[-number:]) for number in self._num_parts if number > 1]
        keys = ([*ends, *(os.path.splitext(end)[0] for end in ends)], parts[-1:], [os.path.splitext(parts[-1])[0]])
        for by_key, wanted in zip(self._found, keys, strict=True):
            for found in {id(one): one for key in wanted if (one := by_key.get(key)) is not None}.values():
                found.add(result)

    def write(self) -> Submission:
        """What was written, now that every photo has been added.

        Raises:
            DatasetError: an id in the sample has no photo, more than one, or one that could not be read.
            OutputError: the file cannot be written.
        """
        matched = self._match()
        text = io.StringIO(newline="")
        writer = csv.writer(text, delimiter=self._sample.delimiter, lineterminator="\n")
        writer.writerow(self._sample.header)
        for row_id, prediction in zip(self._sample.ids, matched, strict=True):
            writer.writerow([row_id, *self._plan.fill(prediction)])
        write_file(self._out_path, text.getvalue().encode())
        num_asked = len({prediction.path for prediction in matched})
        return Submission(len(matched), self._num_predicted - num_asked, self._plan.meaning)

    def _match(self) -> list[Prediction]:
        """The prediction for each id, in the sample's order."""
        found = {
            row_id: next(
                (one for one in (by_key[_key(row_id)] for by_key in self._found) if not one.is_empty), _Found()
            )
            for row_id in self._sample.ids
        }
        absent = [row_id for row_id, one in found.items() if not one.predictions]
        if absent:
            reasons = [reason for row_id in absent if (reason := found[row_id].reason) is not None]
            sentences = [
                _("{num:,} of {total:,} ids in the sample {path!r} have no photo: {absent}.").format(
                    num=len(absent), total=len(found), path=str(self._sample.path), absent=name_some(absent)
                )
            ]
            if reasons:
                sentences.append(
                    ngettext(
                        "{num:,} photo could not be read: {reason}.",
                        "{num:,} photos could not be read. The first: {reason}.",
                        len(reasons),
                    ).format(num=len(reasons), reason=reasons[0])
                )
            sentences.append(
                _(
                    "Each id needs a photo of that file name, with or without its extension. Give the folder or zip "
                    "that holds these photos."
                )
            )
            raise DatasetError(
                " ".join(sentences),
                paths=[self._sample.path],
            )
        double = [row_id for row_id, one in found.items() if len(one.predictions) > 1]
        if double:
            paths = [prediction.path for prediction in found[double[0]].predictions]
            raise DatasetError(
                _(
                    "{num:,} ids in the sample {path!r} fit more than one photo, such as {first!r}: {paths}. "
                    "Give only the photos of the competition, one for each id."
                ).format(num=len(double), path=str(self._sample.path), first=double[0], paths=name_some(paths)),
                paths=paths,
            )
        return [found[row_id].predictions[0] for row_id in self._sample.ids]


def is_submission_for(sample_path: Path) -> Callable[[Path], bool]:
    """A function that says whether a file has the header and the ids of the sample, in its order."""

    def check(path: Path) -> bool:
        try:
            sample, found = _read_sample(sample_path), _read_sample(path)
        except DatasetError:
            return False
        return (found.header, found.ids) == (sample.header, sample.ids)

    return check


def _read_sample(path: Path) -> _Sample:
    """The sample, blank lines left out.

    Raises:
        DatasetError: it is not a CSV with a header, at least two columns and one row, and ids that differ.
    """
    table = read_table(path, "sample", is_restored=False)
    header, rows = list(table.header), [list(row.cells) for row in table.rows]
    if not rows or len(header) < 2:
        raise _bad_sample(
            path, _("has {num_rows} rows and the header {header!r}").format(num_rows=len(rows), header=header)
        )
    repeated = [row_id for row_id, number in Counter(_key(row[0]) for row in rows).items() if number > 1]
    if repeated:
        raise _bad_sample(path, _("has the same id twice: {repeated}").format(repeated=name_some(repeated)))
    return _Sample(path, header, rows, table.delimiter, table.note)


def _key(text: str) -> str:
    """A path or id in one Unicode form, with `/` between its parts."""
    path = unicodedata.normalize("NFC", text.strip()).replace("\\", "/")
    return "/".join(part for part in path.split("/") if part not in ("", "."))


def _bad_sample(path: Path, found: str) -> DatasetError:
    return DatasetError(
        _(
            "the sample {path!r} {found}. Give the sample CSV of the competition as `submission`. It has "
            "a header, an id column, at least one more column, and each id once."
        ).format(path=str(path), found=found),
        paths=[path],
    )


def _plan(sample: _Sample, class_names: Sequence[str]) -> _Plan:
    """What to write, by what the sample has beside the ids.

    - a column for each class of the model, in any order: its probability
    - one column of numbers, and two classes: the probability of the class the column is named after, else of the second
    - one column of class names: the predicted class

    Raises:
        DatasetError: it has something else.
    """
    columns = [class_name(column) for column in sample.header[1:]]
    if len(columns) > 1:
        return _plan_for_classes(sample, columns, class_names)
    values = {class_name(row[1]) for row in sample.rows}
    is_numeric = all(_is_number(value) for value in values)
    if is_numeric and len(class_names) == 2:
        wanted = columns[0] if columns[0] in class_names else class_names[1]
        return _plan_for_numbers(columns[0], wanted, class_names)
    if values <= set(class_names):
        return _Plan(
            _("{column}: predicted class").format(column=columns[0]), lambda prediction: [prediction.forced_class]
        )
    strange = name_some(sorted(values - set(class_names)))
    raise DatasetError(
        _(
            "column {column!r} of the sample {path!r} holds {strange}, and the model has {num} classes: "
            "{class_names}. One column can hold names of these classes, or numbers if there are two. "
            "Give the sample that belongs to this model."
        ).format(
            column=columns[0],
            path=str(sample.path),
            strange=strange,
            num=len(class_names),
            class_names=name_some(class_names, 20),
        ),
        paths=[sample.path],
    )


def _plan_for_classes(sample: _Sample, columns: Sequence[str], class_names: Sequence[str]) -> _Plan:
    unknown = [name for name in columns if name not in class_names]
    absent = [name for name in class_names if name not in columns]
    if unknown or absent or len(columns) != len(class_names):
        found = (
            _("the sample {path!r} has columns that are no classes: {columns}.")
            if unknown
            else _("the sample {path!r} has the columns {columns}.")
        ).format(path=str(sample.path), columns=name_some(unknown or columns))
        wanted = _(
            "After the id, it needs one column for each class of the model: {class_names}. Give the sample that "
            "belongs to this model."
        ).format(class_names=name_some(class_names, 20))
        raise DatasetError(
            f"{found} {wanted}",
            paths=[sample.path],
        )
    places = [class_names.index(name) for name in columns]
    meaning = _("a column for each class: its probability")
    return _Plan(meaning, lambda prediction: [_digits(prediction.probabilities[place]) for place in places])


def _plan_for_numbers(column: str, wanted: str, class_names: Sequence[str]) -> _Plan:
    place = class_names.index(wanted)
    meaning = _("{column}: probability of {wanted!r}").format(column=column, wanted=wanted)
    return _Plan(meaning, lambda prediction: [_digits(prediction.probabilities[place])])


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _digits(probability: float) -> str:
    """All digits of a float32: a probability rounded to 1 would cost dearly under a log loss."""
    return f"{probability:.9g}"
