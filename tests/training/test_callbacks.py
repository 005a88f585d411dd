"""What a training leaves on disk: a row of metrics a step."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from transformers import TrainerState, TrainingArguments

from overton.training.callbacks import ConsoleProgress, MetricsFile, OwnRun


def begin(file: MetricsFile, step: int, main: bool = True) -> None:
    file.on_train_begin(*_state(step, main))


def log(file: MetricsFile, step: int, main: bool = True, **logs: Any) -> None:
    file.on_log(*_state(step, main), logs=logs)


def _state(step: int, main: bool) -> Any:
    arguments = TrainingArguments("unused", report_to="none", use_cpu=True)
    return arguments, TrainerState(global_step=step, max_steps=10, is_world_process_zero=main), None


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_lines_of_steps_leave_standard_output_alone(capfd: pytest.CaptureFixture[str]) -> None:
    bar = ConsoleProgress()
    bar.on_train_begin(*_state(0, True))
    bar.on_log(*_state(3, True), logs={"loss": 0.5})
    bar.on_train_end(*_state(3, True))
    out, err = capfd.readouterr()
    assert out == "" and "step 3: loss 0.5" in err


def test_each_part_has_a_run_of_its_own_in_weights_and_biases(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[str] = []
    wandb = SimpleNamespace(run=None)
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    part = OwnRun()
    wandb.run = SimpleNamespace(finish=lambda: ended.append("of the part"))  # opened by transformers as it begins
    arguments, state, _ = _state(2, True)
    part.on_train_end(arguments, state, None)  # type: ignore[arg-type]
    assert not ended  # not one of its trackers
    arguments.report_to = ["wandb"]
    OwnRun().on_train_end(arguments, state, None)  # type: ignore[arg-type]
    assert not ended  # it was open before
    part.on_train_end(arguments, state, None)  # type: ignore[arg-type]
    assert ended == ["of the part"]


# ------------------------------------------------------------------ metrics.jsonl


def test_one_row_a_logged_step_with_our_names(tmp_path: Path) -> None:
    file = MetricsFile(tmp_path / "deep" / "metrics.jsonl")
    begin(file, 0)
    log(file, 1, loss=0.12345678, note="text", kl=float("nan"), ratio=float("inf"), reward=None)
    log(file, 2, **{"loss": 1, "completions/mean_length": 7.5, "completions/clipped_ratio": 0.25})
    log(file, 2, train_runtime=3.0, loss=9.9)  # the summary at the end is no step
    log(file, 3)
    assert rows(file.path) == [
        {"step": 1, "loss": 0.1234568},
        {"step": 2, "loss": 1, "completion_length": 7.5, "cut_off": 0.25},
    ]


def test_a_resumed_run_drops_what_came_after_its_checkpoint(tmp_path: Path) -> None:
    file = MetricsFile(tmp_path / "metrics.jsonl")
    begin(file, 0)
    for step in range(1, 8):
        log(file, step, loss=float(step))
    begin(file, 5)
    assert [row["step"] for row in rows(file.path)] == [1, 2, 3, 4, 5]
    log(file, 6, loss=0.5)
    assert rows(file.path)[-1] == {"step": 6, "loss": 0.5}


@pytest.mark.parametrize("half", ['{"step": 3, "lo', '{"step": 3, "loss": 1.0}', '{"step": 3, "loss": "\xe9'])
def test_half_a_line_is_dropped(tmp_path: Path, half: str) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 1, "loss": 2.0}\n{"step": 2, "loss": 1.5}\n' + half.encode()[:-1])
    begin(MetricsFile(path), 2)
    assert [row["step"] for row in rows(path)] == [1, 2]


def test_a_fresh_start_empties_the_file_and_a_lost_or_empty_file_is_no_error(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    for content, step in (('{"step": 1}\n', 0), (None, 4), ("", 4), ('{"st', 4), ('{"step": 9}\n', 4)):
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_text(content)
        begin(MetricsFile(path), step)
        assert path.read_text() == ""


def test_only_the_main_process_writes(tmp_path: Path) -> None:
    file = MetricsFile(tmp_path / "metrics.jsonl")
    begin(file, 0, main=False)
    log(file, 1, main=False, loss=1.0)
    assert not file.path.exists()


def test_small_learning_rates_keep_their_digits(tmp_path: Path) -> None:
    file = MetricsFile(tmp_path / "metrics.jsonl")
    begin(file, 0)
    log(file, 1, learning_rate=1.23456789e-7, loss=2.0, n=3)
    assert rows(tmp_path / "metrics.jsonl") == [{"step": 1, "learning_rate": 1.234568e-7, "loss": 2.0, "n": 3}]
