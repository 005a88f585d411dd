"""Clients of the soak test: what each of them asks, and what became of it."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import httpx2

from overton.segment import format_answer
from overton.types import Group, Perspective, Situation

SIBLINGS = 4
ODD: tuple[Any, ...] = ("", "\x00", "\ud800 half", None, "( " * 2000, "In the perspective of " * 200, "字 " * 500)
TRIES = 200  # of one request that is refused with 429 or 503; each waits for as long as it is told to


@dataclass
class Tally:
    """What all clients saw.

    Attributes:
        statuses: replies by route and status.
        sent: answers in requests that were to be scored, and rows that came back for them.
        lost: requests without a reply, or a reply with too few rows; and what happened.
        doubled: replies with too many rows.
        implicit: errors without code and detail, or another status than the wrong request asks for.
        seconds: of each reply with scores, from the first try on.
        scored: each group as it was scored, with the rows that came for it.
    """

    statuses: Counter[str] = field(default_factory=Counter)
    sent: int = 0
    received: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    implicit: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    first_try: list[float] = field(default_factory=list)
    scored: list[tuple[Group, list[Any]]] = field(default_factory=list)


class Client:
    """One client that asks until time is up.

    Args:
        number: of this client.
        seed: of all of them.
        http: connection pool with the server's address and the token.
        situations: what is asked about.
        tally: what it saw goes there.
    """

    def __init__(
        self, number: int, seed: int, http: httpx2.AsyncClient, situations: list[Situation], tally: Tally
    ) -> None:
        self.number = number
        self.random = random.Random(f"{seed} {number}")
        self.http = http
        self.situations = situations
        self.tally = tally
        self.step = 0

    async def run(self, until: float) -> None:
        """Ask one thing after the other."""
        kinds = [self.whole_group, self.one_by_one, self.openrlhf, self.wrong]
        while time.monotonic() < until:
            self.step += 1
            (kind,) = self.random.choices(kinds, weights=(4, 3, 3, 1))
            await kind()

    async def whole_group(self) -> None:
        """A group of some answers in one request."""
        situation, answers = self._group(self.random.randint(1, 8))
        reply = await self._score(_body(situation, answers), len(answers))
        if reply is not None:
            self._keep(situation, answers, reply["groups"][0])

    async def one_by_one(self) -> None:
        """A group of which each answer comes in a request of its own."""
        situation, answers = self._group(SIBLINGS)
        name = {"group": f"{self.number}-{self.step}", "size": SIBLINGS}
        replies = await asyncio.gather(*(self._score(_body(situation, [a], **name), 1) for a in answers))
        if None not in replies:
            # Their order in the group is that of their arrival, which no term depends on.
            self._keep(situation, answers, [reply["groups"][0][0] for reply in replies if reply is not None])

    async def openrlhf(self) -> None:
        """The samples of a prompt in one request, as OpenRLHF would send them; in one, since situations repeat."""
        situation, drawn = self._group(SIBLINGS)
        answers = [answer if isinstance(answer, str) else "" for answer in drawn]
        references = [{"label": p.label, "explanation": p.explanation} for p in situation.perspectives]
        body = {
            "query": [f"{situation.text}\n{answer}</s>" for answer in answers],
            "prompts": [f"{situation.text}\n"] * SIBLINGS,
            "labels": [{"references": references, "situation": situation.text}] * SIBLINGS,
        }
        started = time.monotonic()
        reply = await self._send("/get_reward", body)
        if reply is not None:
            self._count(SIBLINGS, len(reply["rewards"]), started)
            logs = reply["extra_logs"]
            rows = [
                {"value": None if unscored else reward, "scored_together": int(together)}
                for reward, unscored, together in zip(
                    reply["rewards"], logs["unscored"], logs["scored_together"], strict=True
                )
            ]
            self._keep(situation, [answer.strip() for answer in answers], rows)

    async def wrong(self) -> None:
        """A request that must be refused, and how."""
        situation, answers = self._group(1)
        body = _body(situation, answers)
        route, content, token, status = self.random.choice(
            [
                ("/score", b'{"groups": [', True, 422),
                ("/score", b"[" * 5000, True, 400),
                ("/score", _bytes({"group": []}), True, 422),
                ("/score", _bytes({"groups": [{**body["groups"][0], "answers": "text"}]}), True, 422),
                ("/score", _bytes({"groups": [{**body["groups"][0], "answers": ["a"] * 65}]}), True, 413),
                ("/score", b" " * 300_000, True, 413),
                ("/score", _bytes(body), False, 401),
                ("/get_reward", _bytes({"query": ["a"], "prompts": [], "labels": []}), True, 422),
                ("/nowhere", _bytes(body), True, 404),
            ]
        )
        headers = {"Content-Type": "application/json"}
        if not token:
            headers["Authorization"] = "Bearer wrong"
        try:
            reply = await self.http.post(route, content=content, headers=headers)
        except httpx2.HTTPError as error:
            self.tally.lost.append(f"wrong request to {route}, {status} wanted: {type(error).__name__}")
            return
        self.tally.statuses[f"{route} {reply.status_code}"] += 1
        if reply.status_code != status or set(reply.json()) != {"code", "detail"}:
            self.tally.implicit.append(f"{route}: {reply.status_code} instead of {status}")

    async def _score(self, body: dict[str, Any], count: int) -> dict[str, Any] | None:
        started = time.monotonic()
        reply = await self._send("/score", body)
        if reply is not None:
            self._count(count, sum(map(len, reply["groups"])), started)
        return reply

    async def _send(self, route: str, body: dict[str, Any]) -> dict[str, Any] | None:
        """The reply with scores; a request that is refused for now is sent again."""
        content = _bytes(body)
        for _ in range(TRIES):
            started = time.monotonic()
            try:
                reply = await self.http.post(route, content=content, headers={"Content-Type": "application/json"})
            except httpx2.HTTPError as error:
                self.tally.lost.append(f"{route}: {type(error).__name__}")
                return None
            self.tally.statuses[f"{route} {reply.status_code}"] += 1
            if reply.status_code == 200:
                self.tally.first_try.append(time.monotonic() - started)
                found: dict[str, Any] = reply.json()
                return found
            if reply.status_code not in (429, 503) or set(reply.json()) != {"code", "detail"}:
                self.tally.implicit.append(f"{route}: {reply.status_code} {reply.text[:200]}")
                return None
            await asyncio.sleep(float(reply.headers.get("Retry-After", 1)) * self.random.uniform(0.5, 1.5))
        self.tally.lost.append(f"{route}: refused {TRIES} times")
        return None

    def _count(self, sent: int, received: int, started: float) -> None:
        self.tally.sent += sent
        self.tally.received += received
        self.tally.seconds.append(time.monotonic() - started)
        if received < sent:
            self.tally.lost.append(f"{received} of {sent} rows")
        if received > sent:
            self.tally.doubled.append(f"{received} rows for {sent} answers")

    def _keep(self, situation: Situation, answers: list[Any], rows: list[Any]) -> None:
        self.tally.scored.append((Group(situation.text, situation.perspectives, tuple(answers)), rows))

    def _group(self, count: int) -> tuple[Situation, list[Any]]:
        situation = self.random.choice(self.situations)
        return situation, [self._answer(situation) for _ in range(count)]

    def _answer(self, situation: Situation) -> Any:
        """Some perspectives of the situation and of another one, some of them twice; now and then an odd text."""
        if self.random.random() < 0.03:
            return self.random.choice(ODD)
        other = self.random.choice(self.situations)
        pool: list[Perspective] = [*situation.perspectives, *situation.perspectives, *other.perspectives]
        chosen = self.random.sample(pool, self.random.randint(1, min(6, len(pool))))
        return format_answer(chosen, ", ".join(p.label for p in chosen if self.random.random() < 0.8) + ".")


def _body(situation: Situation, answers: list[Any], **name: Any) -> dict[str, Any]:
    references = [{"label": p.label, "explanation": p.explanation} for p in situation.perspectives]
    return {"groups": [{"prompt": situation.text, "references": references, "answers": answers, **name}]}


def _bytes(body: Any) -> bytes:
    return json.dumps(body).encode()
