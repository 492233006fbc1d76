"""How this process asks the C library for memory."""

from __future__ import annotations

import ctypes
from typing import Final

# From glibc's malloc.h.
_M_TRIM_THRESHOLD: Final = -1
_M_TOP_PAD: Final = -2
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8

LARGE_BYTES: Final = 1 << 24
"""Blocks of this size or more are pages of their own."""
KEPT_BYTES: Final = 1 << 25
"""Free memory that each heap keeps at its end: what the largest batches need, again and again."""
STEP_BYTES: Final = 1 << 22
"""What a heap grows by."""
HEAPS: Final = 2
"""One for the interpreter, one for all threads of the Kafka client."""


def keep_freed_memory() -> bool:
    """Let the heap keep what the arrays of a batch leave behind, for the arrays of the next one.

    By itself glibc gives every block of 128 kB or more back to the system when it is freed, and the end of the heap
    likewise; pages that come back come zeroed and one fault at a time, which cost a quarter of the daemon's CPU time.
    What grows for long (the join) is not in the heap at all: `monitor.join.pages`. There are `HEAPS` of them: by itself glibc
    makes up to eight a core for the threads that Kafka clients come and go with, and each would keep what one rebuild needed
    once; a worker that took partitions over sixty times had grown from 120 MB to 610 MB. Returns whether it was done:
    on other C libraries nothing happens.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    settings = {
        _M_MMAP_THRESHOLD: LARGE_BYTES,
        _M_TRIM_THRESHOLD: KEPT_BYTES,
        _M_TOP_PAD: STEP_BYTES,
        _M_ARENA_MAX: HEAPS,
    }
    done = [mallopt(name, size_bytes) for name, size_bytes in settings.items()]
    return all(done)
