"""Hand-made systems and a tiny cross-encoder with random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from overton.evaluation.nli import NliModel
from overton.jsonio import write_jsonl
from overton.types import Answer, Perspective, Situation

TEXTS = [
    "The mother keeps an eye on her child.",
    "The child has a right to some privacy.",
    "Trust between them will suffer.",
    "A parent should talk first.",
]


class WordOverlap:
    """A stand-in: P(entailment) is the share of the premise's words that the hypothesis has."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    def tokenizer(self, texts: list[str], **_: Any) -> dict[str, list[list[str]]]:
        return {"input_ids": [text.split() for text in texts]}

    def predict(self, pairs: list[tuple[str, str]], **_: Any) -> np.ndarray:
        self.asked += pairs
        rows = []
        for premise, hypothesis in pairs:
            one, other = set(premise.lower().rstrip(".").split()), set(hypothesis.lower().rstrip(".").split())
            share = len(one & other) / len(one)
            rows.append([share, 1 - share, 0.0])
        return np.array(rows, dtype=np.float32)


@pytest.fixture
def overlap() -> WordOverlap:
    return WordOverlap()


@pytest.fixture
def model(overlap: WordOverlap) -> NliModel:
    return NliModel(overlap, "overlap", entailment=0)


@pytest.fixture
def situation() -> Situation:
    labels = ("Safety", "Privacy", "Trust", "Care")
    return Situation(
        "s1",
        "A mother reads the diary of her child.",
        tuple(Perspective(label, text, cluster=label.lower()) for label, text in zip(labels, TEXTS, strict=True)),
    )


def templated(*lines: str, summary: str = "Safety and privacy matter.") -> str:
    return "\n".join(["<core perspectives>", *lines, "</core perspectives>", "", f"<summary>\n{summary}\n</summary>"])


@pytest.fixture
def answers(situation: Situation) -> list[Answer]:
    text = templated(
        "In the perspective of Safety, the mother keeps an eye on her child.",
        "In the perspective of Privacy, the child has a right to some privacy.",
        "In the perspective of Safety, the mother keeps an eye on her child.",
        "In the perspective of Joy, dogs bark loudly at night.",
    )
    return [Answer(situation.id, situation.text, text, "sft", tokens=60)]


@pytest.fixture(scope="session")
def tiny_cross_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved CrossEncoder with random weights and the class order contradiction, entailment, neutral."""
    from sentence_transformers import CrossEncoder
    from transformers import set_seed

    from overton.evaluation.nli_learner import make_model, train_tokenizer

    folder = tmp_path_factory.mktemp("cross encoder")
    set_seed(1)
    tokenizer = train_tokenizer(TEXTS)
    model = make_model(len(tokenizer))
    for weight in model.parameters():
        if weight.dim() > 1:
            weight.data.mul_(10)  # weights near zero say the same of every pair
    model.save_pretrained(folder / "plain")
    tokenizer.save_pretrained(folder / "plain")
    CrossEncoder(str(folder / "plain"), device="cpu").save_pretrained(str(folder / "saved"))
    return folder / "saved"


@pytest.fixture(scope="session")
def vivid_nli(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package's tiny cross-encoder with larger weights: what it says differs from pair to pair."""
    from safetensors.torch import load_file, save_file

    from overton.testing import tiny_nli

    folder = tiny_nli(tmp_path_factory.mktemp("vivid"), seed=3)
    weights = load_file(folder / "model.safetensors")
    weights = {name: (w * 8 if w.dim() > 1 else w).contiguous() for name, w in weights.items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Two questions; on each a cluster of two people and one of a single person; two models that they rated."""
    monkeypatch.setenv("OPENAI_API_KEY", "key-of-a-test")
    rows = []
    for question, split in ((1, "prism"), (2, "modelslant")):
        for user, cluster, view, ratings in (
            ("u1", 0, "yes", (5, 2)),
            ("u2", 0, "yes", (4, 1)),
            ("u3", 1, "no", (1, 4)),
        ):
            for model, text, rating in zip(("m1", "m2"), ("yes", "no"), ratings, strict=True):
                row = {"user": user, "question_id": question, "question": f"Question {question}?", "source": split}
                row |= {"freeresponse": view, "cluster_kmeans": cluster, "model": model}
                rows.append(row | {"llm_response": f"I say {text}.", "representation_rating": rating})
    write_jsonl(tmp_path / "bench.jsonl", rows)
    return ["overtonbench", "--data", str(tmp_path / "bench.jsonl"), "--output", str(tmp_path / "out")]


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Two systems that `overton judge` is to judge, one a file; questions beside them."""
    from judge_material import QUESTIONS, answers

    monkeypatch.setenv("OPENAI_API_KEY", "key-of-a-test")
    for system, texts in (("long", ("a b c", "a b c d", "a b")), ("short", ("a", "a b", "a"))):
        rows = [{"id": a.id, "prompt": f"Please answer: {a.prompt}", "answer": a.answer} for a in answers("", *texts)]
        write_jsonl(tmp_path / f"{system}.jsonl", rows)
    write_jsonl(tmp_path / "questions.jsonl", [{"id": k, "text": t, "source": "x"} for k, t in QUESTIONS.items()])
    return [str(tmp_path / f"{system}.jsonl") for system in ("long", "short")]
