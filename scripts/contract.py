"""Build the environment of each framework and run its contract test in it: ``make contract``.

    python scripts/contract.py [--renew] [NAME ...]

Frameworks pin packages against each other, so each gets an environment of its own, ``.contract/NAME``, with the
versions of ``tests/contract/frameworks/NAME.txt``. An environment that is up to date is kept. ``--renew`` builds
without those pins and writes the file anew. Needs nothing but Python and its venv.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TESTS = ROOT / "tests" / "contract" / "frameworks"
HOME = ROOT / ".contract"
# What the tests need beside a framework: the project itself with the weights of its untuned encoder.
COMMON = ("pytest", "pytest-timeout", "-e", f"{ROOT}[offline]")
_TORCH = re.compile(r"^torch==\S+", re.MULTILINE)


@dataclass(frozen=True)
class Framework:
    """What to install.

    Attributes:
        packages: with all that they require.
        alone: without anything that they require, since some of that needs a GPU to be installed.
    """

    packages: tuple[str, ...]
    alone: tuple[str, ...] = ()


FRAMEWORKS = {
    # The last four belong to its default trainer, and it does not ask for them.
    "verl": Framework(("verl==0.9.1", "TransferQueue", "cachetools", "fastapi", "uvicorn")),
    # Without vllm, flash-attn and bitsandbytes.
    "openrlhf": Framework(
        (
            *("transformers==5.15.0", "ray==2.55.0", "deepspeed==0.19.5"),
            *("accelerate", "aiohttp", "datasets", "peft", "pillow", "pylatexenc", "sympy", "torchdata"),
        ),
        alone=("openrlhf==0.11.0",),
    ),
    # It imports msgspec without asking for it.
    "swift": Framework(("ms-swift==4.6.0", "msgspec")),
    # Accelerate starts it on GPUs only, so our trainers meet it here. bitsandbytes is for QLoRA.
    "deepspeed": Framework(("deepspeed==0.19.5", "bitsandbytes==0.50.2", "-e", f"{ROOT}[train]")),
    # The harnesses that the benchmark's tasks run in; neither asks for what its local models need.
    "inspect": Framework(("inspect-ai==0.3.285", "accelerate")),
    "lm_eval": Framework(("lm-eval[hf]==0.4.13",)),
}


class BuildError(Exception):
    """An environment could not be built."""


def build(name: str, renew: bool) -> float:
    """Make an environment unless it is up to date.

    Returns:
        Seconds it took, 0 when there was nothing to do.

    Raises:
        BuildError: with the end of what pip said.
    """
    folder, pins = HOME / name, TESTS / f"{name}.txt"
    stamp, wanted = folder / ".made", fingerprint(name, pins)
    if not renew and stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
        return 0.0
    started = time.monotonic()
    print(f"{name}: building {folder.relative_to(ROOT)} (minutes, some 2 GB) ...", flush=True)
    HOME.mkdir(exist_ok=True)
    log = HOME / f"{name}.log"
    log.write_text("", encoding="utf-8")
    run([sys.executable, "-m", "venv", "--clear", str(folder)], log)
    if renew:
        torch = _TORCH.search((ROOT / "constraints.txt").read_text(encoding="utf-8"))
        assert torch is not None, "constraints.txt pins torch"
        constraints = folder / "constraints.txt"
        constraints.write_text(torch.group() + "\n", encoding="utf-8")
    else:
        constraints = pins
    pip = [str(python(name)), "-m", "pip", "--disable-pip-version-check", "--no-input"]
    install = [*pip, "install", "-c", str(constraints)]
    found = FRAMEWORKS[name]
    if found.alone:
        run([*install, "--no-deps", *found.alone], log)
    run([*install, *found.packages, *COMMON], log)
    if renew:
        frozen = subprocess.run([*pip, "freeze", "--exclude-editable"], capture_output=True, text=True, check=True)
        head = f"# Every version in .contract/{name}. To renew: python scripts/contract.py --renew {name}\n"
        pins.write_text(head + re.sub(r"\+cpu$", "", frozen.stdout, flags=re.MULTILINE), encoding="utf-8")
    stamp.write_text(fingerprint(name, pins), encoding="utf-8")
    return time.monotonic() - started


def run(command: list[str], log: Path) -> None:
    """Run a command whose output goes to a file."""
    with log.open("a", encoding="utf-8") as file:
        print("$", *command, file=file, flush=True)
        done = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, cwd=ROOT)
    if done.returncode:
        said = log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:]
        raise BuildError("\n".join([f"{' '.join(command)}: exit status {done.returncode}; the end of {log}:", *said]))


def fingerprint(name: str, pins: Path) -> str:
    """What an environment depends on. Environments cannot move, so the folder is a part of it."""
    files = [pins, ROOT / "pyproject.toml"]
    texts = [file.read_text(encoding="utf-8") if file.is_file() else "" for file in files]
    parts = [repr(FRAMEWORKS[name]), repr(COMMON), str(HOME), sys.version, *texts]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def python(name: str) -> Path:
    """The interpreter of an environment."""
    return HOME / name / "bin" / "python"


def test(name: str) -> bool:
    """Run the contract test of a framework in its environment."""
    quiet = {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}
    # The suite's conftest.py wants what the suite needs, and none of it is here.
    command = [str(python(name)), "-m", "pytest", "-p", "no:cacheprovider", "--noconftest", "-W", "ignore", "-rs"]
    done = subprocess.run([*command, str(TESTS / f"{name}_contract.py")], cwd=ROOT, env={**os.environ, **quiet})
    return done.returncode == 0


def size(folder: Path) -> float:
    """Gigabytes on disk."""
    return sum(path.lstat().st_blocks * 512 for path in folder.rglob("*")) / 1e9


def main() -> int:
    """The command line; 0 when every contract holds."""
    parser = argparse.ArgumentParser(description="Contract tests of the reward in each framework's own environment.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(FRAMEWORKS)}; all by default")
    parser.add_argument("--renew", action="store_true", help="build without pins and write them anew")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in FRAMEWORKS]
    if unknown:
        parser.error(f"no framework {unknown[0]!r}; there are: {', '.join(FRAMEWORKS)}")
    if sys.version_info < (3, 11):  # noqa: UP036  make takes whatever python3 is
        parser.error(f"Python 3.11 or newer is needed, this is {sys.version.split()[0]}")
    table = []
    for name in options.names or FRAMEWORKS:
        try:
            seconds = build(name, options.renew)
        except (BuildError, OSError) as error:
            print(f"{name}: the environment cannot be built\n{error}", file=sys.stderr, flush=True)
            table.append((name, "not built", ""))
            continue
        started = time.monotonic()
        result = "holds" if test(name) else "BROKEN"
        tested = time.monotonic() - started
        made = f"built in {seconds:.0f} s" if seconds else "was up to date"
        table.append((name, result, f"{made}, {size(HOME / name):.1f} GB, tested in {tested:.0f} s"))
    print("\nContracts")
    for row in table:
        print("  {:<10} {:<10} {}".format(*row))
    return 0 if all(result == "holds" for _, result, _ in table) else 1


if __name__ == "__main__":
    sys.exit(main())
