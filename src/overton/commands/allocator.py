"""Which memory allocator this process runs with, and which faster one the machine has."""

from __future__ import annotations

import ctypes.util
import sys
from pathlib import Path

# In the order of what training on a CPU gained in benchmarks/allocators.py.
ALLOCATORS = ("tcmalloc_minimal", "mimalloc", "jemalloc")
_MAPS = Path("/proc/self/maps")


def loaded_allocator() -> str:
    """Name of an allocator that was loaded before the C library's; ``""`` = the C library's own."""
    try:
        maps = _MAPS.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return next((name for name in ALLOCATORS if f"/lib{name}." in maps), "")


def found_allocator() -> str:
    """File name of one that the system's loader finds, as ``LD_PRELOAD`` takes it; ``""`` = none."""
    return next((file for name in ALLOCATORS if (file := ctypes.util.find_library(name))), "")


def allocator_advice(gpu: bool) -> str:
    """What to do for a faster one, in a sentence; ``""`` where nothing is to be done.

    Args:
        gpu: whether models run on a GPU, whose memory torch looks after by itself.
    """
    if gpu or not sys.platform.startswith("linux") or loaded_allocator():
        return ""
    file = found_allocator()
    get = "" if file else " after `apt install libtcmalloc-minimal4`"
    return (
        "training on a CPU may take a fifth less time with another memory allocator than the C library's: "
        f"`LD_PRELOAD={file or 'libtcmalloc_minimal.so.4'} overton run ...`{get} (docs/speed.md)"
    )
