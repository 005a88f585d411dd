"""The precision in which a model generates."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from overton import weights
from overton.testing import tiny_policy
from overton.weights import best_dtype, causal_model, ready_to_generate

FAST = torch.bfloat16 if torch.cpu._is_avx512_bf16_supported() else torch.float32


@pytest.mark.parametrize(("parameters", "changes"), [(10**6, False), (10**9, True)])
def test_weights_take_the_type_that_is_fast_here(parameters: int, changes: bool) -> None:
    class Model:
        dtype = torch.float16
        config = SimpleNamespace()

        def num_parameters(self) -> int:
            return parameters

    assert best_dtype(Model(), "cpu") == (FAST if changes else torch.float16)
    Model.config = SimpleNamespace(quantization_config={"bits": 4})
    assert best_dtype(Model(), "cpu") == torch.float16


@pytest.mark.skipif(torch.cuda.is_available(), reason="about CPUs")
def test_positions_are_not_rounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "SMALL", 0)
    monkeypatch.setattr(weights, "has_fast_bf16", lambda device: True)
    folder = str(tiny_policy(tmp_path / "policy"))
    for found in (ready_to_generate(causal_model(folder)), ready_to_generate(causal_model(folder, dtype="bfloat16"))):
        assert not found.training
        assert {w.dtype for w in found.parameters()} == {torch.bfloat16}
        assert found.model.rotary_emb.inv_freq.dtype == torch.float32


@pytest.mark.skipif(torch.cuda.is_available(), reason="about CPUs")
def test_float32_stays_where_bfloat16_is_not_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "SMALL", 0)
    found = ready_to_generate(causal_model(str(tiny_policy(tmp_path / "policy"))), bf16=False)
    assert {w.dtype for w in found.parameters()} == {torch.float32}
