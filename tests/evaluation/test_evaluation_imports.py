"""Nothing grades its own homework: the evaluators share no code and no weights with the reward."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import overton.evaluation

FOLDER = Path(overton.evaluation.__file__).parent
BARRED = ("overton.rewards", "overton.training", "overton.estimator", "overton.integrations")


def test_no_file_imports_what_it_judges() -> None:
    for path in FOLDER.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [a.name for a in node.names] if isinstance(node, ast.Import) else []
            assert not [n for n in names if n.startswith((*BARRED, "overton.segment"))], path


def test_running_loads_nothing_of_the_reward() -> None:
    code = (
        "import sys, overton.evaluation.stage, overton.evaluation.nli_train\n"
        f"assert not [m for m in sys.modules if m.startswith({BARRED!r})]\n"
        "assert not {'torch', 'scipy', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_cross_encoder_starts_from_nothing() -> None:
    source = "".join((FOLDER / f"{n}.py").read_text(encoding="utf-8") for n in ("nli_train", "nli_learner"))
    assert "from_pretrained(" not in source
    assert "MiniLM" not in source
