"""A model trained from nothing on texts that people and published systems wrote, then OP-GRPO, on held-out questions.

    python benchmarks/gpu/real_text.py --data ../shared/data --size full --out real_text.json     # a GPU
    python benchmarks/gpu/real_text.py --data ../shared/data --size cpu --threads 1               # a first look
    python benchmarks/gpu/real_text.py --page     # the table of benchmarks/results into docs/real_text.md

The folder holds published files under the names of benchmarks/realtext/data.py. A tokenizer and a Qwen2 with random
weights learn the texts of the training part (logged answers of published systems, situations with their perspectives,
claims and arguments that people wrote), up to where the loss of texts on other questions is least, then the logged
answers that are in the template (SFT), then OP-GRPO with preset `overton` and credit, where the reward's encoder is the
untuned all-MiniLM-L6-v2 with the calibration that comes along.

The judge is benchmarks/realtext/matcher.py: words, letters and topics, weighted by what people labelled in other data.
It shares no code and no weights with the reward's encoder. With --nli-model an NLI cross-encoder judges too. The
reward's own coverage stands beside them, to show where the two part.

Sizes: full 88 million parameters, cpu about 8, tiny for a test. Nothing of the data is written but to --work. Training
alone needs the GPU: `--part train --work DIR` leaves the answers in DIR, and `--part judge --work DIR` judges them, on
any machine.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from gpu.device import device_name
from origin import made_by
from overton.estimator import open_estimator
from overton.evaluation import load_nli
from overton.evaluation.statistics import compare, intervals
from overton.generation.sample import sample_answers
from overton.jsonio import read_json, read_jsonl, write_json, write_jsonl
from overton.prompting import build_prompt
from overton.rewards import OvertonReward
from overton.training.grpo import train_grpo
from overton.training.policy import build_scratch_model, load_policy
from overton.training.sft import train_sft
from overton.training.tokenizer import train_tokenizer
from overton.types import Answer, Situation
from pages import fill
from realtext.data import read_material
from realtext.judged import METRICS, judged, mean_known
from realtext.learn import learn_texts
from realtext.matcher import Matcher, labelled_pairs
from realtext.sizes import LONGEST, SIZES, recipe_of

ROOT = Path(__file__).resolve().parents[2]
RESULTS, PAGE = ROOT / "benchmarks" / "results", ROOT / "docs" / "real_text.md"
SYSTEMS = ("SFT", "OP-GRPO")
BATCH = 600  # answers generated side by side


def answers_of(folder: Path, system: str, questions: Sequence[Situation], samples: int) -> list[list[Answer]]:
    """So many answers a question at temperature 0.7, as in the paper: for each sample, one a question."""
    model, tokenizer = load_policy(folder)
    model.eval().to("cuda" if torch.cuda.is_available() else "cpu")
    found = sample_answers(
        model, tokenizer, list(questions) * samples, system=system, max_new_tokens=LONGEST, batch_size=BATCH
    )
    return [found[start : start + len(questions)] for start in range(0, len(found), len(questions))]


def train(options: argparse.Namespace, work: Path) -> None:
    """Everything from the texts to the answers; models, answers and ``training.json`` are written to ``work``."""
    size = SIZES[options.size]
    material = read_material(options.data, size.held_out)
    cpu_seconds: dict[str, float] = {}
    seconds: dict[str, float] = {}

    @contextmanager
    def timed(name: str) -> Iterator[None]:
        cpu, wall = time.process_time(), time.perf_counter()
        yield
        cpu_seconds[name] = round(time.process_time() - cpu, 1)
        seconds[name] = round(time.perf_counter() - wall, 1)
        print(f"{name}: {seconds[name]} s, {cpu_seconds[name]} CPU s", flush=True)

    recipe = recipe_of(size, options.miss_credit)
    template = recipe.policy.prompt_template
    learnt = work / "texts" / "losses.json"
    if not learnt.exists():  # else a run that was killed goes on
        with timed("tokenizer"):
            taught = [f"{build_prompt(row['prompt'], template, None)}{row['completion']}" for row in material.sft]
            tokenizer = train_tokenizer([*taught[:4000], *material.texts[:6000]], recipe.policy.vocab_size)
        model = build_scratch_model(recipe.policy, tokenizer, 0).to("cuda" if torch.cuda.is_available() else "cpu")
        with timed("texts"):
            losses = learn_texts(model, tokenizer, material.texts, size, work / "texts")
        write_json(learnt, {"parameters": model.num_parameters(), "losses": losses})
        del model
    texts = read_json(learnt)
    print(texts, flush=True)
    write_jsonl(work / "sft.jsonl", material.sft)
    with timed("SFT"):
        train_sft(recipe, work / "sft.jsonl", work / "sft", max_steps=size.sft[1], start=work / "texts" / "model")
    estimator, encoder = open_estimator()
    with timed("answers of SFT"):
        answered = {"SFT": answers_of(work / "sft" / "model", "SFT", material.held_out, size.samples)}
    with timed("OP-GRPO"):
        train_grpo(recipe, material.train, work / "sft" / "model", estimator, work / "grpo")
    with timed("answers of OP-GRPO"):
        answered["OP-GRPO"] = answers_of(work / "grpo" / "model", "OP-GRPO", material.held_out, size.samples)
    for system, samples in answered.items():
        for number, answers in enumerate(samples):
            write_jsonl(work / f"{system}.{number}.answers.jsonl", (a.to_json() for a in answers))
    write_json(
        work / "training.json",
        {
            **made_by(),
            "size": options.size,
            "device": device_name(),
            "parameters": texts["parameters"],
            "data": {
                "training situations": len(material.train),
                "held-out situations": len(material.held_out),
                "dropped as nearly held out": material.dropped,
                "SFT rows": len(material.sft),
                "documents": len(material.texts),
            },
            "miss_credit": options.miss_credit,
            "steps": {"texts": size.learn, "sft": size.sft, "grpo": size.grpo},
            "seconds": seconds,
            "cpu_seconds": cpu_seconds,
            "text_losses": texts["losses"],
            "sft_loss": [row["loss"] for row in _rows(work / "sft")][-1],
            "grpo_reward": [round(row["reward"], 4) for row in _rows(work / "grpo")],
            "encoder": encoder,
        },
    )


def judge(options: argparse.Namespace, work: Path) -> dict[str, Any]:
    """What was written by :func:`train`, and the figures of its answers."""
    training = read_json(work / "training.json")
    size = SIZES[training["size"]]
    material = read_material(options.data, size.held_out)
    matcher = Matcher(labelled_pairs(options.data, "train"), material.texts[: options.judge_texts])
    agreement = matcher.choose_threshold(labelled_pairs(options.data, "dev"))
    reward = OvertonReward(open_estimator()[0], "overton")
    nli = load_nli(options.nli_model) if options.nli_model else None
    values: dict[str, dict[str, dict[str, float | None]]] = {}
    for system in SYSTEMS:
        found = []
        for number in range(size.samples):
            answers = [Answer(**row) for row in read_jsonl(work / f"{system}.{number}.answers.jsonl")]
            found.append(judged(answers, material.held_out, matcher, reward, nli))
        values[system] = {
            name: {q.id: mean_known([sample[name].get(q.id) for sample in found]) for q in material.held_out}
            for name in METRICS
        }
    metrics = [name for name in METRICS if any(v is not None for v in values["SFT"][name].values())]
    return training | {
        "judge": {"name": "words, letters and topics", "agreement": agreement, "nli_model": options.nli_model},
        "samples": size.samples,
        "systems": {
            system: intervals({name: list(values[system][name].values()) for name in metrics}) for system in SYSTEMS
        },
        "comparison": {name: compare(values["OP-GRPO"][name], values["SFT"][name]) for name in metrics},
    }


def _rows(folder: Path) -> list[dict[str, Any]]:
    return list(read_jsonl(folder / "metrics.jsonl"))


def table(report: dict[str, Any]) -> list[str]:
    """Both systems and their difference, with 95% intervals."""
    lines = ["| metric | SFT | OP-GRPO | difference | p |", "|---|---|---|---|---|"]
    for name, found in report["comparison"].items():
        digits = 1 if name in ("tokens", "sentences") else 3
        cells = [_cell(report["systems"][system][name], "mean", digits) for system in SYSTEMS]
        p = found["p_value"]
        lines.append(
            f"| {METRICS[name]} | {' | '.join(cells)} | {_cell(found, 'difference', digits)} "
            f"| {'' if p is None else '< .001' if p < 0.001 else f'{p:.3f}'} |"
        )
    return lines


def _cell(found: dict[str, Any], name: str, digits: int) -> str:
    if found["low"] is None or found["high"] is None:
        return "" if found[name] is None else f"{found[name]:.{digits}f}"
    return f"{found[name]:.{digits}f} ({found['low']:.{digits}f} to {found['high']:.{digits}f})"


def main() -> int:
    """Measure and write, or write the page alone."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder of the published files")
    parser.add_argument("--size", choices=sorted(SIZES), default="full")
    parser.add_argument("--out", type=Path, default=RESULTS / "real_text_cpu.json")
    parser.add_argument("--work", type=Path, help="folder for models and answers; a temporary one without")
    parser.add_argument("--part", choices=["all", "train", "judge"], default="all", help="train and judge want --work")
    parser.add_argument(
        "--miss-credit", type=float, default=-0.2, help="credit of a line that misses; of a weak policy one in six hits"
    )
    parser.add_argument("--nli-model", default="", help="folder or hub name of an NLI cross-encoder that judges too")
    parser.add_argument("--judge-texts", type=int, default=4000, help="documents that the judge's words are counted in")
    parser.add_argument("--threads", type=int, default=0, help="0 lets torch choose")
    parser.add_argument("--page", action="store_true", help="only write the table")
    options = parser.parse_args()
    if options.page:
        fill(PAGE, "real", table(read_json(options.out)))
        return 0
    if options.data is None:
        parser.error("--data is missing")
    if options.part != "all" and options.work is None:
        parser.error(f"--part {options.part} wants --work")
    if options.part != "judge" and options.size == "full" and not torch.cuda.is_available():
        print("skipped: there is no GPU, and --size full would take days. --size cpu is a first look.")
        return 0
    if options.threads:
        torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory(prefix="real-text-") as temporary:
        work = options.work or Path(temporary)
        if options.part != "judge":
            train(options, work)
        if options.part != "train":
            write_json(options.out, judge(options, work))
    return 0


if __name__ == "__main__":
    sys.exit(main())
