from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from llm_server import Open

from overton.llm import LanguageModel, load_llm
from overton.sections_model import LlmSection


@pytest.fixture
def open_llm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Open:
    """A model at an endpoint, impatient; every call opens it anew over the same cache."""
    monkeypatch.setenv("OPENAI_API_KEY", "key-of-a-test")

    def open_one(base_url: str = "", **settings: Any) -> LanguageModel:
        given = {"model": "m", "base_url": base_url, "retries": 0, "timeout": 5, "concurrency": 2, **settings}
        return load_llm(LlmSection.model_validate(given), tmp_path / "llm")

    return open_one
