"""Freed memory stays with the process, where glibc is what it frees it to."""

import os
import platform

import pytest

# 16 MB. Pieces above 64 MB are mapped all the same where a thread but the first asks
# for them: other arenas of glibc hold no larger ones.
PAGES = 4096
SCRIPT = f"""
import ctypes, resource
from color_s4l.training import memory
memory.keep_freed()
library = ctypes.CDLL(None)
# PR_SET_THP_DISABLE: one fault would bring many pages at once.
library.prctl(41, *map(ctypes.c_ulong, (1, 0, 0, 0)))
library.malloc.restype = ctypes.c_void_p
size = {PAGES} * resource.getpagesize()
for _ in range(2):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    place = ctypes.c_void_p(library.malloc(size))
    ctypes.memset(place, 1, size)
    library.free(place)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""

pytestmark = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="malloc is not glibc's"
)


@pytest.fixture(autouse=True)
def untold(monkeypatch):
    """Nothing that the machine's environment tells glibc."""
    for name in list(os.environ):
        if name.startswith(("MALLOC_", "GLIBC_TUNABLES")):
            monkeypatch.delenv(name)


def faults(python, **environment):
    done = python("-c", SCRIPT, **environment)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def test_what_was_freed_is_taken_again_without_the_system(python):
    assert faults(python) < PAGES / 10


def test_the_environment_has_the_last_word(python):
    told = {"MALLOC_MMAP_THRESHOLD_": "1000000"}
    assert faults(python, **told) >= PAGES
