"""Python processes that have the training libraries loaded: forks of one process, each without seconds of imports.

    run(["-m", "overton", "run", ...])              # like subprocess.run([sys.executable, ...]), output as text
    run(["script.py", ...], processes=2)            # like torchrun: its agent, and two processes of the script
    start([...], stdout=file, stderr=file)          # like subprocess.Popen

Each test process has a parent of its own for them, started with the first. What a library reads from the environment
when it is loaded must be set for the tests as a whole.
"""

from __future__ import annotations

import gc
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NoReturn

LIBRARIES = """
import sentence_transformers, sklearn.metrics, torch, torch.distributed.launcher.api
from transformers import Qwen2ForCausalLM
from trl import GRPOTrainer, SFTTrainer
import overton.cli, overton.estimator.train, overton.training.grpo, overton.training.sft
torch.set_num_threads(1)
"""
_LARGEST = 200_000


class Process:
    """One fork, seen from the test: what :class:`subprocess.Popen` offers, as far as tests need it."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """The exit status, negative for a signal; ``None`` while it runs."""
        if self.returncode is None:
            self.returncode = _parent().status(self.pid)
        return self.returncode

    def wait(self, timeout: float = 600) -> int:
        """The exit status. After ``timeout`` seconds it is killed, and that is an error."""
        end = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > end:
                os.kill(self.pid, signal.SIGKILL)
                raise TimeoutError(f"process {self.pid} ran for more than {timeout} seconds")
            time.sleep(0.01)
        return code


class _Parent:
    """The process with the libraries, seen from the test."""

    def __init__(self) -> None:
        self.socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        code = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); "
        code += f"import preloaded; preloaded.become(preloaded.serve({theirs.fileno()}))"
        environment = os.environ | {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
        self.process = subprocess.Popen([sys.executable, "-c", code], pass_fds=[theirs.fileno()], env=environment)
        theirs.close()
        self.codes: dict[int, int] = {}

    def _message(self) -> dict[str, int]:
        text = self.socket.recv(_LARGEST)
        if not text:
            raise RuntimeError("the process that loads the libraries has ended")
        return dict(json.loads(text))

    def fork(self, request: dict[str, Any], files: Sequence[int]) -> int:
        socket.send_fds(self.socket, [json.dumps(request).encode()], list(files))
        while "started" not in (message := self._message()):
            self.codes[message["ended"]] = message["code"]
        return message["started"]

    def status(self, pid: int) -> int | None:
        while pid not in self.codes and select.select([self.socket], [], [], 0)[0]:
            message = self._message()
            self.codes[message["ended"]] = message["code"]
        return self.codes.get(pid)


_parents: dict[int, _Parent] = {}


def _parent() -> _Parent:
    if os.getpid() not in _parents:
        _parents[os.getpid()] = _Parent()
    return _parents[os.getpid()]


def start(
    arguments: Sequence[str],
    stdout: IO[Any],
    stderr: IO[Any],
    env: Mapping[str, str] | None = None,
    cwd: str | Path | None = None,
    processes: int = 0,
) -> Process:
    """Start ``python ARGUMENTS``.

    Args:
        arguments: ``-m MODULE ...`` or ``SCRIPT ...``.
        stdout: an open file.
        stderr: another, or the same.
        env: its environment; that of the test without one.
        cwd: its folder; that of the test without one.
        processes: start an agent like torchrun's, which starts so many; 0 = none, and one process.
    """
    request = {"arguments": [*map(str, arguments)], "env": dict(env or os.environ), "processes": processes}
    request["cwd"] = str(cwd or Path.cwd())
    return Process(_parent().fork(request, [stdout.fileno(), stderr.fileno()]))


def run(arguments: Sequence[str], timeout: float = 600, **options: Any) -> subprocess.CompletedProcess[str]:
    """Start it, wait, and read what it printed; options as in :func:`start`."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        code = start(arguments, out, err, **options).wait(timeout)
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode("utf-8", "replace"))
    return subprocess.CompletedProcess(list(arguments), code, *texts)


# ------------------------------------------------------------------ in the process with the libraries


def serve(number: int) -> dict[str, Any]:
    """Fork at each request from socket ``number``; gives the request, in the fork alone."""
    exec(LIBRARIES, {})
    gc.freeze()
    connection, running = socket.socket(fileno=number), set[int]()
    while True:
        for pid in list(running):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                running.remove(pid)
                connection.send(json.dumps({"ended": pid, "code": os.waitstatus_to_exitcode(status)}).encode())
        if not select.select([connection], [], [], 0.02)[0]:
            continue
        text, files, _, _ = socket.recv_fds(connection, _LARGEST, 2)
        if not text:  # the test process is gone
            for pid in running:
                os.kill(pid, signal.SIGKILL)
            os._exit(0)
        if pid := os.fork():
            running.add(pid)
            for file in files:
                os.close(file)
            connection.send(json.dumps({"started": pid}).encode())
            continue
        connection.close()
        for file, standard in zip([os.open(os.devnull, os.O_RDONLY), *files], (0, 1, 2), strict=True):
            os.dup2(file, standard)
            os.close(file)
        return dict(json.loads(text))


def become(request: dict[str, Any]) -> None:
    """Go on as the process that was asked for."""
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    if request["processes"]:
        _launch(request["arguments"], request["processes"])
    else:
        _main(request["arguments"])


def _main(arguments: list[str]) -> None:
    if arguments[0] == "-m":
        sys.argv = arguments[1:]
        sys.path[0] = os.getcwd()
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = arguments
        sys.path[0] = str(Path(arguments[0]).parent)
        runpy.run_path(arguments[0], run_name="__main__")


def _one_of_several(arguments: list[str]) -> None:
    try:
        _main(arguments)
    except SystemExit as end:
        if end.code:
            raise


def _launch(arguments: list[str], processes: int) -> NoReturn:
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
        print(failure, file=sys.stderr)
        sys.exit(1)
    sys.exit(0)
