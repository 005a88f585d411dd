"""A transformers model on this machine: a hub name or a folder, safetensors only, with its chat template.

Each request draws from a random generator of its own, seeded by what is asked. So a reply does not depend on which
others are generated beside it, and a run that was killed goes on as if it had not been. (Up to rounding: a batch of
another width may add up in another order.)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from transformers import LogitsProcessor, LogitsProcessorList

from overton.errors import ModelError
from overton.llm.types import Reply, Request
from overton.sections import LlmSection


class LocalModel:
    """A causal language model in this process, on the first GPU if there is one.

    Args:
        section: ``llm`` of the recipe, without a ``base_url``.

    Raises:
        ModelError: it cannot be had or read, or has no chat template.
    """

    def __init__(self, section: LlmSection) -> None:
        self._model, self._tokenizer = _load(section.model)
        self._batch_size = section.batch_size
        self._template = section.extra.get("chat_template_kwargs") or {}
        self._window = getattr(self._model.config.get_text_config(), "max_position_embeddings", None)
        ends = self._model.generation_config.eos_token_id
        self._ends = {self._tokenizer.eos_token_id, *(ends if isinstance(ends, list) else [ends])}

    def replies(self, requests: Iterable[tuple[str, Request]]) -> Iterator[tuple[str, Reply]]:
        """See :class:`~overton.llm.types.Backend`."""
        source = iter(requests)
        while batch := list(islice(source, self._batch_size)):
            ready: list[tuple[str, Request, list[int]]] = []
            for key, request in batch:
                ids = self._encode(request)
                if isinstance(ids, Reply):
                    yield key, ids
                else:
                    ready.append((key, request, ids))
            if ready:
                yield from self._generate(ready)

    def _encode(self, request: Request) -> list[int] | Reply:
        messages = [{"role": role, "content": content} for role, content in request.messages]
        try:
            encoded = self._tokenizer.apply_chat_template(
                messages, add_generation_prompt=True, tokenize=True, return_dict=True, **self._template
            )
        except Exception as error:  # templates refuse roles and orders with errors of their own
            return Reply(None, f"the chat template refuses these messages: {error}")
        ids = list(encoded["input_ids"])
        if self._window and len(ids) + request.max_tokens > self._window:
            return Reply(
                None, f"{len(ids)} tokens and max_tokens {request.max_tokens} exceed the window of {self._window}"
            )
        return ids

    def _generate(self, batch: list[tuple[str, Request, list[int]]]) -> Iterator[tuple[str, Reply]]:
        longest = max(len(ids) for _, _, ids in batch)
        pad, device = self._tokenizer.pad_token_id, self._model.device
        with torch.inference_mode():
            output = self._model.generate(
                input_ids=torch.tensor([[pad] * (longest - len(ids)) + ids for _, _, ids in batch], device=device),
                attention_mask=torch.tensor(
                    [[0] * (longest - len(ids)) + [1] * len(ids) for _, _, ids in batch], device=device
                ),
                max_new_tokens=max(request.max_tokens for _, request, _ in batch),
                pad_token_id=pad,
                logits_processor=LogitsProcessorList([RowSampler([(key, r) for key, r, _ in batch])]),
                do_sample=False,
                temperature=None,
                top_p=None,
                top_k=None,
                repetition_penalty=1.0,
            )
        for (key, request, ids), row in zip(batch, output[:, longest:].tolist(), strict=True):
            row = row[: request.max_tokens]
            stop = next((i for i, token in enumerate(row) if token in self._ends), None)
            text = self._tokenizer.decode(row[:stop], skip_special_tokens=True)
            reason = f"cut off after {len(row)} tokens" if stop is None else ""
            yield key, Reply(text, reason, len(ids), len(row) if stop is None else stop + 1)


class RowSampler(LogitsProcessor):
    """Draws each row's next token from its own generator at its own temperature; greedy decoding then takes it.

    Args:
        rows: key and request of each row; both decide what is drawn.
    """

    def __init__(self, rows: list[tuple[str, Request]]) -> None:
        self._temperatures = [request.temperature for _, request in rows]
        # The key is a hash of the whole request, its seed included.
        self._generators = [torch.Generator().manual_seed(int(key[:15], 16)) for key, _ in rows]

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        """Scores of shape (batch, vocabulary), 0 for the drawn token and -inf elsewhere."""
        rows = zip(scores, self._temperatures, self._generators, strict=True)
        chosen = torch.stack([self._draw(row, temperature, source) for row, temperature, source in rows])
        return torch.full_like(scores, -torch.inf).scatter_(-1, chosen[:, None], 0.0)  # type: ignore[return-value]

    @staticmethod
    def _draw(row: torch.Tensor, temperature: float, source: torch.Generator) -> torch.Tensor:
        if not temperature:
            return row.argmax()
        sums = torch.softmax(row.double() / temperature, dim=-1).cumsum(dim=-1)
        point = torch.rand(1, generator=source, dtype=torch.float64).to(row.device) * sums[-1]
        # A product rounded up to the total would point behind the last token.
        return torch.searchsorted(sums, point.minimum(sums[-1].nextafter(torch.zeros_like(sums[-1]))), right=True)[0]


def _load(name: str) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    if Path(name).exists() and not (Path(name) / "config.json").is_file():
        raise ModelError(f"{name}: no config.json in this folder, so it is not a saved model")
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
        model = AutoModelForCausalLM.from_pretrained(name, trust_remote_code=False, use_safetensors=True, dtype="auto")
    except Exception as error:  # the reasons span several libraries and many classes
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(
            f"{name}: cannot be loaded as a causal language model ({first}). llm.model is a hub name that this "
            "machine can reach or a folder with safetensors weights; for an endpoint, set llm.base_url too."
        ) from error
    if not tokenizer.chat_template:
        raise ModelError(f"{name}: has no chat template, so it was not made to be asked; take an instruct model")
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return model.to("cuda" if torch.cuda.is_available() else "cpu").eval(), tokenizer
