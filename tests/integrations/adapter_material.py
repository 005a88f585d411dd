"""What the tests of the adapters share: a situation, answers of known worth, a reward, the examples' scripts."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from overton.data import read_situations
from overton.rewards import OvertonReward, load_reward
from overton.segment import format_answer
from overton.types import Group, Score, Situation

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
SITUATIONS = read_situations(EXAMPLES / "situations.jsonl")
SITUATION = SITUATIONS[0]
REFERENCES = [{"label": p.label, "explanation": p.explanation} for p in SITUATION.perspectives]
GOOD = format_answer(SITUATION.perspectives, ", ".join(p.label for p in SITUATION.perspectives) + ".")
HALF = format_answer(SITUATION.perspectives[:2], ", ".join(p.label for p in SITUATION.perspectives[:2]) + ".")
TERMS = {"coverage", "precision", "relevance", "uniqueness", "f", "form", "valid_tags", "perspectives"}
# References in the forms in which they travel; the last one without labels.
FORMS: list[Any] = [REFERENCES, json.dumps(REFERENCES), [r["explanation"] for r in REFERENCES]]


@functools.cache
def reward() -> OvertonReward:
    """The default one, as the adapters load it: the packaged encoder with its calibration."""
    return load_reward()


def expected(answer: str, situation: Situation = SITUATION, finished: bool = True) -> Score:
    """The score without any adapter."""
    return reward().score([Group(situation.text, situation.perspectives, (answer,), (finished,))])[0][0]


def prepare(framework: str, target: Path) -> None:
    """Write an example's data: by the verb for verl, else by the example's script."""
    source = str(EXAMPLES / "situations.jsonl")
    command = [sys.executable, str(EXAMPLES / framework / "prepare.py"), source, str(target)]
    if framework == "verl":
        command = [sys.executable, "-m", "overton", "data", source, "--export", "verl", "--output", str(target.parent)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"{len(SITUATIONS)} rows" in done.stdout
