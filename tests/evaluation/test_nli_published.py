"""The published figures: the loops of both published scripts, written anew from their description, against ours."""

from __future__ import annotations

import csv
from pathlib import Path
from statistics import mean, pstdev
from typing import Any

import pytest

from overton.data.table import read_table
from overton.evaluation.nli_model import load_nli
from overton.evaluation.published import (
    published_figures,
    published_rows,
    published_scores,
    published_sentences,
)
from overton.types import Answer, Perspective, Situation

pytest.importorskip("sentence_splitter", reason="the published sentences need sentence-splitter")

REFERENCES = [
    ["The child has a right to some privacy.", "A parent must keep a child safe, even from friends."],
    ["Animals can suffer.", "People have eaten meat for ages.", "Everyone may choose what to eat."],
    ["A promise binds whoever gave it.", "Friends come first."],
]
OUTPUTS = [
    "<core perspectives>\nIn the perspective of Privacy, a child may keep secrets. In the perspective of Safety, e.g. "
    "Dr. Lee says so!\n</core perspectives>\n\n<summary>\nBoth matter.\n</summary>",
    "1. Meat is cheap.\n\n2. Animals feel pain (as No. 3 of the report says). 'So what?' they say... Who knows",
    "",
]


def entailed(scores: list[dict[str, Any]]) -> float:
    return next(s["score"] for s in scores if s["label"].lower() == "entailment")


def loops(vivid_nli: Path, one_call: bool) -> list[float]:
    """Per situation, from the pipeline: a call for each pair (Modular Pluralism), or one for all (OP-GRPO)."""
    from transformers import pipeline

    # In float32, as the published code loads it.
    nli = pipeline("text-classification", model=str(vivid_nli), tokenizer=str(vivid_nli), top_k=None, device=-1)
    found = []
    for references, output in zip(REFERENCES, OUTPUTS, strict=True):
        sentences = published_sentences(output)
        if not sentences:
            found.append(0.0)
            continue
        asked = [{"text": r, "text_pair": s} for r in references for s in sentences]
        if one_call:
            answers = nli(asked, batch_size=300, truncation=True)
        else:
            answers = [nli(pair, truncation=True) for pair in asked]
        values = [entailed(a) for a in answers]
        size = len(sentences)
        found.append(mean(max(values[i : i + size]) for i in range(0, len(values), size)))
    return found


@pytest.mark.parametrize("one_call", [True, False])
@pytest.mark.parametrize("fast", [True, False])
def test_the_same_figures_as_the_published_loops(vivid_nli: Path, one_call: bool, fast: bool) -> None:
    model = load_nli(vivid_nli)
    model.fast = fast  # bfloat16 works on every processor, if slowly
    expected = loops(vivid_nli, one_call)
    scores = published_scores(model, REFERENCES, OUTPUTS)
    assert scores == pytest.approx(expected, abs=1e-6)
    assert len({round(s, 4) for s in scores}) == 3
    figures = published_figures(scores, 0.3)
    assert figures.average == pytest.approx(mean(expected), abs=1e-6)
    assert figures.std == pytest.approx(pstdev(expected), abs=1e-6)
    assert figures.std_error == pytest.approx(pstdev(expected) / 3**0.5, abs=1e-6)
    assert figures.accuracy == sum(x > 0.3 for x in expected) / 3


def test_an_empty_line_is_asked_as_the_pipeline_asks_it(vivid_nli: Path) -> None:
    from transformers import pipeline

    nli = pipeline("text-classification", model=str(vivid_nli), tokenizer=str(vivid_nli), top_k=None, device=-1)
    texts = ["Animals can suffer.", "A promise binds whoever gave it, and those who took it."]
    found = load_nli(vivid_nli).alone(texts)
    for text in texts:
        assert found[text] == pytest.approx(entailed(nli({"text": text, "text_pair": ""})), abs=1e-6)
    assert "" in published_sentences(OUTPUTS[0])


def test_rows_have_a_score_and_its_side_of_the_threshold(vivid_nli: Path) -> None:
    views = tuple(Perspective("", text, cluster="one") for text in REFERENCES[0])
    situations = {"a": Situation("a", "?", views)}
    model = load_nli(vivid_nli)
    answers = [Answer("a", "", OUTPUTS[0])]
    (score,) = published_scores(model, REFERENCES[:1], OUTPUTS[:1])
    for threshold, accuracy in ((score - 0.01, 1), (score, 0)):
        (row,) = published_rows(model, answers, situations, threshold)
        assert row == {"id": "a", "published_nli": score, "published_accuracy": accuracy}


def test_references_are_read_as_the_published_code_reads_them() -> None:
    """Its description: a label up to the first comma and space, then all until the next line with a label."""
    path = Path(__file__).parents[3] / "shared" / "data" / "op_bench" / "test_5p.csv"
    if not path.is_file():
        pytest.skip("the OP-GRPO test set is not here")
    rows = read_table(path, {})
    with path.open(newline="", encoding="utf-8") as file:
        published = [row["answer"] for row in csv.DictReader(file)]
    assert len(rows) == len(published) == 300
    unlike = 0
    for row, text in zip(rows, published, strict=True):
        blocks = f"\n{text}".split("\nIn the perspective of ")[1:]
        expected = [" ".join(b.partition(", ")[2].split()) for b in blocks]
        unlike += expected != [p.explanation for p in row.situation.perspectives]
    assert unlike == 0
