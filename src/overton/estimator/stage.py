"""Stage `estimator`: triplets and labelled pairs -> a tuned model, its calibration and its benchmark."""

from __future__ import annotations

import time

from overton.estimator.benchmark import benchmark
from overton.estimator.calibrate import calibrate, calibration_record
from overton.estimator.calibration import CALIBRATION_FILE
from overton.estimator.card import write_card
from overton.estimator.encode import SimilarityEstimator
from overton.estimator.models import load_sentence_transformer, model_hash, resolve_base
from overton.estimator.pairs import read_pairs
from overton.estimator.ready import check_ready, take_ready
from overton.estimator.train import train_estimator
from overton.jsonio import read_jsonl, sha256, write_json
from overton.notes import threshold_interval
from overton.progress import say
from overton.recipe import Recipe
from overton.rundir import RunDir


def check(recipe: Recipe, run: RunDir) -> None:
    """Find the base, before the stage removes the model that is there.

    Raises:
        ModelError: it is found nowhere, or has no calibration where it is taken as it is.
    """
    if recipe.estimator.train_on == "nothing":
        check_ready(recipe.estimator)
        return
    resolve_base(recipe.estimator.base)


def run(recipe: Recipe, run: RunDir) -> None:
    """Train, calibrate on dev pairs, compare with the untuned base on test pairs.

    With ``train_on: nothing`` the base is copied with its calibration instead, and there is no benchmark.

    Reads ``data/triplets.jsonl`` or ``data/pairs.train.jsonl``, and the pairs of dev and test; writes
    ``estimator/model/``, ``estimator/calibration.json`` (once more in ``model/``, which can be published alone) and
    ``estimator/benchmark.json``.

    Raises:
        DataError: an input is missing or has a bad row.
        ModelError: the base cannot be had, or the tuned model fails its health check.
    """
    data, out = run.stage("data"), run.stage("estimator")
    if recipe.estimator.train_on == "nothing":
        take_ready(recipe.estimator, out)
        return
    section, seed = recipe.estimator, recipe.seed
    # Read everything first: a bad row should not wait for the end of the training to be found.
    dev, test = read_pairs(data / "pairs.dev.jsonl"), read_pairs(data / "pairs.test.jsonl")
    rows = read_jsonl(data / ("pairs.train.jsonl" if section.train_on == "pairs" else "triplets.jsonl"))
    trained = train_estimator(rows, section, out / "model", seed)

    tuned = SimilarityEstimator.load(out / "model", bf16=section.bf16)
    start = time.monotonic()
    calibration, quality = calibrate(
        tuned,
        dev,
        model_hash=model_hash(out / "model"),
        data_hash=sha256(data / "pairs.dev.jsonl"),
        different_per_same=section.different_per_same,
        target_precision=section.target_precision,
        seed=seed,
    )
    record = calibration_record(calibration, quality, data / "pairs.dev.jsonl", seed)
    for folder in (out, out / "model"):
        write_json(folder / CALIBRATION_FILE, record)
    tuned.calibration = calibration

    base = SimilarityEstimator(
        load_sentence_transformer(resolve_base(section.base), section.max_seq_length),
        tuned.preprocessing,
        bf16=section.bf16,
    )
    result = benchmark(
        tuned,
        base,
        dev,
        test,
        different_per_same=section.different_per_same,
        target_precision=section.target_precision,
        seed=seed,
    )
    seconds = {"training": trained.pop("seconds"), "measuring": round(time.monotonic() - start, 1)}
    write_card(out / "model", section, calibration, result, quality.get("sets"), recipe.data)
    write_json(out / "benchmark.json", {**result, "training": trained, "seconds": seconds})

    precision = {name: result["systems"][name]["average_precision"]["mean"] for name in ("base", "tuned")}
    say(
        f"Estimator: average precision {precision['base']:.3f} -> {precision['tuned']:.3f} on test pairs; "
        f"threshold {calibration.threshold:.3f} ({threshold_interval(calibration.low, calibration.high)})"
    )
