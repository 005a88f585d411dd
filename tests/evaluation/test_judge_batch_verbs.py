"""`overton judge` through the Batch API's files."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from shutil import rmtree
from typing import Any

import pytest
from judge_material import reply
from llm_server import Answer as Served
from llm_server import serving
from test_judge_verbs import judge

from overton.jsonio import read_jsonl, write_jsonl


def test_the_batch_form_gives_the_same_files(files: list[str], tmp_path: Path) -> None:
    with serving(Served(reply)) as endpoint:
        assert judge(files, endpoint.url) == 0
        live = (tmp_path / "out" / "scores.jsonl").read_bytes()
        rmtree(tmp_path / "out")
        assert judge(files, endpoint.url, "--write-batch") == 0
        assert not (tmp_path / "out" / "scores.jsonl").exists()
        calls = read_jsonl(tmp_path / "out" / "batch" / "gpt-4.1.jsonl")
        results = [
            {"custom_id": c["custom_id"], "response": {"status_code": 200, "body": reply(c["body"])}} for c in calls
        ]
        write_jsonl(tmp_path / "results.jsonl", results[::-1])
        assert judge(files, endpoint.url, "--read-batch", str(tmp_path / "results.jsonl")) == 0
        assert (tmp_path / "out" / "scores.jsonl").read_bytes() == live
        rmtree(tmp_path / "out")
        write_jsonl(tmp_path / "first.jsonl", results[:2])
        write_jsonl(tmp_path / "rest.jsonl", results[2:])
        assert judge(files, endpoint.url, "--read-batch", str(tmp_path / "first.jsonl")) == 1
        assert judge(files, endpoint.url, "--read-batch", str(tmp_path / "rest.jsonl")) == 0
        assert (tmp_path / "out" / "scores.jsonl").read_bytes() == live
        assert judge(files, endpoint.url) == 0
        assert len(endpoint.bodies) == 6
    assert judge(files, "http://localhost:1", "--dry-run", "--write-batch") == 2
    assert judge(files, "http://localhost:1", "--write-batch", "--set", "max_calls=3") == 1  # all would be paid for


def write_results(path: Path, calls: list[dict[str, Any]]) -> str:
    rows = [{"custom_id": c["custom_id"], "response": {"status_code": 200, "body": reply(c["body"])}} for c in calls]
    write_jsonl(path, rows)
    return str(path)


def test_a_second_batch_leaves_no_call_of_the_first(
    files: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from overton.llm import batch

    monkeypatch.setattr(batch, "MOST_REQUESTS", 4)
    folder, url = tmp_path / "out" / "batch", "http://localhost:1/v1"
    write_jsonl(folder / "j-7.jsonl", [{"mine": 1}])  # the user's
    (folder / "j-x.jsonl").write_text("no JSON")
    assert judge(files, url, "--write-batch", "--model", "j", "--model", "j-2") == 0
    held = {path.name: read_jsonl(path) for path in folder.iterdir() if path.name not in ("j-7.jsonl", "j-x.jsonl")}
    assert {name: (rows[0]["body"]["model"], len(rows)) for name, rows in held.items()} == {
        "j.jsonl": ("j", 4),
        "j-2.jsonl": ("j", 2),
        "j-2-2.jsonl": ("j-2", 4),
        "j-2-3.jsonl": ("j-2", 2),
    }
    results = write_results(tmp_path / "results.jsonl", held["j.jsonl"])
    assert judge(files, url, "--read-batch", results, "--model", "j") == 1
    assert judge(files, url, "--write-batch", "--model", "j", "--set", "max_tokens=0") == 1  # loses nothing
    assert {name: read_jsonl(folder / name) for name in held} == held
    assert judge(files, url, "--write-batch", "--model", "j") == 0
    assert read_jsonl(folder / "j.jsonl") == held["j-2.jsonl"]
    left = {"j.jsonl", "j-2-2.jsonl", "j-2-3.jsonl", "j-7.jsonl", "j-x.jsonl"}
    assert {path.name for path in folder.iterdir()} == left
    results = write_results(tmp_path / "results.jsonl", held["j-2.jsonl"])
    assert judge(files, url, "--read-batch", results, "--model", "j") == 0
    assert judge(files, url, "--write-batch", "--model", "j") == 0  # nothing is left
    assert {path.name for path in folder.iterdir()} == left - {"j.jsonl"}


def test_judges_whose_names_give_one_file_have_two(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, both = tmp_path / "out" / "batch", ("--model", "qwen/q", "--model", "qwen-q")
    for _ in range(2):
        assert judge(files, "http://localhost:1/v1", "--write-batch", *both) == 0
        held = {path.name: read_jsonl(path) for path in folder.iterdir()}
        assert {name: Counter(row["body"]["model"] for row in rows) for name, rows in held.items()} == {
            "qwen-q.jsonl": {"qwen/q": 6},
            "qwen-q-2.jsonl": {"qwen-q": 6},
        }
    assert "qwen-q-2.jsonl: 6 requests to qwen-q" in capsys.readouterr().err
    results = write_results(tmp_path / "results.jsonl", [call for calls in held.values() for call in calls])
    assert judge(files, "http://localhost:1/v1", "--read-batch", results, *both) == 0


def test_calls_of_an_earlier_batch_that_are_read_are_not_removed(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = {"custom_id": "x", "method": "POST", "url": "/v1/chat/completions", "body": {"model": "j"}}
    path = tmp_path / "out" / "batch" / "j-2.jsonl"
    write_jsonl(path, [row])
    assert judge([*files, str(path)], "http://localhost:1/v1", "--write-batch", "--model", "j") == 1
    assert "j-2.jsonl: is read here and would be overwritten" in capsys.readouterr().err
    assert read_jsonl(path) == [row]


def test_a_file_that_holds_no_results_is_refused_and_nothing_is_replaced(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(Served(reply)) as endpoint:
        assert judge(files, endpoint.url) == 0
    before = {path: path.read_bytes() for path in (tmp_path / "out").glob("*.*")}
    assert judge(files, "http://localhost:1/v1", "--write-batch", "--model", "j") == 0
    calls = tmp_path / "out" / "batch" / "j.jsonl"
    assert judge(files, "http://localhost:1/v1", "--read-batch", str(calls)) == 1
    assert "j.jsonl: holds calls and no results; upload it" in capsys.readouterr().err
    assert judge(files, "http://localhost:1/v1", "--read-batch", files[0]) == 1
    assert "holds no results of the Batch API, whose rows have `custom_id`" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in (tmp_path / "out").glob("*.*")} == before
