"""Is the model hub there? Asked once and quickly: the libraries' own attempts take a minute to give up."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

SECONDS = 3.0
_LOCAL = ("scratch", "world")


def hub_state() -> tuple[str, str]:
    """Whether the hub answers, within about three seconds.

    Returns:
        State and detail: ``reachable``, ``out of reach``, ``off`` (by ``HF_HUB_OFFLINE``) or ``unknown``.
    """
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        return "off", "HF_HUB_OFFLINE is set"
    try:
        from huggingface_hub.constants import ENDPOINT
    except ImportError:
        return "unknown", "huggingface_hub is not installed"
    if any(os.environ.get(name) for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")):
        return "unknown", "behind a proxy; not tried"
    address = urlsplit(ENDPOINT)
    port = address.port or (80 if address.scheme == "http" else 443)
    outcome: list[str] = []

    def connect() -> None:
        try:
            socket.create_connection((address.hostname or "", port), timeout=SECONDS).close()
            outcome.append("")
        except OSError as error:
            outcome.append(error.strerror or str(error) or type(error).__name__)

    # The name lookup knows no time limit, so it runs beside and is left behind when it hangs.
    thread = Thread(target=connect, daemon=True)
    thread.start()
    thread.join(SECONDS)
    if not outcome:
        return "out of reach", f"no answer within {SECONDS:.0f} s"
    return ("out of reach", outcome[0]) if outcome[0] else ("reachable", ENDPOINT)


def prefer_cache(models: Iterable[str]) -> None:
    """Keep the libraries from waiting for a hub that is not there, when one of the models would come from it.

    Args:
        models: names as in a recipe; folders, ``scratch`` and ``world`` need no hub.
    """
    if all(name in _LOCAL or Path(name).expanduser().exists() for name in models):
        return
    if hub_state()[0] == "out of reach":
        from huggingface_hub import constants

        os.environ["HF_HUB_OFFLINE"] = "1"
        constants.HF_HUB_OFFLINE = True
