"""Lines that stages and verbs print."""

from __future__ import annotations

import pytest

from overton.progress import say


def test_a_line_stays_one_line_and_brackets_stay(capsys: pytest.CaptureFixture[str]) -> None:
    line = "[bold]a name[/bold]: " + "word " * 60 + "end"
    say(line, style="yellow")
    assert capsys.readouterr().err == f"{line}\n"
