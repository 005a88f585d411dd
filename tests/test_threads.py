"""How long threads wait is decided by who else is at work, never against the user."""

from __future__ import annotations

import builtins
import os
from typing import Any

import psutil
import pytest

from overton.threads import wait_long_if_alone, wait_shortly


@pytest.mark.parametrize(
    ("cores", "busy", "threads", "wait"),
    [
        (2, 0.0, 2, "20000"),
        (2, 10.0, 2, "20000"),  # a fifth of a core
        (2, 50.0, 2, "1000"),
        (2, 50.0, 1, "20000"),
        (8, 50.0, 2, "20000"),
        (8, 50.0, 0, "1000"),  # a thread a core
        (2, 0.0, 4, "20000"),
    ],
)
def test_threads_wait_long_where_each_has_a_core(
    monkeypatch: pytest.MonkeyPatch, cores: int, busy: float, threads: int, wait: str
) -> None:
    monkeypatch.setenv("GOMP_SPINCOUNT", "")  # so that it is put back
    monkeypatch.delenv("GOMP_SPINCOUNT")
    monkeypatch.setattr(psutil, "cpu_count", lambda: cores)
    monkeypatch.setattr(psutil, "cpu_percent", lambda seconds: busy)
    wait_shortly()
    wait_long_if_alone(threads)
    assert os.environ["GOMP_SPINCOUNT"] == wait


def test_what_the_user_has_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    monkeypatch.setattr(psutil, "cpu_percent", lambda seconds: 0.0)
    wait_shortly()
    wait_long_if_alone(2)
    assert os.environ["GOMP_SPINCOUNT"] == "7"


def test_without_psutil_the_wait_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    load = builtins.__import__

    def missing(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "psutil":
            raise ImportError(name)
        return load(name, *args, **kwargs)

    monkeypatch.setenv("GOMP_SPINCOUNT", "")  # so that it is put back
    monkeypatch.delenv("GOMP_SPINCOUNT")
    monkeypatch.setattr(builtins, "__import__", missing)
    wait_shortly()
    wait_long_if_alone(2)
    assert os.environ["GOMP_SPINCOUNT"] == "1000"
