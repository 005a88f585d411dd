"""From a system of the recipe to its answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from overton.generation.prompts import load_prompts, versions
from overton.generation.session import REHEARSED, AskedModel, Said, Session, Settings
from overton.generation.strategies import STRATEGIES, Plan
from overton.generation.union import load_merger
from overton.jsonio import sha256
from overton.llm import LanguageModel, Reply, Request, load_llm
from overton.llm.front import Budget
from overton.progress import say
from overton.rundir import fingerprint
from overton.sections_generation import TRAINED, SystemSection
from overton.sections_model import LlmSection, ModelSection
from overton.types import Answer, Situation

BARE = "{situation}"


@dataclass(frozen=True, slots=True)
class Home:
    """What systems find around them.

    Attributes:
        cache: folder of the replies.
        run: folder of the run, for its policies, estimator and SFT answers.
        template: what policies of the run and models without a chat template read, with ``{situation}``.
        trained: folders of further models that were trained on it.
        dry_run: count calls and make none.
        opened: models that are in use and what they may spend, by what they are.
    """

    cache: Path
    run: Path | None = None
    template: str = BARE
    trained: tuple[str, ...] = ()
    dry_run: bool = False
    opened: dict[str, tuple[AskedModel, Budget]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a list of questions.

    Attributes:
        answers: in the order of the questions, those that were answered.
        failed: question's id -> why its answer could not be fetched.
    """

    answers: list[Answer]
    failed: dict[str, str]


def answers_of(system: SystemSection, questions: Sequence[Situation], settings: Settings, home: Home) -> Outcome:
    """Let a system answer.

    Args:
        system: model and strategy.
        questions: what is asked; references are not looked at.
        settings: the same for every system, but that a system may have a temperature of its own.
        home: run, cache and models.

    Raises:
        ModelError: a model or the encoder cannot be had.
        RecipeError: a prompt cannot be used.
    """
    if system.temperature is not None:
        settings = replace(settings, temperature=system.temperature)
    plan = _plan(system, settings, home)
    session = Session(settings, len(questions))
    if home.dry_run and session.tries > 1:  # how many replies break the format is not known before
        say(
            f"{system.name}: the first try of each call is counted; with format_retries it may be up to "
            f"{session.tries} times as much"
        )
    replies = STRATEGIES[system.strategy](session, plan, [question.text for question in questions])
    label = versions(list(plan.prompts.values()))
    if not home.dry_run:
        _tell_faults(system.name, replies, session)
    answers = [
        _answer(question, said, session, i, system, label)
        for i, (question, said) in enumerate(zip(questions, replies, strict=True))
        if said is not None and i not in session.failed
    ]
    return Outcome(answers, {questions[i].id: reason for i, reason in session.failed.items()})


def _tell_faults(name: str, replies: Sequence[Said | None], session: Session) -> None:
    """A line on answers that are empty, cut off or in another format, which no score shows by itself."""
    known = {i: said for i, said in enumerate(replies) if said is not None and i not in session.failed}
    broken = sum(bool(known[i].text) for i in session.broken & known.keys())
    tries = f", in {session.tries} tries each" if session.tries > 1 else ""
    counts = {
        "are empty": sum(not said.text for said in known.values()),
        f"were cut off at {session.settings.max_tokens} tokens": sum(
            bool(said.text) and not said.finished for said in known.values()
        ),
        f"do not keep to the format asked for{tries}": broken,
    }
    faults = [f"{count} {fault}" for fault, count in counts.items() if count]
    if faults:
        say(f"{name}: of {len(known)} answers {'; '.join(faults)}")


def _answer(
    question: Situation, said: Said, session: Session, index: int, system: SystemSection, prompts: str
) -> Answer:
    spent = session.spent[index]
    return Answer(
        id=question.id,
        prompt=question.text,
        answer=said.text,
        system=system.name,
        tokens=said.tokens,
        seconds=None if spent.seconds is None else round(spent.seconds, 4),
        finished=said.finished,
        strategy=system.strategy,
        model=system.model,
        prompt_version=prompts,
        calls=spent.calls,
        prompt_tokens=spent.prompt_tokens,
        completion_tokens=spent.completion_tokens,
        cost=None if spent.cost is None else round(spent.cost, 8),
        retries=spent.retries,
        raw=said.raw if said.raw.strip() != said.text else None,
        reason=said.reason,
    )


def _plan(system: SystemSection, settings: Settings, home: Home) -> Plan:
    sft = home.run / "data" / "sft.jsonl" if home.run else None
    prompts = load_prompts(system, sft, settings.seed)
    wanted = {_key(part) for part in system.models}
    for key in [key for key in home.opened if key not in wanted]:
        del home.opened[key]  # makes room: two models may not fit beside each other
    models = [_open(part, home) for part in system.models]
    merger = None
    if system.strategy == "parallel" and not home.dry_run:
        merger = load_merger(system.encoder, system.threshold, home.run)
    return Plan(models[0], prompts, tuple(models[1:]), system.samples, system.sampled, system.union_tokens, merger)


def _key(part: ModelSection) -> str:
    return fingerprint(part.model_dump(mode="json", include=set(ModelSection.model_fields)))


def _open(part: ModelSection, home: Home) -> AskedModel:
    key = _key(part)
    if key not in home.opened:
        home.opened[key] = _opened(part, home)
    model, budget = home.opened[key]
    budget.calls = budget.tokens = 0  # each system has caps of its own, also with the model of the one before
    return model


def _opened(part: ModelSection, home: Home) -> tuple[AskedModel, Budget]:
    settings = part.model_dump(include=set(ModelSection.model_fields))
    name, trained = "", False
    if not part.base_url:
        folder = Path(part.model).expanduser()
        if home.run and part.model in TRAINED:
            folder, trained = home.run / "training" / part.model / "model", True
        if folder.is_dir():
            settings["model"] = str(folder)
            # Weights that are trained again keep their folder; their replies must not be taken for the old ones'.
            name = f"{part.model}@{sha256(folder)[:12]}"
            trained = trained or part.model in home.trained
        if home.template != BARE:  # a model without a chat template reads it, so it decides the replies too
            name = f"{name or part.model}+{fingerprint(home.template)[:8]}"
    section = LlmSection(**settings, dry_run=home.dry_run)
    budget = Budget(section.max_calls, section.max_budget_tokens)
    llm = load_llm(section, home.cache, name=name, template=home.template, trained=trained, budget=budget)
    return AskedModel(_Rehearsal(llm) if home.dry_run else llm, part, trained), budget


class _Rehearsal:
    """A dry run's model: replies that are not there are as long as they may be, so that later steps are counted too."""

    def __init__(self, llm: LanguageModel) -> None:
        self.name = llm.name
        self._llm = llm

    def complete(self, requests: Sequence[Request], description: str = "") -> list[Reply]:
        """See :class:`~overton.llm.types.LanguageModel`."""
        replies = self._llm.complete(requests, description)
        return [
            Reply("word" * request.max_tokens, REHEARSED) if reply.text is None else reply
            for request, reply in zip(requests, replies, strict=True)
        ]
