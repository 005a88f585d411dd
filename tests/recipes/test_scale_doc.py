"""The tables of docs/scale.md are those of the dry run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_tables_are_up_to_date() -> None:
    command = [sys.executable, str(ROOT / "scripts" / "make_scale_doc.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
