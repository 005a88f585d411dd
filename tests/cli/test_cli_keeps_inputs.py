"""No verb writes over a file that it reads, by whatever name, and none takes a folder for a file."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_material import ANSWER, write_rows

sys.path.insert(0, str(Path(__file__).parents[1]))
from people_files import write_argkp, write_perspectrum

Fails = Callable[..., str]
VIEWS = [{"label": "L", "explanation": text} for text in ("the truth matters", "the child is safe")]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """The folder in which the command line stands, with answers, references and data of every kind."""
    write_rows(tmp_path / "a.jsonl", [{"id": "q", "prompt": "Why?", "answer": ANSWER}])
    write_rows(tmp_path / "r.jsonl", [{"id": "q", "text": "Why?", "perspectives": VIEWS}])
    for folder, name in (("out", "scores.jsonl"), ("out", "overtonbench.jsonl"), ("out/batch", "gpt-4.1.jsonl")):
        (tmp_path / folder).mkdir(exist_ok=True)
        write_rows(tmp_path / folder / name, [{"id": "q", "prompt": "Why?", "answer": ANSWER}])
    (tmp_path / "refs").mkdir()
    (tmp_path / "dir.jsonl").mkdir()
    rows = [f"q,Why?,L,{view['explanation']}" for view in VIEWS]
    (tmp_path / "refs" / "table.csv").write_text("\n".join(["id,situation,label,explanation", *rows]) + "\n")
    (tmp_path / "refs" / "train.parquet").write_bytes(b"PAR1")
    (tmp_path / "recipe.yaml").write_text("data: {source: table, path: refs/train.parquet}\n")
    (tmp_path / "link.jsonl").symlink_to("a.jsonl")
    write_argkp(tmp_path / "kpa", ("train", "dev"))
    write_perspectrum(tmp_path / "people")
    (tmp_path / "argument.jsonl").symlink_to("kpa/arguments_dev.csv")
    (tmp_path / "pool.jsonl").symlink_to("people/perspective_pool_v1.0.json")
    return tmp_path


@pytest.mark.parametrize(
    "arguments",
    [
        "score a.jsonl --references r.jsonl --output a.jsonl",
        "score a.jsonl --references r.jsonl --output r.jsonl",
        "score link.jsonl --references r.jsonl --output ./a.jsonl",
        "score a.jsonl --references r.jsonl --output link.jsonl",
        "score a.jsonl --references r.jsonl --cache link.jsonl --output a.jsonl",
        "compare a.jsonl --references refs/table.csv --output refs",
        "compare a.jsonl --references refs --output refs",
        "generate --model m --questions r.jsonl --output r.jsonl",
        "judge out/scores.jsonl --output out",
        "judge out/batch/gpt-4.1.jsonl --output out --write-batch",
        "judge a.jsonl --questions out/scores.jsonl --output out",
        "overtonbench --data out/overtonbench.jsonl --output out",
        "overtonbench --data out/overtonbench.jsonl --write-questions out/overtonbench.jsonl",
        "questions table r.jsonl --output r.jsonl",
        "questions argkp kpa --output argument.jsonl",
        "questions perspectrum people --output pool.jsonl",
        "data recipe.yaml --export verl --output refs",
        "estimator benchmark refs --argkp kpa --output kpa/labels_dev.csv",
    ],
)
def test_what_is_read_is_not_overwritten(files: Path, fails: Fails, arguments: str) -> None:
    before = {path: path.read_bytes() for path in files.rglob("*") if path.is_file()}
    assert "would be overwritten" in fails(*arguments.split())
    assert {path: path.read_bytes() for path in files.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    "arguments",
    [
        "score a.jsonl --references r.jsonl --output .",
        "score a.jsonl --references r.jsonl --output refs",
        "generate --model m --questions r.jsonl --output dir.jsonl",
        "questions table r.jsonl --output dir.jsonl",
        "overtonbench --data out/overtonbench.jsonl --write-questions dir.jsonl",
    ],
)
def test_a_folder_is_no_file_to_write(files: Path, fails: Fails, arguments: str) -> None:
    assert f"{arguments.split()[-1]}: is a folder; give the name of a file" in fails(*arguments.split())


def test_the_same_command_again_writes_its_own_files_again(
    files: Path, overton: Callable[..., tuple[int, str, str]], encoder: Path
) -> None:
    for _ in range(2):
        assert (
            overton("score", "a.jsonl", "--references", "r.jsonl", "--estimator", encoder, "--output", "o.jsonl")[0]
            == 0
        )
        assert overton("compare", "a.jsonl", "--references", "r.jsonl", "--estimator", encoder)[0] == 0
        assert overton("questions", "argkp", "kpa", "--output", "kpa/questions.jsonl")[0] == 0
