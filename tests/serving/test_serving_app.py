"""The routes: tokens, limits, errors that never echo a text, both protocols, the OpenAPI document, counters."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from serving_material import GROUP, FakeWorker, client, in_loop, running, until

from overton.serving import gate
from overton.serving.app import ROUTES
from overton.types import Group, Perspective

TOKEN = "0123456789abcdef"
SECRET = "nobody may read this"


@in_loop
async def test_scores_have_a_value_or_a_reason() -> None:
    async with running() as service, client(service) as http:
        body = {"groups": [{**GROUP, "answers": ["a", None], "finished": [True, False]}, {**GROUP, "answers": ["bb"]}]}
        reply = await http.post("/score", json=body)
        assert reply.status_code == 200
        (first, nothing), (other,) = reply.json()["groups"]
        assert (first["value"], first["reason"], first["terms"]) == (1.2, "", {"length": 1.0})
        assert (nothing["value"], nothing["reason"]) == (None, "the answer is NoneType, not text")
        assert other["value"] == 2.1
        assert (await http.post("/score", json={"groups": []})).json() == {"groups": [], "reward": "abc"}


@in_loop
async def test_one_answer_a_request_and_siblings_by_name() -> None:
    async with running() as service, client(service) as http:
        bodies = [{"groups": [{**GROUP, "answers": ["x" * n], "group": "step 3, q17", "size": 3}]} for n in (1, 2, 3)]
        replies = await asyncio.gather(*(http.post("/score", json=body) for body in bodies))
        rows = [reply.json()["groups"][0][0] for reply in replies]
        assert [row["value"] for row in rows] == [1.3, 2.3, 3.3]
        assert {row["scored_together"] for row in rows} == {3}
        conflict = {"groups": [{**GROUP, "answers": ["a"], "group": "other", "size": 2}]}
        first = asyncio.create_task(http.post("/score", json=conflict))
        await until(lambda: service.held == 1)
        refused = await http.post("/score", json={"groups": [{**conflict["groups"][0], "prompt": "R"}]})
        assert (refused.status_code, refused.json()["code"]) == (409, "group_conflict")
        await http.post("/score", json=conflict)
        assert (await first).status_code == 200


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            b"{" + SECRET.encode(),
            "the body is not JSON: Expecting property name enclosed in double quotes at character 1",
        ),
        (b"", "the body must be a JSON object, sent with Content-Type: application/json"),
        (b"[1]", "the body must be a JSON object, sent with Content-Type: application/json"),
        (b'"%s"' % SECRET.encode(), "the body must be a JSON object, sent with Content-Type: application/json"),
        ({}, "groups: Field required"),
        ({"groups": SECRET}, "groups: Input should be a valid list"),
        ({"groups": [], SECRET: 1}, "body: a key that is not known; /openapi.json has them all"),
        ({"groups": [{**GROUP, "answers": []}]}, "groups[0].answers: List should have at least 1 item"),
        ({"groups": [{**GROUP, "answers": SECRET}]}, "groups[0].answers: Input should be a valid list"),
        ({"groups": [{**GROUP, "answers": ["a"], "prompt": [SECRET]}]}, "groups[0].prompt: Input should be a valid"),
        (
            {"groups": [{**GROUP, "answers": ["a"], "references": ["x", {"text": SECRET}]}]},
            "groups[0].references[1]: the text `explanation` is missing; found the keys ['text']",
        ),
        (
            {"groups": [{**GROUP, "answers": ["a"], "references": [{"explanation": "x", "label": 3}]}]},
            "groups[0].references[0]: `label` must be a text, found int",
        ),
        (
            {"groups": [{**GROUP, "answers": ["a"], "references": None}]},
            "groups[0].references: a list of references is wanted",
        ),
        ({"groups": [{"prompt": "Q", "answers": ["a"]}]}, "groups[0].references: Field required"),
        (
            {"groups": [{**GROUP, "answers": ["a"], "references": ["x", " "]}]},
            "groups[0].references[1]: the reference is empty",
        ),
        ({"groups": [{**GROUP, "answers": ["a"], "finished": []}]}, "groups[0].finished: 0 entries for 1 answers"),
        ({"groups": [{**GROUP, "answers": ["a"], "group": "g"}]}, "groups[0]: group and size are wanted together"),
        ({"groups": [{**GROUP, "answers": ["a", "b"], "group": "g", "size": 1}]}, "groups[0].size: between 2"),
        ({"groups": [{**GROUP, "answers": ["a"], "group": "g", "size": 10**9}]}, "groups[0].size: between 1"),
    ],
)
@in_loop
async def test_a_body_of_the_wrong_shape_is_refused_without_an_echo(body: Any, said: str) -> None:
    async with running() as service, client(service) as http:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        reply = await http.post("/score", content=content, headers={"content-type": "application/json"})
        assert reply.status_code == 422, reply.text
        assert reply.json()["code"] == "invalid"
        assert reply.json()["detail"].startswith(said)
        assert SECRET not in reply.text


@in_loop
async def test_a_refusal_is_short_however_long_the_keys_are() -> None:
    async with running() as service, client(service) as http:
        for reference in ({"K" * 100_000: 1}, {f"k{i}": 1 for i in range(10_000)}):
            reply = await http.post("/score", json={"groups": [{**GROUP, "answers": ["a"], "references": [reference]}]})
            assert reply.status_code == 422 and "the text `explanation` is missing" in reply.text
            assert len(reply.text) < 1_000


@in_loop
async def test_a_body_that_cannot_be_decoded_is_named() -> None:
    async with running() as service, client(service) as http:
        body = json.dumps({"groups": [{**GROUP, "answers": ["é"]}]}, ensure_ascii=False)
        headers = {"content-type": "application/json"}
        reply = await http.post("/score", content=body.encode("latin-1"), headers=headers)
        assert reply.status_code == 400 and "not JSON in UTF-8" in reply.json()["detail"]
        packed = gzip.compress(body.encode())
        reply = await http.post("/score", content=packed, headers={**headers, "content-encoding": "gzip"})
        assert (reply.status_code, reply.json()["code"]) == (415, "invalid")
        assert "Content-Encoding gzip" in reply.json()["detail"]


@in_loop
async def test_json_that_is_nested_too_deep_is_refused() -> None:
    async with running() as service, client(service) as http:
        deep = b"[" * 200_000
        reply = await http.post("/score", content=deep, headers={"content-type": "application/json"})
        assert (reply.status_code, reply.json()["code"]) == (400, "invalid")
        assert "nested too deep" in reply.json()["detail"]
        label = "[" * 200_000
        reply = await http.post("/get_reward", json={"query": ["Qx"], "prompts": ["Q"], "labels": [label]})
        assert reply.json()["extra_logs"]["unscored"] == 1.0
        reply = await http.post("/score", json={"groups": [{**GROUP, "answers": ["a"], "references": label}]})
        assert (reply.status_code, reply.json()["code"]) == (422, "invalid")


@pytest.mark.parametrize(
    "references",
    [
        [Perspective("Privacy", "a diary is private", "-", "c1", "human").to_json()],
        [{"label": None, "explanation": "a diary is private"}],
        ["In the perspective of Privacy, a diary is private"],
        json.dumps(["a diary is private"]),
        json.dumps([{"label": "Privacy", "explanation": "a diary is private"}]),
    ],
)
@in_loop
async def test_references_in_every_form_that_a_data_set_has_them_in(references: Any) -> None:
    worker = FakeWorker()
    given: list[Group] = []
    scored = worker.score
    worker.score = lambda groups: given.extend(groups) or scored(groups)  # type: ignore[method-assign,func-returns-value]
    async with running(worker) as service, client(service) as http:
        reply = await http.post("/score", json={"groups": [{**GROUP, "answers": ["a"], "references": references}]})
        assert reply.status_code == 200, reply.text
    assert [p.explanation for p in given[0].references] == ["a diary is private"]


@in_loop
async def test_what_is_no_json_is_not_read_as_such() -> None:
    async with running() as service, client(service) as http:
        reply = await http.post("/score", content=b'{"groups": []}', headers={"content-type": "text/plain"})
        assert reply.status_code == 422


@pytest.mark.parametrize(
    ("group", "said"),
    [
        ({"prompt": "x" * 51}, "groups[0].prompt: 51 characters, and at most 50 are taken (--max-chars)"),
        ({"references": ["x"] * 4}, "groups[0].references: 4, and at most 3 are taken (--max-references)"),
        ({"references": ["x", "y" * 51]}, "groups[0].references[1]: 51 characters, and at most 50"),
        ({"references": '["x", "x", "x", "x"]'}, "groups[0].references: 4, and at most 3 are taken (--max-references)"),
        ({"answers": ["a"] * 6}, "6 answers in one request, and at most 5 are taken (--max-answers)"),
        ({"answers": ["a" * 3000]}, "the body has more than 2000 bytes (--max-body)"),
    ],
)
@in_loop
async def test_limits(group: dict[str, Any], said: str) -> None:
    limits = {"max_chars": 50, "max_references": 3, "max_answers": 5, "max_body": 2000}
    async with running(**limits) as service, client(service) as http:
        reply = await http.post("/score", json={"groups": [{**GROUP, "answers": ["a"], **group}]})
        assert (reply.status_code, reply.json()["code"]) == (413, "too_large")
        assert reply.json()["detail"].startswith(said)


@in_loop
async def test_a_body_that_does_not_say_its_size_has_the_same_limit() -> None:
    async def parts() -> Any:
        for _ in range(100):
            yield b" " * 100

    async with running(max_body=2000) as service, client(service) as http:
        reply = await http.post("/score", content=parts(), headers={"content-type": "application/json"})
        assert (reply.status_code, reply.json()["code"]) == (413, "too_large")


@in_loop
async def test_a_full_queue_answers_429_and_when_to_try_again() -> None:
    worker = FakeWorker()
    worker.gate.clear()
    async with running(worker, max_queue=2, max_answers=2) as service, client(service) as http:
        body = {"groups": [{**GROUP, "answers": ["a", "b"]}]}
        first = asyncio.create_task(http.post("/score", json=body))
        await until(worker.entered.is_set)
        refused = await http.post("/score", json=body)
        assert (refused.status_code, refused.json()["code"], refused.headers["retry-after"]) == (429, "queue_full", "1")
        worker.gate.set()
        assert (await first).status_code == 200


@in_loop
async def test_many_bodies_at_one_time_have_a_limit_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "BODIES", 0)
    async with running() as service, client(service) as http:
        reply = await http.post("/score", json={"groups": []})
        assert (reply.status_code, reply.json()["code"]) == (429, "queue_full")


@in_loop
async def test_a_body_that_does_not_arrive_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "READING", 0.05)

    async def slow() -> Any:
        yield b"{"
        await asyncio.sleep(3600)

    async with running() as service, client(service) as http:
        reply = await http.post("/score", content=slow(), headers={"content-type": "application/json"})
        assert (reply.status_code, reply.json()["code"]) == (408, "timeout")


@in_loop
async def test_a_server_that_stops_waits_for_no_body_and_says_when_to_try_again() -> None:
    begun = asyncio.Event()

    async def slow() -> Any:
        yield b"{"
        begun.set()
        await asyncio.sleep(3600)

    async with running() as service, client(service) as http:
        upload = asyncio.create_task(http.post("/score", content=slow(), headers={"content-type": "application/json"}))
        await begun.wait()
        service.finish()
        for reply in (await upload, await http.post("/score", json={"groups": []})):
            assert (reply.status_code, reply.json()["code"]) == (503, "unavailable")
            assert int(reply.headers["retry-after"]) > 0


@in_loop
async def test_a_path_that_is_no_route_has_an_error_of_the_same_form() -> None:
    async with running() as service, client(service) as http:
        for path in ("/score/", "/scores"):
            reply = await http.post(path, json={"groups": []})
            assert (reply.status_code, reply.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (None, 401),
        ("Bearer ", 401),
        ("Bearer wrong", 401),
        (f"Bearer {TOKEN}x", 401),
        (f"Bearer {TOKEN[:-1]}", 401),
        ("Bearer gr\u00fcn", 401),
        (TOKEN, 401),
        ("Basic !!!", 401),
        ("Basic \u00e9", 401),
        ("Basic " + base64.b64encode(TOKEN.encode()).decode(), 401),
        ("Basic " + base64.b64encode(b"\xff:\xff").decode(), 401),
        (f"Bearer {TOKEN}", 200),
        (f"bearer {TOKEN}", 200),
        ("Basic " + base64.b64encode(f"any:{TOKEN}".encode()).decode(), 200),
    ],
)
@in_loop
async def test_every_route_but_health_wants_the_token(header: str | None, status: int) -> None:
    headers = {} if header is None else {"Authorization": header.encode("latin-1")}
    async with running() as service, client(service, TOKEN, headers=headers) as http:
        assert (await http.get("/health")).status_code == 200
        for route in ("/metrics", "/openapi.json"):
            assert (await http.get(route)).status_code == status
        reply = await http.post("/score", json={"groups": []})
        assert reply.status_code == status
        if status == 401:
            assert reply.headers["www-authenticate"] == "Bearer"
            assert reply.json()["code"] == "unauthorized"
            assert (await http.get("/nothing")).status_code == 401


@in_loop
async def test_health_says_whether_answers_can_be_scored() -> None:
    async with running() as service, client(service) as http:
        reply = await http.get("/health")
        assert reply.status_code == 200
        assert (reply.json()["status"], reply.json()["reward"]) == ("ready", "abc")
        service.give_up()
        reply = await http.get("/health")
        assert (reply.status_code, reply.json()["status"]) == (503, "stopped")
        refused = await http.post("/score", json={"groups": []})
        assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")


@in_loop
async def test_counters_are_what_prometheus_reads() -> None:
    async with running() as service, client(service) as http:
        await http.post("/score", json={"groups": [{**GROUP, "answers": ["a", "b", None]}]})
        await http.post("/score", json={})
        await http.get("/somewhere/else")
        reply = await http.get("/metrics")
        assert reply.headers["content-type"].startswith("text/plain; version=0.0.4")
        read = {
            (s.name, *s.labels.values()): s.value for f in text_string_to_metric_families(reply.text) for s in f.samples
        }
        assert read["overton_answers_total", "scored"] == 2
        assert read["overton_answers_total", "unscored"] == 1
        assert read["overton_requests_total", "/score", "200"] == 1
        assert read["overton_requests_total", "/score", "422"] == 1
        assert read["overton_requests_total", "other", "404"] == 1
        assert read["overton_batch_answers_sum",] == 3
        assert read["overton_worker_up",] == 1
        assert read["overton_held_answers",] == 0


@in_loop
async def test_the_openapi_document_describes_every_route_and_loads_nothing_from_elsewhere() -> None:
    async with running() as service, client(service) as http:
        document = (await http.get("/openapi.json")).json()
        assert set(document["paths"]) == ROUTES - {"/openapi.json"}
        answers = document["components"]["schemas"]["Answers"]["properties"]["answers"]
        assert answers["items"] == {"type": "string"}
        references = document["components"]["schemas"]["Answers"]["properties"]["references"]
        assert [form["type"] for form in references["anyOf"]] == ["array", "string"]
        assert references["anyOf"][0]["items"]["anyOf"][1] == {"$ref": "#/components/schemas/Reference"}
        assert document["components"]["schemas"]["Reference"]["required"] == ["explanation"]
        for route in ("/score", "/get_reward"):
            assert {"200", "401", "413", "422", "429", "503"} <= set(document["paths"][route]["post"]["responses"])
        for page in ("/docs", "/redoc"):
            assert (await http.get(page)).status_code == 404
        assert (await http.get("/score")).status_code == 405
