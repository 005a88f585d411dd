"""Intervals and paired tests."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import scipy.stats
from hypothesis import example, given, settings
from hypothesis import strategies as st

from overton.evaluation.statistics import (
    bootstrap_bounds,
    compare,
    compare_systems,
    effect_sizes,
    holm,
    interval,
    intervals,
    seed_of,
    wilson,
)
from overton.notes import few_note, intervals_in

VALUES = st.lists(st.one_of(st.none(), st.floats(-5, 5)), min_size=1, max_size=30)


def test_interval_has_the_width_that_theory_gives() -> None:
    values = list(np.random.default_rng(0).normal(3.0, 2.0, 400))
    found = interval(values)
    margin = 1.96 * np.std(values) / 20
    assert found["mean"] == pytest.approx(np.mean(values))
    assert found["low"] == pytest.approx(found["mean"] - margin, abs=0.03)
    assert found["high"] == pytest.approx(found["mean"] + margin, abs=0.03)
    assert (found["n"], found["unscored"]) == (400, 0)


def test_what_could_not_be_scored_is_left_out_and_counted() -> None:
    found = interval([1.0, None, 1.0, None, 1.0])
    assert found == {"mean": 1.0, "low": 1.0, "high": 1.0, "n": 3, "unscored": 2}


def test_shares_of_answers_have_an_interval_at_their_ends_too() -> None:
    columns = {"valid_tags": [1] * 40, "perspectives": [1] * 40, "coverage": [1.0] * 40, "nli_accuracy": [0, None] * 20}
    found = intervals(columns)
    z2 = 1.959964**2  # Wilson's bounds of n of n: n / (n + z²) and 1
    assert (found["valid_tags"]["low"], found["valid_tags"]["high"]) == (pytest.approx(40 / (40 + z2)), 1.0)
    assert (found["nli_accuracy"]["low"], found["nli_accuracy"]["high"]) == (0.0, pytest.approx(z2 / (20 + z2)))
    assert {(found[m]["low"], found[m]["high"]) for m in ("perspectives", "coverage")} == {(1.0, 1.0)}
    assert intervals({"valid_tags": [1]})["valid_tags"]["low"] is None
    assert wilson(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)


def test_too_few_values_have_no_interval() -> None:
    assert interval([None]) == {"mean": None, "low": None, "high": None, "n": 0, "unscored": 1}
    assert interval([0.5]) == {"mean": 0.5, "low": None, "high": None, "n": 1, "unscored": 0}


@settings(max_examples=60, deadline=None)
@given(VALUES)
def test_the_mean_lies_in_its_interval(values: list[float | None]) -> None:
    found = interval(values, resamples=200)
    assert found["n"] + found["unscored"] == len(values)
    if found["low"] is not None:
        scored = [v for v in values if v is not None]
        assert min(scored) - 1e-9 <= found["low"] <= found["high"] <= max(scored) + 1e-9


def test_comparison_by_hand() -> None:
    a = {"x": 0.8, "y": 0.6, "z": None, "only a": 1.0}
    b = {"x": 0.4, "y": 0.4, "z": 0.2, "only b": 1.0}
    found = compare(a, b)
    assert found["difference"] == pytest.approx(0.3)
    assert found["relative"] == pytest.approx(0.75)
    assert (found["n"], found["unscored"]) == (2, 1)
    assert found["low"] == pytest.approx(0.2)
    assert found["high"] == pytest.approx(0.4)


def test_a_clear_difference_is_significant_and_chance_is_not() -> None:
    rng = np.random.default_rng(1)
    b = {str(i): float(v) for i, v in enumerate(rng.random(200))}
    better = {k: v + 0.1 + 0.1 * rng.random() for k, v in b.items()}
    shuffled = dict(zip(b, rng.permutation(list(b.values())).tolist(), strict=True))
    assert compare(better, b)["p_value"] < 1e-6
    assert compare(better, b)["low"] > 0
    assert compare(shuffled, b)["p_value"] > 0.05
    assert compare(b, b) == {
        "difference": 0.0,
        "low": 0.0,
        "high": 0.0,
        "p_value": 1.0,
        "relative": 0.0,
        "cohens_dz": None,
        "cliffs_delta": 0.0,
        "n": 200,
        "unscored": 0,
    }


def test_equal_steps_of_shares_are_ties() -> None:
    # 3/7 - 2/7 and 2/7 - 1/7 differ in the last bit; ranked by it, the test would see a pattern in noise.
    a = {str(i): (i % 6 + 1) / 7 for i in range(60)}
    b = {str(i): (i % 6 + (0 if i % 2 else 2)) / 7 for i in range(60)}
    assert compare(a, b)["p_value"] == pytest.approx(1.0)


def test_relative_change_of_nothing_is_unknown() -> None:
    assert compare({"x": 1.0, "y": 1.0}, {"x": 0.0, "y": 0.0})["relative"] is None
    assert compare({}, {})["difference"] is None


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1, width=16), st.floats(0, 1, width=16)), min_size=2, max_size=25))
def test_turning_a_comparison_round_turns_its_sign(pairs: list[tuple[float, float]]) -> None:
    a = {str(i): p[0] for i, p in enumerate(pairs)}
    b = {str(i): p[1] for i, p in enumerate(pairs)}
    one, other = compare(a, b, 200), compare(b, a, 200)
    assert one["difference"] == pytest.approx(-other["difference"])
    assert one["p_value"] == pytest.approx(other["p_value"])
    assert one["low"] == pytest.approx(-other["high"], abs=0.15)


def test_seeds_come_from_names() -> None:
    assert seed_of(0, "sft", "coverage") == seed_of(0, "sft", "coverage") != seed_of(1, "sft", "coverage")


def test_holm_by_hand() -> None:
    # Smallest first: .01 x 4, .02 x 3, .03 x 2, .04 x 1; none may be below the one before it.
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.5, None, 0.4]) == [0.8, None, 0.8]
    assert holm([]) == []


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_lies_between_no_correction_and_bonferroni(p_values: list[float]) -> None:
    corrected = [p for p in holm(p_values) if p is not None]
    for p, q in zip(p_values, corrected, strict=True):
        assert p <= q <= min(1.0, len(p_values) * p) + 1e-12
    ranked = sorted(zip(p_values, corrected, strict=True))
    assert [q for _, q in ranked] == sorted(corrected)


def test_effect_sizes_by_hand() -> None:
    d_z, delta = effect_sizes(np.array([0.2, 0.4, 0.0, -0.2]))
    assert d_z == pytest.approx(0.1 / np.sqrt((0.01 + 0.09 + 0.01 + 0.09) / 3))
    assert delta == pytest.approx((2 - 1) / 4)
    assert effect_sizes(np.array([0.1, 0.1])) == (None, 1.0)
    assert effect_sizes(np.array([])) == (None, None)


def test_of_shares_those_that_change_decide() -> None:
    # 30 of 300 answers lost their tags and none won them: the sign test's normal approximation, z = 30 / sqrt(30).
    before = {str(i): 1.0 for i in range(300)}
    after = {key: float(int(key) >= 30) for key in before}
    assert compare(after, before)["p_value"] == pytest.approx(2 * scipy.stats.norm.sf(30**0.5), rel=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(-1000, 1000).map(lambda n: n / 1000), min_size=2, max_size=20))
@example([0.12213134765625] * 3)  # whose standard deviation is not quite 0
def test_d_z_is_the_t_statistic_over_the_root_of_n(gaps: list[float]) -> None:
    d_z, _ = effect_sizes(np.array(gaps))
    assert (d_z is None) == (len(set(gaps)) == 1)
    if d_z is not None:
        assert d_z == pytest.approx(scipy.stats.ttest_1samp(gaps, 0).statistic / np.sqrt(len(gaps)), rel=1e-6)


def test_all_columns_at_once_are_what_each_is_alone() -> None:
    rng = np.random.default_rng(3)
    columns = {m: [None if v < 0.1 else float(v) for v in rng.random(80)] for m in "abc"}
    columns["d"] = rng.random(80).tolist()
    together = intervals(columns, 500, seed=4)
    for name, values in columns.items():
        assert together[name] == pytest.approx(interval(values, 500, seed=4))
    assert together["a"]["unscored"] == columns["a"].count(None) > 0


def test_bounds_agree_with_scipy() -> None:
    values = np.random.default_rng(5).beta(2, 5, 300)
    low, high = bootstrap_bounds(values[:, None], 20_000, 0)
    theirs = scipy.stats.bootstrap((values,), np.mean, n_resamples=20_000, method="percentile", random_state=1)
    assert low[0] == pytest.approx(theirs.confidence_interval.low, abs=5e-4)
    assert high[0] == pytest.approx(theirs.confidence_interval.high, abs=5e-4)


def test_large_tables_are_resampled_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    from overton.evaluation import statistics

    values = np.random.default_rng(6).random((50, 2))
    whole = bootstrap_bounds(values, 4000, 1)
    monkeypatch.setattr(statistics, "_BLOCK", 50 * 300)
    assert bootstrap_bounds(values, 4000, 1)[0] == pytest.approx(whole[0], abs=0.005)


def test_comparisons_of_all_systems_are_those_of_each_pair() -> None:
    rng = np.random.default_rng(7)
    values = {
        s: {m: {str(i): float(v) for i, v in enumerate(rng.random(40 - 5 * k))} for m in ("x", "y")}
        for k, s in enumerate("abc")
    }
    del values["c"]["y"]
    values["a"]["x"]["3"] = None
    rows = compare_systems(values, 300, seed=2)
    assert [(r["a"], r["b"], r["metric"]) for r in rows] == [
        ("b", "a", "x"),
        ("b", "a", "y"),
        ("c", "a", "x"),
        ("c", "b", "x"),
    ]
    assert [r["p_holm"] for r in rows] == holm([r["p_value"] for r in rows])
    for row in rows:
        alone = compare(values[row["a"]][row["metric"]], values[row["b"]][row["metric"]], 300, seed=2)
        assert {k: row[k] for k in alone} == pytest.approx(alone)


def test_few_pairs_have_the_exact_p_value() -> None:
    # All five better: two of 32 patterns of signs are as far out.
    assert compare({str(i): i + 1.0 for i in range(5)}, {str(i): 0.0 for i in range(5)})["p_value"] == 2 / 32
    rng = np.random.default_rng(8)
    for n in (3, 8, 25):
        gaps = rng.normal(0.3, 1, n)
        own = compare({str(i): g for i, g in enumerate(gaps)}, {str(i): 0.0 for i in range(n)})["p_value"]
        assert own == pytest.approx(scipy.stats.wilcoxon(gaps, method="exact").pvalue)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-3, 3), min_size=2, max_size=9))
def test_ties_and_pairs_without_a_difference_are_counted_too(gaps: list[int]) -> None:
    ranks = scipy.stats.rankdata(np.abs(gaps))
    nonzero = [r for r, g in zip(ranks, gaps, strict=True) if g]
    seen = abs(sum(r if g > 0 else -r for r, g in zip(ranks, gaps, strict=True) if g))
    sums = [abs(float(np.dot(signs, nonzero))) for signs in product((-1, 1), repeat=len(nonzero))]
    found = compare({str(i): float(g) for i, g in enumerate(gaps)}, {str(i): 0.0 for i in range(len(gaps))})
    assert found["p_value"] == pytest.approx(np.mean([s >= seen for s in sums]))


def test_the_pairs_that_differ_decide_whether_p_is_exact() -> None:
    # 5 of 26 and of 5000 answers change, all one way: two of 32 patterns of signs, as without the others.
    for n in (26, 5000):
        gaps = {str(i): float(i < 5) for i in range(n)}
        assert compare(gaps, dict.fromkeys(gaps, 0.0), resamples=10)["p_value"] == 2 / 32


def test_many_pairs_have_the_approximation() -> None:
    gaps = np.random.default_rng(9).normal(0.3, 1, 26)
    found = compare({str(i): g for i, g in enumerate(gaps)}, {str(i): 0.0 for i in range(26)})
    assert found["p_value"] == pytest.approx(scipy.stats.wilcoxon(gaps, method="approx").pvalue)


def test_intervals_are_found_however_deep_they_lie() -> None:
    one, two = interval([0.1, 0.3]), interval([0.5] * 3)
    figures = {"systems": {"a": {"depth": one, "judge_mean": "text"}}, "pairwise": [{"win_rate": two}], "seed": 0}
    assert list(intervals_in(figures)) == [one, two]


def test_intervals_over_few_values_are_said() -> None:
    assert few_note([interval([0.1] * 30), interval([0.5])]) == []
    (note,) = few_note([interval([0.1] * 30), interval([0.1] * 7 + [None]), interval([0.1] * 9)])
    assert "over 7 questions only" in note and "p-values" not in note  # there are none to go by
    (note,) = few_note([interval([0.1] * 7), compare({"a": 0.1, "b": 0.2}, {"a": 0.3, "b": 0.1})])
    assert "over 2 questions only" in note and note.endswith("go by the p-values")
