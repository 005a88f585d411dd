"""Credit per perspective: from one number a segment to one advantage a token.

GRPO gives every token of an answer the same advantage. Here the tokens of a segment also learn whether *that*
segment stated something new and relevant, and the decision to go on or to stop learns what came of it.

For segment t of an answer with T segments, h_t = 1 when it matched something new and 0 otherwise:

    tokens of segment t              h_t - mean of h_t over the batch's answers that have a segment t
    token that opens segment t       G_t - mean of G_t over the batch's answers that reached decision t
    tokens after the last segment    0   - the same mean for decision T (to stop earns nothing more)

with G_t = g_t + ... + g_{T-1} the return from there on, g = 1 for a new match and -c for anything else. Going on
pays when the chance of a new match exceeds c / (1 + c). The F-measure is largest when every segment with a chance
above F / 2 is kept (Lipton, Elkan and Naryanaswamy 2014, arXiv 1402.1892), so c = F / (2 - F) with F that of the
batch: a policy that matches little is not driven to silence, and one that matches much has to be precise.
Baselines by position keep late segments, which repeat more often, from teaching the policy to write short answers.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from overton.segment import OPENER
from overton.types import Segment


import os
DISCOUNT = float(os.environ.get('OV_GAMMA', '0.9'))


def miss_cost(f: float) -> float:
    """Cost c of a segment without a new match that makes stopping right below a chance of ``f / 2``."""
    lam = os.environ.get('OV_COST')
    return float(lam) if lam else f / (2.0 - f)


def line_advantages(credits: Sequence[Sequence[float]], cost: float) -> tuple[list[list[float]], list[list[float]]]:
    """Advantages of segments and of decisions, relative to the batch.

    Args:
        credits: for each answer the credit of each segment; above 0 means a new match.
        cost: what a segment without a new match costs the decision to write it, 0 to 1.

    Returns:
        For each answer with T segments: T segment advantages, and T + 1 decision advantages (the last one is the
        decision to stop).
    """
    hits = [[float(v > 0) for v in c] for c in credits]
    longest = max((len(h) for h in hits), default=0)
    returns = [_returns(h, cost) for h in hits]
    segment_mean = [np.mean([g[t] for g in returns if len(g) > t + 1]) for t in range(longest)]
    return_mean = [np.mean([g[t] for g in returns if len(g) > t]) for t in range(longest + 1)]
    segments = [[float(v - segment_mean[t]) for t, v in enumerate(g[:-1])] for g in returns]
    decisions = [[float(v - return_mean[t]) for t, v in enumerate(g)] for g in returns]
    return segments, decisions


def _returns(hits: Sequence[float], cost: float) -> list[float]:
    total, out = 0.0, [0.0]
    for hit in reversed(hits):
        total = (1.0 if hit else -cost) + DISCOUNT * total
        out.append(total)
    return out[::-1]


def token_advantages(
    spans: Sequence[tuple[int, int]],
    found: Sequence[Segment],
    segments: Sequence[float],
    decisions: Sequence[float],
) -> npt.NDArray[np.float32]:
    """Spread the advantages of one answer over its tokens.

    Args:
        spans: (start, end) characters of each token in the answer.
        found: the answer's segments.
        segments: one advantage a segment.
        decisions: one more than segments, as :func:`line_advantages` gives them.

    Returns:
        (tokens,) float32; 0 for tokens that belong to no segment and are no decision.
    """
    out = np.zeros(len(spans), dtype=np.float32)
    if not found:
        return out
    stopped = False
    for index, (start, end) in enumerate(spans):
        if end <= start:
            continue
        hit = next((i for i, s in enumerate(found) if s.start <= start < s.end), None)
        if hit is None:
            # The first token after the last segment, white space apart, is the decision to stop.
            if start >= found[-1].end and end > found[-1].end + 1 and not stopped:
                out[index] = decisions[-1]
                stopped = True
            continue
        opening = found[hit].label and start < found[hit].start + len(OPENER)
        out[index] = decisions[hit] if opening else segments[hit]
    return out


def token_spans(ids: Sequence[int], text: str, pieces: dict[int, int], decode: object) -> list[tuple[int, int]]:
    """Character span of each token in the decoded text.

    Args:
        ids: token ids of a completion.
        text: the whole completion, decoded.
        pieces: cache of decoded lengths, filled here.
        decode: function from a list of ids to text, special tokens skipped.

    Returns:
        One (start, end) a token. Where tokens do not decode one by one (split UTF-8 characters), prefixes are
        decoded instead, which is slower and exact.
    """
    assert callable(decode)
    for token in set(ids):
        if token not in pieces:
            pieces[token] = len(decode([token]))
    ends = np.cumsum([pieces[token] for token in ids]).tolist()
    if ids and ends[-1] != len(text):
        ends = [len(decode(list(ids[: i + 1]))) for i in range(len(ids))]
    return list(zip([0, *ends[:-1]], ends, strict=True))
