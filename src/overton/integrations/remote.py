"""A reward that is scored elsewhere: the client of ``overton serve reward``, in the place of an ``OvertonReward``."""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from overton.address import check_address
from overton.errors import RecipeError, RunError
from overton.types import Group, Match, Score, Segment

# Of one request: far below what the server takes (1024 answers, 8 MiB).
_ANSWERS, _CHARACTERS = 256, 2_000_000
_AT_ONCE = 4
_AGAIN = {408, 429, 500, 502, 503, 504}
_LONGEST_WAIT = 30.0


class RemoteReward:
    """Scores groups of answers at a reward server; the server's preset and estimator are what counts.

    Args:
        url: of the server, such as ``http://localhost:8311``.
        token_env: environment variable with its token; ``""`` = it wants none.
        timeout: seconds to wait for one reply.
        retries: after a lost connection, a timeout, 429 or 5xx; the waits double from half a second to 30 seconds.

    Raises:
        RecipeError: no usable address, or the variable is not set.
    """

    def __init__(self, url: str, token_env: str = "", timeout: float = 180.0, retries: int = 8) -> None:
        try:
            check_address(url, "placement")
        except ValueError as error:
            raise RecipeError(f"reward: {error}") from None
        if token_env and not os.environ.get(token_env):
            raise RecipeError(f"reward.token_env: the environment variable {token_env} is not set")
        self.url = url.rstrip("/")
        self.timeout = timeout
        self.retries = retries
        self._token = os.environ[token_env] if token_env else ""

    def check(self) -> None:
        """See that the server answers and takes the token, without a second try.

        Raises:
            RunError: it does not.
        """
        self._post({"groups": []}, retries=0)

    def score(self, groups: Sequence[Group]) -> list[list[Score]]:
        """One list a group, one score an answer, in order; what the server could not score has a reason.

        A segment's ``explanation`` is its whole text, label and introduction too: the server sends offsets and labels.

        Raises:
            RunError: the server refuses, cannot be reached after all tries, or replies as another version does.
        """
        parts = list(_parts(groups))
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            replies = list(pool.map(lambda part: self._post({"groups": [_body(g) for g in part]}, self.retries), parts))
        scores = []
        for part, reply in zip(parts, replies, strict=True):
            if len(reply) != len(part):
                raise RunError(f"{self.url}: {len(reply)} groups came back for {len(part)}; is it an overton server?")
            for group, rows in zip(part, reply, strict=True):
                try:
                    scores.append([_score(row, text) for row, text in zip(rows, group.answers, strict=True)])
                except (ValueError, KeyError, TypeError) as error:
                    raise RunError(
                        f"{self.url}: a score is not in the form of this version of overton ({error!r}); run the same "
                        "version there"
                    ) from None
        return scores

    def _post(self, body: dict[str, Any], retries: int) -> list[Any]:
        headers = {"Content-Type": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        request = urllib.request.Request(f"{self.url}/score", json.dumps(body).encode(), headers)
        wait, reason = 0.5, ""
        for attempt in range(retries + 1):
            try:
                with urllib.request.urlopen(request, timeout=self.timeout) as reply:
                    found = json.load(reply)
                return list(found["groups"])
            except urllib.error.HTTPError as error:
                reason = _detail(error)
                if error.code not in _AGAIN:
                    raise RunError(f"{self.url}: refused with {error.code}: {reason}") from None
                wait = max(wait, _seconds(error.headers.get("Retry-After")))
            except OSError as error:
                reason = str(getattr(error, "reason", None) or error or type(error).__name__)
            except (ValueError, KeyError, TypeError):
                raise RunError(f"{self.url}/score: the reply is not that of an overton reward server") from None
            if attempt < retries:
                time.sleep(min(wait, _LONGEST_WAIT))
                wait *= 2
        raise RunError(
            f"{self.url}: no scores after {retries + 1} tries ({reason}). Start it with `overton serve reward`, "
            "and run the same command again."
        )


def _parts(groups: Sequence[Group]) -> Iterator[list[Group]]:
    part: list[Group] = []
    answers = characters = 0
    for group in groups:
        size = sum(len(text) for text in group.answers if isinstance(text, str))
        if part and (answers + len(group.answers) > _ANSWERS or characters + size > _CHARACTERS):
            yield part
            part, answers, characters = [], 0, 0
        part.append(group)
        answers, characters = answers + len(group.answers), characters + size
    if part:
        yield part


def _body(group: Group) -> dict[str, Any]:
    body: dict[str, Any] = {
        "prompt": group.prompt,
        "references": [{"label": p.label, "explanation": p.explanation} for p in group.references],
        "answers": list(group.answers),
    }
    return body if group.finished is None else body | {"finished": list(group.finished)}


def _score(row: dict[str, Any], text: str) -> Score:
    spans = row["spans"]
    return Score(
        value=row["value"],
        reason=row["reason"],
        terms=row["terms"],
        matches=tuple(Match(**match) for match in row["matches"]),
        repeated=tuple(row["repeated"]),
        credits=tuple(span["credit"] for span in spans),
        segments=tuple(Segment(s["label"], text[s["start"] : s["end"]], s["start"], s["end"]) for s in spans),
        clusters=tuple(tuple(cluster) for cluster in row["clusters"]),
    )


def _detail(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.loads(error.read(10_000))["detail"])
    except (ValueError, KeyError, TypeError, OSError):
        return str(error.reason)


def _seconds(header: str | None) -> float:
    try:
        return float(header or 0)
    except ValueError:
        return 0.0
