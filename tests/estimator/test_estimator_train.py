"""Training on a tiny model: it learns, repeats itself, and leaves a plain Sentence Transformers folder."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sentence_transformers
import torch
from estimator_tiny import make_pairs, make_triplets
from huggingface_hub import ModelCard
from sentence_transformers.sentence_transformer.modules import Dense

from overton.errors import DataError, ModelError, RecipeError
from overton.estimator import Calibration, SimilarityEstimator, batches, train_estimator
from overton.estimator.card import write_card
from overton.estimator.models import load_sentence_transformer, model_hash
from overton.estimator.preprocess import Preprocessing
from overton.estimator.stage import check
from overton.estimator.stage import run as run_stage
from overton.estimator.train import freeze, prepare_triplets
from overton.jsonio import write_json, write_jsonl
from overton.recipe import parse_recipe
from overton.rundir import RunDir
from overton.sections import EstimatorSection

pytestmark = pytest.mark.slow


def section(base: Path, **changes: Any) -> EstimatorSection:
    settings: dict[str, Any] = {
        "base": str(base),
        "batch_size": 6,
        "learning_rate": 3e-3,
        "epochs": 4,
        "bf16": False,
    }
    return EstimatorSection(**settings | changes)


def gap(estimator: SimilarityEstimator) -> float:
    """Mean cosine of unseen pairs that state the same, minus that of the others."""
    rows = make_pairs(60, 5)
    labels = np.array([bool(row["label"]) for row in rows])
    cosines = estimator.cosines(*([row[name] for row in rows] for name in ("sentence1", "sentence2", "situation")))
    return float(cosines[labels].mean() - cosines[~labels].mean())


@pytest.mark.parametrize("loss", ["supcon", "cosent", "angle", "mnrl", "cached_mnrl", "gist"])
def test_every_loss_pulls_equal_perspectives_together(tiny_base: Path, tmp_path: Path, loss: str) -> None:
    settings = section(tiny_base, loss=loss, epochs=40 if loss in ("supcon", "cosent", "angle") else 4)
    figures = train_estimator(make_triplets(60, 0), settings, tmp_path / "model")
    before = SimilarityEstimator(load_sentence_transformer(tiny_base))
    after = SimilarityEstimator.load(tmp_path / "model")
    assert gap(after) > gap(before) + 0.2
    assert figures["steps"] > 0 and np.isfinite(figures["loss"])


def test_a_batch_is_as_large_however_many_gpus_there_are(
    tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Seen(sentence_transformers.SentenceTransformerTrainingArguments):
        """As if the machine had two GPUs, without their use."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs | {"use_cpu": False})

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(sentence_transformers, "SentenceTransformerTrainingArguments", Seen)
    settings = section(tiny_base, loss="mnrl", epochs=1)
    figures = train_estimator(make_triplets(60, 0), settings, tmp_path / "model")
    assert figures["steps"] == pytest.approx(figures["triplets"] / 6, abs=2)


@pytest.mark.parametrize("train_on", ["triplets", "pairs"])
def test_texts_behind_a_long_situation_are_learnt(tiny_base: Path, tmp_path: Path, train_on: str) -> None:
    rows = make_triplets(60, 0) if train_on == "triplets" else make_pairs(120, 0)
    long = [row | {"situation": row["situation"] + " and someone may act" * 10} for row in rows]
    settings = section(tiny_base, train_on=train_on, situation="prepend", epochs=40 if train_on == "triplets" else 15)
    train_estimator(long, settings, tmp_path / "model")
    before = SimilarityEstimator(load_sentence_transformer(tiny_base), Preprocessing("prepend"))
    assert gap(SimilarityEstimator.load(tmp_path / "model")) > gap(before) + 0.1


@pytest.mark.parametrize("loss", ["supcon", "cosent", "angle"])
def test_labelled_pairs_teach_as_well(tiny_base: Path, tmp_path: Path, loss: str) -> None:
    settings = section(tiny_base, train_on="pairs", loss=loss, epochs=15, situation="ignore", stance_weight=0.5)
    figures = train_estimator(make_pairs(120, 0), settings, tmp_path / "model")
    before = SimilarityEstimator(load_sentence_transformer(tiny_base), Preprocessing(situation="ignore"))
    after = SimilarityEstimator.load(tmp_path / "model")
    assert gap(after) > gap(before) + 0.1
    assert figures["pairs"] > 0 and figures["contradictions"] == 0


def test_a_soup_is_the_mean_of_its_members(tiny_base: Path, tmp_path: Path) -> None:
    rows = make_triplets(30, 0)
    alone = [train_estimator(rows, section(tiny_base), tmp_path / str(seed), seed)["steps"] for seed in (2, 3)]
    # Seed 1 of two members takes seeds 2 and 3.
    figures = train_estimator(rows, section(tiny_base, soup=2), tmp_path / "soup", 1)
    one, other, soup = (load_sentence_transformer(tmp_path / name).state_dict() for name in ("2", "3", "soup"))
    assert figures["steps"] == sum(alone)
    assert any(not np.array_equal(one[name].numpy(), other[name].numpy()) for name in one)
    for name, weights in soup.items():
        expected = (one[name].double() + other[name].double()) / 2
        np.testing.assert_allclose(weights.double().numpy(), expected.numpy(), atol=1e-7)
    assert "weights averaged over 2 trainings" in (tmp_path / "soup" / "README.md").read_text()


def test_a_soup_of_the_greatest_seed(tiny_base: Path, tmp_path: Path) -> None:
    train_estimator(make_triplets(6, 0), section(tiny_base, soup=3), tmp_path / "soup", 2**31 - 1)
    assert (tmp_path / "soup" / "README.md").is_file()


def test_shares_are_of_data_sets_that_are_there(tiny_base: Path, tmp_path: Path) -> None:
    rows = [row | {"set": "people"} for row in make_pairs(8, 0)]
    settings = section(tiny_base, train_on="pairs", loss="cosent", epoch_shares={"peple": 0.5})
    with pytest.raises(RecipeError, match="epoch_shares: no part 'peple' in the training pairs, which hold people"):
        train_estimator(rows, settings, tmp_path / "m")
    with pytest.raises(ValueError, match="stance_weight needs train_on: pairs"):
        section(tiny_base, stance_weight=0.5)


def test_losses_on_triplets_refuse_pairs(tiny_base: Path) -> None:
    with pytest.raises(ValueError, match="mnrl learns from triplets; train_on: pairs goes with supcon, cosent, angle"):
        section(tiny_base, train_on="pairs", loss="mnrl")


def test_equal_seeds_write_equal_folders_and_nothing_else(tiny_base: Path, tmp_path: Path) -> None:
    hashes = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        train_estimator(make_triplets(30, 0), section(tiny_base, epochs=2), tmp_path / name, seed)
        hashes.append(model_hash(tmp_path / name))
    assert hashes[0] == hashes[1] != hashes[2]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b", "c"]


def test_every_epoch_draws_its_own_batches(tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    original = batches.ConfusableBatches.__iter__

    def spy(self: batches.ConfusableBatches) -> Iterator[list[int]]:
        drawn.append(self.epoch)
        return original(self)

    monkeypatch.setattr(batches.ConfusableBatches, "__iter__", spy)
    figures = train_estimator(make_triplets(30, 0), section(tiny_base, epochs=3, batch_size=2), tmp_path / "m")
    assert drawn == [0, 1, 2]
    assert figures["steps"] % 3 == 0


def test_the_folder_is_a_plain_sentence_transformer_with_its_settings(tiny_base: Path, tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    train_estimator(make_triplets(30, 0), section(tiny_base, max_seq_length=9), tmp_path / "m")
    assert SentenceTransformer(str(tmp_path / "m")).max_seq_length == 9
    settings = json.loads((tmp_path / "m" / "overton.json").read_text())
    assert settings["preprocessing"] == {
        "situation": "mask",
        "strip_label": True,
        "subtract_situation": 0.0,
    }
    assert settings["training"]["loss"] == "supcon"
    assert "library_name: sentence-transformers" in (tmp_path / "m" / "README.md").read_text()
    assert len({path.stat().st_mode for path in (tmp_path / "m").glob("*.*")}) == 1  # weights are as readable


def test_labels_can_be_left_in_and_the_folder_knows(tiny_base: Path, tmp_path: Path) -> None:
    train_estimator(make_triplets(10, 0), section(tiny_base, strip_label=False, epochs=1), tmp_path / "model")
    assert not SimilarityEstimator.load(tmp_path / "model").preprocessing.strip_label
    assert "texts with their label prefix" in (tmp_path / "model" / "README.md").read_text()


def test_frozen_layers_stay_as_they_are(tiny_base: Path, tmp_path: Path) -> None:
    train_estimator(make_triplets(30, 0), section(tiny_base, freeze_layers=1), tmp_path / "m")
    before, after = (load_sentence_transformer(f).state_dict() for f in (tiny_base, tmp_path / "m"))
    for name, value in before.items():
        frozen = "embeddings" in name or "layer.0." in name
        moved = not np.array_equal(value.numpy(), after[name].numpy())
        if frozen:
            assert not moved, name
    assert any("layer.1." in n and not np.array_equal(v.numpy(), after[n].numpy()) for n, v in before.items())


def test_frozen_words_stay_as_they_are_and_nothing_else(tiny_base: Path, tmp_path: Path) -> None:
    train_estimator(make_triplets(30, 0), section(tiny_base, freeze_words=True), tmp_path / "m")
    before, after = (load_sentence_transformer(f).state_dict() for f in (tiny_base, tmp_path / "m"))
    for name, value in before.items():
        if "layer." in name or "embeddings" in name:
            assert np.array_equal(value.numpy(), after[name].numpy()) == ("word_embeddings" in name), name


def test_more_layers_than_there_are_cannot_be_frozen(tiny_base: Path) -> None:
    with pytest.raises(RecipeError, match="2 encoder layers"):
        freeze(load_sentence_transformer(tiny_base), 3)


def test_freezing_all_layers_leaves_nothing_to_train(tiny_base: Path) -> None:
    model = load_sentence_transformer(tiny_base)
    with pytest.raises(RecipeError, match="all 2 encoder layers, so nothing is left to train"):
        freeze(model, 2)
    model.append(Dense(32, 16))
    freeze(model, 2)
    assert [name for name, p in model[-1].named_parameters() if p.requires_grad]


def test_triplets_are_masked_and_senseless_ones_dropped() -> None:
    good = {
        "situation": "a pilot may act",
        "anchor": "the pilot is kind",
        "positive": "kind",
        "negative": "rude",
    }
    same = good | {"anchor": "pilot is rude", "positive": "a pilot is rude"}
    columns = prepare_triplets([good, same, good | {"anchor": "kind is the pilot"}], Preprocessing())
    assert columns["anchor"] == ["Is kind", "Kind is"]


@pytest.mark.parametrize(("name", "value"), [("anchor", " "), ("negative", None), ("situation", 3)])
def test_bad_triplets_are_named(name: str, value: object) -> None:
    rows = make_triplets(3, 0)
    rows[1][name] = value
    with pytest.raises(DataError, match=f"row 2: {name} must be a text"):
        prepare_triplets(rows, Preprocessing())


def write_data(run: RunDir) -> None:
    write_jsonl(run.path / "data" / "triplets.jsonl", make_triplets(60, 0))
    write_jsonl(run.path / "data" / "pairs.dev.jsonl", make_pairs(80, 1))
    write_jsonl(run.path / "data" / "pairs.test.jsonl", make_pairs(80, 2))


def test_the_stage_from_data_to_benchmark(tiny_base: Path, tmp_path: Path) -> None:
    run = RunDir(tmp_path / "a run")
    write_data(run)
    settings = section(tiny_base, epochs=40).model_dump(mode="json")
    run_stage(parse_recipe({"name": "t", "estimator": settings}), run)
    estimator = SimilarityEstimator.load(run.stage("estimator"))
    calibration = json.loads((run.stage("estimator") / "calibration.json").read_text())
    assert -1 < calibration["low"] <= estimator.threshold <= calibration["high"] < 1
    assert calibration["data"] == "pairs.dev.jsonl" and calibration["versions"]["torch"]
    assert SimilarityEstimator.load(run.stage("estimator") / "model").calibration == estimator.calibration
    card = (run.stage("estimator") / "model" / "README.md").read_text()
    assert all(f"{calibration[key]:.3f}" in card for key in ("threshold", "slope"))
    assert f"{calibration['intercept']:+.3f}" in card and "the one with the best F1" in card
    benchmark = json.loads((run.stage("estimator") / "benchmark.json").read_text())
    assert benchmark["differences"]["roc_auc"]["mean"] > 0.1
    assert benchmark["training"]["steps"] > 0
    results = ModelCard.load(run.stage("estimator") / "model" / "README.md").data.eval_results
    tuned = benchmark["systems"]["tuned"]
    assert {r.metric_type: r.metric_value for r in results} == {
        name: round(tuned[name]["mean"], 4) for name in ("average_precision", "roc_auc", "f1", "accuracy")
    }
    assert {(r.dataset_type, r.dataset_name, r.dataset_split) for r in results} == {
        ("world", "labelled pairs of the bundled world of Overton", "test")
    }
    assert results[0].dataset_args == {"different_per_same": 6.0}
    assert sorted(p.name for p in run.stage("estimator").iterdir()) == [
        "benchmark.json",
        "calibration.json",
        "model",
    ]


@pytest.mark.parametrize("calibrated", [False, True])
def test_the_code_of_the_card_runs(
    tiny_base: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    calibrated: bool,
) -> None:
    folder = tmp_path / "FOLDER"
    train_estimator(make_triplets(6, 0), section(tiny_base, epochs=1), folder)
    row = Calibration(0.5, 0.4, 0.6, 2.0, -1.5, 0.9, 0.9, 0.9, 80, model_hash(folder), "d")
    if calibrated:
        own = asdict(row) | {"threshold": 0.25, "slope": 7.125}
        write_json(folder / "calibration.json", asdict(row) | {"sets": {"people": own}})
        write_card(folder, section(tiny_base), row, None, {"people": own})
    card = (folder / "README.md").read_text()
    monkeypatch.chdir(tmp_path)
    exec(card.split("```python\n")[1].split("```")[0], {})
    assert ("[" in capsys.readouterr().out) and ("sigmoid(2.000 * cosine -1.500)" in card) == calibrated
    assert ("| people | 0.250 | 7.125 | -1.500 | 80 |" in card) == calibrated


def test_the_stage_reads_everything_before_it_trains(tiny_base: Path, tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    write_data(run)
    (tmp_path / "data" / "pairs.test.jsonl").write_text('{"situation": "s"}\n')
    with pytest.raises(DataError, match=r"pairs\.test\.jsonl, row 1"):
        run_stage(parse_recipe({"name": "t", "estimator": section(tiny_base).model_dump(mode="json")}), run)
    assert not (tmp_path / "estimator").exists()


def test_a_mistyped_base_is_named_before_the_model_that_is_there_is_removed(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"\./bse: no such folder"):
        check(parse_recipe({"name": "x", "estimator": {"base": "./bse"}}), RunDir(tmp_path))
