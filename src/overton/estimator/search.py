"""``overton estimator search``: settings of the estimator section, found by Optuna on dev pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from overton.errors import MissingDependencyError, RecipeError
from overton.estimator.encode import SimilarityEstimator
from overton.estimator.pairs import Pairs, read_pairs
from overton.estimator.train import train_estimator
from overton.jsonio import read_jsonl, sha256, write_json
from overton.recipe import Recipe
from overton.rundir import RunDir, fingerprint
from overton.sections import ALL_PAIRS, EstimatorSection

if TYPE_CHECKING:
    import optuna

_TRIED = ("learning_rate", "epochs", "scale", "loss", "situation")
_ON_TRIPLETS = ("mnrl", "cached_mnrl", "gist")


def search(recipe: Recipe, run: RunDir, trials: int, timeout: float | None = None) -> dict[str, Any]:
    """Train with many settings and keep the best.

    Tries learning rate, epochs, scale, loss and what happens to the situation; everything else stays as the recipe
    has it. The first trial has the recipe's own settings. The goal is the average precision on dev pairs, averaged
    over data sets. Trials are stored as they end: the same command goes on after a kill.

    Args:
        recipe: sections ``estimator`` and ``seed``.
        run: with the data stage done.
        trials: so many in all, those of earlier calls with the same data and settings included.
        timeout: seconds after which no new trial starts.

    Returns:
        ``{"best": settings, "average_precision": figure, "trials": [{"settings", "average_precision"}]}``, also
        written to ``search/search.json`` of the run.

    Raises:
        DataError: the data stage's files are missing or bad.
        MissingDependencyError: Optuna is not installed.
        RecipeError: the recipe trains no estimator.
    """
    try:
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend
    except ImportError:
        raise MissingDependencyError("the search needs Optuna: pip install 'overton[search]'") from None
    # Beside the stages: the estimator stage empties its own folder when its settings change.
    data, out = run.stage("data"), run.path / "search"
    if recipe.estimator.train_on == "nothing":
        raise RecipeError("estimator.train_on: nothing trains nothing; name triplets or pairs to look for settings")
    name = "pairs.train.jsonl" if recipe.estimator.train_on == "pairs" else "triplets.jsonl"
    rows, dev = read_jsonl(data / name), read_pairs(data / "pairs.dev.jsonl")
    out.mkdir(parents=True, exist_ok=True)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    # Other data or settings are another study: their figures do not compare.
    same = {"data": [sha256(data / name), sha256(data / "pairs.dev.jsonl")], "estimator": recipe.estimator.model_dump()}
    study = optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(out / "search.log"))),
        study_name=fingerprint(same | {"seed": recipe.seed}),
        direction="maximize",
        load_if_exists=True,
    )
    # A sampler of one seed starts anew in each call, and would try what an earlier call tried.
    study.sampler = optuna.samplers.TPESampler(seed=recipe.seed + len(study.trials))

    def objective(trial: optuna.Trial) -> float:
        section = _suggest(trial, recipe.estimator)
        train_estimator(rows, section, out / "model", recipe.seed)
        return mean_precision(SimilarityEstimator.load(out / "model", bf16=section.bf16), dev)

    def trials_in(state: optuna.trial.TrialState) -> list[optuna.trial.FrozenTrial]:
        return study.get_trials(states=(state,))

    states, own = optuna.trial.TrialState, recipe.estimator.model_dump(include=set(_TRIED))
    if all(t.params != own for t in trials_in(states.COMPLETE)) and not trials_in(states.WAITING):
        study.enqueue_trial(own)  # nothing worse than the recipe's own settings is then called the best
    finished = len(trials_in(states.COMPLETE))
    if finished < trials:
        study.optimize(objective, n_trials=trials - finished, timeout=timeout)
    done = trials_in(states.COMPLETE)
    report = {
        "best": study.best_params,
        "average_precision": study.best_value,
        "trials": [{"settings": t.params, "average_precision": t.value} for t in done],
    }
    write_json(out / "search.json", report)
    return report


def mean_precision(estimator: SimilarityEstimator, pairs: Pairs) -> float:
    """Average precision on each data set's pairs, averaged over the data sets that have pairs of both labels.

    Where none has, the average precision on all pairs.
    """
    import numpy as np
    from sklearn.metrics import average_precision_score

    cosines = estimator.cosines(pairs.left, pairs.right, pairs.situations)
    chosen = list(pairs.of_sets().values()) or [np.full(len(cosines), True)]
    return float(np.mean([average_precision_score(pairs.labels[here], cosines[here]) for here in chosen]))


def _suggest(trial: optuna.Trial, section: EstimatorSection) -> EstimatorSection:
    losses = ALL_PAIRS if section.train_on == "pairs" else (*ALL_PAIRS, *_ON_TRIPLETS)
    # Ranges hold the recipe's own settings, which are tried first.
    rate, epochs, scale = section.learning_rate, section.epochs, section.scale
    suggest_epochs = trial.suggest_int if epochs == int(epochs) else trial.suggest_float
    chosen = {
        "learning_rate": trial.suggest_float("learning_rate", min(2e-5, rate), max(1e-3, rate), log=True),
        "epochs": suggest_epochs("epochs", min(1, epochs), max(6, epochs)),
        "scale": trial.suggest_float("scale", min(5.0, scale), max(80.0, scale), log=True),
        "loss": trial.suggest_categorical("loss", losses),
        "situation": trial.suggest_categorical("situation", ("mask", "prepend", "ignore")),
    }
    return section.model_copy(update=chosen)
