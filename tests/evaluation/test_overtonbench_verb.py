"""`overton overtonbench` as people call it, against a real endpoint."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from judge_material import quoted, reply
from llm_server import Answer as Served
from llm_server import serving

from overton.cli import main
from overton.jsonio import read_json, read_jsonl, write_jsonl


def test_overtonbench_without_answers_scores_people(bench: list[str], tmp_path: Path, capsys: Any) -> None:
    assert main(bench) == 0
    figures = read_json(tmp_path / "out" / "overtonbench.json")
    people, pairs = figures["people"], figures["comparisons"]
    full = {m: tuple(p["splits"]["full"][k]["mean"] for k in ("unweighted", "weighted")) for m, p in people.items()}
    assert full == {"m1": (0.5, pytest.approx(2 / 3)), "m2": (0.5, pytest.approx(1 / 3))}
    assert [(r["a"], r["b"], r["metric"], r["difference"], r["n"]) for r in pairs["people"]] == [
        ("m2", "m1", "unweighted", 0, 2),
        ("m2", "m1", "weighted", pytest.approx(-1 / 3), 2),
    ]
    assert pairs["judged"] == []
    said = " ".join(capsys.readouterr().out.split())
    assert "people's own ratings" in said and "m2 - m1" in said
    assert main([*bench, "--write-questions", str(tmp_path / "q.jsonl")]) == 0
    assert read_jsonl(tmp_path / "q.jsonl") == [{"id": str(i), "text": f"Question {i}?"} for i in (1, 2)]


def test_overtonbench_with_answers_and_a_check(bench: list[str], tmp_path: Path, capsys: Any) -> None:
    rows = [{"id": "1", "answer": "Some say yes, some no."}, {"prompt": "question 2?", "answer": "yes"}]
    write_jsonl(tmp_path / "mine.jsonl", rows)
    with serving(Served(reply)) as endpoint:
        call = [bench[0], str(tmp_path / "mine.jsonl"), *bench[1:], "--base-url", endpoint.url]
        assert main([*call, "--check", "m1", "--variant", "multi-perspective"]) == 0
        assert len(endpoint.bodies) == 8  # two of three participants said the same
        assert main([*call, "--check", "nobody"]) == 1
    found = read_json(tmp_path / "out" / "overtonbench.json")
    full = found["judged"]["mine"]["splits"]["full"]
    assert {(r["a"], r["b"]) for r in found["comparisons"]["judged"]} == {("m1 (check)", "mine")}
    assert (full["unweighted"]["mean"], full["weighted"]["mean"]) == (0.75, pytest.approx((1 + 2 / 3) / 2))
    assert found["check"]["m1"]["n"] == 6
    assert found["check"]["m1"]["mae"] == pytest.approx((0 + 1 + 1) / 3)  # 5 5 2 against 5 4 1
    assert found["prompt"] == "representation-multi-1"
    assert len(read_jsonl(tmp_path / "out" / "overtonbench.jsonl")) == 12
    scored = read_jsonl(tmp_path / "out" / "overtonbench.questions.jsonl")
    assert [(q["system"], q["ratings"], q["question"], q["unweighted"]) for q in scored if q["question"] == "1"] == [
        *(("m1", "people", "1", 0.5), ("m2", "people", "1", 0.5)),
        *(("mine", "judge", "1", 1), ("m1 (check)", "judge", "1", 0.5)),
    ]
    captured = capsys.readouterr()
    assert "no model 'nobody'; they have m1, m2" in captured.err
    assert "baseline" in captured.out


def test_a_check_is_also_scored_over_those_who_rated_the_model(bench: list[str], tmp_path: Path) -> None:
    # u2 never rated m1, and the judge gives 2 there: for all, the first cluster has 3.5; over those who rated, 5.
    rows = [row for row in read_jsonl(tmp_path / "bench.jsonl") if (row["user"], row["model"]) != ("u2", "m1")]
    write_jsonl(tmp_path / "bench.jsonl", [{**r, "freeresponse": "no"} if r["user"] == "u2" else r for r in rows])
    with serving(Served(reply)) as endpoint:
        assert main([*bench, "--base-url", endpoint.url, "--check", "m1"]) == 0
    found = read_json(tmp_path / "out" / "overtonbench.json")
    scores = {name: f["splits"]["full"] for name, f in (found["judged"] | found["people"]).items()}
    assert [scores[name]["unweighted"]["mean"] for name in ("m1", "m1 (check, rated)", "m1 (check)")] == [0.5, 0.5, 0.0]
    assert scores["m1 (check, rated)"]["weighted"]["mean"] == pytest.approx(2 / 3)


def test_a_check_shows_no_rating_of_the_checked_model(bench: list[str], tmp_path: Path) -> None:
    rows = read_jsonl(tmp_path / "bench.jsonl")
    for row in rows:
        row["llm_response"] = f"{row['model']} to {row['user']}."
    write_jsonl(tmp_path / "bench.jsonl", rows)
    with serving(Served(reply)) as endpoint:
        assert main([*bench, "--base-url", endpoint.url, "--check", "m1"]) == 0
        prompts = [(quoted(body, "answer"), body["messages"][1]["content"]) for body in endpoint.bodies]
    assert Counter(answer for answer, _ in prompts) == {f"m1 to u{i}.": 2 for i in (1, 2, 3)}
    assert all((text.count("m1 to"), text.count("m2 to")) == (1, 1) for _, text in prompts)


def test_overtonbench_of_people_alone_replaces_no_judged_figures(bench: list[str], tmp_path: Path, capsys: Any) -> None:
    write_jsonl(tmp_path / "mine.jsonl", [{"id": "1", "answer": "yes"}, {"id": "2", "answer": "no"}])
    assert main(bench) == main(bench) == 0
    with serving(Served(reply)) as endpoint:
        assert main([bench[0], str(tmp_path / "mine.jsonl"), *bench[1:], "--base-url", endpoint.url]) == 0
    before = {path: path.read_bytes() for path in (tmp_path / "out").glob("*.*")}
    assert main(bench) == 1
    assert "--output" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in (tmp_path / "out").glob("*.*")} == before
    assert main([*bench[:-1], str(tmp_path / "people")]) == 0


def test_overtonbench_without_one_rating_replaces_nothing(bench: list[str], tmp_path: Path, capsys: Any) -> None:
    write_jsonl(tmp_path / "mine.jsonl", [{"id": "1", "answer": "yes"}, {"id": "2", "answer": "no"}])
    call = [bench[0], str(tmp_path / "mine.jsonl"), *bench[1:], "--set", "retries=0", "--base-url"]
    with serving(Served(reply), Served("oh", 500), Served(reply)) as endpoint:
        assert main([*call, endpoint.url, "--set", "concurrency=1"]) == 1
        assert "1 verdicts are missing" in capsys.readouterr().err
        assert main([*call, endpoint.url]) == 0
    before = (tmp_path / "out" / "overtonbench.jsonl").read_bytes()
    assert main([*call, "http://127.0.0.1:1/v1", "--model", "m2"]) == 1
    assert "not one of 6 verdicts" in capsys.readouterr().err
    assert main([*call, "http://127.0.0.1:1/v1", "--model", "m2", "--set", "dry_run=true"]) == 0
    assert (tmp_path / "out" / "overtonbench.jsonl").read_bytes() == before


def test_overtonbench_names_what_is_missing(bench: list[str], tmp_path: Path, capsys: Any) -> None:
    write_jsonl(tmp_path / "mine.jsonl", [{"id": "1", "answer": "yes"}])
    with serving(Served(reply)) as endpoint:
        assert main([bench[0], str(tmp_path / "mine.jsonl"), *bench[1:], "--base-url", endpoint.url]) == 0
    assert "mine: 1 questions have no answer and do not count" in capsys.readouterr().out
    write_jsonl(tmp_path / "mine.jsonl", [{"id": "17", "answer": "yes"}])
    assert main([bench[0], str(tmp_path / "mine.jsonl"), *bench[1:]]) == 1
    assert "mine: the answer with id '17' has the `id` or `prompt` of no question" in capsys.readouterr().err
    assert main([bench[0], str(tmp_path / "mine.jsonl"), "--data", "", *bench[3:]]) == 1
    assert "error: --data: name the data set" in capsys.readouterr().err


def test_a_judge_of_the_family_that_it_rates_is_told(bench: list[str], tmp_path: Path) -> None:
    write_jsonl(tmp_path / "mine.jsonl", [{"id": "1", "answer": "yes", "model": "gpt-4o"}])
    with serving(Served(reply)) as endpoint:
        call = [bench[0], str(tmp_path / "mine.jsonl"), *bench[1:], "--base-url", endpoint.url]
        assert main(call) == 0
        (line,) = read_json(tmp_path / "out" / "overtonbench.json")["warnings"]
        assert line.startswith("The answering model and the judge are of one family, gpt (gpt-4o and gpt-4.1)")
        assert main([*call, "--model", "qwen3-14b", "--check", "m1"]) == 0
    assert read_json(tmp_path / "out" / "overtonbench.json")["warnings"] == []
