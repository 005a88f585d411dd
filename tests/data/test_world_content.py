"""What the bundled content promises, and what its reader refuses."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import overton.data.world as package
from overton.data.world.content import (
    PHRASINGS,
    SLOTS,
    STANCES,
    explain,
    load_world,
    mend_articles,
    read_world,
    render,
    sentence,
)
from overton.errors import DataError

FOLDER = Path(package.__file__).parent
WORLD = load_world()
SAMPLE = {"actor": "engineer", "affected": "old man", "thing": "umbrella", "act": "taking the umbrella"}


def test_there_is_enough_of_everything() -> None:
    assert len(WORLD.values) >= 60
    assert len(WORLD.kinds) >= 60
    assert len({k.domain for k in WORLD.kinds.values()}) >= 10
    assert len(WORLD.circumstances) >= 30
    assert {v.type for v in WORLD.values.values()} == {"value", "right", "duty"}


@pytest.mark.parametrize("value", WORLD.values.values(), ids=lambda v: v.id)
def test_a_value_is_defined_and_has_ten_phrasings(value) -> None:
    assert value.definition.endswith(".") and len(value.definition.split()) >= 5
    texts = [t for stance in STANCES for t in value.phrasings[stance]]
    assert len(set(texts)) == 2 * PHRASINGS
    for text in texts:
        assert "{" in text, "an explanation speaks of the situation's people and things"
        assert 8 <= len(text.split()) <= 16
        assert not text.endswith(".") and ":" not in text and ";" not in text


def test_every_value_has_a_near_miss() -> None:
    families = [v.family for v in WORLD.values.values()]
    assert all(families.count(name) >= 2 for name in families)


@pytest.mark.parametrize("kind", WORLD.kinds.values(), ids=lambda k: k.id)
def test_a_kind_makes_five_to_nine_perspectives_relevant_for_and_against(kind) -> None:
    assert 5 <= len(kind.perspectives) <= 9
    assert set(kind.perspectives.values()) == {"+", "-"}
    assert len(set(kind.people)) == 6 and len(set(kind.things)) == 6
    for slot in ("{actor}", "{affected}", "{thing}"):
        assert slot in kind.text


def test_every_value_and_circumstance_is_used() -> None:
    relevant = {v for k in WORLD.kinds.values() for v in k.perspectives}
    added = {v for c in WORLD.circumstances.values() for v in c.adds}
    assert relevant | added == set(WORLD.values)
    for item in WORLD.circumstances.values():
        assert item.adds
        assert any(item.id not in k.excludes for k in WORLD.kinds.values()), item.id


def test_no_two_perspectives_read_the_same() -> None:
    texts: dict[str, tuple[str, str]] = {}
    for value in WORLD.values.values():
        for stance in STANCES:
            for index in range(PHRASINGS):
                text = explain(value, stance, index, SAMPLE).casefold()
                assert texts.setdefault(text, (value.id, stance)) == (value.id, stance), text
    assert len(texts) == len(WORLD.values) * 2 * PHRASINGS


@pytest.mark.parametrize(
    ("text", "mended"),
    [
        ("a engineer", "an engineer"),
        ("An mother asks a uncle", "A mother asks an uncle"),
        ("a honest answer in a hour", "an honest answer in an hour"),
        ("an university and an user", "a university and a user"),
        ("a unfair offer from an European", "an unfair offer from a European"),
        ("a one-eyed cat", "a one-eyed cat"),
        ("vitamin a. A apple", "vitamin a. An apple"),
    ],
)
def test_articles_follow_the_sound(text: str, mended: str) -> None:
    assert mend_articles(text) == mended


@given(st.text(alphabet="an AN bio-'", max_size=40))
def test_mending_twice_changes_nothing_more(text: str) -> None:
    once = mend_articles(text)
    assert mend_articles(once) == once


@given(st.fixed_dictionaries({s: st.text(alphabet="aeioubcd ", min_size=1, max_size=12) for s in SLOTS}))
def test_every_template_can_be_filled(slots: dict[str, str]) -> None:
    for value in list(WORLD.values.values())[:5]:
        assert "{" not in render(value.phrasings["+"][0], slots)


def test_a_sentence_has_a_capital_and_one_full_stop() -> None:
    assert sentence("the end.") == "The end." == sentence("the end")


def _copy(tmp_path: Path) -> Path:
    for file in FOLDER.glob("*.yaml"):
        shutil.copy(file, tmp_path / file.name)
    return tmp_path


def _edit(folder: Path, name: str, change) -> None:
    path = folder / name
    rows = yaml.safe_load(path.read_text(encoding="utf-8"))
    change(rows)
    path.write_text(yaml.safe_dump(rows), encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("values_1.yaml", lambda r: r.append(dict(r[0])), "twice"),
        ("values_1.yaml", lambda r: r[0]["for"].pop(), "5 different phrasings"),
        ("values_1.yaml", lambda r: r[0]["for"].__setitem__(0, "about {nobody} at all"), "slots"),
        ("values_1.yaml", lambda r: r[0].pop("label"), "label"),
        ("values_2.yaml", lambda r: r[0].update(label="Autonomy"), "same label"),
        ("kinds_1.yaml", lambda r: r[0]["perspectives"].update(greed="+"), "unknown value greed"),
        ("kinds_1.yaml", lambda r: r[0]["perspectives"].update(trust="maybe"), "neither"),
        ("kinds_1.yaml", lambda r: r[0].update(perspectives={"trust": "+"}), "5 to 9"),
        ("kinds_1.yaml", lambda r: r[0]["excludes"].append("rain"), "unknown circumstance rain"),
        ("circumstances.yaml", lambda r: r[0]["adds"].update(greed="+"), "unknown value greed"),
        ("circumstances.yaml", lambda r: r[0]["excludes"].append("rain"), "rain"),
    ],
)
def test_inconsistent_content_is_refused(tmp_path: Path, name: str, change, message: str) -> None:
    folder = _copy(tmp_path)
    _edit(folder, name, change)
    with pytest.raises(DataError, match=message):
        read_world(folder)


def test_missing_and_broken_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="values"):
        read_world(tmp_path)
    folder = _copy(tmp_path)
    (folder / "kinds_1.yaml").write_text("- id: [", encoding="utf-8")
    with pytest.raises(DataError, match=r"kinds_1\.yaml"):
        read_world(folder)
