"""Sources that people wrote: PERSPECTRUM and Key Point Analysis, made up here and real where they are at hand."""

from __future__ import annotations

import csv
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from overton.data.argkp import read_argkp
from overton.data.pairs import has_same, labelled_pairs, table_pairs, table_triplets
from overton.data.perspectrum import read_perspectrum
from overton.data.rows import LabelledPair, TableRow
from overton.data.splits import drop_shared, shared_groups, split_as_published, texts_of
from overton.data.stage import run
from overton.data.table import read_table
from overton.errors import DataError
from overton.jsonio import read_jsonl
from overton.recipe import parse_recipe
from overton.rundir import RunDir
from overton.spelling import one_spelling
from overton.types import Perspective, Situation
from people_files import write_argkp

REAL = Path(__file__).parents[3] / "shared" / "data"


def real(name: str) -> Path:
    if not (REAL / name).is_dir():
        pytest.skip(f"needs the real data set {name} in {REAL}")
    return REAL / name


def perspectrum(folder: Path, claims: list[dict[str, Any]], pool: dict[int, str], splits: dict[str, str]) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "perspectrum_with_answers_v1.0.json").write_text(json.dumps(claims))
    (folder / "perspective_pool_v1.0.json").write_text(json.dumps([{"pId": k, "text": t} for k, t in pool.items()]))
    (folder / "dataset_split_v1.0.json").write_text(json.dumps(splits))
    return folder


POOL = dict(
    enumerate(("It saves lives", "Lives are saved by it", "It costs too much", "it  saves LIVES", "Nobody asked"), 1)
)


def claim(number: int, *clusters: tuple[str, list[int]]) -> dict[str, Any]:
    return {
        "cId": number,
        "text": f"We should do {number}",
        "perspectives": [{"pids": pids, "stance_label_3": stance} for stance, pids in clusters],
    }


def test_perspectrum_by_hand(tmp_path: Path) -> None:
    claims = [
        claim(1, ("SUPPORT", [1, 2]), ("UNDERMINE", [3]), ("SUPPORT", [4])),
        claim(2, ("UNDERMINE", [5])),
    ]
    warnings: list[str] = []
    (row,) = read_perspectrum(perspectrum(tmp_path, claims, POOL, {"1": "train", "2": "dev"}), warnings)
    assert row.situation.id == "perspectrum-1" and row.situation.text == "We should do 1" and row.split == "train"
    assert [(p.label, p.explanation, p.stance, p.cluster) for p in row.views] == [
        ("Supporters", "It saves lives", "+", "0"),
        ("Supporters", "Lives are saved by it", "+", "0"),
        ("Opponents", "It costs too much", "-", "1"),
    ]
    assert row.situation.perspectives == (row.views[0], row.views[2])
    assert warnings == [
        "1 claims have fewer than two perspectives and were left out",
        "1 perspectives stand in two clusters of their claim; the first counts",
    ]
    assert sorted(relation for _, relation in labelled_pairs(row)) == ["opposite", "opposite", "same"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"claims": [claim(1, ("SUPPORT", [9]))]}, r"claim 1: perspective 9 is not in perspective_pool"),
        ({"claims": []}, r"a list of objects is wanted"),
        ({"claims": [{"cId": 1, "text": "x"}]}, r"entry 1: `perspectives` is missing"),
        ({"pool": {1: " "}}, r"claim 1: `text` is empty"),
        ({"pool": {1: "..."}}, r"claim 1: `text` has no word, found '\.\.\.'"),
    ],
)
def test_broken_perspectrum_files(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    base = {"claims": [claim(1, ("SUPPORT", [1]), ("UNDERMINE", [1]))], "pool": POOL, "splits": {"1": "train"}}
    folder = perspectrum(tmp_path, *(base | change).values())
    with pytest.raises(DataError, match=message):
        read_perspectrum(folder, [])
    (folder / "perspective_pool_v1.0.json").unlink()
    with pytest.raises(DataError, match=r"perspective_pool_v1\.0\.json: no such file"):
        read_perspectrum(folder, [])


def argkp(folder: Path, split: str, **changes: list[list[str]]) -> Path:
    tables = {
        "arguments": [
            ["arg_id", "argument", "topic", "stance"],
            ["arg_1_0", "it keeps people alive", "We should do it", "1"],
            ["arg_1_1", "it is dear and it keeps people alive", "We should do it", "1"],
            ["arg_1_2", "it is dear", "We should do it", "-1"],
        ],
        "key_points": [
            ["key_point_id", "key_point", "topic", "stance"],
            ["kp_1_0", "It saves lives", "We should do it", "1"],
            ["kp_1_1", "It is wanted", "We should do it", "1"],
            ["kp_1_2", "It costs too much", "We should do it", "-1"],
        ],
        "labels": [
            ["arg_id", "key_point_id", "label"],
            ["arg_1_0", "kp_1_0", "1"],
            ["arg_1_0", "kp_1_1", "0"],
            ["arg_1_1", "kp_1_0", "1"],
            ["arg_1_1", "kp_1_1", "1"],
            ["arg_1_2", "kp_1_2", "1"],
        ],
    }
    folder.mkdir(exist_ok=True)
    for name, rows in (tables | changes).items():
        with open(folder / f"{name}_{split}.csv", "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(rows)
    return folder


def test_argkp_by_hand(tmp_path: Path) -> None:
    (row,) = read_argkp(argkp(tmp_path, "dev"), [])
    assert row.situation.id == "argkp-dev-1" and row.situation.text == "We should do it" and row.split == "dev"
    assert [p.explanation for p in row.situation.perspectives] == [
        "It saves lives",
        "It is wanted",
        "It costs too much",
    ]
    # An argument that makes two points is no paraphrase of either.
    assert [(p.explanation, p.cluster) for p in row.views[3:]] == [
        ("it keeps people alive", "kp_1_0"),
        ("it is dear", "kp_1_2"),
    ]
    assert [(pair.sentence1, pair.sentence2, relation) for pair, relation in labelled_pairs(row)] == [
        ("it keeps people alive", "It saves lives", "same"),
        ("it keeps people alive", "It is wanted", "other"),
        ("it is dear and it keeps people alive", "It saves lives", "same"),
        ("it is dear and it keeps people alive", "It is wanted", "same"),
        ("it is dear", "It costs too much", "same"),
    ]


@pytest.mark.parametrize(
    ("table", "row", "message"),
    [
        ("labels", ["arg_1_0", "kp_1_0", "2"], r"labels_dev\.csv, line 7: `label` must be 0 or 1, found '2'"),
        ("labels", ["arg_9_9", "kp_1_0", "1"], r"line 7: arg_id 'arg_9_9' is in no row"),
        ("labels", ["arg_1_0", "kp_1_0", "0"], r"line 7: arg_id 'arg_1_0' and key_point_id 'kp_1_0' have another"),
        ("arguments", ["arg_1_0", "x", "We should do it", "1"], r"line 5: arg_id 'arg_1_0' was used before"),
        ("key_points", ["kp_1_3", "?", "We should do it", "1"], r"line 5: `key_point` has no word, found"),
        ("arguments", ["arg_1_5", "x", "We should do it", "0"], r"line 5: `stance` must be 1 or -1, found '0'"),
        ("key_points", ["kp_1_9", "", "We should do it", "1"], r"line 5: `key_point` is empty"),
    ],
)
def test_broken_argkp_files(tmp_path: Path, table: str, row: list[str], message: str) -> None:
    folder = argkp(tmp_path, "dev")
    with open(folder / f"{table}_dev.csv", "a", newline="", encoding="utf-8") as file:
        csv.writer(file).writerow(row)
    with pytest.raises(DataError, match=message):
        read_argkp(folder, [])


def test_a_label_across_topics_is_refused(tmp_path: Path) -> None:
    folder = write_argkp(tmp_path / "kpa")
    with open(folder / "labels_dev.csv", "a", newline="", encoding="utf-8") as file:
        csv.writer(file).writerow(["arg_0_1_0", "kp_1_1_0", "0"])
    with pytest.raises(DataError, match=r"line 66: arg_id 'arg_0_1_0' is of topic 'topic 0' and .* 'topic 1'"):
        read_argkp(folder, [])


@pytest.mark.parametrize(
    ("ids", "names"),
    [
        (("1", "2", "3", "4"), ("1", "3")),
        (("a-1", "a-2", "b-1", "b-2"), ("a-1", "b-1")),
        (("kp_1_0", "kp_1_1", "x_1_0", "x_1_1"), ("kp_1_0", "x_1_0")),
    ],
)
def test_key_points_may_have_any_ids(tmp_path: Path, ids: tuple[str, ...], names: tuple[str, ...]) -> None:
    header = ["key_point_id", "key_point", "topic", "stance"]
    points = [[name, f"point {name}", f"topic {i // 2}", "1"] for i, name in enumerate(ids)]
    arguments = [["arg_id", "argument", "topic", "stance"], ["a", "an argument", "topic 0", "1"]]
    labels = [["arg_id", "key_point_id", "label"], ["a", ids[0], "1"]]
    folder = argkp(tmp_path, "dev", key_points=[header, *points], arguments=arguments, labels=labels)
    assert [row.situation.id for row in read_argkp(folder, [])] == [f"argkp-dev-{name}" for name in names]


def test_argkp_wants_its_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no arguments_\*\.csv"):
        read_argkp(tmp_path, [])
    folder = argkp(tmp_path, "dev", labels=[["arg_id", "label"], ["arg_1_0", "1"]])
    with pytest.raises(DataError, match=r"line 2: column 'key_point_id' is missing"):
        read_argkp(folder, [])


def row(name: str, split: str, *texts: str) -> TableRow:
    views = tuple(Perspective("Others", t, None, t[0], "human") for t in texts)
    return TableRow(Situation(name, f"May {name}?", views), views, split=split)


def test_published_splits_share_no_text() -> None:
    rows = [
        row("a", "train", "one", "two"),
        row("b", "train", "THREE ", "four"),
        row("c", "dev", "three", "five"),
        row("d", "dev", "six", "seven"),
        row("e", "dev", "seven", "eight"),
    ]
    warnings: list[str] = []
    found = drop_shared(split_as_published(rows, 0, warnings), 10, 10, 10, 0, warnings)
    assert [r.situation.id for r in found["train"]] == ["a"]  # b says what c says
    # d and e share a text and stay together.
    assert {"".join(sorted(r.situation.id for r in found[s])) for s in ("dev", "test")} == {"c", "de"}
    assert warnings[0] == "no published test split: half of the dev situations are test"
    assert "train: 1 situations share a text" in warnings[1]
    with pytest.raises(DataError, match="b: split 'other'"):
        split_as_published([row("b", "other", "x", "y")], 0, [])
    splits = {"test": [row("b", "", "x", "y")], "dev": [row("d", "", "v", "w")], "train": [row("c", "", "y", "z")]}
    with pytest.raises(DataError, match="no situation is left for the train split"):
        drop_shared(splits, 1, 1, 1, 0, [])


def test_groups_join_through_others() -> None:
    rows = [row("a", "", "p", "q"), row("b", "", "r", "s"), row("c", "", "q", "r"), row("d", "", "t", "u")]
    assert sorted(sorted(r.situation.id for r in g) for g in shared_groups(rows)) == [["a", "b", "c"], ["d"]]


def test_many_triplets_are_drawn_and_few_are_all_there() -> None:
    texts = [f"{cluster}{i}" for cluster in "abc" for i in range(20)]
    rows = [row("x", "train", *texts)]
    found = table_triplets(rows, 50, 0)  # of 3 * 380 * 40
    assert len({tuple(t.values()) for t in found}) == 50 and found == table_triplets(rows, 50, 0)
    assert all(t["anchor"][0] == t["positive"][0] != t["negative"][0] for t in found)
    assert all(t["anchor"] != t["positive"] for t in found)
    assert len(table_triplets([row("x", "train", "a1", "a2", "b1")], 50, 0)) == 2


def test_no_text_is_set_against_itself() -> None:
    views = row("x", "train", "a one", "a two", "A  One", "b one", "b two").views
    views = (*views, replace(views[3], explanation="A two"))  # a wording of `a` once more, under `b`
    assert all(
        one_spelling(t["anchor"]) != one_spelling(t["positive"])
        and one_spelling(t["negative"]) not in (one_spelling(t["anchor"]), one_spelling(t["positive"]))
        for t in table_triplets([replace(row("x", "train", "a", "b"), views=views)], 100, 0)
    )
    twice = replace(row("x", "train", "a", "b"), pairs=(LabelledPair("a", "A ", True), LabelledPair("a", "b", False)))
    assert [pair.sentence2 for pair, _ in labelled_pairs(twice)] == ["b"]
    assert not has_same(twice)
    pairs = table_pairs([replace(twice, pairs=(), views=views)], 0, "train", 0, [])
    assert pairs and all(one_spelling(p["sentence1"]) != one_spelling(p["sentence2"]) for p in pairs)


@pytest.mark.parametrize(("source", "folder"), [("perspectrum", "perspectrum"), ("argkp", "kpa2021")])
def test_the_real_data_becomes_a_stage(tmp_path: Path, source: str, folder: str) -> None:
    sizes = {"train": 10_000, "dev": 1000, "test": 1000, "triplets": 500, "pairs": 300}
    data = {"source": source, "path": str(real(folder)), **sizes}
    run(parse_recipe({"name": "r", "data": data}), RunDir(tmp_path))
    out = tmp_path / "data"
    card = (out / "README.md").read_text(encoding="utf-8")
    assert "half of the dev situations are test" in card and "licence" in card
    texts = [{t for r in read_jsonl(out / f"{s}.jsonl") for t in _all(r)} for s in ("train", "dev", "test")]
    assert not texts[0] & texts[1] and not texts[0] & texts[2] and not texts[1] & texts[2]
    for name in ("pairs.dev", "pairs.test"):
        pairs = read_jsonl(out / f"{name}.jsonl")
        assert Counter(p["label"] for p in pairs) == {0: 150, 1: 150}
        assert all(p["sentence1"] != p["sentence2"] for p in pairs)
    assert len(read_jsonl(out / "triplets.jsonl")) == 500


def _all(found: dict[str, Any]) -> set[str]:
    return {" ".join(t.casefold().split()) for t in (found["text"], *(p["explanation"] for p in found["perspectives"]))}


def test_every_real_label_is_a_pair() -> None:
    rows = read_argkp(real("kpa2021"), [])
    with open(real("kpa2021") / "labels_dev.csv", encoding="utf-8") as file:
        labels = Counter(r["label"] for r in csv.DictReader(file))
    pairs = [p for r in rows if r.split == "dev" for p in r.pairs]
    assert Counter(str(int(p.same)) for p in pairs) == labels
    assert len(table_pairs([r for r in rows if r.split == "dev"], 10**6, "dev", 0, [])) == 2 * labels["1"]


def test_spelling_does_not_hide_a_shared_text() -> None:
    assert texts_of(row("a", "", "It  Saves\nlives", "b"))[1] == "it saves lives"
    assert texts_of(row("a", "", "Cafe\u0301", "b"))[1] == "caf\u00e9"


@pytest.mark.parametrize("count", [5, 6, 7])
def test_every_published_answer_file_is_read(count: int) -> None:
    rows = read_table(real("op_bench") / f"test_{count}p.csv", {})
    assert len(rows) == 300
    assert all(len(r.situation.perspectives) == count and all(p.label for p in r.views) for r in rows)
