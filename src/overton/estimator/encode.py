"""Texts to unit vectors, fast and always the same.

No text is padded: a BERT on a CPU or a CUDA GPU takes the short way of packed.py, for any other model batches hold
texts of exactly one token length. That wastes nothing, and it makes a text's vector independent of what else is in the
batch: bit for bit in bfloat16 and on one thread, to 1e-7 in float32 on several. So the cache, or a run that was killed
and goes on with an empty one, moves no cosine across the threshold; with padding, bfloat16 would move them by some
1e-3.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING

from overton.errors import ModelError
from overton.estimator.calibration import CALIBRATION_FILE, Calibration
from overton.estimator.models import load_sentence_transformer, model_hash, no_calibration, overlong
from overton.estimator.preprocess import Preprocessing, plain_layout
from overton.estimator.store import VectorStore
from overton.precision import has_fast_bf16
from overton.progress import track
from overton.rundir import is_unfinished
from overton.spelling import whole

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike
    from sentence_transformers import SentenceTransformer

    from overton.estimator.packed import PackedBert


# Characters of a text whose vector is kept in memory: longer ones would fill it, and hardly come twice.
_LONG = 4000


class SimilarityEstimator:
    """Says how much two texts state the same perspective, as a cosine.

    Attributes:
        model: the Sentence Transformer.
        preprocessing: what happens to a text first.
        calibration: what its cosines mean, or ``None`` when nobody measured that yet.
        batch_size: texts a forward pass; a BERT takes blocks of tokens instead.
        bf16: multiply in bfloat16 (on CPUs with the instructions for it, and GPUs); several times as fast, cosines
            move by at most about .005.
        cache_rows: vectors kept in memory; 0 keeps none, and those of texts above 4,000 characters are not kept.
        store: vectors kept on disk, or ``None``; see :meth:`keep_in`.
        encoded: number of texts that went through the model so far.
    """

    def __init__(
        self,
        model: SentenceTransformer,
        preprocessing: Preprocessing | None = None,
        calibration: Calibration | None = None,
        *,
        batch_size: int = 64,
        bf16: bool = True,
        cache_rows: int = 100_000,
    ) -> None:
        self.model = model
        self.preprocessing = preprocessing or Preprocessing()
        self.calibration = calibration
        self.batch_size = batch_size
        self._wants_bf16 = bf16
        self.bf16 = bf16 and has_fast_bf16(model.device.type)
        self.cache_rows = cache_rows
        self.store: VectorStore | None = None
        self.encoded = 0
        self._cache: dict[str, np.ndarray] = {}
        self._exact: dict[str, np.ndarray] = {}
        self._packed: dict[bool, tuple[object, PackedBert | None]] = {}
        # Trainers and servers call a reward from several threads.
        self._lock = RLock()

    @classmethod
    def load(
        cls,
        path: Path | str,
        *,
        data_set: str = "",
        bf16: bool = True,
        cache_rows: int = 100_000,
        cache_file: Path | str | None = None,
    ) -> SimilarityEstimator:
        """Load a trained estimator.

        Args:
            path: the stage's folder (``model/`` and ``calibration.json``), or a Sentence Transformers folder, maybe
                with a ``calibration.json`` in it.
            data_set: take the threshold of this one of several data sets; ``""`` = of all of them together.
            bf16: see the class.
            cache_rows: see the class.
            cache_file: keep vectors in this file too, for later processes.

        Raises:
            ModelError: the folder or a file of it is missing or broken, its stage did not finish, or the calibration or
                the file of vectors belongs to another model.
        """
        folder = Path(path)
        if not folder.is_dir():
            raise ModelError(
                f"{folder}: no such estimator folder. `overton estimator RECIPE` makes one; of a hub name, "
                "overton.estimator.open_estimator makes an estimator."
            )
        home = folder / "model" if (folder / "model").is_dir() else folder
        if home != folder and is_unfinished(folder):
            raise ModelError(
                f"{folder}: its stage did not finish; it was killed, it refused this model, or it is still at work. "
                "`overton estimator RECIPE` runs it again and says what is wrong with the model."
            )
        measured = next((f for f in (folder / CALIBRATION_FILE, home / CALIBRATION_FILE) if f.exists()), None)
        if data_set and measured is None:
            raise ModelError(f"{folder}: holds no {CALIBRATION_FILE}, so no calibration for {data_set!r}")
        preprocessing = Preprocessing.load(home)
        calibration = None
        if measured is not None:
            calibration = Calibration.load(measured, data_set)
            if calibration.model_hash != model_hash(home):
                raise ModelError(
                    f"{measured}: was measured for another model than {home}. A "
                    "threshold does not carry over; run the estimator stage again."
                )
        model = load_sentence_transformer(home)
        found = cls(model, preprocessing, calibration, bf16=bf16, cache_rows=cache_rows)
        if cache_file is not None:
            found.keep_in(cache_file, model_hash(home))
        return found

    def move(self, device: str) -> None:
        """Put the model on another device, ``cpu`` or ``cuda:1``; its vectors so far are forgotten."""
        self.model.to(device)
        self.bf16 = self._wants_bf16 and has_fast_bf16(self.model.device.type)
        self._packed.clear()  # copies of the weights, on the device that it leaves
        self.clear_cache()

    def keep_in(self, path: Path | str, model: str) -> None:
        """Keep vectors on disk too.

        Args:
            path: an SQLite file; made when it is not there.
            model: hash of the model's folder.

        Raises:
            ModelError: the file cannot be used, or holds vectors of another model.
        """
        precision = "bfloat16" if self.bf16 else "float32"
        name = f"{model} {precision}, {self.model.max_seq_length} tokens"
        self.store = VectorStore(Path(path), name, self.model.get_embedding_dimension() or 0)

    @property
    def threshold(self) -> float:
        """Cosine from which two texts count as the same perspective.

        Raises:
            ModelError: the model was never calibrated.
        """
        return self._calibrated().threshold

    def probability(self, cosines: ArrayLike) -> np.ndarray:
        """Calibrated probability that a pair with this cosine states the same perspective, same shape.

        Raises:
            ModelError: the model was never calibrated.
        """
        return self._calibrated().probability(cosines)

    def _calibrated(self) -> Calibration:
        if self.calibration is None:
            raise ModelError(no_calibration(self.model))
        return self.calibration

    def encode(
        self,
        texts: Sequence[str],
        contexts: Sequence[str] | None = None,
        description: str = "",
        *,
        preprocess: bool = True,
    ) -> np.ndarray:
        """Encode texts.

        Args:
            texts: n texts; half a character counts as U+FFFD.
            contexts: the situation of each; what becomes of it, :attr:`preprocessing` says.
            description: shows a progress bar with this text.
            preprocess: ``False`` encodes the texts as they are.

        Returns:
            (n, d) float32, rows of length 1, so that ``a @ b.T`` holds cosines.

        Raises:
            ModelError: the model gives a vector that is not finite.
            ValueError: texts and contexts differ in length.
        """
        return self._encoded(texts, contexts, description, preprocess, self.bf16)

    def encode_exact(
        self, texts: Sequence[str], contexts: Sequence[str] | None = None, *, preprocess: bool = True
    ) -> np.ndarray:
        """As :meth:`encode`, in float32 even where :attr:`bf16` is set.

        These rows are kept in memory apart from the others, and never on disk, so what was asked for before changes no
        vector.
        """
        return self._encoded(texts, contexts, "", preprocess, False)

    def _encoded(
        self, texts: Sequence[str], contexts: Sequence[str] | None, description: str, preprocess: bool, bf16: bool
    ) -> np.ndarray:
        import numpy as np

        texts = [whole(text) for text in texts]
        contexts = None if contexts is None else [whole(context) for context in contexts]
        prepared = self.preprocessing(texts, contexts, self._overlong) if preprocess else texts
        rows = self._rows(prepared, description, bf16)
        share = self.preprocessing.subtract_situation
        if contexts is None or not share or not preprocess or not len(rows):
            return rows
        own = self._rows([plain_layout(context) for context in contexts], "", bf16)
        return without_situation(rows, own, np.array([share if context else 0.0 for context in contexts]))

    @cached_property
    def _overlong(self) -> Callable[[Sequence[str]], list[bool]] | None:
        return overlong(self.model) if self.preprocessing.situation == "prepend" else None

    def _rows(self, prepared: list[str], description: str, bf16: bool) -> np.ndarray:
        """Unit rows of texts that are prepared already, from memory, from disk or from the model."""
        with self._lock:
            return self._rows_locked(prepared, description, bf16)

    def _rows_locked(self, prepared: list[str], description: str, bf16: bool) -> np.ndarray:
        import numpy as np

        exact = self.bf16 and not bf16
        cache, store = (self._exact, None) if exact else (self._cache, self.store)
        known = {text: cache[text] for text in prepared if text in cache}
        missing = list(dict.fromkeys(text for text in prepared if text not in known))
        if missing and store is not None:
            known |= store.get(missing)
            self._remember(cache, {text: known[text] for text in missing if text in known})
            missing = [text for text in missing if text not in known]
        if missing:
            new = dict(zip(missing, self._forward(missing, description, bf16), strict=True))
            if store is not None:
                store.put(new)
            known |= new
            self._remember(cache, new)
        if not prepared:
            return np.zeros((0, self.model.get_embedding_dimension() or 0), dtype=np.float32)
        return np.stack([known[text] for text in prepared])

    def cosines(
        self,
        left: Sequence[str],
        right: Sequence[str],
        contexts: Sequence[str] | None = None,
        description: str = "",
    ) -> np.ndarray:
        """Cosine of each pair ``left[i], right[i]`` in the situation ``contexts[i]``: (n,) float32.

        ``description`` shows a progress bar with this text.
        """
        import numpy as np

        both = self.encode([*left, *right], None if contexts is None else [*contexts, *contexts], description)
        return np.einsum("ij,ij->i", both[: len(left)], both[len(left) :])

    def clear_cache(self) -> None:
        """Forget every vector."""
        with self._lock:
            self._cache.clear()
            self._exact.clear()

    def _remember(self, cache: dict[str, np.ndarray], rows: dict[str, np.ndarray]) -> None:
        cache.update((text, row) for text, row in rows.items() if len(text) <= _LONG)
        while len(cache) > self.cache_rows:
            del cache[next(iter(cache))]

    def _forward(self, texts: list[str], description: str, bf16: bool) -> np.ndarray:
        import numpy as np

        fast = self._short_way(bf16)
        if fast is not None:
            ids = fast.tokenize(texts)
            batches = fast.blocks([len(row) for row in ids])
        else:
            batches = self._equal_batches(texts)
        rows: np.ndarray | None = None
        for batch in track(batches, description) if description else batches:
            part = fast([ids[i] for i in batch]) if fast is not None else self._encode([texts[i] for i in batch], bf16)
            if rows is None:
                rows = np.empty((len(texts), part.shape[1]), dtype=np.float32)
            rows[batch] = part
        assert rows is not None
        self.encoded += len(texts)
        if not np.isfinite(rows).all():
            raise ModelError("the estimator's vectors are not finite numbers; its weights are broken, train it again")
        return rows

    def _short_way(self, bf16: bool) -> PackedBert | None:
        """The model's packed form, made anew when its weights, its length or the number of threads have changed."""
        import torch

        from overton.estimator.packed import packed

        weights = tuple((p.data_ptr(), p._version) for p in self.model.parameters())
        state = (weights, self.model.device, self.model.max_seq_length, torch.get_num_threads())
        if bf16 not in self._packed or self._packed[bf16][0] != state:
            self._packed[bf16] = (state, packed(self.model, bf16))
        return self._packed[bf16][1]

    def _encode(self, texts: list[str], bf16: bool) -> np.ndarray:
        """Unit rows of texts of one length, by the model itself."""
        import numpy as np
        import torch

        with torch.autocast(self.model.device.type, dtype=torch.bfloat16, enabled=bf16):
            found = self.model.encode(texts, batch_size=len(texts), show_progress_bar=False, convert_to_numpy=True)
        rows = np.asarray(found, dtype=np.float32)
        return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)

    def _equal_batches(self, texts: list[str]) -> list[list[int]]:
        by_length: dict[int, list[int]] = {}
        for index, length in enumerate(self._token_lengths(texts)):
            by_length.setdefault(length, []).append(index)
        return [
            group[start : start + self.batch_size]
            for _, group in sorted(by_length.items(), reverse=True)
            for start in range(0, len(group), self.batch_size)
        ]

    def _token_lengths(self, texts: list[str]) -> list[int]:
        tokenizer = self.model.tokenizer
        if not callable(tokenizer):  # static embeddings: no padding, so any batch will do
            return [0] * len(texts)
        return [
            len(ids) for ids in tokenizer(texts, truncation=True, max_length=self.model.max_seq_length)["input_ids"]
        ]


def without_situation(rows: np.ndarray, own: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Unit rows (n, d) less a share (n,) of their situations' unit rows (n, d), of length 1 again."""
    import numpy as np

    rest = rows - shares.astype(np.float32)[:, None] * own
    return np.asarray(rest / np.linalg.norm(rest, axis=1, keepdims=True), dtype=np.float32)
