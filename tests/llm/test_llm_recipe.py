"""The recipe's section: which addresses are refused, and what makes the data stage run again."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from fake_stages import install
from overton.address import is_loopback
from overton.errors import RecipeError
from overton.pipeline import run_stages
from overton.recipe import Recipe, parse_recipe
from overton.rundir import RunDir


def recipe(**llm: Any) -> Recipe:
    return parse_recipe({"name": "a", "llm": llm})


@pytest.mark.parametrize(
    "url",
    [
        "https://api.openai.com/v1",
        "https://10.0.0.5:8000/v1",
        "http://localhost:8000/v1",
        "http://LOCALHOST/v1",
        "http://127.0.0.1:8000/v1",
        "http://127.1.2.3/v1",
        "http://[::1]:8000/v1",
        "",
    ],
)
def test_addresses_that_may_be_sent_something(url: str) -> None:
    assert recipe(model="m", base_url=url).llm.base_url == url


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("http://api.openai.com/v1", "api.openai.com is another machine"),
        ("http://10.0.0.5:8000/v1", "ssh -L"),
        ("http://localhost.example.org/v1", "another machine"),
        ("http://127.0.0.1.example.org/v1", "another machine"),
        ("http://0.0.0.0:8000/v1", "another machine"),
        ("http://localhost@example.org/v1", "no user name"),
        ("https://me:secret@example.org/v1", "no user name"),
        ("localhost:8000/v1", "must look like"),
        ("ftp://localhost/v1", "must look like"),
        ("https://", "must look like"),
        ("http://localhost:99999/v1", "must look like"),
        ("http://[::1/v1", "must look like"),
    ],
)
def test_addresses_that_are_refused(url: str, wanted: str) -> None:
    with pytest.raises(RecipeError, match="llm: base_url") as caught:
        recipe(model="m", base_url=url)
    assert wanted in str(caught.value)
    assert "secret" not in str(caught.value)


def test_loopback_is_this_machine_alone() -> None:
    assert is_loopback("http://[::1]:1/")
    assert not is_loopback("http://example.org/127.0.0.1")
    assert not is_loopback("")


def test_a_key_in_the_place_of_its_name_is_refused_and_not_shown() -> None:
    with pytest.raises(RecipeError, match="never the key itself") as caught:
        recipe(model="m", api_key_env="sk-abc123")
    assert "abc123" not in str(caught.value)
    assert recipe(model="m", api_key_env="").llm.api_key_env == ""


def test_a_model_here_knows_fewer_settings() -> None:
    assert recipe(model="m", extra={"chat_template_kwargs": {"enable_thinking": False}})
    with pytest.raises(RecipeError, match="chat_template_kwargs alone"):
        recipe(model="m", extra={"top_p": 0.5})


@pytest.mark.parametrize(
    ("change", "again"),
    [
        ({"concurrency": 2, "timeout": 5, "retries": 1, "batch_size": 2}, False),
        ({"base_url": "http://localhost:8000/v1", "api_key_env": ""}, False),
        ({"input_price": 2, "output_price": 8}, False),
        ({"model": "n"}, True),
        ({"temperature": 0.5}, True),
        ({"max_calls": 5}, True),
        ({"dry_run": True}, True),
    ],
    ids=str,
)
def test_the_data_are_made_again_when_the_replies_may_differ(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], again: bool
) -> None:
    modules: dict[str, object] = {}
    calls = install(modules)
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    run_stages(recipe(model="m"), RunDir(tmp_path / "a"), last="data")
    run_stages(recipe(**{"model": "m", **change}), RunDir(tmp_path / "a"), last="data")
    assert calls == ["data"] * (1 + again)


def test_without_a_model_the_section_decides_nothing() -> None:
    assert recipe(max_calls=5).llm.deciding() == {}
    assert recipe().data.deciding() == recipe().data.model_dump(mode="json")
