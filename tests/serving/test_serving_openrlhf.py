"""OpenRLHF's protocol of the reward server."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from serving_material import FakeWorker, client, in_loop, running


@in_loop
async def test_openrlhf_gets_numbers_for_one_sample_and_lists_for_more() -> None:
    label = json.dumps({"references": ["In the perspective of Privacy, a diary is private"], "situation": "S"})
    async with running() as service, client(service) as http:

        async def ask(*answers: str) -> Any:
            n = len(answers)
            body = {"query": [f"Q{a}</s>" for a in answers], "prompts": ["Q"] * n, "labels": [label] * n}
            reply = await http.post("/get_reward", json=body)
            assert reply.status_code == 200
            return reply.json()

        one = {"length": 3.0, "unscored": 0.0, "scored_together": 1.0}
        assert await ask("abc") == {"rewards": 3.1, "scores": 1.0, "extra_logs": one}
        both = {
            "rewards": [1.1, 2.1],
            "scores": [1.0, 1.0],
            "extra_logs": {"length": [1.0, 2.0], "unscored": [0.0, 0.0], "scored_together": [1.0, 1.0]},
        }
        assert await ask("a", "bb") == both
        none: dict[str, list[float]] = {"length": [], "unscored": [], "scored_together": []}
        assert await ask() == {"rewards": [], "scores": [], "extra_logs": none}


@pytest.mark.parametrize(
    ("query", "prompt", "label"),
    [
        ("Qa", "Q", None),
        ("Qa", "Q", ""),
        ("Qa", "Q", []),
        ("Qa", "Q", {"references": ["x"], "situation": 3}),
        ("other", "Q", ["x"]),
        (None, "Q", ["x"]),
        ("Qa", 3, ["x"]),
        ("Q" * 200, "Q" * 150, ["x"]),
        ("Q" + "a" * 300, "Q", ["x"]),
    ],
)
@in_loop
async def test_a_bad_row_of_openrlhf_costs_its_own_score_only(query: Any, prompt: Any, label: Any) -> None:
    def real_enough(groups: Any) -> Any:
        found = scored(groups)
        return [
            [{**r, "value": None, "reason": "none"} for r in rows] if not g.references else rows
            for g, rows in zip(groups, found, strict=True)
        ]

    worker = FakeWorker()
    scored, worker.score = worker.score, real_enough  # type: ignore[method-assign]
    async with running(worker, max_chars=100) as service, client(service) as http:
        body = {"query": ["Qab", query], "prompts": ["Q", prompt], "labels": [["x"], label]}
        reply = await http.post("/get_reward", content=json.dumps(body), headers={"content-type": "application/json"})
        assert reply.status_code == 200, reply.text
        assert reply.json()["rewards"] == [2.1, 0.0]
        assert reply.json()["extra_logs"]["unscored"] == [0.0, 1.0]
        assert reply.json()["extra_logs"]["scored_together"][0] == 1.0


@in_loop
async def test_labels_of_which_none_can_be_read_are_refused() -> None:
    bad = {"query": ["Qa"], "prompts": ["Q"], "labels": ["4"]}
    async with running() as service, client(service) as http:
        assert [(await http.post("/get_reward", json=bad)).status_code for _ in range(33)] == [200] * 31 + [422] * 2
        reply = await http.post("/get_reward", json=bad)
        assert reply.json()["detail"].startswith(
            "not one row of the data set could be read so far; the last one: label"
        )
        assert (await http.post("/get_reward", json={**bad, "labels": [["x"]]})).status_code == 200
        assert (await http.post("/get_reward", json=bad)).status_code == 200


@in_loop
async def test_lists_of_openrlhf_that_do_not_fit_are_refused() -> None:
    async with running() as service, client(service) as http:
        reply = await http.post("/get_reward", json={"query": ["Qa"], "prompts": [], "labels": []})
        assert reply.status_code == 422
        assert reply.json()["detail"].startswith("1 entries in query, 0 in prompts, 0 in labels")
        assert (await http.post("/get_reward", json={"query": ["Qa"]})).status_code == 422


@in_loop
async def test_samples_of_openrlhf_with_the_same_prompt_are_siblings() -> None:
    async with running(group_size=3) as service, client(service) as http:

        async def ask(prompt: str, answer: str) -> float:
            body = {"query": [prompt + answer], "prompts": [prompt], "labels": [["x"]]}
            return float((await http.post("/get_reward", json=body)).json()["rewards"])

        samples = [(prompt, "a" * n) for n in (1, 2, 3) for prompt in ("Q", "R")]
        found = await asyncio.gather(*(ask(*sample) for sample in samples))
        assert found == [1.3, 1.3, 2.3, 2.3, 3.3, 3.3]


@in_loop
async def test_samples_of_openrlhf_in_one_request_are_siblings_and_have_room() -> None:
    prompts = [f"Q{n % 64}" for n in range(1024)]
    body = {"query": [f"{prompt}a" for prompt in prompts], "prompts": prompts, "labels": [["x"]] * 1024}
    async with running(group_size=16) as service, client(service) as http:
        reply = await http.post("/get_reward", json=body)
        assert (reply.status_code, reply.json()["rewards"]) == (200, [2.6] * 1024)


@in_loop
async def test_terms_that_compare_answers_are_refused_where_each_is_scored_alone() -> None:
    body = {"query": ["Qa"], "prompts": ["Q"], "labels": [["x"]]}
    for size in (0, 1):
        comparing = FakeWorker(compares="novelty_weight: 0.5")
        async with running(comparing, group_size=size) as service, client(service) as http:
            reply = await http.post("/get_reward", json=body)
            assert (reply.status_code, reply.json()["code"]) == (422, "invalid")
            assert reply.json()["detail"].startswith("`novelty_weight: 0.5` compares the answers of a group")
            assert "--group-size" in reply.json()["detail"]
    comparing = FakeWorker(compares="novelty_weight: 0.5")
    async with running(comparing, group_size=2, group_wait=0.0) as service, client(service) as http:
        assert (await http.post("/get_reward", json=body)).status_code == 200


@in_loop
async def test_groups_that_are_not_whole_are_told_once_in_a_while(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(group_size=4, group_wait=0.05) as service, client(service) as http:
        body = {"query": ["Qa", "Qb"], "prompts": ["Q", "Q"], "labels": [["x"]] * 2}
        for _ in range(3):
            reply = await http.post("/get_reward", json=body)
            assert reply.json()["extra_logs"]["scored_together"] == [2.0, 2.0]
        whole = {name: values * 2 for name, values in body.items()}
        assert (await http.post("/get_reward", json=whole)).json()["extra_logs"]["scored_together"] == [4.0] * 4
        said = [record.getMessage() for record in caplog.records if "siblings" in record.getMessage()]
        assert len(said) == 1 and said[0].startswith("1 of 1 groups were scored without all siblings")
        monkeypatch.setattr(service._released, "again", 0.0)
        await http.post("/get_reward", json=body)
    assert "4 of 4 groups" not in caplog.text and "3 of 4 groups" in caplog.text
