"""Fixtures of the estimator's tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from estimator_tiny import build_tiny


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a random two-layer BERT with mean pooling."""
    return build_tiny(tmp_path_factory.mktemp("tiny") / "base")
