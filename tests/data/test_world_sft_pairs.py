"""Imperfect answers, triplets, labelled pairs and NLI pairs of the bundled world."""

from __future__ import annotations

import re
from collections import Counter
from statistics import mean

import pytest

from overton.data.world.content import explain, load_world
from overton.data.world.generate import Splits, make_world
from overton.data.world.oracle import judge
from overton.data.world.pairs import labelled_pairs, nli_pairs, triplets
from overton.data.world.sft import enumerate_words, sft_rows, slots_of
from overton.segment import layout, segment

WORLD = load_world()
BIG = make_world(1000, 60, 60, seed=11)
ROWS = sft_rows(BIG.train, seed=0)
VERDICTS = [judge(s, r["completion"]) for s, r in zip(BIG.train, ROWS, strict=True)]


def test_one_answer_a_situation_in_the_template() -> None:
    assert [r["id"] for r in ROWS] == [s.id for s in BIG.train]
    assert [r["prompt"] for r in ROWS] == [s.text for s in BIG.train]
    assert all(layout(r["completion"]).valid for r in ROWS)


def test_the_oracle_reads_every_line() -> None:
    assert {s.verdict for v in VERDICTS for s in v.segments} == {"matched", "repeated", "irrelevant"}


def test_answers_hold_part_of_the_relevant_perspectives() -> None:
    coverage = [v.coverage for v in VERDICTS]
    assert mean(coverage) == pytest.approx(0.525 * 0.95, abs=0.04)
    assert mean(0.2 <= c <= 0.85 for c in coverage) > 0.9
    plain = sft_rows(BIG.train, seed=0, repeat=0, irrelevant=0)
    found = [judge(s, r["completion"]) for s, r in zip(BIG.train, plain, strict=True)]
    assert min(len(v.segments) for v in found) == 2
    assert all(v.precision == v.uniqueness == 1 for v in found)


def test_share_of_repeats_and_irrelevant_lines() -> None:
    counts = Counter(s.verdict for v in VERDICTS for s in v.segments)
    total = counts.total()
    assert counts["irrelevant"] / total == pytest.approx(0.05, abs=0.01)
    assert counts["repeated"] / total == pytest.approx(0.05 / 1.05, abs=0.02)


def test_a_repeat_uses_other_words() -> None:
    for row in ROWS[:300]:
        texts = [s.explanation for s in segment(row["completion"])]
        assert len(set(texts)) == len(texts)


def test_knobs() -> None:
    full = sft_rows(BIG.train[:100], seed=0, keep=(1, 1), repeat=0, irrelevant=0)
    assert all(judge(s, r["completion"]).coverage == 1 for s, r in zip(BIG.train, full, strict=False))
    wild = sft_rows(BIG.train[:100], seed=0, repeat=1, irrelevant=0)
    assert all(judge(s, r["completion"]).uniqueness == 0.5 for s, r in zip(BIG.train, wild, strict=False))
    lost = sft_rows(BIG.train[:100], seed=0, irrelevant=1)
    assert all(judge(s, r["completion"]).coverage == 0 for s, r in zip(BIG.train, lost, strict=False))


def test_first_mentions_stand_in_the_order_values_rights_duties() -> None:
    rows = sft_rows(BIG.train[:100], seed=0, irrelevant=0)
    types = {v.label: ("value", "right", "duty").index(v.type) for v in WORLD.values.values()}
    for row in rows:
        first = [types[label] for label in dict.fromkeys(s.label for s in segment(row["completion"]))]
        assert first == sorted(first)


def test_repeats_need_not_be_adjacent() -> None:
    gaps = Counter()
    for verdict in VERDICTS:
        found = [s.cluster for s in verdict.segments]
        gaps.update(i - found.index(c) for i, c in enumerate(found) if found.index(c) < i)
    assert gaps[1] and gaps[2] and gaps[3]


def test_summary_names_every_label_once_in_one_sentence() -> None:
    shapes = set()
    for row, verdict in zip(ROWS[:300], VERDICTS, strict=False):
        summary = layout(row["completion"]).summary
        assert summary.count(".") == 1 and summary.endswith(".") and summary[0].isupper()
        for label in {s.label for s in verdict.segments}:
            assert re.search(rf"\b{re.escape(label.lower())}\b", summary.lower())
        shapes.add(summary.split()[0])
    assert len(shapes) >= 5


def test_only_train_phrasings_are_taught() -> None:
    for situation, row in zip(BIG.train[:200], ROWS, strict=False):
        slots = slots_of(situation)
        late = {explain(v, s, i, slots).casefold() for v in WORLD.values.values() for s in "+-" for i in (3, 4)}
        assert not late & {p.explanation.casefold() for p in segment(row["completion"])}


def test_everything_is_decided_by_the_seed(splits: Splits) -> None:
    assert sft_rows(splits.train, 1) == sft_rows(splits.train, 1) != sft_rows(splits.train, 2)
    assert triplets(splits.train, 50, 1) == triplets(splits.train, 50, 1) != triplets(splits.train, 50, 2)
    assert nli_pairs(splits.train, 50, 1) == nli_pairs(splits.train, 50, 1)
    assert labelled_pairs(splits.dev, 50, "dev", 1) == labelled_pairs(splits.dev, 50, "dev", 1)


@pytest.mark.parametrize(("words", "text"), [(["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")])
def test_enumerate_words(words: list[str], text: str) -> None:
    assert enumerate_words(words) == text


def _lookup(situation) -> dict[str, tuple[str, str, int]]:
    slots = slots_of(situation)
    return {explain(v, s, i, slots): (v.id, s, i) for v in WORLD.values.values() for s in "+-" for i in range(5)}


def test_triplets(splits: Splits) -> None:
    by_text = {s.text: s for s in splits.train}
    rows = triplets(splits.train[:60], 1500, seed=0)
    assert len(rows) == 1500
    relations = Counter()
    cache: dict[str, dict] = {}
    for row in rows:
        found = cache.setdefault(row["situation"], _lookup(by_text[row["situation"]]))
        anchor, positive, negative = (found[row[k]] for k in ("anchor", "positive", "negative"))
        assert anchor[:2] == positive[:2] != negative[:2] and anchor[2] != positive[2]
        assert {anchor[2], positive[2], negative[2]} <= {0, 1, 2}
        if anchor[0] == negative[0]:
            relations["opposite"] += 1
        elif WORLD.values[anchor[0]].family == WORLD.values[negative[0]].family and anchor[1] == negative[1]:
            relations["near"] += 1
        else:
            relations["other"] += 1
    assert relations["near"] / 1500 == pytest.approx(0.52, abs=0.05)
    assert relations["opposite"] / 1500 == pytest.approx(0.25, abs=0.04)


@pytest.mark.parametrize(("split", "phrasing"), [("dev", 3), ("test", 4)])
def test_labelled_pairs(splits: Splits, split: str, phrasing: int) -> None:
    situations = getattr(splits, split)
    by_text = {s.text: s for s in situations}
    rows = labelled_pairs(situations[:40], 400, split, seed=0)
    relations = Counter(r["relation"] for r in rows)
    assert relations["same"] == 200 and min(relations[r] for r in ("near", "opposite", "other")) >= 60
    cache: dict[str, dict] = {}
    for row in rows:
        found = cache.setdefault(row["situation"], _lookup(by_text[row["situation"]]))
        one, other = found[row["sentence1"]], found[row["sentence2"]]
        assert one[2] in (0, 1, 2, phrasing) and other[2] in (0, 1, 2)
        assert row["sentence1"] != row["sentence2"]
        assert row["label"] == (one[:2] == other[:2]) == (row["relation"] == "same")
        if row["relation"] == "near":
            assert WORLD.values[one[0]].family == WORLD.values[other[0]].family and one[1] == other[1]
        if row["relation"] == "opposite":
            assert one[0] == other[0]


def test_pairs_of_a_held_out_split_share_no_situation_with_train(splits: Splits) -> None:
    train = {s.text for s in splits.train}
    for split in ("dev", "test"):
        assert not train & {str(r["situation"]) for r in labelled_pairs(getattr(splits, split), 200, split, 0)}


def test_nli_pairs(splits: Splits) -> None:
    lookup: dict[str, set[tuple[str, str]]] = {}
    used = set()
    for situation in splits.train[:120]:
        for text, (value, stance, index) in _lookup(situation).items():
            lookup.setdefault(text.casefold(), set()).add((value, stance))
            used.add(index)
    labels = {v.label: v.id for v in WORLD.values.values()}
    rows = nli_pairs(splits.train[:120], 900, seed=0)
    assert Counter(r["label"] for r in rows) == {"entailment": 300, "contradiction": 300, "neutral": 300}
    prefixed = mislabelled = summaries = near = 0
    for row in rows:
        (premise,) = lookup[row["premise"].casefold()]
        text = row["hypothesis"]
        parts = segment(text) if text.startswith("In the perspective of") else []
        if parts:
            prefixed += 1
            text = parts[0].explanation
        views = lookup.get(text.casefold())
        if views is None:
            summaries += 1
            assert row["label"] == "neutral"
            continue
        (view,) = views
        if row["label"] == "neutral":
            assert view[0] != premise[0]
            near += WORLD.values[view[0]].family == WORLD.values[premise[0]].family
            mislabelled += bool(parts) and labels[parts[0].label] == premise[0]
        else:
            assert view[0] == premise[0]
            assert (view[1] == premise[1]) == (row["label"] == "entailment")
            assert row["premise"].casefold() != text.casefold()
    assert prefixed > 300 and mislabelled > 15 and summaries > 3 and near > 80
