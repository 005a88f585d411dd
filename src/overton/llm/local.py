"""A transformers model on this machine: a hub name or a folder, safetensors only, with its chat template.

Each request draws from a random generator of its own, seeded by what is asked. So a reply does not depend on which
others are generated beside it, and a run that was killed goes on as if it had not been. (Up to rounding: a batch of
another width may add up in another order.)
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from transformers import LogitsProcessor, LogitsProcessorList

from overton.errors import ModelError, first_line
from overton.llm.prompt import PromptEncoder
from overton.llm.types import Reply, Request
from overton.nucleus import nucleus
from overton.prompting import answer_text, end_turns
from overton.sections_model import LlmSection
from overton.weights import causal_model, check_adapter, holds_model, ready_to_generate


class LocalModel:
    """A causal language model in this process, on the first GPU if there is one.

    Args:
        section: ``llm`` of the recipe, without a ``base_url``.
        template: see :class:`~overton.llm.prompt.PromptEncoder`.
        trained: see there.

    Raises:
        ModelError: it cannot be had or read, or has no chat template and none is given.
    """

    def __init__(self, section: LlmSection, template: str | None = None, trained: bool = False) -> None:
        self._model, self._tokenizer = _load(section.model)
        self._encoder = PromptEncoder(section, self._tokenizer, template, trained)
        self._batch_size = section.batch_size
        self._window = getattr(self._model.config.get_text_config(), "max_position_embeddings", None)
        ends = self._model.generation_config.eos_token_id
        self._ends = {self._tokenizer.eos_token_id, *(ends if isinstance(ends, list) else [ends])}

    def replies(self, requests: Iterable[tuple[str, Request]]) -> Iterator[tuple[str, Reply]]:
        """See :class:`~overton.llm.types.Backend`."""
        source = iter(requests)
        while batch := list(islice(source, self._batch_size)):
            # Beside a row that may be longer, one that ends with the window would be generated past it.
            ready: dict[int, list[tuple[str, Request, list[int]]]] = {}
            for key, asked in batch:
                encoded = self._encoder(asked, self._window)
                if isinstance(encoded, Reply):
                    yield key, encoded
                else:
                    ids, request = encoded
                    ready.setdefault(request.max_tokens, []).append((key, request, ids))
            for rows in ready.values():
                yield from self._generate(rows)

    def _generate(self, batch: list[tuple[str, Request, list[int]]]) -> Iterator[tuple[str, Reply]]:
        began = time.perf_counter()
        longest = max(len(ids) for _, _, ids in batch)
        pad, device = self._tokenizer.pad_token_id, self._model.device
        with torch.inference_mode():
            output = self._model.generate(
                input_ids=torch.tensor([[pad] * (longest - len(ids)) + ids for _, _, ids in batch], device=device),
                attention_mask=torch.tensor(
                    [[0] * (longest - len(ids)) + [1] * len(ids) for _, _, ids in batch], device=device
                ),
                max_new_tokens=batch[0][1].max_tokens,  # the same for all
                pad_token_id=pad,
                logits_processor=LogitsProcessorList([RowSampler([(key, r) for key, r, _ in batch])]),
                do_sample=False,
                temperature=None,
                top_p=None,
                top_k=None,
                repetition_penalty=1.0,
            )
        seconds = round((time.perf_counter() - began) / len(batch), 4)
        for (key, _, ids), row in zip(batch, output[:, longest:].tolist(), strict=True):
            stop = next((i for i, token in enumerate(row) if token in self._ends), None)
            text = answer_text(row[:stop], self._tokenizer)
            reason = f"cut off after {len(row)} tokens" if stop is None else ""
            written = len(row) if stop is None else stop + 1
            yield key, Reply(text, reason, len(ids), written, seconds=seconds)


class RowSampler(LogitsProcessor):
    """Draws each row's next token from its own generator, with its own temperature and nucleus; greedy decoding then
    takes it.

    Args:
        rows: key and request of each row; both decide what is drawn.
    """

    def __init__(self, rows: list[tuple[str, Request]]) -> None:
        drawn = [(i, key, request) for i, (key, request) in enumerate(rows) if request.temperature]
        self._rows = torch.tensor([i for i, _, _ in drawn], dtype=torch.long)
        self._temperatures = torch.tensor([[request.temperature] for _, _, request in drawn], dtype=torch.float64)
        self._top_p = torch.tensor([[request.top_p] for _, _, request in drawn], dtype=torch.float64)
        # The key is a hash of the whole request, its seed included.
        self._generators = [torch.Generator().manual_seed(int(key[:15], 16)) for _, key, _ in drawn]

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        """Scores of shape (batch, vocabulary), 0 for the drawn token and -inf elsewhere."""
        chosen = scores.argmax(dim=-1)
        if len(self._rows):
            rows = self._rows.to(scores.device)
            weights = torch.softmax(scores[rows].double() / self._temperatures.to(scores.device), dim=-1)
            if bool((self._top_p < 1).any()):
                weights = nucleus(weights, self._top_p.to(scores.device))
            sums = weights.cumsum(dim=-1)
            total = sums[:, -1:]
            noise = torch.stack([torch.rand(1, generator=source, dtype=torch.float64) for source in self._generators])
            # A product rounded up to the total would point behind the last token.
            points = (noise.to(scores.device) * total).minimum(total.nextafter(torch.zeros_like(total)))
            chosen[rows] = torch.searchsorted(sums, points, right=True)[:, 0]
        return torch.full_like(scores, -torch.inf).scatter_(-1, chosen[:, None], 0.0)  # type: ignore[return-value]


def _load(name: str) -> tuple[Any, Any]:
    from transformers import AutoTokenizer

    if Path(name).exists() and not holds_model(Path(name)):
        raise ModelError(f"{name}: no config.json in this folder, so it is not a saved model")
    check_adapter(name)
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
        model = causal_model(name, dtype="auto")
    except Exception as error:  # the reasons span several libraries and many classes
        first = first_line(error)
        raise ModelError(
            f"{name}: cannot be loaded as a causal language model ({first}). llm.model is a hub name that this "
            "machine can reach or a folder with safetensors weights; for an endpoint, set llm.base_url too."
        ) from error
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    end_turns(model, tokenizer)
    return ready_to_generate(model), tokenizer
