"""Natural language inference: does a reference entail a sentence of the answer?

Premise = reference explanation, hypothesis = one sentence of the answer. Per reference the highest
P(entailment) over the sentences, per question the mean over the references: ``nli_mean``. Accuracy@t is the
share of questions whose mean is above t (Modular Pluralism, Feng et al. 2024; 0.33 in OP-GRPO, arXiv
2602.20759).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from overton.errors import ModelError
from overton.evaluation.coverage import (
    ENTAILED,
    Matrix,
    Sentence,
    reference_groups,
    score_coverage,
    split_sentences,
)
from overton.types import Answer, Situation

METRICS = ("coverage", "precision", "f1", "uniqueness", "nli_mean", "nli_accuracy")
MAX_SENTENCES = 200  # distinct ones; the comparison of an answer with itself grows with the square
_BLOCK = 4096  # pairs between two steps of the progress bar
Pair = tuple[str, str]


class NliModel:
    """A three-class cross-encoder.

    Attributes:
        name: hub name or folder it was loaded from.
        entailment: index of the class "entailment" in its output.
        max_sentences: an answer with more distinct sentences is not scored.
    """

    def __init__(self, encoder: Any, name: str, entailment: int, batch_size: int = 64) -> None:
        self.name = name
        self.entailment = entailment
        self.max_sentences = MAX_SENTENCES
        self._encoder = encoder
        self._batch_size = batch_size

    def probabilities(self, pairs: Iterable[Pair], advance: Callable[[int], None] | None = None) -> dict[Pair, float]:
        """P(entailment) of each distinct (premise, hypothesis) pair.

        Pairs go through the model once each, in batches of similar length.

        Args:
            pairs: texts; repetitions cost nothing.
            advance: called with the number of pairs done since the last call.
        """
        classes = self.class_probabilities(pairs, advance)
        return {pair: float(row[self.entailment]) for pair, row in classes.items()}

    def class_probabilities(
        self, pairs: Iterable[Pair], advance: Callable[[int], None] | None = None
    ) -> dict[Pair, np.ndarray]:
        """Probabilities of the three classes in the model's order; arguments as in :meth:`probabilities`."""
        # By length, then by text: the batches, and with them the last digits, do not depend on the order
        # given.
        todo = sorted(set(pairs), key=lambda pair: (len(pair[0]) + len(pair[1]), pair))
        found: dict[Pair, np.ndarray] = {}
        for start in range(0, len(todo), _BLOCK):
            block = todo[start : start + _BLOCK]
            scores = self._encoder.predict(
                block, batch_size=self._batch_size, apply_softmax=True, show_progress_bar=False
            )
            if not np.isfinite(scores).all():
                raise ModelError(f"{self.name}: the model returned NaN; load it in another precision or take another")
            found.update(zip(block, scores, strict=True))
            if advance:
                advance(len(block))
        return found


def load_nli(name: str | Path, *, offline: bool = True, batch_size: int = 64) -> NliModel:
    """Load a three-class NLI cross-encoder. Code that a model brings along is never run.

    Args:
        name: folder, or hub name of a model in the local cache.
        offline: ``False`` may download it from the hub.
        batch_size: pairs a forward pass.

    Raises:
        ModelError: not found, unreadable, or its classes are not entailment, neutral and contradiction.
    """
    from sentence_transformers import CrossEncoder

    folder = Path(name).expanduser()
    if folder.is_dir() and not (folder / "config.json").is_file():
        raise ModelError(f"{name}: the folder holds no config.json; give the folder of a saved CrossEncoder")
    source = str(folder) if folder.exists() else str(name)
    try:
        with quiet_loading():
            encoder = CrossEncoder(source, local_files_only=offline, trust_remote_code=False)
        labels = dict(encoder.model.config.id2label)
    except Exception as error:  # whatever a damaged folder or a missing file makes the loaders raise
        reason = (str(error).strip().splitlines() or [""])[0][:200]
        hint = (
            "Check that the folder was copied whole."
            if folder.exists()
            else f"It is no folder; with the hub in reach, `hf download {name}` puts it into the cache."
        )
        raise ModelError(
            f"{name}: cannot be loaded as an NLI cross-encoder ({type(error).__name__}: {reason}). {hint}"
        ) from error
    return NliModel(encoder, str(name), entailment_index(labels, str(name)), batch_size)


@contextmanager
def quiet_loading() -> Iterator[None]:
    """No bar for the weights of a model that loads or saves in under a second."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def entailment_index(id2label: Mapping[Any, str], name: str) -> int:
    """Which output is entailment, from ``config.id2label``: models order their classes differently.

    Raises:
        ModelError: the classes are not entailment, neutral and contradiction in some order and case.
    """
    order = {str(label).strip().lower(): int(index) for index, label in id2label.items()}
    if set(order) != {"entailment", "neutral", "contradiction"}:
        raise ModelError(
            f"{name}: three classes named entailment, neutral and contradiction are wanted; config.id2label "
            f"has {', '.join(map(str, id2label.values())) or 'none'}. Take a three-class NLI model, or name "
            "the classes of this one in its config.json"
        )
    return order["entailment"]


def nli_rows(
    model: NliModel,
    answers: Sequence[Answer],
    situations: Mapping[str, Situation],
    threshold: float = 0.33,
    advance: Callable[[int], None] | None = None,
) -> list[dict[str, Any]]:
    """Rows of ``evaluation/SYSTEM.nli.jsonl``: entailment, and the independent evaluator's counts from it.

    Args:
        model: the cross-encoder.
        answers: of one system.
        situations: by id; each answer's must be there.
        threshold: of ``nli_accuracy``.
        advance: called with the number of pairs done.

    Returns:
        One row an answer. An answer without any sentence states nothing: coverage 0, the rest that has no
        meaning then ``None``. What could not be scored is ``None`` with a ``reason``.
    """
    cut = [split_sentences(a.answer) for a in answers]
    pairs: set[Pair] = set()
    for answer, sentences in zip(answers, cut, strict=True):
        if not _why_not(model, situations[answer.id], sentences):
            pairs.update(wanted_pairs(situations[answer.id], sentences))
    known = model.probabilities(pairs, advance)
    return [
        _row(model, answer, situations[answer.id], sentences, known, threshold)
        for answer, sentences in zip(answers, cut, strict=True)
    ]


def count_pairs(answers: Sequence[Answer], situations: Mapping[str, Situation]) -> int:
    """How many distinct pairs :func:`nli_rows` asks the model about (an upper bound, for a progress bar)."""
    return len({p for a in answers for p in wanted_pairs(situations[a.id], split_sentences(a.answer)[:MAX_SENTENCES])})


def wanted_pairs(situation: Situation, sentences: Sequence[Sentence]) -> set[Pair]:
    """Every (reference, sentence) and every (sentence, other sentence) whose texts differ."""
    texts = {s.text for s in sentences}
    premises = {p.explanation for p in situation.perspectives} | texts
    return {(premise, text) for premise in premises for text in texts if premise != text}


def _why_not(model: NliModel, situation: Situation, sentences: Sequence[Sentence]) -> str:
    if not situation.perspectives:
        return "the situation has no reference"
    count = len({s.text for s in sentences})
    return f"{count} sentences, at most {model.max_sentences} are read" if count > model.max_sentences else ""


def _row(
    model: NliModel,
    answer: Answer,
    situation: Situation,
    sentences: Sequence[Sentence],
    known: Mapping[Pair, float],
    threshold: float,
) -> dict[str, Any]:
    reason = _why_not(model, situation, sentences)
    if reason:
        return {"id": answer.id, **dict.fromkeys(METRICS), "sentences": len(sentences), "reason": reason}
    texts = [s.text for s in sentences]
    groups = reference_groups(situation.perspectives)
    entailment = np.zeros((len(groups), len(texts)))
    for row, members in enumerate(groups):
        premises = [situation.perspectives[i].explanation for i in members]
        entailment[row] = _matrix(premises, texts, known).max(axis=0)
    best = entailment.max(axis=1, initial=0.0)
    mean = float(best.mean())
    score = score_coverage(entailment, _matrix(texts, texts, known), ENTAILED)
    found: dict[str, Any] = {
        "id": answer.id,
        "coverage": score.coverage,
        "precision": score.precision,
        "f1": score.f1,
        "uniqueness": score.uniqueness,
        "nli_mean": mean,
        "nli_accuracy": int(mean > threshold),
        "sentences": len(sentences),
        "reason": "" if sentences else "the answer holds no sentence",
        "best": [round(float(x), 6) for x in best],
        "covered": list(score.covered),
        "segments": [
            {"start": s.start, "end": s.end, "verdict": verdict}
            for s, verdict in zip(sentences, score.verdicts, strict=True)
        ],
    }
    clusters = [situation.perspectives[members[0]].cluster for members in groups]
    if all(clusters):
        found["missed"] = [c for c, covered in zip(clusters, score.covered, strict=True) if not covered]
    return found


def _matrix(premises: Sequence[str], texts: Sequence[str], known: Mapping[Pair, float]) -> Matrix:
    # A text entails itself: no model is asked.
    values = [[1.0 if a == b else known[a, b] for b in texts] for a in premises]
    return np.array(values, dtype=float).reshape(len(premises), len(texts))
