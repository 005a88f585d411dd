"""OvertonScores of clusters made by hand, and the reading of the data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overton.errors import DataError
from overton.evaluation.overtonbench import TAUS, overton_comparisons, overton_scores, people_rows, question_scores
from overton.evaluation.overtonbench_data import read_overtonbench
from overton.jsonio import write_jsonl


def rows(question: str, clusters: dict[str, list[float | None]], split: str = "prism") -> list[dict[str, Any]]:
    return [
        {"question": question, "split": split, "user": f"{name}{i}", "cluster": name, "rating": rating}
        for name, ratings in clusters.items()
        for i, rating in enumerate(ratings)
    ]


# Question 1: clusters of 4, 2 and 2 people. Means 4 (just covered), 3.5, 5: two of three, 6 of 8 people.
ONE = rows("1", {"a": [4, 4, 3, 5], "b": [3, 4], "c": [5, 5]})
# Question 2: one of two clusters, the small one: 1 of 5 people.
TWO = rows("2", {"a": [1, 5, 3, 2], "b": [4]})
# Question 3, of the other split: no cluster.
THREE = rows("3", {"a": [3, 3], "b": [3.9]}, "modelslant")


def test_coverage_of_a_question() -> None:
    (score,) = question_scores(ONE)
    assert score["unweighted"] == pytest.approx(2 / 3)
    assert score["weighted"] == pytest.approx(6 / 8)
    assert [(c["cluster"], c["size"], c["mean"], c["covered"]) for c in score["clusters"]] == [
        ("a", 4, 4, True),
        ("b", 2, 3.5, False),
        ("c", 2, 5, True),
    ]


def test_a_mean_of_tau_covers_whatever_the_judges_thirds_and_sevenths_add_up_to() -> None:
    # Sums of seven judges' ratings: 10 + 3 * 34 = 4 * 4 * 7, so the mean is 4, and 3.9999999999999996 in floats.
    (score,) = question_scores(rows("1", {"a": [total / 7 for total in (10, 34, 34, 34)]}))
    assert score["unweighted"] == 1


def test_scores_are_means_over_questions() -> None:
    found = overton_scores(ONE + TWO + THREE, resamples=200)
    assert list(found["splits"]) == ["full", "prism", "modelslant"]
    means = {s: (v["unweighted"]["mean"], v["weighted"]["mean"]) for s, v in found["splits"].items()}
    assert means["full"] == pytest.approx(((2 / 3 + 1 / 2 + 0) / 3, (6 / 8 + 1 / 5 + 0) / 3))
    assert means["prism"] == pytest.approx(((2 / 3 + 1 / 2) / 2, (6 / 8 + 1 / 5) / 2))
    assert means["modelslant"] == (0, 0)
    assert found["splits"]["full"]["unweighted"]["n"] == 3
    assert list(overton_scores(ONE, resamples=100)["splits"]) == ["full"]


def test_the_sweep_over_tau() -> None:
    sweep = {step["tau"]: step["splits"]["full"]["unweighted"] for step in overton_scores(ONE, resamples=100)["sweep"]}
    assert list(sweep) == list(TAUS) == [2.5, 2.75, 3.0, 3.25, 3.5, 3.75, 4.0, 4.25, 4.5, 4.75, 5.0]
    assert [sweep[t] for t in (3.0, 3.5, 3.75, 4.0, 4.25, 5.0)] == pytest.approx([1, 1, 2 / 3, 2 / 3, 1 / 3, 1 / 3])
    assert overton_scores(ONE, tau=3.5, resamples=100)["splits"]["full"]["unweighted"]["mean"] == 1


def test_a_missing_rating_leaves_the_others_and_a_missing_cluster_the_question() -> None:
    (score,) = question_scores(rows("1", {"a": [4, None, None], "b": [1]}))
    assert (score["unweighted"], score["weighted"]) == (0.5, 0.75)
    assert score["clusters"][0] == {"cluster": "a", "size": 3, "rated": 1, "mean": 4, "covered": True}
    gap = rows("2", {"a": [5], "b": [None]})
    (score,) = question_scores(gap)
    assert (score["unweighted"], score["weighted"], score["reason"]) == (None, None, "no rating at all from cluster b")
    found = overton_scores(ONE + gap, resamples=100)["splits"]["full"]["unweighted"]
    assert (found["mean"], found["n"], found["unscored"]) == (pytest.approx(2 / 3), 1, 1)
    assert overton_scores(gap, resamples=100)["splits"]["full"]["weighted"]["mean"] is None


def test_two_systems_are_compared_over_the_questions_with_a_score_for_both() -> None:
    # Of clusters of 3 and 1 people the first covers the large one, then none; the second both, then the small one.
    first = rows("1", {"a": [5, 5, 5], "b": [1]}) + rows("2", {"a": [1, 1, 1], "b": [1]})
    second = rows("1", {"a": [5, 5, 5], "b": [5]}) + rows("2", {"a": [1, 1, 1], "b": [5]})
    gap, known = rows("3", {"a": [None], "b": [5]}), rows("3", {"a": [5], "b": [5]})
    found = overton_comparisons({"first": first + gap, "second": second + known})
    assert [(r["a"], r["b"], r["metric"]) for r in found] == [
        ("second", "first", "unweighted"),
        ("second", "first", "weighted"),
    ]
    # 2/2 - 1/2 and 1/2 - 0; 4/4 - 3/4 and 1/4 - 0.
    assert [(r["difference"], r["low"], r["high"]) for r in found] == [(0.5, 0.5, 0.5), (0.25, 0.25, 0.25)]
    assert [(r["n"], r["unscored"]) for r in found] == [(2, 1), (2, 1)]
    # Both differences are positive, as under one of the four choices of signs; and there are two tests.
    assert [(r["p_value"], r["p_holm"]) for r in found] == [(0.5, 1.0), (0.5, 1.0)]
    at_two = overton_comparisons({"first": rows("1", {"a": [1]}) + rows("2", {"a": [1]}),
                                  "second": rows("1", {"a": [2]}) + rows("2", {"a": [1]})}, tau=2)  # fmt: skip
    assert [(r["difference"], r["low"], r["high"]) for r in at_two] == [(0.5, 0.0, 1.0)] * 2


def test_the_p_values_of_all_pairs_and_both_scores_are_corrected_together() -> None:
    covers = {"none": [1, 1], "one": [5, 1], "both": [5, 5]}
    systems = {
        name: [row for i in range(6) for row in rows(str(i), {"a": ratings[:1], "b": ratings[1:]})]
        for name, ratings in covers.items()
    }
    found = overton_comparisons(systems)
    assert len(found) == 6
    assert {r["p_value"] for r in found} == {2 / 2**6} and {r["p_holm"] for r in found} == {6 * 2 / 2**6}


clusters = st.dictionaries(st.sampled_from("abcd"), st.lists(st.integers(1, 5), min_size=1, max_size=5), min_size=1)


@settings(deadline=None)
@given(clusters)
def test_properties_of_a_score(given: dict[str, list[float | None]]) -> None:
    one = rows("1", given)
    (score,) = question_scores(one)
    assert 0 <= score["unweighted"] <= 1 and 0 <= score["weighted"] <= 1
    assert (score["unweighted"] == 1) == (score["weighted"] == 1)
    assert question_scores(one[::-1])[0]["weighted"] == score["weighted"]
    assert question_scores(one, tau=1)[0]["unweighted"] == 1
    same = len({len(v) for v in given.values()}) == 1
    assert not same or score["weighted"] == pytest.approx(score["unweighted"])
    sweep = [s["splits"]["full"]["weighted"] for s in overton_scores(one, resamples=100)["sweep"]]
    assert sweep == sorted(sweep, reverse=True)


def table(**changes: Any) -> list[dict[str, Any]]:
    """Two questions, two participants each, two models; columns as on the data set's card, one of them unused."""
    found = []
    for question, split in ((7, "prism"), (8, "modelslant")):
        for user, cluster in (("u1", 0), ("u2", 1)):
            for model, rating in (("m1", 5 if user == "u1" else 2), ("m2", 3)):
                row = {"user": user, "question_id": question, "question": f"Question {question}?", "Age": 40}
                row |= {"freeresponse": f"I am {user}.", "cluster_kmeans": cluster, "model": model}
                row |= {"llm_response": f"{model} on {question}", "representation_rating": rating, "source": split}
                found.append(row)
    found[0] |= changes
    return found


def test_a_local_copy_in_one_file(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "full.jsonl", table())
    opinions = read_overtonbench([str(tmp_path / "full.jsonl")])
    assert [(o.question, o.split, o.user, o.cluster) for o in opinions] == [
        *(("7", "prism", "u1", "0"), ("7", "prism", "u2", "1")),
        *(("8", "modelslant", "u1", "0"), ("8", "modelslant", "u2", "1")),
    ]
    assert [(r.model, r.response, r.rating) for r in opinions[1].ratings] == [
        ("m1", "m1 on 7", 2),
        ("m2", "m2 on 7", 3),
    ]
    found = {model: overton_scores(r, resamples=100)["splits"] for model, r in people_rows(opinions).items()}
    assert found["m1"]["full"]["unweighted"]["mean"] == 0.5
    assert found["m2"]["prism"]["unweighted"]["mean"] == 0


def test_clusters_and_questions_that_a_model_has_no_rows_of_count(tmp_path: Path) -> None:
    # m2 is rated by u1 alone on the first question and by nobody on the second.
    given = [row for row in table() if row["model"] == "m1" or (row["user"], row["question_id"]) == ("u1", 7)]
    write_jsonl(tmp_path / "a.jsonl", [{**row, "representation_rating": 5} for row in given])
    people = people_rows(read_overtonbench([str(tmp_path / "a.jsonl")]))
    scores = {
        model: overton_scores(rows, resamples=100)["splits"]["full"]["unweighted"] for model, rows in people.items()
    }
    assert (scores["m1"]["mean"], scores["m1"]["n"], scores["m1"]["unscored"]) == (1, 2, 0)
    assert (scores["m2"]["mean"], scores["m2"]["n"], scores["m2"]["unscored"]) == (None, 0, 2)
    assert [q["reason"] for q in question_scores(people["m2"])] == [
        "no rating at all from cluster 1",
        "no rating at all from cluster 0, 1",
    ]


def test_participants_who_did_not_rate_a_model_weigh_in_their_cluster(tmp_path: Path) -> None:
    third = {**table()[1], "user": "u3"}
    given = [row for row in [*table(), third] if row["question_id"] == 7]
    write_jsonl(tmp_path / "a.jsonl", given)
    (score,) = question_scores(people_rows(read_overtonbench([str(tmp_path / "a.jsonl")]))["m1"])
    assert (score["unweighted"], score["weighted"]) == (0.5, 2 / 3)


def test_parquet_and_csv_and_folders_are_the_same(tmp_path: Path) -> None:
    import pandas

    frame = pandas.DataFrame(table())
    frame["cluster_kmeans"] = frame["cluster_kmeans"].astype(float)  # as a table with gaps stores it
    frame.to_csv(tmp_path / "all.csv", index=False)
    frame.to_parquet(tmp_path / "all.parquet")
    folder = tmp_path / "copy"
    folder.mkdir()
    for split in ("prism", "modelslant"):
        frame[frame["source"] == split].drop(columns="source").to_parquet(folder / f"{split}.parquet")
    card = "configs:\n- config_name: default\n  data_files:\n"
    card += "".join(f"  - split: {s}\n    path: {s}.parquet\n" for s in ("prism", "modelslant"))
    (folder / "README.md").write_text(f"---\n{card}---\n")
    want = read_overtonbench([str(tmp_path / "all.csv")])
    assert len(want) == 4 and want[0].cluster == "0"
    assert read_overtonbench([str(tmp_path / "all.parquet")]) == want
    assert read_overtonbench([str(folder / "prism.parquet"), str(folder / "modelslant.parquet")]) == want
    assert read_overtonbench([str(folder)]) == want


def test_ids_that_two_splits_share_are_told_apart(tmp_path: Path) -> None:
    for split, question in (("prism", "One?"), ("modelslant", "Two?")):
        given = [{**row, "question_id": 1, "question": question, "source": split} for row in table()[:4]]
        write_jsonl(tmp_path / f"{split}.jsonl", given)
    opinions = read_overtonbench([str(tmp_path / "prism.jsonl"), str(tmp_path / "modelslant.jsonl")])
    assert list(dict.fromkeys(o.question for o in opinions)) == ["prism-1", "modelslant-1"]


def test_gaps(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    given = table(representation_rating=None)
    for row in given[:2]:
        row["freeresponse"] = None
    given[4]["cluster_kmeans"] = None
    write_jsonl(tmp_path / "a.jsonl", given)
    opinions = read_overtonbench([str(tmp_path / "a.jsonl")])
    assert (opinions[0].freeresponse, opinions[0].ratings[0].rating) == ("", None)
    assert [len(o.ratings) for o in opinions] == [2, 2, 1, 2]
    assert "1 rows without a cluster" in capfd.readouterr().err
    assert people_rows(opinions)["m1"][0]["reason"] == "the data have no rating"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"representation_rating": 6}, r"row 1: `representation_rating` must be a number from 1 to 5, found 6"),
        ({"representation_rating": "high"}, "found 'high'"),
        ({"representation_rating": True}, "found True"),
        ({"question": "Another?"}, r"row 2: question_id 7 is another question"),
        ({"cluster_kmeans": 3}, r"row 2: participant u1 has another cluster"),
        ({"model": "m2"}, r"row 2: participant u1 rates m2 twice on question 7"),
        ({"llm_response": " "}, "row 1: `llm_response` is empty"),
        ({"user": None}, "row 1: `id` is empty"),
    ],
    ids=str,
)
def test_bad_rows_are_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    write_jsonl(tmp_path / "bad.jsonl", table(**change))
    with pytest.raises(DataError, match=message):
        read_overtonbench([str(tmp_path / "bad.jsonl")])


def test_bad_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere\.parquet: no such file"):
        read_overtonbench([str(tmp_path / "nowhere.parquet")])
    with pytest.raises(DataError, match="no such folder"):
        read_overtonbench([str(tmp_path / "nowhere")])
    write_jsonl(tmp_path / "a.jsonl", [{k: v for k, v in row.items() if k != "freeresponse"} for row in table()])
    with pytest.raises(DataError, match="'freeresponse' is missing"):
        read_overtonbench([str(tmp_path / "a.jsonl")])
    write_jsonl(tmp_path / "a.jsonl", [{**row, "cluster_kmeans": None} for row in table()])
    with pytest.raises(DataError, match="no row has a cluster"):
        read_overtonbench([str(tmp_path / "a.jsonl")])
