"""The dry run for a terminal."""

from __future__ import annotations

from typing import Any

# What takes memory, in the order it is told, and in which part it is held.
PARTS = (
    ("weights", "weights"),
    ("reference", "reference model (beta > 0)"),
    ("optimizer", "optimizer states"),
    ("buckets", "gradient buckets of DDP"),
    ("estimator", "similarity estimator"),
    ("vllm", "vLLM's share"),
    ("gradients", "gradients"),
    ("copies", "weights rounded or gathered"),
    ("activations", "activations"),
    ("logits", "logits"),
    ("cache", "keys and values of generation"),
    ("rounded", "weights rounded for generation"),
    ("allowance", "allowance for the rest"),
)


def to_text(found: dict[str, Any]) -> str:
    """The findings of :func:`overton.training.dry_run.dry_run` for people."""
    lines = [*_head(found)]
    for name, title in (("sft", "SFT"), ("grpo", "OP-GRPO")):
        if part := found[name]:
            lines += ["", title, *_batch(name, part), *_settings(part["settings"])]
    lines += [*_memory(found), *_time(found), *_disk(found)]
    for problem in found["problems"]:
        lines += ["", f"{problem['severity'].upper()} {problem['key']}: {problem['text']}"]
    if found["unchecked"]:
        lines += ["", "not checked", *(f"  {text}" for text in found["unchecked"])]
    errors = sum(p["severity"] == "error" for p in found["problems"])
    warnings = len(found["problems"]) - errors
    told = f"{errors} error{'s' * (errors != 1)}, {warnings} warning{'s' * (warnings != 1)}; nothing was trained"
    lines += ["", told]
    return "\n".join(lines)


def _head(found: dict[str, Any]) -> list[str]:
    setting, model = found["setting"], found["model"]
    lines = []
    if model:
        lines.append(
            f"model    {model['architecture']}, {model['parameters']:,} parameters, {model['context']:,} positions "
            f"(sizes from {model['source']})"
        )
    size = f"{setting['memory_gb']} GB each" if setting["memory_gb"] else "memory unknown (--gpu or --memory-gb)"
    name = setting["gpu"] or "device"
    lines.append(f"devices  {setting['processes']} x {name}, {size}, {setting['sharding']}, {setting['precision']}")
    return lines


def _batch(name: str, part: dict[str, Any]) -> list[str]:
    if name == "sft":
        return [
            f"  {part['rows']:,} rows, {part['answers_per_step']} a step: {part['steps']:,} steps, "
            f"{part['epochs']:g} epochs",
            f"  a device takes {part['per_device_train_batch_size']} at once, "
            f"{part['gradient_accumulation_steps']} times a step",
        ]
    steps = part["steps_per_generation"] // part["gradient_accumulation_steps"]
    every = f" for {steps} steps" if steps > 1 else ""
    return [
        f"  {part['prompts_per_step']:,} prompts x {part['num_generations']} answers = {part['answers_per_step']:,} "
        f"answers a step; {part['steps']:,} steps, {part['prompts']:,} prompts, {part['epochs']:g} epochs",
        f"  a device generates {part['answers_per_device']:,} ({part['groups_per_device']:,} whole groups){every}, "
        f"then takes {part['per_device_train_batch_size']} at once, {part['gradient_accumulation_steps']:,} times "
        f"a step ({part['micro_batches']:,} micro-batches in all)",
        f"  at most {part['generated_tokens_per_step']:,} tokens generated and {part['trained_tokens_per_step']:,} "
        f"trained a step{' on average' if steps > 1 else ''}, {part['generated_tokens']:,} and "
        f"{part['trained_tokens']:,} in all",
    ]


def _settings(settings: dict[str, Any]) -> list[str]:
    lines, line = [], "  TRL:"
    for item in (f"{name}={value}" for name, value in settings.items() if name not in ("output_dir", "dataset_kwargs")):
        if len(line) + len(item) > 112:
            lines.append(line)
            line = "      "
        line += f" {item}"
    return [*lines, line]


def _memory(found: dict[str, Any]) -> list[str]:
    if not found["memory"]:
        return []
    sft, grpo = found["memory"]["sft"], found["memory"]["grpo"]
    lines = ["", f"{'memory a device, GB (an estimate)':<36}{'SFT':>8}{'OP-GRPO':>10}"]
    for key, title in PARTS:
        if sft[key] or grpo[key]:
            lines.append(f"  {title:<34}{sft[key]:>8.2f}{grpo[key]:>10.2f}")
    lines.append(f"  {'at the peak of the update':<34}{sft['update']:>8.2f}{grpo['update']:>10.2f}")
    lines.append(f"  {'at the peak of generation':<34}{'':>8}{grpo['generation']:>10.2f}")
    by_method = found["memory"]["total_by_method"]
    shardings = list(next(iter(by_method.values())))
    lines += ["", f"{'the greater of both, otherwise':<36}" + "".join(f"{s:>10}" for s in shardings)]
    lines += [f"  {m:<34}" + "".join(f"{by[s]:>10.2f}" for s in shardings) for m, by in by_method.items()]
    return lines


def _time(found: dict[str, Any]) -> list[str]:
    time = found["time"]
    if not time or time["step_seconds"] is None:
        return []
    assumed = time["assumed"]
    return [
        "",
        f"time (an estimate; assumed: {assumed['update_share_of_flops']:.0%} of the data sheet's operations, "
        f"{assumed['decode_share_of_bandwidth']:.0%} of its bandwidth, without vLLM at least "
        f"{1000 * assumed['transformers_seconds_a_layer']:.1f} ms a layer and token, longest answers)",
        f"  a step {time['step_seconds']:,} s: {time['generation_seconds']:,} s generation "
        f"({time['answers_at_once']:,} answers at once on a device), {time['update_seconds']:,} s update; "
        f"{time['hours']:,} h in all",
    ]


def _disk(found: dict[str, Any]) -> list[str]:
    disk = found["disk"]
    if not disk:
        return []
    return [
        "",
        f"disk     a checkpoint {disk['checkpoint_gb']} GB, a saved model {disk['model_gb']} GB; "
        f"{disk['wanted_gb']} GB wanted, {disk['free_gb']} GB free here",
    ]
