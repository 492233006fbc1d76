"""How this process asks the C library for memory."""

from __future__ import annotations

import ctypes
from typing import Final

_M_MMAP_THRESHOLD: Final = -3  # from glibc's malloc.h
LARGE_BYTES: Final = 1 << 18


def give_large_blocks_back() -> bool:
    """Let every block of 256 kB or more be pages of its own, which go back to the system when it is freed.

    By itself glibc raises that size, up to 32 MB, whenever such a block is freed; a join that grows then leaves holes in
    the heap that nothing else fits: a third more memory per pending prediction was measured. Returns whether it was done:
    on other C libraries nothing happens.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, LARGE_BYTES))
