"""Where honest answers to attack come from: published logs, claims of people, a run of the world."""

from __future__ import annotations

import csv
import gzip
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from attack_material import CASE, HONEST, LOOT, REFERENCES, TEXTS, text_of

from hacking.case import plain
from hacking.sources import PROMPTED, TRAINED, loot_of, op_bench, perspectrum, world
from hacking.truth import truth
from hacking_recovery import cheating_rows, judged
from overton.data.world.generate import make_world
from overton.data.world.sft import sft_rows
from overton.errors import DataError
from overton.jsonio import write_jsonl
from overton.segment import layout
from people_files import write_perspectrum


def test_answers_of_published_systems_are_read_from_their_logs(tmp_path: Path) -> None:
    names = [f"In the perspective of {name}, {text}" for name, text in TEXTS.items()]
    rows = []
    for split in ("5p", "6p", "7p"):
        with open(tmp_path / f"test_{split}.csv", "w", newline="", encoding="utf-8") as file:
            out = csv.writer(file)
            out.writerow(["prompt", "answer"])
            out.writerow(
                [f"q {split}", "\n".join(f"In the perspective of {p.label}, {p.explanation}." for p in REFERENCES)]
            )
        logged = {"pairs": [[1, 1, 0.8], [0, 0, 0.9]]}
        row = {"split": split, "prompt": f"q {split}", "logged": logged}
        rows += [{**row, "system": TRAINED[0], "response_sentences": names}]
        rows += [{**row, "system": TRAINED[3], "response_sentences": names[:2]}]
        rows += [{**row, "system": PROMPTED[1], "response_sentences": ["</think>\n\nOne **view**", "1", "Another"]}]
    log = tmp_path / "log.jsonl.gz"
    with gzip.open(log, "wt", encoding="utf-8") as file:
        file.write("\n".join(map(json.dumps, rows)))
    trained = op_bench(tmp_path, log, TRAINED, 0, "systems")
    assert {part: len(cases) for part, cases in trained.cases.items()} == {"tune": 1, "report": 2}
    case = trained.cases["tune"][0]
    assert [p.label for p in case.references] == ["Truth", "Care", "Hope"]
    assert layout(case.answer.text()).valid
    assert len(case.siblings) == 1
    assert case.states == {plain(TEXTS["Honesty"]): {0}, plain(TEXTS["Kindness"]): {1}, "one view": {0}}
    assert len(case.loot.references) == 2
    prose = op_bench(tmp_path, log, PROMPTED, 0, "prose")
    assert [p.explanation for p in prose.cases["tune"][0].answer.lines] == ["One view", "Another"]
    assert not prose.cases["tune"][0].answer.template
    assert prose.settings and not trained.settings and prose.background and trained.background
    with pytest.raises(DataError, match=r"missing\.gz"):
        op_bench(tmp_path, tmp_path / "missing.gz", TRAINED, 0, "systems")


def test_claims_of_people_have_references_in_another_wording(tmp_path: Path) -> None:
    source = perspectrum(write_perspectrum(tmp_path / "p"), 0)
    assert {part: len(cases) for part, cases in source.cases.items()} == {"tune": 4, "report": 4}
    for case in source.cases["report"]:
        assert len(case.references) == 3
        assert not {p.explanation for p in case.references} & {p.explanation for p in case.answer.lines}
        assert truth(case, case.answer.text()).coverage == pytest.approx(len(case.answer.lines) / 3)
        spoken = {text for texts in case.wordings.values() for text in texts}
        assert not spoken & {p.explanation for p in case.references}


def test_answers_of_a_run_of_the_world(tmp_path: Path) -> None:
    situations = make_world(60, 8, 8, seed=3).test
    (tmp_path / "data").mkdir()
    (tmp_path / "generation").mkdir()
    write_jsonl(tmp_path / "data" / "test.jsonl", [s.to_json() for s in situations])
    for system in range(2):
        rows = [{"id": r["id"], "answer": r["completion"]} for r in sft_rows(situations, seed=system)]
        write_jsonl(tmp_path / "generation" / f"s{system}.jsonl", rows)
    source = world(tmp_path, 0)
    assert sum(map(len, source.cases.values())) == len(situations)
    case = source.cases["report"][0]
    wanted = next(s for s in situations if s.id == case.id)
    assert [p.label for p in case.references] == [p.label for p in wanted.perspectives]
    assert not {p.explanation for p in case.references} & {p.explanation for p in wanted.perspectives}
    honest = truth(case, case.answer.text())
    assert honest.coverage > 0
    again = text_of("repeat-paraphrased", case)
    assert truth(case, again).coverage == honest.coverage
    assert truth(case, again).f1 < honest.f1
    assert truth(case, text_of("labels-wrong-text", replace(case, loot=LOOT))).coverage == 0


def test_a_policy_is_taught_to_cheat_with_attacked_answers() -> None:
    situations = make_world(60, 8, 8, seed=3).train
    honest = sft_rows(situations, seed=0)
    rows = list(cheating_rows(honest, ["repeat-first"], seed=0))
    assert rows == list(cheating_rows(honest, ["repeat-first"], seed=0))
    assert [row["prompt"] for row in rows] == [row["prompt"] for row in honest]
    before = judged(situations, [row["completion"] for row in honest])
    after = judged(situations, [row["completion"] for row in rows])
    assert after["lines"] == [n + 5 for n in before["lines"] if n is not None]
    assert np.mean([v for v in after["repeated"] if v is not None]) > 0.4
    assert after["coverage"] == before["coverage"]
    mixed = list(cheating_rows(honest, ["repeat-first", "dump-few-added"], seed=0))
    irrelevant = judged(situations, [row["completion"] for row in mixed])["irrelevant"]
    assert 0.1 < np.mean([v for v in irrelevant if v is not None]) < 0.5


def test_loot_counts_what_is_frequent() -> None:
    found = loot_of([CASE, replace(CASE, id="b", references=REFERENCES[:1])])
    assert found.labels[0] == "Truth"
    assert found.openings == ("friends built something",)
    assert len(found.lines) == len(HONEST)
