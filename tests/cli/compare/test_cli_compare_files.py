"""What `overton compare` writes and prints."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from cli_material import ANSWER, VIEWS, answer, strict, write_rows

from overton.commands.comparing import compare_files
from overton.commands.comparing_table import FILES, comparisons_csv, latex, markdown, table_csv
from overton.jsonio import read_json
from overton.report.compare import build_comparison, pairs, split_blocks
from overton.report.svg import printable
from overton.testing import tiny_nli

Call = Callable[..., tuple[int, str, str]]
Fails = Callable[..., str]


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.text, self.tags = "", set[str]()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_all_files_are_written_and_agree(overton: Call, good: Path, poor: Path, refs: Path, encoder: Path) -> None:
    code, out, _ = overton("compare", good, poor, "--references", refs, "--estimator", encoder, "--output", "out")
    assert code == 0
    assert "page: out/index.html" in out
    assert sorted(p.name for p in Path("out").iterdir()) == sorted(FILES)
    stored = read_json(Path("out/comparison.json"))
    rows = list(csv.DictReader(io.StringIO(Path("out/table.csv").read_text())))
    for row in rows:
        score = stored["systems"][row["system"]][row["metric"]]
        assert row["mean"] == ("" if score["mean"] is None else str(score["mean"]))
    assert len(rows) == sum(len(own) for own in stored["systems"].values())
    tests = list(csv.DictReader(io.StringIO(Path("out/comparisons.csv").read_text())))
    assert len(tests) == len(stored["comparisons"]) > 10
    answers = list(csv.DictReader(io.StringIO(Path("out/rows.csv").read_text())))
    assert len(answers) == sum(own["answers"] for own in stored["answers"].values()) == 7
    assert len({(row["system"], row["id"]) for row in answers}) == 7
    for system, own in stored["systems"].items():
        for metric, score in own.items():
            known = [float(row[metric]) for row in answers if row["system"] == system and row[metric] != ""]
            assert score["n"] == len(known) and score["mean"] == pytest.approx(np.mean(known) if known else None)
    assert "rows" not in stored
    assert Path("out/table.md").read_text() == markdown(stored)
    assert Path("out/table.tex").read_text() == latex(stored)
    assert Path("out/index.html").read_text() == build_comparison(stored, "out")


@pytest.mark.parametrize(
    ("name", "start"), [("markdown", "Ranked by"), ("csv", "system,metric"), ("latex", "% "), ("json", "{")]
)
def test_a_format_goes_to_the_output_alone(
    overton: Call, good: Path, poor: Path, refs: Path, encoder: Path, name: str, start: str
) -> None:
    args = ("compare", good, poor, "--references", refs, "--estimator", encoder, "--format", name)
    code, out, _ = overton(*args)
    assert code == 0
    assert out.startswith(start)
    if name == "json":
        assert json.loads(out) == read_json(Path("comparison/comparison.json"))


def test_the_page_s_package_is_wanted_before_anything_is_scored(
    fails: Fails, good: Path, refs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    said = fails("compare", good, "--references", refs, "--estimator", "./nowhere")
    assert "matplotlib" in said and "overton[train]" in said


def test_what_models_wrote_is_escaped_everywhere(tmp_path: Path, refs: Path, encoder: Path) -> None:
    evil = "<script>alert(1)</script>"
    rows = [{"id": f"q{i}", "answer": f"<|{evil[1:7]}|>{evil}", "system": f"{evil}_%&|$x"} for i in range(3)]
    rows += [{"id": f"q{i}", "answer": answer(VIEWS[:2]), "system": "b"} for i in range(3)]
    found = compare_files([write_rows(tmp_path / "evil.jsonl", rows)], refs, strict(encoder))
    page = build_comparison(found, evil)
    parsed = _Text()
    parsed.feed(page)
    assert "script" not in parsed.tags
    assert evil in parsed.text
    assert "<script" not in markdown(found)
    tex = latex(found)
    assert r"\textless{}script\textgreater{}alert(1)\textless{}/script\textgreater{}\_\%\&\textbar{}\$x" in tex


def test_names_are_no_formulas_and_no_options(refs: Path, encoder: Path) -> None:
    """A spreadsheet calculates what begins with a sign, and LaTeX reads a bracket after a row's end."""
    names = ("=cmd|x!A1", "[2cm] a\n\nb", "\u202e@SUM(1)", "@SUM(1)")
    rows = [{"id": f"q{i}", "answer": answer(VIEWS[:2]), "system": name} for name in names for i in range(3)]
    found = compare_files([write_rows(refs.parent / "names.jsonl", rows)], refs, strict(encoder))
    cells = {row[0] for row in csv.reader(io.StringIO(table_csv(found)))}
    assert {"'=cmd|x!A1", "'@SUM(1)"} <= cells
    pairs_of = list(csv.DictReader(io.StringIO(comparisons_csv(found))))
    assert not any(row[side].startswith(("=", "@")) for row in pairs_of for side in "ab")
    assert all(float(row["difference"] or 0) == 0 for row in pairs_of)  # figures stay figures
    assert "\\\\\n{}[2cm] a b &" in latex(found)
    assert r"=cmd\textbar{}x!A1" in latex(found)  # a bar is a dash in LaTeX's oldest fonts
    assert printable("\u202e@SUM(1)") == "\ufffd@SUM(1)"


def test_a_negative_difference_stays_a_number(good: Path, poor: Path, refs: Path, encoder: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(comparisons_csv(compare_files([poor, good], refs, strict(encoder))))))
    assert any(float(row["difference"] or 0) < 0 for row in rows)


def test_every_pair_of_the_page_is_a_row_of_the_file(good: Path, poor: Path, refs: Path, encoder: Path) -> None:
    found = compare_files([good, poor], refs, strict(encoder))
    for pair in pairs(found):
        (row,) = [
            r for r in found["comparisons"] if (r["a"], r["b"], r["metric"]) == (pair.a, pair.b, pair.metric.name)
        ]
        assert (pair.verdict != "") == (row["p_holm"] < 0.05)


def test_figures_say_when_systems_answered_other_questions(good: Path, poor: Path, refs: Path, encoder: Path) -> None:
    """A curve over questions with few references is steep whatever the system."""
    said = "over its system’s own questions, which differ"
    assert said in build_comparison(compare_files([good, poor], refs, strict(encoder)))
    assert said not in build_comparison(compare_files([good], refs, strict(encoder)))


def test_tables_by_group_and_latex_say_over_how_many_questions(
    good: Path, poor: Path, refs: Path, encoder: Path
) -> None:
    found = compare_files([good, poor], refs, strict(encoder))
    # Questions 0 and 3 have two references; the second system did not answer question 3.
    assert {(group, n) for _, _, sizes, _ in split_blocks(found) for group, n in sizes} == {
        ("2p", "1 to 2"), ("3p", "1"), ("4p", "1"),
    }  # fmt: skip
    assert '<br><span class="quiet">n = 1 to 2</span>' in build_comparison(found)
    head = latex(found).split("\n\n")[0].splitlines()
    assert any(line.startswith("% not every system answered all 4 questions (poor 3)") for line in head)
    assert all(line.startswith("% ") for line in head)


def test_names_and_figures_are_whole_in_a_narrow_terminal(
    overton: Call, tmp_path: Path, refs: Path, encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    systems = [f"a-model-of-{i}b-tuned" for i in range(10)]
    path = write_rows(tmp_path / "ten.jsonl", [{"id": "q0", "answer": ANSWER, "system": s} for s in systems])
    nli = tiny_nli(tmp_path / "nli")
    for columns in (80, 40):
        monkeypatch.setenv("COLUMNS", str(columns))
        asked = (path, "--references", refs, "--estimator", encoder, "--nli-model", nli)
        _, out, _ = overton("compare", *asked)
        lines = out.splitlines()
        for system in systems:
            assert len([line for line in lines if line.split()[:1] == [system]]) >= 2
        assert {"Coverage", "Precision", "F1", "Vendi", "Persp.", "Words"} <= set(out.split())
        _, out, _ = overton("score", *asked)
        assert all(system in out for system in systems)
        assert "coverage_at_references" in out and "…" not in out


def test_what_systems_are_ranked_by_is_shown(overton: Call, tmp_path: Path, encoder: Path) -> None:
    from overton.data.world.generate import make_world
    from overton.segment import format_answer

    situations = make_world(20, 4, 4, 0).test
    write_rows(tmp_path / "refs.jsonl", [s.to_json() for s in situations])
    for name, kept in (("all", None), ("one", 1)):
        rows = [{"id": s.id, "answer": format_answer(s.perspectives[:kept], "some")} for s in situations]
        write_rows(tmp_path / f"{name}.jsonl", rows)
    asked = ("compare", "all.jsonl", "one.jsonl", "--references", "refs.jsonl", "--estimator", encoder)
    _, out, _ = overton(*asked, "--output", "out")
    assert "F1 of sets" in out
    page = Path("out/index.html").read_text()
    assert "Ranked by F1 of sets, all is first of 2" in page and " points (95% interval" in page
    assert "<figcaption>Against the known truth. Coverage rises" in page
    assert "Means with 95% intervals, against the known truth." in page
    assert "Coverage by similarity to the references, when only" in page
