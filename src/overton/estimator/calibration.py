"""What a cosine of one model means: threshold and probability of a match, with hashes of model and data."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from overton.errors import DataError, ModelError
from overton.jsonio import read_json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike

CALIBRATION_FILE = "calibration.json"
# Of OP-GRPO (arXiv 2602.20759), used where nobody measured a better one.
UNCALIBRATED_THRESHOLD = 0.70


@dataclass(frozen=True, slots=True)
class Calibration:
    """A measured threshold.

    Attributes:
        threshold: cosine from which two texts count as the same perspective (best F1 on dev pairs).
        low: lower end of the threshold's 95% bootstrap interval over situations.
        high: upper end; 1 where the precision that the threshold was chosen by is out of reach in too many resamples.
        slope: Platt scaling, ``p = sigmoid(slope * cosine + intercept)``.
        intercept: its other parameter.
        f1: F1 at the threshold, on the pairs it was chosen on, weighted to the mix where the model is used.
        precision: precision there.
        recall: recall there.
        pairs: number of those pairs.
        model_hash: hash of the model folder (:func:`overton.estimator.models.model_hash`).
        data_hash: hash of the file of pairs.
    """

    threshold: float
    low: float
    high: float
    slope: float
    intercept: float
    f1: float
    precision: float
    recall: float
    pairs: int
    model_hash: str
    data_hash: str

    def probability(self, cosines: ArrayLike) -> np.ndarray:
        """Probability of a match for each cosine (float64, same shape)."""
        import numpy as np

        logits = self.slope * np.asarray(cosines, dtype=np.float64) + self.intercept
        # tanh form of the logistic function: no overflow at either end
        return 0.5 * (1.0 + np.tanh(0.5 * logits))

    @classmethod
    def load(cls, path: Path, data_set: str = "") -> Calibration:
        """Read ``calibration.json``; keys beyond the fields are for readers and ignored here.

        Args:
            path: the file.
            data_set: name of one of several data sets the model was calibrated on; ``""`` = all of them together.

        Raises:
            ModelError: missing, broken, without that data set, or a number is not finite.
        """
        try:
            row: dict[str, Any] = read_json(path)
            if data_set:
                known = row.get("sets", {})
                if data_set not in known:
                    raise ModelError(
                        f"{path}: no calibration for the data set {data_set!r}; it has: {', '.join(known) or 'none'}"
                    )
                row |= known[data_set]
            found = cls(**{f.name: row[f.name] for f in fields(cls)})
            numbers = [_number(getattr(found, f.name)) for f in fields(cls) if f.type == "float"]
        except (DataError, KeyError, TypeError, ValueError, OverflowError) as error:
            raise ModelError(f"{path}: unreadable calibration ({error}); run the estimator stage again") from None
        if not all(math.isfinite(n) for n in numbers):
            raise ModelError(f"{path}: a number of the calibration is not finite; run the estimator stage again")
        return found


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"a number is wanted, found {type(value).__name__}")
    return float(value)
