"""The base of a recipe's sections, and the keys of a language model that is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from overton.address import check_address


class Section(BaseModel):
    """Base of every section: unknown keys, NaN, infinity and a truth value for a number are errors; values are fixed
    once loaded.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _check_number(cls, value: Any, info: ValidationInfo) -> Any:
        """YAML reads `yes`, `no`, `on` and `off` as truth values, which would count as 1 and 0."""
        annotation = cls.model_fields[info.field_name or ""].annotation
        if isinstance(value, bool) and {annotation, *get_args(annotation)} & {int, float}:
            raise ValueError("a number is wanted; YAML reads yes, no, on and off as true and false")
        return value

    def deciding(self) -> dict[str, Any]:
        """The values that decide a stage's files, as JSON; when they change, the stage runs again."""
        return self.model_dump(mode="json")


class ModelSection(Section):
    """A language model that is asked: at an endpoint, or on this machine."""

    model: str = Field("", description="name at the endpoint, or hub name or folder; nothing = no model is asked")
    base_url: str = Field(
        "",
        description="OpenAI-compatible endpoint, usually ending in /v1: https, or http on this machine; nothing = the "
        "model runs here",
    )
    backend: Literal["transformers", "vllm"] = Field(
        "transformers", description="model here only: what runs it; vllm wants a GPU and its package"
    )
    api_key_env: str = Field(
        "OPENAI_API_KEY", description="environment variable that holds the endpoint's key; nothing = it wants none"
    )
    extra: dict[str, Any] = Field(
        default_factory=dict,
        description="more fields of the endpoint's request, e.g. `reasoning_effort`; null leaves one out",
    )
    concurrency: int = Field(8, ge=1, le=256, description="endpoint only: calls under way at once")
    timeout: float = Field(120.0, gt=0, le=1_000_000, description="endpoint only: seconds to wait for one answer")
    retries: int = Field(5, ge=0, le=20, description="endpoint only: after 429, 5xx, a timeout or a lost connection")
    batch_size: int = Field(8, ge=1, description="model here only: replies generated side by side")
    max_calls: int = Field(0, ge=0, description="no more calls than these in one go; 0 = no cap")
    max_budget_tokens: int = Field(
        0, ge=0, description="no new call after so many tokens, read and written together; 0 = no cap"
    )
    input_price: float = Field(
        0.0, ge=0, description="US dollars for a million tokens read, for dry runs and the cost of answers"
    )
    output_price: float = Field(0.0, ge=0, description="the same for tokens written")

    @model_validator(mode="after")
    def _check_model(self) -> ModelSection:
        if self.api_key_env and not self.api_key_env.isidentifier():
            raise ValueError("api_key_env is the name of an environment variable, never the key itself")
        if not self.base_url:
            if set(self.extra) - {"chat_template_kwargs"}:
                raise ValueError("without base_url, `extra` knows chat_template_kwargs alone")
            return self
        check_address(self.base_url)
        return self

    @property
    def asked_as(self) -> str:
        """What the endpoint calls the model: ``extra`` may say so where ``model`` is a name of one's own."""
        return str(self.extra.get("model") or self.model)


# How replies are fetched, which decides none of them.
FETCHING = {"base_url", "backend", "api_key_env", "concurrency", "timeout", "retries", "batch_size"}


class LlmSection(ModelSection):
    """A language model that data preparation asks, where a part of it wants one; see docs/llm.md."""

    temperature: float = Field(0.0, ge=0, le=100, description="of sampling; 0 = the likeliest token")
    max_tokens: int = Field(256, ge=1, le=10_000_000, description="longest reply, in tokens")
    dry_run: bool = Field(False, description="count the calls and their tokens, and make none")

    @property
    def outside(self) -> list[Path]:
        """The folder of a model here, unless it is a hub name."""
        return [Path(self.model).expanduser()] if self.model and not self.base_url else []

    def deciding(self) -> dict[str, Any]:
        """Not how replies are fetched, nor what they cost; nothing when no model is asked."""
        exclude = {*FETCHING, "input_price", "output_price"}
        return self.model_dump(mode="json", exclude=exclude) if self.model else {}
