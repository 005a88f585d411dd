"""Source `hub`: any data set of the Hugging Face hub, or a folder of its kind, with the library `datasets`.

Its columns are those of a table (:mod:`overton.data.table`); ``data.columns`` renames them. Data sets that need a
script of their own are not run.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from logging import CRITICAL
from pathlib import Path
from typing import Any

from overton.errors import DataError

# Files that `save_to_disk` writes beside the rows of a data set, or of several splits.
_SAVED = frozenset(("state.json", "dataset_dict.json"))


def hub_rows(
    dataset: str, subset: str = "", split: str = "train", key: str = "data.dataset"
) -> list[tuple[str, dict[str, Any]]]:
    """Rows of a data set with their place ("DATA SET, SPLIT, row N").

    Args:
        dataset: name on the hub, or a folder of Parquet, CSV or JSONL files, or of ``save_to_disk``.
        subset: its configuration; ``""`` for the default one.
        split: one or more of its splits, ``train+validation``.
        key: of the recipe, or the option, that names the data set, for messages.

    Raises:
        DataError: no name, no network, unknown or gated data set, unknown subset or split, broken files, no rows.
    """
    if not dataset:
        raise DataError(f"{key}: name the data set of the hub, or the folder, that is to be read")
    folder = Path(dataset).expanduser()
    if not folder.is_dir():
        if folder.exists():
            raise DataError(f"{dataset}: is a file; read it with data.source `table` and data.path")
        if folder.is_absolute() or dataset.startswith((".", "~")) or dataset.count("/") > 1:
            raise DataError(f"{dataset}: no such folder")
    table = _load(str(folder) if folder.is_dir() else dataset, subset, split, key)
    name = f"{dataset}, {split}"
    rows = [(f"{name}, row {number}", row) for number, row in enumerate(table.to_list(), 1)]
    if not rows:
        raise DataError(f"{name}: the data set holds no rows")
    return rows


def _load(dataset: str, subset: str, split: str, key: str) -> Any:
    try:
        from datasets import load_dataset, load_from_disk
    except ImportError:
        raise DataError("the library `datasets` is missing: pip install datasets") from None
    try:
        with _quiet():
            if _SAVED.intersection(path.name for path in Path(dataset).glob("*.json")):
                return _saved(load_from_disk(dataset), dataset, subset, split, key)
            return load_dataset(dataset, subset or None, split=split)
    except DataError:
        raise
    except Exception as error:  # the reasons span five libraries; their classes and words differ between releases
        raise DataError(f"{dataset}: {_reason(error, subset, split, key)}") from None


def _saved(found: Any, dataset: str, subset: str, split: str, key: str) -> Any:
    """Of what ``save_to_disk`` wrote: a data set without splits, or splits of one."""
    if subset:
        raise DataError(f"{dataset}: a folder of `save_to_disk` has no subsets; leave data.subset empty")
    if not isinstance(found, dict):
        if split not in ("train", str(found.split)):
            raise DataError(f"{dataset}: data.hub_split {split!r}: the folder holds one data set without splits")
        return found
    from datasets import concatenate_datasets

    names = [name.strip() for name in split.split("+")]
    if missing := [name for name in names if name not in found]:
        raise DataError(f"{dataset}: data.hub_split {missing[0]!r}: no such split; found: {', '.join(found)}")
    return concatenate_datasets([found[name] for name in names])


def _reason(error: Exception, subset: str, split: str, key: str) -> str:
    name, said = type(error).__name__, " ".join(str(error).split())
    text = said.lower()
    if "gated" in text:
        return (
            "is gated. Accept its terms on its page, then log in here (`hf auth login`) or set HF_TOKEN; or download "
            f"its files and give their folder as {key}"
        )
    if name == "DatasetNotFoundError":
        return "no such data set on the hub, or it is private; write its name as OWNER/NAME"
    if isinstance(error, ConnectionError) or name in ("OfflineModeIsEnabled", "LocalEntryNotFoundError"):
        return f"the hub cannot be reached ({said[:200]}). Give the folder of a downloaded copy as {key}"
    if isinstance(error, FileNotFoundError):
        return "holds no Parquet, CSV or JSONL files"
    if "builderconfig" in text or "config name is missing" in text:
        return f"data.subset {subset!r}: {said[:300]}"
    if "unknown split" in text:
        return f"data.hub_split {split!r}: {said[:300]}"
    if "scripts" in text:
        return f"needs a script of its own, which is not run; save it as Parquet and give the folder as {key}"
    said = " ".join(str(error.__cause__ or error).split())
    return f"cannot be read ({name}: {said[:300]})"


@contextmanager
def _quiet() -> Iterator[None]:
    """No bars and no log: what went wrong is said once, in the error."""
    from datasets.utils import logging

    shown, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity(CRITICAL)
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if shown:
            logging.enable_progress_bar()
