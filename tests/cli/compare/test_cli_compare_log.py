"""The log of published answers, read as `overton compare` does."""

from __future__ import annotations

from pathlib import Path

import pytest

from overton.commands.comparing_files import join_saved, read_references, read_saved
from overton.jsonio import read_jsonl

RESPONSES = Path(__file__).parents[3] / "shared" / "data" / "responses" / "responses_5p_7p.jsonl.gz"


@pytest.mark.skipif(not RESPONSES.is_file(), reason="the saved answers of published systems are not there")
def test_the_published_log_is_read_whole() -> None:
    saved = read_saved([RESPONSES])
    assert len(saved) == sum(1 for _ in read_jsonl(RESPONSES)) == 7368
    assert len({row.answer.system for row in saved}) == 10
    alone, _, other_text = join_saved(saved, None)
    assert (len(alone), other_text) == (7368, 0)
    assert all(s.text == saved[i].answer.prompt for i, s in alone)
    pairs, unmatched, _ = join_saved(saved, read_references(RESPONSES.parents[1] / "op_bench"))
    assert (len(pairs), unmatched) == (7368, [])
    assert all(len(s.perspectives) == int(saved[i].split[0]) for i, s in pairs)
