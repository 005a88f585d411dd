"""benchmarks/gpu/real_text.py: what is read and what is held out, the judge, and the whole way with a tiny model."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from test_gpu_scripts import data, run

from overton.jsonio import read_json, read_jsonl
from overton.segment import layout, segment
from people_files import write_argkp, write_perspectrum
from realtext.data import read_material
from realtext.matcher import Matcher, labelled_pairs

__all__ = ["data"]  # a fixture of the other file


@pytest.fixture(scope="module")
def folder(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folders of the published files, with a few rows of our own."""
    found = tmp_path_factory.mktemp("real")
    (found / "op_bench").mkdir()
    for path in data.glob("*.csv"):
        shutil.copy(path, found / "op_bench")
    (found / "responses").mkdir()
    shutil.copy(data / "responses.jsonl.gz", found / "responses")
    write_argkp(found / "kpa2021", ("train", "dev"))
    write_perspectrum(found / "perspectrum")
    return found


def test_no_text_of_training_belongs_to_a_held_out_question(folder: Path) -> None:
    material = read_material(folder, 1)
    assert len(material.held_out) == 3 and len({s.id[:2] for s in material.held_out}) == 3
    # The same question stands in all three files with another ending: those next to a held-out one are dropped.
    held = {s.text for s in material.held_out}
    assert not held & {s.text for s in material.train} and len(material.train) + material.dropped == 9
    assert not any(text in document for text in held for document in material.texts)
    assert not held & {row["prompt"] for row in material.sft}
    assert material.sft and all(layout(row["completion"]).valid for row in material.sft)
    assert [s.label for s in segment(material.sft[0]["completion"])][-1] == "Fairness"
    assert any("topic" in text and "argument" in text for text in material.texts)


def test_the_judge_tells_what_is_alike_from_what_is_not(folder: Path) -> None:
    said = ["It saves many lives.", "It costs public money.", "It harms the birds.", "Nobody asked the neighbours."]
    again = [
        "Lives are saved by it.",
        "Public money pays for it.",
        "Birds are harmed.",
        "The neighbours were not asked.",
    ]
    pairs = [
        {"sentence1": a, "sentence2": b, "label": int(i == j)} for i, a in enumerate(said) for j, b in enumerate(again)
    ]
    judge = Matcher(pairs, [])
    found = judge.probabilities(said, again)
    assert found.shape == (4, 4) and all(found[i].argmax() == i for i in range(4))
    assert pytest.approx(judge.probabilities(said, said)) == judge.probabilities(said, said).T
    agreement = judge.choose_threshold(pairs)
    assert agreement["auc"] == 1 and agreement["f1"] == 1 and agreement["same"] == 4
    assert (found[range(4), range(4)] >= judge.threshold).all() and (found >= judge.threshold).sum() == 4
    assert judge.probabilities([], said).shape == (0, 4)
    assert len(labelled_pairs(folder, "train")) > 10


@pytest.mark.slow
def test_the_whole_way(folder: Path, tmp_path: Path) -> None:
    run(
        "gpu/real_text.py", "--data", folder, "--size", "tiny", "--out", tmp_path / "out.json", "--work", tmp_path / "w"
    )
    report = read_json(tmp_path / "out.json")
    assert set(report["systems"]) == {"SFT", "OP-GRPO"} and len(report["grpo_reward"]) == 2
    for metric, found in report["comparison"].items():
        means = [report["systems"][system][metric]["mean"] for system in ("OP-GRPO", "SFT")]
        if found["n"] == 6:  # precision is unknown for an answer without a sentence
            assert found["difference"] == pytest.approx(means[0] - means[1])
    assert report["judge"]["agreement"]["pairs"] == len(labelled_pairs(folder, "dev"))
    assert len(report["text_losses"]["other"]) == 4
    for sample in range(2):
        answers = list(read_jsonl(tmp_path / "w" / f"OP-GRPO.{sample}.answers.jsonl"))
        assert len(answers) == 6 and {row["system"] for row in answers} == {"OP-GRPO"}
    run("gpu/real_text.py", "--data", folder, "--part", "judge", "--out", tmp_path / "2.json", "--work", tmp_path / "w")
    assert read_json(tmp_path / "2.json")["comparison"] == report["comparison"]
