"""Any text gets a score or a reason, and any body an answer; benchmarks/reward_fuzz.py does the same at length."""

from __future__ import annotations

import asyncio
import json
import math
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from serving_material import GROUP, client, running

from overton.estimator import SimilarityEstimator
from overton.rewards import OvertonReward
from overton.serving.rows import score_groups
from overton.testing import tiny_encoder
from overton.types import Group, Perspective

PIECES = st.sampled_from(
    [
        *("<core perspectives>", "</core perspectives>", "<summary>", "</summary>", "In the perspective of ", ", "),
        *("\n", "\r", "\u2028", "\x00", "- ", "1. ", "1.1.1", "# ", "| a | b |", "**", "[KW]", "[MASK]", "<|im_end|>"),
        *("privacy", "\ud800", "\u200b", "\u202e", "é", "字", "🙂", "a" * 300, ". " * 50),
    ]
)
# Half characters too, which JSON can name.
CHARACTERS = st.characters(exclude_categories=())
TEXT = st.one_of(st.text(CHARACTERS, max_size=200), st.lists(PIECES, max_size=12).map("".join))
RELAXED = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def estimator(tmp_path_factory: pytest.TempPathFactory) -> SimilarityEstimator:
    return SimilarityEstimator.load(tiny_encoder(tmp_path_factory.mktemp("encoder")))


@pytest.mark.parametrize("preset", ["overton", "op-grpo"])
@RELAXED
@given(answers=st.lists(TEXT, min_size=1, max_size=4), prompt=TEXT, reference=TEXT)
def test_any_text_has_a_finite_score_or_a_reason(
    estimator: SimilarityEstimator, preset: str, answers: list[str], prompt: str, reference: str
) -> None:
    reward = OvertonReward(estimator, preset, threshold=0.7)
    group = Group(prompt, (Perspective("", reference), Perspective("Privacy", "a diary is private")), tuple(answers))
    scores = reward.score([group])[0]
    assert len(scores) == len(answers)
    for score, answer in zip(scores, answers, strict=True):
        if score.value is None:
            assert score.reason == "a reference perspective is empty"
            continue
        assert math.isfinite(score.value)
        assert all(math.isfinite(value) for value in score.terms.values())
        assert all(0 <= start <= end <= len(answer) for start, end, _ in score.spans)
    rows = score_groups(reward, [group])[0]
    assert [row["value"] for row in rows] == [score.value for score in scores]
    json.dumps(rows, allow_nan=False)


JSON: Any = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.integers(-(2**70), 2**70) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
NEARLY = st.fixed_dictionaries(
    {"prompt": TEXT | JSON, "references": st.lists(TEXT, max_size=3) | JSON, "answers": st.lists(JSON, max_size=3)},
    optional={"finished": JSON, "group": st.just("g") | JSON, "size": st.integers(-1, 3) | JSON},
)
LISTS = st.lists(JSON, max_size=2)
BODIES = st.one_of(
    JSON,
    st.fixed_dictionaries({"groups": st.lists(NEARLY | JSON, max_size=3)}),
    st.fixed_dictionaries({"query": LISTS, "prompts": LISTS, "labels": LISTS}),
).map(json.dumps)


@RELAXED
@given(bodies=st.lists(st.tuples(st.sampled_from(["/score", "/get_reward"]), BODIES | TEXT), min_size=1, max_size=5))
def test_any_body_gets_scores_or_an_error_that_says_what(bodies: list[tuple[str, str]]) -> None:
    async def ask() -> None:
        async with running(group_wait=0.0) as service, client(service) as http:
            for route, body in bodies:
                content = body.encode("utf-8", "surrogatepass")
                reply = await http.post(route, content=content, headers={"content-type": "application/json"})
                assert reply.status_code in (200, 400, 409, 422), reply.text
                if reply.status_code != 200:
                    assert set(reply.json()) == {"code", "detail"}
            fine = await http.post("/score", json={"groups": [{**GROUP, "answers": ["a"]}]})
            assert fine.json()["groups"][0][0]["value"] == 1.1
            assert service.held == 0

    asyncio.run(ask())
