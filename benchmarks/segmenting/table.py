"""Tables of a results file, for people and for docs/segmentation.md."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

READERS = ("simple", "overton")


def markdown(report: Mapping[str, Any]) -> str:
    """All tables of a report."""
    return "\n".join([*_recovery(report), "", *_prose(report), "", *_systems(report), "", *_same(report)])


def _recovery(report: Mapping[str, Any]) -> Iterator[str]:
    found = report["recovery"]
    yield (
        f"**Known perspectives found again** ({found['answers']} answers with {found['perspectives']:,} perspectives, "
        f"splits {', '.join(report['splits'])}): F1 of segments with exactly the right beginning and end, and the "
        "share of answers in which all are right and nothing else is a segment."
    )
    yield ""
    yield "| written as | form | F1, simple | F1, overton | all right, simple | all right, overton | labels, overton |"
    yield "|---|---|---|---|---|---|---|"
    for name, row in found["forms"].items():
        simple, own = (row[reader] for reader in READERS)
        labels = "" if own["labels"] is None else _share(own["labels"])
        cells = (row["group"], f"`{name}`", f"{simple['f1']:.3f}", f"{own['f1']:.3f}")
        yield f"| {' | '.join([*cells, _share(simple['all_right']), _share(own['all_right']), labels])} |"


def _prose(report: Mapping[str, Any]) -> Iterator[str]:
    found = report["prose"]
    yield (
        f"**Where a perspective begins in prose** ({found['answers']} answers of prompted models, {found['sentences']} "
        "sentences, labeled by one reader, a language model)"
    )
    yield ""
    yield "| answers of | reader | precision | recall | F1 |"
    yield "|---|---|---|---|---|"
    for part, rows in found.items():
        for reader in READERS if isinstance(rows, dict) else ():
            row = rows[reader]
            yield f"| {part} | {reader} | {row['precision']:.3f} | {row['recall']:.3f} | {row['f1']:.3f} |"


def _systems(report: Mapping[str, Any]) -> Iterator[str]:
    yield "**What logged answers are cut into**"
    yield ""
    heads = ("segments", "one segment only", "introduction is a segment", "closing is in a segment")
    yield f"| system | answers | {' | '.join(f'{head}, {reader}' for head in heads for reader in READERS)} |"
    yield "|---" * (2 + len(heads) * len(READERS)) + "|"
    for system, rows in report["systems"].items():
        cells = [f"{rows[reader]['segments']:.1f}" for reader in READERS]
        for key in ("one_segment", "introduction", "closing"):
            cells += [_share(rows[reader][key]) for reader in READERS]
        yield f"| {system} | {rows['overton']['answers']} | {' | '.join(cells)} |"


def _same(report: Mapping[str, Any]) -> Iterator[str]:
    yield '**Answers with "In the perspective of" that both readers cut alike, labels included**'
    yield ""
    yield "| system | answers | the same |"
    yield "|---|---|---|"
    for system, row in report["same"].items():
        yield f"| {system} | {row['answers']} | {row['same']} |"


def _share(value: float) -> str:
    return f"{100 * value:.1f}%"
