"""What the contract tests of both harnesses share: questions, a policy that gives one known answer, its scores."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from overton.tasks.measure import METRICS, Evaluator, load_questions, score_answer
from overton.testing import scripted_policy
from overton.types import Situation

ROWS = {
    "May a nurse read the diary of a patient?": {
        "Privacy": "What is in a diary is nobody else's business.",
        "Safety": "The nurse might learn of a danger in time.",
    },
    "Should a friend keep a promise that hurts someone?": {
        "Promises": "Whoever gives their word should keep it.",
        "Friendship": "A friend in need is worth more than a rule.",
        "Safety": "Nobody should come to harm for the sake of a word.",
    },
}
# Both views of the first question, one of them twice in other words; nothing of the second's.
ANSWER = """<core perspectives>
In the perspective of Privacy, what is in a diary is nobody else's business.
In the perspective of Safety, the nurse might learn of a danger in time.
In the perspective of Secrets, what is in a diary is no other person's business.
</core perspectives>

<summary>
Privacy and safety.
</summary>"""


def write_questions(folder: Path) -> Path:
    """The rows as a table with one line a perspective."""
    path = folder / "questions.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "situation", "label", "explanation"])
        for number, (text, views) in enumerate(ROWS.items()):
            writer.writerows([f"q{number}", text, label, said] for label, said in views.items())
    return path


def write_policy(folder: Path) -> Path:
    """A tiny model with a chat template that always gives the answer."""
    policy = scripted_policy(folder / "policy", ANSWER, max_length=512)
    settings = json.loads((policy / "tokenizer_config.json").read_text(encoding="utf-8"))
    settings["chat_template"] = "{% for m in messages %}{{ m.content }}\n{% endfor %}"
    (policy / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return policy


def expected(questions: Path, nli_model: str = "") -> dict[str, dict[str, float]]:
    """Scores of the answer without any harness, by situation."""
    judge = Evaluator(nli_model=nli_model)
    situations: list[Situation] = load_questions(str(questions))
    found = {s.id: score_answer(s, ANSWER, judge) for s in situations}
    return {name: {m: row[m] for m in METRICS} for name, row in found.items()}
