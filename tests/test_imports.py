"""Imports go one way (docs/architecture.md), and importing the package or asking for help costs nothing."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import overton

ROOT = Path(overton.__file__).parent
# Without torch, numpy or any other room: everybody may use these.
GROUND = {
    "address",
    "english",
    "errors",
    "folders",
    "inputs",
    "jsonio",
    "lock",
    "processes",
    "threads",
    "full_disk",
    "printing",
    "precision",
    "notes",
    "nucleus",
    "progress",
    "prompting",
    "recipe",
    "rundir",
    "sections",
    "spelling",
    "thoughts",
    "sections_evaluation",
    "sections_generation",
    "sections_model",
    "sections_training",
    "segment",
    "strict_yaml",
    "types",
    "versions",
    "weights",
}
# What each room may import beside the ground and itself.
ALLOWED: dict[str, set[str]] = {
    "matching": set(),
    # Asks a model and keeps its replies; knows nothing of what is asked, or why.
    "llm": set(),
    # Of the estimator what encodes texts with the base, and uses no data itself.
    "data": {
        "matching",
        "llm",
        "estimator.encode",
        "estimator.models",
        "estimator.preprocess",
        "estimator.calibration",
    },
    "estimator": {"matching", "data"},
    "rewards": {"matching", "data", "estimator"},
    "integrations": {"matching", "data", "estimator", "rewards"},
    # Of the rooms before it what scores; the encoder itself is loaded in another process.
    "serving": {"rewards", "integrations"},
    "training": {"matching", "data", "estimator", "rewards", "integrations"},
    # The stage loads the policies that training saved, and samples as it does. It asks other models, and finds
    # near-duplicates with an encoder.
    "generation": {"training.policy", "training.cache", "training.draw", "training.shrink", "llm", "estimator.open"},
    # Never rewards, training or estimator: nothing grades its own homework.
    "evaluation": {"matching", "data", "llm"},
    "report": set(),
    "testing": {"training.policy", "training.tokenizer"},
    "pipeline": set(),
}
# The command line and what it is made of: may import all, and only each other imports them.
TOP = {"__main__", "cli", "commands", "failures", "hub", "tasks"}
HEAVY = (
    "accelerate",
    "datasets",
    "fastapi",
    "jinja2",
    "matplotlib",
    "numpy",
    "openai",
    "pandas",
    "peft",
    "prometheus_client",
    "pydantic",
    "scipy",
    "sentence_transformers",
    "sklearn",
    "tokenizers",
    "torch",
    "transformers",
    "trl",
    "uvicorn",
)


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(ROOT.rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        yield name, ast.parse(path.read_text(encoding="utf-8"))


def own_imports(tree: ast.Module) -> set[str]:
    """Modules of this package that a module imports anywhere, also for types only; "overton." is left out."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute"
            base = node.module or ""
            # "from overton.training import policy" names a module, "from overton.types import Answer" none.
            found |= {f"{base}.{a.name}" if is_module(f"{base}.{a.name}") else base for a in node.names}
    return {name.removeprefix("overton.") for name in found if name == "overton" or name.startswith("overton.")}


def is_module(dotted: str) -> bool:
    path = ROOT.parent.joinpath(*dotted.split("."))
    return path.is_dir() or path.with_suffix(".py").is_file()


def room(name: str) -> str:
    return name.split(".")[0]


def test_every_room_has_its_place() -> None:
    rooms = {room(name) for name, _ in modules()} - {"__init__"}
    assert rooms == GROUND | set(ALLOWED) | TOP


@pytest.mark.parametrize(("name", "tree"), [pytest.param(n, t, id=n) for n, t in modules()])
def test_imports_go_one_way(name: str, tree: ast.Module) -> None:
    if room(name) in TOP:
        return
    allowed = GROUND | {room(name)} | ALLOWED.get(room(name), set())
    if name == "__init__":
        allowed = GROUND
    wrong = {
        used for used in own_imports(tree) if used != "overton" and room(used) not in allowed and used not in allowed
    }
    assert not wrong, f"overton.{name} must not import {sorted(wrong)}"


def test_the_walk_sees_imports_of_every_kind() -> None:
    source = """
import overton.rewards.plan
from overton.training import policy
from overton.types import Answer
def f():
    from overton.estimator import SimilarityEstimator
    import torch
"""
    assert own_imports(ast.parse(source)) == {"rewards.plan", "training.policy", "types", "estimator"}


def loaded_after(code: str) -> set[str]:
    script = f"import sys\n{code}\nprint('\\n'.join(sorted(sys.modules)), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return {line.split(".")[0] for line in done.stderr.splitlines()}


@pytest.mark.parametrize(
    "code",
    [
        "import overton",
        "from overton.cli import main; main(['--help'])",
        "from overton.cli import main; main(['--version'])",
        "from overton.cli import main; main(['run', '--help'])",
        "import overton.estimator, overton.data, overton.report, overton.evaluation, overton.training",
        "import overton.estimator, overton.rewards, overton.integrations.verl",
        "from overton.llm import LanguageModel, Reply, Request",
    ],
)
def test_nothing_heavy_is_loaded_for_nothing(code: str) -> None:
    heavy = loaded_after(code) & set(HEAVY)
    if "--help" in code and "run" in code:
        heavy -= {"pydantic"}  # typer's own, for the types of a verb's options
    if "estimator" in code:
        heavy -= {"numpy"}  # the rooms' arithmetic; the command line enters them inside its verbs
    assert not heavy


def test_the_watch_would_notice_a_heavy_import() -> None:
    assert "numpy" in loaded_after("import overton.matching")
