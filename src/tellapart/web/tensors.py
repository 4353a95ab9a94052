"""The tensors of the Open Inference Protocol v2: JSON, and the extension that puts their bytes behind the JSON.

https://github.com/kserve/open-inference-protocol and Triton's `extension_binary_data.md` say what is parsed here.
"""

import binascii
import json
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tellapart.translation import gettext as _
from tellapart.untrusted import MAX_JSON_BYTES, parse_json, reason_of, short_repr, text_of, whole_of
from tellapart.web.refusals import RequestError, too_large

IMAGE, PHOTO = "image", "photo"
PROBABILITIES, ANSWER = "probabilities", "answer"
_DATATYPES = {IMAGE: "UINT8", PHOTO: "BYTES"}
_MOST_AXES, _MOST_TENSORS = 8, 16
_LENGTH_BYTES = 4  # before each item of a tensor of bytes


@dataclass(frozen=True)
class InferRequest:
    """What a client asks.

    Attributes:
        request_id: to be given back; `None` without one.
        images: uint8, each of the shape that the client gave it without its batch axis; empty where photos are given.
        photos: the bytes of each file; empty where images are given.
        outputs: the wanted ones in order, each with whether it goes behind the JSON.
    """

    request_id: str | None
    images: tuple[NDArray[np.uint8], ...]
    photos: tuple[bytes, ...]
    outputs: tuple[tuple[str, bool], ...]


def parse_request(body: bytes, header_length: str | None, max_photos: int) -> InferRequest:
    """The request in a body.

    Args:
        body: JSON, and the bytes of tensors behind it.
        header_length: bytes of JSON, as the header `Inference-Header-Content-Length` says; `None` where all is JSON.
        max_photos: in one request, at most.

    Raises:
        RequestError: it is not a request that is understood.
    """
    num_json = len(body)
    try:
        if header_length is not None:
            num_json = whole_of(int(header_length) if header_length.isdecimal() else header_length, 0, len(body))
        if num_json > MAX_JSON_BYTES:
            raise too_large(MAX_JSON_BYTES)
        described = parse_json(body[:num_json])
        tensor, binary_size = _only_input(described)
        items = _parse_tensor(tensor, binary_size, body[num_json:], max_photos)
        request_id = None if described.get("id") is None else text_of(described["id"])
        outputs = _wanted_outputs(described)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as exc:
        message = _("This is not a request of the inference protocol: {reason}.")
        raise RequestError(400, message.format(reason=reason_of(exc).rstrip("."))) from exc
    if tensor["name"] == IMAGE:
        return InferRequest(request_id, tuple(items), (), outputs)
    return InferRequest(request_id, (), tuple(items), outputs)


def find_first_photo(head: bytes, header_length: str | None) -> bytes | None:
    """The beginning of the first photo behind the JSON of a request; empty: not there yet, `None`: there is none.

    What is wrong with the request is found when it is parsed.

    Args:
        head: the beginning of the body.
        header_length: as for `parse_request`.
    """
    if header_length is None or not header_length.isdecimal() or len(header_length) > len(str(MAX_JSON_BYTES)):
        return None
    num_json = int(header_length)
    start = num_json + _LENGTH_BYTES
    if len(head) < start:
        return b""
    try:
        tensor, size = _only_input(parse_json(head[:num_json]))
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
        return None
    if tensor["name"] != PHOTO or size is None:
        return None
    return head[start : start + int.from_bytes(head[num_json:start], "little")]


def write_response(
    head: dict[str, Any],
    wanted: Sequence[tuple[str, bool]],
    probabilities: NDArray[np.float32],
    answers: Sequence[str],
) -> tuple[bytes, int | None]:
    """The body of an answer, and how many of its bytes are JSON where others are behind it.

    Args:
        head: further keys of the JSON.
        wanted: as in `InferRequest`.
        probabilities: float32, shape `(n, num_classes)`.
        answers: n of them.
    """
    outputs, behind = [], []
    for name, is_binary in wanted:
        shape = list(probabilities.shape) if name == PROBABILITIES else [len(answers)]
        output: dict[str, Any] = {
            "name": name,
            "datatype": "FP32" if name == PROBABILITIES else "BYTES",
            "shape": shape,
        }
        if is_binary:
            data = probabilities.astype("<f4").tobytes() if name == PROBABILITIES else _join_bytes(answers)
            output["parameters"] = {"binary_data_size": len(data)}
            behind.append(data)
        else:
            output["data"] = probabilities.ravel().tolist() if name == PROBABILITIES else list(answers)
        outputs.append(output)
    text = json.dumps({**head, "outputs": outputs}).encode()
    return b"".join([text, *behind]), len(text) if behind else None


def _only_input(described: Any) -> tuple[dict[str, Any], int | None]:
    """The tensor of a request, and how many bytes of it are behind the JSON."""
    if not isinstance(described, dict):
        raise ValueError(_("it is no JSON object"))
    inputs = described["inputs"]
    if not isinstance(inputs, list) or len(inputs) != 1:
        raise ValueError(_("`inputs` must hold one tensor, either image or photo"))
    tensor = inputs[0]
    name = text_of(tensor["name"])
    if name not in _DATATYPES:
        raise ValueError(_("there is no input {name}. Give image or photo").format(name=short_repr(name)))
    if tensor["datatype"] != _DATATYPES[name]:
        raise ValueError(
            _("the datatype of {name} is {datatype} and not {found}").format(
                name=name, datatype=_DATATYPES[name], found=short_repr(tensor["datatype"])
            )
        )
    parameters = tensor.get("parameters") or {}
    if "shared_memory_region" in parameters:
        raise ValueError(_("shared memory is not read. Send the tensor itself"))
    size = parameters.get("binary_data_size")
    return tensor, None if size is None else whole_of(size)


def _parse_tensor(tensor: dict[str, Any], size: int | None, behind: bytes, max_photos: int) -> list[Any]:
    """Its items along the first axis."""
    shape = [whole_of(side, 1) for side in tensor["shape"]]
    if not 1 <= len(shape) <= _MOST_AXES:
        raise ValueError(_("the shape {shape} has no batch axis").format(shape=short_repr(shape)))
    num_items = math.prod(shape) if tensor["name"] == PHOTO else shape[0]
    if num_items > max_photos:
        message = _("The request holds {num:,} photos, and at most {most:,} are taken. Send several requests.")
        raise RequestError(413, message.format(num=num_items, most=max_photos), reason="too large")
    if size is None and behind:
        raise ValueError(_("there are bytes behind the JSON, and no `binary_data_size` says of what"))
    if size is not None and size != len(behind):
        raise ValueError(
            _("`binary_data_size` is {size}, and {found} bytes are behind the JSON").format(
                size=size, found=len(behind)
            )
        )
    if tensor["name"] == PHOTO:
        return _split_bytes(behind, num_items) if size is not None else _decode_strings(tensor["data"], num_items)
    pixels = np.frombuffer(behind, np.uint8) if size is not None else _pixels_of(tensor["data"])
    if pixels.size != math.prod(shape):
        raise ValueError(
            _("the shape {shape} does not fit {num} numbers").format(shape=short_repr(shape), num=pixels.size)
        )
    return list(pixels.reshape(shape))


def _pixels_of(data: Any) -> NDArray[np.uint8]:
    numbers = np.asarray(data)
    if numbers.dtype.kind != "i" or numbers.min() < 0 or numbers.max() > 255:
        raise ValueError(_("the numbers of an image must be whole and from 0 to 255"))
    return numbers.astype(np.uint8).ravel()


def _decode_strings(data: Any, num_items: int) -> list[bytes]:
    texts = np.asarray(data, object).ravel().tolist()
    if len(texts) != num_items:
        raise ValueError(_("the shape does not fit {num} photos").format(num=len(texts)))
    try:
        return [binascii.a2b_base64(text_of(text), strict_mode=True) for text in texts]
    except binascii.Error as exc:
        raise ValueError(_("a photo in JSON must be in base64")) from exc


def _split_bytes(data: bytes, num_items: int) -> list[bytes]:
    """Items of `_LENGTH_BYTES` of length, the lowest first, and so many bytes each."""
    items, start = [], 0
    for _number in range(num_items):
        if start + _LENGTH_BYTES > len(data):
            raise ValueError(_("the bytes of the photos end too early"))
        (length,) = struct.unpack_from("<I", data, start)
        start += _LENGTH_BYTES + length
        if start > len(data):
            raise ValueError(_("the bytes of the photos end too early"))
        items.append(data[start - length : start])
    if start != len(data):
        raise ValueError(_("there are bytes behind the last photo"))
    return items


def _join_bytes(texts: Sequence[str]) -> bytes:
    encoded = [text.encode("utf-8", "replace") for text in texts]
    return b"".join(struct.pack("<I", len(one)) + one for one in encoded)


def _wanted_outputs(described: dict[str, Any]) -> tuple[tuple[str, bool], ...]:
    is_binary = bool((described.get("parameters") or {}).get("binary_data_output", False))
    listed = described.get("outputs")
    if not listed:
        return ((PROBABILITIES, is_binary), (ANSWER, is_binary))
    if not isinstance(listed, list) or len(listed) > _MOST_TENSORS:
        raise ValueError(_("`outputs` must be a short list"))
    wanted = []
    for output in listed:
        name, parameters = text_of(output["name"]), output.get("parameters") or {}
        if name not in (PROBABILITIES, ANSWER):
            raise ValueError(_("there is no output {name}. Give probabilities or answer").format(name=short_repr(name)))
        if "classification" in parameters or "shared_memory_region" in parameters:
            raise ValueError(_("classification and shared memory are not available. Read probabilities"))
        wanted.append((name, bool(parameters.get("binary_data", is_binary))))
    return tuple(wanted)
