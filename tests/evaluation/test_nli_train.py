"""The world's own cross-encoder: reading pairs, and learning from them."""

from __future__ import annotations

import json
import random
import resource
from pathlib import Path
from typing import Any

import pytest
import torch

from overton.errors import DataError, DiskFullError
from overton.evaluation import nli_learner, nli_train
from overton.evaluation.nli import load_nli
from overton.jsonio import write_jsonl

SAYS = {
    "safety:+": ["it keeps the {} out of danger", "the {} is well protected", "no harm comes to the {}"],
    "safety:-": ["it puts the {} at risk", "the {} could get hurt", "this is dangerous for the {}"],
    "trust:+": ["the {} can rely on others", "faith in the {} grows", "it shows confidence in the {}"],
    "trust:-": ["the {} will doubt everyone", "faith in the {} is broken", "nobody can rely on the {}"],
}
PEOPLE = ["mother", "teacher", "doctor", "tenant", "guest", "clerk"]


def pairs(count: int, seed: int = 0) -> list[dict[str, Any]]:
    rng = random.Random(seed)
    rows = []
    for _ in range(count):
        one, other = rng.choice(list(SAYS)), rng.choice(list(SAYS))
        who = rng.choice(PEOPLE)
        same_value = one.split(":")[0] == other.split(":")[0]
        label = "entailment" if one == other else "contradiction" if same_value else "neutral"
        premise, hypothesis = rng.choice(SAYS[one]).format(who), rng.choice(SAYS[other]).format(who)
        if rng.random() < 0.5:
            hypothesis = f"In the perspective of {other.split(':')[0]}, {hypothesis}"
        rows.append(
            {
                "premise": premise.capitalize() + ".",
                "hypothesis": hypothesis + ".",
                "label": label,
                "premise_meaning": one,
                "hypothesis_meaning": other,
            }
        )
    return rows


def test_pairs_are_read_without_their_lead(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "nli.jsonl", pairs(50))
    examples, meanings = nli_train.read_pairs(tmp_path / "nli.jsonl")
    assert meanings == len(SAYS)
    assert not any(e[1].startswith("In the perspective") for e in examples)
    assert all((e[3] == e[4]) == (nli_learner.LABELS[e[2]] == "entailment") for e in examples)


def test_meanings_may_be_unknown(tmp_path: Path) -> None:
    rows = [{k: r[k] for k in ("premise", "hypothesis", "label")} for r in pairs(20)]
    write_jsonl(tmp_path / "nli.jsonl", rows)
    examples, meanings = nli_train.read_pairs(tmp_path / "nli.jsonl")
    assert meanings == 0
    assert len(examples) == 20


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": "same"}, "row 3.*label.*'same'"),
        ({"premise": " "}, "row 3.*premise"),
        ({"hypothesis": None}, "row 3.*hypothesis"),
    ],
)
def test_bad_pairs_are_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    rows = pairs(5)
    rows[2] |= change
    write_jsonl(tmp_path / "nli.jsonl", rows)
    with pytest.raises(DataError, match=message):
        nli_train.read_pairs(tmp_path / "nli.jsonl")


@pytest.mark.parametrize("meanings_known", [True, False])
def test_training_leaves_a_whole_cross_encoder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, meanings_known: bool
) -> None:
    monkeypatch.setattr(nli_learner, "EPOCHS", 0.5)
    monkeypatch.setattr(nli_learner, "WARM_UP_SENTENCES", 256)
    rows = pairs(300)
    if not meanings_known:
        rows = [{k: r[k] for k in ("premise", "hypothesis", "label")} for r in rows]
    write_jsonl(tmp_path / "nli.jsonl", rows)
    folder = tmp_path / "evaluation" / "nli_model"
    (folder.parent / ".nli_model.1.tmp").mkdir(parents=True)  # what a killed run left behind
    benchmark = nli_train.train_world_nli(tmp_path / "nli.jsonl", folder, seed=3)
    assert [p.name for p in folder.parent.iterdir()] == ["nli_model"]
    assert not (folder / "plain").exists()
    assert len({path.stat().st_mode for path in folder.rglob("*") if path.is_file()}) == 1  # weights are as readable
    assert json.loads((folder / "benchmark.json").read_text()) == benchmark
    assert (benchmark["pairs"], benchmark["held_out"]) == (270, 30)
    assert 0 <= benchmark["accuracy"] <= 1
    model = load_nli(folder)
    assert model.entailment == nli_learner.LABELS.index("entailment")
    assert 0 < model.probabilities([("It puts the guest at risk.", "The guest could get hurt.")]).popitem()[1] < 1


def test_a_batch_is_as_large_however_many_gpus_there_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []

    class Watched(nli_learner._Collator):
        def pairs(self, rows: list[nli_learner.Example]) -> dict[str, Any]:
            sizes.append(len(rows))
            return super().pairs(rows)

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(nli_learner, "_Collator", Watched)
    monkeypatch.setattr(nli_learner, "BATCH", 16)
    monkeypatch.setattr(nli_learner, "EPOCHS", 0.5)
    monkeypatch.setattr(nli_learner, "WARM_UP_SENTENCES", 16)
    write_jsonl(tmp_path / "nli.jsonl", pairs(100))
    nli_train.train_world_nli(tmp_path / "nli.jsonl", tmp_path / "nli_model")
    assert set(sizes) == {16}


def test_a_model_that_cannot_be_saved_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nli_learner, "EPOCHS", 0.1)
    monkeypatch.setattr(nli_learner, "WARM_UP_SENTENCES", 64)
    write_jsonl(tmp_path / "nli.jsonl", pairs(100))
    (tmp_path / "evaluation").mkdir()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))  # less than the weights
    try:
        with pytest.raises(DiskFullError, match="larger than"):
            nli_train.train_world_nli(tmp_path / "nli.jsonl", tmp_path / "evaluation" / "nli_model")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list((tmp_path / "evaluation").iterdir()) == []


def test_equality_of_meaning_is_learnt_from_pairs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nli_learner, "BATCH", 16)
    monkeypatch.setattr(nli_learner, "EPOCHS", 8.0)
    monkeypatch.setattr(nli_learner, "WARM_UP_SENTENCES", 2000)
    write_jsonl(tmp_path / "nli.jsonl", pairs(1200))
    benchmark = nli_train.train_world_nli(tmp_path / "nli.jsonl", tmp_path / "nli_model")
    assert benchmark["entailment"]["f1"] > 0.95


def test_the_same_seed_gives_the_same_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from overton.jsonio import sha256

    monkeypatch.setattr(nli_learner, "EPOCHS", 0.5)
    monkeypatch.setattr(nli_learner, "WARM_UP_SENTENCES", 256)
    write_jsonl(tmp_path / "nli.jsonl", pairs(300))
    hashes = set()
    for name in ("a", "b"):
        nli_train.train_world_nli(tmp_path / "nli.jsonl", tmp_path / name, seed=3)
        hashes.add(sha256(tmp_path / name / "model.safetensors"))
    assert len(hashes) == 1
