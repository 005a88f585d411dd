"""Thresholds, probabilities and the health check: arithmetic by hand and the stage's refusals."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from estimator_tiny import make_pairs
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from overton.errors import DataError, ModelError
from overton.estimator import Calibration, SimilarityEstimator
from overton.estimator.benchmark import benchmark, false_positive_rates, metrics
from overton.estimator.calibrate import _measure, calibrate, calibration_record
from overton.estimator.models import load_sentence_transformer
from overton.estimator.pairs import Pairs, bootstrap, interval, ranking_metrics, read_pairs
from overton.estimator.quality import calibration_error, health_check, reliability
from overton.estimator.search import mean_precision
from overton.estimator.threshold import at_precision, best_f1, platt
from overton.jsonio import write_json
from overton.notes import threshold_interval


def array(*values: float) -> np.ndarray:
    return np.array(values)


def flags(text: str) -> np.ndarray:
    return np.array([c == "+" for c in text])


def test_best_f1_separable() -> None:
    threshold, f1 = best_f1(array(0.9, 0.8, 0.4, 0.1), flags("++--"))
    assert (threshold, f1) == (pytest.approx(0.6), 1.0)


def test_best_f1_by_hand() -> None:
    # called from the top: 1/1 of 2 -> F1 2/3; then 1/2 -> 1/2; then 2/3 -> 4/5; then 2/4 -> 2/3
    threshold, f1 = best_f1(array(0.9, 0.7, 0.5, 0.2), flags("+-+-"))
    assert (threshold, f1) == (pytest.approx(0.35), pytest.approx(0.8))


def test_threshold_at_a_precision_by_hand() -> None:
    cosines, labels = array(0.9, 0.8, 0.6, 0.5, 0.2), flags("+-++-")
    # precision from the top: 1, 1/2, 2/3, 3/4, 3/5; ties are called together
    assert at_precision(cosines, labels, 0.7) == pytest.approx(0.35)
    assert at_precision(cosines, labels, 0.9) == pytest.approx(0.85)
    assert at_precision(cosines, labels, 0.6) == pytest.approx(0.2)
    assert at_precision(array(0.5, 0.5, 0.1), flags("+-+"), 0.65) == pytest.approx(0.1)
    assert math.isnan(at_precision(array(0.9, 0.5), flags("-+"), 0.9))
    assert at_precision(cosines, labels, 0.7, np.array([1, 5, 1, 1, 1])) == pytest.approx(0.85)


def test_ties_are_called_together() -> None:
    # the positive at .5 cannot be had without the two negatives beside it: F1 4/6 against 2/3 without
    threshold, f1 = best_f1(array(0.9, 0.5, 0.5, 0.5, 0.1), flags("++---"))
    assert (threshold, f1) == (pytest.approx(0.7), pytest.approx(2 / 3))


def test_weights_are_repetitions() -> None:
    cosines, labels, weights = array(0.9, 0.7, 0.5, 0.2, 0.6), flags("+-+-+"), np.array([2, 1, 0, 3, 1])
    assert best_f1(cosines, labels, weights) == best_f1(np.repeat(cosines, weights), np.repeat(labels, weights))
    assert math.isnan(best_f1(cosines, labels, np.array([0, 1, 0, 1, 0]))[0])


def test_platt_finds_the_slope_the_labels_were_drawn_from() -> None:
    rng = np.random.default_rng(0)
    cosines = rng.uniform(-1, 1, 20000)
    labels = rng.random(20000) < 1 / (1 + np.exp(-(6 * cosines - 2)))
    slope, intercept = platt(cosines, labels)
    assert slope == pytest.approx(6, rel=0.05)
    assert intercept == pytest.approx(-2, rel=0.05)


def test_platt_stays_finite_when_a_threshold_separates() -> None:
    # two points per class and one cosine each: the fit meets the smoothed targets 3/4 and 1/4 exactly
    slope, intercept = platt(array(1.0, 1.0, 0.0, 0.0), flags("++--"))
    assert intercept == pytest.approx(math.log(1 / 3), abs=1e-3)
    assert slope + intercept == pytest.approx(math.log(3), abs=1e-3)


def test_calibration_error_by_hand() -> None:
    probabilities, labels = array(0.05, 0.05, 0.95, 0.95), flags("-+++")
    assert calibration_error(probabilities, labels) == pytest.approx((2 * 0.45 + 2 * 0.05) / 4)
    rows = reliability(probabilities, labels)
    assert [(r["low"], r["count"], r["positive"]) for r in rows] == [(0.0, 2, 0.5), (0.9, 2, 1.0)]
    assert calibration_error(array(0.0, 1.0), flags("-+")) == 0


def test_probability_has_no_overflow() -> None:
    calibration = Calibration(0.5, 0.4, 0.6, 5000.0, -2500.0, 1, 1, 1, 4, "m", "d")
    np.testing.assert_allclose(calibration.probability([[-1.0, 0.5, 1.0]]), [[0.0, 0.5, 1.0]])


def test_bootstrap_draws_whole_groups() -> None:
    groups = np.array([0, 0, 0, 1, 2, 2])
    draws = bootstrap(lambda w: w.astype(float), groups, 200, seed=1)
    assert draws.shape == (200, 6)
    assert (draws[:, 0] == draws[:, 2]).all() and (draws[:, 4] == draws[:, 5]).all()
    assert (draws[:, 0] + draws[:, 3] + draws[:, 4] == 3).all()
    assert len(np.unique(draws[:, 3])) > 1
    np.testing.assert_array_equal(draws, bootstrap(lambda w: w.astype(float), groups, 200, seed=1))


def test_interval_leaves_undefined_resamples_out() -> None:
    low, high = interval(np.append(np.arange(101.0), np.nan))
    assert (low, high) == (pytest.approx(2.5), pytest.approx(97.5))


@given(
    st.lists(
        st.tuples(st.booleans(), st.integers(0, 6), st.integers(0, 3)),  # few values: ties, and pairs not drawn
        min_size=2,
        max_size=30,
    )
)
def test_ranking_of_a_resample_is_scikit_learns(rows: list[tuple[bool, int, int]]) -> None:
    labels, cosines, weights = (np.array(column) for column in zip(*rows, strict=True))
    assume(0 < weights[labels].sum() < weights.sum())
    cosines, weights = cosines / 6, weights.astype(np.float64)
    expected = [f(labels, cosines, sample_weight=weights) for f in (average_precision_score, roc_auc_score)]
    assert ranking_metrics(labels, cosines, weights) == pytest.approx(expected, abs=1e-12)


def test_metrics_by_hand() -> None:
    cosines, labels = array(0.9, 0.7, 0.5, 0.2), flags("+-+-")
    found = metrics(cosines, labels, 0.6, np.ones(4, dtype=int))
    # average precision 1/2 * 1 + 1/2 * 2/3; three of four mixed pairs in order; F1 of 1 hit in 2 calls
    assert found == pytest.approx([5 / 6, 3 / 4, 1 / 2, 1 / 2])
    assert np.isnan(metrics(cosines, labels, 0.6, np.array([1, 0, 1, 0]))).all()


def pairs_of(rows: list[dict[str, Any]], folder: Path) -> Pairs:
    path = folder / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return read_pairs(path)


def test_weights_give_the_mix_of_use(tmp_path: Path) -> None:
    rows = [row | {"label": int(i < 4)} for i, row in enumerate(make_pairs(12, 0))]
    pairs = pairs_of(rows, tmp_path)
    weights = pairs.weights(6)
    assert weights[pairs.labels].tolist() == [1] * 4
    assert weights[~pairs.labels].sum() == pytest.approx(24)


def test_more_different_pairs_raise_the_threshold(tmp_path: Path) -> None:
    values = [(0.9, 1), (0.8, 0), (0.7, 1), (0.6, 1), (0.2, 0), (0.1, 0)] * 4
    found = [
        calibrate(
            Fixed(),  # type: ignore[arg-type]
            fixed_pairs(values, tmp_path),
            model_hash="m",
            data_hash="d",
            different_per_same=ratio,
        )[0]
        for ratio in (1, 9)
    ]
    # one different pair in three: .6 is worth it; nine times as heavy: only .9 is
    assert [round(c.threshold, 2) for c in found] == [0.4, 0.85]
    assert found[1].precision == 1 and found[1].recall == pytest.approx(1 / 3)
    assert found[1].probability(0.7) < found[0].probability(0.7)


def test_a_precision_out_of_reach_counts_as_above_any_cosine(tmp_path: Path) -> None:
    # Only s0 has a pair that is the same: (3/4)^4 = 32% of resamples lack it, and no threshold there has a precision.
    values = [(0.9, 1), (0.1, 0), (0.8, 0), (0.3, 0), (0.7, 0), (0.2, 0), (0.6, 0), (0.2, 0)]
    cosines, pairs = array(*(v for v, _ in values)), fixed_pairs(values, tmp_path)
    found, _ = _measure(cosines, pairs, ("m", "d"), 0, 0.9, 0)
    assert found.threshold == pytest.approx(0.85) and found.high == 1.0
    assert threshold_interval(found.low, found.high).endswith(
        "to 1.000, which is no cosine: often no threshold has the wanted precision"
    )
    best, _ = _measure(cosines, pairs, ("m", "d"), 0, 0.0, 0)
    assert best.high < 1 and threshold_interval(best.low, best.high) == f"{best.low:.3f} to {best.high:.3f}"


def test_false_positives_by_relation(tmp_path: Path) -> None:
    rows = [
        {"situation": "s", "sentence1": "a", "sentence2": "b", "label": int(r == "same"), "relation": r}
        for r in ("same", "near", "near", "opposite")
    ]
    rates = false_positive_rates(array(0.9, 0.9, 0.1, 0.2), pairs_of(rows, tmp_path), 0.5)
    assert rates == {"near": {"mean": 0.5, "pairs": 2}, "opposite": {"mean": 0.0, "pairs": 1}}


def test_pairs_are_grouped_by_situation(tmp_path: Path) -> None:
    pairs = pairs_of(make_pairs(12, 0), tmp_path)
    assert len(set(zip(pairs.situations, pairs.groups.tolist(), strict=True))) == int(pairs.groups.max()) + 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": 2}, "row 3: label must be 0 or 1"),
        ({"sentence2": " "}, "row 3: sentence2 must be a text"),
        ({"situation": None}, "row 3: situation must be a text"),
    ],
)
def test_bad_rows_are_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    rows = make_pairs(6, 0)
    rows[2] |= change
    with pytest.raises(DataError, match=message):
        pairs_of(rows, tmp_path)


def test_one_class_of_pairs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="both labels are needed"):
        pairs_of([row for row in make_pairs(20, 0) if row["label"]], tmp_path)


class Fixed:
    """An estimator whose texts are their own vectors: ``"0.6"`` is a unit vector at cosine .6 to ``"1"``."""

    def encode(self, texts: list[str], contexts: Any = None, description: str = "") -> np.ndarray:
        x = np.array([float(t) for t in texts], dtype=np.float32)
        return np.stack([x, np.sqrt(1 - x**2)], axis=1)

    def cosines(self, left: list[str], right: list[str], contexts: Any = None, description: str = "") -> np.ndarray:
        return np.einsum("ij,ij->i", self.encode(left), self.encode(right))


def fixed_pairs(values: list[tuple[float, int]], tmp_path: Path) -> Pairs:
    rows = [
        {"situation": f"s{i // 2}", "sentence1": "1", "sentence2": str(v), "label": y, "relation": ""}
        for i, (v, y) in enumerate(values)
    ]
    return pairs_of(rows, tmp_path)


def test_calibration_of_known_cosines(tmp_path: Path) -> None:
    values = [(0.9 - 0.01 * (i % 5), 1) if i % 2 else (0.3 + 0.01 * (i % 5), 0) for i in range(60)]
    calibration, quality = calibrate(
        Fixed(),
        fixed_pairs(values, tmp_path),
        model_hash="m",
        data_hash="d",
        seed=0,  # type: ignore[arg-type]
    )
    assert calibration.threshold == pytest.approx((0.86 + 0.34) / 2, abs=1e-6)
    assert calibration.low <= calibration.threshold <= calibration.high
    assert (calibration.f1, calibration.precision, calibration.recall, calibration.pairs) == (1, 1, 1, 60)
    assert (calibration.model_hash, calibration.data_hash) == ("m", "d")
    assert calibration.probability(0.9) > 0.9 > 0.1 > calibration.probability(0.3)
    assert quality["auc"] == 1
    assert quality["calibration_error"] < 0.1
    assert quality["brier"] < 0.01


def test_each_data_set_has_its_own_threshold(tmp_path: Path) -> None:
    rows = [
        {"situation": f"{name}{i // 4}", "sentence1": "1", "sentence2": str(v), "label": y, "set": name}
        for name, values in (("low", ((0.5, 1), (0.2, 0))), ("high", ((0.9, 1), (0.7, 0))))
        for i, (v, y) in enumerate(values * 20)
    ]
    found, quality = calibrate(Fixed(), pairs_of(rows, tmp_path), model_hash="m", data_hash="d")  # type: ignore[arg-type]
    assert {name: round(own["threshold"], 3) for name, own in quality["sets"].items()} == {"high": 0.8, "low": 0.35}
    assert quality["sets"]["low"]["f1"] == 1 > found.f1 and quality["sets"]["low"]["pairs"] == 40
    path = tmp_path / "calibration.json"
    write_json(path, calibration_record(found, quality, tmp_path / "pairs.dev.jsonl", 0))
    assert Calibration.load(path) == found
    assert Calibration.load(path, "high").threshold == pytest.approx(0.8)
    assert Calibration.load(path, "high").model_hash == "m"
    with pytest.raises(ModelError, match="no calibration for the data set 'other'; it has: high, low"):
        Calibration.load(path, "other")


def test_a_data_set_with_one_label_gets_no_threshold(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        {"situation": f"{name}{i // 4}", "sentence1": "1", "sentence2": str(v), "label": y, "set": name}
        for name, values in (("own", ((0.9, 1), (0.6, 0))), ("bare", ((0.5, 0), (0.4, 0))))
        for i, (v, y) in enumerate(values * 20)
    ]
    pairs = pairs_of(rows, tmp_path)
    found, quality = calibrate(Fixed(), pairs, model_hash="m", data_hash="d")  # type: ignore[arg-type]
    assert list(quality["sets"]) == ["own"] and found.pairs == 80
    assert "bare" in capsys.readouterr().err
    assert mean_precision(Fixed(), pairs) == 1  # type: ignore[arg-type]
    # One label in each set: what is left is all pairs together.
    only = pairs.only((pairs.labels == 1) | (np.array(pairs.sets) == "bare"))
    assert mean_precision(Fixed(), only) == 1  # type: ignore[arg-type]
    assert "sets" not in calibrate(Fixed(), only, model_hash="m", data_hash="d")[1]  # type: ignore[arg-type]


def test_a_precision_out_of_reach_in_one_data_set_names_it(tmp_path: Path) -> None:
    rows = [
        {"situation": f"{name}{i // 4}", "sentence1": "1", "sentence2": str(v), "label": y, "set": name}
        for name, values in (("good", ((0.9, 1), (0.4, 0)) * 4), ("bad", ((0.5, 1), (0.6, 0))))
        for i, (v, y) in enumerate(values * 20)
    ]
    with pytest.raises(ModelError, match=r"precision of 0\.9 on the dev pairs of bad"):
        calibrate(
            Fixed(),  # type: ignore[arg-type]
            pairs_of(rows, tmp_path),
            model_hash="m",
            data_hash="d",
            target_precision=0.9,
        )


@pytest.mark.parametrize("precision", [0.0, 0.55, 1.0])
def test_the_benchmark_picks_the_threshold_of_the_base_by_the_same_rule(
    tiny_base: Path, tmp_path: Path, precision: float
) -> None:
    model = load_sentence_transformer(tiny_base)
    # The highest cosine of all is of a different pair, so no threshold has a precision of 1.
    odd = {"situation": "s", "sentence1": "law", "sentence2": "law", "label": 0, "relation": "near"}
    dev = pairs_of([*make_pairs(60, 1), odd], tmp_path)
    tuned, base = (SimilarityEstimator(model, bf16=False) for _ in range(2))
    tuned.calibration = Calibration(0.6, 0.6, 0.6, 1.0, 0.0, 0.5, 0.5, 0.5, 60, "m", "d")
    result = benchmark(tuned, base, dev, dev, target_precision=precision)
    found, cosines = result["systems"]["base"], base.cosines(dev.left, dev.right, dev.situations)
    weights = dev.weights(1.0)
    if precision == 1:
        assert found["threshold"] is None and found["f1"]["mean"] == 0
        assert {rate["mean"] for rate in found["false_positive_rate"].values()} == {0}
        return
    by_hand = (
        at_precision(cosines, dev.labels, precision, weights) if precision else best_f1(cosines, dev.labels, weights)[0]
    )
    assert found["threshold"] == pytest.approx(by_hand, abs=1e-6)
    if precision:
        assert found["threshold"] != pytest.approx(best_f1(cosines, dev.labels, weights)[0], abs=1e-3)


def test_a_precision_out_of_reach_is_refused(tmp_path: Path) -> None:
    pairs = fixed_pairs([(0.9, 0), (0.8, 1), (0.5, 0), (0.7, 1), (0.4, 0), (0.3, 0)] * 10, tmp_path)
    with pytest.raises(ModelError, match=r"no threshold has a precision of 0\.9"):
        calibrate(Fixed(), pairs, model_hash="m", data_hash="d", target_precision=0.9)  # type: ignore[arg-type]


def test_collapsed_vectors_fail_the_health_check(tmp_path: Path) -> None:
    pairs = fixed_pairs([(0.999, 1), (0.998, 0)] * 10, tmp_path)
    cosines = np.array([0.999, 0.998] * 10)
    with pytest.raises(ModelError, match="collapsed"):
        health_check(Fixed(), pairs, cosines)  # type: ignore[arg-type]


def test_labels_that_mean_nothing_fail_the_health_check(tmp_path: Path) -> None:
    pairs = fixed_pairs([(0.1, 1), (0.1, 0), (0.5, 0), (0.5, 1)] * 5, tmp_path)
    with pytest.raises(ModelError, match="little better than chance"):
        health_check(Fixed(), pairs, np.array([0.1, 0.1, 0.5, 0.5] * 5))  # type: ignore[arg-type]


def test_benchmark_of_a_model_against_itself(tiny_base: Path, tmp_path: Path) -> None:
    dev, test = pairs_of(make_pairs(80, 1), tmp_path), pairs_of(make_pairs(80, 2), tmp_path)
    tuned, base = (SimilarityEstimator(load_sentence_transformer(tiny_base)) for _ in range(2))
    cosines = tuned.cosines(dev.left, dev.right, dev.situations).astype(float)
    threshold, f1 = best_f1(cosines, dev.labels)
    tuned.calibration = Calibration(
        threshold, threshold, threshold, *platt(cosines, dev.labels), f1, 1, 1, len(cosines), "m", "d"
    )
    result = benchmark(tuned, base, dev, test)
    assert (result["pairs"], result["positives"]) == (80, 40)
    for name, figure in result["differences"].items():
        assert figure == {"mean": 0, "low": 0, "high": 0}
        assert result["systems"]["tuned"][name] == result["systems"]["base"][name]
        ends = result["systems"]["tuned"][name]
        assert ends["low"] <= ends["mean"] <= ends["high"]
    system = result["systems"]["tuned"]
    assert sum(system["histogram"]["positive"]) == sum(system["histogram"]["negative"]) == 40
    assert sum(row["count"] for row in result["reliability"]) == 80
    assert system["sentences_per_second"] > 0
    assert system["precision_recall"]["recall"][0] == 1
    json.dumps(result, allow_nan=False)


@pytest.mark.parametrize("value", ['"0.7"', "true", "[0.7]", "1" + "0" * 400, "[" * 100_000])
def test_a_threshold_that_is_no_number_is_refused(tmp_path: Path, value: str) -> None:
    numbers = {"low": 0.6, "high": 0.8, "slope": 1.0, "intercept": 0.0, "f1": 1.0, "precision": 1.0, "recall": 1.0}
    rest = json.dumps({**numbers, "pairs": 3, "model_hash": "m", "data_hash": "d"})
    (tmp_path / "calibration.json").write_text(f'{{"threshold": {value}, {rest[1:]}')
    with pytest.raises(ModelError, match="unreadable calibration"):
        Calibration.load(tmp_path / "calibration.json")
