from __future__ import annotations

import csv
import gzip
import io
import json
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from cli_material import ANSWER, write_rows

from overton.comparing import compare_files
from overton.comparing_files import join_saved, read_references, read_saved
from overton.comparing_table import FILES, comparisons_csv, latex, markdown, table_csv
from overton.errors import DataError
from overton.evaluation.statistics import compare, interval
from overton.jsonio import read_json, read_jsonl
from overton.report.compare import build_comparison, pairs, split_blocks
from overton.report.svg import printable
from overton.scoring import score_files
from overton.scoring_pairs import Evaluators
from overton.testing import tiny_nli

Call = Callable[..., tuple[int, str, str]]
Fails = Callable[..., str]
QUESTIONS = ("Is it right to lie?", "May one steal bread?", "Who owns the sea?", "Should dogs vote?")
VIEWS = (
    "the truth matters",
    "a friend should be kept safe",
    "hunger is a need",
    "property is property",
    "laws bind all",
)


@pytest.fixture
def refs(tmp_path: Path) -> Path:
    rows = [
        {"id": f"q{i}", "text": q, "perspectives": [{"label": "L", "explanation": v} for v in VIEWS[: 2 + i % 3]]}
        for i, q in enumerate(QUESTIONS)
    ]
    return write_rows(tmp_path / "refs.jsonl", rows)


def answer(views: tuple[str, ...]) -> str:
    return "\n".join(f"In the perspective of L{i}, {v}." for i, v in enumerate(views))


@pytest.fixture
def good(tmp_path: Path) -> Path:
    rows = [{"id": f"q{i}", "answer": answer(VIEWS[: 2 + i % 3]), "calls": 2} for i in range(4)]
    return write_rows(tmp_path / "good.jsonl", rows)


@pytest.fixture
def poor(tmp_path: Path) -> Path:
    rows = [{"prompt": q, "answer": f"</think>\n1.\n{answer(VIEWS[:1])}", "finished": False} for q in QUESTIONS[:3]]
    return write_rows(tmp_path / "poor.jsonl", rows)


def strict(encoder: Path) -> Evaluators:
    """Only equal texts match."""
    return Evaluators(estimator=str(encoder), threshold=0.9999)


def test_figures_by_hand(good: Path, poor: Path, refs: Path, encoder: Path) -> None:
    found = compare_files([poor, good], refs, strict(encoder))
    assert list(found["systems"]) == ["good", "poor"]  # best first
    assert found["ranked_by"] == "f1"
    assert found["systems"]["good"]["coverage"]["mean"] == 1.0
    assert found["systems"]["good"]["absolute_coverage"]["mean"] == 1.0
    assert found["systems"]["good"]["calls"]["mean"] == 2
    assert "calls" not in found["systems"]["poor"]
    # One of 2, of 3 and of 4 references.
    assert found["systems"]["poor"]["coverage"] == pytest.approx(interval([1 / 2, 1 / 3, 1 / 4]))
    assert found["systems"]["poor"]["absolute_coverage"]["mean"] == 0.0
    assert found["coverage_at_k"]["good"]["1"]["mean"] == pytest.approx(np.mean([1 / 2, 1 / 3, 1 / 4, 1 / 2]))
    assert found["coverage_at_k"]["good"]["10"]["mean"] == 1.0
    assert found["answers"]["poor"] == {"answers": 3, "with_references": 3, "shared_by_all": 3}
    (row,) = [r for r in found["comparisons"] if r["metric"] == "coverage"]
    assert (row["a"], row["b"], row["n"]) == ("good", "poor", 3)
    own = {f"q{i}": 1 / (2 + i) for i in range(3)}
    assert {k: row[k] for k in ("difference", "cohens_dz", "cliffs_delta", "p_value")} == pytest.approx(
        {k: v for k, v in compare(dict.fromkeys(own, 1.0), own).items() if k in row and k in
         ("difference", "cohens_dz", "cliffs_delta", "p_value")}
    )  # fmt: skip
    assert list(found["splits"]) == ["references"]
    assert list(found["splits"]["references"]) == ["2p", "3p", "4p"]
    assert found["splits"]["references"]["2p"]["good"]["coverage"]["n"] == 2
    faults = found["faults"]["poor"]
    assert {f: row["answers"] for f, row in faults.items()} == {
        "think": 3, "label_prefix": 3, "number_only": 3, "cut_end": 3,
    }  # fmt: skip
    assert any("poor 3" in note for note in found["notes"])
    assert found["warnings"] == []
    assert any("over 3 questions only" in note for note in found["notes"])


def test_one_file_gives_what_overton_score_gives(good: Path, refs: Path, encoder: Path) -> None:
    found = compare_files([good], refs, strict(encoder))
    score = score_files(good, refs, estimator=str(encoder), threshold=0.9999)
    for metric, value in score.systems[""].items():
        assert found["systems"]["good"][metric] == pytest.approx(value), metric
    assert found["comparisons"] == []


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


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.text, self.tags = "", set[str]()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


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


def test_the_log_of_a_published_evaluation(tmp_path: Path, encoder: Path) -> None:
    folder = tmp_path / "bench"
    folder.mkdir()
    lines = "\n".join(f"In the perspective of L, {v}." for v in VIEWS[:2])
    for split, question in (("5p", "Is it so?"), ("6p", "is it so?")):  # one text in two splits
        with open(folder / f"test_{split}.csv", "w", newline="") as file:
            csv.writer(file).writerows([["prompt", "answer"], [question, lines]])
    rows = [
        {"system": "s", "split": split, "prompt": "IS IT SO?", "logged": {"pairs": []}, "response_sentences": said}
        for split, said in (
            ("5p", ["</think>\n\nIn the perspective of A, the truth matters", "1", "e"]),
            ("6p", ["In the perspective of B, nobody knows", VIEWS[0], VIEWS[1]]),
        )
    ]
    path = tmp_path / "log.jsonl.gz"
    path.write_bytes(gzip.compress("".join(json.dumps(r) + "\n" for r in rows).encode()))
    found = compare_files([path], folder, strict(encoder))
    score = found["systems"]["s"]
    assert score["units"]["mean"] == 2.0  # one sentence with letters, and three
    assert score["coverage"] == pytest.approx(interval([0.5, 1.0]))
    assert score["precision"] == pytest.approx(interval([1.0, 2 / 3]))
    assert list(found["splits"]) == ["split"]
    assert found["faults"]["s"]["think"]["answers"] == 1
    assert found["faults"]["s"]["label_prefix"]["answers"] == 2
    kept = compare_files([path], folder, Evaluators(estimator=str(encoder), threshold=0.9999, keep_labels=True))
    assert kept["systems"]["s"]["coverage"]["mean"] == 0.0  # no label is the reference's
    assert any("without labels" in note for note in kept["notes"])


def test_shared_takes_the_questions_that_every_system_answered(
    overton: Call, good: Path, poor: Path, refs: Path, encoder: Path, tmp_path: Path
) -> None:
    found = compare_files([poor, good], refs, strict(encoder), shared=True)
    assert {own["answers"] for own in found["answers"].values()} == {3}
    assert {own["coverage"]["n"] for own in found["systems"].values()} == {3}
    # The first of 2, of 3 and of 4 references; the fourth question has 2.
    assert found["coverage_at_k"]["good"]["1"]["mean"] == pytest.approx(np.mean([1 / 2, 1 / 3, 1 / 4]))
    assert found["faults"]["poor"]["think"]["of"] == 3
    assert any("alone: 6 of 7 answers" in note for note in found["notes"])
    assert not any("not every system" in note for note in found["notes"])
    other = write_rows(tmp_path / "other.jsonl", [{"prompt": QUESTIONS[3], "answer": answer(VIEWS[:1])}])
    more = ("--references", refs, "--estimator", encoder, "--format", "json", "--shared")
    code, _, err = overton("compare", poor, good, other, *more)
    assert code == 1 and "no question was answered by all of poor 3, good 4, other 1; without other 3 would be" in err
    code, out, _ = overton("compare", poor, good, other, *more, "--system", "good", "--system", "other")
    assert code == 0 and {n: own["answers"] for n, own in json.loads(out)["answers"].items()} == {"good": 1, "other": 1}
    code, _, err = overton("compare", poor, good, *more, "--system", "best")
    assert code == 1 and "no system 'best' in these files; they have poor, good" in err


def test_without_references_form_and_diversity_are_compared(
    overton: Call, good: Path, poor: Path, encoder: Path
) -> None:
    code, out, _ = overton("compare", good, poor, "--estimator", encoder, "--format", "json")
    found = json.loads(out)
    assert code == 0
    assert found["ranked_by"] == "vendi"
    assert "coverage" not in found["systems"]["good"]
    assert found["systems"]["poor"]["vendi"]["n"] == 3


def test_entailment_when_asked(good: Path, poor: Path, refs: Path, encoder: Path, tmp_path: Path) -> None:
    asked = Evaluators(estimator=str(encoder), nli_model=str(tiny_nli(tmp_path / "nli")))
    found = compare_files([good, poor], refs, asked)
    assert found["ranked_by"] == "nli_f1"
    assert found["systems"]["poor"]["nli_mean"]["n"] == 3


def test_without_references_one_id_is_one_question_whatever_its_prompt(tmp_path: Path, encoder: Path) -> None:
    def file(name: str, rows: list[tuple[str, str]]) -> Path:
        return write_rows(tmp_path / name, [{"id": i, "prompt": p, "answer": "One thing. Another."} for i, p in rows])

    plain = file("plain.jsonl", [("q1", QUESTIONS[0]), ("q2", QUESTIONS[1])])
    brief = file("brief.jsonl", [("q1", f"Be brief. {QUESTIONS[0]}"), ("q2", f"Be brief. {QUESTIONS[1]}")])
    found = compare_files([plain, brief], None, strict(encoder), resamples=100)
    assert [own["shared_by_all"] for own in found["answers"].values()] == [2, 2]
    assert {row["n"] for row in found["comparisons"] if row["metric"] == "words"} == {2}
    assert any("2 answers were joined by `id`" in note for note in found["notes"])
    assert not any("not every system" in note for note in found["notes"])
    # Where a prompt has another id in another file, the ids are no common ones.
    other = file("other.jsonl", [("q2", QUESTIONS[2]), ("q1", QUESTIONS[1])])
    pairs, _, other_text = join_saved(read_saved([plain, other]), None)
    assert [s.text for _, s in pairs] == [QUESTIONS[0], QUESTIONS[1], QUESTIONS[2], QUESTIONS[1]]
    assert other_text == 0


def test_a_folder_of_references_is_joined_by_the_ids_in_its_tables(tmp_path: Path, refs: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    rows = list(read_jsonl(refs))
    write_rows(folder / "5p.jsonl", rows[:3])
    write_rows(folder / "test_6p.jsonl", [{**rows[3], "id": "q0"}])  # q0 in both tables, q1 and q2 in one

    def joined(*answers: dict[str, str]) -> tuple[list[str], list[int]]:
        path = write_rows(tmp_path / "answers.jsonl", [{"answer": "x", **row} for row in answers])
        pairs, unmatched, _ = join_saved(read_saved([path]), read_references(folder))
        return [s.id for _, s in pairs], unmatched

    assert joined({"id": "q1"}, {"id": "q2", "split": "5p"}) == (["5p/q1", "5p/q2"], [])
    assert joined({"id": "q0", "split": "5p"}) == (["5p/q0"], [])
    assert joined({"id": "q0", "split": "6p"}) == (["test_6p/q0"], [])
    assert joined({"id": "5p/q0"}, {"id": "q0"}) == (["5p/q0"], [1])
    assert joined({"id": "other", "prompt": QUESTIONS[3]}) == (["test_6p/q0"], [])
    write_rows(folder / "test_5p.jsonl", rows[:2])
    with pytest.raises(DataError, match=r"5p\.jsonl and test_5p\.jsonl are both the table of split '5p'"):
        joined({"id": "q1"})


def test_one_question_has_one_answer_of_a_system_whatever_the_split(
    fails: Fails, tmp_path: Path, refs: Path, encoder: Path
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "5p.jsonl").write_bytes(refs.read_bytes())
    rows = [
        {"id": i, "prompt": QUESTIONS[0], "split": split, "answer": "x"} for i, split in (("a", "5p"), ("b", "dev"))
    ]
    path = write_rows(tmp_path / "twice.jsonl", rows)
    said = fails("compare", path, "--references", folder, "--estimator", encoder)
    assert "system 'twice': answers 'a' and 'b' both belong to '5p/q0'; keep one" in said


def test_two_answers_to_one_question_are_named_with_their_system(
    fails: Fails, tmp_path: Path, refs: Path, good: Path, encoder: Path
) -> None:
    rows = [{"id": "q1", "answer": "x"}, {"id": "zz", "prompt": QUESTIONS[1], "answer": "y"}]
    path = write_rows(tmp_path / "twice.jsonl", rows)
    said = fails("compare", good, path, "--references", refs, "--estimator", encoder)
    assert "system 'twice': answers 'q1' and 'zz' both belong to 'q1'; keep one" in said


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


def test_means_over_fewer_answers_are_said(
    overton: Call, tmp_path: Path, refs: Path, encoder: Path, good: Path
) -> None:
    rows = [{"id": f"q{i}", "answer": "" if i else answer(VIEWS[:1])} for i in range(3)]
    path = write_rows(tmp_path / "half.jsonl", [*rows, {"id": "stranger", "answer": "x"}])
    _, out, _ = overton("compare", good, path, "--references", refs, "--estimator", encoder)
    (line,) = [line for line in out.splitlines() if line.startswith("note: half:")]
    assert "precision, uniqueness" in line
    assert "over 1 of 3 answers" in line
    assert "no perspective stated" in line
    assert "half: precision" in Path("comparison/table.md").read_text()
    assert "note: good:" not in out


def test_published_figures_when_asked(good: Path, poor: Path, refs: Path, encoder: Path, tmp_path: Path) -> None:
    pytest.importorskip("sentence_splitter", reason="the published evaluation cuts sentences with it")
    asked = Evaluators(estimator=str(encoder), nli_model=str(tiny_nli(tmp_path / "nli")), published=True)
    found = compare_files([good, poor], refs, asked)
    assert found["systems"]["poor"]["published_nli"]["n"] == 3
    for text in (markdown(found), latex(found), build_comparison(found)):
        assert "Mean entailment, as published" in text and "Accuracy, as published" in text
    with pytest.raises(DataError, match="--nli-model"):
        compare_files([good, poor], refs, Evaluators(estimator=str(encoder), published=True))


def test_systems_keep_their_names_apart(tmp_path: Path, refs: Path, encoder: Path) -> None:
    rows = [{"id": "q0", "answer": ANSWER}]
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        write_rows(tmp_path / folder / "sft.jsonl", rows)
        write_rows(tmp_path / folder / f"{folder}.jsonl", [{**rows[0], "system": "mine"}])
    saved = read_saved([tmp_path / a / f"{b}.jsonl" for a in ("one", "two") for b in (a, "sft")])
    assert [row.answer.system for row in saved] == ["one/mine", "one/sft", "two/mine", "two/sft"]


def test_files_of_one_name_in_folders_of_one_name_are_told_apart(tmp_path: Path, refs: Path, encoder: Path) -> None:
    paths = []
    for index, folder in enumerate(("a", "b")):
        (tmp_path / folder / "x").mkdir(parents=True)
        rows = [{"id": f"q{index}", "answer": ANSWER}, {"id": f"q{index}", "answer": ANSWER, "system": "mine"}]
        paths.append(write_rows(tmp_path / folder / "x" / "ans.jsonl", rows))
    again = tmp_path / "a" / ".." / "a" / "x" / "ans.jsonl"
    found = compare_files([*paths, again], refs, Evaluators(estimator=str(encoder)), resamples=100)
    assert set(found["systems"]) == {"a/x/ans", "b/x/ans", "a/x/ans/mine", "b/x/ans/mine"}
    assert list(found["settings"]["files"]) == ["a/x/ans.jsonl", "b/x/ans.jsonl"]
    assert all(own["answers"] == 1 for own in found["answers"].values())
    renamed = {"a/x/ans/mine": "mine", "b/x/ans/mine": "mine"}
    assert {key: found["settings"][key] for key in ("system", "left_out", "renamed")} == {
        "system": [],
        "left_out": [],
        "renamed": renamed,
    }
    asked = ["a/x/ans/mine", "a/x/ans"]
    found = compare_files(paths, refs, Evaluators(estimator=str(encoder)), only=asked, resamples=100)
    assert found["settings"]["system"] == asked
    assert found["settings"]["left_out"] == ["b/x/ans", "b/x/ans/mine"]
    assert found["settings"]["renamed"] == {"a/x/ans/mine": "mine"}
    assert "systems left out" in build_comparison(found)


def test_a_runs_own_reward_model_is_no_judge_of_its_answers(
    overton: Call, tmp_path: Path, refs: Path, encoder: Path
) -> None:
    import shutil

    run = tmp_path / "run"
    shutil.copytree(encoder, run / "estimator" / "model")
    (run / "recipe.yaml").write_text("name: run\n")
    (run / "generation").mkdir()
    path = write_rows(run / "generation" / "grpo.jsonl", [{"id": f"q{i}", "answer": ANSWER} for i in range(3)])
    code, out, _ = overton("compare", path, "--references", refs, "--estimator", run)
    assert code == 0
    assert "NOT INDEPENDENT: The reward estimator and the evaluation encoder are one model (same weights" in out
    assert 'class="alarm"' in Path("comparison/index.html").read_text()
    overton("compare", shutil.copy(path, tmp_path / "elsewhere.jsonl"), "--references", refs, "--estimator", run)
    assert 'class="alarm"' not in Path("comparison/index.html").read_text()
    # The recipe of another version: what the files tell is still known, and the rest is a note.
    (run / "recipe.yaml").write_text("name: run\nno_such_key: 1\n")
    code, out, _ = overton("compare", path, "--references", refs, "--estimator", run)
    assert code == 0
    assert "NOT INDEPENDENT: The reward estimator and the evaluation encoder are one model (same weights" in out
    assert "note: run/recipe.yaml cannot be read by this version (no_such_key: unknown key" in out


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


def test_bad_input_is_one_message_and_nothing_is_written(
    fails: Fails, overton: Call, tmp_path: Path, good: Path, refs: Path
) -> None:
    assert "none.jsonl: no such file" in fails("compare", "none.jsonl", "--references", refs)
    assert "none.jsonl: no such file" in fails("compare", good, "--references", "none.jsonl")
    assert "nowhere: no such file; a .jsonl" in fails("compare", good, "--references", "nowhere")
    (tmp_path / "empty").mkdir()
    assert "empty: is a folder, a .jsonl" in fails("score", good, "--references", tmp_path / "empty")
    assert "holds no table" in fails("compare", good, "--references", tmp_path / "empty")
    assert "entailment is of references" in fails("compare", good, "--nli-model", "x")
    bad = tmp_path / "bad.jsonl"
    for row, wanted in (
        ({"prompt": "a", "response_sentences": "text"}, "row 1: `response_sentences` must be a list"),
        ({"response_sentences": ["text"]}, "row 1: `prompt` is missing"),
        ({"id": "q0", "answer": "x", "split": 5}, "row 1: `split` must be text"),
        ({"id": "q0", "answer": "x", "colour": 5}, "row 1: unknown column 'colour'"),
        ({"id": "other", "answer": "x"}, "none of 1 answers belongs to a row of"),
    ):
        write_rows(bad, [row])
        assert wanted in fails("compare", bad, "--references", refs)
    write_rows(bad, [{"prompt": "a", "response_sentences": ["x"], "system": "s"}] * 2)
    assert "system 's' answers 'a' twice" in fails("compare", bad, "--references", refs)
    assert overton("compare", good, "--format", "word")[0] == 2
    assert not Path("comparison").exists()


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
