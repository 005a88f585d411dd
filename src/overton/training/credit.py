"""Credit per perspective: from one number a segment to one advantage a token.

GRPO gives every token of an answer the same advantage. Here the tokens of a segment also learn whether *that*
segment stated something new and relevant and what came after it, and the decision to go on or to stop learns
what came of it.

With c_t the credit of segment t of an answer with T segments (+1 a new match, a miss less), the return is

    G_t = c_t + discount * G_{t+1},    G_T = 0

and, relative to the batch,

    tokens of segment t              G_t - mean of G_t over the answers that have a segment t
    token that opens segment t       G_t - mean of G_t over the answers that reached decision t
    token that closes the list, or   0   - the same mean for decision T: to stop earns nothing more
      ends the answer right there

so going on pays while the next segment is likely enough a new match: more likely than not where a miss has -1
(:func:`new_matches`). The return matters for the
label too: in a list with an order, jumping ahead gives up what is skipped. Baselines by position keep late
segments, which repeat more often, from teaching the policy to write short answers. (REINFORCE with
reward-to-go and a baseline, Williams 1992, applied to segments.)
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise

import numpy as np
import numpy.typing as npt

from overton.segment import OPENER
from overton.types import Segment


def line_advantages(credits: Sequence[Sequence[float]], discount: float) -> tuple[list[list[float]], list[list[float]]]:
    """Advantages of segments and of decisions, relative to the batch.

    Args:
        credits: for each answer the credit of each segment.
        discount: weight of what comes after a segment, 0 to 1.

    Returns:
        For each answer with T segments: T segment advantages, and T + 1 decision advantages (the last one is
        the decision to stop).
    """
    if not credits:
        return [], []
    returns = [_returns(c, discount) for c in credits]
    longest = max((len(c) for c in credits), default=0)
    segment_mean = [np.mean([g[t] for g in returns if len(g) > t + 1]) for t in range(longest)]
    decision_mean = [np.mean([g[t] for g in returns if len(g) > t]) for t in range(longest + 1)]
    segments = [[float(v - segment_mean[t]) for t, v in enumerate(g[:-1])] for g in returns]
    decisions = [[float(v - decision_mean[t]) for t, v in enumerate(g)] for g in returns]
    return segments, decisions


def _returns(credits: Sequence[float], discount: float) -> list[float]:
    out = [0.0]
    for credit in reversed(credits):
        out.append(credit + discount * out[-1])
    return out[::-1]


def new_matches(credits: Sequence[Sequence[float]]) -> tuple[float, float]:
    """Share of the segments that are new matches, and the share above which one more segment pays.

    With a credit m below 0 for a miss, a segment that is a new match with probability p earns p + (1 - p) m, which is
    above 0 for p > m / (m - 1). A policy below that share learns to say less.

    Args:
        credits: for each answer the credit of each segment, 1 for a new match.

    Returns:
        Two shares from 0 to 1; (1, 0) without a segment, and the second is 0 where no segment has a credit below 0.
    """
    flat = [credit for answer in credits for credit in answer]
    if not flat:
        return 1.0, 0.0
    worst = min(0.0, *flat)
    return sum(credit > 0 for credit in flat) / len(flat), worst / (worst - 1)


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
    starts = [segment.start for segment in found]
    for index, (start, end) in enumerate(spans):
        if end <= start:  # a special token; the first after the last segment ends the answer, which stops as well
            if start >= found[-1].end and not stopped:
                out[index] = decisions[-1]
                stopped = True
            continue
        hit = bisect_right(starts, start) - 1
        if hit < 0 or start >= found[hit].end:
            # The first token after the last segment, white space apart, is the decision to stop.
            if start >= found[-1].end and end > found[-1].end + 1 and not stopped:
                out[index] = decisions[-1]
                stopped = True
            continue
        opening = found[hit].label and start < found[hit].start + len(OPENER)
        out[index] = decisions[hit] if opening else segments[hit]
    return out


def token_spans(
    ids: Sequence[int], text: str, pieces: dict[int, int], decode: Callable[[list[int]], str]
) -> list[tuple[int, int]]:
    """Character span of each token in the decoded text.

    Args:
        ids: token ids of a completion.
        text: the whole completion, decoded.
        pieces: cache of decoded lengths, filled here.
        decode: function from a list of ids to text, special tokens skipped.

    Returns:
        One (start, end) a token. Where tokens do not decode one by one (split UTF-8 characters), they are decoded
        with those before them; tokens that share a character have the span of that character. Special tokens
        have an empty span.
    """
    for token in set(ids):
        if token not in pieces:
            pieces[token] = len(decode([token]))
    ends = list(accumulate([pieces[token] for token in ids]))
    if not ids or ends[-1] == len(text):
        return list(pairwise([0, *ends]))  # no two tokens share a character
    ends = _streamed_ends(ids, decode)
    if ends[-1] != len(text):  # a decoder that looks further back than one token
        ends = [len(decode(list(ids[: i + 1]))) for i in range(len(ids))]
    spans = zip(ids, pairwise([0, *ends]), strict=True)
    return [(min(start, max(end - 1, 0)) if pieces[token] else start, end) for token, (start, end) in spans]


def _streamed_ends(ids: Sequence[int], decode: Callable[[list[int]], str]) -> list[int]:
    """Length of the text after each token, in linear time.

    Only the tokens since the last whole character are decoded again, after the token before them, since some
    decoders drop the space of a first token.
    """
    ends: list[int] = []
    prefix = read = total = 0
    for index in range(len(ids)):
        known = len(decode(list(ids[prefix:read])))
        text = decode(list(ids[prefix : index + 1]))
        ends.append(total + len(text) - known)
        if not text.endswith("\N{REPLACEMENT CHARACTER}"):
            total, prefix, read = ends[-1], read, index + 1
    return ends
