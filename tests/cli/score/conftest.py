"""Questions with references, answers to two of them, and an encoder with a measured threshold."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_material import ANSWER, ONE, TWO, situation, write_rows

from overton.estimator import Calibration
from overton.estimator.models import model_hash
from overton.jsonio import write_json


@pytest.fixture
def refs(tmp_path: Path) -> Path:
    rows = [
        situation("a", "Is it right to lie?", ONE, TWO),
        situation("b", "May one steal bread?", "hunger is a need", "property is property", ONE),
        situation("c", "Who owns the sea?", ONE, TWO),
    ]
    return write_rows(tmp_path / "refs.jsonl", rows)


@pytest.fixture
def answers(tmp_path: Path) -> Path:
    rows = [
        {"id": "a", "answer": ANSWER},
        {"prompt": " may one  steal bread? ", "answer": f"1. {ONE}\n2. {ONE}"},
        {"id": "x", "prompt": "Nobody asked this", "answer": ANSWER},
    ]
    return write_rows(tmp_path / "answers.jsonl", rows)


@pytest.fixture
def calibrated(tmp_path: Path, encoder: Path) -> Path:
    """A run whose estimator has a measured threshold of .999: only equal words match."""
    import shutil

    stage = tmp_path / "run" / "estimator"
    shutil.copytree(encoder, stage / "model")
    record = Calibration(0.999, 0.99, 0.9995, 10.0, -9.0, 0.9, 0.9, 0.9, 100, model_hash(stage / "model"), "d")
    write_json(stage / "calibration.json", {name: getattr(record, name) for name in Calibration.__slots__})
    return stage.parent
