"""What holds for every verb: exit codes, one message, --debug, and how a run is driven."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from overton import __version__
from overton.cli import STAGE_HELP, app, main
from overton.errors import DataError
from overton.pipeline import NAMES, STAGES

Call = Callable[..., tuple[int, str, str]]
Fails = Callable[..., str]


def test_version(overton: Call) -> None:
    assert overton("--version") == (0, f"overton {__version__}\n", "")


def test_help_names_every_verb(overton: Call) -> None:
    code, out, _ = overton("--help")
    assert code == 0
    verbs = ["run", *(stage.verb for stage in STAGES), "questions", "ask", "score", "compare", "judge", "overtonbench"]
    verbs += ["serve", "init", "doctor"]
    assert all(re.search(rf"^. {verb} ", out, re.MULTILINE) for verb in verbs)
    commands = {command.name or command.callback.__name__ for command in app.registered_commands}  # type: ignore[union-attr]
    assert commands | {str(group.name) for group in app.registered_groups} == set(verbs)


def test_there_is_a_verb_for_each_stage_and_each_has_help(overton: Call) -> None:
    assert list(STAGE_HELP) == [stage.verb for stage in STAGES]
    for verb, text in STAGE_HELP.items():
        code, out, _ = overton(verb, "--help")
        assert code == 0
        assert text.split()[0] in out
    code, out, _ = overton("estimator", "run", "--help")
    assert code == 0 and "RECIPE" in out


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["runn"],
        ["run"],
        ["run", "a.yaml", "--nonsense"],
        ["ask", "why?"],
        ["ask", "x", "--model", "m", "--top-p", "2"],
    ],
)
def test_wrong_usage_exits_with_2(overton: Call, arguments: list[str]) -> None:
    assert overton(*arguments)[0] == 2


def test_a_run_ends_with_the_table_and_the_page(overton: Call, fake_stages: list[str], recipe: Path) -> None:
    code, out, _ = overton("run", recipe)
    assert code == 0
    assert fake_stages == list(NAMES)
    assert "sft" in out
    assert "grpo" in out
    assert "60.0%" in out
    assert out.strip().splitlines()[-1] == "report: runs/mine/report/index.html"
    assert Path("runs/mine/report/index.html").is_file()


def test_the_table_is_shown_again_when_nothing_is_left_to_do(
    overton: Call, fake_stages: list[str], recipe: Path
) -> None:
    first = overton("run", recipe)[1]
    fake_stages.clear()
    assert overton("run", recipe)[1] == first
    assert fake_stages == []


def test_what_a_training_lacks_stops_no_run_that_does_not_train(
    overton: Call, fake_stages: list[str], recipe: Path
) -> None:
    lacks = ("--set", "training.report_to=[nothing]")
    code, _, err = overton("run", recipe, *lacks)
    assert code == 1 and "unknown tracker" in err
    other = "generation.systems=[{name: other, model: some/model}]"
    overton("run", recipe, *lacks, "--set", other)
    assert fake_stages == [name for name in NAMES if name != "training"]
    fake_stages.clear()
    assert overton("train", recipe, *lacks, "--set", other)[0] == 1
    assert fake_stages == []


def test_options_reach_the_run(overton: Call, fake_stages: list[str], recipe: Path) -> None:
    assert overton("run", recipe, "--run-dir", "d", "--until", "data", "--set", "seed=4")[0] == 0
    assert fake_stages == ["data"]
    assert "seed 4" in Path("d/data/train.jsonl").read_text()
    code, out, _ = overton(
        "run", recipe, "--run-dir", "d", "--from", "estimator", "--until", "train", "--set", "seed=4"
    )
    assert code == 0
    assert fake_stages == ["data", "estimator", "training"]
    assert out == ""


def test_each_stage_alone_makes_the_same_as_a_run(overton: Call, fake_stages: list[str], recipe: Path) -> None:
    for verb in STAGE_HELP:
        assert overton(verb, recipe)[0] == 0
    assert fake_stages == list(NAMES)
    assert overton("run", recipe)[0] == 0
    assert fake_stages == list(NAMES)


def test_a_stage_without_its_input_names_what_to_run(fails: Fails, fake_stages: list[str], recipe: Path) -> None:
    assert "Run `overton data RECIPE` first" in fails("train", recipe)


@pytest.mark.parametrize(
    ("text", "arguments", "wanted"),
    [
        (
            "estimator: {epocs: 1}",
            [],
            "mine.yaml: estimator.epocs: unknown key; did you mean estimator.epochs?",
        ),
        ("estimator: {epochs: many}", [], "estimator.epochs"),
        ("estimator: {epochs: .nan}", [], "estimator.epochs"),
        ("", [], "a mapping of sections"),
        ("seed: 1", ["--set", "nonsense"], "KEY=VALUE"),
        ("seed: 1", ["--set", "training.grpo.step=1"], "did you mean training.grpo.steps?"),
        ("reward: {overrides: {betta: 2}}", [], "reward.overrides.betta: preset 'overton' has no such field"),
        ("seed: 1", ["--set", "reward.overrides.beta=two"], "reward.overrides.beta: a number is wanted"),
        (
            "generation: {systems: [{name: a, model: sft, strategy: explicit, prompts: {explict: b.txt}}]}",
            [],
            "generation.systems, a: prompts.explict: strategy explicit asks only explicit",
        ),
        ("seed: 1", ["--from", "trian"], "no stage named 'trian'"),
        ("seed: 1", ["--from", "report", "--until", "data"], "comes after"),
    ],
)
def test_a_bad_recipe_or_option_writes_nothing(
    fails: Fails, fake_stages: list[str], recipe: Path, text: str, arguments: list[str], wanted: str
) -> None:
    recipe.write_text(text)
    assert wanted in fails("run", recipe, *arguments)
    assert not Path("runs").exists()
    assert fake_stages == []


def test_a_missing_recipe_says_how_to_get_one(fails: Fails) -> None:
    assert "none.yaml: no such recipe. `overton init` writes one." in fails("run", "none.yaml")


def test_a_recipe_in_another_encoding(fails: Fails, recipe: Path) -> None:
    recipe.write_bytes("name: é".encode("utf-16"))
    assert "UTF-8" in fails("run", recipe)


def test_the_run_of_another_recipe_is_left_alone(
    fails: Fails, overton: Call, fake_stages: list[str], recipe: Path
) -> None:
    overton("data", recipe, "--run-dir", "d")
    other = recipe.with_name("other.yaml")
    other.write_text("seed: 1")
    before = {p: p.read_bytes() for p in Path("d").rglob("*") if p.is_file()}
    assert "holds a run of recipe 'mine', not 'other'" in fails("run", other, "--run-dir", "d")
    assert {p: p.read_bytes() for p in Path("d").rglob("*") if p.is_file()} == before


def test_a_folder_of_other_things_and_a_file_are_left_alone(fails: Fails, fake_stages: list[str], recipe: Path) -> None:
    Path("mine").mkdir()
    Path("mine/thesis.tex").write_text("x")
    assert "not a run directory" in fails("run", recipe, "--run-dir", "mine")
    assert "is a file" in fails("run", recipe, "--run-dir", "mine/thesis.tex")
    assert [p.name for p in Path("mine").iterdir()] == ["thesis.tex"]


def stage_raises(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def run(*_: object) -> None:
        raise error

    monkeypatch.setattr(sys.modules["overton.data.stage"], "run", run)


def test_an_error_of_a_stage_is_one_message_and_debug_shows_the_rest(
    fails: Fails, fake_stages: list[str], recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage_raises(monkeypatch, DataError("t.csv, row 3: `text` is empty"))
    assert fails("run", recipe) == "error: t.csv, row 3: `text` is empty\n"
    for arguments in (["--debug", "run", str(recipe)], ["run", str(recipe), "--debug"]):
        with pytest.raises(DataError):
            main(arguments)


def test_an_interrupt_says_how_to_go_on(
    overton: Call, fake_stages: list[str], recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage_raises(monkeypatch, KeyboardInterrupt())
    code, _, err = overton("run", recipe)
    assert code == 130
    assert "run the same command again" in err


def test_a_missing_package_names_the_command(
    fails: Fails, fake_stages: list[str], recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage_raises(monkeypatch, ModuleNotFoundError("No module named 'trl'", name="trl.trainer"))
    assert "pip install 'overton[train]'" in fails("run", recipe)


def test_out_of_memory_names_what_to_lower(
    fails: Fails, fake_stages: list[str], recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage_raises(monkeypatch, MemoryError())
    assert "generation.batch_size" in fails("run", recipe)


def test_a_bug_keeps_its_traceback(fake_stages: list[str], recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage_raises(monkeypatch, KeyError("a bug"))
    with pytest.raises(KeyError):
        main(["run", str(recipe)])


def test_libraries_are_told_to_be_quiet_but_the_users_word_counts(
    overton: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HF_HUB_DISABLE_TELEMETRY", "TOKENIZERS_PARALLELISM", "TRANSFORMERS_VERBOSITY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "true")
    overton("init")
    assert os.environ["HF_HUB_DISABLE_TELEMETRY"] == "1"
    assert os.environ["TRANSFORMERS_VERBOSITY"] == "error"
    assert os.environ["TOKENIZERS_PARALLELISM"] == "true"


def test_no_model_of_the_hub_is_forgotten_where_the_hub_may_be_out_of_reach(
    overton: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr("overton.hub.prefer_cache", asked.extend)
    monkeypatch.setattr("overton.pipeline.run_stages", lambda *_: None)
    Path("r.yaml").write_text(
        "evaluation: {nli_model: a/b, nli_also: [c/d], judge: {models: {j: {model: e/f, base_url: ''}}}}"
    )
    assert overton("evaluate", "r.yaml")[0] == 0
    assert {"a/b", "c/d", "e/f"} <= set(asked)


def test_a_message_does_not_command_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Names of files and keys of recipes may come from others."""
    recipe = tmp_path / "a.yaml"
    recipe.write_text('"\\e]0;title\\a\\e[31mred\\u202e": 1\n')
    assert main(["run", str(recipe)]) == 1
    said = capsys.readouterr().err
    assert "]0;title" in said and not {"\x1b", "\x07", "\u202e"} & set(said)
