"""A reward that is scored elsewhere: the client of ``overton serve reward``, in the place of an ``OvertonReward``."""

from __future__ import annotations

import http.client
import json
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from overton.address import check_address, is_loopback
from overton.errors import RecipeError, RunError
from overton.rewards.plan import unscorable
from overton.rewards.references import checked_groups
from overton.types import Group, Match, Score, Segment

# Of one request: far below what a server takes by default (1024 answers, 8 MiB).
_ANSWERS, _BYTES = 256, 2_000_000
_AT_ONCE = 4
_AGAIN = {408, 429, 500, 502, 503, 504}
_LONGEST_WAIT = 30.0
FAILED = "scoring failed with"  # begins the reason of an answer on which the server met an exception
_HALF = re.compile("[\ud800-\udfff]")  # half a character has no bytes of its own; the reward replaces it alike
_OF_GROUP = "groups[0]."  # begins the server's words when something in the group is too large, and not the request


class _TooLarge(RunError):
    """The server takes no request, or no group, of this size."""

    def __init__(self, url: str, detail: str) -> None:
        super().__init__(f"{url}: refused with 413: {detail}")
        self.detail = detail


class RemoteReward:
    """Scores groups of answers at a reward server; the server's preset and estimator are what counts.

    Args:
        url: of the server, such as ``http://localhost:8311``.
        token_env: environment variable with its token; ``""`` = it wants none.
        timeout: seconds to wait for one reply.
        retries: after a lost connection, a timeout, 429 or 5xx; the waits double from half a second to 30 seconds.

    Raises:
        RecipeError: no usable address, or the variable is not set or holds what is no token.
    """

    def __init__(self, url: str, token_env: str = "", timeout: float = 180.0, retries: int = 8) -> None:
        try:
            check_address(url, "placement")
        except ValueError as error:
            raise RecipeError(f"reward: {error}") from None
        token = os.environ.get(token_env, "").strip() if token_env else ""  # files of secrets end with a line break
        if token_env and not token:
            raise RecipeError(f"reward.token_env: the environment variable {token_env} is not set")
        if not (token.isascii() and token.isprintable()):  # a header cannot hold it
            raise RecipeError(f"reward.token_env: {token_env} holds more than a token: printable ASCII is wanted")
        self.url = url.rstrip("/")
        self.timeout = timeout
        self.retries = retries
        self._token = token

    def check(self) -> None:
        """See that the server answers and takes the token, without a second try.

        Raises:
            RunError: it does not.
        """
        self._post([], retries=0)

    def score(self, groups: Sequence[Group]) -> list[list[Score]]:
        """One list a group, one score an answer, in order; what could not be scored has a reason.

        A group whose prompt or references are beyond the server's limits has no scores. A segment's ``explanation`` is
        its whole text, label and introduction too: the server sends offsets and labels.

        Raises:
            DataError: as :func:`~overton.rewards.references.checked_groups` raises.
            RunError: the server refuses, cannot be reached after all tries, replies as another version does, or meets
                an exception on every answer.
        """
        groups = checked_groups(groups)
        found: dict[int, list[Score]] = {}
        bodies: dict[int, bytes] = {}
        for index, group in enumerate(groups):
            reasons = [unscorable(group, answer) for answer in group.answers]
            if all(reasons):  # of no answers too: the server has nothing to say about them
                found[index] = [Score(None, reason) for reason in reasons]
            else:
                bodies[index] = _body(group)
        parts = list(_parts(groups, bodies))
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for part, scores in zip(parts, pool.map(lambda own: self._ask(groups, bodies, own), parts), strict=True):
                found |= dict(zip(part, scores, strict=True))
        reasons = [score.reason for index in bodies for score in found[index]]
        if reasons and all(reason.startswith(FAILED) for reason in reasons):
            raise RunError(f"{self.url}: not one of {len(reasons)} answers has a score ({reasons[0]}); see its log")
        return [found[index] for index in range(len(groups))]

    def _ask(self, groups: Sequence[Group], bodies: Mapping[int, bytes], part: list[int]) -> list[list[Score]]:
        """Scores of some groups; halves are sent where the whole is too much, down to the group that is to blame."""
        try:
            reply = self._post([bodies[index] for index in part], self.retries)
        except _TooLarge as refusal:
            if len(part) > 1:
                middle = len(part) // 2
                return self._ask(groups, bodies, part[:middle]) + self._ask(groups, bodies, part[middle:])
            if not refusal.detail.startswith(_OF_GROUP):
                raise
            return [[Score(None, refusal.detail.removeprefix(_OF_GROUP))] * len(groups[part[0]].answers)]
        if len(reply) != len(part):
            raise RunError(f"{self.url}: {len(reply)} groups came back for {len(part)}; is it an overton server?")
        try:
            return [_scores(groups[index], rows) for index, rows in zip(part, reply, strict=True)]
        except (ValueError, KeyError, TypeError) as error:
            raise RunError(
                f"{self.url}: a score is not in the form of this version of overton ({error!r}); run the same "
                "version there"
            ) from None

    def _post(self, bodies: Sequence[bytes], retries: int) -> list[Any]:
        headers = {"Content-Type": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        data = b'{"groups": [' + b", ".join(bodies) + b"]}"
        request = urllib.request.Request(f"{self.url}/score", data, headers)
        # A proxy has no way to this machine, and is to see neither the texts nor the token.
        send = _direct().open if is_loopback(self.url) else urllib.request.urlopen
        wait, reason = 0.5, ""
        for attempt in range(retries + 1):
            try:
                with send(request, timeout=self.timeout) as reply:
                    found = json.load(reply)
                return list(found["groups"])
            except urllib.error.HTTPError as error:
                reason = _detail(error)
                if error.code == 413:
                    raise _TooLarge(self.url, reason) from None
                if error.code not in _AGAIN:
                    raise RunError(f"{self.url}: refused with {error.code}: {reason}") from None
                wait = max(wait, _seconds(error.headers.get("Retry-After")))
            except (OSError, http.client.HTTPException) as error:
                cause = getattr(error, "reason", None) or error
                reason = str(cause) or type(cause).__name__
                if type(cause) in (ConnectionResetError, BrokenPipeError):  # so ends a body that is refused half-way
                    reason += f"; the body has {len(data):,} bytes, maybe more than the server takes (--max-body)"
            except (ValueError, KeyError, TypeError):
                raise RunError(f"{self.url}/score: the reply is not that of an overton reward server") from None
            if attempt < retries:
                time.sleep(min(wait, _LONGEST_WAIT))
                wait *= 2
        if proxy := _proxy(self.url):
            reason += f"; asked through the proxy {proxy}, and NO_PROXY names the hosts that are asked without it"
        raise RunError(
            f"{self.url}: no scores after {retries + 1} tries ({reason}). Start it with `overton serve reward`, "
            "and run the same command again."
        )


@cache
def _direct() -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(urllib.request.ProxyHandler({}))


def _proxy(url: str) -> str:
    """Host and port of the proxy that urllib takes to an address, without its password; ``""`` for none."""
    parts = urlsplit(url)
    proxy = urllib.request.getproxies().get(parts.scheme, "")
    if not proxy or is_loopback(url) or urllib.request.proxy_bypass(parts.netloc):
        return ""
    return proxy.rpartition("@")[2].rpartition("//")[2].rstrip("/")


def _parts(groups: Sequence[Group], bodies: Mapping[int, bytes]) -> Iterator[list[int]]:
    """Indices of the groups that go into one request; a group is never torn."""
    part: list[int] = []
    answers = size = 0
    for index, body in bodies.items():
        count = len(groups[index].answers)
        if part and (answers + count > _ANSWERS or size + len(body) > _BYTES):
            yield part
            part, answers, size = [], 0, 0
        part.append(index)
        answers, size = answers + count, size + len(body)
    if part:
        yield part


def _body(group: Group) -> bytes:
    body: dict[str, Any] = {
        "prompt": group.prompt,
        "references": [{"label": p.label, "explanation": p.explanation} for p in group.references],
        "answers": [answer if isinstance(answer, str) else None for answer in group.answers],
    }
    if group.finished is not None:
        body["finished"] = [bool(value) for value in group.finished]
    return _HALF.sub("\ufffd", json.dumps(body, ensure_ascii=False)).encode()


def _scores(group: Group, rows: Sequence[dict[str, Any]]) -> list[Score]:
    return [
        _score(row, answer) if isinstance(answer, str) else Score(None, unscorable(group, answer))
        for row, answer in zip(rows, group.answers, strict=True)
    ]


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
