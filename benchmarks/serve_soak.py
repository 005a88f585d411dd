"""Does the reward's server lose, double or mix up answers under load, while its encoder is killed?

    python benchmarks/serve_soak.py --clients 200 --seconds 120

Starts `overton serve reward` at a free loopback port, with a token and a small queue. Clients send whole groups, groups
one answer at a time, samples of OpenRLHF and requests that must be refused. Meanwhile the process with the encoder is
killed, and once stopped so that it hangs. Afterwards every group is scored directly, and each value compared.

    lost       requests without a reply, and answers without a row
    doubled    more rows than answers, or more answers in the server's count than its clients got
    wrong      values that differ from direct scoring by more than 1e-6, or without a value on one side only
    partial    answers that were scored without all of their siblings
    implicit   errors that do not say what, or are not what the request asks for
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import re
import shlex
import signal
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import psutil

from overton.data.world.generate import make_world
from overton.jsonio import write_json
from overton.rewards import load_reward
from overton.rundir import versions
from serving.process import ServerProcess
from serving.traffic import SIBLINGS, Client, Tally

TOKEN = "soak-test-0123456789"
OVERRIDES = {"novelty_weight": 0.3}  # so that siblings matter
CLOSE = 1e-6


def main() -> None:
    """Measure, print the table, write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", help="reward, as for `overton serve reward`; default: the untuned MiniLM")
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--kills", type=int, default=3, help="of the process with the encoder, beside one hang")
    parser.add_argument("--max-queue", type=int, default=400)
    parser.add_argument("--batch-timeout", type=float, default=20)
    parser.add_argument("--situations", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/serve_soak.json"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report = soak(options, Path(folder))
    write_json(options.out, report)
    for name, value in report["figures"].items():
        print(f"| {name:28} | {value!s:>24} |")
    sys.exit(any(report["figures"][name] for name in ("lost", "doubled", "wrong", "implicit")))


def soak(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Run the server and its clients, and compare."""
    arguments = [options.source] if options.source else []
    arguments += [part for name, value in OVERRIDES.items() for part in ("--set", f"{name}={value}")]
    arguments += ["--token-env", "SOAK_TOKEN", "--threads", "1", "--max-queue", str(options.max_queue)]
    arguments += ["--max-answers", "64", "--max-body", "200000", "--group-wait", "150"]
    arguments += ["--group-size", str(SIBLINGS)]
    arguments += ["--batch-timeout", f"{options.batch_timeout:g}"]
    server = ServerProcess(folder / "log", *arguments, environment={"SOAK_TOKEN": TOKEN})
    try:
        server.start()
        memory = [psutil.Process(server.process.pid).memory_info().rss]
        tally, kills, counted, seconds = asyncio.run(traffic(options, server))
        memory.append(psutil.Process(server.process.pid).memory_info().rss)
        server.process.send_signal(signal.SIGTERM)
        code = server.process.wait(60)
    finally:
        server.end()
    wrong, partial, exact, largest = compare(options.source, tally)
    answers = sum(len(rows) for _, rows in tally.scored)
    unscored = sum(row["value"] is None for _, rows in tally.scored for row in rows)
    figures = {
        "clients": options.clients,
        "seconds": round(seconds, 1),
        "requests": sum(tally.statuses.values()),
        "answers": tally.received,
        "answers compared": answers,
        "answers with a reason": unscored,
        "lost": len(tally.lost),
        "doubled": len(tally.doubled) + abs(counted - tally.received),
        "wrong": wrong,
        "partial": partial,
        "implicit": len(tally.implicit),
        "equal to the last bit": exact,
        "largest difference": largest,
        "workers killed": sum(kind == "killed" for kind, _ in kills),
        "workers hung": sum(kind == "hung" for kind, _ in kills),
        **{f"status {name}": count for name, count in sorted(tally.statuses.items())},
        "p50 s": quantile(tally.first_try, 0.5),
        "p90 s": quantile(tally.first_try, 0.9),
        "p99 s": quantile(tally.first_try, 0.99),
        "max s": quantile(tally.first_try, 1.0),
        "p50 s with refusals": quantile(tally.seconds, 0.5),
        "p99 s with refusals": quantile(tally.seconds, 0.99),
        "server MB before": memory[0] >> 20,
        "server MB after": memory[1] >> 20,
        "exit code after SIGTERM": code,
    }
    return {
        "command": shlex.join(["python", *sys.argv]),
        "server": shlex.join(["overton", "serve", "reward", *arguments]),
        "seed": options.seed,
        "versions": versions() | {name: version(name) for name in ("fastapi", "uvicorn")},
        "cores": len(os.sched_getaffinity(0)),
        "figures": figures,
        "kills": [{"what": kind, "second": round(second, 1)} for kind, second in kills],
        "problems": (tally.lost + tally.doubled + tally.implicit)[:50],
    }


async def traffic(
    options: argparse.Namespace, server: ServerProcess
) -> tuple[Tally, list[tuple[str, float]], int, float]:
    """All clients at one time, and what kills the worker meanwhile."""
    situations = list(make_world(options.situations, 1, 1, options.seed).train)
    tally = Tally()
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx2.AsyncClient(base_url=server.url, headers=headers, timeout=200, limits=limits) as http:
        started = time.monotonic()
        killer = asyncio.create_task(kill(options, server, http, started))
        clients = [Client(number, options.seed, http, situations, tally) for number in range(options.clients)]
        await asyncio.gather(*(client.run(started + options.seconds) for client in clients))
        kills = await killer
        seconds = time.monotonic() - started
        metrics = (await http.get("/metrics")).text
    counted = sum(int(float(n)) for n in re.findall(r"^overton_answers_total\{.*\} (\S+)$", metrics, re.MULTILINE))
    return tally, kills, counted, seconds


async def kill(
    options: argparse.Namespace, server: ServerProcess, http: httpx2.AsyncClient, started: float
) -> list[tuple[str, float]]:
    """Kill the worker at times of which each part of the run has one, and stop it once so that it hangs."""
    chance = random.Random(options.seed)
    parts = options.kills + 1
    done = []
    for number in range(parts):
        second = options.seconds * (number + chance.uniform(0.3, 0.7)) / parts
        await asyncio.sleep(max(0.0, started + second - time.monotonic()))
        hang = number == parts // 2
        # One that hangs while it loads is given ten minutes, more than this test has; a kill may come at any time.
        while hang and (await http.get("/health")).status_code != 200:
            await asyncio.sleep(0.1)
        while (worker := server.find_worker()) is None:
            await asyncio.sleep(0.05)
        worker.send_signal(signal.SIGSTOP if hang else signal.SIGKILL)
        done.append(("hung" if hang else "killed", time.monotonic() - started))
    return done


def compare(source: str | None, tally: Tally) -> tuple[int, int, int, float]:
    """Every value beside that of direct scoring: wrong, partial, equal to the last bit, largest difference."""
    import torch

    torch.set_num_threads(1)
    reward = load_reward(source, **OVERRIDES)
    wrong = partial = exact = 0
    largest = 0.0
    for start in range(0, len(tally.scored), 64):
        part = tally.scored[start : start + 64]
        for (group, rows), scores in zip(part, reward.score([group for group, _ in part]), strict=True):
            for row, score in zip(rows, scores, strict=True):
                partial += row["scored_together"] != len(group.answers)
                if row["value"] is None or score.value is None:
                    wrong += row["value"] is not score.value
                    continue
                difference = abs(row["value"] - score.value)
                exact += difference == 0
                wrong += difference > CLOSE
                largest = max(largest, difference)
    return wrong, partial, exact, largest


def quantile(values: list[float], share: float) -> float | None:
    """Rounded to milliseconds."""
    return round(float(np.quantile(values, share)), 3) if values else None


if __name__ == "__main__":
    main()
