"""Tokens, addresses and limits that make no sense."""

from __future__ import annotations

from pathlib import Path

import pytest

from overton.serving import ServeError, ServeSettings
from overton.serving.settings import check_binding, read_token

TOKEN = "0123456789abcdef"


def test_a_token_comes_from_a_variable_or_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_TOKEN", f" {TOKEN}\n")
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n", encoding="utf-8")
    assert read_token("MY_TOKEN", None) == read_token(None, file) == TOKEN
    assert read_token(None, None) is None


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "holds no token"),
        ("short", "at least 16 characters"),
        ("0123456789 abcdef", "without spaces"),
        ("0123456789abcdé0", "printable ASCII"),
    ],
)
def test_a_token_that_cannot_be_used(content: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "token"
    file.write_text(content, encoding="utf-8")
    monkeypatch.setenv("MY_TOKEN", content)
    for given in (("MY_TOKEN", None), (None, file)):
        with pytest.raises(ServeError, match=said) as error:
            read_token(*given)
        assert not content or content not in str(error.value)


def test_a_token_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ServeError, match="cannot read the token"):
        read_token(None, tmp_path / "missing")
    with pytest.raises(ServeError, match="not both"):
        read_token("A", tmp_path / "b")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ServeError, match="not text"):
        read_token(None, tmp_path / "binary")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "localhost", "::1"])
def test_loopback_needs_no_token(host: str) -> None:
    check_binding(host, None)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.168.0.1", "example.org", "127.0.0.1.example.org"])
def test_any_other_address_needs_one(host: str) -> None:
    with pytest.raises(ServeError, match="a token is needed"):
        check_binding(host, None)
    check_binding(host, TOKEN)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"max_batch": 0}, "max_batch must be at least 1"),
        ({"max_body": -1}, "max_body must be at least 1"),
        ({"max_wait": float("inf")}, "max_wait must be a number of seconds"),
        ({"group_wait": float("nan")}, "group_wait must be a number of seconds"),
        ({"drain": -1.0}, "drain must be a number of seconds"),
        ({"port": 65536}, "port must be between"),
        ({"max_queue": 10}, "must not be below max_answers"),
        ({"group_size": 2000}, "group_size must be between 0 and max_answers"),
        ({"group_wait": 200.0}, "must be below request_timeout"),
        ({"batch_timeout": 0.0}, "batch_timeout must be above 0"),
    ],
)
def test_settings_that_make_no_sense(given: dict[str, float], said: str) -> None:
    with pytest.raises(ServeError, match=said):
        ServeSettings(**given)  # type: ignore[arg-type]
