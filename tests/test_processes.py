"""Who is first of several processes, what one alone sees, and which errors say only that another has ended."""

from __future__ import annotations

import os
import time

import pytest

from overton import processes


def test_without_a_launcher_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    monkeypatch.setenv("RANK", "3")  # of something else
    assert (processes.count(), processes.number(), processes.is_first()) == (1, 0, True)
    processes.wait_for_all()
    processes.part()
    assert processes.gather([1, 2]) == [1, 2] and processes.from_first(lambda: "made") == "made"
    with processes.alone():
        assert os.environ["RANK"] == "3"
    monkeypatch.setattr(time, "sleep", lambda seconds: pytest.fail("waits"))
    processes.hold_back(ValueError())


def test_alone_hides_what_a_launcher_said_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    said = {
        "RANK": "1",
        "WORLD_SIZE": "2",
        "LOCAL_RANK": "1",
        "LOCAL_WORLD_SIZE": "2",
        "GROUP_RANK": "0",
        "ROLE_NAME": "default",
        "MASTER_ADDR": "h",
        "MASTER_PORT": "1",
        "TORCHELASTIC_RUN_ID": "none",
        "ACCELERATE_USE_FSDP": "true",
        "FSDP_VERSION": "2",
        "ACCELERATE_DEEPSPEED_ZERO_STAGE": "3",
    }
    kept = {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "0", "MY_RANK": "7"}
    for name, value in (said | kept).items():
        monkeypatch.setenv(name, value)
    assert (processes.count(), processes.number(), processes.is_first()) == (2, 1, False)
    assert processes.shares_weights()
    with pytest.raises(ValueError, match="inside"), processes.alone():
        assert not set(said) & set(os.environ) and kept.items() <= os.environ.items()
        assert processes.is_first() and not processes.shares_weights()
        raise ValueError("inside")
    assert (said | kept).items() <= os.environ.items()


def test_a_lost_connection_is_told_from_other_errors() -> None:
    lost = "[../third_party/gloo/gloo/transport/tcp/pair.cc:547] Connection closed by peer [127.0.0.1]:28123"
    assert processes.is_lost_connection(RuntimeError(lost))
    assert processes.is_lost_connection(type("DistBackendError", (RuntimeError,), {})("NCCL"))
    for other in (RuntimeError("shapes do not match"), OSError(lost), ValueError(lost)):
        assert not processes.is_lost_connection(other)
