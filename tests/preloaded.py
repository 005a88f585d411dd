"""Python processes that have the training libraries loaded: forks of one process, each without seconds of imports.

    run(["-m", "overton", "run", ...])              # like subprocess.run([sys.executable, ...]), output as text
    run(["script.py", ...], processes=2)            # like torchrun: its agent, and two processes of the script
    start([...], out=path, err=path)                # a multiprocessing.Process

The forks are those of multiprocessing's fork server. What a library reads from the environment when it is loaded must
be set for the tests as a whole.
"""

from __future__ import annotations

import gc
import importlib
import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path

# See conftest.
FEW_RESAMPLES = {"overton.estimator.benchmark.RESAMPLES": 50, "overton.estimator.people.RESAMPLES": 50}
LIBRARIES = [
    "sentence_transformers",
    "torch.distributed.launcher.api",
    "transformers.models.qwen2.modeling_qwen2",
    "trl.trainer.grpo_trainer",
    "trl.trainer.sft_trainer",
    "overton.cli",
    "overton.estimator.train",
    "overton.training.grpo",
    "overton.training.sft",
]
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(LIBRARIES)


def load() -> None:
    """Load the same libraries in this process."""
    for name in LIBRARIES:
        importlib.import_module(name)


def start(
    arguments: Sequence[str], out: Path, err: Path, env: Mapping[str, str] | None = None, processes: int = 0
) -> BaseProcess:
    """Start ``python ARGUMENTS`` in the folder of the test.

    Args:
        arguments: ``-m MODULE ...`` or ``SCRIPT ...``.
        out: file that standard output is added to.
        err: another for standard error, or the same.
        env: its environment; that of the test without one.
        processes: start an agent like torchrun's, which starts so many; 0 = none, and one process.
    """
    given = (list(arguments), out, err, dict(env or os.environ), Path.cwd(), processes)
    process = _CONTEXT.Process(target=_become, args=given)
    process.start()
    return process


def run(
    arguments: Sequence[str], env: Mapping[str, str] | None = None, processes: int = 0
) -> subprocess.CompletedProcess[str]:
    """Start it, wait ten minutes at most, and read what it printed; arguments as of :func:`start`."""
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        process = start(arguments, out, err, env, processes)
        process.join(600)
        texts = [file.read_text(encoding="utf-8", errors="replace") for file in (out, err)]
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(list(arguments), 600, *texts)
    return subprocess.CompletedProcess(list(arguments), process.exitcode or 0, *texts)


def _become(arguments: list[str], out: Path, err: Path, env: Mapping[str, str], folder: Path, processes: int) -> None:
    gc.freeze()  # each training collects garbage, and would walk through all modules
    for file, standard in ((out, 1), (err, 2)):
        opened = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        os.dup2(opened, standard)
        os.close(opened)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(env)
    for name, count in FEW_RESAMPLES.items():
        module, attribute = name.rsplit(".", 1)
        setattr(importlib.import_module(module), attribute, count)
    if processes:
        _launch(arguments, processes)
    else:
        _main(arguments)


def _main(arguments: list[str]) -> None:
    if arguments[0] == "-m":
        sys.argv = arguments[1:]
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = arguments
        sys.path.insert(0, str(Path(arguments[0]).parent))
        runpy.run_path(arguments[0], run_name="__main__")


def _one_of_several(arguments: list[str]) -> None:
    try:
        _main(arguments)
    except SystemExit as end:
        if end.code:  # the agent waits for one that returns
            raise


def _launch(arguments: list[str], processes: int) -> None:
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id="test",
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
        monitor_interval=0.1,
        start_method="fork",
    )
    try:
        elastic_launch(config, _one_of_several)(arguments)
    except ChildFailedError as failure:
        sys.exit(str(failure))
