"""The reward object: groups in, scores out; presets and their errors."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_encoder import FakeEncoder, axis

from overton.errors import DataError, ModelError, RecipeError
from overton.rewards import OvertonReward, parse_references
from overton.segment import format_answer
from overton.types import Group, Perspective

HERS, HIS = Perspective("Privacy", "the diary is hers"), Perspective("Care", "he fears for her")
ENCODER = {
    "the diary is hers": axis(0),
    "he fears for her": axis(1),
    "In the perspective of Privacy, the diary is hers": axis(0),
    "In the perspective of Care, he fears for her": axis(1),
}
BOTH = format_answer([HERS, HIS], "Privacy meets care.")


@pytest.mark.parametrize("preset", ["overton", "op-grpo"])
def test_groups_and_answers_come_back_in_order_from_one_call_of_the_encoder(preset: str) -> None:
    encoder = FakeEncoder(ENCODER)
    one = format_answer([HIS], "Care.")
    groups = [
        Group("a", (HERS, HIS), (one, BOTH)),
        Group("b", (HERS,), (one,)),
        Group("c", (HIS,), ()),
    ]
    scores = OvertonReward(encoder, preset).score(groups)
    assert [[s.terms["coverage"] for s in row] for row in scores] == [[0.5, 1.0], [0.0], []]
    assert len(encoder.calls) == 1
    assert OvertonReward(encoder, preset).score([]) == []
    assert len(encoder.calls) == 1  # nothing to encode, nothing asked for


def test_overton_prepares_both_sides_alike_and_the_paper_takes_texts_as_they_are() -> None:
    encoder = FakeEncoder(
        ENCODER
        | {
            "[KW]": axis(2),
            "In the perspective of Privacy, the [KW] is hers": axis(0),
        }
    )
    group = Group("May he read the diary?", (HERS,), (format_answer([HERS], "s"),))
    OvertonReward(encoder).score([group])
    OvertonReward(encoder, "op-grpo").score([group])
    texts, contexts, preprocess = encoder.calls[0]
    assert texts == ["the diary is hers", "the diary is hers."]
    assert contexts == [group.prompt] * 2 and preprocess
    texts, contexts, preprocess = encoder.calls[1]
    assert texts == [
        "In the perspective of Privacy, the diary is hers",
        "In the perspective of Privacy the [KW] is hers",
    ]
    assert contexts is None and not preprocess


def test_threshold_is_the_calibrated_one_unless_overridden() -> None:
    encoder = FakeEncoder({"r": [1, 0], "s": [0.8, 0.6]}, threshold=0.85)  # cosine .8
    group = Group("p", (Perspective("L", "r"),), (format_answer([Perspective("L", "s")], "L"),))
    assert OvertonReward(encoder).score([group])[0][0].matches == ()
    found = OvertonReward(encoder, threshold=0.75).score([group])[0][0].matches
    assert [(m.reference, m.segment) for m in found] == [(0, 0)]
    assert found[0].cosine == pytest.approx(0.8)
    assert OvertonReward(encoder, threshold=None).preset.threshold is None


@pytest.mark.parametrize("preset", ["overton", "op-grpo"])
@pytest.mark.parametrize(
    ("references", "reason"),
    [((), "no reference"), ((HERS, Perspective("Empty", " \n")), "a reference perspective is empty")],
)
def test_what_cannot_be_scored_is_none_with_a_reason(
    preset: str, references: tuple[Perspective, ...], reason: str
) -> None:
    encoder = FakeEncoder(ENCODER | {" \n": axis(3), "In the perspective of Empty,  \n": axis(3)})
    scores = OvertonReward(encoder, preset).score([Group("p", references, (BOTH, "")), Group("p", (HERS,), (BOTH,))])
    assert [s.value for s in scores[0]] == [None, None]
    assert all(reason in s.reason for s in scores[0])
    assert scores[0][0].terms == {} and scores[0][0].credits == ()
    assert scores[1][0].value is not None and scores[1][0].reason == ""


@pytest.mark.parametrize("preset", ["overton", "op-grpo"])
def test_an_answer_that_is_no_text_is_none_and_an_empty_one_is_scored(preset: str) -> None:
    group = Group("p", (HERS,), (None, "", BOTH))  # type: ignore[arg-type]
    none, empty, both = OvertonReward(FakeEncoder(ENCODER), preset).score([group])[0]
    assert none.value is None and "NoneType" in none.reason
    assert empty.value is not None and empty.reason == ""
    assert empty.terms["coverage"] == empty.terms["precision"] == empty.terms["perspectives"] == 0
    assert both.value is not None and both.value > empty.value


def test_unknown_presets_and_fields_name_the_known_ones() -> None:
    encoder = FakeEncoder({})
    with pytest.raises(RecipeError, match=r"found a tuple; give open_estimator\(\)\[0\]"):
        OvertonReward((FakeEncoder({}), "its name"))  # type: ignore[arg-type]
    with pytest.raises(RecipeError, match=r"reward\.preset.*'paper'.*overton, op-grpo"):
        OvertonReward(encoder, "paper")
    with pytest.raises(RecipeError, match=r"overrides\.betta: .*did you mean beta\?"):
        OvertonReward(encoder, betta=1.0)
    with pytest.raises(RecipeError, match=r"overrides\.beta.*op-grpo.*unique_threshold"):
        OvertonReward(encoder, "op-grpo", beta=1.0)


@pytest.mark.parametrize("value", ["high", True, None, float("nan"), float("-inf"), 10**400, [1.0]])
def test_values_of_the_wrong_type_are_refused_at_once(value: object) -> None:
    with pytest.raises(RecipeError, match=r"overrides\.beta: a number"):
        OvertonReward(FakeEncoder({}), beta=value)


@pytest.mark.parametrize(
    ("preset", "field", "value"),
    [
        ("overton", "max_words", -1),
        ("overton", "threshold", 48),
        ("overton", "threshold", -3),
        ("overton", "beta", -1),
        ("overton", "beta", 2000),
        ("overton", "miss_credit", 3.6),
        *(("overton", name, -0.1) for name in ("tag_penalty", "cut_off_penalty", "length_penalty", "novelty_weight")),
        ("overton", "faithfulness_penalty", -0.1),
        ("overton", "depth_weight", 1.1),
        ("overton", "depth_words", 0),
        *(("op-grpo", name, 1.5) for name in ("threshold", "unique_threshold")),
        *(("op-grpo", name, -0.1) for name in ("coverage_weight", "uniqueness_weight", "format_weight", "tag_penalty")),
        ("quality-diversity", "threshold", 70),
        *(("quality-diversity", name, -0.1) for name in ("weight", "tag_penalty", "cut_off_penalty")),
    ],
)
def test_values_out_of_range_are_refused_at_once(preset: str, field: str, value: float, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=rf"{field} must .*found {re.escape(str(value))}"):
        OvertonReward(FakeEncoder({}), preset, **{field: value})
    file = tmp_path / "reward.yaml"
    file.write_text(f"preset: {preset}\noverrides: {{{field}: {float(value)}}}\n", encoding="utf-8")
    with pytest.raises(RecipeError, match=rf"reward\.yaml: .*{field}"):
        OvertonReward(FakeEncoder({}), file)


def test_the_ends_of_the_ranges_are_taken_and_a_miss_may_cost_any_amount() -> None:
    encoder = FakeEncoder(ENCODER)
    zeros = ("beta", "max_words", "tag_penalty", "cut_off_penalty", "length_penalty", "novelty_weight", "depth_weight")
    OvertonReward(encoder, threshold=-1, miss_credit=-3.6, **dict.fromkeys(zeros, 0))
    OvertonReward(encoder, threshold=1, miss_credit=1, depth_weight=1, depth_words=1)
    one = Group("p", (HERS, HIS), (format_answer([HERS], "s"),))
    assert OvertonReward(encoder, beta=0).score([one])[0][0].value == 1.0  # precision alone


@pytest.mark.parametrize("name", [3, None, ["overton"]])
def test_a_preset_that_is_no_name_is_refused(name: Any) -> None:
    with pytest.raises(RecipeError, match=r"reward\.preset: a name"):
        OvertonReward(FakeEncoder({}), name)


@pytest.mark.parametrize("value", ['"Honesty"', json.dumps(json.dumps(["Trust is broken."])), b"[1]"])
def test_references_that_are_one_text_are_not_taken_letter_by_letter(value: Any) -> None:
    with pytest.raises(DataError, match="a list of references is wanted, found"):
        parse_references(value)
    assert [p.explanation for p in parse_references('["Honesty"]')] == ["Honesty"]


def test_references_as_columns_are_their_rows() -> None:
    columns = {"label": ["A", None], "explanation": np.array(["Trust is broken.", "Secrets keep people safe."])}
    expected = (Perspective("A", "Trust is broken."), Perspective("", "Secrets keep people safe."))
    assert parse_references(columns) == expected == parse_references(json.dumps(columns, default=list))
    assert parse_references({"label": [], "explanation": []}) == ()
    with pytest.raises(DataError, match="columns of one length are wanted, found label 1, explanation 2"):
        parse_references({**columns, "label": ["A"]})
    for alone in ({"explanation": "Trust is broken."}, {"text": ["Trust is broken."]}):
        with pytest.raises(DataError, match="a list of references is wanted, found dict"):
            parse_references(alone)


@pytest.fixture(scope="module")
def estimator_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from overton.testing import tiny_encoder

    return tiny_encoder(tmp_path_factory.mktemp("encoder") / "model")


def test_a_real_estimator_fits_and_labels_count_for_the_paper_only(estimator_folder: Path) -> None:
    from overton.estimator import SimilarityEstimator

    estimator = SimilarityEstimator.load(estimator_folder, bf16=False)
    with pytest.raises(ModelError, match="calibration"):
        OvertonReward(estimator)
    answer = format_answer([Perspective("Liberty of thought", HERS.explanation)], "s")
    group = Group("May he read it?", (HERS,), (answer,))
    ours = OvertonReward(estimator, threshold=0.9999).score([group])[0][0]
    papers = OvertonReward(estimator, "op-grpo", threshold=0.9999).score([group])[0][0]
    assert ours.terms["coverage"] == 1.0
    assert papers.terms["coverage"] == 0.0
    same = Group("May he read it?", (HERS,), (format_answer([HERS], "s")[:-1],))
    assert np.isclose(OvertonReward(estimator, "op-grpo").score([same])[0][0].terms["coverage"], 1.0)


def test_matches_have_a_probability_where_the_estimator_is_calibrated_for_such_texts() -> None:
    encoder = FakeEncoder(ENCODER)
    group = Group("p", (HERS, HIS), (BOTH, format_answer([HIS], "Care.")))
    bare = OvertonReward(encoder).score([group])[0]
    assert [m.probability for s in bare for m in s.matches] == [None] * 3
    encoder.calibration = "measured"  # type: ignore[attr-defined]
    encoder.probability = lambda cosines: np.asarray(cosines) * 0.9  # type: ignore[attr-defined]
    for with_it, without in zip(OvertonReward(encoder).score([group])[0], bare, strict=True):
        assert [m.probability for m in with_it.matches] == [pytest.approx(0.9 * m.cosine) for m in without.matches]
        assert with_it.value == without.value
    paper = OvertonReward(encoder, "op-grpo").score([group])[0]  # its texts are prepared otherwise
    assert [m.probability for s in paper for m in s.matches] == [None] * 3


@pytest.mark.parametrize("finished", [(), (True,), (False,) * 3])
def test_as_many_are_finished_as_there_are_answers(finished: tuple[bool, ...]) -> None:
    group = Group("?", (HERS,), (BOTH, BOTH), finished)
    with pytest.raises(DataError, match=f"`finished` has {len(finished)} items for 2 answers"):
        OvertonReward(FakeEncoder(ENCODER)).score([group])


def test_a_group_alone_and_one_text_for_answers_are_refused() -> None:
    reward = OvertonReward(FakeEncoder(ENCODER))
    with pytest.raises(DataError, match="takes a list of groups"):
        reward.score(Group("?", (HERS,), (BOTH,)))  # type: ignore[arg-type]
    with pytest.raises(DataError, match="`answers` of a group is one text"):
        reward.score([Group("?", (HERS,), BOTH)])  # type: ignore[arg-type]
    with pytest.raises(DataError, match="references"):
        reward.score([Group("?", "the diary is hers", (BOTH,))])  # type: ignore[arg-type]


def test_references_of_a_group_may_be_texts() -> None:
    reward = OvertonReward(FakeEncoder(ENCODER))
    texts = ("In the perspective of Privacy, the diary is hers", "he fears for her")
    found = reward.score([Group("?", texts, (BOTH,)), Group("?", (HERS, HIS), (BOTH,))])  # type: ignore[arg-type]
    assert found[0] == found[1]
    assert found[0][0].terms["coverage"] == 1


@pytest.mark.parametrize(
    ("group", "said"),
    [
        ({"prompt": "Why?", "references": ["a"], "answers": ["b"]}, "takes groups .*, found dict"),
        (Group([{"role": "user", "content": "Why?"}], ("a",), ("b",)), "must be text, found list; of messages"),  # type: ignore[arg-type]
        (Group(None, ("a",), ("b",)), "must be text, found NoneType"),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_group_with_a_question_is_named(group: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        OvertonReward(FakeEncoder({})).score([group])
