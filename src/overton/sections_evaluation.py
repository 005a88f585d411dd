"""The recipe's section ``evaluation``: NLI models, intervals, and language models that judge."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from overton.sections_model import LlmSection, Section


class JudgeModel(LlmSection):
    """A language model that judges answers; the keys of `llm`, with other defaults."""

    model: str = Field("gpt-4.1", min_length=1, description="as in `llm.model`")
    base_url: str = Field("https://api.openai.com/v1", description="as in `llm.base_url`")
    max_tokens: int = Field(1000, ge=1, le=10_000_000, description="longest reply, in tokens")
    concurrency: int = Field(32, ge=1, le=256, description="endpoint only: calls under way at once")

    def deciding(self) -> dict[str, Any]:
        """Not how many calls are made in one go either: the stage is not done before all are."""
        return {k: v for k, v in super().deciding().items() if k not in ("max_calls", "max_budget_tokens", "dry_run")}


class JudgeSection(Section):
    """Language models that score answers from 1 to 5; see docs/judge.md."""

    models: dict[str, JudgeModel] = Field(
        default_factory=dict,
        description="a name of yours -> the keys of `llm`, by default gpt-4.1 at OpenAI; none = nothing is judged so",
    )
    pairwise: bool = Field(False, description="also compare every two systems, each question in both orders")

    @model_validator(mode="after")
    def _check(self) -> JudgeSection:
        known: dict[str, str] = {}
        for name, judge in self.models.items():
            asked = repr((judge.model, judge.extra, judge.temperature, judge.max_tokens))
            if (other := known.setdefault(asked, name)) != name:  # replies are kept by what is asked, not of whom
                raise ValueError(
                    f"judges {other} and {name} ask {judge.model} the same, so their verdicts would be one's. Each "
                    "needs a `model` of its own; a server's own name for it may stand in `extra: {model: NAME}`"
                )
        return self

    def deciding(self) -> dict[str, Any]:
        """Nothing when no model judges."""
        models = {name: model.deciding() for name, model in self.models.items()}
        return {"models": models, "pairwise": self.pairwise} if models else {}

    @property
    def local_models(self) -> list[str]:
        """Judges that run on this machine."""
        return [model.model for model in self.models.values() if not model.base_url]


class EvaluationSection(Section):
    """Evaluators that share nothing with the reward."""

    nli_model: str = Field(
        "world",
        min_length=1,
        description="`world`: a small cross-encoder trained on the world's pairs; else the name or folder of "
        "any three-class CrossEncoder (microsoft/deberta-v2-xlarge-mnli)",
    )
    nli_also: list[str] = Field(
        default_factory=list,
        description="further CrossEncoders by name or folder, whose figures stand beside those of `nli_model`",
    )
    nli_published: bool = Field(
        False, description="also the figures of the published evaluation code; needs `pip install sentence-splitter`"
    )
    nli_threshold: float = Field(0.33, ge=0, le=1, description="for Accuracy@threshold")
    bootstrap: int = Field(2000, ge=100, le=10_000_000, description="resamples of every interval")
    judge: JudgeSection = Field(default_factory=JudgeSection)

    @property
    def outside(self) -> list[Path]:
        """Folders of models that judge, unless they are hub names."""
        names = [*([] if self.nli_model == "world" else [self.nli_model]), *self.nli_also, *self.judge.local_models]
        return [Path(name).expanduser() for name in names]

    def deciding(self) -> dict[str, Any]:
        """All but how a judge's replies are fetched."""
        own = self.model_dump(mode="json", exclude={"judge"})
        judge = self.judge.deciding()
        return own | {"judge": judge} if judge else own
