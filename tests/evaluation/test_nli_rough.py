"""The bfloat16 copy of a cross-encoder."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from overton.evaluation.nli_model import load_nli
from overton.evaluation.nli_rough import _LaidOut, rough_copy
from overton.precision import has_fast_bf16

PAIRS = [("The child has a right to some privacy.", "Trust between them will suffer."), ("A parent.", "A child.")]


@pytest.mark.skipif(not has_fast_bf16("cpu"), reason="this processor is not fast at bfloat16")
def test_the_copy_says_what_plain_bfloat16_says(vivid_nli: Path) -> None:
    encoder = load_nli(vivid_nli)._encoder
    copy = rough_copy(encoder)
    layers = copy.model.bert.encoder.layer
    assert {type(layer.intermediate.dense) for layer in layers} == {_LaidOut}
    assert {layer.intermediate.dense.after for layer in layers} == {"gelu"}
    assert {layer.output.dense.after for layer in layers} == {"none"}
    inputs = encoder.tokenizer(*zip(*PAIRS, strict=True), padding=True, return_tensors="pt")
    with torch.inference_mode():
        exact = encoder.model(**inputs).logits
        plain = encoder.model.to(torch.bfloat16)(**inputs).logits.float()
        found = copy.model(**inputs).logits.float()
    assert exact.abs().max() > 0.5  # or nearness would say nothing
    assert (found - exact).abs().max() <= 2 * (plain - exact).abs().max() + 0.01
