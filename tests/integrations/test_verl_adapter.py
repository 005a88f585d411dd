"""The function that verl calls; verl itself calls it in tests/contract/frameworks."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from adapter_material import FORMS, GOOD, HALF, REFERENCES, SITUATION, SITUATIONS, TERMS, expected, prepare
from datasets import load_dataset

from overton.errors import DataError, ModelError, RecipeError
from overton.integrations.verl import compute_score

EXTRA = {"situation": SITUATION.text, "references": REFERENCES}


@pytest.mark.parametrize("references", [*FORMS, np.array(REFERENCES, dtype=object)])
@pytest.mark.parametrize("channel", ["extra_info", "ground_truth"])
def test_references_in_every_form_and_either_place(references: Any, channel: str) -> None:
    if channel == "extra_info":
        found = compute_score("d", HALF, "another task's", {"situation": SITUATION.text, "references": references})
    else:
        found = compute_score("d", HALF, references, {"question": SITUATION.text, "num_turns": 2})
        for empty in ("", " ", None):
            extra = {"situation": empty, "question": SITUATION.text, "references": empty}
            assert compute_score("d", HALF, references, extra) == found
        odd = {"situation": np.array(["a", "b"]), "question": SITUATION.text}
        assert compute_score("d", HALF, references, odd)["unscored"] == 1.0
    wanted = expected(HALF)
    assert found["score"] == pytest.approx(wanted.value) and found["coverage"] == 0.5
    assert {name: found[name] for name in TERMS} == pytest.approx(dict(wanted.terms))
    assert found["unscored"] == 0.0


@pytest.mark.parametrize(
    ("answer", "truth", "extra", "reason"),
    [
        ("x", None, None, "extra_info.question: the situation is wanted"),
        ("x", REFERENCES, {}, "extra_info.question"),
        ("x", REFERENCES, {"situation": 3}, "extra_info.situation"),
        ("x", REFERENCES, "text", "extra_info.question"),
        ("x", "no list", {"situation": "?"}, "reward_model.ground_truth: a list of references is wanted"),
        ("x", None, {"situation": "?", "references": [{"label": "a"}]}, "extra_info.references[0]"),
        ("x", {"references": REFERENCES}, {"situation": "?"}, "found dict with the keys ['references']"),
        ("x", [], {"situation": "?"}, "no reference perspectives"),
        (None, REFERENCES, {"situation": "?"}, "NoneType, not text"),
    ],
)
def test_a_bad_row_is_zero_and_flagged_with_the_reason_in_the_log(
    answer: Any, truth: Any, extra: Any, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        found = compute_score("my set", answer, truth, extra)
        compute_score("my set", answer, truth, extra)
    assert found["score"] == 0.0 and found["unscored"] == 1.0
    assert set(found) == {"score", "unscored"} | TERMS
    assert all(type(value) is float for value in found.values())
    assert len(caplog.records) == 1 and reason in caplog.text  # said once


def test_a_data_set_of_which_no_row_can_be_read_is_an_error() -> None:
    for _ in range(31):
        assert compute_score("d", HALF, "the answer is 4", {"index": 3})["unscored"] == 1.0
    with pytest.raises(DataError, match=r"not one row of the data set .*extra_info\.question: the situation is wanted"):
        compute_score("d", HALF, "the answer is 4", {"index": 3})
    assert compute_score("d", HALF, REFERENCES, EXTRA)["unscored"] == 0.0
    for _ in range(40):  # some rows can be
        assert compute_score("d", HALF, "the answer is 4", {"index": 3})["unscored"] == 1.0


def test_an_empty_answer_is_scored_and_long_and_strange_ones_are_too() -> None:
    for answer in ("", " ", "\0", "\u202e" * 50, "a" * 100_000, "<core perspectives>" * 99, "\ud800"):
        found = compute_score("d", answer, REFERENCES, EXTRA)
        assert set(found) == {"score", "unscored"} | TERMS
        assert found["unscored"] == 0.0 and np.isfinite(found["score"])


def test_settings_come_as_arguments_and_wrong_ones_are_errors(tmp_path: Path) -> None:
    plain = compute_score("d", HALF, REFERENCES, EXTRA)["score"]
    assert compute_score("d", HALF, REFERENCES, EXTRA, beta=0.5)["score"] > plain
    paper = compute_score("d", GOOD, REFERENCES, EXTRA, preset="op-grpo")
    assert paper["score"] > 1 and "coverage_ladder" in paper
    file = tmp_path / "reward.yaml"
    file.write_text("preset: overton\noverrides: {beta: 0.5}\n", encoding="utf-8")
    by_file = compute_score("d", HALF, REFERENCES, EXTRA, reward=str(file))
    assert by_file["score"] == compute_score("d", HALF, REFERENCES, EXTRA, beta=0.5)["score"]
    # The same preset once more keeps its overrides; those of another one mean nothing to it.
    assert compute_score("d", HALF, REFERENCES, EXTRA, reward=str(file), preset="overton") == by_file
    other = compute_score("d", GOOD, REFERENCES, EXTRA, reward=str(file), preset="op-grpo")
    assert other == paper
    verls_own = {"reward_router_address": "127.0.0.1:1", "reward_model_tokenizer": object()}
    assert compute_score("d", HALF, REFERENCES, EXTRA, **verls_own)["score"] == plain
    for wrong in (
        {"preset": "no such"},
        {"betta": 1.0},
        {"beta": "high"},
        {"prompt_end": True},
        {"reward": str(tmp_path / "none.yaml")},
    ):
        with pytest.raises(RecipeError):
            compute_score("d", "x", None, None, **wrong)  # also when the row is bad
    with pytest.raises(ModelError):
        compute_score("d", HALF, REFERENCES, EXTRA, reward=str(tmp_path / "none"))


def test_a_thought_that_the_template_opened_and_nothing_ends_is_no_answer() -> None:
    empty, half = compute_score("d", "", REFERENCES, EXTRA), compute_score("d", HALF, REFERENCES, EXTRA)
    opened = {"extra_info": EXTRA, "prompt_end": "<think>\n"}
    assert compute_score("d", HALF, REFERENCES, **opened) == empty
    assert compute_score("d", f"Hm.</think>\n{HALF}", REFERENCES, **opened) == half
    assert compute_score("d", None, REFERENCES, **opened)["unscored"] == 1.0
    # As verl decodes gpt-oss: without special tokens.
    assert compute_score("d", f"analysisWe see. {GOOD}assistantfinal{HALF}", REFERENCES, EXTRA) == half


def test_the_environment_names_the_reward(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text('{"preset": "op-grpo"}', encoding="utf-8")
    monkeypatch.setenv("OVERTON_REWARD", str(tmp_path / "r.json"))
    assert "uniqueness_ladder" in compute_score("d", GOOD, REFERENCES, EXTRA)
    assert "uniqueness_ladder" in compute_score("d", GOOD, REFERENCES, EXTRA, tag_penalty=0.1)
    monkeypatch.delenv("OVERTON_REWARD")
    assert "uniqueness_ladder" not in compute_score("d", GOOD, REFERENCES, EXTRA, tag_penalty=0.1)
    monkeypatch.setenv("OVERTON_REWARD", str(tmp_path / "nowhere"))
    with pytest.raises(ModelError):
        compute_score("d", GOOD, REFERENCES, EXTRA)


@pytest.mark.parametrize(
    "settings",
    [
        {"preset": "quality-diversity"},
        {"preset": "quality-diversity", "diversity": "determinant"},
        {"novelty_weight": 0.2},
    ],
)
def test_terms_that_compare_the_answers_of_a_group_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(RecipeError, match="verl shows one answer at a time"):
        compute_score("d", HALF, REFERENCES, EXTRA, **settings)


def test_presets_without_such_a_term_are_fine() -> None:
    assert "diversity" in compute_score("d", HALF, REFERENCES, EXTRA, preset="quality-diversity", diversity="none")
    assert compute_score("d", HALF, REFERENCES, EXTRA, diversity_weight=0.5)["diversity"] > 0  # within one answer


def test_a_cut_off_penalty_somebody_chose_is_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    compute_score("d", HALF, REFERENCES, EXTRA)
    compute_score("d", HALF, REFERENCES, EXTRA, cut_off_penalty=0)
    assert not caplog.records
    for _ in range(2):
        compute_score("d", HALF, REFERENCES, EXTRA, cut_off_penalty=0.9)
    assert len(caplog.records) == 1 and "verl does not say which answers were cut off" in caplog.text


def test_threads_get_their_own_scores() -> None:
    calls = [(answer, extra) for answer in (GOOD, HALF, "", "a" * 50) for extra in (EXTRA, {}, EXTRA)] * 20
    with ThreadPoolExecutor(32) as pool:
        found = list(pool.map(lambda call: compute_score("d", call[0], None, call[1]), calls))
    alone = {(a, bool(e)): compute_score("d", a, None, e) for a, e in calls}
    assert found == [alone[answer, bool(extra)] for answer, extra in calls]


def test_the_rows_of_the_example_score_as_they_should(tmp_path: Path) -> None:
    prepare("verl", tmp_path / "new" / "train.parquet")
    rows = load_dataset("parquet", data_files=str(tmp_path / "new" / "train.parquet"), cache_dir=str(tmp_path))["train"]
    for row, situation in zip(rows, SITUATIONS, strict=True):
        assert row["prompt"] == [{"role": "user", "content": situation.text}]
        found = compute_score(row["data_source"], GOOD, row["reward_model"]["ground_truth"], row["extra_info"])
        assert found["score"] == pytest.approx(expected(GOOD, situation).value)
    assert found["unscored"] == 0.0
