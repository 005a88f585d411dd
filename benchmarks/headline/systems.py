"""Who is trained, and who answers: the whole table of benchmarks/small_beats_big.py.

Keys are those of recipes/small-beats-big.yaml, as `--set` takes them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from headline.rows import PROMPTS
from overton.sections_generation import SystemSection

COMMUNITIES = 4
START = "sft"
OURS = "op-grpo"
NO_CREDIT = "reward.credit_weight=0"
PAPER = ("reward.preset=op-grpo", "reward.overrides={}", NO_CREDIT)
OTHERS = ("reward.preset=quality-diversity", NO_CREDIT)


@dataclass(frozen=True)
class Policy:
    """A model to be trained.

    Attributes:
        name: of its folder.
        rows: its file of SFT rows; ``""`` = GRPO.
        start: the policy that it goes on from; ``""`` = from nothing.
        share: of the steps that the first SFT takes.
        estimator: of the reward: ``tuned``, ``untuned``, or ``unmasked`` (tuned with the situation's words left in).
        overrides: keys that differ from the recipe's.
    """

    name: str
    rows: str = ""
    start: str = ""
    share: float = 1.0
    estimator: str = "tuned"
    overrides: tuple[str, ...] = ()


@dataclass(frozen=True)
class System:
    """Somebody who answers.

    Attributes:
        name: of its answers.
        title: in the table.
        model: the policy that writes the answer.
        strategy: how it is asked (docs/generation.md).
        keys: further keys of the system.
        part: ``main`` for the headline, ``ablation`` for the rest.
        as_long_as: a system whose mean answer is the longest that this one may write; ``""`` = no such limit.
    """

    name: str
    title: str
    model: str
    strategy: str = "implicit"
    keys: dict[str, Any] = field(default_factory=dict)
    part: str = "main"
    as_long_as: str = ""

    @property
    def policies(self) -> list[str]:
        """Every policy that it needs."""
        return [self.model, *(f"community-{n + 1}" for n in range(COMMUNITIES) if self.strategy == "modular")]

    def section(self, folder: Path, union_tokens: int = 0) -> SystemSection:
        """The system as the generation stage knows it.

        Args:
            folder: of the policies.
            union_tokens: longest union, for ``parallel``.
        """
        keys = dict(self.keys)
        if self.strategy == "explicit":
            keys["prompts"] = {"explicit": str(PROMPTS / "explicit.txt")}
        if self.strategy == "parallel":
            keys |= {"encoder": "run", "union_tokens": union_tokens}
        if self.strategy == "modular":
            keys["prompts"] = {"modular": str(PROMPTS / "modular.txt")}
            keys["community"] = [{"model": str(folder / name / "model"), **_BATCH} for name in self.policies[1:]]
        model = str(folder / self.model / "model")
        return SystemSection.model_validate(
            {"name": self.name, "model": model, "strategy": self.strategy, **_BATCH, **keys}
        )


_BATCH = {"batch_size": 100}


def _ablation(name: str, title: str, *overrides: str, estimator: str = "tuned") -> tuple[Policy, System]:
    policy = Policy(name, start=START, estimator=estimator, overrides=overrides)
    return policy, System(name, title, name, part="ablation")


_ABLATIONS = (
    _ablation(
        "precision-only",
        "quality times diversity, precision as quality",
        *OTHERS,
        "reward.overrides={quality: precision}",
    ),
    _ablation("no-credit", "without credit per perspective", NO_CREDIT),
    _ablation("greedy-matching", "greedy matching", "reward.overrides.matching=greedy"),
    _ablation("untuned", "untuned estimator", estimator="untuned"),
    _ablation("unmasked", "without masking", estimator="unmasked"),
    _ablation("paper", "preset op-grpo, 5 : 1", *PAPER),
    _ablation("paper-smooth", "preset op-grpo, smooth", *PAPER, "reward.overrides.steps=smooth"),
    _ablation("paper-1-0", "preset op-grpo, 1 : 0", *PAPER, "reward.overrides.uniqueness_weight=0"),
    _ablation("paper-3-1", "preset op-grpo, 3 : 1", *PAPER, "reward.overrides.uniqueness_weight=0.5"),
    _ablation("paper-1-1", "preset op-grpo, 1 : 1", *PAPER, "reward.overrides.uniqueness_weight=1.5"),
)

POLICIES: dict[str, Policy] = {
    policy.name: policy
    for policy in (
        Policy(START, rows="mixed"),
        Policy(OURS, start=START),
        Policy(
            "big",
            rows="mixed",
            overrides=(
                "policy.hidden_size=336",
                "policy.layers=2",
                "policy.heads=12",
                "policy.kv_heads=12",
                "policy.intermediate_size=1344",
                "training.sft.batch_size=32",  # how its settings were chosen: docs/results.md
                "training.sft.learning_rate=0.028",
                "training.sft.muon_learning_rate=0.014",
            ),
        ),
        Policy(
            "entropy",
            start=START,
            overrides=(*OTHERS, "reward.overrides={diversity: none}", "training.grpo.entropy_coef=0.01"),
        ),
        Policy("determinant", start=START, overrides=(*OTHERS, "reward.overrides={diversity: determinant}")),
        Policy("darling", start=START, overrides=(*OTHERS, "reward.overrides={diversity: product}")),
        *(Policy(f"community-{n + 1}", rows=f"community-{n + 1}", start=START, share=0.1) for n in range(COMMUNITIES)),
        Policy("merger", rows="merger", start=START, share=0.2),
        Policy("merger-full", rows="merger-full", start=START, share=0.2),
        *(policy for policy, _ in _ABLATIONS),
    )
}

SYSTEMS: dict[str, System] = {
    system.name: system
    for system in (
        System(START, "SFT", START),
        System(OURS, "OP-GRPO", OURS),
        System("big", "big, SFT, asked implicitly", "big"),
        System("big-explicit", "big, SFT, asked explicitly", "big", "explicit"),
        System("sft-explicit", "SFT, asked explicitly", START, "explicit"),
        System("parallel", "union of 4 SFT samples", START, "parallel", {"samples": 4}),
        System("parallel-equal", "the same, as long as OP-GRPO", START, "parallel", {"samples": 4}, as_long_as=OURS),
        System("parallel-2", "union of 2 SFT samples", START, "parallel", {"samples": 2}),
        System("modular", "modular", "merger", "modular"),
        System("modular-full", "modular, merging learnt from complete lists", "merger-full", "modular"),
        System("entropy", "GRPO with entropy bonus", "entropy"),
        System("determinant", "GRPO with determinant diversity", "determinant"),
        System("darling", "GRPO, quality times diversity", "darling"),
        *(system for _, system in _ABLATIONS),
    )
}
