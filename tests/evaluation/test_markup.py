"""JSON and HTML in answers that are evaluated."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overton.evaluation import split_sentences
from overton.evaluation.form import count_perspectives
from overton.evaluation.markup import plain

SAID = ("A diary is hers alone.", "It may warn of a danger. Then all are glad.", "She told nobody of it.")
NAMED = dict(zip(("Privacy", "Safety for all", "Trust"), SAID, strict=True))


def sentences(answer: str) -> list[str]:
    found = split_sentences(answer)
    assert all(s.text in answer[s.start : s.end].replace("<b>", "").replace("</b>", "") for s in found)
    return [s.text for s in found]


EXPECTED = sentences("\n".join(SAID))
assert len(EXPECTED) == 4


@pytest.mark.parametrize(
    "value",
    [
        SAID,
        {"perspectives": SAID, "summary": "Views differ, and all of them count."},
        [{"label": label, "explanation": said} for label, said in NAMED.items()],
        {"question": "May she read it, or may she not?", "answers": [{"text": s, "probability": 0.3} for s in SAID]},
        NAMED,
    ],
)
@pytest.mark.parametrize("form", ["{}", "```json\n{}\n```", "<core perspectives>\n{}\n</core perspectives>"])
@pytest.mark.parametrize("indent", [None, 1])
def test_the_texts_of_json_are_the_sentences(value: Any, form: str, indent: int | None) -> None:
    answer = form.format(json.dumps(value, indent=indent))
    assert sentences(answer) == EXPECTED
    assert count_perspectives(answer) == 3


def test_short_texts_alone_are_what_was_said_and_a_text_may_be_broken_off() -> None:
    assert sentences('["a diary is hers","it warns"]') == ["a diary is hers", "it warns"]
    assert sentences(
        '{"views": [{"label": "Privacy", "text": "It is hers alone."}, {"label": "Safety", "text": "It may'
    )[1:] == ["It may"]


@pytest.mark.parametrize(
    "form",
    [
        "<li>{}</li>",
        "<p>{}</p>",
        "{}<br>",
        "<br/>{}",
        "<perspective name='a'>{}</perspective>",
        "<div>\n<b>{}</b>\n</div>",
    ],
)
def test_marks_of_html_are_no_part_of_sentences(form: str) -> None:
    assert sentences("".join(form.format(said) for said in SAID)) == EXPECTED


def test_rows_of_a_table_in_html_are_items() -> None:
    answer = "<table>" + "".join(f"<tr><td>{a}</td><td>{b}</td></tr>" for a, b in NAMED.items()) + "</table>"
    assert count_perspectives(answer) == 3


@pytest.mark.parametrize(
    "answer",
    [
        '{"text": "A."}\n{"text": "B."}',
        'Two views:\n```json\n{"text": "A."}\n```\n**Against**\n```JSON\n{"text": "B."}\n```\nhttps://a.org/b',
        'Two views:\n[{"text": "A."}]\n\nB.',
        '{"answer": "A.\\nB."}',
        '[{"title": "Law", "summary": "A."}, {"title": "Care", "summary": "B."}]',
        '{"points": ["A.", "B."], "notes": ["C is so."], "conclusion": {"text": "D is so."}}',
        '```json\n[{"text": "A."}, {"text": "B."}\n```',
        "<!DOCTYPE html><html><head><style>b {}</style></head><body><p>A.</p><p>B.</p></body></html>",
        "<view><name>Law</name><text>A.</text></view><view><name>Care</name><text>B.</text></view>",
        "<table><thead><tr><th>For or not</th></tr></thead><tr><td>A.</td></tr><tr><td>B.</td></tr></table>",
        "| View |\n|---|\n| A. |\n| B. |",
        "**🔒 Law**\nA.\n\n**🛡️ Care**\n🛡️ B.",
        "1️⃣ A.\n2️⃣ B.",
        "两种观点：\nA.\nB.",
    ],
)
def test_marks_of_other_forms_are_no_sentences(answer: str) -> None:
    first, second = "A diary is hers alone.", "It may warn of a danger."
    answer = answer.replace("A.", first).replace("B.", second)
    assert sentences(answer) == [first, second]
    assert count_perspectives(answer) == 2


def test_what_stands_beside_json_is_evaluated() -> None:
    answer = '[{"label": "Law", "text": "A diary is hers."}]\n\nHowever, it may "warn".'
    assert sentences(answer) == ["A diary is hers.", 'However, it may "warn".']
    for broken in ('["A diary" is hers alone.', '{"a": "A diary is hers\nNobody else may read it.'):
        assert plain(broken) == broken


@pytest.mark.parametrize(
    "piece", ['\\"', '"a\n', '{"a":', "[", "\n", '{"a":"b"}\nx\n', "<style>", "```\n[", "|a|\n|-|\n"]
)
def test_long_answers_are_read_in_time(piece: str) -> None:
    for before in ("", '{"a": "', '["'):
        answer = (before + piece * 100_000)[:100_000]
        start = time.perf_counter()
        assert len(plain(answer)) == len(answer)
        assert time.perf_counter() - start < 5


@pytest.mark.parametrize("answer", ["[1] A diary is hers.", "Is 3 < 4 and 5 > 4?", '[Note] "A diary" is hers.'])
def test_other_text_stays_as_it_is(answer: str) -> None:
    assert plain(answer) == answer


@given(st.text('[]{}":,\\ab.\n<>/-`brlitd', max_size=80))
def test_no_character_is_added_or_lost(answer: str) -> None:
    assert len(plain(answer)) == len(answer)
