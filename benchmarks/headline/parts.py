"""What is made for the table, and in which order: whatever has all that it needs, as soon as a worker is free."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from pathlib import Path
from typing import NamedTuple

from headline.systems import POLICIES, SYSTEMS
from overton.rundir import RunDir


class Part(NamedTuple):
    """What one worker makes: a seed's data and models of the judges, one policy, or one system's answers.

    Attributes:
        seed: its number.
        kind: ``prepare``, ``policy`` or ``answers``.
        name: of the policy or system.
    """

    seed: int
    kind: str
    name: str = ""


def parts_of(systems: Collection[str], seeds: Collection[int], ablations: Collection[int]) -> dict[Part, set[Part]]:
    """Every part, with the parts that must be there before it; the headline's first, then the ablations'.

    Args:
        systems: names of those wanted.
        seeds: numbers.
        ablations: of ``seeds``, those that have ablations too.
    """
    parts: dict[Part, set[Part]] = {}
    wanted = [system for name, system in SYSTEMS.items() if name in systems]
    for kind, numbers in (("main", seeds), ("ablation", [seed for seed in seeds if seed in ablations])):
        for seed in numbers:
            ready = Part(seed, "prepare")
            parts.setdefault(ready, set())
            for system in (s for s in wanted if s.part == kind):
                policies = [Part(seed, "policy", name) for name in system.policies]
                for policy in policies:
                    start = POLICIES[policy.name].start
                    if start:
                        parts.setdefault(policy._replace(name=start), {ready})
                    parts.setdefault(policy, {policy._replace(name=start)} if start else {ready})
                # Systems that ask one policy in the same way find each other's replies.
                alike = [s.name for s in wanted if (s.model, s.strategy) == (system.model, system.strategy)]
                before = {system.as_long_as} & {*systems} | {*alike[: alike.index(system.name)][:1]}
                parts[Part(seed, "answers", system.name)] = {*policies, *(Part(seed, "answers", n) for n in before)}
    return parts


def missing_lengths(systems: Collection[str], seeds: Collection[int], runs: Path) -> list[tuple[str, int]]:
    """Systems, with the seed, that are as long as answers neither finished under ``runs`` nor to be made."""
    return [
        (name, seed)
        for name in systems
        for seed in seeds
        if (other := SYSTEMS[name].as_long_as)
        and other not in systems
        and (RunDir(runs / f"seed-{seed}" / "answers").manifest(other) or {}).get("status") != "complete"
    ]


def made(
    parts: Mapping[Part, Collection[Part]], pool: Executor, jobs: int, make: Callable[[Part], None]
) -> Iterator[Part]:
    """Have every part made, and yield each when it is finished.

    Args:
        parts: as of ``parts_of``.
        pool: its workers.
        jobs: how many of them; no more are given work at a time, so that the order holds.
        make: called with a part by a worker.

    Raises:
        Exception: of ``make``. What is being made by other workers is not waited for here.
    """
    left, finished, running = dict(parts), set[Part](), dict[Future[None], Part]()
    while left or running:
        ready = [part for part, needs in left.items() if finished.issuperset(needs)]
        for part in ready[: jobs - len(running)]:
            del left[part]
            running[pool.submit(make, part)] = part
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            future.result()
            part = running.pop(future)
            finished.add(part)
            yield part
