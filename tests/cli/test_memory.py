import subprocess
import sys

import pytest

# Large blocks with a small one behind each, which then are let go of: what stays in use, in MB, of which 10 are small.
CHURN = """
import ctypes
from tellapart.cli.memory import return_freed_memory
return_freed_memory()
libc = ctypes.CDLL("libc.so.6")
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
def take(size):
    block = libc.malloc(size)
    ctypes.memset(block, 1, size)
    return block
def in_use():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 / 1e6
libc.free(take(20_000_000))
before = in_use()
blocks = [(take(8_000_000), take(500_000)) for _ in range(20)]
for large, _small in blocks:
    libc.free(large)
print(in_use() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc keeps freed memory so")
def test_a_long_process_hands_large_freed_blocks_back() -> None:
    done = subprocess.run([sys.executable, "-c", CHURN], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 40
