"""The cache, the budget and the dry run, which are the same before either back end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from llm_server import Answer, Open, ask, completion, echo, serving

from overton.errors import RecipeError
from overton.llm import Reply, load_llm
from overton.llm.workers import side_by_side
from overton.sections_model import LlmSection


def test_what_was_asked_is_not_asked_again(open_llm: Open) -> None:
    with serving(Answer(echo)) as endpoint:
        first = open_llm(endpoint.url).complete(ask("a", "b"))
        again = open_llm(endpoint.url).complete(ask("b", "c", "a"))
        assert len(endpoint.bodies) == 3
    assert [reply.cached for reply in first] == [False, False]
    assert [(reply.text, reply.cached) for reply in again] == [("to b", True), ("to c", False), ("to a", True)]


def test_a_full_cache_needs_no_endpoint_and_no_key(open_llm: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(Answer(echo)) as endpoint:
        open_llm(endpoint.url).complete(ask("a"))
    monkeypatch.delenv("OPENAI_API_KEY")
    assert open_llm("https://llm.invalid/v1").complete(ask("a"))[0].text == "to a"


@pytest.mark.parametrize(
    "change",
    [
        {"max_tokens": 7},
        {"temperature": 0.5},
        {"seed": 1},
        {"model": "n"},
        {"extra": {"top_p": 0.5}},
        {"schema": {"title": "t", "type": "object"}},
    ],
    ids=str,
)
def test_another_setting_is_another_question(open_llm: Open, change: dict[str, Any]) -> None:
    section = {k: v for k, v in change.items() if k in ("model", "extra")}
    request = {k: v for k, v in change.items() if k not in section}
    with serving(Answer(echo)) as endpoint:
        open_llm(endpoint.url).complete(ask("a"))
        open_llm(endpoint.url, **section).complete(ask("a", **request))
        assert len(endpoint.bodies) == 2


def test_equal_requests_are_one_call(open_llm: Open) -> None:
    with serving(Answer(echo)) as endpoint:
        replies = open_llm(endpoint.url).complete(ask("a", "b", "a"))
        assert len(endpoint.bodies) == 2
    assert [reply.text for reply in replies] == ["to a", "to b", "to a"]


def test_a_failure_is_not_kept(open_llm: Open) -> None:
    with serving(Answer("oh", 500), Answer(echo)) as endpoint:
        llm = open_llm(endpoint.url)
        assert llm.complete(ask("a"))[0].text is None
        assert llm.complete(ask("a"))[0].text == "to a"


def test_a_torn_last_line_is_ignored_and_what_follows_is_whole(open_llm: Open, tmp_path: Path) -> None:
    file = tmp_path / "llm" / "replies.jsonl"
    with serving(Answer(echo)) as endpoint:
        open_llm(endpoint.url, concurrency=1).complete(ask("a", "b"))
        file.write_bytes(file.read_bytes()[:-20])
        assert [r.cached for r in open_llm(endpoint.url).complete(ask("a", "b"))] == [True, False]
        assert [r.cached for r in open_llm(endpoint.url).complete(ask("a", "b"))] == [True, True]
        assert len(endpoint.bodies) == 3


def test_lines_of_another_kind_are_ignored(open_llm: Open, tmp_path: Path) -> None:
    file = tmp_path / "llm" / "replies.jsonl"
    file.parent.mkdir()
    file.write_bytes(b'\xff\n[]\n{"key": 1}\n\n{"key": "k", "text": null, "reason": "", "prompt_tokens": 1}\n7')
    with serving(Answer(echo)) as endpoint:
        open_llm(endpoint.url).complete(ask("a"))
    row = json.loads(file.read_text(errors="replace").splitlines()[-1])
    assert row["messages"] == [["user", "a"]]
    assert (row["model"], row["text"], row["temperature"]) == ("m", "to a", 0.0)


def test_a_killed_run_goes_on_where_it_was(open_llm: Open, tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from overton.llm import Request, load_llm\n"
        "from overton.sections_model import LlmSection\n"
        "section = LlmSection(model='m', base_url=sys.argv[1], concurrency=1)\n"
        "asked = [Request((('user', str(i)),)) for i in range(30)]\n"
        "load_llm(section, Path(sys.argv[2])).complete(asked)\n"
    )
    with serving(Answer(echo, wait=0.05)) as endpoint:
        child = subprocess.Popen([sys.executable, "-c", script, endpoint.url, str(tmp_path / "llm")])
        deadline = time.monotonic() + 60
        while len(endpoint.bodies) < 6 and time.monotonic() < deadline:
            time.sleep(0.01)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        asked = len(endpoint.bodies)
        replies = open_llm(endpoint.url).complete(ask(*map(str, range(30))))
        assert [reply.text for reply in replies] == [f"to {i}" for i in range(30)]
        kept = sum(reply.cached for reply in replies)
        assert asked - 1 <= kept <= asked
        assert kept >= 5
        assert len(endpoint.bodies) == asked + 30 - kept


def test_the_budget_of_calls_is_kept_and_what_was_done_stays(open_llm: Open, capfd: Any) -> None:
    with serving(Answer(echo)) as endpoint:
        llm = open_llm(endpoint.url, max_calls=3)
        replies = llm.complete(ask("a", "b", "c", "d", "e"))
        assert [reply.text for reply in replies] == ["to a", "to b", "to c", None, None]
        assert replies[4].reason.startswith("budget")
        assert llm.complete(ask("a", "f")) == [Reply("to a", "", 7, 3, cached=True), replies[4]]
        assert len(endpoint.bodies) == 3
        assert open_llm(endpoint.url, max_calls=3).complete(ask("d", "e"))[1].text == "to e"
    assert "2 x budget of llm.max_calls 3 is used up" in capfd.readouterr().err


@pytest.mark.parametrize("usage", [None, {}], ids=["counted by the endpoint", "estimated"])
def test_the_budget_of_tokens(open_llm: Open, usage: Any) -> None:
    body = completion("four", usage=usage)
    with serving(Answer(body)) as endpoint:
        # 10 tokens a call as the endpoint counts them; about 2 and 4 of a turn, and 1, as estimated
        replies = open_llm(endpoint.url, concurrency=1, max_budget_tokens=20).complete(
            ask(*(f"{i}2345678" for i in range(9)))
        )
    assert sum(reply.text is not None for reply in replies) == (2 if usage is None else 3)
    assert replies[-1].reason == "budget of llm.max_budget_tokens 20 is used up"


def test_a_dry_run_counts_and_calls_nothing(open_llm: Open, capfd: Any) -> None:
    with serving(Answer(echo)) as endpoint:
        open_llm(endpoint.url).complete(ask("a"))
        replies = open_llm(endpoint.url, dry_run=True).complete(ask("a", "b" * 400, "c", "c", max_tokens=256))
        assert len(endpoint.bodies) == 1
    assert [reply.text for reply in replies] == ["to a", None, None, None]
    assert replies[1].reason == "dry run"
    line = "dry run: 2 calls to m, about 109 tokens to read and at most 512 to write; 1 replies are in the cache"
    assert line in capfd.readouterr().err.splitlines()


def test_a_dry_run_counts_a_question_once_and_adds_up(open_llm: Open, capfd: Any) -> None:
    counting = open_llm("http://localhost:1/v1", dry_run=True, output_price=8)
    counting.complete(ask("a", "b", max_tokens=1000))
    counting.complete(ask("b", "c", max_tokens=1000))
    first, second = capfd.readouterr().err.splitlines()
    each = "about 5 tokens to read and at most 1,000 to write, at most about $0.01"
    assert first.endswith("$0.02; 0 replies are in the cache")
    assert second == (
        f"dry run: 1 calls to m, {each}; 0 replies are in the cache, 1 counted before; so far 3 calls, "
        "about 15 tokens to read and at most 3,000 to write, at most about $0.02"
    )


def test_a_dry_run_with_prices_says_what_it_may_cost(open_llm: Open, capfd: Any) -> None:
    priced = open_llm("http://localhost:1/v1", dry_run=True, input_price=2, output_price=8)
    priced.complete(ask("a" * 3_999_984, "b", max_tokens=250_000))  # 10 ** 6 tokens and 4 + 1, and half a million
    assert "at most 500,000 to write, at most about $6.00;" in capfd.readouterr().err


def test_a_dry_run_counts_the_limit_that_is_sent(open_llm: Open, capfd: Any) -> None:
    settings = {"dry_run": True, "output_price": 8}
    longer = {"max_tokens": None, "max_completion_tokens": 500_000}
    open_llm("http://localhost:1/v1", **settings, extra=longer).complete(ask("a", max_tokens=512))
    assert "at most 500,000 to write, at most about $4.00;" in capfd.readouterr().err
    open_llm("http://localhost:1/v1", **settings, extra={"max_tokens": None}).complete(ask("a", max_tokens=512))
    assert "replies without a limit (extra.max_tokens is null), at least about $0.00;" in capfd.readouterr().err


def test_nothing_asked_is_nothing_done(open_llm: Open) -> None:
    assert open_llm("http://localhost:1/v1").complete([]) == []


def test_no_model_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"llm\.model is empty"):
        load_llm(LlmSection(), tmp_path)


def test_items_are_drawn_only_when_there_is_room() -> None:
    drawn: list[int] = []
    gate = threading.Semaphore(0)

    def items() -> Iterator[int]:
        for i in range(1, 8):
            drawn.append(i)
            yield i

    def call(item: int) -> int:
        gate.acquire()
        return item * item

    results = side_by_side(call, items(), 3)
    gate.release()
    next(results)
    assert len(drawn) == 3
    for _ in range(6):
        gate.release()
    assert sorted(result for _, result in results)[-1] in (36, 49)
    assert len(drawn) == 7


@pytest.mark.parametrize("workers", [1, 3])
def test_an_error_of_a_call_comes_through(workers: int) -> None:
    def call(item: int) -> int:
        return 1 // (5 - item)

    seen: list[int] = []
    with pytest.raises(ZeroDivisionError):
        for item, _ in side_by_side(call, range(1, 100), workers):
            seen.append(item)
    assert set(seen) <= set(range(1, 9))
