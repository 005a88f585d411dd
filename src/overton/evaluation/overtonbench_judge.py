"""OvertonBench without people: a judge predicts how each participant would rate an answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Literal

from overton.evaluation.judge.agreement import krippendorff_alpha
from overton.evaluation.judge.ask import Call, Judge, ask
from overton.evaluation.judge.prompt import Prompt, load_prompt, mark_of, read_prompt
from overton.evaluation.judge.reply import Rating, read_number, read_reply
from overton.evaluation.overtonbench import Row, row_of
from overton.evaluation.overtonbench_data import Opinion, Rated

Variant = Literal["published", "multi-perspective"]
_PROMPTS = {"published": "representation", "multi-perspective": "representation-multi"}
_PLACES = ("question", "freeresponse", "llm_response")


def load_variant(variant: Variant, file: Path | None = None) -> Prompt:
    """What the judge is told.

    Args:
        variant: ``published``: the participant's own words and their ratings of other answers, and how far the answer
            as a whole represents them; ``multi-perspective``: their own words, and whether their view is among the
            answer's.
        file: a prompt of yours instead, with the places ``{question}``, ``{freeresponse}`` and ``{llm_response}``, and
            ``{examples}`` where the participant's other ratings are wanted. It must ask for one number from 1 to 5.

    Raises:
        DataError: the file cannot be read or lacks a place.
    """
    return load_prompt(_PROMPTS[variant]) if file is None else read_prompt(file, _PLACES)


def predict_ratings(
    judges: Sequence[Judge],
    prompt: Prompt,
    opinions: Sequence[Opinion],
    answers: Mapping[str, str],
    system: str,
    model: str = "",
) -> tuple[list[Row], list[Row]]:
    """Predict every participant's rating of one system's answers.

    An answer that the participant rated in the data is not among the examples. A model of the data is judged as if it
    were new: each participant is asked about the answer of its that they were shown, and none of its answers is an
    example.

    Args:
        judges: who is asked, once a participant and question.
        prompt: of :func:`load_variant`.
        opinions: of :func:`~overton.evaluation.overtonbench_data.read_overtonbench`.
        answers: the system's answer by question; other questions are left out.
        system: its name.
        model: its name in the data, where it is a model of the data; ``answers`` are then for participants who were
            shown none of it.

    Returns:
        One row a participant and question, as :func:`~overton.evaluation.overtonbench.question_scores` takes them
        (``rating``: mean over the judges, ``None`` unless all gave one), with ``system``, ``judges`` (each one's
        ``rating`` and ``reason``), ``reason`` and ``failed`` (a call failed on its way); and the transcript.

    Raises:
        ModelError: a judge cannot be had at all.
    """
    asked = [opinion for opinion in opinions if opinion.question in answers]
    calls = []
    for opinion in asked:
        answer = next((r.response for r in opinion.ratings if r.model == model), answers[opinion.question])
        others = [r for r in opinion.ratings if r.model != model and r.response.strip() != answer.strip()]
        calls.append(Call({"system": system, **row_of(opinion)}, _texts(prompt, opinion, answer, others)))
    own = not prompt.system  # a prompt of the user's asks for a number
    schema = None if own else Rating.model_json_schema()
    read = read_number if own else _read
    found = {judge.name: ask(judge, prompt, calls, read, schema, f"{system}, ratings") for judge in judges}
    rows = []
    for i, opinion in enumerate(asked):
        given = {name: verdicts[i] for name, verdicts in found.items()}
        known = [verdict.value for verdict in given.values() if verdict.value is not None]
        rows.append(
            {
                "system": system,
                **row_of(opinion),
                "rating": fmean(known) if len(known) == len(given) else None,
                "judges": {name: {"rating": v.value, "reason": v.reason} for name, v in given.items()},
                "reason": "; ".join(f"{name}: {v.reason}" for name, v in given.items() if v.value is None),
                "failed": any(v.failed for v in given.values()),
            }
        )
    return rows, [verdict.row for verdicts in found.values() for verdict in verdicts]


def check_figures(rows: Sequence[Row], opinions: Sequence[Opinion], model: str) -> dict[str, float | int | None]:
    """How well predicted ratings of one of the data's own models agree with people's.

    Args:
        rows: of :func:`predict_ratings`, for that model's answers.
        opinions: with people's ratings.
        model: its name in the data.

    Returns:
        ``n`` participants and questions with both ratings; ``mae`` (mean absolute error) and ``spearman`` (rank
        correlation) of the judge; the same of the baseline that the paper compares with, the mean of the participant's
        ratings of other models, as ``baseline_mae`` and ``baseline_spearman``. ``None`` where there is nothing to
        compare.
    """
    predicted = {(row["question"], row["user"]): row["rating"] for row in rows}
    triples = []
    for opinion in opinions:
        guess = predicted.get((opinion.question, opinion.user))
        said = next((rated.rating for rated in opinion.ratings if rated.model == model), None)
        others = [r.rating for r in opinion.ratings if r.model != model and r.rating is not None]
        if guess is not None and said is not None and others:
            triples.append((guess, said, fmean(others)))
    guesses, truths, means = ([t[i] for t in triples] for i in range(3))
    return {
        "n": len(triples),
        "mae": _error(guesses, truths),
        "spearman": _spearman(guesses, truths),
        "baseline_mae": _error(means, truths),
        "baseline_spearman": _spearman(means, truths),
    }


def rated_alone(rows: Sequence[Row], opinions: Sequence[Opinion], model: str) -> list[Row]:
    """Predictions for those who rated the model, so that their OvertonScore compares with people's.

    Args:
        rows: of :func:`predict_ratings`, for that model's answers.
        opinions: with people's ratings.
        model: its name in the data.

    Returns:
        All rows; without a rating where the participant gave none on that question.
    """
    rated = {(o.question, o.user) for o in opinions for r in o.ratings if r.model == model and r.rating is not None}
    return [row if (row["question"], row["user"]) in rated else {**row, "rating": None} for row in rows]


def rating_agreement(rows: Sequence[Row]) -> float | None:
    """Krippendorff's alpha of several judges' ratings, ordinal; ``None`` with one."""
    return krippendorff_alpha([[j["rating"] for j in row["judges"].values()] for row in rows], "ordinal")


def _texts(prompt: Prompt, opinion: Opinion, answer: str, examples: Sequence[Rated]) -> dict[str, str]:
    texts = {"question": opinion.text, "freeresponse": opinion.freeresponse, "llm_response": answer}
    if "{examples}" not in prompt.user:
        return texts
    rated = [r for r in examples if r.rating is not None]
    mark = mark_of([*texts.values(), *(r.response for r in rated)])
    tagged = "{mark}" in prompt.user
    shown = [
        f"<rated {mark}>\n{r.response}\n</rated {mark}>\nRating: {r.rating:g}"
        if tagged
        else f"Response: {r.response}\nRating: {r.rating:g}"
        for r in rated
    ]
    return texts | {"examples": "\n\n".join(shown) or "(none)", "mark": mark}


def _read(text: str) -> int:
    return read_reply(text, Rating).rating


def _error(one: Sequence[float], other: Sequence[float]) -> float | None:
    return fmean(abs(x - y) for x, y in zip(one, other, strict=True)) if one else None


def _spearman(one: Sequence[float], other: Sequence[float]) -> float | None:
    from scipy.stats import spearmanr

    if len(set(one)) < 2 or len(set(other)) < 2:
        return None
    return float(spearmanr(one, other).statistic)
