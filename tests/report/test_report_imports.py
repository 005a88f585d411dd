"""What the report may import."""

from __future__ import annotations

import ast
from pathlib import Path

import overton.report.stage as stage


def test_imports_only_what_a_reader_of_files_may() -> None:
    folder = Path(stage.__file__).parent
    allowed = {
        "types",
        "errors",
        "folders",
        "rundir",
        "jsonio",
        "inputs",
        "recipe",
        "progress",
        "notes",
        "spelling",
        "report",
    }
    seen = set()
    for file in folder.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            seen |= {n.split(".")[1] for n in names if n.startswith("overton.")}
    assert "rundir" in seen and seen <= allowed
