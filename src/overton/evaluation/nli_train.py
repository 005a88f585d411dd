"""The offline default of ``evaluation.nli_model``: a small cross-encoder for the world's sentences.

It is trained from nothing on ``data/nli.jsonl``: weights, tokenizer and code have nothing in common with the
reward's encoder. It reads what is said, not of whom: a view of other people than the situation's counts as
stated here, while the oracle refuses it.
"""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from overton.errors import DataError
from overton.evaluation.coverage import ENTAILED, drop_lead
from overton.evaluation.nli import load_nli
from overton.evaluation.nli_learner import IGNORED, LABELS, Example, fit, make_model, train_tokenizer
from overton.folders import atomic_folder
from overton.jsonio import read_jsonl, write_json
from overton.progress import quiet_loading

HELD_OUT = 0.1


def train_world_nli(path: Path, folder: Path, seed: int = 0) -> dict[str, Any]:
    """Train the cross-encoder and save it.

    Args:
        path: ``data/nli.jsonl`` with ``premise``, ``hypothesis``, ``label`` and, if known,
            ``premise_meaning`` and ``hypothesis_meaning``.
        folder: where to save it, as a CrossEncoder folder with ``benchmark.json``. Appears whole or not at
            all.
        seed: decides the split and the weights.

    Returns:
        The benchmark on the 10% of the pairs that were held out: ``accuracy``, ``entailment`` (precision,
        recall and f1), ``per_class`` accuracy, ``pairs``, ``held_out``, ``parameters``, ``seconds``.

    Raises:
        DataError: the file is missing or a row is not such a pair.
        DiskFullError: there is no room for it.
    """
    from sentence_transformers import CrossEncoder
    from transformers import set_seed

    began = time.perf_counter()
    examples, meanings = read_pairs(path)
    random.Random(seed).shuffle(examples)
    cut = max(1, round(len(examples) * HELD_OUT))
    held_out, train = examples[:cut], examples[cut:]
    set_seed(seed)
    tokenizer = train_tokenizer([text for e in train for text in e[:2]])
    model = make_model(len(tokenizer))
    fit(model, tokenizer, train, meanings, seed)
    for leftover in folder.parent.glob(f".{folder.name}.*.tmp"):
        shutil.rmtree(leftover, ignore_errors=True)
    with atomic_folder(folder) as temporary:
        plain = temporary / "plain"
        with quiet_loading():
            model.save_pretrained(plain)
            tokenizer.save_pretrained(plain)
            encoder = CrossEncoder(str(plain), device="cpu", local_files_only=True)
            encoder.save_pretrained(str(temporary), create_model_card=False)
        shutil.rmtree(plain)
        benchmark = {
            **score_pairs(temporary, held_out),
            "pairs": len(train),
            "held_out": len(held_out),
            "parameters": sum(p.numel() for p in model.parameters()),
            "seed": seed,
            "seconds": round(time.perf_counter() - began, 1),
        }
        write_json(temporary / "benchmark.json", benchmark)
    return benchmark


def read_pairs(path: Path) -> tuple[list[Example], int]:
    """Pairs with their labels and meanings as numbers, and how many meanings there are (0 = unknown).

    Hypotheses lose "In the perspective of LABEL," just as an answer's sentences do when they are judged.

    Raises:
        DataError: names the row.
    """
    rows = read_jsonl(path)
    names = {m for r in rows for m in (r.get("premise_meaning"), r.get("hypothesis_meaning")) if m}
    number = {name: i for i, name in enumerate(sorted(map(str, names)))}
    examples = []
    for index, row in enumerate(rows, 1):
        texts = row.get("premise"), row.get("hypothesis")
        if not all(isinstance(t, str) and t.strip() for t in texts):
            raise DataError(f"{path}, row {index}: `premise` and `hypothesis` must be text")
        if row.get("label") not in LABELS:
            raise DataError(
                f"{path}, row {index}: `label` must be one of {', '.join(LABELS)}, found {row.get('label')!r}"
            )
        known = [number.get(str(row.get(f"{side}_meaning")), IGNORED) for side in ("premise", "hypothesis")]
        examples.append((str(texts[0]), drop_lead(str(texts[1])), LABELS.index(row["label"]), known[0], known[1]))
    return examples, len(number)


def score_pairs(folder: Path, examples: Sequence[Example]) -> dict[str, Any]:
    """Accuracy of a saved model on labelled pairs, entailment as in the evaluator."""
    import numpy as np

    model = load_nli(folder)
    pairs = [(e[0], e[1]) for e in examples]
    truth = np.array([e[2] for e in examples])
    found = model.class_probabilities(pairs)
    classes = np.array([found[p] for p in pairs])
    guess = classes.argmax(axis=1)
    says, is_so = classes[:, LABELS.index("entailment")] >= ENTAILED, truth == LABELS.index("entailment")
    hits = int((says & is_so).sum())
    precision, recall = hits / max(1, int(says.sum())), hits / max(1, int(is_so.sum()))
    return {
        "accuracy": float((guess == truth).mean()),
        "per_class": {
            name: float((guess[truth == i] == i).mean()) if (truth == i).any() else None
            for i, name in enumerate(LABELS)
        },
        "entailment": {
            "precision": precision,
            "recall": recall,
            "f1": 2 * precision * recall / (precision + recall) if hits else 0.0,
        },
    }
