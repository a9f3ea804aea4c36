"""What a process has in use of the memory that it has.

How much it has depends on the allocator as well: on the holes between what is in use, and on how
many threads have had something to do. A leak is in use.
"""

from __future__ import annotations

import ctypes
import gc
import sys
from contextlib import suppress
from typing import ClassVar


class _Mallinfo(ctypes.Structure):
    _fields_: ClassVar = [
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    ]


def python_blocks() -> int:
    """Return how many blocks of memory Python's objects take, once garbage is collected."""
    gc.collect()
    return sys.getallocatedblocks()


def malloc_bytes() -> int:
    """Return how many bytes everything else takes, such as SQLite. 0 where it isn't known."""
    with suppress(AttributeError, OSError):  # glibc's alone, since 2.33
        mallinfo = ctypes.CDLL(None).mallinfo2
        mallinfo.restype = _Mallinfo
        info = mallinfo()
        return int(info.uordblks + info.hblkhd)
    return 0
