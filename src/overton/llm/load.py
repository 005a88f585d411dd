"""From the recipe's section to a language model."""

from __future__ import annotations

from pathlib import Path

from overton.errors import RecipeError
from overton.folders import shown_model
from overton.jsonio import sha256
from overton.llm.cache import ReplyCache
from overton.llm.front import Budget, CarefulModel
from overton.llm.types import Backend, LanguageModel
from overton.sections_model import LlmSection


def load_llm(
    section: LlmSection,
    cache: Path,
    *,
    name: str = "",
    template: str | None = None,
    trained: bool = False,
    budget: Budget | None = None,
    keep: bool = True,
) -> LanguageModel:
    """The language model of the recipe, with its cache, budget and dry run.

    Nothing is loaded, and no key is wanted, until something is asked that the cache does not hold.

    Args:
        section: ``llm`` of the recipe. ``base_url`` decides between an endpoint and a model on this machine, and
            ``backend`` what runs the latter.
        cache: folder for the replies. A stage's own folder is emptied when its settings change, so take one
            beside them: ``run.path / "llm"``.
        name: what the cache knows the model by; ``""`` = ``section.model``, of a folder with the hash of its files.
        template: see :class:`~overton.llm.prompt.PromptEncoder`; models on this machine only.
        trained: see there.
        budget: shared with other models; ``None`` = one of its own, of the section's caps.
        keep: ``False`` = a model on this machine is loaded for each call of ``complete``, and then its memory is free.

    Raises:
        RecipeError: the section names no model.
    """
    if not section.model:
        raise RecipeError(
            "llm.model is empty, and this recipe asks a language model. Name one: a hub name or folder, "
            "or with llm.base_url the name that the endpoint knows it by (docs/llm.md)."
        )
    known_as = name or _known_as(section)
    if folder := _folder(section):
        section = section.model_copy(update={"model": str(folder)})  # without ~, which no loader knows

    def open_backend() -> Backend:
        if section.base_url:
            from overton.llm.endpoint import Endpoint

            return Endpoint(section)
        if section.backend == "vllm":
            from overton.llm.vllm_offline import VllmModel

            return VllmModel(section, template, trained)
        from overton.llm.local import LocalModel

        return LocalModel(section, template, trained)

    return CarefulModel(section, ReplyCache(cache), open_backend, known_as, budget, keep or bool(section.base_url))


def _known_as(section: LlmSection) -> str:
    """Weights in a folder may be replaced; their replies must not be taken for those of the old ones.

    Where the folder lies does not count: the name goes into data that may be published.
    """
    folder = _folder(section)
    return f"{shown_model(section.model)}@{sha256(folder)[:12]}" if folder else section.model


def _folder(section: LlmSection) -> Path | None:
    return next((folder for folder in section.outside if folder.is_dir()), None)
