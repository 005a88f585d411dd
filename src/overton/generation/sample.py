"""Answers from a transformers model, batched by prompt length."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from overton.generation.clean import clean_answer, share
from overton.prompting import answer_text, prompt_ids
from overton.types import Answer, Situation


def sample_answers(
    model: Any,
    tokenizer: Any,
    situations: Sequence[Situation],
    *,
    template: str = "{situation}",
    system: str = "",
    temperature: float = 0.7,
    top_p: float = 0.9,
    max_new_tokens: int = 256,
    batch_size: int = 100,
    seed: int = 0,
    on_batch: Callable[[int], None] | None = None,
) -> list[Answer]:
    """One answer a situation.

    Args:
        model: a causal language model in evaluation mode.
        tokenizer: its tokenizer, with a pad token.
        situations: what to answer; references are not looked at.
        template: text around the situation.
        system: name written into the answers.
        temperature: 0 is greedy decoding.
        top_p: nucleus of sampling; not used when greedy.
        max_new_tokens: tokens; an answer that reaches it counts as unfinished.
        batch_size: answers generated side by side.
        seed: of sampling.
        on_batch: called with the number of answers after each batch.

    Returns:
        Answers in the order of ``situations``, without thoughts and remains of chat templates.
    """
    import torch
    from transformers import set_seed

    from overton.training.cache import roomy_cache
    from overton.training.draw import DirectSampler
    from overton.training.shrink import as_list, generate_shrinking, greedy

    set_seed(seed)
    ids = [prompt_ids(s.text, template, tokenizer) for s in situations]
    order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    config = greedy(model.generation_config)
    config.update(
        max_new_tokens=max_new_tokens,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=sorted({*as_list(config.eos_token_id), *as_list(tokenizer.eos_token_id)}),
        num_beams=1,
        repetition_penalty=1.0,  # some models bring one of their own, which training did not use
    )
    ends = {*config.eos_token_id, tokenizer.pad_token_id}
    on_cpu = model.device.type == "cpu"
    sampler = DirectSampler(temperature, top_p) if temperature and on_cpu else None
    if temperature and not on_cpu:
        config.update(do_sample=True, temperature=temperature, top_p=top_p, top_k=0)
    answers: list[Answer | None] = [None] * len(ids)
    for start in range(0, len(order), batch_size):
        batch = order[start : start + batch_size]
        longest = max(len(ids[i]) for i in batch)
        rows = [[tokenizer.pad_token_id] * (longest - len(ids[i])) + ids[i] for i in batch]
        masks = [[0] * (longest - len(ids[i])) + [1] * len(ids[i]) for i in batch]
        started = time.perf_counter()
        with torch.inference_mode():
            prompts = torch.tensor(rows, device=model.device)
            mask = torch.tensor(masks, device=model.device)
            if on_cpu:
                cache = roomy_cache(model, config)
                output = generate_shrinking(model.generate, prompts, mask, config, sampler, cache)
            else:
                output = model.generate(input_ids=prompts, attention_mask=mask, generation_config=config)
        seconds = (time.perf_counter() - started) / len(batch)
        for index, row in zip(batch, output[:, longest:].tolist(), strict=True):
            stop = next((i for i, token in enumerate(row) if token in ends), None)
            kept = row if stop is None else row[:stop]
            raw = answer_text(kept, tokenizer).strip()
            text = clean_answer(raw)
            answers[index] = Answer(
                id=situations[index].id,
                prompt=situations[index].text,
                answer=text,
                system=system,
                tokens=share(len(kept), text, raw),
                seconds=round(seconds, 4),
                finished=stop is not None or len(row) < max_new_tokens,
                completion_tokens=len(kept) if raw != text else None,
                raw=raw if raw != text else None,
                reason="nothing but thinking or remains of a template" if raw and not text else "",
            )
        if on_batch is not None:
            on_batch(len(batch))
    return [a for a in answers if a is not None]
