"""What the reward functions for TRL read of a batch: messages, columns of the data set, references."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from trl_calls import CARE, REFERENCES, TWICE, Logs, call
from trl_setup import HashEncoder

from overton.errors import DataError
from overton.integrations import trl as functions
from overton.integrations import trl_batch
from overton.integrations.common import FirstRows
from overton.integrations.trl import TrlReward
from overton.rewards import OvertonReward
from overton.training.tokenizer import train_tokenizer
from overton.types import Group


def seen_groups(monkeypatch: pytest.MonkeyPatch, batch: dict[str, Any]) -> list[Group]:
    found: list[Group] = []
    score = OvertonReward.score

    def watched(self: OvertonReward, groups: Any) -> Any:
        found.extend(groups)
        return score(self, groups)

    monkeypatch.setattr(OvertonReward, "score", watched)
    TrlReward(OvertonReward(HashEncoder()))(**batch)
    return found


def test_the_situation_is_the_column_or_what_the_user_asked_last(monkeypatch: pytest.MonkeyPatch) -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Yes?"},
        {"role": "user", "content": "May Ann read it? "},
    ]
    image = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "May Bo?"}]}]
    batch = call([CARE] * 4, prompts=[messages, image, "May Cy?\n", "A template: May Di?"])
    groups = seen_groups(monkeypatch, batch | {"situation": [None, "", " ", "May Di?"]})
    assert [g.prompt for g in groups] == ["May Ann read it?", "May Bo?", "May Cy?", "May Di?"]


def test_rows_of_one_situation_are_one_group_unless_references_or_ids_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    other = [{"label": "Law", "explanation": "it is forbidden"}]
    batch = call(["a", "b", "c", "d", "e"])
    batch["references"] = [REFERENCES, REFERENCES, other, other, json.dumps(REFERENCES)]
    assert [g.answers for g in seen_groups(monkeypatch, batch)] == [("a", "b", "e"), ("c", "d")]
    numbered = batch | {"situation_id": [1, 2, 3, 3, 1]}
    assert [g.answers for g in seen_groups(monkeypatch, numbered)] == [("a", "e"), ("b",), ("c", "d")]


def test_messages_are_answers_too(shared: OvertonReward) -> None:
    texts = [CARE, TWICE, ""]
    parts = [[{"role": "assistant", "content": [{"type": "text", "text": text}]}] for text in texts]
    tools = [[{"role": "assistant", "content": "I look."}, {"role": "assistant", "content": text}] for text in texts]
    bare = [[{"role": "assistant", "content": [text]}] for text in texts]
    alone = [[{"role": "assistant", "content": {"type": "text", "text": text}}] for text in texts]
    plain = functions.pluralism(**call(texts))
    for messages in (parts, tools, bare, alone):
        assert functions.pluralism(**call(messages)) == plain  # type: ignore[arg-type]


def test_what_is_no_answer_has_no_score(shared: OvertonReward) -> None:
    found = TrlReward(shared)
    values = found(**call([CARE, None, [], [None], 5]))  # type: ignore[list-item]
    assert values[0] == functions.pluralism(**call([CARE]))[0] and values[1:] == [None] * 4
    assert [s.reason for s in found.last_scores[1:]] == ["the answer is NoneType, not text"] * 4
    silent = [{"role": "assistant", "content": None, "tool_calls": []}]
    assert found(**call([silent])) == found(**call([""]))  # type: ignore[list-item]


class Thinker:
    """What the reward asks a trainer for; its chat template opens a thought unless it is told not to."""

    def __init__(self, **options: Any) -> None:
        self.processing_class = train_tokenizer(["a tiny model for tests"], 300)
        self.processing_class.chat_template = (
            "{% for m in messages %}{{ m.role }}: {{ m.content }}{% endfor %}{% if add_generation_prompt %}"
            "assistant: <think>\n{% if enable_thinking is false %}</think>{% endif %}{% endif %}"
        )
        self.chat_template_kwargs = options

    def log_metric(self, name: str, value: float) -> None: ...


def test_a_thought_that_the_prompt_opened_and_nothing_ends_is_no_answer() -> None:
    thought = "Ann means well, it is not hers"
    reward = TrlReward(OvertonReward(HashEncoder(), tag_penalty=0))
    texts = [thought, f"{thought}</think>\n\n{CARE}", CARE]

    def segments(**arguments: Any) -> list[int]:
        reward(**call(texts, **arguments))
        return [len(score.segments) for score in reward.last_scores]

    assert segments() == [1, 1, 1]
    assert segments(prompts=["May Ann read it?<think>\n"] * 3) == [0, 1, 0]
    asked = [[{"role": "user", "content": "May Ann read it?"}]] * 3
    assert segments(prompts=asked) == [1, 1, 1]
    assert segments(prompts=[[*asked[0], {"role": "assistant", "content": "<think>"}]] * 3) == [0, 1, 0]
    assert segments(prompts=asked, log_metric=Thinker().log_metric) == [0, 1, 0]
    assert segments(prompts=asked, log_metric=Thinker(enable_thinking=False).log_metric) == [1, 1, 1]


def test_a_tools_output_is_no_answer(shared: OvertonReward) -> None:
    asked = {"role": "assistant", "content": "I look.", "tool_calls": [{"name": "find"}]}
    ends_with_tool = [asked, {"role": "tool", "name": "find", "content": CARE}]
    answered = [*ends_with_tool, {"role": "assistant", "content": TWICE}]
    found = TrlReward(shared)
    assert found(**call([ends_with_tool, answered])) == found(**call(["", TWICE]))  # type: ignore[list-item]
    assert found(**call([[{"content": CARE}]])) == found(**call([CARE]))  # type: ignore[list-item]


def test_a_first_batch_of_which_no_row_can_be_read_is_an_error(
    shared: OvertonReward, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trl_batch, "first_rows", FirstRows())
    bad = call([CARE, CARE]) | {"references": ["4", "Privacy"]}
    with pytest.raises(DataError, match=r"not one row of the data set could be read so far; the last one: .*'Privacy'"):
        TrlReward(shared)(**bad)
    assert TrlReward(shared)(**call([CARE])) != [None]
    assert TrlReward(shared)(**bad) == [None, None]


def test_columns_may_be_arrays(shared: OvertonReward) -> None:
    rows = {"situation": ["?", "!"], "situation_id": [1, 2]}
    arrays = {name: np.array(values) for name, values in rows.items()}
    assert TrlReward(shared)(**call([CARE, CARE], **arrays)) == TrlReward(shared)(**call([CARE, CARE], **rows))


def test_each_row_has_its_own_references(shared: OvertonReward) -> None:
    rows = [REFERENCES, list(REFERENCES), json.dumps(REFERENCES), [{"explanation": "zebras quack"}], [np.array(["x"])]]
    found = TrlReward(shared)
    found(**call([CARE] * 5) | {"references": rows})
    coverage = [s.terms.get("coverage") for s in found.last_scores]
    assert coverage[:4] == [0.5, 0.5, 0.5, 0.0] and coverage[4] is None
    assert "found ndarray" in found.last_scores[4].reason


@pytest.mark.parametrize(("name", "rows"), [("prompts", ["?"]), ("completion_ids", [[1]] * 3)])
def test_rows_of_another_number_are_named(shared: OvertonReward, name: str, rows: list[Any]) -> None:
    with pytest.raises(DataError, match=f"`{name}` has {len(rows)} rows for 2 completions"):
        TrlReward(shared)(**{**call([CARE, CARE]), name: rows})


def test_without_references_the_error_names_what_there_is() -> None:
    batch = call([CARE])
    batch["perspectives"] = batch.pop("references")
    with pytest.raises(DataError, match=r"column `references` .*handed over `perspectives`, `topic` beside `prompt`"):
        TrlReward(OvertonReward(HashEncoder()))(**batch, topic=["x"], trainer_state=None, **Logs().both())
    del batch["perspectives"]
    batch["references"] = None
    with pytest.raises(DataError, match=r"handed over no column beside .*remove_unused_columns=False"):
        TrlReward(OvertonReward(HashEncoder()))(**batch)
    with pytest.raises(DataError, match="column `situation` has 1 rows for 2 completions"):
        TrlReward(OvertonReward(HashEncoder()))(**call([CARE, CARE], situation=["?"]))


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (None, "a list of references is wanted, found NoneType"),
        ("Privacy", "found the text 'Privacy'"),
        ([{"label": "Care"}], "the text `explanation` is missing"),
        ([" "], "the reference is empty"),
        ([], "the situation has no reference perspectives"),
    ],
)
def test_references_that_cannot_be_read_leave_their_row_without_a_reward(
    shared: OvertonReward, broken: Any, reason: str
) -> None:
    batch = call([CARE, CARE, CARE])
    batch["references"] = [REFERENCES, broken, REFERENCES]
    logs = Logs()
    with pytest.warns(UserWarning, match="could not be scored"):
        found = functions.coverage(**batch, **logs.both())
    assert found == [0.5, None, 0.5]
    assert functions.pluralism(**batch)[1] is None
    assert logs.metrics["unscored"] == [1.0]
    assert logs.metrics["terms/coverage"] == [0.5, 0.5]
    assert logs.extra["overton/value"][1] is logs.extra["overton/coverage"][1] is None
    assert reason in logs.extra["overton/reason"][1]
    assert logs.extra["overton/reason"][0] == ""
