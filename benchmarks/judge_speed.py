"""Time of `overton judge` against an endpoint of known latency, and what a kill costs.

    python benchmarks/judge_speed.py                # measures and writes benchmarks/results/judge_speed.json
    python benchmarks/judge_speed.py --table-only   # writes the table of docs/judge.md from that file

The endpoint is a process of its own on a loopback port. It answers each call after a fixed time, and counts which
question it was asked and which it answered. The command is run as a user would run it: wall time holds start and all.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from overton.data.world.generate import make_world
from overton.jsonio import read_json, read_jsonl, write_json, write_jsonl
from overton.rundir import versions
from overton.segment import format_answer
from pages import fill

ROOT = Path(__file__).resolve().parents[1]
RESULTS, PAGE = ROOT / "benchmarks" / "results" / "judge_speed.json", ROOT / "docs" / "judge.md"
ASPECTS = ("helpfulness", "clarity", "factuality", "depth", "engagement")
REPLY = json.dumps({aspect: {"reason": "It is a sentence of the usual length.", "score": 4} for aspect in ASPECTS})


def serve(latency: float, pipe: Connection) -> None:
    """Answer calls; whenever the pipe says so, send [questions asked, questions answered] and begin to count anew."""
    asked: list[str] = []
    answered: list[str] = []
    lock = threading.Lock()
    usage = {"prompt_tokens": 600, "completion_tokens": 100}
    choice = {"index": 0, "message": {"role": "assistant", "content": REPLY}, "finish_reason": "stop"}
    body = json.dumps({"object": "chat.completion", "choices": [choice], "usage": usage}).encode()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            call = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            question = json.dumps(call["messages"])
            with lock:
                asked.append(question)
            time.sleep(latency)
            try:
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            except OSError:
                return
            with lock:
                answered.append(question)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.request_queue_size = 256
    threading.Thread(target=server.serve_forever, daemon=True).start()
    pipe.send(server.server_address[1])
    while pipe.recv():
        with lock:
            pipe.send((list(asked), list(answered)))
            asked.clear()
            answered.clear()


def make_answers(path: Path, count: int) -> None:
    """As many different answers to generated questions, with all their perspectives."""
    situations = make_world(1, 1, count, seed=0).test
    rows = [{"id": s.id, "prompt": s.text, "answer": format_answer(s.perspectives, "All matter.")} for s in situations]
    write_jsonl(path, rows)


def command(answers: Path, output: Path, port: int, concurrency: int) -> list[str]:
    """The call of the command line."""
    given = ["judge", str(answers), "--output", str(output), "--base-url", f"http://127.0.0.1:{port}/v1"]
    return [sys.executable, "-m", "overton", *given, "--set", f"concurrency={concurrency}"]


def timed(answers: Path, output: Path, port: int, concurrency: int) -> float:
    """Wall seconds of the whole command."""
    began = time.perf_counter()
    subprocess.run(command(answers, output, port, concurrency), check=True, capture_output=True)
    return time.perf_counter() - began


def killed(answers: Path, output: Path, port: int, concurrency: int, after: int, pipe: Connection) -> dict[str, Any]:
    """Kill the command once so many replies are on disk, run it again, and compare with the endpoint's counts."""
    replies = output / "llm" / "replies.jsonl"
    child = subprocess.Popen(
        command(answers, output, port, concurrency), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while child.poll() is None and not (replies.exists() and replies.read_bytes().count(b"\n") >= after):
        time.sleep(0.005)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    time.sleep(1)  # calls under way come to their end
    kept = {json.dumps([{"role": r, "content": c} for r, c in row["messages"]]) for row in read_jsonl(replies)}
    pipe.send(True)
    first, _ = pipe.recv()
    seconds = timed(answers, output, port, concurrency)
    pipe.send(True)
    second, _ = pipe.recv()
    rows = read_jsonl(output / "scores.jsonl")
    return {
        "asked before the kill": len(first),
        "replies on disk at the kill": len(kept),
        "under way at the kill": len(set(first) - kept),
        "asked after it": len(second),
        "replies on disk that were asked again": len(kept & set(second)),
        "asked twice after it": sum(count > 1 for count in Counter(second).values()),
        "answers without a grade at the end": sum(row["judge_mean"] is None for row in rows),
        "answers": len(rows),
        "different questions asked": len(set(first) | set(second)),
        "seconds of the second run": round(seconds, 2),
    }


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """All figures."""
    context = get_context("spawn")
    pipe, other = context.Pipe()
    server = context.Process(target=serve, args=(options.latency, other), daemon=True)
    server.start()
    port = pipe.recv()
    os.environ["OPENAI_API_KEY"] = "none"
    with tempfile.TemporaryDirectory() as home:
        answers = Path(home) / "answers.jsonl"
        make_answers(answers, options.answers)
        wall = [timed(answers, Path(home) / f"run-{i}", port, options.concurrency) for i in range(options.repeats)]
        again = timed(answers, Path(home) / "run-0", port, options.concurrency)
        pipe.send(True)
        asked, _ = pipe.recv()
        found = killed(answers, Path(home) / "killed", port, options.concurrency, options.answers // 2, pipe)
    pipe.send(False)
    server.join(5)
    return {
        "command": shlex.join(["python", *sys.argv]),
        "versions": versions() | {"openai": version("openai"), "python": sys.version.split()[0]},
        "cores": len(os.sched_getaffinity(0)),
        "load": round(os.getloadavg()[0], 1),
        "answers": options.answers,
        "latency_seconds": options.latency,
        "concurrency": options.concurrency,
        "wall_seconds": [round(seconds, 2) for seconds in wall],
        "wall_seconds_all_in_cache": round(again, 2),
        "calls_a_run": len(asked) / options.repeats,
        "one_after_the_other_seconds": options.answers * options.latency,
        "kill": found,
    }


def table(report: dict[str, Any]) -> str:
    """What docs/judge.md shows."""
    wall, kill = report["wall_seconds"], report["kill"]
    few = min(wall) == max(wall)
    spread = "" if few else f" ({min(wall):.1f} to {max(wall):.1f})"
    calls = f"{report['answers']} answers, {report['concurrency']} calls at once"
    kept, asked = kill["replies on disk at the kill"], kill["replies on disk that were asked again"]
    rows = {
        calls: f"{statistics.median(wall):.1f} s{spread}, start of Python included",
        "the same one call after the other, the waiting alone": f"{report['one_after_the_other_seconds']:.0f} s",
        "the same again, all replies in the cache": f"{report['wall_seconds_all_in_cache']:.1f} s, no call",
        "killed (SIGKILL) half-way": f"{kept} replies on disk, {kill['under way at the kill']} calls under way",
        "run again": f"{kill['asked after it']} calls; {asked} of the replies on disk asked again, "
        f"{kill['answers without a grade at the end']} of {kill['answers']} answers without a grade",
    }
    return "\n".join(["| what | measured |", "|---|---|", *(f"| {name} | {text} |" for name, text in rows.items())])


def main() -> int:
    """Measure, write the results, fill the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--answers", type=int, default=300)
    parser.add_argument("--latency", type=float, default=0.2, help="seconds until the endpoint answers")
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--table-only", action="store_true", help="measure nothing, write the page's table")
    options = parser.parse_args()
    if not options.table_only:
        write_json(RESULTS, measure(options))
    report = read_json(RESULTS)
    fill(PAGE, "speed", [table(report)])
    print(table(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
