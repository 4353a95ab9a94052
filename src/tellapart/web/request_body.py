"""The body of a request, counted while it arrives; and the one photo in it, raw or as a part of a form."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from tellapart.translation import gettext as _
from tellapart.web.refusals import RequestError, too_large

_FORM = b"multipart/form-data"
# The beginning of a body that is looked at while the rest arrives; each look sees so many times more than the last.
_MOST_HEAD_BYTES = 1024**2
_HEAD_GROWTH = 4


class BodyReader:
    """Reads bodies within the limits of one request and of all of them together.

    Args:
        max_bytes: of one body.
        max_buffered_bytes: of all that are held at once.
    """

    def __init__(self, max_bytes: int, max_buffered_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._max_buffered_bytes = max_buffered_bytes
        self.num_buffered_bytes = 0

    @asynccontextmanager
    async def read(
        self, request: Request, check_head: Callable[[bytes], bool] = lambda head: True
    ) -> AsyncIterator[bytes]:
        """The body, which counts as held while the block runs.

        Args:
            request: whose body is read.
            check_head: looks at the beginning of the body while the rest arrives: `False` asks for more of it, and a
                `RequestError` refuses the body.

        Raises:
            RequestError: it is too large, compressed, or refused, or there is no room for it now.
            ClientDisconnect: the client has left before its end.
        """
        if request.headers.get("content-encoding", "identity").lower() != "identity":
            message = _("The request is compressed with {encoding!r}. Send it as it is.")
            raise RequestError(415, message.format(encoding=request.headers["content-encoding"][:64]))
        declared = request.headers.get("content-length", "")
        if declared.isdecimal() and int(declared) > self._max_bytes:
            raise too_large(self._max_bytes)
        chunks: list[bytes] = []
        num_bytes, next_look = 0, 1
        try:
            async for chunk in request.stream():
                num_bytes += len(chunk)
                self.num_buffered_bytes += len(chunk)
                self._check(num_bytes)
                chunks.append(chunk)
                if next_look <= num_bytes and declared != str(num_bytes):  # a whole body needs no look ahead
                    is_settled = check_head(b"".join(chunks)[:_MOST_HEAD_BYTES])
                    next_look = (
                        self._max_bytes + 1
                        if is_settled or num_bytes >= _MOST_HEAD_BYTES
                        else (_HEAD_GROWTH * num_bytes)
                    )
            body = b"".join(chunks)
            chunks.clear()
            yield body
        finally:
            self.num_buffered_bytes -= num_bytes

    def _check(self, num_bytes: int) -> None:
        if num_bytes > self._max_bytes:
            raise too_large(self._max_bytes)
        if self.num_buffered_bytes > self._max_buffered_bytes:
            raise RequestError(503, _("The server holds too many uploads. Try again in 1 s."), 1, "memory")


def find_photo(body: bytes, content_type: str) -> bytes:
    """The bytes of the photo that a body is, or that the only file of a form holds.

    Args:
        body: of the request.
        content_type: its header; only `multipart/form-data` matters, for the content says what a photo is.

    Raises:
        RequestError: the form is broken, or has no file, or several.
    """
    kind, options = parse_options_header(content_type.encode("latin-1", "replace"))
    if kind != _FORM:
        return body
    if not options.get(b"boundary"):
        raise RequestError(400, _("The form has no boundary. Send the bytes of the photo themselves."))
    try:
        parts = _FormParts(options[b"boundary"]).parse(body)
    except (FormParserError, ValueError) as exc:
        raise RequestError(400, _("The form is damaged. Send the bytes of the photo themselves.")) from exc
    files = [data for is_file, data in parts if is_file] or [data for _is_file, data in parts]
    if len(files) != 1:
        message = _("The form has {num} photos. Send one photo a request.")
        raise RequestError(400, message.format(num=len(files)))
    return files[0]


def find_photo_head(head: bytes, content_type: str) -> bytes:
    """The beginning of the photo in the beginning of a body; empty where it is not there yet, or the form is broken.

    Args:
        head, content_type: as for `find_photo`.
    """
    kind, options = parse_options_header(content_type.encode("latin-1", "replace"))
    if kind != _FORM:
        return head
    try:
        parts = _FormParts(options.get(b"boundary", b"")).begin(head)
    except (FormParserError, ValueError):
        return b""
    return next((data for is_file, data in parts if is_file), b"")


class _FormParts:
    """The parts of a form, each with whether it is a file."""

    def __init__(self, boundary: bytes) -> None:
        self._parts: list[tuple[bool, bytearray]] = []
        self._is_whole = False
        self._header = bytearray()
        self._value = bytearray()
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": lambda: self._parts.append((False, bytearray())),
                "on_header_field": lambda data, start, end: self._header.extend(data[start:end]),
                "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
                "on_header_end": self._end_header,
                "on_part_data": lambda data, start, end: self._parts[-1][1].extend(data[start:end]),
                "on_end": self._end,
            },
        )

    def parse(self, body: bytes) -> list[tuple[bool, bytes]]:
        """Whether it is a file and the content of each part.

        Raises:
            ValueError: the form is broken, or cut off.
        """
        parts = self.begin(body)
        self._parser.finalize()
        if not self._is_whole:
            raise ValueError("the form has no end")
        return parts

    def begin(self, head: bytes) -> list[tuple[bool, bytes]]:
        """The same for the beginning of a form, the last part as far as it is there.

        Raises:
            ValueError: the form is broken.
        """
        self._parser.write(head)
        return [(is_file, bytes(data)) for is_file, data in self._parts]

    def _end_header(self) -> None:
        if bytes(self._header).lower() == b"content-disposition":
            _kind, options = parse_options_header(bytes(self._value))
            self._parts[-1] = (b"filename" in options, self._parts[-1][1])
        self._header.clear()
        self._value.clear()

    def _end(self) -> None:
        self._is_whole = True
