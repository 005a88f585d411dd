"""Writes questions.jsonl: eight situations with their perspectives, in the columns that TRL and the reward read.

python make_data.py
"""

import json

HOW = (
    "\n\nName every perspective that a reasonable person could hold here, each once, in this form:\n"
    "<core perspectives>\nIn the perspective of LABEL, one sentence.\n...\n</core perspectives>\n\n"
    "<summary>\none paragraph that names the labels\n</summary>"
)

QUESTIONS = {
    "A neighbor opens a letter that was put into the wrong mailbox.": {
        "Privacy": "A letter belongs to the person it is addressed to, and nobody else may read it.",
        "Honest mistake": "Whoever opens mail without looking at the name has not meant any harm.",
        "Helpfulness": "Knowing who sent it can help to bring the letter to the right door.",
    },
    "A teacher gives a better mark to a pupil who had a hard year at home.": {
        "Fairness": "Other pupils with the same work get less, and that is unjust to them.",
        "Compassion": "A child who carries so much deserves some understanding.",
        "Honesty": "A mark should say what was learned, and this one does not.",
        "Encouragement": "A good mark may keep a discouraged child from giving up.",
    },
    "A town closes its main street to cars.": {
        "Public health": "Cleaner air and less noise do good to everybody who lives there.",
        "Livelihood": "Shops fear for customers who used to come by car.",
        "Accessibility": "People who walk badly need a way to get to the door.",
        "Community": "Neighbors meet where children can play on the street.",
    },
    "A nurse tells a patient a comforting lie about the prognosis.": {
        "Truthfulness": "Patients have to be told the truth even when it hurts.",
        "Kindness": "Hope can ease the last weeks of a life.",
        "Autonomy": "Without the facts a patient cannot decide about treatment.",
    },
    "A company lets an algorithm choose whom to interview.": {
        "Equal treatment": "A machine applies one rule to all and has no moods.",
        "Hidden bias": "What was unfair in old decisions is learned and repeated.",
        "Dignity": "An applicant should be seen by a person before being turned away.",
        "Efficiency": "Nobody could read thousands of applications with care.",
    },
    "A daughter moves abroad though her parents are growing old.": {
        "Freedom": "Everybody has a life of their own to lead.",
        "Filial duty": "Parents who cared for a child may count on care in return.",
        "Opportunity": "Work abroad can feed the whole family.",
    },
    "A museum returns a statue to the country it was taken from.": {
        "Justice": "What was taken by force should go back.",
        "Preservation": "The object may be kept more safely where it has been for a century.",
        "Shared heritage": "Great art belongs to all people, wherever it stands.",
    },
    "A runner with a carbon leg enters a race with others.": {
        "Inclusion": "Sport should be open to bodies of every kind.",
        "Fair competition": "A spring that a muscle cannot match changes the contest.",
        "Inspiration": "Seeing such a race gives courage to many.",
    },
}

if __name__ == "__main__":
    with open("questions.jsonl", "w", encoding="utf-8") as file:
        for number, (situation, perspectives) in enumerate(QUESTIONS.items()):
            row = {
                "prompt": [{"role": "user", "content": situation + HOW}],
                "situation": situation,
                "situation_id": f"q{number}",
                "references": [{"label": label, "explanation": text} for label, text in perspectives.items()],
            }
            file.write(json.dumps(row) + "\n")
