"""Asking a language model: an endpoint or a model here, with a cache, a budget and a dry run around either.

Names are loaded on first use, so importing this package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from overton.llm.load import load_llm
    from overton.llm.types import LanguageModel, Reply, Request

__all__ = ["LanguageModel", "Reply", "Request", "load_llm"]

_HOME = {"LanguageModel": "types", "Reply": "types", "Request": "types", "load_llm": "load"}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
