"""Memory that a process has freed stays with it."""

import ctypes
import os
import platform

# Numbers of glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
_LARGEST = 2**31 - 1


def keep_freed() -> None:
    """Lets the C library keep freed memory for what is asked for next.

    A training step frees what the next one asks for again. glibc hands large pieces
    back to the system meanwhile, which then maps and clears them page by page: a sixth
    of a step's time of VGG-16, a hundredth of the ConvNet's; peak memory grows by 0 to
    8 % (two cores, TensorFlow; benchmarks/results/README.md).

    Pieces above 64 MB that threads other than the first ask for are mapped anew all the
    same. It holds for the whole process. Other C libraries are left as they are, and so
    is glibc where the environment tells it something (`MALLOC_...`, `GLIBC_TUNABLES`).
    """
    told = any(name.startswith(("MALLOC_", "GLIBC_TUNABLES")) for name in os.environ)
    if platform.libc_ver()[0] != "glibc" or told:
        return
    library = ctypes.CDLL(None)
    library.mallopt(_TRIM_THRESHOLD, _LARGEST)
    library.mallopt(_MMAP_MAX, 0)
