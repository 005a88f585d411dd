"""The reward over HTTP: ``overton serve reward``.

One process speaks HTTP, collects answers of many requests into batches and makes the siblings of a group wait for
each other; another one, which may be killed at any time, holds the encoder and scores. Names are loaded on first
use, so importing this package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from overton.serving.app import create_app
    from overton.serving.run import serve
    from overton.serving.service import ScoringService
    from overton.serving.settings import ServeError, ServeSettings

__all__ = ["ScoringService", "ServeError", "ServeSettings", "create_app", "serve"]

_HOME = {
    "ScoringService": "service",
    "ServeError": "settings",
    "ServeSettings": "settings",
    "create_app": "app",
    "serve": "run",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
