"""Systems over real back ends: an endpoint on a loopback port, and tiny models in this process."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import llm_server

from overton.generation.session import Settings
from overton.generation.systems import Home, Outcome, answers_of
from overton.sections_generation import SystemSection
from overton.segment import format_answer
from overton.testing import scripted_policy, tiny_encoder
from overton.types import Perspective, Situation

QUESTIONS = [Situation(f"q{i}", f"May Ann do thing {i}?", ()) for i in range(3)]
TEMPLATE = format_answer([Perspective("Honesty", "it is owed"), Perspective("Care", "it is due")], "Both count.")
CHAT = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant: "


def section(strategy: str, **keys: Any) -> SystemSection:
    given = {"name": strategy, "model": "m", "retries": 0, "timeout": 5, "concurrency": 2, **keys}
    return SystemSection.model_validate({**given, "strategy": strategy})


def answered(system: SystemSection, cache: Path, questions: list[Situation] = QUESTIONS, **keys: Any) -> Outcome:
    settings = {name: keys.pop(name) for name in list(keys) if name in Settings.__dataclass_fields__}
    return answers_of(system, questions, Settings(**{"max_tokens": 64, **settings}), Home(cache, **keys))


def number(body: dict[str, Any]) -> str:
    """The number of the question that an endpoint was asked."""
    found = re.search(r"thing (\d+)", body["messages"][-1]["content"])
    return found[1] if found else "?"


def wise(body: dict[str, Any]) -> dict[str, Any]:
    """What a model says that does as every prompt bids, and says which question it was asked."""
    asked, n = body["messages"][-1]["content"], number(body)
    if "probability" in asked:
        rows = [f'{{"text": "View {k} of {n}.", "probability": 0.{k}}}' for k in (1, 2)]
        return llm_server.completion('```json\n{"responses": [' + ", ".join(rows) + "]}\n```")
    if "criticism" in asked or "Members of several" in asked or "<core perspectives>" in asked:
        return llm_server.completion(f"<think>So.</think>\n{TEMPLATE.replace('Both', f'In {n} both')}<|im_end|>")
    if "leave out" in asked:
        return llm_server.completion(f"It leaves out freedom in {n}.")
    return llm_server.completion(f"- Honesty is owed in {n}.\n- Seed {body.get('seed')} says so.")


def local_model(folder: Path, text: str = TEMPLATE, chat: bool = True) -> str:
    """A model here that always says the same."""
    from transformers import AutoTokenizer

    scripted_policy(folder, text, max_length=8192)
    if chat:
        tokenizer = AutoTokenizer.from_pretrained(folder)
        tokenizer.chat_template = CHAT
        tokenizer.save_pretrained(folder)
    return str(folder)


def encoder(folder: Path) -> dict[str, Any]:
    return {"encoder": str(tiny_encoder(folder)), "threshold": 0.99}
