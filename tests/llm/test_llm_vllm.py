"""vLLM's back end: its arguments, and what is said without the package; the rest wants a GPU."""

from __future__ import annotations

import gc
import sys
import weakref
from importlib import util
from pathlib import Path
from types import SimpleNamespace

import pytest
from llm_server import Open, ask

from overton.errors import MissingDependencyError, ModelError
from overton.llm import Reply, Request
from overton.llm.vllm_offline import VllmModel, engine_arguments, read_output, sampling_arguments
from overton.rundir import fingerprint
from overton.sections_model import LlmSection
from overton.testing import tiny_policy


def test_the_engine_loads_safetensors_and_no_code_of_the_models() -> None:
    found = engine_arguments(LlmSection(model="m", backend="vllm"))
    assert found == {
        "model": "m",
        "trust_remote_code": False,
        "load_format": "safetensors",
        "generation_config": "vllm",  # or the model's own top-k and penalties would count
    }


def test_sampling_follows_the_request_and_is_seeded_by_its_key() -> None:
    request = Request((), max_tokens=9, temperature=0.7, top_p=0.9)
    found = sampling_arguments(fingerprint("a"), request)
    assert (found["temperature"], found["top_p"], found["max_tokens"]) == (0.7, 0.9, 9)
    assert 0 <= found["seed"] < 2**32
    assert found["seed"] != sampling_arguments(fingerprint("b"), request)["seed"]
    assert sampling_arguments(fingerprint("a"), Request((), top_p=0.9))["top_p"] == 1.0, "greedy needs no nucleus"


def test_what_vllm_gives_is_read() -> None:
    whole = SimpleNamespace(text="So.", token_ids=(5, 6, 2), finish_reason="stop")
    cut = SimpleNamespace(text="So", token_ids=(5, 6), finish_reason="length")
    assert read_output(whole, 7, 0.5) == Reply("So.", "", 7, 3)
    assert read_output(cut, 7, 0.5).reason == "cut off after 2 tokens"


def test_the_missing_package_is_named(open_llm: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(MissingDependencyError, match="pip install vllm"):
        open_llm(backend="vllm").complete(ask("a"))


def test_what_is_done_with_is_out_of_memory_before_the_engine_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    class Trainer:
        def __init__(self) -> None:
            self.itself = self

    def engine(**arguments: object) -> None:
        found.append(before())
        raise ValueError("no GPU")

    found: list[object] = []
    monkeypatch.setitem(sys.modules, "vllm", SimpleNamespace(LLM=engine))
    gc.disable()
    try:
        before = weakref.ref(Trainer())
        assert before() is not None
        with pytest.raises(ModelError, match="no GPU"):
            VllmModel(LlmSection(model="m", backend="vllm"))
    finally:
        gc.enable()
    assert found == [None]


@pytest.mark.skipif(util.find_spec("vllm") is None, reason="vllm is not installed; it needs a GPU")
def test_a_tiny_model_answers(open_llm: Open, tmp_path: Path) -> None:
    model = str(tiny_policy(tmp_path / "model", max_length=128, chat=True))
    [reply] = open_llm(model=model, backend="vllm").complete(ask("why?", max_tokens=4))
    assert reply.completion_tokens == 4
