"""Train, dev and test of a source that people wrote: at random, or as published with what they share dropped."""

from __future__ import annotations

import random
from collections.abc import Sequence

from overton.data.pairs import has_same
from overton.data.rows import TableRow
from overton.errors import DataError
from overton.spelling import one_spelling


def split_table(
    rows: Sequence[TableRow], train: int, dev: int, test: int, seed: int, warnings: list[str]
) -> dict[str, list[TableRow]]:
    """Split at random, situations that share a text together and paraphrases spread evenly.

    Where a text is so common that it ties many situations together, only those of the same text stay together, and
    :func:`drop_shared` has to drop the others. A group that fits in no split is not used.

    Args:
        rows: the table.
        train: situations wanted.
        dev: situations wanted.
        test: situations wanted. A smaller table is divided in the same proportions.
        seed: decides the split.
        warnings: what the card should tell is appended.

    Raises:
        DataError: fewer than three different situations, or no group fits in a split.
    """
    groups = _groups(rows)
    if len(groups) < 3:
        raise DataError(f"the table has {len(groups)} different situations; train, dev and test need one each at least")
    quota = {"train": float(train), "dev": float(dev), "test": float(test)}
    wanted = train + dev + test
    if len(rows) < wanted:
        warnings.append(f"{wanted} situations wanted, the table has {len(rows)}: divided in the same proportions")
        quota = {name: max(1.0, size * len(rows) / wanted) for name, size in quota.items()}
    order = groups
    random.Random(f"{seed}/split").shuffle(order)
    order.sort(key=lambda group: not any(has_same(row) for row in group))
    found: dict[str, list[TableRow]] = {name: [] for name in quota}
    unused: list[int] = []
    for group in order:
        needy = sorted(quota, key=lambda split: (quota[split] - len(found[split])) / quota[split], reverse=True)
        fitting = (split for split in needy if len(found[split]) + len(group) <= quota[split])
        # A table that is too small is used whole.
        name = needy[0] if len(rows) < wanted else next(fitting, None)
        if name is None:
            unused.append(len(group))
        else:
            found[name] += group
    for name, own in found.items():
        if not own:
            raise DataError(
                f"no situation is left for the {name} split of {quota[name]:.0f}: situations that share a text stay "
                f"together, and each group that is left has {min(unused)} or more; make data.{name} larger"
            )
    if unused:
        warnings.append(f"{sum(unused)} of the table's {len(rows)} situations are not used")
    return found


def _groups(rows: Sequence[TableRow]) -> list[list[TableRow]]:
    sharing = shared_groups(rows)
    if max(map(len, sharing), default=0) <= max(1, len(rows) // 20):
        return sharing
    same: dict[str, list[TableRow]] = {}
    for row in rows:
        same.setdefault(one_spelling(row.situation.text), []).append(row)
    return list(same.values())


def split_as_published(rows: Sequence[TableRow], seed: int, warnings: list[str]) -> dict[str, list[TableRow]]:
    """The source's own splits. A source whose test split is not there gives half of its dev situations as test.

    Args:
        rows: each with its ``split``.
        seed: decides which half.
        warnings: what the card should tell is appended.

    Raises:
        DataError: an unknown split.
    """
    found: dict[str, list[TableRow]] = {"train": [], "dev": [], "test": []}
    for row in rows:
        if row.split not in found:
            raise DataError(f"{row.situation.id}: split {row.split!r}; train, dev or test is wanted")
        found[row.split].append(row)
    if not found["test"]:
        groups = shared_groups(found["dev"])
        random.Random(f"{seed}/published").shuffle(groups)
        found |= {"dev": [], "test": []}
        for group in sorted(groups, key=len, reverse=True):
            min((found["dev"], found["test"]), key=len).extend(group)
        warnings.append("no published test split: half of the dev situations are test")
    return found


def drop_shared(
    splits: dict[str, list[TableRow]], train: int, dev: int, test: int, seed: int, warnings: list[str]
) -> dict[str, list[TableRow]]:
    """Leave out what recurs: a situation whose text, or a perspective's, occurs in a later split.

    Args:
        splits: ``train``, ``dev`` and ``test``.
        train: situations wanted at most; which ones is drawn.
        dev: the same.
        test: the same.
        seed: decides what is drawn.
        warnings: what the card should tell is appended.

    Raises:
        DataError: nothing left in a split.
    """
    found: dict[str, list[TableRow]] = {}
    taken: set[str] = set()
    for name, wanted in (("test", test), ("dev", dev), ("train", train)):
        kept = [row for row in splits[name] if not taken & set(texts_of(row))]
        if len(kept) < len(splits[name]):
            warnings.append(
                f"{name}: {len(splits[name]) - len(kept)} situations share a text with a later split, dropped"
            )
        taken |= {text for row in kept for text in texts_of(row)}
        if len(kept) > wanted:
            warnings.append(f"{name}: {wanted} of {len(kept)} situations are used")
            chosen = set(random.Random(f"{seed}/published/{name}").sample(range(len(kept)), wanted))
            kept = [row for index, row in enumerate(kept) if index in chosen]
        if not kept:
            why = ": each shares a text with another split" if splits[name] else ""
            raise DataError(f"no situation is left for the {name} split{why}")
        found[name] = kept
    return {name: found[name] for name in splits}


def texts_of(row: TableRow) -> list[str]:
    """Everything a situation says, in one spelling: case and spacing do not count."""
    pairs = [text for p in row.pairs for text in (p.sentence1, p.sentence2)]
    own = [row.situation.text, *(view.explanation for view in row.views), *pairs]
    return [one_spelling(text) for text in own]


def shared_groups(rows: Sequence[TableRow]) -> list[list[TableRow]]:
    """Situations that share a text, directly or through others, together."""
    from scipy.cluster.hierarchy import DisjointSet

    sets, first = DisjointSet(range(len(rows))), dict[str, int]()
    for index, row in enumerate(rows):
        for text in texts_of(row):
            sets.merge(index, first.setdefault(text, index))
    return [[rows[i] for i in sorted(group)] for group in sets.subsets()]


def repeated_texts(rows: Sequence[TableRow]) -> int:
    """How many situations have the text of an earlier one."""
    return len(rows) - len({one_spelling(row.situation.text) for row in rows})
