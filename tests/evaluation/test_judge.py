"""Judges at a real endpoint: scores, comparisons in both orders, what is unscored, what is kept."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from judge_material import ASPECTS, QUESTIONS, answers, chooser, grader, judge, quoted, scores
from llm_server import Answer as Served
from llm_server import completion, serving

from overton.evaluation.judge import Judge
from overton.evaluation.judge.pairwise import compare_answers, pair_summary
from overton.evaluation.judge.reply import Scores
from overton.evaluation.judge.score import METRICS, judge_answers
from overton.evaluation.judge.summary import judge_figures, system_figures
from overton.jsonio import read_jsonl, write_jsonl
from overton.llm.batch import BatchResults, BatchWriter, read_results
from overton.llm.cache import ReplyCache
from overton.types import Answer


def by_length(text: str) -> int:
    return min(5, 1 + len(text.split()))


def longer(first: str, second: str) -> str:
    one, other = len(first), len(second)
    return "tie" if one == other else "1" if one > other else "2"


def test_scores_and_what_the_endpoint_is_told(tmp_path: Path) -> None:
    given = answers("s", "", "Yes it is", "a b c d e f")
    with serving(Served(grader(by_length))) as endpoint:
        rows, transcript = judge_answers([judge(endpoint.url, tmp_path)], given, QUESTIONS)
        bodies = endpoint.bodies
    assert [row["judge_mean"] for row in rows] == [1, 4, 5]
    assert rows[1] == {
        "id": "q2",
        "system": "s",
        **dict.fromkeys(METRICS, 4.0),
        "judges": {"m": {**dict.fromkeys(ASPECTS, 4), "reason": ""}},
        "reason": "",
        "failed": False,
    }
    assert {quoted(body, "question") for body in bodies} == set(QUESTIONS.values())
    held = {
        "type": "json_schema",
        "json_schema": {"name": "Scores", "schema": Scores.model_json_schema(), "strict": True},
    }
    assert all(body["response_format"] == held and body["temperature"] == 0 for body in bodies)
    assert list(transcript[1]) == [
        *(
            "system",
            "id",
            "judge",
            "prompt",
            "messages",
            "reply",
            "parsed",
            "reason",
            "prompt_tokens",
            "completion_tokens",
        )
    ]
    assert (transcript[1]["prompt"], transcript[1]["parsed"]["depth"]) == ("score-1", 4)
    assert json.loads(transcript[1]["reply"])["depth"]["score"] == 4
    assert transcript[1]["messages"] in [body["messages"] for body in bodies]
    assert (transcript[1]["prompt_tokens"], transcript[1]["completion_tokens"]) == (7, 3)


def test_what_cannot_be_read_is_unscored_with_its_reason(tmp_path: Path) -> None:
    replies = {"a": "4 of 5", "b": "", "c": scores(3)}
    with serving(Served(lambda body: completion(replies[quoted(body, "answer")]))) as endpoint:
        rows, transcript = judge_answers([judge(endpoint.url, tmp_path)], answers("s", "a", "b", "c"), QUESTIONS)
    assert [row["depth"] for row in rows] == [None, None, 3]
    assert rows[0]["reason"].startswith("m: the reply is not one JSON object")
    assert rows[1]["reason"] == "m: the reply is empty"
    assert [row["parsed"] and row["parsed"]["depth"] for row in transcript] == [None, None, 3]
    assert transcript[0]["reply"] == "4 of 5"
    assert not any(row["failed"] for row in rows)  # asked again, the judge would say the same
    figures = system_figures(rows, resamples=200)["s"]["depth"]
    assert (figures["mean"], figures["n"], figures["unscored"]) == (3, 1, 2)


def test_a_reply_that_was_cut_off_says_so(tmp_path: Path) -> None:
    with serving(Served(completion(scores(3)[:50], finish="length"))) as endpoint:
        rows, _ = judge_answers([judge(endpoint.url, tmp_path)], answers("s", "a"), QUESTIONS)
    assert rows[0]["reason"].endswith("; cut off after 3 tokens")


@pytest.mark.parametrize("status", [400, 422])
def test_an_endpoint_without_schemas_is_asked_in_words(tmp_path: Path, status: int) -> None:
    questions = {str(i): f"Question {i}?" for i in range(12)}
    given = [Answer(key, "", "a", "s") for key in questions]

    def reply(body: dict[str, Any]) -> Any:
        held = "response_format" in body
        served.status = status if held else 200
        return {"error": {"message": "response_format: unknown"}} if held else completion(scores(2))

    served = Served(reply)
    with serving(served) as endpoint:
        rows, transcript = judge_answers([judge(endpoint.url, tmp_path, concurrency=1)], given, questions)
        assert ["response_format" in body for body in endpoint.bodies] == [True] + [False] * 12
        # Neither is anything tried or asked again: not in this run, nor by the next one.
        again = judge(endpoint.url, tmp_path, concurrency=1)
        assert judge_answers([again], given, questions) == (rows, transcript)
        assert len(endpoint.bodies) == 13
        for text in ("b", "c"):
            judge_answers([again], [replace(answer, answer=text) for answer in given[:2]], questions)
        assert ["response_format" in body for body in endpoint.bodies[13:]] == [True] + [False] * 4
    assert [row["depth"] for row in rows] == [2] * 12
    assert {row["reason"] for row in transcript} == {""}


def test_a_call_that_was_turned_down_for_its_schema_counts_once(tmp_path: Path) -> None:
    def reply(body: dict[str, Any]) -> Any:
        served.status = 400 if "response_format" in body else 200
        return {"error": {"message": "unknown"}} if "response_format" in body else completion(scores(2))

    served = Served(reply)
    with serving(served) as endpoint:
        capped = judge(endpoint.url, tmp_path, concurrency=1, max_calls=2)
        rows, _ = judge_answers([capped], answers("s", "a", "b", "c"), QUESTIONS)
        assert len(endpoint.bodies) == 3
    assert [row["depth"] for row in rows].count(2) == 2
    (unasked,) = [row for row in rows if row["depth"] is None]
    assert unasked["reason"] == "m: budget of llm.max_calls 2 is used up" and unasked["failed"]


def test_one_question_that_is_turned_down_leaves_the_schema_to_the_others(tmp_path: Path) -> None:
    def reply(body: dict[str, Any]) -> Any:
        held = quoted(body, "answer") == "bad"
        served.status = 400 if held else 200
        return {"error": {"code": "content_filter"}} if held else completion(scores(2))

    served = Served(reply)
    with serving(served) as endpoint:
        asked = judge(endpoint.url, tmp_path, concurrency=1)
        rows, _ = judge_answers([asked], answers("s", "bad", "much longer", "longest of all"), QUESTIONS)
        assert ["response_format" in body for body in endpoint.bodies] == [True, True, True, False]
    assert [row["depth"] for row in rows] == [None, 2, 2]
    assert "; without a schema: HTTP 400" in rows[0]["reason"] and not rows[0]["failed"]


def test_a_dead_endpoint_leaves_reasons(tmp_path: Path) -> None:
    with serving(Served("oh no", 500)) as endpoint:
        rows, _ = judge_answers([judge(endpoint.url, tmp_path)], answers("s", "a", "b"), QUESTIONS)
    assert {row["depth"] for row in rows} == {None}
    assert all(row["reason"].startswith("m: HTTP 500") and row["failed"] for row in rows)


def test_a_second_run_asks_nothing_and_gives_the_same(tmp_path: Path) -> None:
    given = answers("s", "a", "b c", "d e f")
    with serving(Served(grader(by_length))) as endpoint:
        first = judge_answers([judge(endpoint.url, tmp_path)], given, QUESTIONS)
        assert judge_answers([judge(endpoint.url, tmp_path)], given, QUESTIONS) == first
        assert len(endpoint.bodies) == 3


def test_several_judges_are_one_mean_and_one_alpha(tmp_path: Path) -> None:
    given = answers("s", "a", "b c", "d e f")
    with serving(Served(grader(by_length))) as kind, serving(Served(grader(lambda t: by_length(t) - 1))) as strict:
        judges = [judge(kind.url, tmp_path, "kind"), judge(strict.url, tmp_path, "strict")]
        rows, transcript = judge_answers(judges, given, QUESTIONS)
    assert [row["clarity"] for row in rows] == [1.5, 2.5, 3.5]
    assert [row["judge"] for row in transcript] == ["kind"] * 3 + ["strict"] * 3
    agreement = judge_figures(rows, [])["agreement"]
    assert set(agreement) == set(ASPECTS)
    # Grades 2 3 4 and 1 2 3: n = (1: 1, 2: 2, 3: 2, 4: 1). Squared distances of ranks: 1-2 1.5, 2-3 2, 3-4 1.5.
    observed = 2 * (1.5**2 + 2**2 + 1.5**2) / 6
    expected = 2 * (2 * 1.5**2 + 2 * 3.5**2 + 5**2 + 4 * 2**2 + 2 * 3.5**2 + 2 * 1.5**2) / 30
    assert agreement["depth"] == {"alpha": pytest.approx(1 - observed / expected), "units": 3}


def test_a_judge_that_fails_leaves_the_answer_unscored(tmp_path: Path) -> None:
    with serving(Served(grader(by_length))) as kind, serving(Served("oh", 500)) as dead:
        judges = [judge(kind.url, tmp_path, "kind"), judge(dead.url, tmp_path, "dead")]
        rows, _ = judge_answers(judges, answers("s", "a"), QUESTIONS)
    assert rows[0]["depth"] is None and rows[0]["judges"]["kind"]["depth"] == 2
    assert rows[0]["reason"].startswith("dead: HTTP 500")
    assert judge_figures(rows, [])["agreement"]["depth"] == {"alpha": None, "units": 0}


def test_a_comparison_is_made_in_both_orders(tmp_path: Path) -> None:
    a, b = answers("A", "long answer", "ab", "x"), answers("B", "short", "cd", "longer")
    with serving(Served(chooser(longer))) as endpoint:
        rows, transcript = compare_answers([judge(endpoint.url, tmp_path)], a, b[:2][::-1] + b[2:], QUESTIONS)
        assert len(endpoint.bodies) == 6
    assert [row["points"] for row in rows] == [1, 0.5, 0]
    assert rows[0]["judges"] == {"m": {"a_first": "a", "b_first": "a"}}
    assert [row["order"] for row in transcript] == ["a_first", "b_first"] * 3
    assert [row["parsed"] for row in transcript[:2]] == ["1", "2"]
    found = pair_summary(rows, resamples=300)
    assert {k: found[k] for k in ("a", "b", "wins", "ties", "losses", "flips", "first")} == {
        "a": "A",
        "b": "B",
        "wins": 1 / 3,
        "ties": 1 / 3,
        "losses": 1 / 3,
        "flips": 0,
        "first": 0.5,
    }
    assert found["win_rate"]["mean"] == 0.5
    assert found["win_rate"]["low"] < 0.5 < found["win_rate"]["high"]


def test_a_judge_that_looks_at_the_place_alone_decides_nothing(tmp_path: Path) -> None:
    a, b = answers("A", "u", "v", "w"), answers("B", "x", "y", "z")
    with serving(Served(chooser(lambda first, second: "1"))) as endpoint:
        rows, _ = compare_answers([judge(endpoint.url, tmp_path)], a, b, QUESTIONS)
    found = pair_summary(rows, resamples=200)
    assert (found["win_rate"]["mean"], found["ties"], found["flips"], found["first"]) == (0.5, 1, 1, 1)


def test_questions_that_one_system_left_out_are_not_compared(tmp_path: Path) -> None:
    with serving(Served(chooser(longer))) as endpoint:
        rows, _ = compare_answers([judge(endpoint.url, tmp_path)], answers("A", "x"), answers("B", "y", "z"), QUESTIONS)
        none, _ = compare_answers([judge(endpoint.url, tmp_path)], answers("A", "x"), [], QUESTIONS)
    assert [row["id"] for row in rows] == ["q1"]
    assert none == []


def test_one_order_without_a_verdict_is_no_comparison(tmp_path: Path) -> None:
    def reply(body: dict[str, Any]) -> dict[str, Any]:
        return completion('{"reason": "", "winner": "1"}' if quoted(body, "answer-1") == "x" else "the second")

    with serving(Served(reply)) as endpoint:
        rows, _ = compare_answers([judge(endpoint.url, tmp_path)], answers("A", "x"), answers("B", "y"), QUESTIONS)
    assert rows[0]["points"] is None
    assert rows[0]["judges"]["m"] == {"a_first": "a", "b_first": None}
    assert rows[0]["reason"].startswith("m: the reply is not one JSON object")
    found = pair_summary(rows)
    assert (found["wins"], found["flips"], found["first"], found["win_rate"]["unscored"]) == (None, None, None, 1)


def test_agreement_on_winners(tmp_path: Path) -> None:
    a, b = answers("A", "u", "vvv", "w"), answers("B", "xx", "y", "zz")
    shorter = chooser(lambda first, second: "2" if longer(first, second) == "1" else "1")
    with (
        serving(Served(chooser(longer))) as one,
        serving(Served(chooser(longer))) as same,
        serving(Served(shorter)) as not_,
    ):
        judges = [judge(s.url, tmp_path, name) for s, name in ((one, "1"), (same, "2"), (not_, "3"))]
        alike, _ = compare_answers(judges[:2], a, b, QUESTIONS)
        unlike, _ = compare_answers(judges[1:], a, b, QUESTIONS)
    assert judge_figures([], [alike])["agreement"] == {"winner": {"alpha": 1.0, "units": 3}}
    # Six values, three of each kind, no pair alike: 1 - 5 * 6 / (2 * 3 * 3).
    assert judge_figures([], [unlike])["agreement"]["winner"]["alpha"] == pytest.approx(1 - 30 / 18)


verdicts = st.sampled_from(["a", "b", "tie"])


@settings(deadline=None)
@given(st.lists(st.tuples(verdicts, verdicts), min_size=2, max_size=12))
def test_win_rates_of_both_sides_add_up(pairs: list[tuple[str, str]]) -> None:
    swap = {"a": "b", "b": "a", "tie": "tie"}
    points = {"a": 1.0, "tie": 0.5, "b": 0.0}

    def rows(given: list[tuple[str, str]]) -> list[dict[str, Any]]:
        return [
            {"a": "A", "b": "B", "points": (points[x] + points[y]) / 2, "judges": {"m": {"a_first": x, "b_first": y}}}
            for x, y in given
        ]

    one = pair_summary(rows(pairs), resamples=100)
    other = pair_summary(rows([(swap[y], swap[x]) for x, y in pairs]), resamples=100)
    assert one["win_rate"]["mean"] + other["win_rate"]["mean"] == pytest.approx(1)
    assert (one["wins"], one["ties"], one["flips"]) == (other["losses"], other["ties"], other["flips"])
    assert one["first"] == other["first"]
    assert one["wins"] + one["ties"] + one["losses"] == pytest.approx(1)


def test_a_batch_gives_the_same_rows(tmp_path: Path) -> None:
    given = answers("s", "a", "b c", "d e f")
    with serving(Served(grader(by_length))) as endpoint:
        live = judge(endpoint.url, tmp_path / "live")
        rows, transcript = judge_answers([live], given, QUESTIONS)
    calls = tmp_path / "calls.jsonl"
    writer = type(live)(live.name, BatchWriter(live.section, calls, ReplyCache(tmp_path)), live.section)
    unscored, _ = judge_answers([writer], given, QUESTIONS)
    assert {row["reason"] for row in unscored} == {"m: written for the Batch API"}
    results = [
        {"custom_id": c["custom_id"], "response": {"status_code": 200, "body": grader(by_length)(c["body"])}}
        for c in read_jsonl(calls)
    ]

    def reader(file: Path) -> Judge:
        cache = ReplyCache(Path(mkdtemp(dir=tmp_path)))  # a new one: it would answer from what an earlier file held
        return Judge(live.name, BatchResults(live.section, read_results([file]), cache), live.section)

    for number, order in enumerate(itertools.permutations(results)):
        file = tmp_path / f"{number}.jsonl"
        write_jsonl(file, order)
        assert judge_answers([reader(file)], given, QUESTIONS) == (rows, transcript)
    write_jsonl(file, results[:2])
    unscored, _ = judge_answers([reader(file)], given, QUESTIONS)
    assert unscored[2]["reason"] == "m: the results of the batch do not hold it"
    assert [row["failed"] for row in unscored] == [False, False, True]
    held = {"status_code": 400, "body": {"error": {"code": "content_filter"}}}
    write_jsonl(file, [{**results[0], "response": held}])
    assert read_results([file])[results[0]["custom_id"]].declined
    write_jsonl(file, [{**results[0], "response": {"status_code": 400, "body": {"error": {"message": "too long"}}}}])
    (row, *_), _ = judge_answers([reader(file)], given, QUESTIONS)
    assert row["reason"] == "m: HTTP 400: too long" and row["failed"]
