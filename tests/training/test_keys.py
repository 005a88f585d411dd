"""Keys of a recipe that change how TRL trains: each on a tiny model."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from importlib import util
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from kill_and_resume import SITUATIONS, HashEncoder
from transformers import AutoModelForCausalLM
from transformers.integrations import TensorBoardCallback
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

from overton.errors import DataError, RecipeError
from overton.jsonio import read_jsonl, write_json, write_jsonl
from overton.recipe import Recipe, parse_recipe
from overton.rewards import OvertonReward
from overton.testing import tiny_encoder, tiny_policy
from overton.training.arguments import grpo_arguments, sft_arguments, sft_epochs, sft_steps
from overton.training.callbacks import keep_tensorboard
from overton.training.grpo import train_grpo
from overton.training.parts import finish
from overton.training.placement import placed_reward
from overton.training.policy import load_policy
from overton.training.sft import packed, prepared, scratch_tokenizer, tokenized, train_sft
from overton.types import Perspective, Situation

ROWS = [
    {"id": s.id, "prompt": s.text, "completion": " ".join(f"{p.label}: {p.explanation}." for p in s.perspectives)}
    for s in SITUATIONS * 2
]


def recipe(policy: dict[str, Any] | None = None, reward: dict[str, Any] | None = None, **training: Any) -> Recipe:
    sections = {"name": "x", "seed": 3, "threads": 1, "policy": policy or {"model": "m"}, "training": training}
    return parse_recipe({**sections, "reward": reward or {}})


def grpo(**options: Any) -> dict[str, Any]:
    small = {"steps": 2, "prompts_per_step": 2, "num_generations": 4, "max_completion_length": 12, "save_steps": 9}
    return small | {"learning_rate": 0.01, **options}


def test_packed_answers_have_the_loss_of_answers_one_by_one(tmp_path: Path) -> None:
    model, tokenizer = load_policy(tiny_policy(tmp_path / "tiny", max_length=512))
    torch.manual_seed(0)
    for parameter in model.parameters():  # attention of a random model hardly looks back
        torch.nn.init.normal_(parameter, std=0.3)
    single = tokenized(ROWS[:6], "{situation}", tokenizer)
    rows = packed(single, 256)
    assert len(rows) < len(single)
    assert sum(map(len, rows["input_ids"])) == sum(map(len, single["input_ids"]))
    collator = DataCollatorForLanguageModeling(pad_token_id=tokenizer.pad_token_id, padding_free=True)
    batch = collator(
        [{k: v for k, v in row.items() if k != "seq_lengths"} | {"seq_lengths": row["seq_lengths"]} for row in rows]
    )

    def losses(ids: torch.Tensor, labels: torch.Tensor, **more: Any) -> torch.Tensor:
        with torch.no_grad():
            logits = model(input_ids=ids, use_cache=False, **more).logits[:, :-1]
        wanted = labels[:, 1:]
        found = torch.nn.functional.cross_entropy(logits.transpose(1, 2), wanted, reduction="none")
        return found[wanted != -100].sort().values

    together = losses(batch["input_ids"], batch["labels"], position_ids=batch["position_ids"])
    alone = [losses(torch.tensor([r["input_ids"]]), torch.tensor([r["labels"]])) for r in single]
    assert torch.allclose(together, torch.cat(alone).sort().values, atol=1e-4)
    blurred = losses(batch["input_ids"], batch["labels"])  # without positions each would see those before it
    assert not torch.allclose(blurred, together, atol=1e-4)


@pytest.mark.parametrize("chat", [False, True], ids=["plain", "chat"])
def test_packing_trains_in_fewer_steps(tmp_path: Path, chat: bool) -> None:
    tiny = tiny_policy(tmp_path / "tiny", max_length=512, chat=chat)
    write_jsonl(tmp_path / "sft.jsonl", ROWS)
    options = {"batch_size": 2, "packing": 256, "learning_rate": 0.01, "epochs": 4, "save_steps": 1}
    made = recipe({"model": str(tiny)}, bf16=False, sft=options)
    train_sft(made, tmp_path / "sft.jsonl", tmp_path / "out")
    rows = read_jsonl(tmp_path / "out" / "metrics.jsonl")
    assert 4 <= rows[-1]["step"] <= 4 * len(ROWS) / 2 / 2  # one by one it would be twice as many
    assert rows[-1]["loss"] < rows[0]["loss"]


@pytest.mark.parametrize("chat", [False, True], ids=["plain", "chat"])
def test_packing_below_the_longest_answer_is_refused(tmp_path: Path, chat: bool) -> None:
    tiny = tiny_policy(tmp_path / "tiny", max_length=512, chat=chat)
    write_jsonl(tmp_path / "sft.jsonl", ROWS)
    _, tokenizer = load_policy(tiny)
    made = recipe({"model": str(tiny)}, bf16=False, sft={"packing": 20})
    longest = max(prepared(made, ROWS, tokenizer)[1])
    with pytest.raises(RecipeError, match=rf"packing: a row of 20 tokens .* has {longest}\."):
        train_sft(made, tmp_path / "sft.jsonl", tmp_path / "out")
    made = recipe({"model": str(tiny)}, bf16=False, sft={"packing": longest})
    train_sft(made, tmp_path / "sft.jsonl", tmp_path / "out", max_steps=1)


def test_rows_that_policy_max_length_cuts_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    long = {"id": "p", "prompt": "May I? " * 80, "completion": "No."}
    cut = {"id": "a", "prompt": "May I?", "completion": "never " * 80}
    write_jsonl(tmp_path / "sft.jsonl", [*ROWS, long, cut, cut])
    sizes = {"vocab_size": 300, "phrases": 0, "hidden_size": 16, "layers": 1, "heads": 2, "kv_heads": 1}
    made = recipe({**sizes, "model": "scratch", "max_length": 64}, bf16=False)
    rows = read_jsonl(tmp_path / "sft.jsonl")
    dataset, tokens = prepared(made, rows, scratch_tokenizer(made, rows))
    over = sum(size > 64 for size in tokens)
    assert len(dataset) == len(rows) - 1 and over >= 3
    train_sft(made, tmp_path / "sft.jsonl", tmp_path / "out", max_steps=1)
    said = " ".join(capsys.readouterr().err.split())
    assert f"{over} of {len(rows)} rows of SFT" in said and "1 left out" in said and f"{over - 1} cut" in said
    assert f"Set it to {max(tokens)} or more" in said
    made = recipe({**sizes, "model": "scratch", "max_length": max(tokens)}, bf16=False)
    train_sft(made, tmp_path / "sft.jsonl", tmp_path / "out", max_steps=1)
    assert "rows of SFT" not in capsys.readouterr().err
    write_jsonl(tmp_path / "sft.jsonl", [long] * 3)
    made = recipe({**sizes, "model": "scratch", "max_length": 32}, bf16=False)
    with pytest.raises(RecipeError, match="3 left out"):
        train_sft(made, tmp_path / "sft.jsonl", tmp_path / "out")


@pytest.mark.parametrize(
    ("policy", "remedy"),
    [
        ({"model": "scratch", "vocab_size": 300, "max_length": 256}, r"Set policy\.max_length to \d+ or more"),
        ({"model": "tiny"}, "Take a model with a longer context"),
    ],
    ids=["scratch", "folder"],
)
def test_what_grpo_will_ask_has_to_fit_before_sft_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, policy: dict[str, Any], remedy: str
) -> None:
    monkeypatch.chdir(tmp_path)
    tiny_policy(Path("tiny"), max_length=256)
    write_jsonl(Path("sft.jsonl"), ROWS)
    made = recipe(policy, bf16=False, grpo=grpo(max_completion_length=200))
    asked = [s.text for s in SITUATIONS]
    train_sft(made, Path("sft.jsonl"), Path("out"), 1, asked=asked)
    long = ["May I? " * 40]
    with pytest.raises(RecipeError, match=rf"a prompt of \d+ tokens .* the 256 positions .* {remedy}"):
        train_sft(made, Path("sft.jsonl"), Path("other"), 1, asked=[*asked, *long])
    assert not Path("other").exists()
    many = [replace(s, text=s.text + long[0]) for s in SITUATIONS]
    with pytest.raises(RecipeError, match=remedy):
        train_grpo(made, many, Path("out/model"), HashEncoder(), Path("grpo"))  # type: ignore[arg-type]


@pytest.mark.parametrize("chat", [False, True], ids=["plain", "chat"])
def test_rows_longer_than_a_models_positions_are_refused(tmp_path: Path, chat: bool) -> None:
    tiny = tiny_policy(tmp_path / "tiny", max_length=48, chat=chat)
    write_jsonl(tmp_path / "sft.jsonl", ROWS)
    with pytest.raises(RecipeError, match=r"rows of SFT have more tokens than the model has positions \(48\)"):
        train_sft(recipe({"model": str(tiny)}, bf16=False), tmp_path / "sft.jsonl", tmp_path / "out")


def test_few_steps_of_sft_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny = tiny_policy(tmp_path / "tiny", max_length=512)
    write_jsonl(tmp_path / "sft.jsonl", ROWS)
    for size, few in ((len(ROWS), True), (1, False)):
        made = recipe({"model": str(tiny)}, bf16=False, sft={"batch_size": size})
        train_sft(made, tmp_path / "sft.jsonl", tmp_path / str(size))
        assert ("a model hardly changes" in " ".join(capsys.readouterr().err.split())) is few


@pytest.mark.slow
def test_continuous_batching_trains(tmp_path: Path) -> None:
    tiny = tiny_policy(tmp_path / "tiny", max_length=512)
    made = recipe({"model": str(tiny)}, bf16=False, grpo=grpo(rollout="continuous-batching"))
    train_grpo(made, SITUATIONS, tiny, HashEncoder(), tmp_path / "out")  # type: ignore[arg-type]
    rows = read_jsonl(tmp_path / "out" / "metrics.jsonl")
    assert [row["step"] for row in rows] == [1, 2] and rows[0]["completion_length"] > 1


@pytest.mark.slow
def test_qlora_trains_in_four_bits_and_saves_whole_weights(tmp_path: Path) -> None:
    pytest.importorskip("bitsandbytes", reason="4-bit weights want bitsandbytes")
    tiny = tiny_policy(tmp_path / "tiny", max_length=512)
    write_jsonl(tmp_path / "sft.jsonl", ROWS)
    policy = {"model": str(tiny), "lora_rank": 4, "load_in_4bit": True}
    train_sft(recipe(policy, sft={"batch_size": 4, "learning_rate": 0.01}), tmp_path / "sft.jsonl", tmp_path / "sft")
    saved = AutoModelForCausalLM.from_pretrained(tmp_path / "sft" / "model")
    base = AutoModelForCausalLM.from_pretrained(tiny)
    assert {p.dtype for p in saved.parameters()} == {torch.float32} and not getattr(saved, "is_loaded_in_4bit", False)
    moved = {n for n, p in saved.named_parameters() if not torch.equal(p, base.get_parameter(n))}
    assert moved and all("proj" in name for name in moved)
    train_grpo(recipe(policy, grpo=grpo()), SITUATIONS, tmp_path / "sft" / "model", HashEncoder(), tmp_path / "g")  # type: ignore[arg-type]
    assert (tmp_path / "g" / "model" / "model.safetensors").is_file()


def test_rollouts_become_trls_arguments() -> None:
    def found(**options: Any) -> dict[str, Any]:
        made = grpo_arguments(recipe(grpo=grpo(**options)), Path("out"), 30)
        return {k: v for k, v in made.items() if "vllm" in k or "continuous" in k}

    assert found() == {}
    assert found(rollout="vllm", vllm_gpu_memory_utilization=0.5, vllm_tensor_parallel_size=2) == {
        "use_vllm": True,
        "vllm_mode": "colocate",
        "vllm_gpu_memory_utilization": 0.5,
        "vllm_tensor_parallel_size": 2,
        "vllm_max_model_length": 42,
    }
    assert found(rollout="vllm-server", vllm_server_url="http://node2:8000") == {
        "use_vllm": True,
        "vllm_mode": "server",
        "vllm_server_base_url": "http://node2:8000",
    }
    assert found(rollout="continuous-batching")["use_transformers_continuous_batching"] is True


def test_other_keys_become_trls_arguments() -> None:
    made = recipe(
        use_liger_kernel=True, gradient_checkpointing=True, bf16=False, report_to=["wandb"], sft={"packing": 64}
    )
    found = sft_arguments(made, Path("out"), 100, prepared=False)
    wanted = {"use_liger_kernel": True, "bf16": False, "report_to": ["wandb"], "pad_to_multiple_of": None}
    assert found.items() >= {**wanted, "packing": True, "max_length": 64}.items()
    assert found.get("activation_checkpointing", found.get("gradient_checkpointing")) is True  # the name is changing


def test_trackers_get_one_name_for_one_training(tmp_path: Path) -> None:
    def name(**record: int) -> str:
        if record:
            write_json(tmp_path / "sft" / "made_from.json", record)
        made = recipe(report_to=["wandb"])
        return str(sft_arguments(made, tmp_path / "sft", 100, prepared=False)["run_name"])

    assert name() == "x-sft"
    first, resumed, other = name(seed=0), name(), name(seed=1)
    assert first == resumed != other and first.startswith("x-sft-") and other.startswith("x-sft-")


def test_lengths_of_batches_are_few() -> None:
    found = sft_arguments(recipe(sft={}), Path("out"), 100, prepared=False)
    assert found["pad_to_multiple_of"] == 8 and not found["packing"]


def test_warm_up_leaves_a_step_that_learns() -> None:
    def found(ratio: float, steps: int) -> tuple[int, int]:
        made = recipe(grpo=grpo(warmup_ratio=ratio, steps=steps), sft={"warmup_ratio": ratio, "batch_size": 1})
        of_sft = sft_arguments(made, Path("out"), steps, prepared=False)
        return of_sft["warmup_steps"], grpo_arguments(made, Path("out"), 9)["warmup_steps"]

    assert found(0.0, 100) == found(0.05, 1) == found(1.0, 1) == (0, 0)
    assert found(0.05, 120) == (6, 6) and found(0.05, 4687) == (234, 234) and found(1.0, 5) == (4, 4)


def test_steps_of_few_rows_see_all_of_them() -> None:
    def steps(rows: int, **options: Any) -> int:
        return sft_steps(recipe(sft={"batch_size": 16, **options}), rows)

    assert [steps(rows) for rows in (1, 16, 17, 31, 32, 150)] == [1, 1, 2, 2, 2, 10]
    # From ten steps on a last one that is not full is left out.
    assert [steps(rows) for rows in (160, 175, 75_000)] == [10, 10, 4687]
    assert steps(31, epochs=2) == 4 and steps(31, gradient_accumulation=2) == 1
    # An epoch takes all rows, however few are left for its last step.
    assert steps(17, epochs=10) == 19 and steps(150, epochs=2.5) == 24 and steps(75_000, epochs=0.1) == 468
    assert steps(5, epochs=20) == 20
    assert sft_epochs(recipe(sft={"batch_size": 16, "epochs": 10}), 17) == 9.5


def test_an_epoch_sees_every_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from overton.training.trainers import OvertonSFTTrainer

    seen: Counter[tuple[int, ...]] = Counter()
    step = OvertonSFTTrainer.training_step

    def counted(self: Any, model: Any, inputs: Any, *rest: Any) -> Any:
        seen.update(tuple(row[row != model.config.pad_token_id].tolist()) for row in inputs["input_ids"])
        return step(self, model, inputs, *rest)

    monkeypatch.setattr(OvertonSFTTrainer, "training_step", counted)
    rows = [{"prompt": f"May {i}?", "completion": "No."} for i in range(5)]
    write_jsonl(tmp_path / "sft.jsonl", rows)
    made = recipe({"model": str(tiny_policy(tmp_path / "tiny"))}, sft={"batch_size": 4, "epochs": 6}, bf16=False)
    train_sft(made, tmp_path / "sft.jsonl", tmp_path / "out")
    assert len(seen) == 5 and set(seen.values()) <= {5, 6} and seen.total() == 6 * 4 + 5


def test_sft_of_one_step_moves_the_weights(tmp_path: Path) -> None:
    tiny = tiny_policy(tmp_path / "tiny", max_length=512)
    write_jsonl(tmp_path / "sft.jsonl", ROWS[:4])
    train_sft(recipe({"model": str(tiny)}, bf16=False), tmp_path / "sft.jsonl", tmp_path / "out")
    before, after = (AutoModelForCausalLM.from_pretrained(f) for f in (tiny, tmp_path / "out" / "model"))
    assert [row["step"] for row in read_jsonl(tmp_path / "out" / "metrics.jsonl")] == [1]
    assert all(not torch.equal(p, before.get_parameter(n)) for n, p in after.named_parameters() if "proj" in n)


def test_the_estimator_goes_where_it_is_told(tmp_path: Path) -> None:
    from overton.estimator import SimilarityEstimator

    estimator = SimilarityEstimator.load(tiny_encoder(tmp_path / "model"))
    reward = placed_reward(recipe(reward={"placement": "cpu", "overrides": {"threshold": 0.5}}), estimator, "cpu")
    assert isinstance(reward, OvertonReward) and estimator.model.device.type == "cpu"
    before = estimator.encode(["a text"])
    assert estimator._packed
    estimator.move("cpu")
    assert not estimator._packed  # nor are copies of the weights left where it was
    assert (estimator.encode(["a text"]) == before).all()
    if not torch.cuda.is_available():
        with pytest.raises(RecipeError, match="cannot be put on cuda:3"):
            placed_reward(recipe(reward={"placement": "cuda:3"}), estimator, "cpu")
    with pytest.raises(RecipeError, match="needs an estimator"):
        placed_reward(recipe(), None, "cpu")
    fake: Any = SimpleNamespace(threshold=0.5)  # on a CPU, `auto` leaves the estimator alone
    assert isinstance(placed_reward(recipe(), fake, "cpu"), OvertonReward)


def test_the_background_has_as_many_references_as_the_recipe_says() -> None:
    many = [Situation(str(i), f"q{i}", (Perspective("", f"text {i}"), Perspective("", f"view {i}"))) for i in range(20)]
    estimator: Any = HashEncoder()
    found = placed_reward(recipe(reward={"background": 30}), estimator, "cpu", many)
    assert isinstance(found, OvertonReward) and found.background is not None and len(found.background.rows) == 30
    with pytest.raises(DataError, match="a reward's background needs 10 references"):
        placed_reward(recipe(reward={"background": 30}), estimator, "cpu", many[:5])
    for other in ({"preset": "op-grpo"}, {"placement": "http://127.0.0.1:8311"}):
        with pytest.raises(RecipeError, match="background goes with preset overton, and not with a server"):
            recipe(reward={"background": 30, **other})


@pytest.mark.skipif(util.find_spec("tensorboard") is None, reason="TensorBoard is not installed")
def test_tensorboard_gets_the_metrics(tmp_path: Path) -> None:
    tiny = tiny_policy(tmp_path / "tiny", max_length=512)
    write_jsonl(tmp_path / "sft.jsonl", ROWS)
    made = recipe({"model": str(tiny)}, bf16=False, report_to=["tensorboard"], sft={"batch_size": 8})
    train_sft(made, tmp_path / "sft.jsonl", tmp_path / "out")
    finish(tmp_path / "out")
    assert list((tmp_path / "out" / "tensorboard").glob("events.out.tfevents*"))


@pytest.mark.skipif(util.find_spec("trackio") is None, reason="Trackio is not installed")
def test_trackio_goes_on_in_the_run_of_a_resumed_training(tmp_path: Path) -> None:
    tiny = tiny_policy(tmp_path / "tiny", max_length=512)
    write_jsonl(tmp_path / "sft.jsonl", ROWS)
    made = recipe({"model": str(tiny)}, bf16=False, report_to=["trackio"], sft={"batch_size": 8})
    write_json(tmp_path / "sft" / "made_from.json", {"seed": 0})
    code = (
        "import json, sys; from pathlib import Path; from overton.recipe import parse_recipe\n"
        "from overton.training.sft import train_sft\n"
        "train_sft(parse_recipe(json.loads(sys.argv[1])), Path(sys.argv[2]), Path(sys.argv[3]))"
    )
    args = [json.dumps(made.model_dump(mode="json")), str(tmp_path / "sft.jsonl"), str(tmp_path / "sft")]
    home = os.environ | {"TRACKIO_DIR": str(tmp_path / "trackio")}
    for _ in range(2):  # the second goes on from the last checkpoint
        subprocess.run([sys.executable, "-c", code, *args], env=home, check=True)
    (file,) = (tmp_path / "trackio").glob("*.db")
    with sqlite3.connect(file) as database:
        names = database.execute("select distinct run_name from metrics").fetchall()
    assert len(names) == 1 and names[0][0].startswith("x-sft-")


def test_tensorboard_writes_where_nothing_is_removed(tmp_path: Path) -> None:
    class Board(TensorBoardCallback):  # also where TensorBoard is not installed
        def __init__(self, logging_dir: str | None) -> None:
            self.logging_dir = logging_dir

    boards = [Board(None), Board("/named")]
    trainer: Any = SimpleNamespace(callback_handler=SimpleNamespace(callbacks=boards))
    keep_tensorboard(trainer, tmp_path / "tensorboard")
    assert [board.logging_dir for board in boards] == [str(tmp_path / "tensorboard"), "/named"]


@pytest.mark.slow
def test_seconds_of_a_step_are_those_of_all_its_passes(tmp_path: Path) -> None:
    tiny = tiny_policy(tmp_path / "tiny", max_length=512)
    made = recipe({"model": str(tiny)}, bf16=False, grpo=grpo(micro_batch_size=1))
    train_grpo(made, SITUATIONS, tiny, HashEncoder(), tmp_path / "out")  # type: ignore[arg-type]
    for row in read_jsonl(tmp_path / "out" / "metrics.jsonl"):
        assert row["seconds/step"] > row["seconds/generation"] + row["seconds/reward"]
        assert "step_time" not in row  # TRL's name of the same number
