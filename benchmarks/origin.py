"""How a results file was made."""

from __future__ import annotations

import shlex
import sys
import time
from pathlib import Path
from typing import Any

from overton.rundir import versions

ROOT = Path(__file__).resolve().parents[1]


def made_by() -> dict[str, Any]:
    """``command`` as it is given in the repository's root, ``versions`` of Python and the libraries, ``date``."""
    script = Path(sys.argv[0]).resolve()
    name = script.relative_to(ROOT) if script.is_relative_to(ROOT) else script.name
    return {
        "command": shlex.join(["python", str(name), *sys.argv[1:]]),
        "versions": {"python": sys.version.split()[0], **versions()},
        "date": time.strftime("%Y-%m-%d"),
    }
