"""Which versions of the libraries work together, by what the installed ones ask for."""

from __future__ import annotations

from importlib import metadata
from typing import Any

# Who asks, by which of its extras, for what.
_PAIRS = (
    ("sentence-transformers", "", "transformers"),
    ("trl", "", "transformers"),
    ("trl", "", "accelerate"),
    ("trl", "", "datasets"),
    ("trl", "peft", "peft"),
    ("trl", "vllm", "vllm"),
    ("trl", "deepspeed", "deepspeed"),
    ("trl", "quantization", "bitsandbytes"),
    ("trl", "liger", "liger-kernel"),
)
# Trainers whose own requirements leave no room for the versions above; from the metadata of these releases.
APART = {
    "verl": "0.9.1 asks for Python below 3.13 and transformers below 5.11, with vLLM 0.24.0 and torch 2.11.0",
    "openrlhf": "0.11.0 asks for transformers 5.15.0, deepspeed 0.19.5 and vLLM 0.27.1",
    "ms-swift": "4.6.0 asks for trl below 1.0, transformers below 5.20 and datasets below 4.8.5",
}


def requirement(wanter: str, extra: str, package: str) -> str:
    """The versions of a package that an installed one takes, as in ``>=0.22.0,<=0.31.0``; ``""`` = any, or unknown."""
    from packaging.requirements import Requirement

    try:
        asked = [Requirement(text) for text in metadata.requires(wanter) or []]
    except metadata.PackageNotFoundError:
        return ""
    for one in asked:
        if one.name == package and not one.extras and (not one.marker or one.marker.evaluate({"extra": extra})):
            return ",".join(sorted(map(str, one.specifier), key=lambda s: ">" not in s))
    return ""


def installed(package: str) -> str | None:
    """The installed version, ``None`` without one."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def fits(version: str, wanted: str) -> bool:
    """Whether a version is among those wanted; what follows a plus sign (``0.24.0+cu129``) is not looked at."""
    from packaging.specifiers import SpecifierSet
    from packaging.version import Version

    return Version(Version(version).base_version) in SpecifierSet(wanted)


def together() -> list[dict[str, Any]]:
    """One row a pair of libraries: ``package``, ``installed``, ``wanted``, ``by`` and ``fits``.

    ``fits`` is ``None`` where the package is not installed. The rows of :data:`APART` say in ``note`` why they want an
    environment of their own.
    """
    rows: list[dict[str, Any]] = []
    for wanter, extra, package in _PAIRS:
        own, version, wanted = installed(wanter), installed(package), requirement(wanter, extra, package)
        if own is None:
            continue
        match = None if version is None else fits(version, wanted)
        rows.append(
            {"package": package, "installed": version, "wanted": wanted, "by": f"{wanter} {own}", "fits": match}
        )
    for package, note in APART.items():
        rows.append({"package": package, "installed": installed(package), "wanted": "", "by": "", "fits": None})
        rows[-1]["note"] = f"{note}: an environment of its own (docs/trainers.md)"
    return rows
