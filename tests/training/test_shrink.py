"""A shrinking batch gives the tokens that a full one gives."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="needs the extra `train`")
transformers = pytest.importorskip("transformers", reason="needs the extra `train`")

from torch.profiler import ProfilerActivity, profile  # noqa: E402
from transformers import LogitsProcessorList  # noqa: E402
from transformers.cache_utils import DynamicLayer  # noqa: E402

from overton.testing.tiny import tiny_policy  # noqa: E402
from overton.training.cache import RoomyLayer, roomy_cache  # noqa: E402
from overton.training.draw import DirectSampler  # noqa: E402
from overton.training.policy import load_policy  # noqa: E402
from overton.training.shrink import fast_generate, generate_shrinking, greedy  # noqa: E402


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder: Path = tiny_policy(tmp_path_factory.mktemp("shrink") / "policy")
    return load_policy(folder)[0].eval()


def prompts(rows: int) -> tuple[Any, Any]:
    """Prompts of 1 to 6 tokens, padded on the left."""
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(10, 40, (rows, 6), generator=generator)
    mask = torch.ones_like(ids)
    for row in range(rows):
        mask[row, : row % 6] = 0
    return ids * mask, mask


def settings(model: Any, ends: list[int]) -> Any:
    config = greedy(model.generation_config)
    config.update(max_new_tokens=30, pad_token_id=0, eos_token_id=ends)
    return config


def counted(model: Any, sizes: list[int]) -> Any:
    def generate(**kwargs: Any) -> Any:
        sizes.append(len(kwargs["input_ids"]))
        return model.generate(**kwargs)

    return generate


@pytest.mark.parametrize("ends", [list(range(10, 40)), [1], []], ids=["many end early", "few end", "none ends"])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("kind", ["the library's", "roomy", "unreadable"])
def test_the_tokens_are_those_of_a_full_batch(
    model: Any, ends: list[int], temperature: float, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind == "unreadable":
        monkeypatch.setattr("overton.training.shrink.DynamicCache", type("Other", (), {}))
    ids, mask = prompts(40)
    config = settings(model, ends)
    sampler = DirectSampler(temperature) if temperature else None
    torch.manual_seed(3)
    full = model.generate(
        input_ids=ids,
        attention_mask=mask,
        generation_config=config,
        logits_processor=LogitsProcessorList([sampler] if sampler else []),
    )
    state = torch.get_rng_state()
    torch.manual_seed(3)
    sizes: list[int] = []
    cache = roomy_cache(model, config) if kind == "roomy" else None
    found = generate_shrinking(counted(model, sizes), ids, mask, config, sampler, cache)
    assert torch.equal(found, full) and torch.equal(torch.get_rng_state(), state)
    assert sizes[0] == 40 and sizes == sorted(sizes, reverse=True)
    if len(ends) > 1 and temperature:
        assert len(sizes) > 2 and sizes[-1] < 20  # it did shrink
    assert config.max_new_tokens == 30  # the caller's own


def test_a_small_batch_stays_whole(model: Any) -> None:
    ids, mask = prompts(7)
    sizes: list[int] = []
    torch.manual_seed(0)
    generate_shrinking(counted(model, sizes), ids, mask, settings(model, list(range(10, 40))), DirectSampler())
    assert sizes == [7]


def test_what_it_does_not_know_is_left_to_the_library(model: Any) -> None:
    ids, mask = prompts(20)
    config = settings(model, list(range(10, 40)))
    config.update(do_sample=True, temperature=1.0, top_k=0)
    plain = model.generate
    sizes: list[int] = []

    def generate(**kwargs: Any) -> Any:
        sizes.append(len(kwargs["input_ids"]))
        return plain(**kwargs)

    model.generate = generate  # fast_generate deletes it at the end
    with fast_generate(model):
        torch.manual_seed(0)
        model.generate(input_ids=ids, attention_mask=mask, generation_config=config)
        shrunk = len(sizes)
        model.generate(input_ids=ids, attention_mask=mask, generation_config=config, use_cache=False)
        config.update(eos_token_id=None)  # the model's own would end answers
        model.generate(input_ids=ids, attention_mask=mask, generation_config=config)
        config.update(top_k=5)
        model.generate(input_ids=ids, attention_mask=mask, generation_config=config)
    assert shrunk > 1 and len(sizes) == shrunk + 3


def test_weights_are_cast_once_for_all_tokens(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Autocast around all forward passes gives the tokens of autocast in each, and casts no weight twice."""
    ids, mask = prompts(40)
    config = settings(model, [])
    config.update(do_sample=True, temperature=1.0, top_k=0)

    def autocast() -> torch.autocast:
        return torch.autocast("cpu", dtype=torch.bfloat16)

    def drawn(around: torch.autocast | None) -> tuple[Any, int]:
        with fast_generate(model, around), profile(activities=[ProfilerActivity.CPU], record_shapes=True) as seen:
            torch.manual_seed(0)
            tokens = model.generate(input_ids=ids, attention_mask=mask, generation_config=config)
        weight = list(model.model.layers[0].mlp.down_proj.weight.shape)
        casts = [e for e in seen.events() if e.name == "aten::_to_copy" and e.input_shapes[:1] == [weight]]
        return tokens, len(casts)

    forward = model.forward

    def mixed(*args: Any, **kwargs: Any) -> Any:  # as Accelerate prepares a model
        with autocast():
            return forward(*args, **kwargs)

    monkeypatch.setattr(model, "forward", functools.wraps(forward)(mixed))
    each, many = drawn(None)
    once, few = drawn(autocast())
    assert torch.equal(each, once)
    assert many == 30 * few and few > 0


def test_a_layer_with_room_holds_what_the_librarys_holds() -> None:
    generator = torch.Generator().manual_seed(0)
    ours, theirs = RoomyLayer(), DynamicLayer()
    batch = 6
    for step, tokens in enumerate([5, *[1] * 40, 3, 50, 1]):  # a prompt, tokens, and several at once
        keys, values = torch.randn(2, batch, 2, tokens, 4, generator=generator)
        for one, other in zip(ours.update(keys, values), theirs.update(keys, values), strict=True):
            assert torch.equal(one, other)
        if step in (10, 11, 30):
            left = torch.randperm(batch, generator=generator)[: batch - 1]
            batch -= 1
            ours.reorder_cache(left)
            theirs.reorder_cache(left)
    assert ours.get_seq_length() == theirs.get_seq_length() == 99
    ours.crop(-60)
    theirs.crop(-60)
    fresh = torch.ones(batch, 2, 1, 4)
    assert torch.equal(ours.update(fresh, fresh)[0], theirs.update(fresh, fresh)[0])


@pytest.mark.parametrize("changes", [{"use_cache": False}, {"cache_implementation": "static"}])
def test_who_asks_for_another_cache_gets_it(model: Any, changes: dict[str, Any]) -> None:
    config = settings(model, [1])
    assert roomy_cache(model, config) is not None
    config.update(**changes)
    assert roomy_cache(model, config) is None
