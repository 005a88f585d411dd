"""Questions, and the answers of two systems to them."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_material import QUESTIONS, VIEWS, answer, write_rows


@pytest.fixture
def refs(tmp_path: Path) -> Path:
    rows = [
        {"id": f"q{i}", "text": q, "perspectives": [{"label": "L", "explanation": v} for v in VIEWS[: 2 + i % 3]]}
        for i, q in enumerate(QUESTIONS)
    ]
    return write_rows(tmp_path / "refs.jsonl", rows)


@pytest.fixture
def good(tmp_path: Path) -> Path:
    rows = [{"id": f"q{i}", "answer": answer(VIEWS[: 2 + i % 3]), "calls": 2} for i in range(4)]
    return write_rows(tmp_path / "good.jsonl", rows)


@pytest.fixture
def poor(tmp_path: Path) -> Path:
    rows = [{"prompt": q, "answer": f"</think>\n1.\n{answer(VIEWS[:1])}", "finished": False} for q in QUESTIONS[:3]]
    return write_rows(tmp_path / "poor.jsonl", rows)
