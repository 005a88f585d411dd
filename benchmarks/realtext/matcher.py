"""Do two sentences state the same perspective? Learnt from people's labels, from words and letters alone.

It shares no weights with a sentence encoder, so it can judge a policy that was trained against one. It sees words,
their parts and which words go together in the training texts, and little of meaning: a paraphrase in other words is
missed. Its agreement with people on pairs of other topics is measured and stands beside the figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import precision_recall_curve, roc_auc_score
from sklearn.preprocessing import normalize

from overton.data.argkp import read_argkp
from overton.data.pairs import stream_pairs
from overton.data.perspectrum import read_perspectrum

_TOPICS = 200  # dimensions of latent semantic analysis (Deerwester et al. 1990)
Pairs = list[dict[str, Any]]


class Matcher:
    """A logistic regression on three cosines: of words, of their letters, and of latent topics.

    Args:
        pairs: ``sentence1``, ``sentence2``, ``label`` of people.
        texts: further texts that word weights and topics are learnt from.

    Attributes:
        threshold: probability from which two sentences match; 0.5 until :meth:`choose_threshold`.
    """

    def __init__(self, pairs: Pairs, texts: Sequence[str]) -> None:
        self.threshold = 0.5
        sentences = [p[name] for p in pairs for name in ("sentence1", "sentence2")]
        corpus = list(dict.fromkeys([*sentences, *texts]))
        self._words = TfidfVectorizer(sublinear_tf=True, stop_words="english").fit(corpus)
        self._letters = TfidfVectorizer(
            sublinear_tf=True, analyzer="char_wb", ngram_range=(3, 5), max_features=100_000
        ).fit(corpus)
        count = min(_TOPICS, len(self._words.vocabulary_) - 1)
        self._topics = TruncatedSVD(count, random_state=0).fit(self._words.transform(corpus))
        self._model = LogisticRegression(max_iter=1000, class_weight="balanced")
        self._model.fit(self._pair_features(pairs), [int(p["label"]) for p in pairs])

    def probabilities(self, left: Sequence[str], right: Sequence[str]) -> npt.NDArray[np.float64]:
        """(left, right) probabilities of stating the same perspective."""
        if not left or not right:
            return np.zeros((len(left), len(right)))
        products = [a @ b.T for a, b in zip(self._vectors(left), self._vectors(right), strict=True)]
        cosines = [np.asarray(p.todense()) if hasattr(p, "todense") else p for p in products]
        features = np.stack(cosines, axis=-1).reshape(-1, len(cosines))
        return self._model.predict_proba(features)[:, 1].reshape(len(left), len(right))

    def choose_threshold(self, pairs: Pairs) -> dict[str, float]:
        """Take the threshold of the best F1 on pairs of other topics, and say how well it agrees with people there."""
        labels = [int(p["label"]) for p in pairs]
        found = self._model.predict_proba(self._pair_features(pairs))[:, 1]
        precision, recall, thresholds = precision_recall_curve(labels, found)
        f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
        best = int(f1[:-1].argmax())
        self.threshold = float(thresholds[best])
        return {
            "pairs": len(pairs),
            "same": sum(labels),
            "auc": round(float(roc_auc_score(labels, found)), 4),
            "f1": round(float(f1[best]), 4),
            "precision": round(float(precision[best]), 4),
            "recall": round(float(recall[best]), 4),
            "threshold": round(self.threshold, 4),
        }

    def _vectors(self, texts: Sequence[str]) -> tuple[Any, Any, Any]:
        words = self._words.transform(texts)
        return words, self._letters.transform(texts), normalize(self._topics.transform(words))

    def _pair_features(self, pairs: Pairs) -> npt.NDArray[np.float64]:
        sides = [self._vectors([p[name] for p in pairs]) for name in ("sentence1", "sentence2")]
        columns = []
        for one, other in zip(*sides, strict=True):
            product = one.multiply(other) if hasattr(one, "multiply") else one * other
            columns.append(np.asarray(product.sum(axis=1)).ravel())
        return np.stack(columns, axis=1)


def labelled_pairs(folder: Path, split: str) -> Pairs:
    """Pairs of both published sets that people labelled, in the mix that their labels have."""
    found: Pairs = []
    for rows in (read_argkp(folder / "kpa2021", []), read_perspectrum(folder / "perspectrum", [])):
        found += stream_pairs([row for row in rows if row.split == split], 0, split, 0, [])
    return found
