"""Refinement, mined triplets and summaries, with cosines given by hand and a language model made up here."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from refine_material import COS, Fake, encode, situation, yes_to_the_first

from overton.data.judge import more_perspectives, same_perspective, summaries
from overton.data.mine import judge_pairs, mined_triplets, with_verdicts
from overton.data.pairs import table_pairs
from overton.data.refine import Refiner
from overton.data.rows import LabelledPair, TableRow, row_of
from overton.data.sft import extractive_summary, table_sft
from overton.data.written import _refined
from overton.errors import DataError
from overton.recipe import parse_recipe
from overton.segment import layout, segment
from overton.types import Perspective


def shown(row: TableRow) -> tuple[list[str], list[str | None]]:
    return [p.explanation for p in row.situation.perspectives], [v.cluster for v in row.views]


def test_near_duplicates_become_one_cluster() -> None:
    row = situation("0 a", "10 b", "90 c", "25 d", completion="own answer")
    refiner = Refiner(encode, COS)
    (found,) = refiner.merged([row])
    # d is like b, which joined a; d itself is too far from a, so it stays.
    assert shown(found) == (["0 a", "90 c", "25 d"], ["same-1", "same-1", None, None])
    assert found.completion == "" and len(found.views) == 4
    assert refiner.tally == {"near-duplicates found": 2, "perspectives merged": 1}
    (untouched,) = Refiner(encode, 0.9999).merged([row])
    assert untouched == row


def test_a_perspective_joins_the_most_similar_one_with_all_its_wordings() -> None:
    row = situation("0 a/x", "1 a2/x", "30 b/y", "18 c/z", "19 c2/z", "200 d/same-1")
    (found,) = Refiner(encode, COS).merged([row])
    assert shown(found) == (["0 a", "30 b", "200 d"], ["x", "x", "y", "y", "y", "same-1"])
    (twice,) = Refiner(encode, COS).merged([situation("0 a", "0 a", "90 b", "91 c/same-1")])
    assert [len(set(filter(None, shown(twice)[1]))), len(twice.situation.perspectives)] == [2, 2]


def test_opposite_stances_stay_apart_and_one_perspective_is_no_spectrum() -> None:
    refiner = Refiner(encode, COS)
    (kept,) = refiner.merged([situation("0 a+", "1 b-", name="x"), situation("0 a", "1 b", name="y")])
    assert kept.situation.id == "x"
    assert refiner.tally["situations dropped, all their perspectives being one"] == 1


def test_a_model_confirms_merges_and_its_silence_changes_nothing() -> None:
    rows = [situation("0 a", "5 b", "90 c", "95 d", name=n) for n in ("one", "two")]
    judge = Fake(lambda q: None if "two" in q and "A: 90" in q else "Yes." if "A: 0" in q else "<think>yes</think>\nno")
    refiner = Refiner(encode, COS, judge=judge)
    one, two = refiner.merged(rows)
    assert shown(one) == (["0 a", "90 c", "95 d"], ["same-1", "same-1", None, None])
    assert two == rows[1] and len(judge.asked) == 4
    assert refiner.tally["situations left as they were, for want of a verdict"] == 1
    assert same_perspective(Fake(lambda q: "Perhaps yes"), [("s", "a", "b")]) == [None]


def test_short_situations_are_filled_with_what_is_new() -> None:
    replies = iter(
        [
            "1. Law: 10 too near\n- **Care**: 100 new\nno colon\nRank: From the perspective of rank",
            None,
            "Hope: 101 near Care\nIn the perspective of Joy: 200 newer\nFear: 300 one too many",
        ]
    )
    author = Fake(lambda q: next(replies))
    rows = [
        situation("0 a", "50 b", name="x"),
        situation("0 a", "50 b", name="y"),
        situation("0 a", "40 b", "80 c", "120 d"),
    ]
    refiner = Refiner(encode, COS, perspectives=4, author=author)
    x, y, full = refiner(rows)
    assert [(p.label, p.explanation, p.provenance) for p in x.situation.perspectives[2:]] == [
        ("Care", "100 new", "fake-1"),
        ("Joy", "200 newer", "fake-1"),
    ]
    assert y == rows[1] and full == rows[2]
    assert refiner.tally["new perspectives refused, being near-duplicates"] == 2
    assert refiner.tally["situations not filled up, for want of a reply"] == 1
    assert refiner.tally["perspectives added"] == 2
    assert [r.temperature for r in author.asked] == [0.7] * 3 and author.asked[0].seed != author.asked[2].seed


def test_no_split_is_given_a_perspective_that_another_has() -> None:
    author = Fake(lambda q: "Care: 100 Everyone deserves respect.\nHope: 200 it helps\nJoy: 300 it is fun")
    splits = {name: [situation("0 a", f"50 b of {name}", name=name)] for name in ("train", "dev")}
    splits["test"] = [situation("0 c", "40 d", "100 EVERYONE  deserves respect.")]
    section = parse_recipe(
        {"name": "r", "data": {"source": "table", "path": "t", "refine": {"merge": COS, "perspectives": 3}}}
    ).data
    tally: dict[str, Counter[str]] = {}
    found = _refined(section, splits, encode, author, 0, tally)  # type: ignore[arg-type]
    assert {name: rows[0].situation.perspectives[2].explanation for name, rows in found.items()} == {
        "train": "200 it helps",
        "dev": "300 it is fun",
        "test": "100 EVERYONE  deserves respect.",
    }
    refused = "new perspectives refused, another split having the same"
    assert [tally[name][refused] for name in found] == [1, 2, 0]


def test_a_model_that_gives_nothing_readable() -> None:
    assert more_perspectives(Fake(lambda q: "nothing"), [("s", [], 2)], 0) == [[]]
    assert summaries(Fake(lambda q: "a <summary> b"), [("s", [])], 0) == [None]


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        ("A: No", False),
        ("A: Yes\n\nThe answer is yes.", True),
        ("**Answer:** no", False),
        ("The answer is: **No**.", False),
        ("The answer is yes.", True),
        ("Final answer: Yes", True),
        ("A: no\nB: yes", None),  # a word on each text
        ("A: A: A Christian may view", None),
        ("A no-brainer", None),
        ("Answering no", None),
        ("Nothing", None),
    ],
)
def test_verdicts_as_small_models_write_them(reply: str, verdict: bool | None) -> None:
    assert same_perspective(Fake(lambda q: reply), [("s", "a", "b")]) == [verdict]


def test_of_a_reply_that_was_cut_off_nothing_unfinished_is_kept() -> None:
    lines = "NAME: Care: Those who are hurt count.\nTrust: People rely on"
    (found,) = more_perspectives(Fake(lambda q: lines, cut_off=True), [("s", [], 2)], 0)
    assert found is not None and [(p.label, p.explanation) for p in found] == [("Care", "Those who are hurt count.")]
    assert summaries(Fake(lambda q: "All of them matter. But", cut_off=True), [("s", [])], 0) == [None]
    assert same_perspective(Fake(lambda q: "Yes, since both", cut_off=True), [("s", "a", "b")]) == [True]


def test_the_words_of_the_prompt_and_remarks_are_no_perspectives(tmp_path: Path) -> None:
    text = "SENTENCE: It says it.\n**NAME**: Care\nNote: There are more.\nName: Rank: It counts.\nHope: It helps."
    author = Fake(lambda q: text)
    author.name = str(tmp_path)  # an endpoint may know a model by its folder
    (found,) = more_perspectives(author, [("s", [], 2)], 0)
    assert found is not None and [p.label for p in found] == ["Rank", "Hope"]
    assert {p.provenance for p in found} == {f"./{tmp_path.name}"}


def test_the_first_yes_and_the_nearest_no_make_a_triplet() -> None:
    rows = [
        situation("0 a", "5 b", "12 c", "90 d", name="x"),
        situation("0 a", "5 b", name="y"),
        situation("0 a", "90 b", name="z"),
    ]
    llm = Fake(lambda q: "yes" if "A: 0 a\nB: 5 b" in q else "no")
    tally: Counter[str] = Counter()
    judged = judge_pairs(rows, encode, llm, 0.75, tally)
    assert judged[0].pairs == ((0, 1), (1, 2), (0, 2)) and len(llm.asked) == tally["pairs judged for triplets"] == 4
    assert mined_triplets(judged, 10, 0, tally) == [
        {"situation": "May x?", "anchor": "5 b", "positive": "0 a", "negative": "12 c"}
    ]
    assert tally["situations without a triplet"] == 2
    with_pairs = with_verdicts(judged)
    pairs = table_pairs(with_pairs, 0, "dev", 0, [])
    assert sum(p["label"] for p in pairs) == 2 and len(pairs) == 6 + 1 + 1
    with pytest.raises(DataError, match=r"data\.miner: no situation"):
        mined_triplets(judged[1:], 10, 0, tally)
    silent = judge_pairs(rows, encode, Fake(lambda q: None), 0.75, Counter())  # a dry run, a cap, a server that is down
    with pytest.raises(DataError, match=r"data\.miner: no triplets, since 4 of 4 pairs have no verdict"):
        mined_triplets(silent, 10, 0, Counter())
    clustered = situation("0 a/x", "5 b/x", "90 c")
    assert with_verdicts(judge_pairs([clustered], encode, Fake(lambda q: None), 0.75, tally)) == [clustered]
    assert tally["pairs left out, for want of a verdict"] == 1


def test_a_text_in_two_spellings_makes_no_triplet() -> None:
    row = situation("0 a", "5 b", "0 A", "9 c")
    llm = Fake(lambda q: "yes" if "A: 0 a\nB: 5 b" in q else "no")
    judged = judge_pairs([row], encode, llm, 0.75, Counter())
    assert (0, 2) not in judged[0].pairs
    assert mined_triplets(judged, 10, 0, Counter()) == [
        {"situation": "May q?", "anchor": "5 b", "positive": "0 a", "negative": "9 c"}
    ]
    assert all({p.sentence1, p.sentence2} != {"0 a", "0 A"} for p in with_verdicts(judged)[0].pairs)


def test_near_pairs_that_were_not_asked_about_are_no_pairs() -> None:
    rows = [
        situation(*(f"0 v{i}" for i in range(15)), "90 far", name="x"),
        situation("0 a", "1 b", name="y"),
        situation("0 a/s", "0 b/s", *(f"0 v{i}" for i in range(13)), name="z"),
    ]
    tally: Counter[str] = Counter()
    judged = judge_pairs(rows, encode, Fake(lambda q: None if "y?" in q else "yes"), 0.75, tally)
    assert [(len(item.pairs), len(item.unasked)) for item in judged] == [(50, 55), (1, 0), (50, 55)]
    # In z the clusters say what is the same, so nothing is left out there.
    assert tally == {
        "pairs judged for triplets": 101,
        "pairs left out, for want of a verdict": 1,
        "pairs left out, for want of a place among the 50 that are judged": 55,
    }
    x, z = with_verdicts(judged)  # of y nothing is known, not even that its two perspectives differ
    labels = Counter((pair.same, "90 far" in (pair.sentence1, pair.sentence2)) for pair in x.pairs)
    assert labels == {(True, False): 50, (False, True): 15} and z == rows[2]
    pairs = table_pairs([x], 0, "train", 0, [])
    assert all(row["label"] == ("90 far" not in (row["sentence1"], row["sentence2"])) for row in pairs)


def test_what_people_called_different_stays_so() -> None:
    row = situation("0 a", "5 b", "90 c")
    people = replace(row, pairs=(LabelledPair("0 a", "5 b", False),))
    judged = judge_pairs([people], encode, Fake(lambda q: "yes"), 0.75, Counter())
    assert with_verdicts(judged) == [people] and with_verdicts([replace(judged[0], row=row)])[0].pairs[0].same


def test_of_the_pairs_beyond_the_judged_ones_none_is_more_similar() -> None:
    row = situation(*(f"{i} v" for i in range(12)))
    (item,) = judge_pairs([row], encode, Fake(lambda q: "no"), 0.75, Counter())
    apart = [[b - a for a, b in pairs] for pairs in (item.pairs, item.unasked)]
    assert sum(map(len, apart)) == 66 and max(apart[0]) <= min(apart[1])
    assert len(with_verdicts([item])[0].pairs) == 50
    assert (
        len(mined_triplets(judge_pairs([row], encode, Fake(yes_to_the_first), 0.75, Counter()), 1, 0, Counter())) == 1
    )


LONG = "People who promise something should keep to it, because others plan with it and would lose their time and trust"


def test_summaries_speak_to_every_perspective() -> None:
    views = [
        Perspective("Honesty", "Lying breaks trust. It hurts.", "-"),
        Perspective("Faith", "Christians may see it as a sin; others do not.", None),
        Perspective("Duty", LONG, None),
    ]
    row = row_of("q", "May I lie?", views, "q")
    text = extractive_summary(row.situation)
    assert text == (
        "Taken together, Honesty holds that lying breaks trust; Faith holds that Christians may see it as a sin, "
        "others do not; and Duty holds that people who promise something should keep to it."
    )
    llm = Fake(lambda q: "Weigh\nit." if "May I lie?" in q else None)
    tally: Counter[str] = Counter()
    other = row_of("r", "May I go?", views, "r")
    own = replace(row, completion=table_sft([row], 0)[0]["completion"])
    answers = table_sft([row, other, own], 0, "llm", llm, tally)
    assert [layout(a["completion"]).summary for a in answers[:2]] == ["Weigh it.", text]
    assert answers[2]["completion"] == own.completion and len(llm.asked) == 2
    assert all(len(segment(a["completion"])) == 3 and layout(a["completion"]).valid for a in answers)
    assert [r.temperature for r in llm.asked] == [0.1, 0.1]
    assert tally == {"summaries written": 1, "summaries made of the explanations, for want of a reply": 1}


def test_a_summary_begins_where_an_explanation_has_words() -> None:
    views = [Perspective("A", "... It hurts. It does.", None), Perspective("B", "?! Why not", None)]
    text = extractive_summary(row_of("q", "May I?", views, "q").situation)
    assert text == "Taken together, A holds that it hurts; and B holds that why not."
