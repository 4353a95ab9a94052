"""What C libraries print to the process's error output while they decode, kept from whoever reads it.

libjpeg inside OpenCV and libtiff inside Pillow write what they find wrong straight to descriptor 2, and neither lets
a caller stop that. So the descriptor leads elsewhere while a decoder runs, in whichever threads, and back as soon as
the last has ended; what others have written to it in the meantime is passed on.
"""

import os
import re
import tempfile
import threading
from types import TracebackType

_STDERR = 2
# From libjpeg's jerror.h, and of libtiff any "module: text.", which nothing else is taken for unless a TIFF was read.
_LIBJPEG = re.compile(
    rb"(?:Corrupt JPEG data: |Premature end of JPEG file|Warning: (?:unknown|thumbnail)|Inconsistent progression"
    rb"|Invalid SOS parameters|Unknown Adobe|Application transferred|JPEG datastream|Invalid color quantization)"
)
_LIBTIFF = re.compile(rb"[\w.\- ]+: .*\.$")


class NativeStderr:
    """A block in which a decoder may print; may be entered by several threads at once.

    Args:
        is_libtiff: whether libtiff decodes in it.
    """

    _lock = threading.Lock()
    _num_inside = 0
    _saved = -1
    _sink = -1
    _num_read = 0
    _has_libtiff = False

    def __init__(self, *, is_libtiff: bool = False) -> None:
        self._is_libtiff = is_libtiff

    def __enter__(self) -> None:
        shared = NativeStderr
        with shared._lock:
            if shared._num_inside == 0:
                try:
                    shared._saved = os.dup(_STDERR)
                except OSError:  # there is no such descriptor, as in some services: nothing can be printed
                    shared._saved = -1
                else:
                    shared._sink = shared._sink if shared._sink >= 0 else _open_sink()
                    os.dup2(shared._sink, _STDERR)
            shared._num_inside += 1
            shared._has_libtiff |= self._is_libtiff

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shared = NativeStderr
        with shared._lock:
            shared._num_inside -= 1
            if shared._saved < 0:
                return
            is_last = shared._num_inside == 0
            if is_last:
                os.dup2(shared._saved, _STDERR)
            _pass_on(shared._saved)
            if is_last:
                os.close(shared._saved)


def _open_sink() -> int:
    """A file without a name that takes what is printed, at its end whoever writes."""
    if hasattr(os, "memfd_create"):
        import fcntl

        sink = os.memfd_create("printed", os.MFD_CLOEXEC)
        fcntl.fcntl(sink, fcntl.F_SETFL, os.O_APPEND)
        return sink
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _pass_on(target: int) -> None:
    """Writes what is new in the sink to `target`, without the libraries' own lines."""
    shared = NativeStderr
    size = os.lseek(shared._sink, 0, os.SEEK_END)
    if size == shared._num_read:
        return
    os.lseek(shared._sink, 0, os.SEEK_SET)
    printed = os.read(shared._sink, size)[shared._num_read :]
    lines = [line for line in printed.splitlines(keepends=True) if not _is_noise(line.rstrip())]
    shared._num_read = size
    if shared._num_inside == 0:
        os.ftruncate(shared._sink, 0)
        shared._num_read, shared._has_libtiff = 0, False
    if lines:
        os.write(target, b"".join(lines))


def _is_noise(line: bytes) -> bool:
    return bool(_LIBJPEG.match(line) or (NativeStderr._has_libtiff and _LIBTIFF.match(line)))


def _restore_in_child() -> None:
    """In a process that was forked while a thread decoded, which goes on without that thread."""
    shared = NativeStderr
    if shared._num_inside and shared._saved >= 0:
        os.dup2(shared._saved, _STDERR)
    shared._lock, shared._num_inside, shared._sink = threading.Lock(), 0, -1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_restore_in_child)
