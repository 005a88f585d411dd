"""HTML in an answer is read as what it shows."""

from __future__ import annotations

import pytest

from overton.segment import layout, segment
from test_segment import TWO

SAID = ("A diary is hers alone.", "The nurse may hear of a danger.", "Patients need to trust her.")


@pytest.mark.parametrize(
    "text",
    [
        "<ul>\n" + "\n".join(f"<li>{s}</li>" for s in SAID) + "\n</ul>",
        "<ol>" + "".join(f"<li class='a'>\n  <p>{s}</p>\n</li>" for s in SAID) + "</ol>",
        "".join(f"<p>{s}</p>" for s in SAID),
        "<perspectives>\n" + "\n".join(f"<perspective>\n{s}\n</perspective>" for s in SAID) + "\n</perspectives>",
        "<br>".join(f"{i}. {s}" for i, s in enumerate(SAID, 1)),
        "<viewpoints>" + "".join(f"<viewpoint holder='a'>{s}</viewpoint>" for s in SAID) + "</viewpoints>",
        "<core perspectives>\n<ul>\n" + "\n".join(f"<li>{s}</li>" for s in SAID) + "\n</ul>\n</core perspectives>",
    ],
)
def test_html_is_read_as_what_it_shows(text: str) -> None:
    found = segment(text)
    assert [(s.label, s.explanation) for s in found] == [("", said) for said in SAID]
    assert all(text[s.start : s.end].endswith(s.explanation) for s in found)


@pytest.mark.parametrize(
    "form",
    [
        "<details><summary>{}</summary>\n{}\n</details>",
        "<details>\r\n<summary><b>{}</b></summary>\r\n<p>{}</p>\r\n</details>",
        "<h3>{}</h3>\n<p>{}</p>",
        "<b>{}:</b> {}",
        "<li><strong>{}</strong>: {}</li>",
        "<perspective>\n  <label>{}</label>\n  <explanation>{}</explanation>\n</perspective>",
        '<view id="1"><title>{}</title><text>{}</text></view>',
        "<viewpoint><name>{}</name>\n{}</viewpoint>",
    ],
)
def test_headings_and_bold_words_in_html_are_labels(form: str) -> None:
    text = "\n".join(form.format(f"View {i}", said) for i, said in enumerate(SAID))
    assert [(s.label, s.explanation) for s in segment(text)] == [(f"View {i}", s) for i, s in enumerate(SAID)]
    assert not layout(text).tagged


def test_what_a_page_does_not_show_is_not_read() -> None:
    text = "<html><head><title>A</title><style>b {}</style></head><body>\n<h2>A</h2><p>B.</p><h2>C</h2>D.</body></html>"
    assert [(s.label, s.explanation) for s in segment(text)] == [("A", "B."), ("C", "D.")]
    assert segment(text.replace("</head>", "").replace("</style>", ""))[-1].explanation == "D."
    assert [s.explanation for s in segment("A <label>word</label> of it.<br>")] == ["A <label>word</label> of it."]


@pytest.mark.parametrize(
    "head", ["", "<tr><th>View</th><th>Why</th></tr>", "<thead>\n<tr>\n<th>View\n</th></tr>\n</thead>"]
)
@pytest.mark.parametrize(
    "row",
    [
        "<tr><td>{}</td><td>{}</td></tr>",
        '<tr>\n  <td class="a">\n    <b>{}</b>\n  </td>\n  <td><p>{}</p>\n  </td>\n</tr>\n',
        "<tr><th>{}</th><td>{}</td></tr>",
    ],
)
def test_rows_of_a_table_in_html_are_views(row: str, head: str) -> None:
    rows = "".join(row.format(f"View {i}", said) for i, said in enumerate(SAID))
    text = f"Some views:\n<table border='1'>{head}<tbody>{rows}</tbody></table>\nIt depends."
    assert [(s.label, s.explanation) for s in segment(text)] == [(f"View {i}", s) for i, s in enumerate(SAID)]


def test_a_line_break_within_a_cell_ends_no_row() -> None:
    text = (
        "<table><tr><td>Privacy</td><td>A diary<br>is hers.</td></tr><tr><td>Safety</td><td>It warns.</td></tr></table>"
    )
    assert [s.explanation for s in segment(text)] == ["A diary<br>is hers.", "It warns."]


def test_the_templates_summary_stays_it_within_what_unfolds() -> None:
    folded = f"<details>\n{TWO}\n</details>"
    assert [s.explanation for s in segment(folded)] == [s.explanation for s in segment(TWO)]
    assert layout(folded).summary == layout(TWO).summary
    assert layout("A diary is hers.\n<summary>All <b>of it</b>.</summary>").summary == "All <b>of it</b>."


def test_line_breaks_stay_within_the_row_of_a_table_in_markdown() -> None:
    text = "| View | Why |\n|---|---|\n| Safety | It warns.<br>It heals. |\n| Trust | He talks.<br/>He stays. |"
    assert [(s.label, s.explanation) for s in segment(text)] == [
        ("Safety", "It warns.<br>It heals."),
        ("Trust", "He talks.<br/>He stays."),
    ]
