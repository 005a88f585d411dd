"""References of other situations: a line that fits everything has to be nearer to one of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_encoder import FakeEncoder
from hypothesis import given, settings
from hypothesis import strategies as st

from overton.errors import DataError, RecipeError
from overton.jsonio import write_jsonl
from overton.rewards import OvertonReward, load_reward
from overton.rewards.background import Background
from overton.testing import tiny_encoder
from overton.types import Group, Perspective, Situation

# Ten situations with two references each: one a tenth of a radian from "general", the other at a right angle to all.
KNOWN = {"general": [1.0, 0.0, 0.0], "own": [0.8, 0.6, 0.0], "specific": [0.2, 0.9798, 0.0], "odd": [0.0, 0.0, 1.0]}
KNOWN["near"] = [0.995, 0.0, 0.0999]
OTHERS = [Situation(f"s{i}", f"q{i}", (Perspective("", "near"), Perspective("", "odd"))) for i in range(11)]
GROUP = Group(
    "question", (Perspective("", "own"),), ("In the perspective of A, general", "In the perspective of A, own")
)


def encoder(threshold: float = 0.75) -> FakeEncoder:
    return FakeEncoder(KNOWN, threshold)


def test_the_excess_is_the_mean_of_the_ten_nearest_less_what_is_usual() -> None:
    behind = Background.of(OTHERS, encoder())
    # Each "near" and each "odd" has ten equal ones in other situations.
    assert behind.usual == pytest.approx(1.0, abs=1e-6)
    rows = encoder().encode(["general", "own", "odd"])
    # general: .995 of "near"; own: .8 of that, which is .204 less than usual and counts as .1; odd: 1.
    assert behind.excess(rows, "question") == pytest.approx([-0.005, -0.1, 0.0], abs=1e-3)
    # Of its own situation no reference counts: ten of eleven are left, so nothing changes here.
    assert behind.excess(rows, "q3") == pytest.approx([-0.005, -0.1, 0.0], abs=1e-3)


def test_what_is_usual_is_the_lowest_tenth_of_the_references_themselves() -> None:
    angles = {f"text {i}": [float(np.cos(i)), float(np.sin(i))] for i in range(30)}
    behind = Background.of(
        [Situation(str(i), f"q{i}", (Perspective("", f"text {i}"),)) for i in range(30)], FakeEncoder(angles)
    )
    cosines = [sorted((float(np.cos(i - j)) for j in range(30) if j != i), reverse=True)[:10] for i in range(30)]
    assert behind.usual == pytest.approx(np.quantile(np.mean(cosines, axis=1), 0.1), abs=1e-5)


def test_references_of_the_own_situation_do_not_count() -> None:
    many = [Situation("a", "mine", tuple(Perspective("", "general") for _ in range(10)))]
    many += [Situation(f"b{i}", f"other {i}", (Perspective("", "odd"),)) for i in range(10)]
    behind = Background.of(many, encoder())
    rows = encoder().encode(["general"])
    assert behind.usual == pytest.approx(0.0, abs=1e-6)
    assert [float(behind.excess(rows, name)[0]) for name in ("another", "mine")] == pytest.approx([1.0, 0.0], abs=1e-6)
    assert behind.excess(rows, " Mine\n")[0] == behind.excess(rows, "mine")[0]  # as trainers hand it over


def test_a_line_that_fits_everything_no_longer_matches() -> None:
    behind = Background(encoder().encode(["general"] * 10), tuple(f"q{i}" for i in range(10)), usual=0.6)
    plain, guarded = OvertonReward(encoder()), OvertonReward(encoder(), background=behind)
    # general: .8 of "own", less 1 - .6, is .4; own: 1, less .8 - .6, is .8. The threshold is .75.
    assert [s.terms["coverage"] for s in plain.score([GROUP])[0]] == [1.0, 1.0]
    found = guarded.score([GROUP])[0]
    assert [s.terms["coverage"] for s in found] == [0.0, 1.0]
    assert found[1].matches[0].cosine == pytest.approx(1.0)  # as it is, not less the excess
    off = OvertonReward(encoder(), background=behind, background_weight=0.0)
    assert off.score([GROUP]) == plain.score([GROUP])


class Rounding(FakeEncoder):
    """Moves every vector a little, unless asked for exact ones."""

    bf16 = True

    def encode(
        self, texts: Sequence[str], contexts: Sequence[str] | None = None, *, preprocess: bool = True
    ) -> np.ndarray[Any, np.dtype[np.float32]]:
        return super().encode(texts, contexts, preprocess=preprocess) + np.float32(0.0004)

    def encode_exact(
        self, texts: Sequence[str], contexts: Sequence[str] | None = None, *, preprocess: bool = True
    ) -> np.ndarray[Any, np.dtype[np.float32]]:
        return super().encode(texts, contexts, preprocess=preprocess)


@settings(max_examples=60)
@given(st.floats(0.3, 0.95), st.floats(0, 1), st.lists(st.sampled_from(["general", "specific", "odd"]), max_size=4))
def test_a_hair_is_decided_in_full_precision(threshold: float, weight: float, lines: list[str]) -> None:
    answer = "\n".join(f"In the perspective of {i}, {line}" for i, line in enumerate(lines))
    group = Group("question", GROUP.references, (answer, *GROUP.answers))
    make: dict[str, Any] = {"background": OTHERS, "background_weight": weight, "threshold": threshold}
    rounding, full = (OvertonReward(e(KNOWN), **make) for e in (Rounding, FakeEncoder))
    rough, exact = rounding.score([group])[0], full.score([group])[0]
    assert [s.value for s in rough] == [s.value for s in exact]
    # Siblings play no part.
    alone = full.score([Group("question", GROUP.references, (answer,))])[0][0]
    assert alone.value == exact[0].value


def test_of_many_references_the_same_ones_are_drawn() -> None:
    texts = {f"text {i}": [float(np.cos(i)), float(np.sin(i))] for i in range(60)}
    many = [Situation(str(i), f"q{i}", (Perspective("", f"text {i}"),)) for i in range(60)]
    first, second = (Background.of(many, FakeEncoder(texts), 20) for _ in range(2))
    assert len(first.rows) == 20 and first.situations == second.situations
    assert Background.of(many, FakeEncoder(texts)).rows.shape == (60, 2)


def test_what_cannot_be_a_background_is_refused() -> None:
    with pytest.raises(DataError, match=r"needs 10 references beside those of any one situation; found 10 of 5"):
        OvertonReward(encoder(), background=OTHERS[:5])
    with pytest.raises(DataError, match=r"found 30 of 1 situations"):
        OvertonReward(encoder(), background=[Situation("s", "q", OTHERS[0].perspectives * 15)])
    for preset in ("op-grpo", "quality-diversity"):
        with pytest.raises(RecipeError, match=f"preset '{preset}' looks at no background"):
            OvertonReward(encoder(), preset, background=OTHERS)
    with pytest.raises(RecipeError, match="background_weight must lie between 0 and 1"):
        OvertonReward(encoder(), background_weight=1.5)


@pytest.mark.parametrize(
    "given", ["others.jsonl", Path("others.jsonl"), 500, OTHERS[0], [OTHERS[0].to_json()], [GROUP]]
)
def test_what_holds_no_situations_is_refused(given: Any) -> None:
    with pytest.raises(
        DataError, match=r"background wants .*situations.*, found (the path '|int|Situation|dict|Group)"
    ):
        OvertonReward(encoder(), background=given)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    tiny_encoder(folder / "estimator" / "model")
    (folder / "recipe.yaml").write_text(
        "name: run\nreward: {background: 12, overrides: {threshold: 0.9}}\n", encoding="utf-8"
    )
    write_jsonl(folder / "data" / "train.jsonl", [s.to_json() for s in OTHERS])
    return folder


def test_a_run_brings_its_background(run: Path) -> None:
    for name in (run, run / "recipe.yaml"):
        found = load_reward(name).background
        assert found is not None and len(found.rows) == 12
    assert load_reward(run, preset="op-grpo").background is None


def test_a_settings_file_names_a_file_beside_it(run: Path, tmp_path: Path) -> None:
    write_jsonl(tmp_path / "others.jsonl", [s.to_json() for s in OTHERS])
    file = tmp_path / "reward.yaml"
    text = f"estimator: {run / 'estimator' / 'model'}\noverrides: {{threshold: 0.9}}\n"
    file.write_text(text + "background: others.jsonl\n", encoding="utf-8")
    found = load_reward(file).background
    assert found is not None and len(found.rows) == 22
    file.write_text(text + "background: 500\n", encoding="utf-8")
    with pytest.raises(RecipeError, match="`background` must be a file of situations, found 500"):
        load_reward(file)
    file.write_text(text + "background: nothing.jsonl\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"nothing\.jsonl"):
        load_reward(file)
    write_jsonl(tmp_path / "few.jsonl", [s.to_json() for s in OTHERS[:2]])
    file.write_text(text + "background: few.jsonl\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"few\.jsonl: a reward's background needs 10 references"):
        load_reward(file)


def test_a_settings_file_names_a_file_at_home(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    write_jsonl(tmp_path / "others.jsonl", [s.to_json() for s in OTHERS])
    (tmp_path / "own.yaml").write_text("overrides: {threshold: 0.9}\n", encoding="utf-8")
    file = tmp_path / "settings" / "reward.yaml"
    file.parent.mkdir()
    file.write_text(f"estimator: {run}\npreset: ~/own.yaml\nbackground: ~/others.jsonl\n", encoding="utf-8")
    found = load_reward(file)
    assert found.background is not None and found.preset.threshold == 0.9


def test_a_background_for_a_preset_that_looks_at_none_is_told_before_anything_is_read(tmp_path: Path) -> None:
    file = tmp_path / "reward.yaml"
    file.write_text("estimator: nowhere\npreset: op-grpo\nbackground: nothing.jsonl\n", encoding="utf-8")
    with pytest.raises(RecipeError, match="preset 'op-grpo' looks at no background"):
        load_reward(file)


def test_the_background_of_a_preset_s_file_is_not_dropped(run: Path, tmp_path: Path) -> None:
    own, recipe, settings = (tmp_path / name for name in ("own.yaml", "my.yaml", "reward.yaml"))
    own.write_text("overrides: {beta: 1}\nbackground: others.jsonl\n", encoding="utf-8")
    recipe.write_text("reward: {background: 500}\n", encoding="utf-8")
    settings.write_text(f"estimator: {run}\npreset: own.yaml\n", encoding="utf-8")
    for make in (
        lambda: OvertonReward(encoder(), own),
        lambda: OvertonReward(encoder(), recipe),
        lambda: load_reward(settings),
        lambda: load_reward(run, preset=own),
    ):
        with pytest.raises(RecipeError, match="its `background` is not; name the file itself for load_reward"):
            make()
    assert OvertonReward(encoder(), own, background=OTHERS).background is not None
    assert OvertonReward(encoder(), own, background_weight=0).background is None
