"""How the process of the command keeps memory; a Python caller's process is left as it is."""

import ctypes

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -2, -3, -4


def keep_freed_memory() -> None:
    """Tells glibc to reuse freed memory instead of handing it back to the kernel and faulting it in anew.

    A step of the article's network frees and asks again for about 1 GB in blocks of up to 90 MB. glibc maps each such
    block, and the kernel zeroes every page of it on first touch: 41 images/s, against 70 with the blocks kept (batch
    32, 2 cores, 2026-11-24). No effect, and no harm, where the C library is another one. A Python caller gets the same
    from the environment variables MALLOC_MMAP_MAX_=0, MALLOC_TRIM_THRESHOLD_=2147483647 and MALLOC_TOP_PAD_=67108864.
    """
    _set({_MMAP_MAX: 0, _TRIM_THRESHOLD: 2**31 - 1, _TOP_PAD: 64 * 1024**2})


def return_freed_memory() -> None:
    """Tells glibc to hand every freed block of 1 MiB or more back to the kernel, for a process that runs for days.

    Otherwise glibc keeps ever larger blocks for reuse, and one small one behind each keeps it from being handed back.
    After 2,000 photos were seen, checked and learned twice, 400 MB are in use and not 521 (2026-11-28). No effect, and
    no harm, where the C library is another one.
    """
    _set({_MMAP_THRESHOLD: 1024**2})


def _set(values: dict[int, int]) -> None:
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    for parameter, value in values.items():
        mallopt(parameter, value)
