"""Direct sampling: the same distribution as transformers' own, one random number a row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="needs the extra `train`")
transformers = pytest.importorskip("transformers", reason="needs the extra `train`")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from transformers import GenerationConfig, LogitsProcessorList, TemperatureLogitsWarper, TopPLogitsWarper  # noqa: E402

from overton.nucleus import nucleus  # noqa: E402
from overton.testing.tiny import tiny_policy  # noqa: E402
from overton.training.draw import DirectSampler, samples_plainly  # noqa: E402
from overton.training.shrink import fast_generate  # noqa: E402


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_policy(tmp_path_factory.mktemp("draw") / "policy")


def drawn(sampler: DirectSampler, logits: Any, times: int) -> Any:
    scores = sampler(None, logits.expand(times, -1).clone())
    assert (scores == 0).sum(-1).eq(1).all() and torch.isneginf(scores).sum(-1).eq(logits.shape[-1] - 1).all()
    return torch.bincount(scores.argmax(-1), minlength=logits.shape[-1]) / times


def warped(logits: Any, temperature: float, top_p: float) -> Any:
    warpers = LogitsProcessorList([TemperatureLogitsWarper(temperature), TopPLogitsWarper(top_p)])
    return torch.softmax(warpers(None, logits.clone()), dim=-1)


def test_frequencies_are_the_probabilities() -> None:
    torch.manual_seed(0)
    logits = torch.tensor([[0.0, 1.0, -torch.inf, 2.0, -3.0]])
    for temperature, top_p in ((1.0, 1.0), (0.7, 1.0), (1.5, 0.9), (0.7, 0.5)):
        wanted = warped(logits, temperature, top_p)[0] if top_p < 1 else torch.softmax(logits / temperature, -1)[0]
        found = drawn(DirectSampler(temperature, top_p), logits, 40_000)
        assert torch.allclose(found, wanted, atol=0.01), (temperature, top_p)
        assert not found[wanted == 0].any()


def test_a_nucleus_by_hand() -> None:
    weights = torch.tensor([[0.1, 0.5, 0.15, 0.25], [0.97, 0.01, 0.01, 0.01]])
    kept = nucleus(weights, 0.7)
    assert torch.equal(kept, torch.tensor([[0.0, 0.5, 0.0, 0.25], [0.97, 0.0, 0.0, 0.0]]))
    # What comes before the last token has to be less than top_p: .5 alone is enough for .5.
    assert torch.equal(nucleus(weights, 0.5)[0], torch.tensor([0.0, 0.5, 0.0, 0.0]))


def test_a_flat_distribution_needs_more_than_the_likeliest_few() -> None:
    weights = torch.full((2, 1000), 1e-3)
    weights[0, :500] *= 1.5
    weights[0, 500:] *= 0.5
    kept = nucleus(weights, 0.6)
    assert int((kept[0] > 0).sum()) == 500 and int((kept[1] > 0).sum()) == 1000


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(-20, 20, width=32), min_size=2, max_size=40, unique=True),
    st.floats(0.05, 0.99),
    st.floats(0.1, 3.0),
)
def test_the_nucleus_is_that_of_transformers(logits: list[float], top_p: float, temperature: float) -> None:
    scores = torch.tensor([logits])
    wanted = warped(scores, temperature, top_p)
    weights = torch.softmax(scores / temperature, dim=-1)
    kept = nucleus(weights, top_p)
    kept = kept / kept.sum()
    # Sums differ in the last digits, so a token at the very edge may fall on either side.
    edge = (weights.sort(descending=True).values.cumsum(-1) - top_p).abs().min() < 1e-5
    ties = weights.sort().values.diff().min() < 1e-6
    assert bool(edge) or bool(ties) or torch.allclose(kept, wanted, atol=1e-4)


def test_the_last_random_number_stays_in_the_vocabulary(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "rand_like", torch.ones_like)
    scores = DirectSampler()(None, torch.tensor([[0.0, 1.0, 2.0, -torch.inf]]))
    assert int(scores.argmax()) == 2
    monkeypatch.setattr(torch, "rand_like", torch.zeros_like)
    scores = DirectSampler()(None, torch.tensor([[-torch.inf, 1.0, 2.0]]))
    assert int(scores.argmax()) == 1


def test_generate_is_left_as_it_was(policy: Path) -> None:
    from overton.training.policy import load_policy

    model, tokenizer = load_policy(policy)
    config = GenerationConfig(
        do_sample=True, temperature=0.9, top_p=1.0, top_k=0, max_new_tokens=6, pad_token_id=tokenizer.pad_token_id
    )
    ids = torch.tensor([tokenizer("May I?")["input_ids"]] * 3)
    own = model.generate  # a method, so that deleting the attribute below brings it back
    before = config.to_dict()
    calls: list[bool] = []
    model.generate = lambda *a, generation_config, **k: (
        calls.append(generation_config.do_sample),
        own(*a, generation_config=generation_config, **k),
    )[1]
    with fast_generate(model):
        torch.manual_seed(0)
        one = model.generate(input_ids=ids, generation_config=config)
        torch.manual_seed(0)
        again = model.generate(input_ids=ids, generation_config=config)
    assert torch.equal(one, again) and calls == [False, False]
    assert config.to_dict() == before
    assert one.shape[0] == 3 and len({tuple(r) for r in one.tolist()}) > 1


@pytest.mark.parametrize(
    ("changes", "plain"),
    [
        ({}, True),
        ({"top_p": 0.9, "temperature": 0.7}, True),
        ({"do_sample": False}, False),
        ({"top_k": 50}, False),
        ({"min_p": 0.1}, False),
        ({"num_beams": 2}, False),
    ],
)
def test_other_ways_of_sampling_are_left_alone(changes: dict[str, Any], plain: bool) -> None:
    config = GenerationConfig(**({"do_sample": True, "top_k": 0} | changes))
    assert samples_plainly(config) is plain
