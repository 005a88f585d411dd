"""A model on this machine, run by vLLM in this process, which is made for throughput on a GPU."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from overton.errors import MissingDependencyError, ModelError, first_line
from overton.llm.prompt import PromptEncoder
from overton.llm.types import Reply, Request
from overton.prompting import marks_channels, turn_end
from overton.sections_model import LlmSection
from overton.weights import release

# Replies are stored after each block; vLLM itself decides how many of it run side by side.
_BLOCK = 512


class VllmModel:
    """A causal language model behind ``vllm.LLM``.

    Args:
        section: ``llm`` of the recipe, without a ``base_url`` and with ``backend: vllm``.
        template: see :class:`~overton.llm.prompt.PromptEncoder`.
        trained: see there.

    Raises:
        MissingDependencyError: ``vllm`` is not installed.
        ModelError: vLLM cannot load the model, or it has no chat template and none is given.
    """

    def __init__(self, section: LlmSection, template: str | None = None, trained: bool = False) -> None:
        try:
            import vllm
        except ImportError as error:
            raise MissingDependencyError(
                "backend: vllm wants the package vllm (pip install vllm; it needs a GPU). Without it, leave the key "
                "`backend` out, or start a server elsewhere and give its base_url"
            ) from error
        release()  # vLLM refuses to start where less than its share of the GPU is free
        try:
            self._llm = vllm.LLM(**engine_arguments(section))
        except Exception as error:  # vLLM's own classes, torch's, and those of the engine's process
            first = first_line(error)
            raise ModelError(f"{section.model}: vLLM cannot load it ({first})") from error
        self._make = vllm.SamplingParams
        self._encoder = PromptEncoder(section, self._llm.get_tokenizer(), template, trained)
        end = turn_end(self._llm.get_tokenizer())
        self._ends = [] if end is None else [end]
        self._skips = not marks_channels(self._llm.get_tokenizer())
        self._window: int | None = self._llm.llm_engine.model_config.max_model_len

    def replies(self, requests: Iterable[tuple[str, Request]]) -> Iterator[tuple[str, Reply]]:
        """See :class:`~overton.llm.types.Backend`."""
        source = iter(requests)
        while block := list(islice(source, _BLOCK)):
            encoded = [(key, self._encoder(request, self._window)) for key, request in block]
            yield from ((key, found) for key, found in encoded if isinstance(found, Reply))
            ready = [(key, found[1], found[0]) for key, found in encoded if not isinstance(found, Reply)]
            if not ready:
                continue
            began = time.perf_counter()
            outputs = self._llm.generate(
                [{"prompt_token_ids": ids} for _, _, ids in ready],
                [
                    self._make(
                        **sampling_arguments(key, request), stop_token_ids=self._ends, skip_special_tokens=self._skips
                    )
                    for key, request, _ in ready
                ],
                use_tqdm=False,
            )
            seconds = round((time.perf_counter() - began) / len(ready), 4)
            for (key, _, ids), output in zip(ready, outputs, strict=True):
                yield key, read_output(output.outputs[0], len(ids), seconds)


def engine_arguments(section: LlmSection) -> dict[str, Any]:
    """What ``vllm.LLM`` is called with: safetensors only, no remote code, and no sampling defaults of the model's."""
    return {
        "model": section.model,
        "trust_remote_code": False,
        "load_format": "safetensors",
        "generation_config": "vllm",
    }


def sampling_arguments(key: str, request: Request) -> dict[str, Any]:
    """What ``vllm.SamplingParams`` is called with; the key seeds the row, so that it does not depend on its block."""
    return {
        "temperature": request.temperature,
        "top_p": request.top_p if request.temperature else 1.0,
        "max_tokens": request.max_tokens,
        "seed": int(key[:8], 16),
    }


def read_output(output: Any, prompt_tokens: int, seconds: float) -> Reply:
    """A reply from vLLM's ``CompletionOutput``."""
    written = len(output.token_ids)
    reason = f"cut off after {written} tokens" if output.finish_reason == "length" else ""
    return Reply(output.text, reason, prompt_tokens, written, seconds=seconds)
