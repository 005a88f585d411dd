"""Write the tables of docs/recipe.md and docs/reward.md from the code, so that they cannot fall behind it.

python scripts/make_recipe_doc.py            # rewrites what stands between the markers
python scripts/make_recipe_doc.py --check    # exits with 1 when a page is out of date
"""

from __future__ import annotations

import argparse
import dataclasses
import re
import sys
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from overton.commands.init import _describe, _yaml
from overton.recipe import Recipe, _section_in
from overton.rewards.presets import PRESETS
from overton.sections_model import Section

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGES = (DOCS / "recipe.md", DOCS / "reward.md")
_ATTRIBUTE = re.compile(r"^ {4,8}(\w+): (.+)$")


def main() -> int:
    """Rewrite the pages, or check them.

    Returns:
        0, or 1 when a page was out of date and only a check was asked for.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing; exit with 1 when out of date")
    check = parser.parse_args().check
    stale = [page for page in PAGES if refreshed(page) != page.read_text(encoding="utf-8")]
    for page in stale:
        if check:
            print(f"{page.name}: out of date; run python scripts/make_recipe_doc.py")
        else:
            page.write_text(refreshed(page), encoding="utf-8")
            print(f"{page.name}: rewritten")
    return int(check and bool(stale))


def refreshed(page: Path) -> str:
    """The page with its generated parts made anew.

    Raises:
        ValueError: a marker is missing.
    """
    text = page.read_text(encoding="utf-8")
    parts = {"keys": key_tables()} if page.name == "recipe.md" else {n: field_table(n) for n in PRESETS}
    for name, content in parts.items():
        begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
        if text.count(begin) != 1 or text.count(end) != 1:
            raise ValueError(f"{page}: {begin} and {end} must each occur once")
        text = text[: text.index(begin) + len(begin)] + f"\n{content}\n" + text[text.index(end) :]
    return text


def key_tables() -> str:
    """One table a section: key, default and meaning."""
    lines: list[str] = []
    for title, purpose, rows in _sections(Recipe, ""):
        lines += [f"### {title}", *([purpose] if purpose else []), ""]
        lines += ["| key | default | meaning |", "|---|---|---|", *rows, ""]
    return "\n".join(lines).rstrip()


def _sections(model: type[Section], path: str) -> Iterator[tuple[str, str, list[str]]]:
    rows, inner = [], []
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            inner.append((f"{path}{name}", field.annotation))
            continue
        item = _section_in(field.annotation) if typing.get_origin(field.annotation) is list else None
        if item and issubclass(item, Section) and not issubclass(model, item):
            inner.append((f"{path}{name}[]", item))
        required = field.is_required()
        default = "" if required else f"`{_yaml(field.get_default(call_default_factory=True))}`"
        rows.append(f"| `{name}` | {_cell(default)} | {_cell(_describe(field))} |")
    if rows:
        purpose = (model.__doc__ or "").strip().splitlines()[0] if path else ""
        yield (f"`{path[:-1]}`" if path else "At the top"), purpose, rows
    for name, section in inner:
        yield from _sections(section, f"{name}.")


def field_table(preset: str) -> str:
    """Fields of a reward preset: default and meaning, from its docstring."""
    meanings = _attributes(PRESETS[preset].__doc__ or "")
    rows = [
        f"| `{f.name}` | {_default(f.default)} | {_cell(meanings[f.name])} |"
        for f in dataclasses.fields(PRESETS[preset])
    ]
    return "\n".join(["| field | default | meaning |", "|---|---|---|", *rows])


def _attributes(doc: str) -> dict[str, str]:
    found: dict[str, str] = {}
    name = ""
    for line in doc.partition("Attributes:")[2].splitlines():
        if match := _ATTRIBUTE.match(line):
            name = match.group(1)
            found[name] = match.group(2)
        elif name and line.strip():
            found[name] += f" {line.strip()}"
    return {key: text.replace("``", "`") for key, text in found.items()}


def _default(value: Any) -> str:
    return "calibrated" if value is None else f"`{value}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.exit(main())
