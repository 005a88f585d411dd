"""Several processes of one run, as torchrun and ``accelerate launch`` start them: who is first, and who waits.

The first process does alone what is done once: every stage but training, and every file of the run directory. The
others wait for it. Only a training makes them talk to each other, so nothing here loads torch before.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

# How long one process may be at work while the others wait for it. With a vLLM server the first one generates the
# answers of all; torch's own 10 minutes are too short for a large step.
_PATIENCE = timedelta(hours=2)
# What a launcher tells a process. What the first process does alone must not see it, or it would wait for the others.
_TOLD = re.compile(
    r"(LOCAL_|GROUP_|ROLE_)?(RANK|WORLD_SIZE)|ROLE_NAME|MASTER_(ADDR|PORT)|TORCHELASTIC_\w+|FSDP_\w+"
    r"|ACCELERATE_USE_(FSDP|DEEPSPEED|MEGATRON_LM|PARALLELISM_CONFIG)|ACCELERATE_DEEPSPEED_\w+|PARALLELISM_CONFIG_\w+"
)
_LOST = re.compile(r"Connection (closed|reset) by peer|gloo/transport|NCCL (error|communicator)", re.IGNORECASE)


def count() -> int:
    """Processes of this run, 1 without a launcher."""
    return int(os.environ.get("WORLD_SIZE") or 1)


def number() -> int:
    """Which of them this one is, from 0."""
    return int(os.environ.get("RANK") or 0) if count() > 1 else 0


def is_first() -> bool:
    """Whether this process writes the run directory and speaks to the user."""
    return number() == 0


def shares_weights() -> bool:
    """Whether the launcher asked for FSDP or DeepSpeed, which share out the weights or the optimizer's state."""
    names = ("ACCELERATE_USE_FSDP", "ACCELERATE_USE_DEEPSPEED")
    return count() > 1 and any(os.environ.get(name, "").lower() == "true" for name in names)


def wait_for_all() -> None:
    """Go on when every process has come here; nothing happens with one process."""
    if count() > 1:
        _connect().wait_for_everyone()


def _connect() -> Any:
    """The processes' connection, made by the first call."""
    import torch
    from accelerate import PartialState
    from accelerate.state import AcceleratorState

    if not torch.distributed.is_initialized():
        AcceleratorState._reset_state(reset_partial_state=True)  # of an earlier stage, where this one was alone
    forced = os.environ.get("ACCELERATE_USE_CPU", "").lower() in ("1", "true", "yes")
    return PartialState(cpu=forced or not torch.cuda.is_available(), timeout=_PATIENCE)


def gather(values: list[Any]) -> list[Any]:
    """The values of all processes in their order, on each of them; every process has to call it."""
    if count() == 1:
        return values
    from accelerate.utils import gather_object

    _connect()
    return list(gather_object(values))


def from_first(make: Any) -> Any:
    """What ``make()`` gives on the first process, on all of them; it has to be something that pickles."""
    if count() == 1:
        return make()
    from accelerate.utils import broadcast_object_list

    _connect()
    return broadcast_object_list([make() if is_first() else None])[0]


def part() -> None:
    """End the talk of the processes after a training, for good: the first one goes on alone."""
    if count() == 1:
        return
    import torch
    from accelerate.state import AcceleratorState

    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
    AcceleratorState._reset_state(reset_partial_state=True)


def on_one_gpu(arguments: Any) -> Any:
    """Training arguments of transformers, for one GPU however many there are; changed in place.

    Its trainer would share out each batch among all that one process sees, and make a batch as many times as large.
    """
    arguments._n_gpu = min(arguments.n_gpu, 1)  # transformers sets it so too, where it is to be one
    return arguments


@contextmanager
def alone() -> Iterator[None]:
    """Let libraries see this one process only, whatever the launcher said."""
    hidden = {name: os.environ.pop(name) for name in list(os.environ) if _TOLD.fullmatch(name)} if count() > 1 else {}
    try:
        yield
    finally:
        os.environ.update(hidden)


def is_lost_connection(error: BaseException) -> bool:
    """Whether an error says only that another process has ended."""
    return type(error).__name__ in ("DistBackendError", "DistNetworkError") or bool(
        isinstance(error, RuntimeError) and _LOST.search(str(error))
    )


def hold_back(error: BaseException) -> None:
    """Before an error is told: wait a moment where the launcher is likely to end this process first.

    The same mistake in a recipe stops every process, and the end of one breaks the connections of the others. The
    launcher ends all when one has failed, so that only the message of the one that knows is seen.
    """
    if count() > 1:
        time.sleep(10 if is_lost_connection(error) else 0 if is_first() else 3)


__all__ = [
    "alone",
    "count",
    "from_first",
    "gather",
    "hold_back",
    "is_first",
    "is_lost_connection",
    "number",
    "on_one_gpu",
    "part",
    "shares_weights",
    "wait_for_all",
]
