"""Measure the calibrations that come with the package (src/overton/estimator/calibrations.json).

    python scripts/make_calibrations.py --perspectrum DIR --argkp DIR [BASE...]

The bases are untuned, so the train parts are free to be measured on. Only numbers are stored.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import asdict
from pathlib import Path

from overton.data.stage import run as run_data
from overton.estimator.calibrate import calibrate
from overton.estimator.encode import SimilarityEstimator
from overton.estimator.models import load_sentence_transformer, resolve_base
from overton.estimator.pairs import read_pairs
from overton.estimator.shipped import UNTUNED, weights_hash
from overton.jsonio import sha256, write_json
from overton.recipe import parse_recipe
from overton.rundir import RunDir

OUT = Path(__file__).parents[1] / "src" / "overton" / "estimator" / "calibrations.json"
BASES = ["sentence-transformers/all-MiniLM-L6-v2", "sentence-transformers/all-mpnet-base-v2"]
NUMBERS = ("threshold", "low", "high", "slope", "intercept", "f1", "precision", "recall", "pairs")


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--perspectrum", type=Path, required=True)
    parser.add_argument("--argkp", type=Path, required=True)
    parser.add_argument("bases", nargs="*", default=BASES)
    options = parser.parse_args()
    parts = {name: {"source": name, "path": str(getattr(options, name))} for name in ("perspectrum", "argkp")}
    sizes = dict.fromkeys(("train", "dev", "test"), 1_000_000)
    recipe = parse_recipe({"name": "c", "data": {"source": "several", "parts": parts, "pairs": 0, **sizes}})
    entries = {}
    with tempfile.TemporaryDirectory() as scratch:
        run_data(recipe, RunDir(Path(scratch)))
        file = Path(scratch) / "data" / "pairs.train.jsonl"
        pairs = read_pairs(file)
        for base in options.bases:
            folder = resolve_base(base)
            model = SimilarityEstimator(load_sentence_transformer(folder), UNTUNED)
            found, quality = calibrate(model, pairs, model_hash="", data_hash="", different_per_same=0.0)
            entries[weights_hash(folder)] = {
                "base": base,
                "data_hash": sha256(file),
                "all": {name: asdict(found)[name] for name in NUMBERS},
                "sets": {key: {name: row[name] for name in NUMBERS} for key, row in quality["sets"].items()},
                "calibration_error": {key: row["calibration_error"] for key, row in quality["sets"].items()},
            }
            print(base, entries[weights_hash(folder)])
    write_json(OUT, entries)


if __name__ == "__main__":
    main()
