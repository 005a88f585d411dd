"""Every strategy through an endpoint and through a model here, and what its rows say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from llm_server import Answer, completion, serving
from systems_material import QUESTIONS, TEMPLATE, answered, encoder, local_model, number, section, wise

from overton.errors import ModelError
from overton.generation.responses import read_responses
from overton.generation.stage import check_answers
from overton.generation.strategies import STRATEGIES
from overton.jsonio import read_jsonl, write_jsonl
from overton.segment import layout, segment

CALLS = {"parallel": 3, "modular": 3, "self-refine": 3}


def extras(strategy: str, folder: Path, member: dict[str, Any]) -> dict[str, Any]:
    if strategy == "parallel":
        return {"samples": 3, **encoder(folder / "encoder")}
    if strategy == "modular":
        return {"community": [{**member, "model": member["model"]}, {**member, "batch_size": 2}]}
    return {"samples": 2} if strategy == "verbalized" else {}


@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
def test_each_strategy_through_an_endpoint(tmp_path: Path, strategy: str) -> None:
    with serving(Answer(wise)) as endpoint:
        member = {"model": "m", "base_url": endpoint.url}
        system = section(strategy, **extras(strategy, tmp_path, member), base_url=endpoint.url, input_price=2.0)
        outcome = answered(system, tmp_path / "llm")
        bodies = list(endpoint.bodies)
    assert not outcome.failed
    calls = CALLS.get(strategy, 1)
    assert len(bodies) == calls * len(QUESTIONS)
    assert {body["max_tokens"] for body in bodies} == {64}
    assert {(body["temperature"], body["top_p"]) for body in bodies} == {(0.7, 0.9)}
    assert [(a.id, a.prompt, a.system) for a in outcome.answers] == [(q.id, q.text, strategy) for q in QUESTIONS]
    for i, row in enumerate(outcome.answers):
        assert f"in {i}" in row.answer.lower() or f"of {i}" in row.answer
        assert "think" not in row.answer and "<|" not in row.answer
        assert (row.strategy, row.model, row.calls, row.retries) == (strategy, "m", calls, 0)
        assert (row.prompt_tokens, row.completion_tokens) == (7 * calls, 3 * calls)
        assert row.seconds is not None and row.seconds > 0 and row.finished and not row.reason
        free = strategy == "modular"  # the community has no prices
        assert row.cost == (None if free else pytest.approx(calls * 7 * 2.0 / 1e6))
        assert "@" in row.prompt_version


@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
def test_each_strategy_with_a_model_here(tmp_path: Path, strategy: str) -> None:
    text = '{"responses": [\n{"text": "One view."},\n{"text": "Another."}]}' if strategy == "verbalized" else TEMPLATE
    model = local_model(tmp_path / "model", text)
    system = section(strategy, model=model, **extras(strategy, tmp_path, {"model": model}))
    rows = answered(system, tmp_path / "llm").answers
    assert [row.id for row in rows] == [q.id for q in QUESTIONS]
    assert {row.answer for row in rows} == {"- One view.\n- Another." if strategy == "verbalized" else TEMPLATE}
    assert {row.calls for row in rows} == {CALLS.get(strategy, 1)}
    for row in rows:
        assert row.finished and row.completion_tokens and row.prompt_tokens and row.seconds


@pytest.mark.parametrize("strategy", ["implicit", "parallel", "self-refine"])
def test_a_model_from_nothing_reads_the_runs_template(tmp_path: Path, strategy: str) -> None:
    model = local_model(tmp_path / "model", chat=False)
    system = section(strategy, model=model, **extras(strategy, tmp_path, {"model": model}))
    rows = answered(system, tmp_path / "llm", template="Case: {situation}").answers
    assert {row.answer for row in rows} == {TEMPLATE}
    other = answered(system, tmp_path / "llm", template="A longer one: {situation}").answers
    read = [[row.prompt_tokens for row in each] for each in (rows, other)]
    assert all(new > old for old, new in zip(*read, strict=True)), "what it read before is another question"


def test_systems_of_one_model_have_caps_of_their_own(tmp_path: Path) -> None:
    with serving(Answer(wise)) as endpoint:
        opened: dict[str, Any] = {}
        for name in ("implicit", "explicit"):
            system = section(name, base_url=endpoint.url, max_calls=2)
            outcome = answered(system, tmp_path / "llm", opened=opened)
            assert (len(outcome.answers), len(outcome.failed)) == (2, 1)
        assert len(opened) == 1 and len(endpoint.bodies) == 4


def test_thoughts_that_ran_into_the_limit_are_not_finished(tmp_path: Path) -> None:
    def thinks(body: dict[str, Any]) -> dict[str, Any]:
        message = {"content": None, "reasoning_content": "Hm."}
        return {**completion(None), "choices": [{"message": message, "finish_reason": "length"}]}

    with serving(Answer(thinks)) as endpoint:
        rows = answered(section("implicit", base_url=endpoint.url), tmp_path / "llm").answers
    assert [row.finished for row in rows] == [False] * 3 and "cut off" in rows[0].reason


def test_samples_differ_in_their_seeds(tmp_path: Path) -> None:
    with serving(Answer(wise)) as endpoint:
        system = section("parallel", samples=3, base_url=endpoint.url, **encoder(tmp_path / "encoder"))
        [row] = answered(system, tmp_path / "llm", QUESTIONS[:1], seed=5).answers
        assert sorted(body["seed"] for body in endpoint.bodies) == [5, 1005, 2005]
    assert [s.explanation for s in segment(row.answer)] == [
        "Honesty is owed in 0.",  # all three say so
        *(f"Seed {seed} says so." for seed in (5, 1005, 2005)),
    ]
    assert row.raw is not None and row.raw.count("Honesty") == 3


def test_a_union_keeps_to_the_budget_of_one_answer(tmp_path: Path) -> None:
    def long(body: dict[str, Any]) -> dict[str, Any]:
        lines = [f"- View {k} under seed {body['seed']} with words to fill it." for k in range(4)]
        return completion("\n".join(lines), usage={"prompt_tokens": 1, "completion_tokens": 60})

    with serving(Answer(long)) as endpoint:
        system = section("parallel", samples=3, base_url=endpoint.url, **encoder(tmp_path / "encoder"))
        [row] = answered(system, tmp_path / "llm", QUESTIONS[:1], max_tokens=64).answers
        assert row.completion_tokens == 180
        assert row.tokens is not None and 40 < row.tokens <= 64
        assert len(segment(row.answer)) == 4
        shorter = system.model_copy(update={"union_tokens": 32})
        [row] = answered(shorter, tmp_path / "llm", QUESTIONS[:1], max_tokens=64).answers
        assert row.tokens is not None and 16 < row.tokens <= 32
        assert len(segment(row.answer)) == 2
        assert len(endpoint.bodies) == 3, "the samples are the same"


def test_a_union_leaves_out_the_view_in_whose_midst_a_sample_was_cut_off(tmp_path: Path) -> None:
    replies = [
        ("- Honesty is owed.\n- Care is due to the", "length"),
        ("- Freedom counts.\n- It may be wrong.", "length"),  # the limit came behind a whole view
        ("- Loyalty binds\n- Law rules", "stop"),
        ("- Only this and", "length"),  # all that the sample says
    ]
    with serving(Answer(lambda body: completion(*replies[body["seed"] // 1000]))) as endpoint:
        system = section("parallel", samples=4, base_url=endpoint.url, **encoder(tmp_path / "encoder"))
        [row] = answered(system, tmp_path / "llm", QUESTIONS[:1]).answers
    kept = ["Honesty is owed.", "Freedom counts.", "It may be wrong.", "Loyalty binds", "Law rules", "- Only this and"]
    assert [s.explanation for s in segment(row.answer)] == [text.removeprefix("- ") for text in kept]


VIEWS = [
    "- Prices must be fair to poor buyers.\n- Animals should not suffer.",
    "- Children need sleep at night.\n- Trees cool the city.",
    "- Old songs keep memories alive.\n- Taxes pay for roads.",
]
THOUGHT = "Let me see. " * 130  # 400 tokens at as many characters a token as the views have


def thinking(form: str) -> Any:
    """An endpoint whose replies of 16 tokens come after 400 of thoughts, told in one of the forms that are in use."""

    def reply(body: dict[str, Any]) -> dict[str, Any]:
        text = VIEWS[body["seed"] // 1000]
        usage: dict[str, Any] = {"prompt_tokens": 7, "completion_tokens": 16 if form in ("none", "beside") else 416}
        if form in ("counted", "counted in the text", "beside"):
            usage["completion_tokens_details"] = {"reasoning_tokens": 400}
        if form == "beside":
            usage["total_tokens"] = 423
        found = completion(text, usage=usage)
        message = found["choices"][0]["message"]
        if form in ("in the text", "counted in the text"):
            message["content"] = f"<think>{THOUGHT}</think>{text}"
        elif form == "parts":
            parts = [{"type": "text", "text": THOUGHT}]
            message["content"] = [{"type": "thinking", "thinking": parts}, {"type": "text", "text": text}]
        elif form != "none":
            message["reasoning_content"] = THOUGHT
        return found

    return reply


@pytest.mark.parametrize("form", ["none", "counted", "counted in the text", "beside", "in the text", "parts", "alone"])
def test_thoughts_take_nothing_from_the_budget_of_a_union(tmp_path: Path, form: str) -> None:
    with serving(Answer(thinking(form))) as endpoint:
        shared = {"base_url": endpoint.url, "samples": 3, **encoder(tmp_path / "encoder")}
        [union] = answered(section("parallel", **shared), tmp_path / "llm", QUESTIONS[:1]).answers
        [single] = answered(section("implicit", base_url=endpoint.url), tmp_path / "llm", QUESTIONS[:1]).answers
        [again] = answered(section("parallel", **shared), tmp_path / "llm", QUESTIONS[:1]).answers
        assert len(endpoint.bodies) == 3
    assert len(segment(union.answer)) == 6
    written = 16 if form in ("none", "beside") else 416
    assert (union.completion_tokens, single.completion_tokens) == (3 * written, written)
    assert single.tokens == pytest.approx(16, abs=2) and union.tokens == pytest.approx(48, abs=4)
    assert again == replace(union, seconds=again.seconds), "also of replies from the cache"


def test_an_answer_that_is_taken_from_a_reply_has_its_share_of_the_tokens(tmp_path: Path) -> None:
    def listed(body: dict[str, Any]) -> dict[str, Any]:
        text = '{"responses": [{"text": "One view.", "probability": 0.25}, {"text": "Another.", "probability": 0.75}]}'
        return completion(text, usage={"prompt_tokens": 7, "completion_tokens": 40})

    with serving(Answer(listed)) as endpoint:
        [row] = answered(section("verbalized", base_url=endpoint.url), tmp_path, QUESTIONS[:1]).answers
    assert row.answer == "- One view.\n- Another." and row.completion_tokens == 40
    assert row.tokens is not None and 5 <= row.tokens <= 12


def test_the_community_reads_the_question_and_the_writer_their_comments(tmp_path: Path) -> None:
    with serving(Answer(wise)) as one, serving(Answer(lambda body: completion("No, in truth."))) as two:
        community = [{"model": "a", "base_url": one.url}, {"model": "b", "base_url": two.url}]
        system = section("modular", base_url=one.url, community=community)
        answered(system, tmp_path / "llm", QUESTIONS[:1])
        assert [body["model"] for body in one.bodies] == ["a", "m"]
        assert (
            one.bodies[0]["messages"] == two.bodies[0]["messages"] == [{"role": "user", "content": QUESTIONS[0].text}]
        )
        asked = one.bodies[1]["messages"][0]["content"]
    assert "Comment 1: - Honesty is owed in 0." in asked
    assert "Comment 2: No, in truth." in asked


def test_the_rewrite_reads_draft_and_critique(tmp_path: Path) -> None:
    with serving(Answer(wise)) as endpoint:
        answered(section("self-refine", base_url=endpoint.url), tmp_path / "llm", QUESTIONS[:1])
        draft, critique, rewrite = (body["messages"][0]["content"] for body in endpoint.bodies)
    assert draft == QUESTIONS[0].text
    assert "Honesty is owed in 0." in critique
    assert "Honesty is owed in 0." in rewrite and "It leaves out freedom in 0." in rewrite


def test_a_broken_format_is_asked_for_again_as_often_as_allowed(tmp_path: Path) -> None:
    def late(body: dict[str, Any]) -> dict[str, Any]:
        # Question n is answered well at try n.
        return wise(body) if body["seed"] >= int(number(body)) else completion("Well, it depends.")

    with serving(Answer(late)) as endpoint:
        system = section("explicit", base_url=endpoint.url)
        rows = answered(system, tmp_path / "a", format_retries=1).answers
        assert [layout(row.answer).valid for row in rows] == [True, True, False]
        assert [(row.retries, row.calls, row.completion_tokens) for row in rows] == [(0, 1, 3), (1, 2, 6), (1, 2, 6)]
        assert rows[2].answer == "Well, it depends.", "the last try counts"
        count = len(endpoint.bodies)
        assert count == 5
        rows = answered(replace_temperature(system), tmp_path / "b", format_retries=3).answers
        assert {row.retries for row in rows} == {0}, "at temperature 0 the same would come again"
        assert all("top_p" not in body for body in endpoint.bodies[count:])


def test_a_question_of_the_models_own_ends_an_answer_after_examples(tmp_path: Path) -> None:
    said = f"{TEMPLATE}\n\nQuestion: May Bob?\n\nAnswer:\n<core persp"
    usage = {"prompt_tokens": 7, "completion_tokens": 60}
    with serving(Answer(lambda body: completion(said, "length", usage))) as endpoint:
        [row] = answered(section("few-shot", base_url=endpoint.url), tmp_path / "a", QUESTIONS[:1]).answers
        assert (row.answer, row.raw, row.finished, row.retries) == (TEMPLATE, said, True, 0)
        assert row.tokens == round(60 * len(TEMPLATE) / len(said)) and row.completion_tokens == 60
        [row] = answered(section("explicit", base_url=endpoint.url), tmp_path / "b", QUESTIONS[:1]).answers
    assert row.answer == said and not row.finished, "no examples, so a question may be part of the answer"


@pytest.mark.parametrize("strategy", ["explicit", "few-shot", "modular", "self-refine", "verbalized"])
def test_a_reply_that_gives_back_what_the_prompt_shows_is_no_answer(tmp_path: Path, strategy: str) -> None:
    def echo(body: dict[str, Any]) -> dict[str, Any]:
        asked = body["messages"][-1]["content"]
        form = asked[asked.rfind("<core perspectives>") :] if "<core" in asked else asked[asked.rfind('{"responses') :]
        if body["seed"] or form == asked[-1:]:
            return wise(body)
        return completion(form.split("\n\nQuestion:")[0])

    with serving(Answer(echo)) as endpoint:
        community = [{"model": "c", "base_url": endpoint.url}] if strategy == "modular" else []
        system = section(strategy, base_url=endpoint.url, community=community)
        rows = answered(system, tmp_path, format_retries=1).answers
    assert [row.retries for row in rows] == [1, 1, 1]
    assert all("holds here" not in row.answer and "stray" not in row.answer for row in rows)
    assert all(len(segment(row.answer)) == 2 for row in rows)


def test_a_further_try_that_fails_on_the_way_leaves_its_question_out(tmp_path: Path) -> None:
    def down(body: dict[str, Any]) -> dict[str, Any]:
        return completion("Well, it depends.") if body["seed"] == 0 else {"rubbish": True}

    with serving(Answer(down)) as endpoint:
        system = section("explicit", base_url=endpoint.url)
        outcome = answered(system, tmp_path, QUESTIONS[:1], format_retries=2)
        assert "holds no reply" in outcome.failed["q0"] and not outcome.answers
        endpoint.answers, count = [Answer(wise)], len(endpoint.bodies)
        [row] = answered(system, tmp_path, QUESTIONS[:1], format_retries=2).answers
    assert layout(row.answer).valid and (row.calls, row.retries) == (2, 1)
    assert [body["seed"] for body in endpoint.bodies[count:]] == [1], "the first try is kept, the second is made again"


def test_a_line_counts_answers_that_are_cut_off_empty_or_in_another_form(tmp_path: Path, capfd: Any) -> None:
    def sloppy(body: dict[str, Any]) -> dict[str, Any]:
        said = {"0": completion("Well, it depen", "length"), "1": completion(""), "2": completion("Well.")}
        return said[number(body)]

    with serving(Answer(sloppy)) as endpoint:
        answered(section("explicit", base_url=endpoint.url), tmp_path / "a", format_retries=1)
        assert (
            "explicit: of 3 answers 1 are empty; 1 were cut off at 64 tokens; "
            "2 do not keep to the format asked for, in 2 tries each\n" in capfd.readouterr().err
        )
        long = f"{'folder/' * 9}the-name-of-a-model"
        answered(section("implicit", model=long, base_url=endpoint.url), tmp_path / "b", QUESTIONS[2:])
        said = capfd.readouterr().err
        assert "of 1 answers" not in said
        assert "implicit (.../folder/the-name-of-a-model)" in said and "1/1 0:00:00 0:00:00" in said


def replace_temperature(system: Any) -> Any:
    return system.model_copy(update={"temperature": 0.0})


def test_the_raw_text_is_kept_where_it_differs(tmp_path: Path) -> None:
    replies = {"0": "<think>a</think>Yes.", "1": "Yes.", "2": "<think>it never ends"}
    body = Answer(lambda b: completion(replies[number(b)], "length" if number(b) == "2" else "stop"))
    with serving(body) as endpoint:
        rows = answered(section("implicit", base_url=endpoint.url), tmp_path / "llm").answers
    assert [(row.answer, row.raw) for row in rows[:2]] == [("Yes.", replies["0"]), ("Yes.", None)]
    assert (rows[2].answer, rows[2].raw, rows[2].finished) == ("", replies["2"], False)
    assert "nothing but thinking" in rows[2].reason and "cut off" in rows[2].reason
    write_jsonl(tmp_path / "a.jsonl", (row.to_json() for row in rows))
    assert "raw" not in read_jsonl(tmp_path / "a.jsonl")[1]


@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
def test_what_fails_on_the_way_is_missing_and_what_is_declined_is_empty(tmp_path: Path, strategy: str) -> None:
    def moody(body: dict[str, Any]) -> dict[str, Any]:
        if number(body) == "1":
            return {**completion(None), "choices": [{"message": {"content": None, "refusal": "I will not"}}]}
        return {"rubbish": True} if number(body) == "2" else wise(body)

    with serving(Answer(moody)) as endpoint:
        member = {"model": "m", "base_url": endpoint.url, "retries": 0}
        system = section(strategy, **extras(strategy, tmp_path, member), base_url=endpoint.url)
        outcome = answered(system, tmp_path / "llm")
        assert list(outcome.failed) == ["q2"]
        assert "holds no reply" in outcome.failed["q2"]
        assert [(row.id, bool(row.answer)) for row in outcome.answers] == [("q0", True), ("q1", False)]
        assert outcome.answers[1].reason
        count = len(endpoint.bodies)
        endpoint.answers = [Answer(wise)]
        again = answered(system, tmp_path / "llm")
        assert not again.failed and all(row.answer for row in again.answers)
        assert again.answers[0] == replace(outcome.answers[0], seconds=again.answers[0].seconds)
        asked = {number(body) for body in endpoint.bodies[count:]}
        assert asked == {"1", "2"}, "what was answered is not asked again"


def test_a_system_without_one_answer_is_an_error(tmp_path: Path) -> None:
    model = local_model(tmp_path / "model")
    long = [replace(question, text="Well, " * 9000 + question.text) for question in QUESTIONS]
    outcome = answered(section("implicit", model=model), tmp_path / "llm", long)
    with pytest.raises(
        ModelError, match=r"implicit: not one of 3 answers says anything; most often: .* window of 8192"
    ):
        check_answers("implicit", outcome)


def test_a_dry_run_counts_every_step_and_asks_nothing(tmp_path: Path, capfd: Any) -> None:
    with serving(Answer(wise)) as endpoint:
        prices = {"input_price": 1.0, "output_price": 10.0}
        for strategy, steps in (("self-refine", 3), ("modular", 2), ("parallel", 4), ("verbalized", 1)):
            community = [{"model": "c", "base_url": endpoint.url}] if strategy == "modular" else []
            system = section(strategy, base_url=endpoint.url, community=community, **prices)
            answered(system, tmp_path / "llm", dry_run=True, format_retries=3)
            said = capfd.readouterr().err.splitlines()
            assert said[0].startswith(f"{system.name}: the first try of each call is counted")
            lines = [line for line in said if line.startswith("dry run: 3 calls")]
            assert len(lines) == steps
            assert "at most about $0.00" in lines[-1]
        assert endpoint.bodies == []


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('{"responses": [{"text": "A b.", "probability": 0.5}]}', [("A b.", 0.5)]),
        ('Sure!\n```json\n{"responses": [{"text": " A\\nb. "}]}\n```\nDone.', [("A b.", None)]),
        ('[{"text": "A", "probability": "high"}, {"text": ""}, 5, "B"]', [("A", None), ("B", None)]),
        (
            '{"responses": [{"text": "A", "probability": 1.5}, {"text": "B", "probability": true}]}',
            [("A", None), ("B", None)],
        ),
        ('{"responses": [{"text": "cut', []),
        ('{"responses": [{"text": "A", "probability": 0.4}, {"text": "cut', [("A", 0.4)]),
        ('{"responses": [{"text": "A", "probability": 40%}, {"text": "B"},]}', [("A", 0.4), ("B", None)]),
        ('{"responses": [{"response": "A \\"b\\".", "probability": 0.4}]}', [('A "b".', 0.4)]),
        (
            '1. {"text": "A\nb.", "probability": 0.4}\n2. {"text": "B", "probability": 1.2.3}',
            [("A b.", 0.4), ("B", None)],
        ),
        ('```json\n{"responses": [{"text": "A"}]}\n```\n```json\n{"text": "B"}\n```', [("A", None), ("B", None)]),
        ('"text": "' * 50_000, []),
        ('{"answers": []}', []),
        ("No JSON.", []),
        ("} {", []),
        ("[" * 100_000 + "]" * 100_000, []),
    ],
)
def test_responses_are_read(text: str, wanted: list[Any]) -> None:
    assert read_responses(text) == wanted
