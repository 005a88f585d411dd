"""OpenRLHF's protocol: ``--reward.remote_url http://127.0.0.1:8311/get_reward``.

It asks for one answer a request and then wants numbers; lists, which it wants of several answers, would give its
tensors a dimension too many. It breaks when a request fails five times, so a bad row costs its own score only.
"""

from __future__ import annotations

from typing import Any

from overton.errors import DataError
from overton.integrations.common import log_unscored
from overton.integrations.openrlhf import read_sample
from overton.serving.errors import Invalid, Refusal, TooLarge
from overton.serving.jobs import Asked
from overton.serving.rows import Row, unscored
from overton.serving.schema import OpenRLHFRequest, check_texts
from overton.serving.service import ScoringService
from overton.serving.settings import ServeSettings


async def get_reward(service: ScoringService, body: OpenRLHFRequest) -> dict[str, Any]:
    """The reply to one request. OpenRLHF knows no missing reward: 0, with ``unscored`` 1 and the reason in the log.

    Raises:
        Refusal: as :meth:`ScoringService.score`, the lists differ in length, a term compares the answers of a group
            and each is scored alone, or not one of the first 32 rows could be read.
    """
    if why := why_alone_is_wrong(service):
        raise Invalid(why)
    queries, prompts, labels = body.query, body.prompts, body.labels
    if not len(queries) == len(prompts) == len(labels):
        raise Invalid(
            f"{len(queries)} entries in query, {len(prompts)} in prompts, {len(labels)} in labels; one each is wanted"
        )
    rows: dict[int, Row] = {}
    asked: dict[int, Asked] = {}
    for index, sample in enumerate(zip(queries, prompts, labels, strict=True)):
        try:
            asked[index] = _read(*sample, service.settings)
            service.first_rows.readable()
        except (DataError, Refusal, RecursionError) as error:
            if isinstance(error, DataError):
                _refuse_all(service, error)
            rows[index] = unscored(str(error))
            service.metrics.answers.labels("unscored").inc()
    found = await service.score(list(asked.values()))
    rows |= {index: own[0] for index, own in zip(asked, found, strict=True)}
    ordered = [rows[index] for index in range(len(queries))]
    for row in ordered:
        if row["value"] is None:
            log_unscored(row["reason"])
    rewards = [row["value"] or 0.0 for row in ordered]
    logs = {name: [row["terms"].get(name, 0.0) for row in ordered] for name in service.about.terms}
    logs["unscored"] = [float(row["value"] is None) for row in ordered]
    logs["scored_together"] = [float(row.get("scored_together", 0)) for row in ordered]
    scores = [min(1.0, max(0.0, reward)) for reward in rewards]
    if len(ordered) == 1:
        return {"rewards": rewards[0], "scores": scores[0], "extra_logs": {name: own[0] for name, own in logs.items()}}
    return {"rewards": rewards, "scores": scores, "extra_logs": logs}


def _refuse_all(service: ScoringService, error: DataError) -> None:
    """Where no row could be read at all."""
    try:
        service.first_rows.unreadable(error)
    except DataError as all_of_them:
        raise Invalid(str(all_of_them)) from None


def why_alone_is_wrong(service: ScoringService) -> str:
    """Why ``/get_reward`` cannot score with this reward and ``--group-size``, ``""`` when it can."""
    compares = service.about.compares
    if not compares or service.settings.group_size > 1:
        return ""
    return (
        f"`{compares}` compares the answers of a group, and /get_reward scores each answer alone, so it would add a "
        "constant: start the server with --group-size and the number of samples a prompt, or switch the term off"
    )


def _read(query: Any, prompt: Any, label: Any, limits: ServeSettings) -> Asked:
    for name, text, most in (("prompts", prompt, limits.max_chars), ("query", query, 2 * limits.max_chars)):
        if isinstance(text, str) and len(text) > most:
            raise TooLarge(f"{name}: {len(text)} characters, and at most {most} are taken (--max-chars)")
    sample = read_sample(query, prompt, label)
    together = limits.group_size > 1
    # All samples of a prompt share its text and label, and OpenRLHF tells nothing else of them.
    group = (sample.prompt, sample.references) if together else None
    asked = Asked(sample.prompt, sample.references, sample.answers, None, group, limits.group_size)
    check_texts(asked, "label", limits)
    return asked
