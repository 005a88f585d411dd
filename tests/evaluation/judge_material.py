"""Judges at a real endpoint on a loopback port, which read their prompts as a judge would."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "llm"))

from llm_server import completion

from overton.evaluation.judge.ask import Judge, load_judges
from overton.sections_evaluation import JudgeModel
from overton.types import Answer

ASPECTS = ("helpfulness", "clarity", "factuality", "depth", "engagement")
QUESTIONS = {"q1": "Is it fine to lie?", "q2": "May a child be followed?", "q3": "Should meat be taxed?"}


def judge(url: str, cache: Path, name: str = "m", **settings: Any) -> Judge:
    """A judge at this address; every call opens it anew over the same cache."""
    section = JudgeModel(model=name, base_url=url, api_key_env="", **{"retries": 0, "timeout": 20, **settings})
    return load_judges({name: section}, cache)[0]


def answers(system: str, *texts: str) -> list[Answer]:
    return [Answer(key, QUESTIONS[key], text, system) for key, text in zip(QUESTIONS, texts, strict=False)]


def quoted(body: dict[str, Any], name: str) -> str:
    """The one text of this name that the prompt quotes, found as the system message says: by the mark."""
    mark = re.search(r"carry the code (\w{16})\.", body["messages"][0]["content"])[1]
    user = body["messages"][-1]["content"]
    (text,) = re.findall(rf"<{name} {mark}>\n(.*?)\n</{name} {mark}>", user, re.DOTALL)
    return str(text)


def scores(*grades: int) -> str:
    grades = grades * 5 if len(grades) == 1 else grades
    return json.dumps({a: {"reason": "so", "score": g} for a, g in zip(ASPECTS, grades, strict=True)})


def grader(grade: Callable[[str], int]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Gives one grade on every aspect, by the answer's text."""
    return lambda body: completion(scores(grade(quoted(body, "answer"))))


def chooser(choose: Callable[[str, str], str]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Says which place wins, by the texts of both."""

    def reply(body: dict[str, Any]) -> dict[str, Any]:
        winner = choose(quoted(body, "answer-1"), quoted(body, "answer-2"))
        return completion(json.dumps({"reason": "so", "winner": winner}))

    return reply


def reply(body: dict[str, Any]) -> dict[str, Any]:
    """A judge that grades by words, prefers the longer answer, and rates by whether a view is in the answer."""
    text = body["messages"][-1]["content"]
    if "<view" in text:
        rating = 5 if quoted(body, "view") in quoted(body, "answer") else 2
        return completion(json.dumps({"reason": "so", "rating": rating}))
    if "<answer-1" in text:
        return chooser(lambda first, second: "1" if len(first) > len(second) else "2")(body)
    return grader(lambda answer: min(5, len(answer.split())))(body)
