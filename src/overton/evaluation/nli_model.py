"""A three-class NLI cross-encoder: loading it, and asking it about pairs of texts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from overton.errors import ModelError
from overton.precision import has_fast_bf16
from overton.progress import quiet_loading
from overton.weights import whole_weights

MAX_SENTENCES = 200  # distinct ones; the comparison of an answer with itself grows with the square
_STEP = 1024  # pairs between two steps of the progress bar
Pair = tuple[str, str]
Advance = Callable[[int], None]


class NliModel:
    """A three-class cross-encoder.

    Attributes:
        name: hub name or folder it was loaded from.
        entailment: index of the class "entailment" in its output.
        fast: whether it has a bfloat16 copy, which :mod:`overton.evaluation.nli_screen` asks first.
        max_sentences: an answer with more distinct sentences is not scored.
    """

    def __init__(self, encoder: Any, name: str, entailment: int, batch_size: int = 32, bf16: bool = False) -> None:
        self.name = name
        self.entailment = entailment
        self.fast = bf16
        self.max_sentences = MAX_SENTENCES
        self._encoder = encoder
        self._rough: Any = None
        self._batch_size = batch_size

    def probabilities(
        self, pairs: Iterable[Pair], advance: Advance | None = None, *, rough: bool = False
    ) -> dict[Pair, float]:
        """P(entailment) of each distinct (premise, hypothesis) pair.

        Pairs go through the model once each, in batches of similar length.

        Args:
            pairs: texts; repetitions cost nothing.
            advance: called with the number of pairs done since the last call.
            rough: in bfloat16.
        """
        classes = self.class_probabilities(pairs, advance, rough=rough)
        return {pair: float(row[self.entailment]) for pair, row in classes.items()}

    def class_probabilities(
        self, pairs: Iterable[Pair], advance: Advance | None = None, *, rough: bool = False
    ) -> dict[Pair, np.ndarray]:
        """Probabilities of the three classes in the model's order; arguments as in :meth:`probabilities`."""
        # By length, then by text: the batches, and with them the last digits, do not depend on the order
        # given. In tokens: by characters, a fifth of what the model reads was padding.
        distinct = set(pairs)
        tokens = self._tokens({text for pair in distinct for text in pair})
        todo = sorted(distinct, key=lambda pair: (tokens[pair[0]] + tokens[pair[1]], pair))
        found: dict[Pair, np.ndarray] = {}
        waiting = 0
        # A batch a call: in a longer list the encoder would sort by characters again.
        for start in range(0, len(todo), self._batch_size):
            block = todo[start : start + self._batch_size]
            scores = self._encoder_for(rough).predict(
                block, batch_size=self._batch_size, apply_softmax=True, show_progress_bar=False
            )
            if not np.isfinite(scores).all():
                raise ModelError(f"{self.name}: the model returned NaN; load it in another precision or take another")
            found.update(zip(block, scores, strict=True))
            waiting += len(block)
            if advance and (waiting >= _STEP or start + len(block) == len(todo)):
                advance(waiting)
                waiting = 0
        return found

    def alone(self, texts: Sequence[str]) -> dict[str, float]:
        """P(entailment) of each distinct text without a second one, as a pipeline scores it beside an empty text."""
        import torch

        todo = sorted(set(texts), key=lambda text: (len(text), text))
        found: dict[str, float] = {}
        for start in range(0, len(todo), self._batch_size):
            batch = todo[start : start + self._batch_size]
            inputs = self._encoder.tokenizer(batch, padding=True, truncation=True, return_tensors="pt")
            with torch.inference_mode():
                logits = self._encoder.model(**inputs.to(self._encoder.device)).logits
            found.update(zip(batch, logits.float().softmax(-1)[:, self.entailment].tolist(), strict=True))
        return found

    def _tokens(self, texts: Iterable[str]) -> dict[str, int]:
        """How many tokens each text has, without special ones."""
        found = list(texts)
        if not found:
            return {}
        ids = self._encoder.tokenizer(found, add_special_tokens=False, verbose=False)["input_ids"]
        return {text: len(own) for text, own in zip(found, ids, strict=True)}

    def _encoder_for(self, rough: bool) -> Any:
        if not rough:
            return self._encoder
        if self._rough is None:
            from overton.evaluation.nli_rough import rough_copy

            self._rough = rough_copy(self._encoder)
        return self._rough


def load_nli(name: str | Path, *, offline: bool = True, batch_size: int = 32, bf16: bool = True) -> NliModel:
    """Load a three-class NLI cross-encoder. Code that a model brings along is never run.

    Args:
        name: folder, or hub name of a model in the local cache.
        offline: ``False`` may download it from the hub.
        batch_size: pairs a forward pass.
        bf16: screen pairs in bfloat16 where the processor is fast at it. The figures stay those of float32; see
            :mod:`overton.evaluation.nli_screen`.

    Raises:
        ModelError: not found, unreadable, or its classes are not entailment, neutral and contradiction.
    """
    from sentence_transformers import CrossEncoder

    with _loading(name) as source, quiet_loading(), whole_weights():
        encoder = CrossEncoder(
            source, local_files_only=offline, trust_remote_code=False, model_kwargs={"dtype": "float32"}
        )
        labels = dict(encoder.model.config.id2label)
    index = entailment_index(labels, str(name))
    return NliModel(encoder, str(name), index, batch_size, bf16 and has_fast_bf16(encoder.device.type))


def check_nli(name: str | Path) -> str:
    """Find a cross-encoder's config, here or at the hub, without its weights, which take long.

    Args:
        name: as for :func:`load_nli`.

    Returns:
        The hub's commit; ``""`` for a folder.

    Raises:
        ModelError: as there, but for damaged weights.
    """
    from transformers import AutoConfig

    with _loading(name) as source:
        config = AutoConfig.from_pretrained(source, trust_remote_code=False)
    entailment_index(config.id2label, str(name))
    return getattr(config, "_commit_hash", None) or ""


@contextmanager
def _loading(name: str | Path) -> Iterator[str]:
    """What the loaders take for a name; what they raise becomes one message."""
    folder = Path(name).expanduser()
    if folder.is_dir() and not (folder / "config.json").is_file():
        raise ModelError(f"{name}: the folder holds no config.json; give the folder of a saved CrossEncoder")
    try:
        yield str(folder) if folder.exists() else str(name)
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
