"""The stage as a whole: files, card, resume, both sources."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path
from typing import Any

import pytest
from datasets import get_dataset_config_names, load_dataset
from huggingface_hub import DatasetCard

from overton.data import read_situations
from overton.data.hub import hub_rows
from overton.data.stage import run
from overton.data.world.content import load_world
from overton.data.world.generate import Splits, check_leaks
from overton.errors import DataError
from overton.jsonio import read_jsonl, sha256
from overton.pipeline import run_stages
from overton.recipe import Recipe, parse_recipe
from overton.rundir import RunDir
from overton.types import Situation
from table_files import HEADER, csv_file

SIZES = {"train": 60, "dev": 20, "test": 20, "triplets": 50, "pairs": 40}
_ROWS = ("train", "dev", "test", "sft", "triplets", "pairs.train", "pairs.dev", "pairs.test")
COMMON = {"card.md", "README.md", *(f"{name}.jsonl" for name in _ROWS)}


def _recipe(seed: int = 0, **data: Any) -> Recipe:
    return parse_recipe({"name": "t", "seed": seed, "data": SIZES | {"nli_pairs": 120} | data})


def _table(folder: Path, clusters: bool = True) -> Path:
    path = folder / "mine.csv"
    with open(path, "w", encoding="utf-8", newline="") as file:
        out = csv.writer(file)
        out.writerow(["id", "situation", "label", "explanation", "cluster"])
        for i in range(30):
            for label, text, cluster in (
                ("Trust", "breaks it", "t"),
                ("Trust", "ruins it", "t"),
                ("Care", "helps", "c"),
            ):
                out.writerow([i, f"Is {i} right?", label, f"{text} for {i}", cluster if clusters else ""])
    return path


def test_world_files(tmp_path: Path) -> None:
    run(_recipe(), RunDir(tmp_path))
    folder = tmp_path / "data"
    assert {p.name for p in folder.iterdir()} == COMMON | {"nli.jsonl"}
    counts = {
        "train": 60,
        "dev": 20,
        "test": 20,
        "sft": 60,
        "triplets": 50,
        "pairs.dev": 40,
        "pairs.test": 40,
        "nli": 120,
    }
    assert {n: len(read_jsonl(folder / f"{n}.jsonl")) for n in counts} == counts
    check_leaks(Splits(*(tuple(read_situations(folder / f"{n}.jsonl")) for n in ("train", "dev", "test"))))
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "Apache-2.0" in card and "Split by composition" in card
    assert card.endswith((folder / "card.md").read_text(encoding="utf-8"))
    for name in COMMON - {"card.md", "README.md"}:
        assert sha256(folder / name) in card


def test_the_same_recipe_gives_the_same_bytes_even_over_leftovers(tmp_path: Path) -> None:
    run(_recipe(), RunDir(tmp_path / "one"))
    killed = tmp_path / "two" / "data"
    killed.mkdir(parents=True)
    (killed / "train.jsonl").write_text("{half a li", encoding="utf-8")
    (killed / "old.jsonl").write_text("{}\n", encoding="utf-8")
    run(_recipe(), RunDir(tmp_path / "two"))
    assert sha256(tmp_path / "one") == sha256(tmp_path / "two")
    run(_recipe(seed=1), RunDir(tmp_path / "three"))
    assert sha256(tmp_path / "one") != sha256(tmp_path / "three")


def test_table_files(tmp_path: Path) -> None:
    run(_recipe(source="table", path=_table(tmp_path), train=20, dev=5, test=5), RunDir(tmp_path / "run"))
    folder = tmp_path / "run" / "data"
    assert {p.name for p in folder.iterdir()} == COMMON
    assert [len(read_situations(folder / f"{n}.jsonl")) for n in ("train", "dev", "test")] == [20, 5, 5]
    assert "pairs.dev: 40 pairs wanted" in (folder / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("source", ["world", "table"])
def test_the_folder_is_a_data_set_of_the_hub(tmp_path: Path, source: str) -> None:
    data: dict[str, Any] = {"by_count": True}
    if source == "table":
        data |= {"source": "table", "path": _table(tmp_path), "train": 20, "dev": 5, "test": 5, "pairs": 0}
    run(_recipe(**data), RunDir(tmp_path / "run"))
    folder = tmp_path / "run" / "data"
    seen = set()
    for subset in get_dataset_config_names(str(folder)):
        for split, rows in load_dataset(str(folder), subset, cache_dir=str(tmp_path / "cache")).items():
            name = {"situations": split, "by_count": f"test.{split}", "pairs": f"pairs.{split}"}.get(subset, subset)
            assert len(rows) == len(read_jsonl(folder / f"{name}.jsonl"))
            seen.add(f"{name}.jsonl")
    assert seen == {p.name for p in folder.glob("*.jsonl") if p.stat().st_size}
    card = DatasetCard.load(folder / "README.md").data
    assert (card.license, card.language) == (("apache-2.0", "en") if source == "world" else (None, None))
    # Without a subset it is the situations, which the source `hub` reads again.
    again = [Situation.from_json(row) for _, row in hub_rows(str(folder), split="dev+test")]
    assert again == [s for name in ("dev", "test") for s in read_situations(folder / f"{name}.jsonl")]


@pytest.mark.parametrize("source", ["world", "table"])
def test_situations_kept_for_grpo_have_no_sft_answer(tmp_path: Path, source: str) -> None:
    from overton.training.stage import grpo_situations

    path = {"path": _table(tmp_path), "train": 20, "dev": 5, "test": 5} if source == "table" else {}
    for kept in (0, 8):
        recipe, folder = _recipe(source=source, grpo_only=kept, **path), RunDir(tmp_path / str(kept))
        run(recipe, folder)
        train = read_situations(folder.path / "data" / "train.jsonl")
        answered = [row["id"] for row in read_jsonl(folder.path / "data" / "sft.jsonl")]
        assert answered == [s.id for s in train][: len(train) - kept]
        asked = grpo_situations(recipe, folder)
        assert asked == train if not kept else asked[:kept] == train[-kept:]
        assert len({s.id for s in asked}) == len(asked) == (2 * kept or len(train))
        assert asked == grpo_situations(recipe, folder)
        said = f"{kept} of the train situations have no SFT answer" in (folder.path / "data" / "README.md").read_text()
        assert said == bool(kept)
    with pytest.raises(DataError, match=r"data\.grpo_only: .*leave none to SFT"):
        run(_recipe(source=source, grpo_only=60, **path), RunDir(tmp_path / "all"))


def test_nothing_is_written_when_the_table_is_unusable(tmp_path: Path) -> None:
    path = csv_file(tmp_path, [["q", "Is it?", "Trust", "breaks it"]], "one.csv", HEADER[:4])
    with pytest.raises(DataError, match=r"one\.csv"):
        run(_recipe(source="table", path=path), RunDir(tmp_path / "run"))
    assert not list((tmp_path / "run" / "data").iterdir())
    with pytest.raises(DataError, match=r"data\.path"):
        run(_recipe(source="table"), RunDir(tmp_path / "run"))


def test_a_source_that_is_not_there_costs_no_data(tmp_path: Path) -> None:
    home = RunDir(tmp_path / "r")
    run_stages(_recipe(source="table", path=str(_table(tmp_path))), home, "data", "data")
    before = sha256(home.path / "data" / "train.jsonl")
    for source, message in (("table", "gone: no such file"), ("argkp", "gone: no such folder")):
        with pytest.raises(DataError, match=message):
            run_stages(_recipe(source=source, path=str(tmp_path / "gone")), home, "data", "data")
        assert sha256(home.path / "data" / "train.jsonl") == before


def test_without_clusters_there_is_all_but_triplets_and_pairs(tmp_path: Path) -> None:
    settings = {"source": "table", "train": 20, "dev": 5, "test": 5}
    run(_recipe(**settings, path=_table(tmp_path)), RunDir(tmp_path / "run"))
    run(_recipe(**settings, path=_table(tmp_path, clusters=False)), RunDir(tmp_path / "run"))
    folder = tmp_path / "run" / "data"
    wanted = {"train", "dev", "test", "sft"}
    assert {p.name for p in folder.iterdir()} == {f"{name}.jsonl" for name in wanted} | {"card.md", "README.md"}
    assert "neither labelled pairs nor clusters say what is the same" in (folder / "card.md").read_text()
    assert set(get_dataset_config_names(str(folder))) == {"situations", "sft"}
    # Clusters that join nothing are a mistake, not a choice.
    alone = csv_file(
        tmp_path, [[f"{i}", f"Is {i}?", v, f"{v} {i}", v] for i in range(30) for v in "AB"], "b.csv", HEADER[:5]
    )
    with pytest.raises(DataError, match=r"`cluster` column .*to only evaluate, .* leave the column out"):
        run(_recipe(**settings, path=alone), RunDir(tmp_path / "other"))


def test_too_many_wanted_is_a_warning_in_the_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = load_world()
    kinds = ("take_away_device", "refuse_to_lend", "raise_rent", "hide_bad_news")
    small = dataclasses.replace(world, kinds={k: world.kinds[k] for k in kinds})
    monkeypatch.setattr("overton.data.world.generate.load_world", lambda: small)
    run(_recipe(dev=3000), RunDir(tmp_path))
    found = len(read_jsonl(tmp_path / "data" / "dev.jsonl"))
    assert 20 < found < 3000
    card = (tmp_path / "data" / "README.md").read_text(encoding="utf-8")
    assert f"dev: 3000 situations wanted, the composition rules allow {found}" in card


def test_what_recurs_is_kept_in_one_split_or_dropped_and_told(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    lines = ["id,situation,label,explanation,cluster"]
    for i in range(40):
        # Every situation of an even number says one thing that all of them say; 38 and 39 are one text.
        common = "all say so" if i % 2 == 0 else f"only {i} says so"
        lines += [f"{i},Is {min(i, 38)} right?,Trust,breaks {i},t", f"{i},Is {min(i, 38)} right?,Trust,ruins {i},t"]
        lines += [f"{i},Is {min(i, 38)} right?,Care,{common},c"]
    path.write_text("\n".join(lines))
    run(_recipe(source="table", path=path, train=20, dev=10, test=10), RunDir(tmp_path / "run"))
    folder = tmp_path / "run" / "data"
    rows = {n: read_situations(folder / f"{n}.jsonl") for n in ("train", "dev", "test")}
    texts = [{t for r in found for t in (r.text, *(p.explanation for p in r.perspectives))} for found in rows.values()]
    assert not texts[0] & texts[1] and not texts[0] & texts[2] and not texts[1] & texts[2]
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "1 situations have the text of an earlier one under another id" in card
    assert "situations share a text with a later split, dropped" in card
    assert "| split | situations | perspectives | words in a situation |" in card
    same = [line.rsplit(",", 2)[0] + ",all say so,c" if ",Care," in line else line for line in lines]
    path.write_text("\n".join(same))
    with pytest.raises(DataError, match=r"no situation is left for the (train|dev) split: each shares a text"):
        run(_recipe(source="table", path=path, train=20, dev=10, test=10), RunDir(tmp_path / "none"))


def test_what_was_joined_and_left_out_is_said_and_where_the_card_lies(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = _table(tmp_path)
    text = path.read_text(encoding="utf-8")
    path.write_text(text + text.splitlines()[1] + "\n", encoding="utf-8")
    run(_recipe(source="table", path=str(path), train=10, dev=2, test=2, pairs=0), RunDir(tmp_path / "r"))
    said = capsys.readouterr()
    told = said.out + said.err
    assert "note: 1 perspectives had the explanation of an earlier one" in told
    assert "note: 16 of the table's 30 situations are not used" in told
    assert f"what the data are: {tmp_path / 'r' / 'data' / 'card.md'}" in told
