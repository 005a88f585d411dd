"""GRPO steps of a policy of Qwen2.5-3B's shape: where the time and the memory go, and what the reward adds.

    python benchmarks/gpu/policy_step.py --references DIR --responses FILE --out policy_step.json
    python benchmarks/gpu/policy_step.py --references DIR --responses FILE --tiny    # the whole way on a CPU, quickly

Weights are random; prompts are those of OP-GRPO's test files, and answers, with their lengths, those of published
systems: the policy generates as many tokens as the longest answer of its batch has, and the reward and the update get
the real answers. With all weights and with LoRA, TRL's GRPOTrainer with a constant reward and ours with preset
`overton` and credit take turns, each built anew. Nothing is learnt (learning rate 0).

Model FLOPs: 2 N a token for a forward pass, 6 N with the backward pass, and 12 L H Q T (forward and backward) for
attention, as in appendix B of PaLM (Chowdhery et al. 2022, arXiv 2204.02311), with N the parameters, L layers, H heads
of size Q and T the tokens before, on average half of the text under a causal mask. What gradient checkpointing computes
again does not count. LoRA needs no gradients of the base's weights: 4 N a token. The utilisation is over the data
sheet's dense bfloat16 peak (or --peak-tflops), and beside it over the best matrix product measured in the same run.

Without a GPU and without --tiny it says so and does nothing.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from gpu.device import device_name, matrix_flops, peak_flops, settle
from origin import made_by
from overton.jsonio import write_json
from overton.types import Group
from speed.data import read_groups
from steps.parts import ConstantReward, StepClock, TimedReward, answer_ids, arguments, rows_of, written

# config.json of Qwen/Qwen2.5-3B (Qwen2.5 technical report, arXiv 2412.15115, table 1)
QWEN_3B = {
    "vocab_size": 151_936,
    "hidden_size": 2048,
    "intermediate_size": 11_008,
    "num_hidden_layers": 36,
    "num_attention_heads": 16,
    "num_key_value_heads": 2,
    "max_position_embeddings": 4096,
    "tie_word_embeddings": True,
}
TINY = QWEN_3B | {
    "vocab_size": 2000,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
}
WAYS = ("TRL, constant reward", "Overton, overton with credit")


def build(config: dict[str, Any], lora: bool) -> Any:
    """Random weights: in float32 where all are trained, else in bfloat16, as the package loads them."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)
    with torch.device(device):
        model = Qwen2ForCausalLM(Qwen2Config(**config))
    return model.to(torch.bfloat16) if lora else model


def step_flops(model: Any, lora: bool, prompt: float, answer: float, longest: float, answers: int) -> dict[str, float]:
    """Model FLOPs of a step's generation and update.

    Args:
        model: the policy.
        lora: gradients of adapters only.
        prompt: tokens of a prompt, mean.
        answer: tokens of an answer, mean.
        longest: tokens of the longest answer, which each row of the batch is generated to.
        answers: of the step.
    """
    config = model.config
    size = config.num_attention_heads * (config.hidden_size // config.num_attention_heads)
    parameters = model.num_parameters()
    whole = prompt + answer
    attention = 4 * config.num_hidden_layers * size  # a token and a token before it, forward
    passes = 2 if lora else 3  # backward costs twice the forward pass, half of it for gradients of weights
    return {
        # Useful tokens count only: what a batch generates beyond an answer's end is waste.
        "generation": answers * (2 * parameters * whole + attention * whole * whole / 2),
        "generation_with_waste": answers
        * (2 * parameters * (prompt + longest) + attention * (prompt + longest) ** 2 / 2),
        "update": answers * (2 * passes * parameters * whole + 3 * attention * whole * whole / 2),
    }


def measure(
    way: str, lora: bool, config: dict[str, Any], options: argparse.Namespace, material: dict[str, Any]
) -> dict[str, Any]:
    """One trainer from its making to its end: seconds, tokens and memory of its steps, the first left out."""
    from datasets import Dataset
    from transformers import PrinterCallback
    from trl import GRPOTrainer

    from overton.estimator import open_estimator
    from overton.rewards import OvertonReward
    from overton.sections_training import PolicySection
    from overton.training.adapters import lora_config
    from overton.training.grpo import OpGrpoTrainer

    model = build(config, lora)
    parameters = model.num_parameters()
    folder = tempfile.TemporaryDirectory(prefix="policy-step-")  # goes with this function
    constant = way == WAYS[0]
    reward: Any = ConstantReward()
    own: dict[str, Any] = {"reward_funcs": [reward]}
    if not constant:
        reward = TimedReward(OvertonReward(open_estimator()[0], "overton"), max_tokens=options.tokens)
        own = {"reward": reward, "credit_weight": 1.0, "credit_discount": 0.9}
    kind = written(GRPOTrainer if constant else OpGrpoTrainer, material["answers"])
    answers = options.prompts * options.generations
    settle(reset=True)
    trainer = kind(
        model=model,
        args=arguments(
            Path(folder.name),
            max_steps=options.steps + 1,
            per_device_train_batch_size=options.micro_batch,
            gradient_accumulation_steps=answers // options.micro_batch,
            num_generations=options.generations,
            max_completion_length=options.tokens,
            gradient_checkpointing=options.checkpointing,
        ),
        train_dataset=Dataset.from_list(material["rows"]),
        processing_class=material["tokenizer"],
        peft_config=lora_config(PolicySection(model="m", lora_rank=options.lora_rank)) if lora else None,
        **own,
    )
    clock = StepClock(clock=now)
    trainer.add_callback(clock)
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    logs = [row for row in trainer.state.log_history if "completions/mean_length" in row][1:]
    generations, seconds = trainer.generations[1:], clock.seconds[1:]
    scoring = getattr(reward, "wall", [])[1:]
    answer = sum(row["completions/mean_length"] for row in logs) / len(logs)
    prompt = material["prompt_tokens"]
    longest = sum(tokens for _, tokens, _ in generations) / len(generations)
    flops = step_flops(model, lora, prompt, answer, longest, answers)
    row = {
        "way": way,
        "trained": "LoRA" if lora else "all weights",
        "parameters": parameters,
        "steps": len(seconds),
        "answers": answers,
        "prompt_tokens": round(prompt, 1),
        "answer_tokens": round(answer, 1),
        "longest_answer": round(longest, 1),
        "seconds": {
            "step": mean(seconds),
            "generation": mean([s for _, _, s in generations]),
            "reward": mean(scoring) if scoring else 0.0,
        },
        "peak_memory_gib": settle(),
        "flops": flops,
    }
    del trainer, model
    settle(reset=True)
    return row


def mean(values: Sequence[float]) -> float:
    """The mean, rounded for a file."""
    return round(sum(values) / len(values), 4)


def digits(value: float) -> float:
    """Three significant digits."""
    return float(f"{value:.3g}")


def now() -> float:
    """Seconds by the clock, once the GPU has done what it was given."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def rates(row: dict[str, Any], peak: float, product: float) -> dict[str, Any]:
    """Tokens a second, shares and utilisation; the update is what generation and reward leave of the step."""
    seconds = row["seconds"]
    update = seconds["step"] - seconds["generation"] - seconds["reward"]
    tokens = row["answers"] * row["answer_tokens"]
    whole = row["answers"] * (row["prompt_tokens"] + row["answer_tokens"])
    flops = row["flops"]
    both = flops["generation"] + flops["update"]
    return {
        "generated_tokens_a_second": round(tokens / seconds["generation"], 1),
        "updated_tokens_a_second": round(whole / update, 1),
        "share_of_generation": round(seconds["generation"] / seconds["step"], 4),
        "share_of_reward": round(seconds["reward"] / seconds["step"], 4),
        "share_of_update": round(update / seconds["step"], 4),
        "utilisation": {
            name: {
                "generation": digits(flops["generation"] / seconds["generation"] / limit),
                "update": digits(flops["update"] / update / limit),
                "step": digits(both / seconds["step"] / limit),
            }
            for name, limit in (("of_peak", peak), ("of_measured_product", product))
            if limit
        },
    }


def main() -> int:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--references", type=Path, required=True, help="folder with test_5p.csv, test_6p.csv, test_7p.csv"
    )
    parser.add_argument("--responses", type=Path, required=True, help="logged answers, JSON lines, gzipped")
    parser.add_argument("--out", type=Path, default=Path("policy_step.json"))
    parser.add_argument("--steps", type=int, default=4, help="of each trainer, after one that is not counted")
    parser.add_argument("--rounds", type=int, default=1, help="how often each trainer has its turn")
    parser.add_argument("--prompts", type=int, default=8, help="a step")
    parser.add_argument("--generations", type=int, default=10, help="answers a prompt")
    parser.add_argument("--micro-batch", type=int, default=8, help="answers a forward pass of the update")
    parser.add_argument("--tokens", type=int, default=800, help="longer answers are left out")
    parser.add_argument("--lora-rank", type=int, default=32)
    parser.add_argument("--trained", choices=["full", "lora"], nargs="+", default=["full", "lora"])
    parser.add_argument("--no-checkpointing", dest="checkpointing", action="store_false")
    parser.add_argument("--peak-tflops", type=float, default=0.0, help="dense bfloat16; 0 looks the device up")
    parser.add_argument("--tiny", action="store_true", help="a tiny policy and few short answers")
    options = parser.parse_args()
    if not torch.cuda.is_available() and not options.tiny:
        print("skipped: there is no GPU. --tiny goes the whole way on a CPU; its figures mean nothing.")
        return 0
    config = QWEN_3B
    if options.tiny:
        config = TINY
        options.steps, options.prompts, options.generations, options.micro_batch = 1, 2, 2, 2
        options.tokens, options.lora_rank = 48, 2
    material = prepare(options, config)
    peak = options.peak_tflops * 1e12 or peak_flops()
    product = matrix_flops(config["hidden_size"], config["intermediate_size"])
    rows = []
    for turn in range(options.rounds):
        for trained in options.trained:
            # Every other round begins with the other one.
            for way in WAYS if turn % 2 == 0 else WAYS[::-1]:
                row = measure(way, trained == "lora", config, options, material)
                rows.append(row | rates(row, peak, product))
                print(rows[-1], flush=True)
                report = {"gradient_checkpointing": options.checkpointing, "micro_batch": options.micro_batch}
                report |= {"peak_tflops": round(peak / 1e12, 1), "measured_product_tflops": digits(product / 1e12)}
                # Each time, so that a run that is cut short leaves what it has.
                write_json(
                    options.out, {**made_by(), "device": device_name(), **report, "rows": rows, "ratios": ratios(rows)}
                )
    return 0


def prepare(options: argparse.Namespace, config: dict[str, Any]) -> dict[str, Any]:
    """Prompts and answers as rows and tokens. The tokenizer is trained on them: the policy's own is at the hub."""
    from overton.prompting import prompt_ids
    from overton.training.tokenizer import train_tokenizer

    groups = read_groups(options.references, options.responses, options.generations, seed=0)
    texts = (f"{g.prompt}\n{a}" for g in groups for a in g.answers)
    tokenizer = train_tokenizer(texts, min(16_000, config["vocab_size"] - 500))
    if not options.tiny:
        groups = [whole for g in groups if (whole := shorter(g, tokenizer, options.tokens)) is not None]
    lengths = [len(prompt_ids(g.prompt, "{situation}", tokenizer)) for g in groups]
    return {
        "tokenizer": tokenizer,
        "rows": rows_of(groups, tokenizer),
        "answers": answer_ids(groups, tokenizer, options.tokens),
        "prompt_tokens": sum(lengths) / len(lengths),
    }


def shorter(group: Group, tokenizer: Any, tokens: int) -> Group | None:
    """The group with those of its answers that end within so many tokens, in turn; ``None`` without two."""
    lengths = [len(ids) for ids in tokenizer(list(group.answers), add_special_tokens=False)["input_ids"]]
    kept = [answer for answer, length in zip(group.answers, lengths, strict=True) if length < tokens]
    return replace(group, answers=tuple(kept)) if len(kept) > 1 else None


def ratios(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Seconds of our step over those of TRL's with a constant reward, by what is trained, where both are known."""
    found = {}
    for trained in dict.fromkeys(row["trained"] for row in rows):
        seconds = [[r["seconds"]["step"] for r in rows if (r["trained"], r["way"]) == (trained, way)] for way in WAYS]
        if not all(seconds):
            continue
        found[trained] = round(sum(seconds[1]) / sum(seconds[0]), 4)
    return found


if __name__ == "__main__":
    sys.exit(main())
