"""The sections of a recipe that training reads: the policy, the reward, SFT and OP-GRPO."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from overton.address import check_address
from overton.sections_model import Section


class PolicySection(Section):
    """The language model that is trained to answer."""

    model: str = Field(
        "scratch",
        description="`scratch`: a small Qwen2 trained from nothing; else a hub name or folder",
    )
    vocab_size: int = Field(3000, ge=300, le=10_000_000, description="`scratch` only: size of the byte-level BPE")
    phrases: int = Field(
        2500,
        ge=0,
        description="`scratch` only: frequent phrases that may become single tokens; mere steps to longer ones do not",
    )
    hidden_size: int = Field(192, ge=8, le=100_000, description="`scratch` only: width, `heads` times an even number")
    layers: int = Field(3, ge=1, le=1000, description="`scratch` only: transformer layers")
    heads: int = Field(6, ge=1, description="`scratch` only: attention heads, a multiple of `kv_heads`")
    kv_heads: int = Field(2, ge=1, description="`scratch` only: key-value heads")
    intermediate_size: int = Field(
        512, ge=8, le=1_000_000, description="`scratch` only: width of the feed-forward part"
    )
    max_length: int = Field(
        384, ge=32, le=10_000_000, description="`scratch` only: longest prompt plus answer, in tokens"
    )
    lora_rank: int = Field(
        0,
        ge=0,
        le=16_384,
        description="0 trains all weights; above 0 a LoRA adapter of this rank, for a pretrained model",
    )
    load_in_4bit: bool = Field(
        False, description="with `lora_rank`: the frozen weights in 4 bits (QLoRA); needs bitsandbytes"
    )
    prompt_template: str = Field(
        "{situation}",
        description="text around the situation; `{situation}` is replaced. Sent as a user turn when the "
        "tokenizer has a chat template",
    )

    @model_validator(mode="after")
    def _check(self) -> PolicySection:
        if "{situation}" not in self.prompt_template:
            raise ValueError("prompt_template must contain {situation}")
        if self.load_in_4bit and (not self.lora_rank or self.model == "scratch"):
            raise ValueError("load_in_4bit freezes a pretrained model: set lora_rank above 0 and name a model")
        if self.model == "scratch":
            self._check_scratch()
        return self

    def _check_scratch(self) -> None:
        if self.lora_rank:
            raise ValueError(
                f"lora_rank {self.lora_rank} freezes the model under its adapter, and `scratch` has random weights: "
                "name a pretrained model, or set lora_rank 0"
            )
        if self.hidden_size % self.heads:
            raise ValueError(f"hidden_size {self.hidden_size} must be a multiple of heads {self.heads}")
        if self.heads % self.kv_heads:
            raise ValueError(f"heads {self.heads} must be a multiple of kv_heads {self.kv_heads}")
        if self.hidden_size // self.heads % 2:
            # Rotary embeddings turn pairs of numbers.
            raise ValueError(
                f"hidden_size {self.hidden_size} over heads {self.heads} is a head of {self.hidden_size // self.heads} "
                "numbers, which must be even"
            )

    @property
    def outside(self) -> list[Path]:
        """The model's folder, unless it is a hub name."""
        return [] if self.model == "scratch" else [Path(self.model).expanduser()]


class RewardSection(Section):
    """The reward: a preset and its overrides."""

    preset: Literal["overton", "op-grpo", "quality-diversity"] = Field(
        "overton",
        description="`overton`; `op-grpo`, the arithmetic of the paper; `quality-diversity`, rewards of other methods",
    )
    overrides: dict[str, float | bool | str] = Field(
        default_factory=dict, description="any field of the preset (see docs/reward.md)"
    )
    data_set: str = Field(
        "", description="with an estimator calibrated on several data sets, whose threshold counts; empty = of all"
    )
    background: int = Field(
        0,
        ge=0,
        le=100_000,
        description="references of training situations that a line is compared with too, so that one that fits "
        "everything has to be nearer to one of its own (500 are enough, 11 are needed; preset `overton`); 0 = none",
    )
    credit_weight: float = Field(
        1.0, ge=0, le=1000, description="weight of the credit per perspective beside the answer's advantage; 0 = off"
    )
    credit_discount: float = Field(
        0.9, ge=0, le=1, description="weight of what comes after a perspective in its credit"
    )
    placement: str = Field(
        "auto",
        description="where the estimator runs: `auto` (the GPU that trains, else the CPU), `cpu`, a GPU such as "
        "`cuda:1`, or the URL of an `overton serve reward`, whose own preset then counts",
    )
    token_env: str = Field(
        "", description="placement by URL: environment variable that holds the server's token; nothing = it wants none"
    )
    timeout: float = Field(
        180.0,
        gt=0,
        le=86_400,
        description="placement by URL: seconds to wait for one reply; after that fewer are asked for",
    )

    @property
    def remote(self) -> bool:
        """Whether a server scores."""
        return "://" in self.placement

    def deciding(self) -> dict[str, Any]:
        """Not the server's token or time, nor where the estimator runs on this machine."""
        unimportant = {"token_env", "timeout"} | (set() if self.remote else {"placement"})
        return self.model_dump(mode="json", exclude=unimportant)

    @model_validator(mode="after")
    def _check(self) -> RewardSection:
        if self.remote:
            check_address(self.placement, "placement", 8311, "")
        elif not re.fullmatch(r"auto|cpu|cuda(:\d+)?", self.placement):
            raise ValueError("placement is auto, cpu, cuda, cuda:1 or the like, or a URL")
        if self.background and (self.remote or self.preset != "overton"):
            raise ValueError("background goes with preset overton, and not with a server, which has its own")
        if 0 < self.background <= 10:
            raise ValueError("background is 0 or more than 10: the ten nearest references of other situations count")
        if self.token_env and not self.token_env.isidentifier():
            raise ValueError("token_env is the name of an environment variable, never the token itself")
        return self


class SftSection(Section):
    """Supervised fine-tuning (TRL's SFTTrainer)."""

    epochs: float = Field(1.0, gt=0, le=100_000, description="passes over the answers")
    batch_size: int = Field(16, ge=1, description="answers a forward pass")
    gradient_accumulation: int = Field(
        1, ge=1, description="forward passes a step; several processes share the answers of a step"
    )
    packing: int = Field(
        0, ge=0, description="tokens of a row that whole answers are packed into; 0 = one answer a row, padded"
    )
    learning_rate: float = Field(1e-5, gt=0, le=1, description="peak learning rate (from random weights about 1e-2)")
    optimizer: Literal["adamw", "muon"] = Field(
        "adamw", description="muon learns much faster from random weights; keep adamw for a pretrained model"
    )
    muon_learning_rate: float = Field(0.02, gt=0, le=10, description="peak, for the matrices of the layers; muon only")
    warmup_ratio: float = Field(0.05, ge=0, le=1, description="share of the steps that warm up")
    weight_decay: float = Field(0.01, ge=0, le=100, description="weight decay")
    save_steps: int = Field(100, ge=1, description="steps between checkpoints; a killed run loses at most these")

    def deciding(self) -> dict[str, Any]:
        """What decides the weights: the answers of a step, and not how many go through the model at once."""
        own = self.model_dump(mode="json", exclude={"save_steps", "batch_size", "gradient_accumulation"})
        return own | {"step": self.batch_size * self.gradient_accumulation}


# Of OP-GRPO; its weights are the same without them, up to rounding. With an entropy bonus one of them counts.
_ON_THE_WAY = {
    "micro_batch_size",
    "save_steps",
    "log_completions_steps",
    "vllm_gpu_memory_utilization",
    "vllm_tensor_parallel_size",
    "vllm_server_url",
}


class GrpoSection(Section):
    """OP-GRPO (TRL's GRPOTrainer)."""

    steps: int = Field(100, ge=1, le=100_000_000, description="optimizer steps")
    prompts_per_step: int = Field(16, ge=1, le=1_000_000, description="situations a step")
    num_generations: int = Field(8, ge=2, le=10_000, description="answers a prompt: the group")
    steps_per_generation: int = Field(
        1,
        ge=1,
        description="optimizer steps on one generation of answers: those of so many steps at once, which TRL mixes and "
        "deals out to the steps",
    )
    micro_batch_size: int = Field(
        0, ge=0, description="answers a process takes through the model at once; 0 = its whole share of the step"
    )
    learning_rate: float = Field(
        5e-4, gt=0, le=1, description="peak learning rate (a pretrained model wants about 1e-6)"
    )
    optimizer: Literal["adamw", "muon"] = Field("adamw", description="as for SFT")
    muon_learning_rate: float = Field(0.002, gt=0, le=10, description="peak, for the matrices of the layers; muon only")
    warmup_ratio: float = Field(0.05, ge=0, le=1, description="share of the steps that warm up")
    lr_scheduler: Literal[
        "linear", "cosine", "cosine_with_restarts", "constant", "constant_with_warmup", "inverse_sqrt"
    ] = Field("cosine", description="how the learning rate changes, by transformers' names; `constant` never warms up")
    beta: float = Field(0.0, ge=0, le=1000, description="weight of the KL term")
    entropy_coef: float = Field(0.0, ge=-1000, le=1000, description="weight of the entropy bonus")
    temperature: float = Field(1.0, gt=0, le=100, description="of sampling while training")
    max_completion_length: int = Field(256, ge=8, le=10_000_000, description="longest answer, in tokens")
    save_steps: int = Field(
        20, ge=1, description="steps between checkpoints, whole generations; a killed run loses at most these"
    )
    log_completions_steps: int = Field(
        10, ge=1, description="sampled answers go to disk every so many steps, of whole generations"
    )
    rollout: Literal["transformers", "continuous-batching", "vllm", "vllm-server"] = Field(
        "transformers",
        description="what generates the answers: transformers in one batch or with continuous batching, vLLM on the "
        "GPUs that train, or a vLLM server",
    )
    vllm_gpu_memory_utilization: float = Field(
        0.3, gt=0, lt=1, description="`vllm` only: share of each GPU's memory, its copy of the weights included"
    )
    vllm_tensor_parallel_size: int = Field(
        1, ge=1, description="`vllm` only: GPUs that hold one copy of the weights; divides the number of processes"
    )
    vllm_server_url: str = Field("", description="`vllm-server` only: such as http://localhost:8000")

    @model_validator(mode="after")
    def _check(self) -> GrpoSection:
        if (self.rollout == "vllm-server") != bool(self.vllm_server_url):
            raise ValueError("rollout vllm-server and vllm_server_url go together")
        return self

    def at_generations(self, steps: int) -> int:
        """The most steps up to so many after which answers are generated; at least those of one generation."""
        return max(steps // self.steps_per_generation, 1) * self.steps_per_generation

    @property
    def generated_steps(self) -> int:
        """Steps that answers are generated for; those of the last generation may be more than are taken."""
        return -(-self.steps // self.steps_per_generation) * self.steps_per_generation

    def deciding(self) -> dict[str, Any]:
        """What decides the weights: not memory, nor what is kept on the way."""
        # TRL's entropy bonus is a mean over the tokens of each forward pass, not of the step.
        passes = {"micro_batch_size"} if self.entropy_coef else set()
        # Not the default: what was trained before there was the key is still the same.
        once = {"steps_per_generation"} if self.steps_per_generation == 1 else set()
        return self.model_dump(mode="json", exclude=_ON_THE_WAY - passes | once)


class TrainingSection(Section):
    """SFT, then OP-GRPO."""

    sft: SftSection = Field(default_factory=SftSection)
    grpo: GrpoSection = Field(default_factory=GrpoSection)
    bf16: bool = Field(
        True, description="bfloat16 autocast where the machine is fast at it (`overton doctor`): less memory, less time"
    )
    gradient_checkpointing: bool = Field(False, description="less memory, more time; on for large models")
    use_liger_kernel: bool = Field(
        False, description="Liger's fused kernels, with the package liger-kernel and a GPU: less memory, faster"
    )
    report_to: list[str] = Field(default_factory=list, description="trackers: wandb, tensorboard, trackio ...")

    @field_validator("report_to", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        """As transformers takes them: one name, or ``none``, in place of a list."""
        return ([] if value == "none" else [value]) if isinstance(value, str) else value

    @property
    def precision(self) -> dict[str, Any]:
        """What decides the weights of both parts."""
        return {"bf16": self.bf16, "use_liger_kernel": self.use_liger_kernel}

    def deciding(self) -> dict[str, Any]:
        """What decides the weights: not trackers, nor memory."""
        return {"sft": self.sft.deciding(), "grpo": self.grpo.deciding(), **self.precision}
