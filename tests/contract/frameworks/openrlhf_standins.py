"""Stand-ins for the two packages of OpenRLHF that need a GPU to be installed: vllm and flash_attn.

Only names that OpenRLHF imports when it starts. Sampling parameters are plain data; anything else that is used fails.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

_NAMES = {
    "vllm": (),
    "vllm.inputs": ("TokensPrompt",),
    "vllm.utils": ("random_uuid",),
    "flash_attn": (),
    "flash_attn.bert_padding": ("index_first_axis", "pad_input", "rearrange", "unpad_input"),
    "flash_attn.utils": (),
    "flash_attn.utils.distributed": ("all_gather",),
}


@dataclass
class SamplingParams:
    """vLLM's, as far as OpenRLHF sets and reads it."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = -1
    max_tokens: int | None = None
    min_tokens: int = 1
    skip_special_tokens: bool = False
    logprobs: int | None = None


def install() -> None:
    """Put the stand-ins where ``import`` looks first."""
    for name, members in _NAMES.items():
        module = ModuleType(name)
        module.__spec__, module.__path__ = ModuleSpec(name, None, is_package=True), []  # type: ignore[attr-defined]
        for member in members:
            setattr(module, member, _unavailable(f"{name}.{member}"))
        sys.modules[name] = module
    sys.modules["vllm"].SamplingParams = SamplingParams  # type: ignore[attr-defined]


def _unavailable(name: str) -> Any:
    def call(*_: Any, **__: Any) -> Any:
        raise NotImplementedError(f"{name}: a stand-in; the real one needs a GPU")

    return call
