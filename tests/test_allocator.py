"""What `overton doctor` says about the memory allocator."""

from __future__ import annotations

import ctypes.util
from collections.abc import Callable
from pathlib import Path

import pytest

from overton.commands import allocator

MAPS = """7f0000000000-7f0000100000 r-xp 00000000 fe:00 1  /usr/lib/x86_64-linux-gnu/libc.so.6
7f0000200000-7f0000300000 r-xp 00000000 fe:00 2  /usr/lib/x86_64-linux-gnu/{}
"""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, set[str]], None]:
    """A Linux process with a library loaded, on a machine with some allocators installed."""

    def made(loaded: str, installed: set[str]) -> None:
        maps = tmp_path / "maps"
        maps.write_text(MAPS.format(loaded))
        monkeypatch.setattr(allocator, "_MAPS", maps)
        monkeypatch.setattr("sys.platform", "linux")
        monkeypatch.setattr(ctypes.util, "find_library", lambda name: f"lib{name}.so.4" if name in installed else None)

    return made


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("libtcmalloc_minimal.so.4.5.10", "tcmalloc_minimal"),
        ("libmimalloc.so.2.0", "mimalloc"),
        ("libjemalloc.so.2", "jemalloc"),
        ("libtcmalloc_minimal_debug.so.4", ""),
        ("libm.so.6", ""),
    ],
)
def test_the_allocator_of_a_process(machine: Callable[[str, set[str]], None], file: str, name: str) -> None:
    machine(file, set())
    assert allocator.loaded_allocator() == name


def test_no_list_of_libraries(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(allocator, "_MAPS", tmp_path / "none")
    assert allocator.loaded_allocator() == ""


def test_advice(machine: Callable[[str, set[str]], None], monkeypatch: pytest.MonkeyPatch) -> None:
    machine("libm.so.6", {"jemalloc", "mimalloc"})
    assert "LD_PRELOAD=libmimalloc.so.4 overton run ...` (docs" in allocator.allocator_advice(gpu=False)
    assert allocator.allocator_advice(gpu=True) == ""
    machine("libm.so.6", set())
    assert "LD_PRELOAD=libtcmalloc_minimal.so.4 overton run ...` after `apt" in allocator.allocator_advice(gpu=False)
    machine("libjemalloc.so.2", {"jemalloc", "mimalloc"})
    assert allocator.allocator_advice(gpu=False) == ""
    machine("libm.so.6", {"jemalloc"})
    monkeypatch.setattr("sys.platform", "darwin")
    assert allocator.allocator_advice(gpu=False) == ""
