"""The recipe's section ``generation``: which systems answer, and how each is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from overton.sections_model import FETCHING, ModelSection, Section

# Whose calls a key changes; with another strategy it would be passed over in silence.
_STRATEGIES_OF = {
    "samples": ("parallel", "verbalized"),
    "sampled": ("parallel",),
    "union_tokens": ("parallel",),
    "encoder": ("parallel",),
    "threshold": ("parallel",),
    "shots": ("few-shot", "parallel"),
    "examples": ("few-shot", "parallel"),
}


class SystemSection(ModelSection):
    """One system that answers: a model, and how it is asked (docs/generation.md)."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="of the system and its file: letters, digits and ._-"
    )
    model: str = Field(
        min_length=1,
        description="`sft` or `grpo` of this run, a hub name or folder, or the name that `base_url` knows it by",
    )
    strategy: Literal["implicit", "explicit", "few-shot", "verbalized", "parallel", "modular", "self-refine"] = Field(
        "implicit", description="how the model is asked"
    )
    temperature: float | None = Field(None, ge=0, le=100, description="of sampling; nothing = `generation.temperature`")
    samples: int = Field(4, ge=2, le=64, description="`parallel`: answers that are merged; `verbalized`: in one reply")
    sampled: Literal["implicit", "explicit", "few-shot"] = Field(
        "implicit", description="`parallel`: how each of its answers is asked for"
    )
    union_tokens: int = Field(
        0,
        ge=0,
        description="`parallel`: longest union, in tokens, to compare at equal length; 0 = `generation.max_new_tokens`",
    )
    encoder: str = Field(
        "",
        description="`parallel`: Sentence Transformer that finds near-duplicates; `run` = this run's estimator, "
        "nothing = the untuned all-MiniLM-L6-v2 with the threshold that comes along",
    )
    threshold: float | None = Field(
        None, gt=0, le=1, description="`parallel`: cosine of near-duplicates; nothing = the encoder's calibrated one"
    )
    shots: int = Field(3, ge=1, le=16, description="`few-shot`: worked examples")
    examples: Literal["shipped", "run"] = Field(
        "shipped", description="`few-shot`: examples that come along (at most 3), or drawn from `data/sft.jsonl`"
    )
    community: list[ModelSection] = Field(
        default_factory=list, description="`modular`: the models that comment, each with keys like these (`model` ...)"
    )
    prompts: dict[str, str] = Field(
        default_factory=dict, description="name of a prompt -> a file of yours, or another prompt that comes along"
    )

    @model_validator(mode="after")
    def _check_system(self) -> SystemSection:
        if (self.strategy == "modular") != bool(self.community):
            raise ValueError(
                "`community` goes with strategy `modular`, and that strategy with at least one model in it"
            )
        if not all(member.model for member in self.community):
            raise ValueError("each model of `community` needs its `model`")
        for key, strategies in _STRATEGIES_OF.items():
            if self.strategy not in strategies and getattr(self, key) != type(self).model_fields[key].default:
                raise ValueError(
                    f"`{key}` goes with strategy `{'` or `'.join(strategies)}`, not with `{self.strategy}`"
                )
        if self.strategy == "parallel" and self.temperature == 0:
            raise ValueError(f"`parallel` at temperature 0 gives one answer, paid for {self.samples} times; sample it")
        return self

    @property
    def models(self) -> list[ModelSection]:
        """Every model that is asked; who writes the answer comes first."""
        return [self, *self.community]

    def deciding(self) -> dict[str, Any]:
        """Not how replies are fetched."""
        row = self.model_dump(mode="json", exclude=FETCHING)
        row["community"] = [{k: v for k, v in member.items() if k not in FETCHING} for member in row["community"]]
        return row


TRAINED = ("sft", "grpo")


def _kind_of_system(value: Any) -> str:
    return "<trained>" if isinstance(value, str) else "<system>"


# Tags in angle brackets stay out of messages: overton.recipe leaves them out of a key's path.
System = Annotated[
    Annotated[Literal["sft", "grpo"], Tag("<trained>")] | Annotated[SystemSection, Tag("<system>")],
    Discriminator(_kind_of_system),
]


class GenerationSection(Section):
    """Answers to the held-out situations, by trained systems and any others."""

    systems: list[System] = Field(
        ["sft", "grpo"],
        description="who answers: `sft` and `grpo`, the models of this run asked as they were trained, and others, "
        "each with the keys of `generation.systems[]`",
    )
    temperature: float = Field(0.7, gt=0, le=100, description="of sampling")
    top_p: float = Field(0.9, gt=0, le=1, description="nucleus of sampling; 1 = all tokens")
    greedy: bool = Field(True, description="also one greedy answer each of `sft` and `grpo`, as SYSTEM-greedy")
    limit: int = Field(0, ge=0, description="0 = all test situations")
    batch_size: int = Field(100, ge=1, description="answers of `sft` and `grpo` generated side by side")
    max_new_tokens: int = Field(
        256, ge=8, le=10_000_000, description="longest answer of every system, and of each of its calls, in tokens"
    )
    format_retries: int = Field(
        0, ge=0, le=20, description="further tries, for every system alike, when an answer breaks the format asked for"
    )

    @model_validator(mode="after")
    def _check(self) -> GenerationSection:
        twice = [file for file in self.writes if self.writes.count(file) > 1]
        if twice:
            raise ValueError(f"two systems would write {twice[0]}; give one of them another name")
        addresses: dict[str, str] = {}
        for part in (part for system in self.others for part in system.models if part.base_url):
            address = part.base_url.rstrip("/")
            if addresses.setdefault(f"{part.model} {part.extra}", address) != address:
                # Replies are kept by name, so one server's would be taken for the other's.
                raise ValueError(
                    f"{part.model} stands at two addresses, and a model is known by its name alone. Name one of the "
                    f"two otherwise, and what its server calls it in `extra: {{model: {part.model}}}`"
                )
        return self

    @property
    def writes(self) -> list[str]:
        """Files of the stage's folder; any other there is the user's."""
        names = [system if isinstance(system, str) else system.name for system in self.systems]
        names += [f"{name}-greedy" for name in self.systems if self.greedy and isinstance(name, str)]
        return [f"{name}.jsonl" for name in names]

    @property
    def others(self) -> list[SystemSection]:
        """The systems that are not asked as they were trained."""
        return [system for system in self.systems if isinstance(system, SystemSection)]

    @property
    def reads(self) -> tuple[str, ...]:
        """Files of the run, beside the questions, that the answers depend on."""
        policies: set[str] = {system for system in self.systems if isinstance(system, str)}
        policies |= {part.model for system in self.others for part in system.models if not part.base_url}
        found = [f"training/{name}/model" for name in TRAINED if name in policies]
        if any(s.examples == "run" and "few-shot" in (s.strategy, s.sampled) for s in self.others):
            found.append("data/sft.jsonl")
        if any(s.strategy == "parallel" and s.encoder == "run" for s in self.others):
            found += ["estimator/model", "estimator/calibration.json"]
        return tuple(found)

    @property
    def local_models(self) -> list[str]:
        """Hub names and folders of models that run on this machine, those of this run left out."""
        return sorted(
            {part.model for system in self.others for part in system.models if not part.base_url} - {*TRAINED}
        )

    @property
    def outside(self) -> list[Path]:
        """Models' folders, unless these are hub names, and prompts outside the run that decide answers."""
        folders = [Path(name).expanduser() for name in self.local_models]
        prompts = {name for system in self.others for name in system.prompts.values()}
        return folders + [path for name in sorted(prompts) if (path := Path(name).expanduser()).is_file()]

    def deciding(self) -> dict[str, Any]:
        """Not how replies are fetched."""
        systems = [s if isinstance(s, str) else s.deciding() for s in self.systems]
        return {**self.model_dump(mode="json", exclude={"systems"}), "systems": systems}
