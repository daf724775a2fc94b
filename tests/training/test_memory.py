"""Freed memory stays with the process, where glibc is what it frees it to."""

import platform

import pytest

PAGES = 4096
SCRIPT = f"""
import ctypes, resource
from color_s4l.training import memory
memory.keep_freed()
library = ctypes.CDLL(None)
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


def faults(python, **environment):
    done = python("-c", SCRIPT, **environment)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def test_what_was_freed_is_taken_again_without_the_system(python):
    assert faults(python) < PAGES / 10


def test_the_environment_has_the_last_word(python):
    told = {"MALLOC_MMAP_THRESHOLD_": "1000000"}
    assert faults(python, **told) >= PAGES
