"""``overton serve reward``: what is refused before anything is served."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

Fails = Callable[..., str]


def test_an_address_that_others_reach_needs_a_token(fails: Fails) -> None:
    assert "a token is needed: --token-env" in fails("serve", "reward", "--host", "0.0.0.0")


def test_a_token_that_is_not_there(fails: Fails, tmp_path: Path) -> None:
    assert "cannot read the token" in fails("serve", "reward", "--token-file", tmp_path / "missing")


def test_a_port_that_is_taken(fails: Fails) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert f"cannot listen at 127.0.0.1:{port}" in fails("serve", "reward", "--port", port)


@pytest.mark.parametrize(
    ("given", "said"),
    [("beta", "--set beta: FIELD=VALUE is wanted"), ("beta=[", "the value is not YAML")],
)
def test_a_field_that_cannot_be_read(fails: Fails, given: str, said: str) -> None:
    assert said in fails("serve", "reward", "--set", given)


@pytest.mark.slow
def test_a_reward_that_cannot_be_loaded(fails: Fails, tmp_path: Path) -> None:
    settings = tmp_path / "reward.yaml"
    settings.write_text("preset: nonsense\n", encoding="utf-8")
    assert "unknown preset 'nonsense'" in fails("serve", "reward", settings, "--port", "0")
    assert "no such field" in fails("serve", "reward", "--set", "betta=1", "--port", "0")
