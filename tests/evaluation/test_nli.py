"""Entailment: the order of a model's classes, what is asked of it, and what cannot be scored."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from overton.errors import ModelError
from overton.evaluation.nli import NliModel, count_pairs, entailment_index, load_nli, nli_rows
from overton.types import Answer, Situation

PAIRS = [
    ("The mother keeps an eye on her child.", "Trust between them will suffer."),
    ("A parent should talk first.", "The child has a right to some privacy."),
    ("The child has a right to some privacy.", "The child has a right to some privacy."),
]


def permuted(source: Path, target: Path, order: list[int]) -> Path:
    """The same model with its classes in another order, in the output as well as in the config."""
    from safetensors.torch import load_file, save_file

    shutil.copytree(source, target)
    weights = load_file(target / "model.safetensors")
    for name in ("classifier.weight", "classifier.bias"):
        weights[name] = weights[name][order].contiguous()
    save_file(weights, target / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((target / "config.json").read_text())
    names = [config["id2label"][str(i)] for i in order]
    config["id2label"] = {str(i): name.upper() for i, name in enumerate(names)}
    config["label2id"] = {name.upper(): i for i, name in enumerate(names)}
    (target / "config.json").write_text(json.dumps(config))
    return target


def relabelled(source: Path, target: Path, labels: list[str]) -> Path:
    shutil.copytree(source, target)
    config = json.loads((target / "config.json").read_text())
    config["id2label"] = {str(i): name for i, name in enumerate(labels)}
    config["label2id"] = {name: i for i, name in enumerate(labels)}
    (target / "config.json").write_text(json.dumps(config))
    return target


def test_the_order_of_the_classes_comes_from_the_config(tiny_cross_encoder: Path, tmp_path: Path) -> None:
    expected = load_nli(tiny_cross_encoder).probabilities(PAIRS)
    assert len({round(p, 3) for p in expected.values()}) > 1
    for order in ([1, 2, 0], [2, 1, 0], [1, 0, 2]):
        folder = permuted(tiny_cross_encoder, tmp_path / "".join(map(str, order)), order)
        found = load_nli(folder).probabilities(PAIRS)
        assert [found[p] for p in PAIRS] == pytest.approx([expected[p] for p in PAIRS], abs=1e-6)


def test_the_three_probabilities_sum_to_one(tiny_cross_encoder: Path) -> None:
    found = load_nli(tiny_cross_encoder).class_probabilities(PAIRS)
    assert np.sum(list(found.values()), axis=1) == pytest.approx(np.ones(3), abs=1e-6)


def test_a_probability_does_not_depend_on_the_batch(tiny_cross_encoder: Path) -> None:
    together = load_nli(tiny_cross_encoder).probabilities(PAIRS)
    alone = load_nli(tiny_cross_encoder).probabilities(PAIRS[:1])
    assert alone[PAIRS[0]] == pytest.approx(together[PAIRS[0]], abs=1e-6)


@pytest.mark.parametrize("labels", [["LABEL_0", "LABEL_1", "LABEL_2"], ["entailment", "not_entailment", "neutral"]])
def test_classes_without_their_names_are_refused(tiny_cross_encoder: Path, tmp_path: Path, labels: list[str]) -> None:
    folder = relabelled(tiny_cross_encoder, tmp_path / "other", labels)
    with pytest.raises(ModelError, match=f"entailment, neutral and contradiction.*{labels[1]}"):
        load_nli(folder)


def test_two_classes_are_refused() -> None:
    with pytest.raises(ModelError, match="three classes"):
        entailment_index({0: "contradiction", 1: "entailment"}, "m")


def test_unusable_models_are_named(tiny_cross_encoder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no/such-model.*hf download no/such-model"):
        load_nli("no/such-model")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match=r"config\.json"):
        load_nli(tmp_path / "empty")
    broken = tmp_path / "broken"
    shutil.copytree(tiny_cross_encoder, broken)
    data = (broken / "model.safetensors").read_bytes()
    (broken / "model.safetensors").write_bytes(data[: len(data) // 2])
    with pytest.raises(ModelError, match=r"broken.*copied whole"):
        load_nli(broken)


def test_a_model_that_returns_nan_is_refused(model: NliModel, overlap: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overlap, "predict", lambda pairs, **_: np.full((len(pairs), 3), np.nan))
    with pytest.raises(ModelError, match="NaN"):
        model.probabilities(PAIRS)


def test_batches_are_of_texts_with_as_many_tokens(overlap: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[list[int]] = []
    predict = overlap.predict

    def watched(pairs: list[tuple[str, str]], **options: Any) -> np.ndarray:
        sizes.append([len(a.split()) + len(b.split()) for a, b in pairs])
        found: np.ndarray = predict(pairs, **options)
        return found

    monkeypatch.setattr(overlap, "predict", watched)
    # By characters the order would be another one.
    texts = ["incomprehensibilities", "a b c d e", "a b", "internationalisation of it", "a", "a b c"]
    done: list[int] = []
    found = NliModel(overlap, "overlap", 0, batch_size=2).probabilities([(t, "x") for t in texts] * 2, done.append)
    assert sizes == [[2, 2], [3, 4], [4, 6]]
    assert sum(done) == len(found) == len(texts)


def test_rows_by_hand(model: NliModel, situation: Situation, answers: list[Answer]) -> None:
    (row,) = nli_rows(model, answers, {situation.id: situation}, threshold=0.33)
    assert row["covered"] == [True, True, False, False]
    assert row["missed"] == ["trust", "care"]
    assert row["coverage"] == 0.5
    assert row["precision"] == 0.75
    assert row["uniqueness"] == 0.75
    assert row["f1"] == pytest.approx(0.6)
    assert [s["verdict"] for s in row["segments"]] == ["matched", "matched", "repeated", "irrelevant"]
    # "Trust between them will suffer." and "A parent should talk first." share 0 and 1 of 5 words with a
    # sentence.
    assert row["best"] == pytest.approx([1.0, 1.0, 0.0, 0.2])
    assert row["nli_mean"] == pytest.approx(2.2 / 4)
    assert row["nli_accuracy"] == 1
    # The other way round: "dogs bark loudly at night" has 0 of 5 words in them; of "the child has a right to some
    # privacy" 1 of 8 is in "a parent should talk first", of "the mother keeps an eye on her child" none.
    assert row["reverse_best"] == pytest.approx([1.0, 1.0, 0.0, 1 / 8])
    assert row["nli_reverse_mean"] == pytest.approx(17 / 32)
    assert row["nli_reverse_accuracy"] == 1
    text = answers[0].answer
    first = row["segments"][0]
    assert text[first["start"] : first["end"]].startswith("In the perspective of Safety")


def test_accuracy_is_above_the_threshold_not_at_it(
    model: NliModel, situation: Situation, answers: list[Answer]
) -> None:
    (row,) = nli_rows(model, answers, {situation.id: situation}, threshold=1.0)
    assert row["nli_accuracy"] == 0


def test_each_pair_is_asked_once_and_no_text_against_itself(
    model: NliModel, overlap: Any, situation: Situation, answers: list[Answer]
) -> None:
    twice = [*answers, Answer("s2", "", answers[0].answer, "sft")]
    situations = {"s1": situation, "s2": Situation("s2", "", situation.perspectives)}
    done: list[int] = []
    nli_rows(model, twice, situations, advance=done.append)
    assert len(overlap.asked) == len(set(overlap.asked)) == sum(done) == count_pairs(twice, situations)
    assert all(premise != hypothesis for premise, hypothesis in overlap.asked)


def test_an_empty_answer_states_nothing(model: NliModel, situation: Situation) -> None:
    (row,) = nli_rows(model, [Answer("s1", "", "<summary>x</summary>")], {"s1": situation})
    assert (row["coverage"], row["f1"], row["nli_mean"], row["nli_accuracy"]) == (0.0, 0.0, 0.0, 0)
    assert row["precision"] is None and row["uniqueness"] is None
    assert row["reason"] == "the answer holds no sentence"


def test_what_cannot_be_scored_is_not_zero(model: NliModel, overlap: Any, situation: Situation) -> None:
    endless = Answer("s1", "", " ".join(f"Sentence number {i}." for i in range(300)))
    (row,) = nli_rows(model, [endless], {"s1": situation})
    assert row["coverage"] is None and row["nli_mean"] is None and row["uniqueness"] is None
    assert "300 sentences" in row["reason"]
    (row,) = nli_rows(model, [Answer("s1", "", "A view.")], {"s1": Situation("s1", "q", ())})
    assert row["coverage"] is None and row["reason"] == "the situation has no reference"
    assert overlap.asked == []


def test_one_sentence_three_hundred_times_is_scored(model: NliModel, overlap: Any, situation: Situation) -> None:
    answer = Answer("s1", "", "A parent should talk first. " * 300)
    (row,) = nli_rows(model, [answer], {"s1": situation})
    assert row["coverage"] == 0.25
    assert row["uniqueness"] == pytest.approx(1 / 300)
    assert len(overlap.asked) == 6  # both ways


def test_paraphrases_of_one_reference_count_once(model: NliModel, situation: Situation) -> None:
    from overton.types import Perspective

    first, second = situation.perspectives[:2]
    both = Situation("s1", "q", (first, Perspective("Safety", "Dogs bark.", cluster=first.cluster), second))
    (row,) = nli_rows(model, [Answer("s1", "", "Dogs bark.")], {"s1": both})
    assert row["coverage"] == 0.5
    assert len(row["best"]) == 2


def test_coverage_over_the_first_sentences(model: NliModel, situation: Situation) -> None:
    lines = [p.explanation for p in situation.perspectives]
    text = "\n".join([lines[0], "Dogs bark loudly at night.", lines[1], lines[0], lines[2]])
    (row,) = nli_rows(model, [Answer("s1", "", text)], {"s1": situation})
    assert row["coverage_curve"] == [0.25, 0.25, 0.5, 0.5, *[0.75] * 6]
    assert (row["coverage"], row["coverage_at_references"], row["absolute_coverage"]) == (0.75, 0.5, 0)
