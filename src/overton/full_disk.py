"""Whether a failed write means that there was no room, whatever class and words a library has for that."""

from __future__ import annotations

import errno
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from overton.errors import DiskFullError

_NO_ROOM = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk is full for you: your quota is used up",
    errno.EFBIG: "a file would be larger than the disk or its limit (ulimit -f) allows",
}
_TORCH_WRITER = re.compile(r"inline_container|PytorchStreamWriter|writing file")
_ALMOST_NOTHING = 1 << 20


def disk_full(error: BaseException, path: Path | None) -> DiskFullError | None:
    """The one message about a disk that has no room, or ``None`` when the error has another reason.

    Args:
        error: what a write raised; its causes are looked at too.
        path: what was written. It tells a full disk from another failure when a library hides the reason, as
            torch does.
    """
    links = list(_chain(error))
    for link in links:
        if isinstance(link, DiskFullError):
            return link
    reasons = [link for link in links if isinstance(link, OSError) and link.errno in _NO_ROOM]
    # Libraries in Rust hand over the number as text.
    said = [number for number in _NO_ROOM for link in links if f"(os error {number})" in str(link)]
    said += [errno.ENOSPC for link in links if "No space left on device" in str(link)]
    if not reasons and not said:
        hidden = any(isinstance(link, RuntimeError) and _TORCH_WRITER.search(str(link)) for link in links)
        if path is None or not hidden or _free(path) > _ALMOST_NOTHING:
            return None
        said = [errno.ENOSPC]
    name = next((link.filename for link in reasons if link.filename), None) or path
    where = f" while {name} was written ({_free(Path(str(name))) / 1e6:,.1f} MB are free)" if name else ""
    what = _NO_ROOM[(said or [link.errno for link in reasons if link.errno])[0]]
    return DiskFullError(
        f"{what}{where}. Free some space, or give a folder on another disk with --run-dir, "
        "and run the same command again; finished stages and checkpoints are kept."
    )


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or link.__context__


def _free(path: Path) -> int:
    while not path.exists() and path != path.parent:
        path = path.parent
    return shutil.disk_usage(path).free
