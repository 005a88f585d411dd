"""The responses in a reply of verbalized sampling."""

from __future__ import annotations

import json
import re
from typing import Any

# One whole response of JSON that is none: cut off, with a comma too many, in several blocks, or with "40%".
_RESPONSE = re.compile(
    r'"(?:text|response)"\s*:\s*(?P<text>"(?:[^"\\]|\\.)*+")'
    r'(?:\s*,\s*"probability"\s*:\s*(?P<probability>\d*\.?\d+)(?P<percent>\s*%)?)?',
    re.DOTALL,
)


def read_responses(text: str) -> list[tuple[str, float | None]]:
    """Responses and probabilities in a verbalized reply: JSON, perhaps within other text or a code block.

    JSON that is broken is read as far as its responses are whole.

    Args:
        text: a reply.

    Returns:
        Each response on one line, and its probability, ``None`` where that is no number from 0 to 1. Nothing when the
        reply cannot be read.
    """
    broken = [said for match in _RESPONSE.finditer(text) if (said := _broken_response(match))]
    for opening, closing in ("{}", "[]"):
        start, end = text.find(opening), text.rfind(closing)
        if start < 0 or end < start:
            continue
        try:
            rows = json.loads(text[start : end + 1])
        except (ValueError, RecursionError):
            continue
        rows = rows.get("responses") if isinstance(rows, dict) else rows
        found = [said for row in rows if (said := _response(row))] if isinstance(rows, list) else []
        if found and len(found) >= len(broken):
            return found
    return broken


def _response(row: Any) -> tuple[str, float | None] | None:
    text = (row.get("text") or row.get("response")) if isinstance(row, dict) else row
    if not isinstance(text, str) or not text.strip():
        return None
    probability = row.get("probability") if isinstance(row, dict) else None
    known = isinstance(probability, int | float) and not isinstance(probability, bool) and 0 <= probability <= 1
    return " ".join(text.split()), float(probability) if known else None  # type: ignore[arg-type]


def _broken_response(match: re.Match[str]) -> tuple[str, float | None] | None:
    try:
        text = json.loads(match["text"], strict=False)  # models break lines within a text
    except ValueError:
        return None
    probability = float(match["probability"]) / (100 if match["percent"] else 1) if match["probability"] else None
    return _response({"text": text, "probability": probability})
