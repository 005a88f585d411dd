"""How much of a LoRA adapter is left when it is merged into weights of bfloat16?

    python benchmarks/adapter_rounding.py RUN --model HuggingFaceTB/SmolLM2-135M-Instruct

RUN is a run of recipes/smollm2-135m.yaml with its data stage done. An adapter of rank 32 is trained on the SFT answers
as SFT does, and then, from the rounded model, at a tenth of the rate, about as far as so many steps of OP-GRPO go. For
each: the loss of held-out references with the adapter beside its base, merged in float32 (as a model is saved), and
merged and rounded to bfloat16; and how much of what the adapter adds to the weights is left then. One thread, float32.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel

from origin import made_by
from overton.data import read_situations
from overton.folders import shown_model
from overton.jsonio import write_json
from overton.prompting import prompt_ids
from overton.recipe import parse_recipe
from overton.segment import format_answer
from overton.training.adapters import ADAPTER
from overton.training.policy import load_policy
from overton.training.sft import train_sft

RESULT = Path(__file__).parent / "results" / "adapter_rounding.json"
PARTS = (("at the rate of SFT", 1e-4, 24), ("at a tenth of it", 1e-5, 12))  # learning rate, steps
QUESTIONS = 40


@torch.no_grad()
def loss(model: Any, tokenizer: Any, rows: list[tuple[str, str]]) -> float:
    """Nats a token of the references' answers."""
    model.eval()
    total, count = 0.0, 0
    for question, answer in rows:
        prompt = prompt_ids(question, "{situation}", tokenizer)
        said = tokenizer(answer)["input_ids"]
        logits = model(input_ids=torch.tensor([prompt + said])).logits[0, len(prompt) - 1 : -1]
        total += torch.nn.functional.cross_entropy(logits, torch.tensor(said), reduction="sum").item()
        count += len(said)
    return round(total / count, 4)


def measure(run: Path, name: str, work: Path) -> list[dict[str, Any]]:
    """One row a part."""
    questions = read_situations(run / "data" / "test.jsonl")[:QUESTIONS]
    rows = [(s.text, format_answer(s.perspectives, "All of these count.")) for s in questions]
    found, start = [], Path(name)
    for number, (part, rate, steps) in enumerate(PARTS):
        sft = {"epochs": 1, "batch_size": 8, "learning_rate": rate, "save_steps": 1000}
        recipe = parse_recipe({"name": "a", "policy": {"model": name, "lora_rank": 32}, "training": {"sft": sft}})
        train_sft(recipe, run / "data" / "sft.jsonl", work / str(number), max_steps=steps, start=start)
        base, tokenizer = load_policy(start, "float32")
        before = {n: w.clone() for n, w in base.state_dict().items() if n.endswith("proj.weight")}
        row: dict[str, Any] = {"part": part, "learning_rate": rate, "steps": steps, "loss": {}}
        row["loss"]["before"] = loss(base, tokenizer, rows)
        row["loss"]["adapter"] = loss(
            PeftModel.from_pretrained(base, str(work / str(number) / ADAPTER)), tokenizer, rows
        )
        merged, _ = load_policy(work / str(number) / "model", "float32")
        row["loss"]["merged, float32"] = loss(merged, tokenizer, rows)
        added = {n: w - before[n] for n, w in merged.state_dict().items() if n in before}
        rounded = merged.bfloat16().float()
        row["loss"]["merged, bfloat16"] = loss(rounded, tokenizer, rows)
        kept = {n: w - before[n].bfloat16().float() for n, w in rounded.state_dict().items() if n in before}
        one, other = (torch.cat([v.flatten() for v in part.values()]) for part in (added, kept))
        row["weights changed"] = round(other.ne(0).float().mean().item(), 4)
        row["cosine of what is left"] = round(torch.cosine_similarity(one, other, dim=0).item(), 4)
        row["added, rms"] = one.pow(2).mean().sqrt().item()
        print(row, flush=True)
        found.append(row)
        start = work / str(number) / "model"
        if number == 0:  # as it was: what is trained further lies in bfloat16
            rounded.bfloat16().save_pretrained(start)
    return found


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--model", default="HuggingFaceTB/SmolLM2-135M-Instruct")
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(options.run, options.model, Path(folder))
    write_json(options.out, {**made_by(), "model": shown_model(options.model), "questions": QUESTIONS, "parts": rows})


if __name__ == "__main__":
    main()
