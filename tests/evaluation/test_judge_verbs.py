"""`overton judge` as people call it, against a real endpoint."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from judge_material import QUESTIONS, answers, quoted, reply, scores
from llm_server import Answer as Served
from llm_server import serving

from overton.cli import main
from overton.jsonio import read_json, read_jsonl, write_jsonl
from overton.notes import few_note


def judge(files: list[str], url: str, *more: str) -> int:
    folder = Path(files[0]).parent
    given = [*files, "--questions", str(folder / "questions.jsonl"), "--output", str(folder / "out")]
    return main(["judge", *given, "--base-url", url, *more])


def test_scores(files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with serving(Served(reply)) as endpoint:
        assert judge(files, endpoint.url) == 0
        assert {body["model"] for body in endpoint.bodies} == {"gpt-4.1"}
        assert {quoted(body, "question") for body in endpoint.bodies} == set(QUESTIONS.values())
        assert len(endpoint.bodies) == 6
        assert judge(files, endpoint.url, "--json") == 0
        assert len(endpoint.bodies) == 6
    shown = capsys.readouterr().out
    figures = read_json(tmp_path / "out" / "scores.json")
    assert figures == json.loads(shown[shown.index("\n{") :])
    assert {s: m["depth"]["mean"] for s, m in figures["systems"].items()} == {"long": 3, "short": pytest.approx(4 / 3)}
    assert "3 of 3" in shown and "long" in shown
    table = shown[shown.index("Differences of mean grades") : shown.index("\n{")]
    mean = next(c["difference"] for c in figures["comparisons"] if c["metric"] == "judge_mean")
    assert "short - long" in table and f"{mean:.3f}" in table
    gain = next(c for c in figures["comparisons"] if c["metric"] == "depth")
    assert (gain["a"], gain["b"], gain["difference"], gain["n"]) == ("short", "long", pytest.approx(-5 / 3), 3)
    assert [row["system"] for row in read_jsonl(tmp_path / "out" / "scores.jsonl")] == ["long"] * 3 + ["short"] * 3
    text = "".join(p.read_text() for p in (tmp_path / "out").rglob("*") if p.is_file())
    assert "key-of-a-test" not in text


@pytest.mark.parametrize("way", [(), ("--pairwise", "short", "long")])
def test_a_judge_of_the_family_that_answered_is_told_in_red(
    way: tuple[str, ...], files: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    rows = read_jsonl(Path(files[1]))
    write_jsonl(Path(files[1]), [{**row, "model": "Qwen/Qwen2.5-3B-Instruct"} for row in rows])
    name = "pairwise.json" if way else "scores.json"
    with serving(Served(reply)) as endpoint:
        assert judge(files, endpoint.url, *way, "--model", "Qwen/Qwen3-14B", "--model", "gpt-4.1") == 0
        (line,) = read_json(tmp_path / "out" / name)["warnings"]
        assert line.startswith("The answering model and the judge are of one family, qwen")
        assert f"NOT INDEPENDENT: {line}" in capfd.readouterr().err
        assert judge(files, endpoint.url, *way) == 0
    assert read_json(tmp_path / "out" / name)["warnings"] == []
    assert "NOT INDEPENDENT" not in capfd.readouterr().err


def test_pairwise_with_two_judges(files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with serving(Served(reply)) as endpoint:
        assert judge(files, endpoint.url, "--pairwise", "short", "long", "--model", "x", "--model", "y/z") == 0
        assert Counter(body["model"] for body in endpoint.bodies) == {"x": 6, "y/z": 6}
    figures = read_json(tmp_path / "out" / "pairwise.json")
    (pair,) = figures["pairwise"]
    assert (pair["a"], pair["win_rate"]["mean"], pair["flips"]) == ("short", 0, 0)
    assert figures["agreement"]["winner"]["units"] == 3
    assert len(read_jsonl(tmp_path / "out" / "pairwise.transcript.jsonl")) == 12
    assert "0.0%" in capsys.readouterr().out


def test_a_dry_run_counts_and_prices_and_writes_nothing(
    files: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with serving(Served(reply)) as endpoint:
        prices = ("--set", "input_price=2", "--set", "output_price=8")
        assert judge(files, endpoint.url, "--dry-run", *prices) == 0
        assert not endpoint.bodies
    line = capfd.readouterr().err
    assert "6 calls to gpt-4.1" in line and "at most 6,000 to write, at most about $0.05" in line
    assert not (tmp_path / "out").exists()


def test_a_judge_without_one_grade_is_an_error_and_replaces_nothing(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(Served(reply)) as endpoint:
        assert judge(files, endpoint.url, "--write-batch", "--model", "other") == 0
        assert judge(files, endpoint.url) == 0
    before = {path: path.read_bytes() for path in (tmp_path / "out").glob("*.*")}
    assert len(before) == 3
    with serving(Served("oh", 500)) as dead:
        assert judge(files, dead.url, "--model", "m2", "--set", "retries=0") == 1
        assert "not one of 6 verdicts; most often: m2: HTTP 500" in capsys.readouterr().err
        assert judge(files, dead.url, "--pairwise", "long", "short", "--model", "m2", "--set", "retries=0") == 1
        asked = len(dead.bodies)
        assert judge(files, dead.url, "--model", "m2", "--set", "dry_run=true") == 0
        assert "dry run: 6 calls" in capsys.readouterr().err
        assert len(dead.bodies) == asked
    calls = read_jsonl(tmp_path / "out" / "batch" / "other.jsonl")
    write_jsonl(
        tmp_path / "results.jsonl",
        [{"custom_id": c["custom_id"], "response": {"status_code": 200, "body": reply(c["body"])}} for c in calls],
    )
    batch = ["--read-batch", str(tmp_path / "results.jsonl")]
    assert judge(files, "http://localhost:1/v1", *batch, "--model", "m2") == 1
    assert "the results of the batch do not hold it" in capsys.readouterr().err
    assert judge(files, "http://localhost:1/v1", *batch, "--set", "dry_run=true") == 1
    assert {path: path.read_bytes() for path in (tmp_path / "out").glob("*.*")} == before


def test_replies_that_are_no_verdicts_are_not_promised_another_try(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cut = {"choices": [{"message": {"content": '{"helpfulness": {"reas'}, "finish_reason": "length"}]}
    with serving(Served(cut)) as endpoint:
        for _ in range(2):
            assert judge(files, endpoint.url) == 1
            said = capsys.readouterr().err
            assert "the same command goes on" not in said
            assert "cut off" in said and "change what is asked (--set max_tokens=" in said
            assert f"read them in {tmp_path / 'out' / 'llm' / 'replies.jsonl'}" in said
        assert len(endpoint.bodies) == 6  # a reply that came is never asked for twice
        assert judge(files, endpoint.url, "--set", "max_tokens=4000") == 1
        assert len(endpoint.bodies) == 12


def test_calls_that_failed_are_an_error_and_asked_again(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(Served(reply), Served("oh", 500), Served(reply)) as endpoint:
        retry = ("--set", "retries=0", "--set", "concurrency=1")
        assert judge(files, endpoint.url, *retry) == 1
        captured = capsys.readouterr()
        assert "1 verdicts are missing, since calls brought no reply: 1 x gpt-4.1: HTTP 500" in captured.err
        assert "run the same command again" in captured.err
        assert "files:" in captured.out
        rows = read_jsonl(tmp_path / "out" / "scores.jsonl")
        assert [row["depth"] is None for row in rows].count(True) == 1
        assert judge(files, endpoint.url, *retry) == 0
        assert len(endpoint.bodies) == 7
        assert judge(files, endpoint.url, "--model", "capped", "--set", "max_calls=2") == 1
        assert "4 x capped: budget of llm.max_calls 2 is used up" in capsys.readouterr().err
        assert judge(files, endpoint.url, "--model", "capped") == 0
        assert len(endpoint.bodies) == 13


def test_several_judges_share_the_cap_on_calls(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    both = ("--model", "m1", "--model", "m2")
    with serving(Served(reply)) as endpoint:
        assert judge(files, endpoint.url, *both, "--set", "max_calls=8") == 1
        assert Counter(body["model"] for body in endpoint.bodies) == {"m1": 6, "m2": 2}
        assert judge(files, endpoint.url, *both, "--set", "max_calls=4") == 0
        assert len(endpoint.bodies) == 12


def test_systems_of_two_files_have_two_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "key-of-a-test")
    rows = [{"id": key, "prompt": text, "answer": "a b"} for key, text in QUESTIONS.items()]
    for folder, own in (("r1", rows[:1]), ("r2", rows[1:])):
        write_jsonl(tmp_path / folder / "mine.jsonl", own)
    (tmp_path / "z.jsonl.gz").write_bytes(gzip.compress((tmp_path / "r1" / "mine.jsonl").read_bytes()))
    given = [str(tmp_path / name) for name in ("r1/mine.jsonl", "r2/mine.jsonl", "r2/../r1/mine.jsonl", "z.jsonl.gz")]
    with serving(Served(reply)) as endpoint:
        assert main(["judge", *given, "--base-url", endpoint.url, "--output", str(tmp_path / "out")]) == 0
    found = read_json(tmp_path / "out" / "scores.json")["systems"]
    assert {name: figures["depth"]["n"] for name, figures in found.items()} == {"r1/mine": 1, "r2/mine": 2, "z": 1}


def test_answers_whose_question_is_not_their_prompt_are_counted_before_anything_is_asked(
    files: list[str], bench: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = tmp_path / "mine.jsonl"
    write_jsonl(
        mine, [{"id": str(i), "prompt": f"question {i}?" if i < 2 else "Cheese?", "answer": "a"} for i in (1, 2)]
    )
    write_jsonl(tmp_path / "questions.jsonl", [{"id": str(i), "text": f"Question {i}?"} for i in (1, 2)])
    note = "1 answers were joined by `id`"
    assert judge([str(mine)], "http://localhost:1/v1", "--dry-run") == 0
    assert note in capsys.readouterr().err
    assert main([bench[0], str(mine), *bench[1:], "--base-url", "http://localhost:1/v1", "--dry-run"]) == 0
    assert note in capsys.readouterr().err
    with serving(Served(reply)) as endpoint:
        assert judge([str(mine)], endpoint.url) == 0
        assert main([bench[0], str(mine), *bench[1:], "--base-url", endpoint.url]) == 0
    few_pairs = {"low": 0.1, "n": 2, "p_value": 0.5}  # two questions are no sample, of models that are compared neither
    for name, interval in (("scores", {"low": 0.1, "n": 2}), ("overtonbench", few_pairs)):
        found, *few = read_json(tmp_path / "out" / f"{name}.json")["notes"]
        assert found.startswith(note)
        assert few == few_note([interval])
    assert few[0] in " ".join(capsys.readouterr().err.split())


def test_a_judge_named_twice_is_refused(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert judge(files, "http://localhost:1/v1", "--model", "m1", "--model", "m1") == 1
    assert "--model m1 stands twice" in capsys.readouterr().err


def test_an_output_that_cannot_be_written_costs_no_call(
    files: list[str], bench: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "llm").write_text("")
    write_jsonl(tmp_path / "mine.jsonl", [{"id": "1", "answer": "yes"}])
    with serving(Served(reply)) as endpoint:
        for place in ("file", "half"):
            where = ["--output", str(tmp_path / place), "--base-url", endpoint.url]
            assert main(["judge", files[0], *where]) == 1
            assert main([bench[0], str(tmp_path / "mine.jsonl"), *bench[1:3], *where]) == 1
            assert capsys.readouterr().err.count("cannot be written to") == 2
        assert not endpoint.bodies


def test_means_over_different_questions_are_told_before_anything_is_asked(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert judge(files, "http://localhost:1/v1", "--dry-run") == 0
    assert "not every system" not in capsys.readouterr().err
    few = tmp_path / "few.jsonl"
    write_jsonl(few, [row | {"system": "few"} for row in read_jsonl(Path(files[0]))[:1]])
    with serving(Served(reply)) as endpoint:
        assert judge([files[0], str(few)], endpoint.url) == 0
    line = "not every system answered all 3 questions (few 1): means are over each system's own"
    assert line in capsys.readouterr().err
    assert any(line in note for note in read_json(tmp_path / "out" / "scores.json")["notes"])


def test_questions_that_one_of_two_systems_left_out_are_counted(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pair = ("--pairwise", "long", "short")
    rows = read_jsonl(tmp_path / "short.jsonl")
    write_jsonl(tmp_path / "short.jsonl", rows[:1])
    with serving(Served(reply)) as endpoint:
        assert judge(files, endpoint.url, *pair) == 0
        assert "short: 2 questions have no answer and do not count" in capsys.readouterr().out
        assert read_json(tmp_path / "out" / "pairwise.json")["unanswered"] == {"short": ["q2", "q3"]}
        write_jsonl(tmp_path / "long.jsonl", read_jsonl(tmp_path / "long.jsonl")[1:])
        asked = len(endpoint.bodies)
        assert judge(files, endpoint.url, *pair) == 1
        assert "'long' (2 answers) and 'short' (1) have no question in common" in capsys.readouterr().err
        assert judge(files, endpoint.url, "--pairwise", "long", "long") == 1
        assert "'long' stands twice" in capsys.readouterr().err
        assert len(endpoint.bodies) == asked


def test_a_killed_command_goes_on_without_repeating_or_losing_a_call(tmp_path: Path) -> None:
    texts = {str(i): "word " * i for i in range(1, 41)}
    rows = [{"id": key, "prompt": f"Question {key}?", "answer": text} for key, text in texts.items()]
    write_jsonl(tmp_path / "mine.jsonl", rows)
    with serving(Served(reply, wait=0.1)) as endpoint:
        command = [
            sys.executable,
            "-m",
            "overton",
            "judge",
            str(tmp_path / "mine.jsonl"),
            "--output",
            str(tmp_path / "out"),
        ]
        command += ["--base-url", endpoint.url, "--set", "concurrency=4", "--set", "api_key_env=''"]
        child = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        replies = tmp_path / "out" / "llm" / "replies.jsonl"
        deadline = time.monotonic() + 60
        while (
            time.monotonic() < deadline
            and child.poll() is None
            and not (replies.exists() and replies.read_bytes().count(b"\n") >= 12)
        ):
            time.sleep(0.01)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        time.sleep(0.2)
        kept = {json.dumps(row["messages"]) for row in read_jsonl(replies)}
        before = len(endpoint.bodies)
        assert 12 <= len(kept) < 40
        assert main(command[3:]) == 0
        after = [json.dumps([[m["role"], m["content"]] for m in b["messages"]]) for b in endpoint.bodies[before:]]
    assert not kept & set(after)  # none repeated
    assert len(after) == len(set(after)) == 40 - len(kept)  # none lost
    scored = read_jsonl(tmp_path / "out" / "scores.jsonl")
    assert [row["depth"] for row in scored] == [min(5, int(row["id"])) for row in scored]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--set", "concurrncy=4"], "did you mean evaluation.judge.models.gpt-4.1.concurrency?"),
        (["--set", "model=gpt-5"], "--set model=gpt-5: judges are named with --model gpt-5"),
        (["--set", "concurrency=0"], "greater than or equal to 1"),
        (["--base-url", "http://example.org/v1"], "another machine"),
        (["--pairwise", "long", "nobody"], "no answers of system 'nobody'; systems in the files: long, short"),
        (["--read-batch", "nowhere.jsonl"], "nowhere.jsonl: no such file"),
        (["--set", "api_key_env=NO_SUCH_KEY", "--base-url", "https://llm.invalid/v1"], "NO_SUCH_KEY is not set"),
        (["--set", "api_key_env=NO_SUCH_KEY", "--base-url", "https://llm.invalid/v1"], "another with `api_key_env`,"),
    ],
    ids=str,
)
def test_mistakes_are_one_message(files: list[str], more: list[str], message: str, capsys: Any) -> None:
    assert judge(files, "http://localhost:1/v1", *more) == 1
    err = capsys.readouterr().err
    assert message in err and "Traceback" not in err


def test_names_of_systems_are_no_markup(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"id": a.id, "prompt": a.prompt, "answer": a.answer} for a in answers("", "a", "b")]
    for system in ("[red]one", "[/x]"):
        write_jsonl(tmp_path / f"{len(system)}.jsonl", [{**row, "system": system} for row in rows])
    given = [str(tmp_path / "8.jsonl"), str(tmp_path / "4.jsonl"), "--output", str(tmp_path / "out")]
    with serving(Served(reply)) as endpoint:
        call = ["judge", *given, "--base-url", endpoint.url, "--set", "api_key_env=''"]
        assert main(call) == 0
        assert main([*call, "--pairwise", "[red]one", "[/x]"]) == 0
    shown = capsys.readouterr().out
    assert shown.count("[red]one") >= 2 and shown.count("[/x]") >= 2


def test_a_model_on_this_machine_is_asked_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from transformers import AutoTokenizer

    from overton.testing import scripted_policy

    write_jsonl(tmp_path / "mine.jsonl", [{"id": "1", "prompt": "Why?", "answer": "So."}])
    call = ["judge", str(tmp_path / "mine.jsonl"), "--base-url", "", "--output", str(tmp_path / "out"), "--model"]
    for name, said, code in (("clear", scores(4), 0), ("chatty", "I give it 4.", 1)):
        folder = scripted_policy(tmp_path / name, said, max_length=8192)
        tokenizer = AutoTokenizer.from_pretrained(folder)
        tokenizer.chat_template = "{% for m in messages %}{{ m.content }}\n{% endfor %}"
        tokenizer.save_pretrained(folder)
        assert main([*call, str(folder)]) == code
        (row,) = read_jsonl(tmp_path / "out" / "scores.jsonl")
        assert row["depth"] == 4  # by the clear one, also when the other one's words were no grade
    assert "the reply is not one JSON object" in capsys.readouterr().err


def test_questions_must_be_known(files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = ["--output", str(tmp_path / "out"), "--base-url", "http://localhost:1/v1"]
    write_jsonl(tmp_path / "other.jsonl", [{"id": "q9", "answer": "a"}])
    assert main(["judge", str(tmp_path / "other.jsonl"), *out]) == 1
    assert "'q9' has no `prompt`; give the questions with --questions" in capsys.readouterr().err
    assert main(["judge", str(tmp_path / "other.jsonl"), "--questions", str(tmp_path / "questions.jsonl"), *out]) == 1
    assert "no question has the `id` or `text` of the answer with id 'q9'" in capsys.readouterr().err
    write_jsonl(tmp_path / "twice.jsonl", [{"id": "q1", "prompt": "Other?", "answer": "a"}])
    assert main(["judge", files[0], str(tmp_path / "twice.jsonl"), *out]) == 1
    assert "answers with another `prompt`" in capsys.readouterr().err
    logged = [{"system": "s", "prompt": "q1", "response_sentences": ["a"], "split": split} for split in ("x", "y")]
    write_jsonl(tmp_path / "twice.jsonl", logged)
    assert main(["judge", str(tmp_path / "twice.jsonl"), *out]) == 1
    assert "system 's' has two answers with id 'q1'" in capsys.readouterr().err
    write_jsonl(tmp_path / "questions.jsonl", [{"id": "q1"}])
    assert judge(files, "http://localhost:1/v1") == 1
    assert "no column with a question" in capsys.readouterr().err
    rows = [{"situation": text, "explanation": said} for text in ("What now?", "And then?") for said in ("A.", "B.")]
    write_jsonl(tmp_path / "perspectives.jsonl", rows)
    write_jsonl(tmp_path / "mine.jsonl", [{"id": "What now?", "answer": "a"}])
    dry = ["--questions", str(tmp_path / "perspectives.jsonl"), "--dry-run", *out]
    assert main(["judge", str(tmp_path / "mine.jsonl"), *dry]) == 0
