"""What the real-text run trains, by size, and its settings."""

from __future__ import annotations

from dataclasses import dataclass

from overton.recipe import Recipe, parse_recipe

LONGEST = 400  # tokens of an answer


@dataclass(frozen=True)
class Size:
    """What one size is made of.

    Attributes:
        policy: vocabulary, width, layers, heads, inner width.
        learn: pieces of the documents a step, and steps.
        sft: answers a step, and steps.
        grpo: prompts a step, answers a prompt, steps, steps on one generation of answers.
        held_out: questions of each file that are held out.
        samples: answers a held-out question; its figures are their means.
        watched: documents of one topic in so many are not learnt; their loss says when to stop.
    """

    policy: tuple[int, int, int, int, int]
    learn: tuple[int, int]
    sft: tuple[int, int]
    grpo: tuple[int, int, int, int]
    held_out: int
    samples: int = 1
    watched: int = 25


SIZES = {
    "full": Size((16_000, 640, 12, 10, 2560), (64, 400), (32, 120), (32, 10, 32, 4), 50, 4),
    "cpu": Size((8000, 256, 5, 4, 1024), (16, 250), (8, 250), (4, 6, 40, 1), 30),
    "tiny": Size((600, 32, 1, 2, 64), (2, 8), (2, 3), (2, 2, 2, 1), 2, 2, 3),
}


def recipe_of(size: Size, miss_credit: float) -> Recipe:
    """The settings of SFT and OP-GRPO; what is not named keeps its default."""
    vocabulary, width, layers, heads, inner = size.policy
    prompts, generations, steps, reused = size.grpo
    policy = {
        "model": "scratch",
        "vocab_size": vocabulary,
        "phrases": 0,
        "hidden_size": width,
        "layers": layers,
        "heads": heads,
        "kv_heads": heads,
        "intermediate_size": inner,
        "max_length": 1024,
    }
    muon = {"optimizer": "muon", "learning_rate": 2e-3, "muon_learning_rate": 5e-3}
    grpo = {
        "steps": steps,
        "prompts_per_step": prompts,
        "num_generations": generations,
        "steps_per_generation": reused,
        "micro_batch_size": min(80, prompts * generations),
        "save_steps": 40,
        "learning_rate": 2e-4,
        "lr_scheduler": "linear",
        "temperature": 0.9,
        "max_completion_length": LONGEST,
    }
    sft = muon | {"batch_size": size.sft[0], "save_steps": 1000}
    training = {"sft": sft, "grpo": grpo}
    reward = {"overrides": {"miss_credit": miss_credit}}
    return parse_recipe({"name": "real-text", "policy": policy, "reward": reward, "training": training})
