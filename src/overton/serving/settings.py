"""What a server is told when it starts: address, token, batches, limits."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from overton.address import is_loopback
from overton.errors import OvertonError

MIN_TOKEN = 16  # characters; a shorter one can be guessed


class ServeError(OvertonError, ValueError):
    """The server cannot start as told."""


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """Settings of one server. Times are in seconds.

    Attributes:
        source: which reward, as for :func:`overton.rewards.load_reward`.
        overrides: fields of its preset.
        host: address to listen at; anything but loopback needs a token.
        port: 0 takes a free one.
        max_batch: answers scored in one call of the reward; a larger group is scored alone.
        max_wait: how long the first answers of a batch wait for others.
        group_wait: how long an answer waits for the siblings of its group.
        group_size: answers to one prompt that ``/get_reward`` scores together; 0 scores each alone.
        max_queue: answers in the server at one time; more are refused with 429.
        max_body: bytes of a request's body.
        max_answers: answers of one request, and of one group.
        max_chars: characters of an answer, a situation or a reference.
        max_references: references of one group.
        request_timeout: a request that is not scored by then is answered with 503. OpenRLHF waits 180.
        batch_timeout: a worker that needs longer for one batch is killed and replaced.
        drain: how long a stopping server goes on with what it holds.
        threads: CPU threads of the worker; 0 = as many as the library takes.
    """

    source: str | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)
    host: str = "127.0.0.1"
    port: int = 8311
    max_batch: int = 256
    max_wait: float = 0.005
    group_wait: float = 10.0
    group_size: int = 0
    max_queue: int = 8192
    max_body: int = 8 << 20
    max_answers: int = 1024
    max_chars: int = 50_000
    max_references: int = 200
    request_timeout: float = 170.0
    batch_timeout: float = 120.0
    drain: float = 30.0
    threads: int = 0

    def __post_init__(self) -> None:
        for entry in dataclasses.fields(self):
            value = getattr(self, entry.name)
            if entry.name.startswith("max_") and isinstance(entry.default, int) and value < 1:
                raise ServeError(f"{entry.name} must be at least 1, found {value}")
            if isinstance(entry.default, float) and not 0 <= value < float("inf"):
                raise ServeError(f"{entry.name} must be a number of seconds, found {value!r}")
        if not self.batch_timeout:
            raise ServeError(
                "batch_timeout must be above 0, or every worker would be killed with its first batch; for hardly any "
                "limit take a large number"
            )
        if not 0 <= self.port <= 65535:
            raise ServeError(f"port must be between 0 and 65535, found {self.port}")
        if not 0 <= self.group_size <= self.max_answers:
            raise ServeError(f"group_size must be between 0 and max_answers ({self.max_answers})")
        if self.max_queue < self.max_answers:
            raise ServeError(
                f"max_queue ({self.max_queue}) must not be below max_answers ({self.max_answers}): "
                "the largest request would never find room"
            )
        if self.group_wait >= self.request_timeout:
            raise ServeError(
                f"group_wait ({self.group_wait:g}) must be below request_timeout ({self.request_timeout:g}): "
                "an answer without siblings would never be scored"
            )


def read_token(variable: str | None, file: Path | None) -> str | None:
    """The token from where the command line says it is.

    Args:
        variable: name of an environment variable, or ``None``.
        file: a file with nothing else in it, or ``None``.

    Returns:
        ``None`` when neither is given.

    Raises:
        ServeError: both are given, the variable or the file is missing or empty, or the token cannot be used.
    """
    if variable is not None and file is not None:
        raise ServeError("give the token's environment variable or its file, not both")
    if variable is not None:
        where, token = f"the environment variable {variable}", os.environ.get(variable, "")
    elif file is not None:
        where = str(file)
        try:
            token = file.read_text(encoding="utf-8")
        except OSError as error:
            raise ServeError(f"{file}: cannot read the token ({error.strerror})") from None
        except UnicodeDecodeError:
            raise ServeError(f"{file}: the token is not text") from None
    else:
        return None
    token = token.strip()
    if not token:
        raise ServeError(f"{where} holds no token")
    if len(token) < MIN_TOKEN:
        raise ServeError(f"{where}: a token of at least {MIN_TOKEN} characters is wanted, found {len(token)}")
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise ServeError(f"{where}: a token has printable ASCII characters without spaces")
    return token


def check_binding(host: str, token: str | None) -> None:
    """Refuse to listen to other machines without a token.

    Raises:
        ServeError: the host is not loopback and there is no token.
    """
    if token is None and not is_loopback(f"http://{f'[{host}]' if ':' in host else host}"):
        raise ServeError(
            f"{host or 'every address'} can be reached from other machines, so a token is needed: --token-env "
            "VARIABLE or --token-file FILE. Or listen on this machine alone: --host 127.0.0.1"
        )
