"""A backbone as one file: an ONNX file that also holds how photos are prepared, its name, its licence and its SHA-256.

It is for machines without a network. The file is ONNX, and its last two fields are entries of `metadata_props`.
`tellapart.backbone` is JSON: `format`, `name`, `license`, `license_text` and `preprocessing`, which has the keys of
`onnx_preprocessing.py`. `tellapart.sha256` is the SHA-256 of all bytes before it. The sum finds damage. It does not
stop a stranger, who can compute it too, so the network is checked like any other ONNX file. Called by `backbone.py`
and by `commands/backbone.py`.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from tellapart.backbones.onnx_preprocessing import OnnxPreprocessing, parse_preprocessing
from tellapart.backbones.onnx_wire import read_fields, write_field
from tellapart.errors import BundleError, TellapartError
from tellapart.store import sha256_hex
from tellapart.translation import gettext as _
from tellapart.untrusted import MAX_ONNX_BYTES, parse_json, read_regular, reason_of, text_of, whole_of

_FORMAT = 1
_DESCRIPTION_KEY, _SUM_KEY = b"tellapart.backbone", b"tellapart.sha256"
# Fields of ModelProto and of the entries of its metadata.
_METADATA, _KEY, _VALUE = 14, 1, 2
# An ONNX file has some ten fields at its top, and an entry of its metadata has two.
_MOST_FIELDS, _MOST_ENTRY_FIELDS = 10_000, 4
_MAX_DESCRIPTION_BYTES = 512 * 1024


@dataclass(frozen=True)
class BackbonePack:
    """A network and what has to travel with it.

    Attributes:
        name: what it was packed from, such as `hf:OWNER/NAME@COMMIT`.
        model: ONNX bytes as they were found.
        preprocessing: how photos become its input.
        license: short name of its licence, such as `apache-2.0`; empty where none is stated.
        license_text: the words of the licence; empty where they were not found.
    """

    name: str
    model: bytes
    preprocessing: OnnxPreprocessing
    license: str = ""
    license_text: str = ""

    def to_bytes(self) -> bytes:
        """The file."""
        described = {
            "format": _FORMAT,
            "name": self.name,
            "license": self.license,
            "license_text": self.license_text,
            "preprocessing": self.preprocessing.to_json(),
        }
        data = self.model + _write_entry(_DESCRIPTION_KEY, json.dumps(described).encode())
        return data + _write_entry(_SUM_KEY, sha256_hex(data).encode())


class _Entry(NamedTuple):
    """An entry of the metadata that is ours: where its field begins and ends in the file."""

    key: bytes
    value: bytes
    start: int
    end: int


def read_pack(data: bytes, shown: str, source: str) -> BackbonePack | None:
    """What is in a packed file; `None` for any other ONNX file, and for what is none.

    Args:
        data: the whole file.
        shown: how errors begin.
        source: path of the file, for errors about its preprocessing.

    Raises:
        BundleError: it is not as it was packed, or holds something wrong.
        ConfigError: the preprocessing in it says something wrong.
    """
    try:
        entries = list(_own_entries(data))
    except ValueError:  # not ONNX; whoever reads it as such says so
        return None
    if not entries:
        return None
    description, checksum = entries[0], entries[-1]
    is_whole = (
        (description.key, checksum.key) == (_DESCRIPTION_KEY, _SUM_KEY)
        and len(entries) == 2
        and (description.end, checksum.end) == (checksum.start, len(data))
    )
    if not is_whole:
        raise BundleError(
            _("{shown} is not as it was packed: a part is missing or added. Copy the file again.").format(shown=shown)
        )
    found, wanted = sha256_hex(data[: checksum.start]).encode(), checksum.value
    if found != wanted:
        raise BundleError(
            _(
                "{shown} has changed since it was packed: its SHA-256 is {found}... and not {wanted}... . Copy the"
                " file again."
            ).format(shown=shown, found=found[:12].decode(), wanted=ascii(wanted[:12])[2:-1])
        )
    try:
        return _parse(description.value, data[: description.start], source)
    except TellapartError:
        raise
    except (KeyError, TypeError, ValueError) as exc:
        raise BundleError(
            _("{shown} cannot be used: {reason}. Pack the network again with `tellapart backbone pack`.").format(
                shown=shown, reason=reason_of(exc)
            )
        ) from exc


def is_pack(path: Path) -> bool:
    """Whether a file is a packed backbone, by its content.

    Raises:
        OSError: it cannot be read.
    """
    data = read_regular(path, MAX_ONNX_BYTES)
    try:
        return [entry.key for entry in _own_entries(data)] == [_DESCRIPTION_KEY, _SUM_KEY]
    except ValueError:
        return False


def _parse(described: bytes, model: bytes, source: str) -> BackbonePack:
    if len(described) > _MAX_DESCRIPTION_BYTES:
        raise ValueError(_("its description has more than {most:,} bytes").format(most=_MAX_DESCRIPTION_BYTES))
    value = parse_json(described)
    if not isinstance(value, dict) or not isinstance(value.get("preprocessing"), dict):
        raise ValueError(_("its description is not one that tellapart writes"))
    if (found := whole_of(value["format"])) != _FORMAT:
        raise ValueError(_("its format is {found}, and this version reads {known}").format(found=found, known=_FORMAT))
    return BackbonePack(
        name=text_of(value["name"]),
        model=model,
        preprocessing=parse_preprocessing(json.dumps(value["preprocessing"]).encode(), source),
        license=text_of(value["license"]),
        license_text=text_of(value["license_text"]),
    )


def _own_entries(data: bytes) -> Iterator[_Entry]:
    """The entries of the metadata whose keys are ours.

    Raises:
        ValueError: the bytes are not in Protocol Buffers' wire format.
    """
    start = 0
    for field in islice(read_fields(data, 0, len(data)), _MOST_FIELDS):
        if field.number == _METADATA and field.size is not None:
            inner = list(islice(read_fields(data, field.value, field.end), _MOST_ENTRY_FIELDS))
            texts = {one.number: data[one.value : one.end] for one in inner if one.size is not None}
            if texts.get(_KEY) in (_DESCRIPTION_KEY, _SUM_KEY):
                yield _Entry(texts[_KEY], texts.get(_VALUE, b""), start, field.end)
        start = field.end


def _write_entry(key: bytes, value: bytes) -> bytes:
    return write_field(_METADATA, write_field(_KEY, key) + write_field(_VALUE, value))
