"""The page on cheating holds the table that the stored measurement gives."""

from __future__ import annotations

import re
from pathlib import Path

from hacking.attacks import ATTACKS
from hacking.table import markdown
from overton.jsonio import read_json
from pages import filled

ROOT = Path(__file__).parents[2]
RESULTS, PAGE = ROOT / "benchmarks" / "results" / "reward_hacking.json", ROOT / "docs" / "reward_hacking.md"


def test_the_page_shows_the_results_file() -> None:
    text = PAGE.read_text(encoding="utf-8")
    found = filled(text, "attacks", [markdown(read_json(RESULTS))])
    assert found == text, "run python benchmarks/reward_hacking.py --page"


def test_the_results_hold_every_attack_and_the_table_names_those_that_gain() -> None:
    report = read_json(RESULTS)
    assert set(report["attacks"]) == set(ATTACKS)
    shown = markdown(report)
    for name, found in report["sources"].items():
        for attack, row in found["attacks"].items():
            for preset in ("overton", "op-grpo"):
                if row[preset]["verdict"] == "gains":
                    line = next(t for t in shown.splitlines() if t.startswith(f"- Under `{preset}`, gains:"))
                    assert re.search(rf"`{attack}` \([^)]*{name}", line)
