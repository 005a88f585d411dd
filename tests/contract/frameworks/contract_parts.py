"""What the contract tests of all frameworks share: situations, answers of known worth, a tiny policy."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from overton.data import read_situations
from overton.rewards import load_reward
from overton.segment import format_answer
from overton.types import Group, Score, Situation

ROOT = Path(__file__).parents[3]
EXAMPLES = ROOT / "examples"
SITUATIONS = read_situations(EXAMPLES / "situations.jsonl")
# One for the whole process; the adapters load their own.
REWARD = load_reward()
BAD = "It is what it is."


def good_answer(situation: Situation, perspectives: int | None = None) -> str:
    """An answer that states the first of the references word for word, in the template."""
    kept = situation.perspectives[:perspectives]
    return format_answer(kept, ", ".join(p.label for p in kept) + ".")


def repeated_answer(situation: Situation) -> str:
    """One reference, three times."""
    one = situation.perspectives[0]
    return format_answer([one, one, one], f"{one.label}.")


def answers(situation: Situation) -> list[str]:
    """Four answers, from the best to the worst."""
    return [good_answer(situation), good_answer(situation, 1), repeated_answer(situation), BAD]


def expected(situation: Situation, answer: str, finished: bool = True) -> Score:
    """The score without any framework."""
    return REWARD.score([Group(situation.text, situation.perspectives, (answer,), (finished,))])[0][0]


def row_of(situation: Situation) -> dict[str, object]:
    """Situation and references as the examples' data sets carry them."""
    references = [{"label": p.label, "explanation": p.explanation} for p in situation.perspectives]
    return {"situation": situation.text, "references": references}


def run_example(framework: str, folder: Path, *arguments: str, **environment: str) -> str:
    """Run the training script of an example in this environment; what it prints.

    Args:
        framework: folder of the example.
        folder: where data and output go.
        arguments: for the script.
        environment: further variables.
    """
    script = EXAMPLES / framework / "train.sh"
    found = {**os.environ, "DATA": str(folder), "HF_HUB_OFFLINE": "1", **environment}
    # The environment's python and its scripts, as in a shell where it is activated.
    found["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{found['PATH']}"
    done = subprocess.run(["bash", str(script), *arguments], capture_output=True, text=True, env=found)
    assert done.returncode == 0, f"{script}:\n{done.stdout[-4000:]}\n{done.stderr[-8000:]}"
    return done.stdout
