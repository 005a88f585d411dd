from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from overton.errors import OvertonError, RecipeError
from overton.recipe import Recipe, dump_recipe, load_recipe, parse_recipe
from overton.sections_evaluation import JudgeModel
from overton.sections_model import Section


def write(folder: Path, text: str, name: str = "mine.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_an_empty_section_and_a_missing_name_take_the_defaults(tmp_path: Path) -> None:
    recipe = load_recipe(write(tmp_path, "estimator:\ntraining:\n  grpo:\n  # steps: 3\nseed: 7\n"))
    assert recipe == Recipe(name="mine", seed=7)


def test_a_judge_without_a_key_takes_the_defaults(tmp_path: Path) -> None:
    recipe = load_recipe(write(tmp_path, "evaluation:\n  judge:\n    models:\n      gpt-4.1:\ndata:\n  parts:\n"))
    assert recipe.evaluation.judge.models == {"gpt-4.1": JudgeModel()} and recipe.data.parts == {}


def test_two_judges_that_would_be_one_are_refused() -> None:
    def judges(**models: object) -> Recipe:
        return parse_recipe({"name": "a", "evaluation": {"judge": {"models": models}}})

    for two in ({}, {"base_url": "http://localhost:1/v1"}):
        with pytest.raises(RecipeError, match=r"judges one and two ask gpt-4\.1 the same"):
            judges(one={}, two=two)
    judges(one={}, two={"temperature": 1}, three={"model": "mine", "extra": {"model": "gpt-4.1"}})


def test_values_are_read_and_the_rest_stays(tmp_path: Path) -> None:
    recipe = load_recipe(write(tmp_path, "name: a\ntraining: {grpo: {steps: 3}}\nestimator: {epochs: 2}\n"))
    assert recipe.training.grpo.steps == 3
    assert recipe.estimator.epochs == 2.0
    assert recipe.training.sft == Recipe(name="a").training.sft


def test_the_resolved_recipe_reads_back_as_itself(tmp_path: Path) -> None:
    recipe = load_recipe(write(tmp_path, "name: a\nreward: {overrides: {beta: 0.5}}\ndata: {path: t.csv}\n"))
    assert load_recipe(write(tmp_path, dump_recipe(recipe), "again.yaml")) == recipe


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("estimater: {}", ["estimater: unknown key", "did you mean estimator?"]),
        (
            "training: {grpo: {stepz: 1}}",
            ["training.grpo.stepz: unknown key", "did you mean training.grpo.steps?"],
        ),
        ("training: {learning_rate: 1}", ["did you mean training.sft.learning_rate or training.grpo.learning_rate?"]),
        ("training: {sft: {steps: 1}}", ["training.sft.steps: unknown key; did you mean training.grpo.steps?"]),
        ("lora_rank: 8", ["lora_rank: unknown key; did you mean policy.lora_rank?"]),
        ("pairwise: true", ["did you mean evaluation.judge.pairwise?"]),
        ("shots: 2", ["did you mean generation.systems[].shots?"]),
        ("DATA: {train: 3}", ["did you mean data?"]),
        (
            "{data: {source: several, parts: {argkp: {source: argkp}}}, reward: {data_set: argpk}}",
            ["reward.data_set: `data.parts` has no argpk; did you mean argkp?"],
        ),
        (
            "{data: {source: several, parts: {argkp: {source: argkp}}}, estimator: {train_on: pairs, epoch_shares: "
            "{arg: 1}}}",
            ["estimator.epoch_shares: `data.parts` has no arg; did you mean argkp?"],
        ),
        ("report: {qqqqqqqq: 1}", ["report.qqqqqqqq: unknown key", "known keys: examples"]),
        ("training: {grpo: {steps: many}}", ["training.grpo.steps:", "integer", "'many'"]),
        ("training: {grpo: {steps: 0}}", ["training.grpo.steps:", "greater than or equal to 1"]),
        ("threads: 1000000", ["threads:", "less than or equal to 4096", "1000000"]),
        ("policy: {model: a/b, lora_rank: 1000000}", ["policy.lora_rank:", "less than or equal to 16384"]),
        ("estimator: {learning_rate: 100}", ["estimator.learning_rate:", "less than or equal to 1 "]),
        ("training: {sft: {epochs: 0}}", ["training.sft.epochs:", "greater than 0"]),
        ("training: {grpo: {num_generations: 1000000}}", ["num_generations:", "less than or equal to 10000"]),
        ("llm: {timeout: 1.0e+12}", ["llm.timeout:", "less than or equal to 1000000"]),
        ("generation: {systems: [{name: a, model: m, temperature: 1000}]}", ["systems.0.temperature:", "equal to 100"]),
        ("evaluation: {nli_model: ''}", ["evaluation.nli_model:", "at least 1 character"]),
        ("training: 5", ["training:", "5"]),
        ("data: {source: table, path: t.csv, pairs: 1}", ["data: pairs:", "2 or more, or 0"]),
        ("data: {train: yes}", ["data.train:", "a number is wanted", "True"]),
        ("generation: {temperature: off}", ["generation.temperature:", "a number is wanted"]),
        ("generation: {systems: [{name: a, model: m, threshold: on}]}", ["systems.0.threshold:", "a number is wanted"]),
        ("estimator: {epochs: .nan}", ["estimator.epochs:", "finite"]),
        ("estimator: {learning_rate: .inf}", ["estimator.learning_rate:", "finite"]),
        ("generation: {systems: [sft, other]}", ["generation.systems.1:", "'other'"]),
        ("policy: {hidden_size: 100, heads: 6}", ["policy:", "multiple of heads 6"]),
        ("policy: {heads: 4, kv_heads: 3}", ["policy:", "heads 4", "kv_heads 3"]),
        ("policy: {heads: 4, kv_heads: 8}", ["policy:", "heads 4", "kv_heads 8"]),
        ("policy: {hidden_size: 12, heads: 4}", ["policy:", "hidden_size 12", "heads 4", "even"]),
        ("policy: {lora_rank: 4}", ["policy:", "lora_rank 4", "pretrained"]),
        ("policy: {prompt_template: hello}", ["policy:", "{situation}"]),
        ("name: ../up", ["name:", "'../up'"]),
        ("[1, 2]", ["a mapping of sections", "list"]),
        ("a: [", ["cannot be read as YAML"]),
    ],
)
def test_a_mistake_names_the_key_and_says_what_is_wanted(tmp_path: Path, text: str, wanted: list[str]) -> None:
    path = write(tmp_path, text)
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    for part in [str(path), *wanted]:
        assert part in str(caught.value)


def test_all_mistakes_are_named_at_once() -> None:
    with pytest.raises(RecipeError) as caught:
        parse_recipe({"name": "a", "data": {"trian": 1, "dev": "x"}, "reporting": {}})
    message = str(caught.value)
    assert "data.trian" in message
    assert "data.dev" in message
    assert "reporting" in message


def test_a_missing_file_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="overton init"):
        load_recipe(tmp_path / "none.yaml")


def test_another_encoding_is_an_error_and_not_rubbish(tmp_path: Path) -> None:
    path = tmp_path / "latin.yaml"
    path.write_bytes("name: a\npolicy: {prompt_template: 'é {situation}'}".encode("latin-1"))
    with pytest.raises(RecipeError, match="UTF-8"):
        load_recipe(path)


def test_overrides_are_typed_and_make_their_sections(tmp_path: Path) -> None:
    path = write(tmp_path, "name: a\n")
    given = [
        "estimator.epochs=2",
        "training.report_to=[wandb]",
        "reward.overrides.beta=0.5",
        "data.path=a=b.csv",
    ]
    recipe = load_recipe(path, given)
    assert recipe.estimator.epochs == 2.0
    assert recipe.training.report_to == ["wandb"]
    assert recipe.reward.overrides == {"beta": 0.5}
    assert recipe.data.path == Path("a=b.csv")


@pytest.mark.parametrize(("given", "found"), [("wandb", ["wandb"]), ("none", []), (["trackio"], ["trackio"])])
def test_trackers_may_be_one_name_as_transformers_takes_them(given: object, found: list[str]) -> None:
    assert parse_recipe({"name": "a", "training": {"report_to": given}}).training.report_to == found


def test_a_path_may_begin_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    write(tmp_path, "{question}", "mine.txt")
    system = "{name: a, model: gpt, base_url: 'http://localhost:1', prompts: {implicit: ~/mine.txt}}"
    recipe = load_recipe(write(tmp_path, "data: {source: table, path: ~/t.csv}"), [f"generation.systems=[{system}]"])
    assert recipe.data.path == tmp_path / "t.csv"
    assert recipe.generation.outside == [tmp_path / "mine.txt"]


def test_an_override_without_a_value_is_the_empty_text(tmp_path: Path) -> None:
    recipe = load_recipe(write(tmp_path, "llm: {base_url: 'http://localhost:1/v1'}"), ["llm.api_key_env=", "seed=2"])
    assert recipe.llm.api_key_env == ""
    assert load_recipe(write(tmp_path, "seed: 1"), ["data.path="]).data.path is None


def test_an_override_reaches_a_judge_whose_name_holds_a_dot(tmp_path: Path) -> None:
    path = write(tmp_path, "evaluation: {judge: {models: {gpt-4.1: {max_calls: 3}, gpt-4: {model: gpt-4}}}}")
    key = "evaluation.judge.models.gpt-4.1"
    models = load_recipe(path, [f"{key}.max_tokens=7"]).evaluation.judge.models
    assert (models["gpt-4.1"].max_calls, models["gpt-4.1"].max_tokens, models["gpt-4"].max_tokens) == (3, 7, 1000)
    assert load_recipe(path, [f"{key}={{}}"]).evaluation.judge.models["gpt-4.1"].max_calls == 0


def test_an_override_changes_one_place_of_an_anchor(tmp_path: Path) -> None:
    path = write(tmp_path, "training: {sft: &one {learning_rate: 0.1}, grpo: *one}")
    training = load_recipe(path, ["training.sft.learning_rate=0.2"]).training
    assert (training.sft.learning_rate, training.grpo.learning_rate) == (0.2, 0.1)


def test_the_last_override_wins(tmp_path: Path) -> None:
    assert load_recipe(write(tmp_path, "seed: 1"), ["seed=2", "seed=3"]).seed == 3


@pytest.mark.parametrize(
    ("item", "wanted"),
    [
        ("estimator.epochs", "KEY=VALUE"),
        ("=3", "KEY=VALUE"),
        ("seed=[", "not YAML"),
        ("seed.x=1", "seed is a value, not a section"),
        ("data..train=1", "a part of data..train is empty"),
        ("llm.extra.a.0=1", "a is a list, which is given whole"),
        ("estimator.epocs=1", "did you mean estimator.epochs?"),
    ],
)
def test_a_bad_override_is_named(tmp_path: Path, item: str, wanted: str) -> None:
    with pytest.raises(OvertonError) as caught:
        load_recipe(write(tmp_path, "{seed: 1, llm: {extra: {a: [2]}}}"), [item])
    assert wanted in str(caught.value)


@pytest.mark.parametrize("seed", [-1, 2**31, 99_999_999_999])
def test_a_seed_that_numpy_would_refuse_is_refused_at_once(tmp_path: Path, seed: int) -> None:
    with pytest.raises(RecipeError, match="seed"):
        load_recipe(write(tmp_path, f"seed: {seed}"))
    assert load_recipe(write(tmp_path, f"seed: {2**31 - 1}")).seed == 2**31 - 1


def test_a_recipe_is_fixed_once_loaded() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Recipe(name="a").seed = 3  # type: ignore[misc]


def test_every_key_has_a_description() -> None:
    def undescribed(model: type[Section], path: str) -> list[str]:
        found = []
        for name, field in model.model_fields.items():
            if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
                assert (field.annotation.__doc__ or "").strip(), name
                found += undescribed(field.annotation, f"{path}{name}.")
            elif not field.description:
                found.append(path + name)
        return found

    assert undescribed(Recipe, "") == []


def test_the_dump_is_plain_yaml_with_every_section() -> None:
    raw = yaml.safe_load(dump_recipe(Recipe(name="a")))
    assert list(raw) == list(Recipe.model_fields)


def test_a_wrong_key_below_a_name_of_your_own_is_named_with_its_neighbour() -> None:
    raw = {"name": "a", "evaluation": {"judge": {"models": {"mine": {"concurrncy": 4}}}}}
    with pytest.raises(RecipeError, match=r"models\.mine\.concurrncy: unknown key; did you mean .*mine\.concurrency\?"):
        parse_recipe(raw)


@pytest.mark.parametrize(
    ("text", "key", "lines"),
    [
        ("data: {source: world}\nseed: 1\ndata: {train: 5}\n", "data", (1, 3)),
        ("training:\n  grpo: {steps: 7}\n  grpo: {steps: 8}\n", "grpo", (2, 3)),
        ('{"seed": 1,\n "seed": 2}', "seed", (1, 2)),
    ],
)
def test_a_key_that_stands_twice_is_named_with_its_lines(
    tmp_path: Path, text: str, key: str, lines: tuple[int, int]
) -> None:
    path = write(tmp_path, text)
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    assert str(caught.value).startswith(f"{path}: {key}: ")
    assert f"lines {lines[0]} and {lines[1]}" in str(caught.value)


def test_a_merged_key_may_be_written_again(tmp_path: Path) -> None:
    # The merge of `grpo` has been resolved when `sft` takes it over in turn.
    text = (
        "training:\n  grpo: &g {<<: &b {learning_rate: 0.1, warmup_ratio: 0.5}, warmup_ratio: 0.2}\n  sft: {<<: *g}\n"
    )
    training = load_recipe(write(tmp_path, text + "data: {<<: {train: 7}, train: 8}\n")).training
    assert (training.grpo.learning_rate, training.grpo.warmup_ratio) == (0.1, 0.2)
    assert (training.sft.learning_rate, training.sft.warmup_ratio) == (0.1, 0.2)


def test_an_override_may_not_say_a_key_twice_either(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"--set 'training\.grpo=.*: steps: this key stands twice"):
        load_recipe(write(tmp_path, "seed: 1\n"), ["training.grpo={steps: 1, steps: 2}"])


@pytest.mark.parametrize("text", ["a: " + "[" * 20_000, "{a: " * 5_000, "seed: " + "9" * 6_000, "seed: 2001-99-99"])
def test_yaml_that_python_cannot_read_is_told(tmp_path: Path, text: str) -> None:
    with pytest.raises(RecipeError, match="cannot be read as YAML"):
        load_recipe(write(tmp_path, text))


@pytest.mark.timeout(20)
def test_an_anchor_of_anchors_is_not_written_out(tmp_path: Path) -> None:
    """Nine lists of nine of the one before are 9 ** 9 words in a message."""
    lists = ["x: &a [x, x, x, x, x, x, x, x, x]"]
    lists += [f"x{new}: &{new} [{', '.join([f'*{old}'] * 9)}]" for old, new in zip("abcdefgh", "bcdefghi", strict=True)]
    with pytest.raises(RecipeError, match="seed: Input should be a valid integer") as caught:
        load_recipe(write(tmp_path, "\n".join([*lists, "seed: *i"])))
    assert len(str(caught.value)) < 5_000


def test_a_table_in_place_of_a_recipe_is_told_where_it_goes(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("id,situation\n", encoding="utf-8")
    with pytest.raises(RecipeError, match=r"this is a table. Name it in one, data: \{source: table, path: mine.csv\}"):
        load_recipe(path)
