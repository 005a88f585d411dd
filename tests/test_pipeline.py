from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import preloaded
from fake_stages import FILES
from overton.errors import RunError
from overton.jsonio import sha256, write_text
from overton.pipeline import NAMES, STAGES, find_stage, open_run, run_stages
from overton.recipe import Recipe, load_recipe
from overton.report.stage import check as report_check
from overton.rundir import RunDir


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    return RunDir(tmp_path / "runs" / "a")


def results(folder: Path) -> dict[str, str]:
    """Hashes of everything that the stages declare to write."""
    declared = [folder / stage / file for stage, files in FILES.items() for file in files]
    return {str(path.relative_to(folder)): sha256(path) for path in declared if path.exists()}


def test_a_stage_has_one_name() -> None:
    import overton

    for stage in STAGES:
        assert stage.name in Recipe.model_fields
        assert (Path(overton.__file__).parent / stage.name / "stage.py").is_file()
        assert stage.name in stage.sections
        assert find_stage(stage.name) is find_stage(stage.verb) is stage


def test_every_section_of_the_recipe_belongs_to_a_stage() -> None:
    used = {section for stage in STAGES for section in stage.sections}
    assert used == set(Recipe.model_fields) - {"name", "seed", "threads"}


def test_stages_read_what_earlier_stages_write() -> None:
    for position, stage in enumerate(STAGES):
        for name in stage.reads:
            assert name.split("/")[0] in NAMES[:position]


def test_a_run_goes_through_all_stages_in_order_and_stores_its_recipe(fake_stages: list[str], run: RunDir) -> None:
    recipe = Recipe(name="a", seed=3)
    run_stages(recipe, run)
    assert fake_stages == list(NAMES)
    assert load_recipe(run.path / "recipe.yaml") == recipe
    assert all((run.manifest(name) or {})["status"] == "complete" for name in NAMES)


def test_the_training_is_left_out_where_no_system_needs_it(
    fake_stages: list[str], run: RunDir, capsys: pytest.CaptureFixture[str]
) -> None:
    other = {"name": "other", "model": "some/model"}
    asked = Recipe.model_validate({"name": "a", "generation": {"systems": [other]}})
    run_stages(asked, run)
    assert fake_stages == [name for name in NAMES if name != "training"]
    assert "training: left out" in capsys.readouterr().err
    fake_stages.clear()
    run_stages(asked, run, "training", "training")  # by name
    run_stages(Recipe.model_validate({"name": "a", "generation": {"systems": ["grpo", other]}}), run, "training")
    assert fake_stages[:2] == ["training", "generation"]
    trained = {"name": "other", "model": "sft", "strategy": "explicit"}
    fake_stages.clear()
    run_stages(Recipe.model_validate({"name": "b", "generation": {"systems": [trained]}}), RunDir(run.path / "b"))
    assert fake_stages == list(NAMES)


def test_running_again_skips_everything(fake_stages: list[str], run: RunDir) -> None:
    run_stages(Recipe(name="a"), run)
    before = results(run.path)
    fake_stages.clear()
    run_stages(Recipe(name="a"), run)
    assert fake_stages == []
    assert results(run.path) == before


@pytest.mark.parametrize(
    ("change", "again"),
    [
        ({"report": {"examples": 3}}, ["report"]),
        ({"evaluation": {"bootstrap": 100}}, ["evaluation"]),
        ({"generation": {"limit": 3}}, ["generation"]),
        ({"reward": {"preset": "op-grpo"}}, ["training"]),
        ({"seed": 1}, list(NAMES)),
    ],
)
def test_a_changed_section_runs_its_stage_and_what_its_output_changes(
    fake_stages: list[str], run: RunDir, change: dict[str, object], again: list[str]
) -> None:
    run_stages(Recipe(name="a"), run)
    fake_stages.clear()
    run_stages(Recipe(name="a", **change), run)  # type: ignore[arg-type]
    # The fakes write the same whatever their section says: later stages have nothing new to read.
    assert fake_stages == again


def test_earlier_stages_made_with_other_settings_are_named_and_taken(
    fake_stages: list[str], run: RunDir, capsys: pytest.CaptureFixture[str]
) -> None:
    run_stages(Recipe(name="a"), run)
    capsys.readouterr()
    fake_stages.clear()
    changed = Recipe.model_validate({"name": "a", "data": {"train": 5}, "estimator": {"epochs": 1}})
    run_stages(changed, run, "estimator", "estimator")
    told = capsys.readouterr().err
    assert fake_stages == ["estimator"] and "data (data.train)" in told and "epochs" not in told
    run_stages(Recipe(name="a"), run, "estimator")
    assert "other settings" not in capsys.readouterr().err


def test_answers_made_elsewhere_are_evaluated(fake_stages: list[str], run: RunDir) -> None:
    run_stages(Recipe(name="a"), run)
    fake_stages.clear()
    write_text(run.path / "generation" / "other.jsonl", "answers made elsewhere\n")
    run_stages(Recipe(name="a"), run)
    assert fake_stages == ["evaluation", "report"]


def test_answers_made_elsewhere_stay_when_the_others_are_made_again(fake_stages: list[str], run: RunDir) -> None:
    run_stages(Recipe(name="a"), run)
    mine = run.path / "generation" / "mine.jsonl"
    write_text(mine, "answers made elsewhere\n")
    run_stages(Recipe(name="a"), run)
    only = Recipe.model_validate({"name": "a", "generation": {"systems": ["grpo"]}})
    for recipe in (Recipe(name="a", seed=1), only, Recipe(name="a", seed=2)):  # after a finished stage, each
        run_stages(recipe, run)
        assert mine.read_text() == "answers made elsewhere\n"
        made = {path.name for path in mine.parent.glob("*.jsonl")} - {"mine.jsonl"}
        assert made == {"grpo.jsonl"} | ({"sft.jsonl"} if recipe is not only else set())


def test_what_a_stage_cannot_use_costs_nothing_that_is_there(
    fake_stages: list[str], run: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_stages(Recipe(name="a"), run)
    before = results(run.path)

    def check(recipe: Recipe, run: RunDir) -> None:
        raise RunError("no such thing")

    monkeypatch.setattr(sys.modules["overton.evaluation.stage"], "check", check, raising=False)
    with pytest.raises(RunError, match="no such thing"):
        run_stages(Recipe.model_validate({"name": "a", "evaluation": {"bootstrap": 100}}), run)
    assert results(run.path) == before


def test_a_report_of_what_was_not_evaluated_is_refused(
    fake_stages: list[str], run: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["overton.report.stage"], "check", report_check, raising=False)
    run_stages(Recipe(name="a"), run)
    other = Recipe(name="a", seed=1)
    for changed in ("generation", "data"):
        run_stages(other, run, changed, changed)
        before = results(run.path)
        with pytest.raises(RunError, match=rf"{changed}.*`overton evaluate RECIPE` first"):
            run_stages(other, run, "report")
        assert results(run.path) == before
        run_stages(other, run, "evaluation")
    (run.path / "evaluation" / "manifest.json").unlink()  # as of an evaluation made elsewhere
    write_text(run.path / "generation" / "mine.jsonl", "answers made elsewhere\n")
    run_stages(other, run, "report")


def test_a_changed_output_is_made_again(fake_stages: list[str], run: RunDir) -> None:
    run_stages(Recipe(name="a"), run)
    before = results(run.path)
    fake_stages.clear()
    write_text(run.path / "estimator" / "calibration.json", "{}")
    run_stages(Recipe(name="a"), run)
    assert fake_stages == ["estimator"]  # which writes the same as before, so nothing follows
    assert results(run.path) == before


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    """A recipe of which everything is read from a file or folder, by a relative path."""
    monkeypatch.chdir(tmp_path)
    for name in ("claims/dev.json", "set/a.parquet", "base/w", "policy/w", "judge/w", "other/w"):
        write_text(tmp_path / name, name)
    write_text(tmp_path / "q.jsonl", "{}")
    parts = {
        "mine": {"source": "table", "path": "q.jsonl"},
        "claims": {"source": "perspectrum", "path": "claims"},
        "set": {"source": "hub", "dataset": "set"},
        "far": {"source": "hub", "dataset": "somebody/something"},
    }
    sections = {
        "data": {"source": "several", "parts": parts},
        "estimator": {"base": "base"},
        "policy": {"model": "policy"},
        "generation": {"systems": ["grpo", {"name": "other", "model": "other"}]},
        "evaluation": {"nli_model": "judge"},
    }
    return Recipe.model_validate({"name": "a", **sections})


@pytest.mark.parametrize(
    ("file", "stage"),
    [
        ("q.jsonl", "data"),
        ("claims/dev.json", "data"),
        ("set/a.parquet", "data"),
        ("base/w", "estimator"),
        ("policy/w", "training"),
        ("other/w", "generation"),
        ("judge/w", "evaluation"),
    ],
)
def test_a_changed_input_from_outside_runs_its_stage(
    fake_stages: list[str], run: RunDir, outside: Recipe, tmp_path: Path, file: str, stage: str
) -> None:
    run_stages(outside, run)
    fake_stages.clear()
    run_stages(outside, run)
    assert fake_stages == []
    (tmp_path / file).write_text((tmp_path / file).read_text()[:-1] + "!")  # of the same size
    run_stages(outside, run)
    assert fake_stages == [stage]  # the fakes write the same, so nothing follows


@pytest.mark.parametrize(
    ("path", "stage", "later"),
    [
        ("q.jsonl", "data", "estimator"),
        ("base", "estimator", "training"),
        ("policy", "training", "generation"),
        ("judge", "evaluation", "report"),
    ],
)
def test_an_input_that_has_gone_is_named_and_costs_nothing(
    fake_stages: list[str], run: RunDir, outside: Recipe, tmp_path: Path, path: str, stage: str, later: str
) -> None:
    run_stages(outside, run)
    before, manifest = results(run.path), run.manifest(stage)
    (tmp_path / path).rename(tmp_path / "elsewhere")
    fake_stages.clear()
    with pytest.raises(RunError, match=rf"^{path}: is no longer there.*--from {later}"):
        run_stages(outside, run)
    assert (fake_stages, results(run.path), run.manifest(stage)) == ([], before, manifest)
    run_stages(outside, run, later)
    (tmp_path / "elsewhere").rename(tmp_path / path)
    run_stages(outside, run)
    assert fake_stages == []


@pytest.mark.parametrize("model", ["base", "other"])
def test_models_that_decide_the_data_are_inputs_of_it(
    fake_stages: list[str], run: RunDir, outside: Recipe, model: str
) -> None:
    asking = outside.model_dump(mode="json")
    asking["data"]["refine"] = {"merge": 0.9, "vote": True}
    asking["llm"]["model"] = "other"
    recipe = Recipe.model_validate(asking)
    run_stages(recipe, run, last="data")
    Path(model, "w").write_text("x")
    run_stages(recipe, run, last="data")
    assert fake_stages == ["data", "data"]


def test_threads_and_hidden_files_change_nothing(fake_stages: list[str], run: RunDir) -> None:
    run_stages(Recipe(name="a"), run)
    fake_stages.clear()
    for place in ("data", "estimator/model", "training/sft/model", "generation"):
        write_text(run.path / place / ".DS_Store", "x")
    run_stages(Recipe(name="a", threads=1), run)
    assert fake_stages == []


@pytest.mark.parametrize(("first", "last"), [("estimator", "training"), ("estimator", "train")])
def test_from_and_until_take_names_and_verbs(fake_stages: list[str], run: RunDir, first: str, last: str) -> None:
    run_stages(Recipe(name="a"), run, last="data")
    run_stages(Recipe(name="a"), run, first, last)
    assert fake_stages == ["data", "estimator", "training"]


def test_a_missing_input_names_the_verb_that_makes_it(fake_stages: list[str], run: RunDir) -> None:
    with pytest.raises(RunError, match=r"data/test\.jsonl: missing\. Run `overton data RECIPE`"):
        run_stages(Recipe(name="a"), run, "generation")
    assert fake_stages == []
    assert not run.path.exists()  # its name may be mistyped


def test_impossible_orders_and_names_are_errors(fake_stages: list[str], run: RunDir) -> None:
    with pytest.raises(RunError, match="report comes after data"):
        run_stages(Recipe(name="a"), run, "report", "data")
    with pytest.raises(RunError, match="no stage named 'trane'; stages in order: data, estimator"):
        run_stages(Recipe(name="a"), run, "trane")
    assert not run.path.exists()


def test_a_folder_of_another_recipe_is_left_alone(fake_stages: list[str], run: RunDir) -> None:
    run_stages(Recipe(name="a"), run, last="data")
    before = (run.path / "recipe.yaml").read_bytes()
    with pytest.raises(RunError, match="recipe 'a', not 'b'"):
        run_stages(Recipe(name="b"), run)
    assert (run.path / "recipe.yaml").read_bytes() == before
    assert fake_stages == ["data"]


@pytest.mark.parametrize("content", ["", "[1]", "a: [", "name: [a]"])
def test_a_folder_with_an_unreadable_recipe_is_left_alone(run: RunDir, content: str) -> None:
    write_text(run.path / "recipe.yaml", content)
    with pytest.raises(RunError, match="--run-dir"):
        open_run(Recipe(name="a"), run)
    assert (run.path / "recipe.yaml").read_text() == content


def test_a_folder_of_other_things_is_left_alone(run: RunDir) -> None:
    write_text(run.path / "thesis.tex", "x")
    with pytest.raises(RunError, match=r"not empty and not a run directory.* the line `name: a` beside them"):
        open_run(Recipe(name="a"), run)


def test_files_made_elsewhere_are_taken_where_a_recipe_names_the_run(run: RunDir, fake_stages: list[str]) -> None:
    for name in ("data/triplets.jsonl", "data/pairs.dev.jsonl", "data/pairs.test.jsonl"):
        write_text(run.path / name, "{}\n")
    write_text(run.path / "recipe.yaml", "name: a\n")
    run_stages(Recipe(name="a"), run, "estimator", "estimator")
    assert fake_stages == ["estimator"] and (run.path / "data" / "triplets.jsonl").read_text() == "{}\n"


def test_a_file_instead_of_a_folder_is_named(tmp_path: Path) -> None:
    write_text(tmp_path / "a", "x")
    with pytest.raises(RunError, match="is a file"):
        open_run(Recipe(name="a"), RunDir(tmp_path / "a"))


def test_a_failing_stage_stays_unfinished_and_runs_again(
    fake_stages: list[str], run: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = sys.modules["overton.estimator.stage"].run

    def bad(recipe: Recipe, run: RunDir) -> None:
        raise RunError("no luck")

    monkeypatch.setattr(sys.modules["overton.estimator.stage"], "run", bad)
    with pytest.raises(RunError, match="no luck"):
        run_stages(Recipe(name="a"), run)
    assert (run.manifest("estimator") or {})["status"] == "running"
    monkeypatch.setattr(sys.modules["overton.estimator.stage"], "run", good)
    run_stages(Recipe(name="a"), run)
    assert fake_stages == list(NAMES)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("whole")
    assert overton_with_fakes(folder).returncode == 0
    return results(folder / "run")


def overton_with_fakes(folder: Path, kill: str = "") -> subprocess.CompletedProcess[str]:
    recipe = folder / "a.yaml"
    recipe.write_text("name: a\nseed: 2\n")
    command = [str(Path(__file__).parent / "fake_stages.py"), "run", str(recipe), "--run-dir", str(folder / "run")]
    return preloaded.run(command, env={**os.environ, "KILL": kill})


@pytest.mark.parametrize("kill", ["data:3", "estimator:1", "training:2", "generation:0", "evaluation:0", "report:1"])
def test_a_kill_in_any_stage_changes_nothing(tmp_path: Path, uninterrupted: dict[str, str], kill: str) -> None:
    killed = overton_with_fakes(tmp_path, kill)
    assert killed.returncode == -9
    stage = kill.split(":")[0]
    assert (RunDir(tmp_path / "run").manifest(stage) or {})["status"] == "running"
    again = overton_with_fakes(tmp_path)
    assert again.returncode == 0, again.stderr
    assert results(tmp_path / "run") == uninterrupted
    earlier = NAMES[: NAMES.index(stage)]
    assert all(f"{name}: up to date" in again.stderr for name in earlier)
