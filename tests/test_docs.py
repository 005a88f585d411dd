"""What README and docs/ name exists: commands, options, links, files, make targets, code, keys, tables."""

from __future__ import annotations

import ast
import importlib
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from overton.cli import app
from overton.data import read_answers, read_situations
from overton.data.table import read_table
from overton.errors import RecipeError
from overton.recipe import load_recipe, parse_recipe
from overton.rewards.presets import FILE_KEYS, make_preset

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
RECIPES = sorted((ROOT / "recipes").glob("*.yaml"))
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_INLINE = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)|(?:src|srcset|href)=\"([^\"]+)\"")
_PATH = re.compile(r"(?:src|docs|recipes|tests|benchmarks|scripts)/[\w./-]+")
_COMMAND = re.compile(r"^(?:\$ )?(?:\.venv/bin/)?overton (.+)$")


def blocks(page: Path, *languages: str) -> Iterator[str]:
    for language, text in _BLOCK.findall(page.read_text(encoding="utf-8")):
        if language in languages:
            yield text


def inline(page: Path) -> list[str]:
    return _INLINE.findall(_BLOCK.sub("", page.read_text(encoding="utf-8")))


def commands(page: Path) -> Iterator[tuple[str, bool]]:
    """Arguments of each documented call, and whether it is a whole one; prose may name a verb alone."""
    for text in blocks(page, "", "sh", "bash", "console"):
        for line in text.replace("\\\n", " ").splitlines():
            if match := _COMMAND.match(line.strip()):
                yield match.group(1), True
    for text in inline(page):
        if match := _COMMAND.match(text):
            yield match.group(1), len(match.group(1).split()) > 1


def parse(arguments: str, whole: bool) -> None:
    """Let the command line's own parser read a call, without running it."""
    group: Any = typer.main.get_command(app)
    words = shlex.split(arguments, comments=True)
    known = {option for parameter in group.params for option in parameter.opts} | {"--help", "-h"}
    while words and words[0].startswith("-"):
        assert words.pop(0) in known, arguments
    if not words:
        return
    verb = group.commands[words[0]]
    if "--help" in words or not whole:
        return
    verb.make_context(words[0], [w for w in words[1:] if w != "--debug"])


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_every_command_parses(page: Path) -> None:
    for arguments, whole in commands(page):
        try:
            parse(arguments, whole)
        except Exception as error:
            pytest.fail(f"{page.name}: overton {arguments}: {type(error).__name__}: {error}")


def test_commands_are_found_and_wrong_ones_are_noticed() -> None:
    found = [arguments for page in PAGES for arguments, _ in commands(page)]
    verbs = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    assert {shlex.split(arguments)[0] for arguments in found} >= verbs
    for wrong in (
        "rnu RECIPE",
        "run RECIPE --form data",
        "score A",
        "ask Q --model M --top-p 2",
        "--bug run R",
    ):
        with pytest.raises(Exception):  # noqa: B017  the parser has several classes of its own
            parse(wrong, True)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_every_relative_link_resolves(page: Path) -> None:
    for one, other in _LINK.findall(_BLOCK.sub("", page.read_text(encoding="utf-8"))):
        target, _, anchor = (one or other).partition("#")
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        path = (page.parent / target).resolve() if target else page
        assert path.exists(), f"{page.name}: {target} does not exist"
        assert path.is_relative_to(ROOT.resolve()), f"{page.name}: {target} is outside the repository"
        if anchor:
            assert anchor in anchors(path), f"{page.name}: {target}#{anchor} has no such heading"


def anchors(page: Path) -> set[str]:
    """Anchors of the headings as GitHub makes them."""
    heads = re.findall(r"^#+ (.+)$", _BLOCK.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_every_file_that_is_named_exists(page: Path) -> None:
    for text in inline(page):
        for name in _PATH.findall(text):
            assert list(ROOT.glob(name.rstrip("./"))), f"{page.name}: {name} does not exist"


def test_every_module_of_the_architecture_exists_and_none_is_forgotten() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rooms = {p.name for p in (ROOT / "src" / "overton").iterdir()} - {
        "__init__.py",
        "__pycache__",
        "py.typed",
    }
    first_cells = re.findall(r"^\| ((?:`[\w./]+`(?:, )?)+) \|", text, re.MULTILINE)
    named = {name.rstrip("/") for cell in first_cells for name in _INLINE.findall(cell)}
    assert {name for name in named if name.endswith(".py")} <= rooms
    assert rooms <= named, f"docs/architecture.md leaves out {sorted(rooms - named)}"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_every_make_target_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    calls = [line for text in blocks(page, "", "sh", "bash") for line in text.splitlines()] + inline(page)
    named = {match.group(1) for call in calls if (match := re.match(r"make ([a-z]+)\b", call))}
    assert named <= targets


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_python_examples_parse_and_their_imports_work(page: Path) -> None:
    for text in blocks(page, "python"):
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("overton"):
                module = importlib.import_module(str(node.module))
                for name in node.names:
                    assert hasattr(module, name.name), f"{page.name}: {node.module}.{name.name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_recipe_fragments_are_valid(page: Path) -> None:
    for text in blocks(page, "yaml"):
        keys = yaml.safe_load(text)
        if set(keys) <= set(FILE_KEYS):  # settings of a reward
            make_preset(keys.get("preset", "overton"), keys.get("overrides", {}))
            continue
        recipe = parse_recipe({"name": "fragment", **keys})
        make_preset(recipe.reward.preset, recipe.reward.overrides)
    with pytest.raises(RecipeError):
        parse_recipe({"name": "fragment", "reward": {"present": "overton"}})


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_examples_of_data_are_read(page: Path, tmp_path: Path) -> None:
    for number, text in enumerate(blocks(page, "jsonl")):
        file = tmp_path / f"{number}.jsonl"
        file.write_text(text, encoding="utf-8")
        if '"answer"' in text:
            assert read_answers(file)
        else:
            assert read_table(file, {})
            assert read_situations(file)


def test_dotted_keys_that_are_named_are_keys_of_the_recipe() -> None:
    sections = parse_recipe({"name": "a"}).model_dump()
    start = re.compile(rf"^(?:{'|'.join(k for k, v in sections.items() if isinstance(v, dict))})\.[\w.]+")
    found = 0
    for page in PAGES:
        for text in inline(page):
            match = start.match(text)
            if not match or match.group().endswith((".py", ".md", ".jsonl", ".json")):
                continue
            found += 1
            node: Any = sections
            for part in match.group().split("."):
                assert isinstance(node, dict), f"{page.name}: {match.group()}"
                assert part in node, f"{page.name}: {match.group()} is no key of the recipe"
                node = node[part]
    assert found > 20


def test_the_generated_tables_are_up_to_date() -> None:
    script = ROOT / "scripts" / "make_recipe_doc.py"
    done = subprocess.run([sys.executable, str(script), "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_readme_is_short_and_has_a_place_for_results() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) < 120
    assert text.count("<!-- results:begin -->") == text.count("<!-- results:end -->") == 1


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
def test_every_recipe_loads(path: Path) -> None:
    recipe = load_recipe(path)
    make_preset(recipe.reward.preset, recipe.reward.overrides)
    steps = recipe.training.grpo
    answers = steps.prompts_per_step * steps.num_generations
    assert answers % (steps.micro_batch_size or answers) == 0


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
def test_the_commands_in_a_recipe_parse(path: Path) -> None:
    head = path.read_text(encoding="utf-8").split("\nname:")[0].replace("\n#", " ")
    for call in re.findall(r"overton (run recipes/\S+\.yaml(?:\s+--set \S+)*)", head):
        parse(call, True)
        changes = re.findall(r"--set (\S+)", call)
        assert load_recipe(ROOT / call.split()[1], changes).name == path.stem
