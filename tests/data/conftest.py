"""Shared fixtures: one small world for all tests of the data stage."""

from __future__ import annotations

import pytest

from overton.data.world.generate import Splits, make_world


@pytest.fixture(scope="session")
def splits() -> Splits:
    return make_world(600, 80, 80, seed=0)
