"""The tables of docs/scale.md are those of the dry run."""

from __future__ import annotations

from pathlib import Path

import preloaded

ROOT = Path(__file__).parents[2]


def test_the_tables_are_up_to_date() -> None:
    done = preloaded.run([str(ROOT / "scripts" / "make_scale_doc.py"), "--check"])
    assert done.returncode == 0, done.stdout + done.stderr
