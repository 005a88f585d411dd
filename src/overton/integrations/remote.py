"""A reward that is scored elsewhere: the client of ``overton serve reward``, in the place of an ``OvertonReward``."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from overton.address import check_address
from overton.errors import RecipeError, RunError
from overton.integrations.remote_http import AT_ONCE, Again, Pace, TooLarge, post, proxy_of
from overton.rewards.plan import unscorable
from overton.rewards.references import checked_groups
from overton.types import Group, Match, Score, Segment

# Of one request: far below what a server takes by default (1024 answers, 8 MiB).
_ANSWERS, _BYTES = 256, 2_000_000
_FEWEST = 32  # answers of a request of the next call, after the server was slow
_LONGEST_WAIT = 30.0
FAILED = "scoring failed with"  # begins the reason of an answer on which the server met an exception
_HALF = re.compile("[\ud800-\udfff]")  # half a character has no bytes of its own; the reward replaces it alike
_OF_GROUP = "groups[0]."  # begins the server's words when something in the group is too large, and not the request


class RemoteReward:
    """Scores groups of answers at a reward server; the server's preset and estimator are what counts.

    Args:
        url: of the server, such as ``http://localhost:8311``.
        token_env: environment variable with its token; ``""`` = it wants none.
        timeout: seconds to wait for one reply.
        retries: after a lost connection, a timeout, 429 or 5xx; the waits double from half a second to 30 seconds.
            After a timeout or 503 half as many answers are sent, and half as many requests at a time. A try during
            which the server replied to another request of the same call does not count.

    Attributes:
        identity: of the server's reward, once it replied; ``""`` where the server does not say.

    Raises:
        RecipeError: no usable address, or the variable is not set or holds what is no token.
    """

    def __init__(self, url: str, token_env: str = "", timeout: float = 180.0, retries: int = 8) -> None:
        try:
            check_address(url, "the reward server's address", 8311, "")
        except ValueError as error:
            raise RecipeError(str(error)) from None
        token = os.environ.get(token_env, "").strip() if token_env else ""  # files of secrets end with a line break
        if token_env and not token:
            raise RecipeError(f"reward.token_env: the environment variable {token_env} is not set")
        if not (token.isascii() and token.isprintable()):  # a header cannot hold it
            raise RecipeError(f"reward.token_env: {token_env} holds more than a token: printable ASCII is wanted")
        self.url = url.rstrip("/")
        self.timeout = timeout
        self.retries = retries
        self._token = token
        self.identity = ""
        self._most = _ANSWERS

    def check(self) -> None:
        """See that the server answers and takes the token, without a second try.

        Raises:
            RunError: it does not.
        """
        try:
            self._post([])
        except Again as fault:
            raise self._none(1, str(fault)) from None

    def score(self, groups: Sequence[Group]) -> list[list[Score]]:
        """One list a group, one score an answer, in order; what could not be scored has a reason.

        A group whose prompt or references are beyond the server's limits has no scores. A segment's ``explanation`` is
        its whole text, label and introduction too: the server sends offsets and labels.

        Raises:
            DataError: as :func:`~overton.rewards.references.checked_groups` raises.
            RunError: the server refuses, cannot be reached after all tries, replies as another version does, meets an
                exception on every answer, or has another reward than before.
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
        parts, pace = list(_parts(groups, bodies, self._most)), Pace()
        with ThreadPoolExecutor(AT_ONCE) as pool:
            asked = pool.map(lambda own: self._ask(groups, bodies, own, pace), parts)
            for part, scores in zip(parts, asked, strict=True):
                found |= dict(zip(part, scores, strict=True))
        reasons = [score.reason for index in bodies for score in found[index]]
        if reasons and all(reason.startswith(FAILED) for reason in reasons):
            raise RunError(f"{self.url}: not one of {len(reasons)} answers has a score ({reasons[0]}); see its log")
        return [found[index] for index in range(len(groups))]

    def _ask(
        self,
        groups: Sequence[Group],
        bodies: Mapping[int, bytes],
        part: list[int],
        pace: Pace,
        tries: int = 0,
        wait: float = 0.5,
    ) -> list[list[Score]]:
        """Scores of some groups; halves are sent where the whole is too much, down to the group that is to blame."""

        def halves() -> list[list[Score]]:
            middle = len(part) // 2
            both = (part[:middle], part[middle:])
            return [scores for half in both for scores in self._ask(groups, bodies, half, pace, tries, wait)]

        while True:
            replies = pace.replies
            try:
                with pace:
                    reply = self._post([bodies[index] for index in part])
                break
            except TooLarge as refusal:
                if len(part) > 1:
                    return halves()
                if not refusal.detail.startswith(_OF_GROUP):
                    raise
                return [[Score(None, refusal.detail.removeprefix(_OF_GROUP))] * len(groups[part[0]].answers)]
            except Again as fault:
                # A server that replied to other parts meanwhile is slow, and not away.
                tries += pace.replies == replies
                if tries > self.retries:
                    raise self._none(tries, str(fault)) from None
                wait = max(wait, fault.wait)
                time.sleep(min(wait, _LONGEST_WAIT))
                wait *= 2
                if fault.slow:
                    pace.slower()
                    if len(part) > 1:
                        answers = sum(len(groups[index].answers) for index in part)
                        self._most = min(self._most, max(_FEWEST, answers // 2))
                        return halves()
        if len(reply) != len(part):
            raise RunError(f"{self.url}: {len(reply)} groups came back for {len(part)}; is it an overton server?")
        try:
            return [_scores(groups[index], rows) for index, rows in zip(part, reply, strict=True)]
        except (ValueError, KeyError, TypeError) as error:
            raise RunError(
                f"{self.url}: a score is not in the form of this version of overton ({error!r}); run the same "
                "version there"
            ) from None

    def _post(self, bodies: Sequence[bytes]) -> list[Any]:
        found = post(f"{self.url}/score", b'{"groups": [' + b", ".join(bodies) + b"]}", self._token, self.timeout)
        try:
            groups, identity = list(found["groups"]), str(found.get("reward", ""))
        except (AttributeError, KeyError, TypeError):
            raise RunError(f"{self.url}/score: the reply is not that of an overton reward server") from None
        if self.identity and identity != self.identity:
            raise RunError(
                f"{self.url}: the server's reward is another one than before (now {identity[:12] or 'unknown'}, before "
                f"{self.identity[:12]}). Start it with the model and the settings of then, and run the same command "
                "again."
            )
        self.identity = identity
        return groups

    def _none(self, tries: int, reason: str) -> RunError:
        if proxy := proxy_of(self.url):
            reason += f"; asked through the proxy {proxy}, and NO_PROXY names the hosts that are asked without it"
        return RunError(
            f"{self.url}: no scores after {tries} tries ({reason}). Start it with `overton serve reward`, "
            "and run the same command again."
        )


def _parts(groups: Sequence[Group], bodies: Mapping[int, bytes], most: int) -> Iterator[list[int]]:
    """Indices of the groups that go into one request; a group is never torn."""
    part: list[int] = []
    answers = size = 0
    for index, body in bodies.items():
        count = len(groups[index].answers)
        if part and (answers + count > most or size + len(body) > _BYTES):
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
