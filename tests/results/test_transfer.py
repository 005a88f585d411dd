"""Figures of policies on situations that they learnt from and on others."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import transfer
from overton.jsonio import write_jsonl
from overton.types import Perspective, Situation

VIEWS = (Perspective("Privacy", "It is hers."), Perspective("Care", "He fears for her."))


def test_situations_by_what_training_did_with_them(tmp_path: Path) -> None:
    train = [Situation(f"t{n}", f"text {n}", VIEWS) for n in range(6)]
    dev = [Situation("d", "another", VIEWS)]
    (tmp_path / "data").mkdir()
    write_jsonl(tmp_path / "data" / "train.jsonl", (s.to_json() for s in train))
    write_jsonl(tmp_path / "data" / "dev.jsonl", (s.to_json() for s in dev))
    recipe = SimpleNamespace(data=SimpleNamespace(grpo_only=2))
    seed = cast(Any, SimpleNamespace(run=SimpleNamespace(path=tmp_path), recipe=recipe))
    found = {kind: [s.id for s in own] for kind, own in transfer.kinds_of(seed, 3).items()}
    assert found == {"SFT's own": ["t0", "t1", "t2"], "GRPO's own": ["t4", "t5"], "held-out pairs": ["d"]}


def test_a_row_a_policy_and_kind() -> None:
    figures = {name: {"mean": 0.25} for name in transfer.FIGURES}
    above = {"difference": 0.5, "low": -0.125, "high": 1.0}
    policies = {name: figures | {"above": None if name == transfer.OURS else above} for name in transfer.NAMES}
    lines = transfer.table({"one": policies, "two": policies})
    assert len(lines) == 2 + 2 * len(transfer.NAMES)
    assert lines[2] == "| SFT | one | 0.250 | 0.250 | 0.250 | 0.250 | +0.500 (-0.125 to +1.000) |"
    assert lines[4] == "| OP-GRPO | one | 0.250 | 0.250 | 0.250 | 0.250 |  |"
