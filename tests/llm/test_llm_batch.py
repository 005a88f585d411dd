"""The Batch API form: files of requests, and results in any order and of any quality."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from llm_server import Answer, Open, ask, completion, echo, serving

from overton.errors import DataError
from overton.jsonio import read_jsonl, write_jsonl
from overton.llm import Request
from overton.llm import batch as module
from overton.llm.batch import BatchResults, BatchWriter, read_results
from overton.llm.cache import ReplyCache
from overton.sections_model import LlmSection

SECTION = LlmSection(model="m", base_url="https://llm.invalid/v1", extra={"top_p": 0.5, "temperature": None})
SCHEMA = {"title": "verdict", "type": "object", "properties": {}, "required": [], "additionalProperties": False}


def result(request: dict[str, Any], body: Any, status: int = 200) -> dict[str, Any]:
    return {"custom_id": request["custom_id"], "response": {"status_code": status, "body": body}, "error": None}


def test_a_request_is_what_the_endpoint_would_be_sent(open_llm: Open, tmp_path: Path) -> None:
    asked = [Request((("system", "s"), ("user", "ü?")), max_tokens=9, seed=4, schema=SCHEMA)]
    BatchWriter(SECTION, tmp_path / "calls.jsonl", ReplyCache(tmp_path)).complete(asked)
    (line,) = read_jsonl(tmp_path / "calls.jsonl")
    assert set(line) == {"custom_id", "method", "url", "body"}
    assert (line["method"], line["url"], len(line["custom_id"])) == ("POST", "/v1/chat/completions", 64)
    with serving(Answer(echo)) as endpoint:
        open_llm(endpoint.url, extra=SECTION.extra).complete(asked)
        assert endpoint.bodies == [line["body"]]
    assert line["body"]["response_format"]["json_schema"] == {"name": "verdict", "schema": SCHEMA, "strict": True}
    assert line["body"]["top_p"] == 0.5
    assert "temperature" not in line["body"]


def test_results_find_their_requests_in_any_order(tmp_path: Path) -> None:
    asked = ask("a", "b", "c", "a")
    written = BatchWriter(SECTION, tmp_path / "calls.jsonl", ReplyCache(tmp_path)).complete(asked)
    assert {(reply.text, reply.reason) for reply in written} == {(None, "written for the Batch API")}
    requests = read_jsonl(tmp_path / "calls.jsonl")
    assert len(requests) == 3
    write_jsonl(tmp_path / "out.jsonl", [result(r, echo(r["body"])) for r in reversed(requests)])
    replies = BatchResults(SECTION, read_results([tmp_path / "out.jsonl"]), ReplyCache(tmp_path)).complete(asked)
    assert [reply.text for reply in replies] == ["to a", "to b", "to c", "to a"]
    assert replies[0].prompt_tokens == 7
    other = BatchResults(
        SECTION.model_copy(update={"model": "n"}), read_results([tmp_path / "out.jsonl"]), ReplyCache(tmp_path)
    )
    assert other.complete(asked)[0].text is None


def test_what_brought_no_reply_says_why(tmp_path: Path) -> None:
    asked = ask(*"abcdefg")
    BatchWriter(SECTION, tmp_path / "calls.jsonl", ReplyCache(tmp_path)).complete(asked)
    a, b, c, d, e, f, _ = read_jsonl(tmp_path / "calls.jsonl")
    rows = [
        result(a, {"error": {"message": "too\nmany tokens"}}, 400),
        {"custom_id": b["custom_id"], "response": None, "error": {"code": "batch_expired", "message": "expired"}},
        result(c, "<html>"),
        result(d, completion("  ")),
        {"custom_id": e["custom_id"]},
        result(f, completion("half", finish="length")),
        {"odd": 1},
    ]
    write_jsonl(tmp_path / "out.jsonl", rows)
    replies = BatchResults(SECTION, read_results([tmp_path / "out.jsonl"]), ReplyCache(tmp_path)).complete(asked)
    assert [reply.text for reply in replies] == [None, None, None, None, None, "half", None]
    assert [reply.reason for reply in replies] == [
        "HTTP 400: too many tokens",
        "the batch reports an error: expired",
        "the answer holds no reply: '\"<html>\"'",
        "the reply is empty",
        "the batch reports an error: no reason given",
        "cut off after 3 tokens",
        "the results of the batch do not hold it",
    ]


def test_a_second_batch_fills_what_the_first_left_out(tmp_path: Path) -> None:
    asked = ask("a")
    BatchWriter(SECTION, tmp_path / "calls.jsonl", ReplyCache(tmp_path)).complete(asked)
    (request,) = read_jsonl(tmp_path / "calls.jsonl")
    good, bad = tmp_path / "good.jsonl", tmp_path / "bad.jsonl"
    write_jsonl(good, [result(request, completion("yes"))])
    write_jsonl(bad, [result(request, {}, 500)])
    for order in ([good, bad], [bad, good]):
        cache = ReplyCache(tmp_path / order[0].stem)
        assert BatchResults(SECTION, read_results(order), cache).complete(asked)[0].text == "yes"
    good.write_text('{"custom_id": "x"}\n{"custom')
    with pytest.raises(DataError, match="line 2"):
        read_results([good])


def test_what_came_is_kept_and_neither_written_nor_called_again(open_llm: Open, tmp_path: Path) -> None:
    asked, folder, calls = ask("a", "b", "c"), tmp_path / "llm", tmp_path / "calls.jsonl"
    BatchWriter(SECTION, calls, ReplyCache(folder)).complete(asked)
    first, second, third = read_jsonl(calls)
    write_jsonl(tmp_path / "1.jsonl", [result(first, echo(first["body"])), result(second, {}, 500)])
    replies = BatchResults(SECTION, read_results([tmp_path / "1.jsonl"]), ReplyCache(folder)).complete(asked)
    assert [reply.text for reply in replies] == ["to a", None, None]
    BatchWriter(SECTION, calls, ReplyCache(folder)).complete(asked)
    assert read_jsonl(calls) == [second, third]
    write_jsonl(tmp_path / "2.jsonl", [result(second, echo(second["body"]))])
    replies = BatchResults(SECTION, read_results([tmp_path / "2.jsonl"]), ReplyCache(folder)).complete(asked)
    assert [reply.text for reply in replies] == ["to a", "to b", None]
    with serving(Answer(echo)) as endpoint:
        live = open_llm(endpoint.url, extra=SECTION.extra)  # over the same folder
        assert [reply.text for reply in live.complete(asked)] == ["to a", "to b", "to c"]
        assert [body["messages"][0]["content"] for body in endpoint.bodies] == ["c"]
    calls.unlink()
    BatchWriter(SECTION, calls, ReplyCache(folder)).complete(asked)
    assert not calls.exists()


def test_many_requests_are_several_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_REQUESTS", 2)
    writer = BatchWriter(SECTION, tmp_path / "calls.jsonl", ReplyCache(tmp_path))
    writer.complete(ask(*"abcde"))
    writer.complete(ask("f"))
    files = [tmp_path / name for name in ("calls.jsonl", "calls-2.jsonl", "calls-3.jsonl", "calls-4.jsonl")]
    assert [len(read_jsonl(file)) for file in files] == [2, 2, 1, 1]
    assert len({row["custom_id"] for file in files for row in read_jsonl(file)}) == 6
    assert json.loads(files[2].read_text())["body"]["messages"] == [{"role": "user", "content": "e"}]


def test_a_file_of_requests_is_no_larger_than_an_upload_may_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 1000)
    asked = ask(*(f"{i}{'ü' * 100}" for i in range(5)), "x" * 2000)  # about 400 bytes each, and one that fits nowhere
    BatchWriter(SECTION, tmp_path / "calls.jsonl", ReplyCache(tmp_path)).complete(asked)
    files = [tmp_path / name for name in ("calls.jsonl", "calls-2.jsonl", "calls-3.jsonl", "calls-4.jsonl")]
    assert [len(read_jsonl(file)) for file in files] == [2, 2, 1, 1]
    assert all(file.stat().st_size <= 1000 for file in files[:3])
