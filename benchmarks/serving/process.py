"""A server in a process of its own, at a free loopback port."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import psutil

_WORKER = "spawn_main"  # in the command line of the process that holds the encoder


class ServerProcess:
    """``overton serve reward`` with some options.

    Args:
        log: file that gets what the server says.
        options: of the command, source included.
        environment: variables beside those of this process.

    Attributes:
        process: the server's process.
        url: its address once it has started.
    """

    def __init__(self, log: Path, *options: str, environment: dict[str, str] | None = None) -> None:
        self.log = log
        self.url = ""
        command = [sys.executable, "-m", "overton", "serve", "reward", *options, "--port", "0"]
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                command, stdout=output, stderr=output, env={**os.environ, **(environment or {})}
            )

    def start(self) -> None:
        """Wait until it can be asked."""
        while not self.url:
            if self.process.poll() is not None:
                raise RuntimeError(f"the server ended: {self.text()}")
            found = re.search(r"(http://\S+:\d+)/score", self.text())
            self.url = found[1] if found else ""
            time.sleep(0.05)

    def text(self) -> str:
        """What it has said."""
        return self.log.read_text(encoding="utf-8")

    def worker(self) -> psutil.Process:
        """The process that holds the encoder; waits for one."""
        while True:
            if (found := self.find_worker()) is not None:
                return found
            time.sleep(0.05)

    def find_worker(self) -> psutil.Process | None:
        """The process that holds the encoder, if there is one now."""
        for child in psutil.Process(self.process.pid).children():
            try:
                if _WORKER in " ".join(child.cmdline()):
                    return child
            except psutil.Error:  # it ended in this moment
                continue
        return None

    def end(self) -> None:
        """Kill it if it still runs."""
        self.process.kill()
        self.process.wait()
