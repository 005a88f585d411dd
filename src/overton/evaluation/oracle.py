"""The bundled world's oracle as an evaluator: rows of ``evaluation/SYSTEM.oracle.jsonl``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from overton.evaluation.diversity import coverage_by_k, stated_by_k
from overton.types import Answer, Situation

METRICS = (
    "oracle_coverage",
    "oracle_precision",
    "oracle_uniqueness",
    "oracle_f1",
    "oracle_set_f1",
    "oracle_absolute_coverage",
    "oracle_coverage_at_references",
)
_WORLD_KEYS = ("kind", "domain", "circumstances", "actor", "affected", "thing", "act")


def is_world(situations: Sequence[Situation]) -> bool:
    """Whether all situations come from the bundled world, with all that the oracle has to know about them."""
    return bool(situations) and all(
        all(key in s.metadata for key in _WORLD_KEYS) and all(p.cluster for p in s.perspectives) for s in situations
    )


def oracle_row(answer: Answer, situation: Situation) -> dict[str, Any]:
    """One answer judged against the truth.

    Raises:
        DataError: the situation is not one of the bundled world's.
    """
    from overton.data.world.oracle import judge

    verdict = judge(situation, answer.answer)
    wanted = {p.cluster for p in situation.perspectives}
    stated = [s.cluster if s.verdict in ("matched", "repeated") else None for s in verdict.segments]
    firsts = [stated.index(c) if c in stated else None for c in wanted]
    return {
        "id": answer.id,
        "coverage": verdict.coverage,
        "precision": verdict.precision,
        "uniqueness": verdict.uniqueness,
        "f1": verdict.f1,
        "set_f1": verdict.set_f1,
        "absolute_coverage": int(verdict.coverage == 1),
        **coverage_by_k(stated_by_k(firsts, len(stated)), len(wanted)),
        "perspectives": len(verdict.segments),
        "segments": [
            {
                "label": s.label,
                "explanation": s.explanation,
                "start": s.start,
                "end": s.end,
                "verdict": s.verdict,
                "cluster": s.cluster,
            }
            for s in verdict.segments
        ],
        "missed": list(verdict.missed),
        "reason": "" if verdict.segments else "the answer states nothing",
    }
