"""The page: self-contained, escaped, complete, and whole however little of the run is there."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure
from report_fake_run import SKILL, VALUES, build_run, recipe

import overton.report.stage as stage
from overton.jsonio import read_json, read_jsonl, write_json, write_jsonl
from overton.report import figures
from overton.report.files import read_run
from overton.report.html import build_page
from overton.report.markdown import build_markdown
from overton.rundir import RunDir

VOID = {"meta", "link", "br", "img", "input", "hr"}


class Page(HTMLParser):
    """Elements, attributes and text of a page; complains about tags that do not nest."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {k: v or "" for k, v in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {k: v or "" for k, v in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attrs for name, attrs in self.elements if name == tag]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    run = build_run(tmp_path_factory.mktemp("report") / "run", situations=60)
    stage.run(recipe(), run)
    return run


@pytest.fixture
def run(whole: RunDir, tmp_path: Path) -> RunDir:
    shutil.copytree(whole.path, tmp_path / "run")
    return RunDir(tmp_path / "run")


@pytest.fixture
def sketched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are painted but not written as SVG: tests of text and shapes need no more."""

    def sketch(
        name: str, size: tuple[float, float], alt: str, paint: Callable[[Any], None], theme: str = "page"
    ) -> str:
        paint(Figure(figsize=(1, 1)).add_subplot())
        return f"<svg role='img' aria-label='{name}'></svg>"

    monkeypatch.setattr(figures, "draw", sketch)


def page_of(run: RunDir, **sections: object) -> Page:
    stage.run(recipe(**sections), run)
    return Page((run.path / "report/index.html").read_text(encoding="utf-8"))


def test_page_loads_nothing(whole: RunDir) -> None:
    text = (whole.path / "report/index.html").read_text(encoding="utf-8")
    page = Page(text)
    assert {tag for tag, _ in page.elements} & {
        "script",
        "img",
        "iframe",
        "object",
        "embed",
        "form",
        "base",
    } == set()
    policy = [m["content"] for m in page.all("meta") if m.get("http-equiv") == "Content-Security-Policy"]
    assert policy == [
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
    ]
    for _, attrs in page.elements:
        for name, value in attrs.items():
            if name in ("href", "src", "xlink:href", "srcset"):
                assert value.startswith("#") or value == "data:,"
            assert not name.startswith("on")
    outside = set(re.findall(r"https?://[^\"' )<]+", text))
    assert outside == {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert "@import" not in text
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", text))
    assert len(text) < 400_000


def test_references_inside_the_page_resolve(whole: RunDir) -> None:
    text = (whole.path / "report/index.html").read_text(encoding="utf-8")
    page = Page(text)
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    wanted = {
        attrs[k][1:] for _, attrs in page.elements for k in ("href", "xlink:href") if attrs.get(k, "").startswith("#")
    }
    wanted |= {t[1:] for t in re.findall(r"url\((#[^)]*)\)", text)}
    wanted |= {a["aria-describedby"] for _, a in page.elements if "aria-describedby" in a}
    assert len(wanted) > 20
    assert wanted <= set(ids)


def test_every_part_is_there(whole: RunDir) -> None:
    page = Page((whole.path / "report/index.html").read_text(encoding="utf-8"))
    assert "Left out" not in page.text
    figures = page.all("svg")
    assert all(f["role"] == "img" and len(f["aria-label"]) > 20 for f in figures)
    alts = " | ".join(f["aria-label"] for f in figures)
    for part in (
        "Bar chart", "Coverage against the number", "Calibration plot", "Histogram of cosines, base",
        "Histogram of cosines, tuned",
        "Reward against", "Coverage against training", "Precision against", "Uniqueness against",
        "Perspectives per answer against",
        "Valid tags against", "Length in tokens against", "Entropy against", "SFT",
    ):  # fmt: skip
        assert part in alts
    assert "KL" not in alts  # all zero in this run
    for word in ("training", "9 min 08 s", "16 min 26 s", "torch", "2.13.0", "num_generations: 8", "seed"):
        assert word in page.text


def test_figures_in_the_table_are_the_summary_s(whole: RunDir) -> None:
    page = Page((whole.path / "report/index.html").read_text(encoding="utf-8"))
    summary = read_json(whole.path / "evaluation/summary.json")
    squeezed = re.sub(r"\s+", " ", page.text)
    for system in SKILL:
        score = summary["systems"][system]["oracle_coverage"]
        assert f"{100 * score['mean']:.1f}%{100 * score['low']:.1f}–{100 * score['high']:.1f}" in squeezed
    row = next(c for c in summary["comparisons"] if (c["a"], c["metric"]) == ("grpo", "oracle_coverage"))
    shown = f"+{100 * row['difference']:.1f}+{100 * row['low']:.1f} to +{100 * row['high']:.1f}"
    assert shown in squeezed
    assert f"+{100 * row['relative']:.0f}%" in squeezed


def test_every_value_is_in_the_heat_map_greatest_gain_first(whole: RunDir) -> None:
    text = (whole.path / "report/index.html").read_text(encoding="utf-8")
    part = text[text.index('id="values"') : text.index('id="estimator"')]
    per_value = read_json(whole.path / "evaluation/summary.json")["per_value"]
    rows = re.findall(r'<tr><th scope="row">([^<]+)</th>(.*?)</tr>', part)
    assert {name for name, _ in rows} == set(per_value["sft"]) <= set(VALUES)
    gains = []
    for name, cells in rows:
        sft, grpo = (per_value[s][name] for s in ("sft", "grpo"))
        gains.append(grpo["covered"] / grpo["total"] - sft["covered"] / sft["total"])
        texts = re.findall(r'<td class="heat-cell h(\d+)"[^>]*>(\d+)</td>', cells)
        assert [int(t) for _, t in texts] == [round(100 * c["covered"] / c["total"]) for c in (sft, grpo)]
        assert all(abs(int(level) * 10 - int(t)) <= 5 for level, t in texts)
    assert gains == sorted(gains, reverse=True)


def test_same_files_give_the_same_bytes(run: RunDir) -> None:
    before = {p.name: p.read_bytes() for p in (run.path / "report").iterdir()}
    shutil.rmtree(run.path / "report")
    stage.run(recipe(), run)
    assert {p.name: p.read_bytes() for p in (run.path / "report").iterdir()} == before
    assert set(before) == {"index.html", "report.md"}


def test_no_machine_path_on_the_page(run: RunDir, sketched: None) -> None:
    (run.path / "estimator/calibration.json").write_text("{", encoding="utf-8")
    (run.path / "data/test.jsonl").unlink()
    page = page_of(run)
    assert "Left out: estimator/calibration.json: broken JSON at line 1" in page.text
    assert (
        str(run.path) not in (run.path / "report/index.html").read_text() + (run.path / "report/report.md").read_text()
    )


EVIL = '"><script>alert(1)</script><img src=x onerror=alert(2)> <a href="javascript:alert(3)" onclick=x>&amp;'


def test_what_a_model_wrote_stays_text(run: RunDir) -> None:
    path = run.path
    rows = read_jsonl(path / "generation/grpo.jsonl")
    verdicts = read_jsonl(path / "evaluation/grpo.oracle.jsonl")
    for row, verdict in zip(rows, verdicts, strict=True):
        row["answer"] = f"{EVIL} first\n{EVIL}second"
        verdict["segments"] = [
            {
                "start": 0,
                "end": len(EVIL) + 6,
                "verdict": "matched",
                "label": EVIL,
                "explanation": EVIL,
                "cluster": EVIL,
            }
        ]
    write_jsonl(path / "generation/grpo.jsonl", rows)
    write_jsonl(path / "evaluation/grpo.oracle.jsonl", verdicts)
    situations = read_jsonl(path / "data/test.jsonl")
    for row in situations:
        row["text"] = EVIL
        for p in row["perspectives"]:
            p["label"], p["explanation"] = EVIL, EVIL
    write_jsonl(path / "data/test.jsonl", situations)
    summary = read_json(path / "evaluation/summary.json")
    for key in ("systems", "per_value", "by_count"):
        summary[key][EVIL] = summary[key]["grpo"]
    for values in summary["per_value"].values():
        values[EVIL] = {"covered": 1, "total": 2}
    summary["systems"]["sft"][EVIL] = {"mean": 1.0}
    summary["comparisons"].append({"a": EVIL, "b": "sft", "metric": EVIL, "difference": 1.0})
    write_json(path / "evaluation/summary.json", summary)
    benchmark = read_json(path / "estimator/benchmark.json")
    benchmark["systems"]["tuned"]["false_positive_rate"][EVIL] = {"mean": 0.5}
    write_json(path / "estimator/benchmark.json", benchmark)
    (path / "data/manifest.json").write_text(json.dumps({"versions": {EVIL: EVIL}, "status": EVIL, "started": EVIL}))
    page = page_of(run)
    assert {tag for tag, _ in page.elements} & {"script", "img"} == set()
    assert all(not name.startswith("on") for _, attrs in page.elements for name in attrs)
    assert all(a["href"].startswith("#") for a in page.all("a"))
    assert page.text.count("<script>alert(1)</script>") > 40
    markdown = (path / "report/report.md").read_text(encoding="utf-8")
    assert "<script" not in markdown and "<img" not in markdown and "<a " not in markdown


def test_characters_that_no_page_can_hold(run: RunDir, sketched: None) -> None:
    rows = read_jsonl(run.path / "generation/grpo.jsonl")
    for row in rows:
        row["answer"] = "a\x00b\ud800c\x1b[31m\tend " + row["answer"]
    situations = read_jsonl(run.path / "data/test.jsonl")
    for row in situations:
        for p in row["perspectives"]:
            p["label"] = "la\x0bbel"
    write_jsonl(run.path / "data/test.jsonl", situations)
    lines = "\n".join(json.dumps(row) for row in rows)
    (run.path / "generation/grpo.jsonl").write_text(lines, encoding="utf-8")
    page = page_of(run)
    assert "a�b�c�[31m end" in page.text
    assert "la�bel: " in page.text
    assert "\x00" not in page.text and "\x1b" not in page.text


FILES = (
    "evaluation/summary.json", "evaluation", "data/test.jsonl", "data", "generation", "generation/sft.jsonl",
    "estimator",
    "estimator/calibration.json", "estimator/benchmark.json", "training/grpo/metrics.jsonl", "training",
    "evaluation/grpo.oracle.jsonl",
)  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_a_missing_part_is_said_and_the_rest_stays(run: RunDir, sketched: None, name: str) -> None:
    target = run.path / name
    if target.is_dir():
        shutil.rmtree(target)
    else:
        target.unlink()
    page = page_of(run)
    assert "Left out" in page.text or "Not judged" in page.text
    for heading in (
        "Results on held-out",
        "Learning curves",
        "Coverage by value",
        "Similarity estimator",
        "Answers side",
        "Time",
    ):
        assert heading in page.text
    assert "could not be shown" not in page.text


def test_an_empty_run_gives_a_page(tmp_path: Path) -> None:
    page = page_of(RunDir(tmp_path / "empty"))
    assert page.text.count("Left out") >= 6
    assert "no result to report yet" in page.text
    assert page.all("svg") == []


ODD_SUMMARIES = (
    "[]", "3", "null", "{}",
    '{"systems": {"sft": {"coverage": {"mean": 1}}}, "comparisons": [{"a": [], "metric": "coverage"}]}',
    '{"systems": 3}',
    '{"systems": {"a": 1, "b": {"coverage": {"mean": "x"}}}}',
    '{"systems": {"a": {"coverage": {"mean": NaN}}}}',
    '{"systems": {"sft": {"coverage": {"mean": 0.5}}}, "comparisons": [[], {"a": []}]}',
    '{"systems": {"sft": {"coverage": {"mean": 0.5}}}, "per_value": {"sft": {"x": [1]}}}',
    '{"systems": {"sft": {"coverage": {"mean": 0.5}}}, "by_count": {"sft": {"one": 2, "3": {"mean": 1}}}}',
)  # fmt: skip


@pytest.mark.parametrize("text", ODD_SUMMARIES)
def test_summaries_of_another_shape(run: RunDir, sketched: None, text: str) -> None:
    (run.path / "evaluation/summary.json").write_text(text, encoding="utf-8")
    page = page_of(run)
    assert "Answers side by side" in page.text
    assert (run.path / "report/report.md").read_text().startswith("# quickstart")


@pytest.mark.parametrize(
    "name",
    [
        "generation/grpo.jsonl",
        "evaluation/grpo.oracle.jsonl",
        "training/grpo/metrics.jsonl",
        "data/test.jsonl",
    ],
)
@pytest.mark.parametrize(
    "text",
    [
        "{broken\n",
        '{"id": "test-0001"}\n',
        '{"id": [], "step": "x", "segments": 4, "answer": null}\n',
        "\xff",
    ],
)
def test_rows_of_another_shape(run: RunDir, sketched: None, name: str, text: str) -> None:
    (run.path / name).write_bytes(text.encode("latin-1"))
    assert "Results on held-out" in page_of(run).text


def test_a_failure_leaves_the_old_page(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    old = (run.path / "report/index.html").read_bytes()

    def fail(*_: object) -> str:
        raise RuntimeError("killed here")

    monkeypatch.setattr(stage, "build_page", fail)
    with pytest.raises(RuntimeError):
        stage.run(recipe(seed=8), run)
    assert (run.path / "report/index.html").read_bytes() == old
    assert {p.name for p in (run.path / "report").iterdir()} == {"index.html", "report.md"}


def test_number_of_examples_and_the_recipe(run: RunDir, sketched: None) -> None:
    files = read_run(run)
    page = Page(build_page(recipe(report={"examples": 3}), files))
    assert len([a for a in page.all("details") if a["class"] == "example"]) == 3
    assert "examples: 3" in page.text
    none = Page(build_page(recipe(report={"examples": 0}), files))
    assert "report.examples is 0" in none.text


def test_markdown_has_the_same_tables(whole: RunDir) -> None:
    text = build_markdown(recipe(), read_run(whole))
    blocks = re.findall(r"(?:^\|.*\|\n)+", text, flags=re.MULTILINE)
    assert len(blocks) == 9
    for block in blocks:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1
    mean = read_json(whole.path / "evaluation/summary.json")["systems"]["grpo"]["oracle_f1"]["mean"]
    assert f"{100 * mean:.1f}%" in text


def test_models_that_grade_themselves_are_named_in_red(run: RunDir, sketched: None) -> None:
    assert "alarm" not in {a.get("class") for a in page_of(run).all("aside")}
    path = run.stage("evaluation") / "summary.json"
    line = "The policy and the judge are one model (<b>mine</b>): a model grades itself."
    write_json(path, {**read_json(path), "warnings": [line]})
    page = page_of(run)
    assert "alarm" in {a.get("class") for a in page.all("aside")}
    assert line in page.text
    assert "**Not independent:**" in (run.path / "report/report.md").read_text(encoding="utf-8")


def test_coverage_over_the_first_perspectives_is_drawn(run: RunDir, sketched: None) -> None:
    assert "Coverage over the first perspectives" not in page_of(run).text
    path = run.stage("evaluation") / "summary.json"
    curve = {str(k): {"mean": k / 10, "low": k / 10, "high": k / 10} for k in range(1, 11)}
    write_json(path, {**read_json(path), "coverage_at_k": {"grpo": curve}})
    assert "Coverage over the first perspectives" in page_of(run).text


def test_the_p_value_is_the_corrected_one(run: RunDir, sketched: None) -> None:
    path = run.stage("evaluation") / "summary.json"
    summary = read_json(path)
    write_json(path, {**summary, "comparisons": [{**row, "p_holm": 0.123} for row in summary["comparisons"]]})
    assert "0.123" in page_of(run).text


def test_a_wide_table_is_whole_on_paper(whole: RunDir) -> None:
    page = (whole.path / "report/index.html").read_text(encoding="utf-8")
    assert ".scroll { overflow: visible; }" in page.partition("@media print")[2].partition("</style>")[0]
