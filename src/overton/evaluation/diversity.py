"""How much the perspectives of one answer differ, and how coverage grows with each of them."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from overton.matching import Matrix, optimal_matching
from overton.spelling import run

MAX_K = 10  # perspectives of the curve of coverage
MOST_TEXTS = 1000  # of an n-gram Vendi score
_LETTERS = run(r"\w")
WORD = re.compile(rf"{_LETTERS}(?:['’-]{_LETTERS})*")
_ORDERS = (1, 2, 3, 4)
_SMALL = 0.1  # of Chen and Cherry's smoothing


def words(text: str) -> list[str]:
    """Lower-case words, without punctuation."""
    return WORD.findall(text.lower())


def vendi_score(vectors: Matrix) -> float | None:
    """Effective number of perspectives: the Vendi score (Friedman and Dieng 2023, arXiv 2210.02410, definition 1).

    The exponential of the Shannon entropy of the eigenvalues of K / n, where K holds the cosines. n equal
    perspectives count as 1, n orthogonal ones as n.

    Args:
        vectors: (n, d) unit rows, one a perspective.

    Returns:
        1 to n; ``None`` without a perspective.

    Raises:
        ValueError: not two-dimensional, NaN inside, or rows that are not of length 1.
    """
    rows = np.asarray(vectors, dtype=np.float64)
    if rows.ndim != 2 or np.isnan(rows).any():
        raise ValueError(f"unit rows without NaN are wanted, got shape {rows.shape}")
    if not len(rows):
        return None
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    if (np.abs(lengths - 1) > 1e-2).any():
        raise ValueError("the rows are not of length 1")
    rows = rows / lengths  # encoders round; the diagonal has to be 1
    # Both products have the same eigenvalues but for zeros; the smaller one is faster.
    return _effective(rows @ rows.T if len(rows) <= rows.shape[1] else rows.T @ rows, len(rows))


def _effective(kernel: npt.NDArray[np.float64], count: int) -> float:
    values = np.linalg.eigvalsh(kernel / count)
    values = values[values > 1e-12]
    return float(np.clip(np.exp(-(values * np.log(values)).sum()), 1.0, count))


def ngram_vendi(texts: Sequence[str]) -> float | None:
    """Effective number of different wordings: the Vendi score with overlap of n-grams as likeness.

    Likeness of two texts is the cosine of how often they have each word, averaged with that of each two neighbouring
    words (Friedman and Dieng 2023, arXiv 2210.02410, section 5; the authors' ``ngram_vendi_score(ns=[1, 2])``, whose
    tokens are also punctuation and capitals, both left out here). It asks no model, so none that was trained on.

    Args:
        texts: perspectives of one answer.

    Returns:
        1 (all alike) to n (no word in common); ``None`` without a word, and with more than 1,000 texts, for which it
        takes too long.
    """
    tokens = [found for text in texts if (found := words(text))]
    return ngram_vendi_of(tokens) if 0 < len(tokens) <= MOST_TEXTS else None


def ngram_vendi_of(tokens: Sequence[Sequence[str]]) -> float:
    """The same of texts that are cut into tokens, one at least, each of one token at least."""
    return _effective(np.mean([_overlap(tokens, n) for n in (1, 2)], axis=0), len(tokens))


def _overlap(tokens: Sequence[Sequence[str]], n: int) -> npt.NDArray[np.float64]:
    """(texts, texts) cosines of the counts of n-grams; a text of fewer tokens is its own n-gram."""
    from scipy.sparse import csr_matrix

    counts = [Counter(_grams(own, min(n, len(own)))) for own in tokens]
    columns = {gram: column for column, gram in enumerate(dict.fromkeys(gram for own in counts for gram in own))}
    lengths = [math.sqrt(sum(c * c for c in own.values())) for own in counts]
    values = [c / length for own, length in zip(counts, lengths, strict=True) for c in own.values()]
    where = [columns[gram] for own in counts for gram in own]
    bounds = np.cumsum([0, *map(len, counts)])
    rows = csr_matrix((values, where, bounds), shape=(len(tokens), max(1, len(columns))))
    found: npt.NDArray[np.float64] = (rows @ rows.T).toarray()
    return found


def distinct_n(texts: Sequence[str], n: int) -> float | None:
    """Distinct n-grams / n-grams of all texts together (distinct-n, Li et al. 2016, arXiv 1510.03055).

    Li et al. divide by the number of words; n-grams are divided by here, so that 1 means no repetition for any n. No
    n-gram spans two texts. Longer answers score lower by nature.

    Args:
        texts: perspectives of one answer.
        n: words of an n-gram, at least 1.

    Returns:
        0 to 1; ``None`` without any n-gram.
    """
    found = [gram for text in texts for gram in _grams(words(text), n)]
    return len(set(found)) / len(found) if found else None


def self_bleu(texts: Sequence[str]) -> float | None:
    """Mean BLEU-4 of each text against all the others: self-BLEU (Zhu et al. 2018, arXiv 1802.01886).

    BLEU after Papineni et al. (2002): clipped precisions of 1- to 4-grams, geometric mean, brevity penalty against the
    reference of the closest length (the shorter of two). As in the authors' code, a precision of 0 is smoothed to
    0.1 / n-grams (method 1 of Chen and Cherry 2014), and to 0.1 where a text has no n-gram of that order, as in NLTK:
    texts of one, two and three words score .178, .316 and .562 at most. A text without any word in common scores 0.

    Args:
        texts: perspectives of one answer.

    Returns:
        0 (nothing shared) to 1 (all alike, each of four words or more); ``None`` with fewer than two texts that have a
        word.
    """
    tokens = [found for text in texts if (found := words(text))]
    if len(tokens) < 2:
        return None
    logs = np.zeros(len(tokens))
    zero = np.zeros(len(tokens), dtype=bool)
    for n in _ORDERS:
        counts = [Counter(_grams(own, n)) for own in tokens]
        best, owner, second = _two_largest(counts)
        for index, own in enumerate(counts):
            clipped = sum(min(c, second.get(g, 0) if owner[g] == index else best[g]) for g, c in own.items())
            total = max(1, own.total())
            zero[index] |= n == 1 and not clipped
            logs[index] += math.log((clipped or _SMALL) / total) / len(_ORDERS)
    lengths = Counter(map(len, tokens))
    scores = np.exp(logs + [_brevity(lengths, len(own)) for own in tokens])
    return float(np.where(zero, 0.0, scores).mean())


def coverage_by_k(matched: Sequence[int], references: int) -> dict[str, Any]:
    """How coverage grows along an answer, so that answers of different length compare.

    Args:
        matched: references stated by the first 1, 2, 3 ... perspectives; at least up to the larger of 10 and
            ``references``, or to the answer's end.
        references: their number, at least 1.

    Returns:
        ``coverage_curve`` (over the first k perspectives, k = 1 ... 10; an answer with fewer keeps what it has) and
        ``coverage_at_references`` (k = number of references).
    """
    known = [m / references for m in matched] or [0.0]
    return {
        "coverage_curve": [known[min(k, len(known)) - 1] for k in range(1, MAX_K + 1)],
        "coverage_at_references": known[min(references, len(known)) - 1],
    }


def matched_by_k(similarity: Matrix, threshold: float) -> list[int]:
    """References matched one-to-one by the first 1, 2, 3 ... perspectives, as :func:`coverage_by_k` wants them.

    Args:
        similarity: (references, perspectives), perspectives in the order of the answer.
        threshold: lowest similarity of a match (inclusive).
    """
    last = min(similarity.shape[1], max(MAX_K, similarity.shape[0]))
    return [len(optimal_matching(similarity[:, :k], threshold)) for k in range(1, last + 1)]


def stated_by_k(firsts: Sequence[int | None], perspectives: int) -> list[int]:
    """The same where each perspective may state several references.

    Args:
        firsts: index of the first perspective that states each reference, ``None`` where none does.
        perspectives: their number.
    """
    return [sum(f is not None and f < k for f in firsts) for k in range(1, perspectives + 1)]


def _grams(tokens: Sequence[str], n: int) -> list[tuple[str, ...]]:
    return list(zip(*(tokens[i:] for i in range(n)), strict=False))


def _two_largest(
    counts: Sequence[Counter[tuple[str, ...]]],
) -> tuple[dict[tuple[str, ...], int], dict[tuple[str, ...], int], dict[tuple[str, ...], int]]:
    """Of each n-gram the largest count, the text that has it, and the largest count of any other text."""
    best: dict[tuple[str, ...], int] = {}
    owner: dict[tuple[str, ...], int] = {}
    second: dict[tuple[str, ...], int] = {}
    for index, own in enumerate(counts):
        for gram, count in own.items():
            if count > best.get(gram, 0):
                if gram in best:
                    second[gram] = best[gram]
                best[gram], owner[gram] = count, index
            else:
                second[gram] = max(count, second.get(gram, 0))
    return best, owner, second


def _brevity(lengths: Counter[int], own: int) -> float:
    """Logarithm of the brevity penalty of a text of ``own`` words; ``lengths`` are those of all texts."""
    closest = min((abs(length - own), length) for length in (lengths - Counter([own])))[1]
    return min(0.0, 1 - closest / own)
