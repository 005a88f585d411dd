"""Encoding: the same numbers as the plain library, whatever else is in the batch or the cache."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from estimator_tiny import WORDS, build_tiny

from overton.errors import ModelError
from overton.estimator import Preprocessing, SimilarityEstimator, open_estimator
from overton.estimator.models import load_sentence_transformer, model_hash
from overton.estimator.preprocess import plain_layout
from overton.rundir import RunDir

PLAIN = Preprocessing(situation="ignore", strip_label=False)
TEXTS = [" ".join(WORDS[i : i + 2 + i % 7]) for i in range(20)]


def load(folder: Path, **settings: object) -> SimilarityEstimator:
    return SimilarityEstimator(load_sentence_transformer(folder), PLAIN, **settings)  # type: ignore[arg-type]


def test_same_as_the_library_one_text_at_a_time(tiny_base: Path) -> None:
    estimator = load(tiny_base, bf16=False)
    prepared = PLAIN(TEXTS)
    naive = np.stack([estimator.model.encode(t, normalize_embeddings=True) for t in prepared])
    rows = estimator.encode(TEXTS)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(rows, naive, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("bf16", [False, True])
def test_company_in_the_batch_changes_nothing(tiny_base: Path, bf16: bool) -> None:
    together = load(tiny_base, bf16=bf16).encode(TEXTS)
    alone = np.stack([load(tiny_base, bf16=bf16).encode([t])[0] for t in TEXTS[:4]])
    np.testing.assert_array_equal(together[:4], alone)
    small = load(tiny_base, bf16=bf16, batch_size=3, cache_rows=0).encode(TEXTS[::-1])[::-1]
    np.testing.assert_array_equal(together, small)


def test_equal_texts_are_encoded_once_and_remembered(tiny_base: Path) -> None:
    estimator = load(tiny_base)
    rows = estimator.encode([TEXTS[0], TEXTS[1], TEXTS[0]])
    assert estimator.encoded == 2
    np.testing.assert_array_equal(rows[0], rows[2])
    estimator.encode([TEXTS[1], TEXTS[2]])
    assert estimator.encoded == 3
    estimator.clear_cache()
    estimator.encode([TEXTS[1]])
    assert estimator.encoded == 4


def test_the_cache_is_bounded_and_a_call_larger_than_it_works(tiny_base: Path) -> None:
    estimator = load(tiny_base, cache_rows=3)
    rows = estimator.encode(TEXTS)
    assert len(rows) == len(TEXTS)
    assert len(estimator._cache) == 3
    np.testing.assert_array_equal(estimator.encode(TEXTS), rows)


def test_very_long_texts_do_not_fill_the_memory(tiny_base: Path) -> None:
    estimator = load(tiny_base)
    texts = [TEXTS[0], "a pilot acts " * 1000]
    rows = estimator.encode(texts)
    assert list(estimator._cache) == estimator.preprocessing(texts[:1])
    np.testing.assert_array_equal(estimator.encode(texts), rows)


def test_masking_makes_texts_of_other_situations_equal(tiny_base: Path) -> None:
    estimator = SimilarityEstimator(load_sentence_transformer(tiny_base))
    rows = estimator.encode(
        ["the pilot acts with courage", "the baker acts with courage."],
        ["the pilot may act", "the baker may act"],
    )
    np.testing.assert_array_equal(rows[0], rows[1])
    assert estimator.encoded == 1


def test_what_texts_of_a_situation_share_can_be_subtracted(tiny_base: Path) -> None:
    plain = SimilarityEstimator(load_sentence_transformer(tiny_base), Preprocessing("prepend"), bf16=False)
    less = SimilarityEstimator(plain.model, Preprocessing("prepend", subtract_situation=0.25), bf16=False, cache_rows=0)
    contexts = [TEXTS[10], "", TEXTS[11]]
    rows = plain.encode(TEXTS[:3], contexts)
    own = plain.encode([TEXTS[10], TEXTS[11]])
    expected = np.stack([rows[0] - 0.25 * own[0], rows[1], rows[2] - 0.25 * own[1]])
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    found = less.encode(TEXTS[:3], contexts)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_array_equal(less.encode(TEXTS[:3]), plain.encode(TEXTS[:3]))  # no situation, nothing to subtract
    assert less.encode([], []).shape == (0, rows.shape[1])


@pytest.mark.parametrize("count", [40, 29, 30, 26])
def test_a_long_situation_in_front_leaves_the_text_whole(tiny_base: Path, count: int) -> None:
    estimator = SimilarityEstimator(load_sentence_transformer(tiny_base), Preprocessing("prepend"), bf16=False)
    limit = estimator.model.max_seq_length
    assert limit == 32
    situation, texts = "pilot " * count, ["the pilot acts with courage", "rules forbid what the pilot does", "law"]
    rows = estimator.encode(texts, [situation] * 3)
    # Two tokens stand around a text, one between the two; the rest is the situation's.
    left = [min(count, limit - 3 - len(text.split())) for text in texts]
    fronts = [plain_layout("pilot " * kept) for kept in left]
    read = [f"{front}: {plain_layout(text)}" for front, text in zip(fronts, texts, strict=True)]
    np.testing.assert_array_equal(rows, estimator.encode(read, preprocess=False))
    assert np.abs(rows @ rows.T - np.eye(3)).max() < 0.999


def test_a_text_as_long_as_the_limit_stands_alone(tiny_base: Path) -> None:
    estimator = SimilarityEstimator(load_sentence_transformer(tiny_base), Preprocessing("prepend"), bf16=False)
    text = "A" + " pilot" * 40
    rows = estimator.encode([text, text], ["the nurse may act", ""])
    np.testing.assert_array_equal(rows[0], rows[1])


def test_situations_that_fit_stay_as_they_are(tiny_base: Path) -> None:
    estimator = SimilarityEstimator(load_sentence_transformer(tiny_base), Preprocessing("prepend"), bf16=False)
    contexts = [TEXTS[i % 5] if i % 3 else "" for i in range(len(TEXTS))]
    whole = estimator.preprocessing(TEXTS, contexts)
    np.testing.assert_array_equal(estimator.encode(TEXTS, contexts), estimator.encode(whole, preprocess=False))


@pytest.mark.parametrize("situation", ["mask", "prepend"])
def test_half_a_character_is_one_that_was_lost(tiny_base: Path, situation: Any) -> None:
    estimator = SimilarityEstimator(
        load_sentence_transformer(tiny_base), Preprocessing(situation, subtract_situation=0.5), bf16=False
    )
    halves, lost = ("a \ud83d dog", "why \udc00?"), ("a \ufffd dog", "why \ufffd?")
    np.testing.assert_array_equal(*(estimator.encode([text], [context]) for text, context in (halves, lost)))


def test_nothing_to_encode(tiny_base: Path) -> None:
    assert load(tiny_base).encode([]).shape == (0, 32)


def test_cosines_pair_by_pair(tiny_base: Path) -> None:
    estimator = load(tiny_base)
    rows = estimator.encode(TEXTS[:4])
    found = estimator.cosines(TEXTS[:2], TEXTS[2:4])
    np.testing.assert_allclose(found, [rows[0] @ rows[2], rows[1] @ rows[3]], atol=1e-6)


def test_bfloat16_moves_cosines_little(tiny_base: Path) -> None:
    exact, quick = load(tiny_base, bf16=False).encode(TEXTS), load(tiny_base, bf16=True).encode(TEXTS)
    assert np.abs(exact @ exact.T - quick @ quick.T).max() < 0.02


def test_without_calibration_there_is_no_threshold(tiny_base: Path) -> None:
    with pytest.raises(ModelError, match="no calibration"):
        _ = load(tiny_base).threshold


def test_weights_that_are_not_numbers_are_refused(tiny_base: Path) -> None:
    estimator = load(tiny_base)
    next(estimator.model.parameters()).data.fill_(float("nan"))
    with pytest.raises(ModelError, match="not finite"):
        estimator.encode(["the pilot acts"])


def stage_folder(tmp_path: Path, **changes: object) -> Path:
    """An estimator stage's folder with a calibration made by hand."""
    folder = tmp_path / "estimator"
    build_tiny(folder / "model")
    Preprocessing().save(folder / "model", {})
    row = dict.fromkeys(("threshold", "low", "high", "f1", "precision", "recall"), 0.5)
    row |= {
        "slope": 2.0,
        "intercept": -1.0,
        "pairs": 10,
        "data_hash": "d",
        "model_hash": model_hash(folder / "model"),
    }
    (folder / "calibration.json").write_text(json.dumps(row | changes))
    return folder


def test_a_stage_folder_brings_its_threshold(tmp_path: Path) -> None:
    estimator = SimilarityEstimator.load(stage_folder(tmp_path))
    assert estimator.threshold == 0.5
    np.testing.assert_allclose(estimator.probability([0.5, 1.0]), [0.5, 1 / (1 + np.exp(-1))])


def test_a_model_whose_stage_did_not_finish_is_refused(tmp_path: Path) -> None:
    folder = stage_folder(tmp_path)
    (folder / "calibration.json").unlink()  # the health check comes before it
    RunDir(tmp_path).begin("estimator", {}, clear=False)
    with pytest.raises(ModelError, match="its stage did not finish"):
        SimilarityEstimator.load(folder)
    for name in (tmp_path, folder, folder / "model"):
        with pytest.raises(ModelError, match="its stage did not finish"):
            open_estimator(name)
    SimilarityEstimator.load(folder / "model")  # as the stage itself does
    RunDir(tmp_path).finish("estimator", 1.0, 1.0)
    assert open_estimator(tmp_path)[0].calibration is None


def test_a_run_without_an_estimator_is_told_from_a_model_that_lacks_weights(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text("name: x\n")
    (tmp_path / "estimator").mkdir()
    for name in (tmp_path, tmp_path / "estimator"):
        with pytest.raises(ModelError, match=r"a run without an estimator yet; `overton estimator .* makes it"):
            open_estimator(name)


def test_another_models_calibration_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="another model"):
        SimilarityEstimator.load(stage_folder(tmp_path, model_hash="0" * 64))


def test_other_preprocessing_is_another_model(tmp_path: Path) -> None:
    folder = stage_folder(tmp_path)
    Preprocessing(situation="ignore").save(folder / "model", {})
    with pytest.raises(ModelError, match="another model"):
        SimilarityEstimator.load(folder)


def test_the_model_card_does_not_count(tmp_path: Path) -> None:
    folder = stage_folder(tmp_path)
    (folder / "model" / "README.md").write_text("edited")
    assert SimilarityEstimator.load(folder).threshold == 0.5


@pytest.mark.parametrize("broken", ['{"threshold": 0.5}', "not json", None])
def test_a_broken_calibration_is_named(tmp_path: Path, broken: str | None) -> None:
    folder = stage_folder(tmp_path, threshold="high") if broken is None else stage_folder(tmp_path)
    if broken is not None:
        (folder / "calibration.json").write_text(broken)
    with pytest.raises(ModelError, match=r"calibration\.json"):
        SimilarityEstimator.load(folder)


def test_a_model_folder_alone_brings_its_threshold(tmp_path: Path) -> None:
    sets = {"people": {"threshold": 0.25}}
    folder = stage_folder(tmp_path, sets=sets)
    alone = tmp_path / "published"
    (folder / "model").rename(alone)
    assert SimilarityEstimator.load(alone).calibration is None
    with pytest.raises(ModelError, match="so no calibration for 'people'"):
        SimilarityEstimator.load(alone, data_set="people")
    before = model_hash(alone)
    (folder / "calibration.json").rename(alone / "calibration.json")
    assert model_hash(alone) == before
    assert SimilarityEstimator.load(alone).threshold == open_estimator(alone)[0].threshold == 0.5
    assert SimilarityEstimator.load(alone, data_set="people").threshold == 0.25
    assert open_estimator(alone, data_set="people")[0].threshold == 0.25
    Preprocessing(situation="ignore").save(alone, {})
    with pytest.raises(ModelError, match="another model"):
        SimilarityEstimator.load(alone)


def test_missing_and_broken_folders_are_named(tmp_path: Path, tiny_base: Path) -> None:
    with pytest.raises(ModelError, match="no such estimator folder"):
        SimilarityEstimator.load(tmp_path / "nowhere")
    copy = tmp_path / "copy"
    shutil.copytree(tiny_base, copy)
    weights = next(copy.rglob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(ModelError, match="cannot be loaded"):
        SimilarityEstimator.load(copy)
    weights.unlink()
    with pytest.raises(ModelError, match="safetensors"):
        SimilarityEstimator.load(copy)
    config = tmp_path / "config"
    shutil.copytree(tiny_base, config)
    (config / "config.json").write_text("{")
    with pytest.raises(ModelError, match="cannot be loaded"):
        SimilarityEstimator.load(config)
