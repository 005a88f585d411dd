"""benchmarks/origin.py: the command that a results file names can be given again, from any folder."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from origin import made_by

ROOT = Path(__file__).parents[2]


def test_a_command_is_quoted_and_has_no_path_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    script = str(ROOT / "benchmarks" / "gpu" / "policy_step.py")
    monkeypatch.setattr(sys, "argv", [script, "--run", "my run"])
    found = made_by()
    assert found["command"] == "python benchmarks/gpu/policy_step.py --run 'my run'"
    assert {"python", "numpy"} <= set(found["versions"]) and len(found["date"]) == 10
