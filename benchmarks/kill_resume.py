"""Does a training that is killed again and again end as one that was left alone?

    python benchmarks/kill_resume.py --kills 20

Prepares data and an estimator of a small version of recipes/quickstart.yaml, and runs `overton train` on two copies:
once undisturbed, and once with SIGKILL to its process group at random moments and a restart after each, half of them
in SFT and half in OP-GRPO. A moment is drawn in CPU seconds since the start, so that loading, steps, sampling and
saving are met as often as they take, on a busy machine too; every third kill then waits for a checkpoint that is being
written. Before some restarts the newest checkpoint is damaged: a file is cut, changed in one byte, or removed. At the
end both runs are compared.

    weights         whether the models of SFT and OP-GRPO are the same to the last bit, else the largest difference
    metrics         whether metrics.jsonl has each step once and the same figures; what the clock decides is left out
    completions     whether the same answers were sampled
    repeated steps  optimizer steps that were done again, as the metrics at each kill tell
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from safetensors.numpy import load_file

from origin import made_by
from overton.jsonio import read_jsonl, write_json
from overton.training.checkpoints import LIST, damage, numbered

RECIPE = Path(__file__).parents[1] / "recipes" / "quickstart.yaml"
SMALL = [
    "threads=1",
    "data.train=3000",
    "data.grpo_only=300",
    "data.dev=60",
    "data.test=20",
    "data.triplets=600",
    "data.pairs=200",
    "data.nli_pairs=100",
    "estimator.batch_size=32",
    "policy.vocab_size=800",
    "policy.phrases=300",
    "policy.hidden_size=64",
    "policy.intermediate_size=128",
    "training.sft.save_steps=20",
    "training.grpo.steps=100",
    "training.grpo.prompts_per_step=4",
    "training.grpo.num_generations=4",
    "training.grpo.max_completion_length=96",
    "training.grpo.save_steps=4",
    "training.grpo.log_completions_steps=4",
]
PARTS = ("sft", "grpo")
# Environment of the trainings: figures of several threads would differ in their last bits.
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}


def main() -> None:
    """Measure, print the table, write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--damaged", type=int, default=4, help="checkpoints to damage between kill and restart")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/kill_resume.json"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report = measure(options, Path(folder))
    write_json(options.out, report)
    for name, value in report["figures"].items():
        print(f"| {name:28} | {value!s:>12} |")
    sys.exit(not report["figures"]["same"])


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Both runs, and what they have in common."""
    whole, killed = folder / "whole", folder / "killed"
    finish("run", whole, folder / "whole.log", "--until", "estimator")
    shutil.copytree(whole, killed)
    cpu = finish("train", whole, folder / "whole.log")
    draw = random.Random(options.seed)
    damages = set(draw.sample(range(options.kills), min(options.damaged, options.kills)))
    kills: list[dict[str, Any]] = []
    for number in range(options.kills):
        saving, part = number % 3 == 2, PARTS[2 * number // options.kills]
        # Some die while they load; the others together must not reach the end.
        seconds = draw.uniform(0.05, 1.25) * cpu["start"] + draw.uniform(0, 1.5) * cpu["work"] / options.kills
        row = kill(killed, folder / "killed.log", seconds, saving, part)
        if row is None:
            print("the training ended before the last kill", flush=True)
            break
        if number in damages:
            row["damaged"] = damage_newest(killed, draw)
        kept = newest_whole(killed, row["part"])
        # What was still loading had done nothing yet.
        row["repeated"] = 0 if row["met"] == "loading" else max(0, row["step"] - kept)
        kills.append(row)
        print(row, flush=True)
    finish("train", killed, folder / "killed.log")
    log = (folder / "killed.log").read_text(encoding="utf-8", errors="replace")
    compared = {part: compare(whole / "training" / part, killed / "training" / part) for part in PARTS}
    met = [row["met"] for row in kills]
    figures = {
        "kills": len(kills),
        **{f"killed while {name}": met.count(name) for name in sorted(set(met))},
        "checkpoints damaged": sum(1 for row in kills if row.get("damaged")),
        "passed over": log.count(": passed over, "),
        "steps of an undisturbed run": sum(found["steps"] for found in compared.values()),
        "repeated steps": sum(row["repeated"] for row in kills),
        "largest difference of a weight": max(found["largest_difference"] for found in compared.values()),
        "steps lost or twice": sum(found["wrong_steps"] for found in compared.values()),
        "rows of metrics that differ": sum(found["different_rows"] for found in compared.values()),
        "files of answers that differ": sum(found["different_answers"] for found in compared.values()),
        "same": all(found["same"] for found in compared.values()),
    }
    return {
        **made_by(),
        "train": f"overton train recipes/quickstart.yaml --set {' --set '.join(SMALL)}",
        "seed": options.seed,
        "figures": figures,
        "compared": compared,
        "passed_over": [line.split("checkpoints/")[-1] for line in log.splitlines() if ": passed over, " in line],
        "each_kill": kills,
    }


def start(verb: str, run: Path, log: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """A verb of the command line, in a process group of its own."""
    changes = [part for item in SMALL for part in ("--set", item)]
    command = [sys.executable, "-m", "overton", verb, str(RECIPE), "--run-dir", str(run), *changes, *arguments]
    with open(log, "ab") as stream:
        return subprocess.Popen(command, env=ENVIRONMENT, stdout=stream, stderr=stream, start_new_session=True)


def finish(verb: str, run: Path, log: Path, *arguments: str) -> dict[str, float]:
    """Run to the end; CPU seconds until the first step was logged, and after it."""
    process = start(verb, run, log, *arguments)
    first, spent = 0.0, 0.0
    while process.poll() is None:
        spent = cpu_seconds(process) or spent
        if not first and last_step(run, "sft"):
            first = spent
        time.sleep(0.05)
    if process.returncode:
        raise SystemExit(log.read_text(encoding="utf-8", errors="replace")[-4000:])
    return {"start": first, "work": spent - first}


def kill(run: Path, log: Path, seconds: float, saving: bool, part: str) -> dict[str, Any] | None:
    """Start the training and kill it, OP-GRPO not before SFT is done; where it was, or ``None`` when it had ended."""
    began = time.time()
    process = start("train", run, log)
    done = run / "training" / "sft" / "done"
    while (
        (spent := cpu_seconds(process)) < seconds
        or (saving and not unfinished(run, began))
        or (part == "grpo" and not done.exists())
    ):
        if process.poll() is not None:
            if process.returncode:
                raise SystemExit(log.read_text(encoding="utf-8", errors="replace")[-4000:])
            return None
        time.sleep(0.001 if saving else 0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    part = "grpo" if done.exists() else "sft"
    table = run / "training" / part / "metrics.jsonl"  # touched when its training begins or goes on
    begun = modified(table) > began
    met = "saving" if unfinished(run, began) else "stepping" if begun else "loading"
    return {"part": part, "met": met, "cpu_seconds": round(spent, 1), "step": last_step(run, part)}


def cpu_seconds(process: subprocess.Popen[bytes]) -> float:
    """Of the process so far, 0 when it has ended."""
    try:
        times = psutil.Process(process.pid).cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system)


def unfinished(run: Path, since: float) -> bool:
    """Whether a checkpoint or a model is half-written, by the process that began then."""
    training = run / "training"
    folders = [path for part in PARTS for _, path in numbered(training / part / "checkpoints")[:1]]
    folders = [path for path in folders if not (path / LIST).exists()] + list(training.glob("*/.model.*.tmp"))
    return any(modified(path) > since for path in folders)


def modified(path: Path) -> float:
    """When a file or folder was changed last, 0 without one."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def newest_whole(run: Path, part: str) -> int:
    """Step of the newest whole checkpoint, else 0."""
    found = numbered(run / "training" / part / "checkpoints")
    return next((step for step, path in found if damage(path) is None), 0)


def last_step(run: Path, part: str) -> int:
    """The last whole row of metrics, else 0."""
    path = run / "training" / part / "metrics.jsonl"
    lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
    steps = [line for line in lines if line.endswith(b"\n")]
    return int(steps[-1].split(b'step": ')[1].split(b",")[0]) if steps else 0


def damage_newest(run: Path, draw: random.Random) -> str:
    """Cut, change or remove a file of the newest whole checkpoint; says which, or nothing when there is none."""
    for part in reversed(PARTS):
        for step, path in numbered(run / "training" / part / "checkpoints"):
            if damage(path):
                continue
            file = draw.choice(sorted(file for file in path.rglob("*") if file.is_file() and file.stat().st_size))
            how = draw.choice(("cut", "changed", "removed"))
            content = bytearray(file.read_bytes())
            if how == "removed":
                file.unlink()
            else:
                place = draw.randrange(len(content))
                content[place] ^= 1
                file.write_bytes(bytes(content[:place] if how == "cut" else content))
            return f"{part} checkpoint-{step}: {file.name} {how}"
    return ""


def compare(whole: Path, killed: Path) -> dict[str, Any]:
    """What differs between two finished parts of a training."""
    expected, found = load_file(whole / "model/model.safetensors"), load_file(killed / "model/model.safetensors")
    if expected.keys() != found.keys():
        raise SystemExit(f"{killed}: other weights than {whole}")
    difference = max(float(np.abs(expected[k].astype(np.float64) - found[k]).max()) for k in expected)
    rows, again = metrics(whole), metrics(killed)
    steps = [row["step"] for row in again]
    wrong = len({row["step"] for row in rows} ^ set(steps)) + len(steps) - len(set(steps))
    different = sum(1 for a, b in zip(rows, again, strict=False) if a != b)
    names = {path.name for folder in (whole, killed) for path in (folder / "completions").glob("*.jsonl")}
    answers = sum(1 for n in names if text(whole / "completions" / n) != text(killed / "completions" / n))
    return {
        "steps": rows[-1]["step"],
        "largest_difference": difference,
        "wrong_steps": wrong,
        "different_rows": different,
        "answers": len(names),
        "different_answers": answers,
        "same": difference == 0 and not wrong and not different and not answers,
    }


def metrics(part: Path) -> list[dict[str, Any]]:
    """Rows without what the clock decides."""
    rows = read_jsonl(part / "metrics.jsonl")
    return [{k: v for k, v in row.items() if "seconds" not in k and k != "step_time"} for row in rows]


def text(path: Path) -> str | None:
    """Content of a file, ``None`` when there is none."""
    return path.read_text(encoding="utf-8") if path.exists() else None


if __name__ == "__main__":
    main()
