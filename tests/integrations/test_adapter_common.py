"""The scorer behind the adapters: threads, batches, failures; and what importing an adapter costs."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from adapter_material import GOOD, REFERENCES, SITUATION

from overton.errors import ModelError
from overton.integrations.common import Scorer, load_scorer
from overton.rewards import OvertonReward, shared_reward
from overton.types import Group, Perspective

ADAPTERS = ("trl", "verl", "openrlhf", "swift")
# What the extras of the project install; none of it is in the dependencies.
EXTRAS = ("trl", "peft", "matplotlib", "openai", "optuna", "psutil", "datasets", "accelerate", "pandas", "pyarrow")
# Where these are installed, sentence-transformers itself insists on them.
LOADED_BY_ITS_LIBRARY = 4


class SlowEncoder:
    """One axis a text; notes how many texts come at once, and fails on some of them."""

    threshold = 0.5

    def __init__(self, barrier: threading.Event | None = None) -> None:
        self.sizes: list[int] = []
        self.free = barrier

    def encode(
        self, texts: Sequence[str], contexts: Sequence[str] | None = None, *, preprocess: bool = True
    ) -> np.ndarray[Any, np.dtype[np.float32]]:
        self.sizes.append(len(texts))
        if self.free is not None and any("first" in text for text in texts):
            assert self.free.wait(30)
        if any("fatal" in text for text in texts):
            raise ModelError("fatal text")
        rows = np.zeros((len(texts), 512), dtype=np.float32)
        rows[range(len(texts)), [sum(text.rstrip(".").encode()) % 512 for text in texts]] = 1.0
        return rows


def group(text: str) -> Group:
    return Group("?", (Perspective("", text),), (f"In the perspective of A, {text}.",))


def test_answers_that_wait_for_the_encoder_are_encoded_together() -> None:
    free = threading.Event()
    encoder = SlowEncoder(free)
    scorer = Scorer(OvertonReward(encoder))
    with ThreadPoolExecutor(9) as pool:
        first = pool.submit(scorer.score, [group("first")])
        while len(encoder.sizes) < 2:  # the probe, then the first
            assert not first.done()
        rest = [pool.submit(scorer.score, [group(f"text {n}")]) for n in range(8)]
        while len(scorer._waiting) < 8:
            pass
        free.set()
        found = [job.result(30)[0] for job in [first, *rest]]
    assert [score.terms["coverage"] for score in found] == [1.0] * 9
    assert encoder.sizes[1:] == [2, 16]


def test_one_answer_that_fails_fails_alone() -> None:
    free = threading.Event()
    scorer = Scorer(OvertonReward(SlowEncoder(free)))
    with ThreadPoolExecutor(9) as pool:
        jobs = [pool.submit(scorer.score, [group(text)]) for text in ("first", "a", "fatal", "b")]
        while not scorer._encoder_lock.locked() or len(scorer._waiting) < 3:
            pass
        free.set()
        errors = [job.exception(30) for job in jobs]
    assert [type(error) for error in errors] == [type(None), type(None), ModelError, type(None)]
    assert jobs[3].result()[0].terms["coverage"] == 1.0
    with pytest.raises(ModelError):
        scorer.score([group("fatal")])
    assert scorer.score([group("a")])[0].value is not None and scorer.score([]) == []


def test_a_reward_that_can_score_nothing_is_an_error_at_once() -> None:
    class Uncalibrated(SlowEncoder):
        @property
        def threshold(self) -> float:  # type: ignore[override]
            raise ModelError("no calibration")

    with pytest.raises(ModelError, match="no calibration"):
        Scorer(OvertonReward(Uncalibrated()))
    assert Scorer(OvertonReward(Uncalibrated(), threshold=0.7)).terms


def test_terms_are_those_of_the_preset_with_its_options() -> None:
    encoder = SlowEncoder()
    assert "novelty" in Scorer(OvertonReward(encoder, novelty_weight=0.1)).terms
    assert "coverage_ladder" in Scorer(OvertonReward(encoder, "op-grpo")).terms


def test_one_scorer_for_the_same_settings_and_one_estimator_for_the_process() -> None:
    assert load_scorer() is load_scorer() and load_scorer().reward is shared_reward()
    assert load_scorer(beta=0.5) is load_scorer(beta=0.5) is not load_scorer()
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: load_scorer(beta=0.25), range(16)))
    assert len(found) == 1


# ------------------------------------------------------------------ imports


def run(code: str) -> set[str]:
    """Modules that are loaded at the end."""
    script = f"{code}\nimport sys\nprint('\\n'.join(sys.modules), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stderr.split())


@pytest.mark.parametrize("name", ["verl", "openrlhf"])
def test_importing_an_adapter_loads_no_framework_no_other_adapter_and_nothing_heavy(name: str) -> None:
    loaded = run(f"import overton.integrations.{name}")
    others = {f"overton.integrations.{other}" for other in ADAPTERS if other != name}
    heavy = {"torch", "transformers", "sentence_transformers", "verl", "openrlhf", "swift", *EXTRAS}
    assert not loaded & (others | heavy)


def test_adapters_score_without_anything_that_the_extras_install() -> None:
    hidden = (*EXTRAS[:-LOADED_BY_ITS_LIBRARY], "verl", "openrlhf", "swift")
    options = {"situation": SITUATION.text}
    loaded = run(
        f"import sys\nfor name in {hidden!r}: sys.modules[name] = None\n"
        "from overton.integrations.verl import compute_score\n"
        f"found = compute_score('d', {GOOD!r}, {REFERENCES!r}, {options!r})\n"
        "assert found['score'] > 0.9, found\n"
        "from overton.integrations.openrlhf import reward_func\n"
        f"found = reward_func(['?' + {GOOD!r}], ['?'], [{options | {'references': REFERENCES}!r}])\n"
        "assert found['rewards'].item() > 0.9, found\n"
    )
    assert not loaded & {"overton.integrations.trl", "overton.integrations.swift"}


def test_no_adapter_imports_another() -> None:
    folder = Path(sys.modules[OvertonReward.__module__].__file__ or "").parents[1] / "integrations"
    for name in ("verl", "openrlhf", "swift", "common"):
        text = (folder / f"{name}.py").read_text(encoding="utf-8")
        for other in ADAPTERS:
            assert f"integrations.{other} import" not in text and f"import overton.integrations.{other}\n" not in text
