"""Does what judges share a model with what was trained, or with what it was trained against?

A finding is a warning that belongs in red beside the figures: they then say how well a model pleases itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from overton.errors import OvertonError
from overton.jsonio import read_json, sha256
from overton.rundir import RunDir

if TYPE_CHECKING:
    from overton.recipe import Recipe

# Words in the names of models that tell who made them; the first that fits decides.
_FAMILIES = {
    "qwen": ("qwen", "qwq"),
    "llama": ("llama",),
    "mistral": ("mistral", "mixtral", "ministral", "magistral"),
    "gemma": ("gemma", "gemini"),
    "gpt": ("gpt", "davinci", "chatgpt", "o1-", "o3-", "o4-"),
    "claude": ("claude",),
    "deepseek": ("deepseek",),
    "phi": ("phi-",),
    "olmo": ("olmo",),
    "smollm": ("smollm",),
    "granite": ("granite",),
    "falcon": ("falcon",),
    "command": ("command-", "c4ai"),
    "glm": ("glm-", "chatglm"),
}


@dataclass(frozen=True, slots=True)
class Part:
    """A model and what it is used for.

    Attributes:
        role: ``reward estimator``, ``base of the reward estimator``, ``evaluation encoder``, ``NLI model``, ``judge``,
            ``policy``, ``answering model`` (of a system that was not trained here) or ``data model`` (the language
            model that wrote or chose data).
        name: hub name, folder or endpoint's name; ``""`` unknown.
        hashes: of its files, as far as they are known.
    """

    role: str
    name: str = ""
    hashes: frozenset[str] = frozenset()


# Roles that must not be one model, and why.
_ONE_MODEL = (
    ("reward estimator", "evaluation encoder", "the figures grade a model by what it was trained to please"),
    ("reward estimator", "NLI model", "the figures grade a model by what it was trained to please"),
    (
        "base of the reward estimator",
        "evaluation encoder",
        "the reward was tuned from it, so their mistakes are related",
    ),
    ("base of the reward estimator", "NLI model", "the reward was tuned from it, so their mistakes are related"),
    ("policy", "NLI model", "a model grades itself"),
)
# Roles that must not be of one family, and why.
_ONE_FAMILY = (
    ("policy", "judge", "models prefer what their own kind writes"),
    ("answering model", "judge", "models prefer what their own kind writes"),
    ("data model", "judge", "who wrote references or training data grades the answers"),
    ("data model", "answering model", "who wrote references or training data answers the questions"),
)


def shared_models(parts: Sequence[Part]) -> list[str]:
    """Warnings about models that play two roles which must be apart.

    Models are the same when their names are (owner and case aside) or when they have a hash in common; of one family
    when their names say so. What is not known is not held to be shared.

    Args:
        parts: all models that had a part in the figures; several may have the same role.

    Returns:
        One sentence a finding, gravest first; empty when there is none.
    """
    found = []
    for first, second, why in _ONE_MODEL:
        for a, b in _pairs(parts, first, second):
            if evidence := _same(a, b):
                found.append(f"The {first} and the {second} are one model ({evidence}): {why}.")
    for first, second, why in _ONE_FAMILY:
        for a, b in _pairs(parts, first, second):
            if _same(a, b):
                found.append(f"The {first} and the {second} are one model ({_shown(b.name)}): {why}.")
            elif (kind := family(a.name)) and kind == family(b.name):
                names = f"{_shown(a.name)} and {_shown(b.name)}"
                found.append(f"The {first} and the {second} are of one family, {kind} ({names}): {why}.")
    return list(dict.fromkeys(found))


def parts_of_run(recipe: Recipe, run: RunDir) -> list[Part]:
    """The models of a run and their roles, from its recipe and its files.

    Args:
        recipe: the resolved recipe.
        run: the run directory; what is missing in it is not known.
    """
    section = recipe.evaluation
    base = recipe.estimator.base
    parts = [_reward_estimator(run), Part("base of the reward estimator", base, hashes_of({}, Path(base).expanduser()))]
    if recipe.policy.model != "scratch":
        parts.append(Part("policy", recipe.policy.model))
    for name in (section.nli_model, *section.nli_also):
        if name != "world":
            parts.append(Part("NLI model", name, hashes_of({}, Path(name).expanduser())))
    parts += [Part("judge", judge.asked_as) for judge in section.judge.models.values()]
    if recipe.data.asks and recipe.llm.model:
        parts.append(Part("data model", recipe.llm.asked_as))
    trained = ("sft", "grpo")
    answering = [part.asked_as for system in recipe.generation.others for part in system.models]
    return parts + [Part("answering model", name) for name in dict.fromkeys(answering) if name not in trained]


def parts_around(paths: Iterable[Path]) -> tuple[list[Part], list[str]]:
    """What trained the systems of files of answers that lie in a run (``RUN/generation/SYSTEM.jsonl``).

    Returns:
        Reward estimators, their bases, policies and data models, nothing for files that lie elsewhere; and a sentence
        for each run whose recipe cannot be read, of which only the reward estimator is known.
    """
    from overton.recipe import load_recipe

    parts, unread = [], []
    folders = (path.resolve().parent for path in paths)
    for run in dict.fromkeys(folder.parent for folder in folders if folder.name == "generation"):
        path = run / "recipe.yaml"
        if not path.is_file():
            continue
        try:
            parts += parts_of_run(load_recipe(path), RunDir(run))
        except OvertonError as error:
            why = str(error).removeprefix(f"{path}: ").splitlines()[0]
            parts.append(_reward_estimator(RunDir(run)))
            unread.append(
                f"{run.name}/recipe.yaml cannot be read by this version ({why}): whether what scores these answers is "
                "the base of their reward, their policy or what wrote their data is not known"
            )
    return [part for part in parts if part.role not in ("NLI model", "judge")], unread


def kin_of_judges(paths: Iterable[Path], models: Iterable[str], judges: Iterable[str]) -> tuple[list[str], list[str]]:
    """Warnings about judges that grade what their own model or family wrote, or that wrote the data.

    Args:
        paths: files of answers; those in a run also tell its policy and who wrote its data.
        models: who wrote the answers, ``""`` unknown.
        judges: names of those that judge.

    Returns:
        Those of :func:`shared_models`, and what :func:`parts_around` could not read.
    """
    around, unread = parts_around(paths)
    parts = [*around, *(Part("answering model", name) for name in dict.fromkeys(models))]
    grading = [Part("judge", name) for name in judges]
    roles = ("policy", "answering model", "data model")  # each beside the judges alone: nothing else is asked here
    return [w for r in roles for w in shared_models([*(p for p in parts if p.role == r), *grading])], unread


def encoder_part(name: str) -> Part:
    """An encoder that scores answers: a run, its ``estimator/``, a model's folder or a hub name."""
    folder = Path(name).expanduser()
    homes = (folder / "estimator" / "model", folder / "model", folder)
    model = next((home for home in homes if any(home.glob("*.safetensors"))), folder)
    calibration = model.parent / "calibration.json"
    return Part("evaluation encoder", name, hashes_of(read_json(calibration) if calibration.is_file() else {}, model))


def family(name: str) -> str:
    """Family of a model by its name, ``""`` when the name does not tell."""
    plain = _plain(name)
    return next((kind for kind, marks in _FAMILIES.items() if any(mark in plain for mark in marks)), "")


def hashes_of(calibration: Mapping[str, object], folder: Path) -> frozenset[str]:
    """What identifies a model: ``model_hash`` of its ``calibration.json``, and the hashes of its weights.

    Args:
        calibration: content of the file, ``{}`` without one.
        folder: the model's folder; need not exist.
    """
    found = {sha256(path) for path in folder.glob("*.safetensors")}
    return frozenset(found | {str(value) for value in [calibration.get("model_hash")] if value})


def _reward_estimator(run: RunDir) -> Part:
    stage = run.stage("estimator")
    calibration = stage / "calibration.json"
    known = read_json(calibration) if calibration.is_file() else {}
    return Part("reward estimator", "", hashes_of(known, stage / "model"))


def _pairs(parts: Sequence[Part], first: str, second: str) -> list[tuple[Part, Part]]:
    return [(a, b) for a in parts if a.role == first for b in parts if b.role == second]


def _same(a: Part, b: Part) -> str:
    if a.hashes & b.hashes:
        return f"same weights: {_shown(a.name) or _shown(b.name) or 'no name'}"
    if a.name and _plain(a.name) == _plain(b.name):
        return f"same name: {_shown(b.name)}"
    return ""


def _plain(name: str) -> str:
    """The name without owner, so that a copy in a folder is known again."""
    return re.split(r"[/\\]", name.strip().rstrip("/\\"))[-1].casefold()


def _shown(name: str) -> str:
    # A folder's place on somebody's machine is nobody's business on a page that is sent around.
    return name if name.count("/") <= 1 and not name.startswith(("/", "~", ".")) else _plain(name)
