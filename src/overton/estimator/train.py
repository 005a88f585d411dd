"""Fine-tune the estimator on triplets or labelled pairs with the Sentence Transformers trainer."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from overton.errors import DataError, MissingDependencyError, RecipeError
from overton.estimator.batches import ConfusableBatches, batch_sampler, label_texts
from overton.estimator.card import write_card
from overton.estimator.groups import GroupBatches, TextGroups, group_texts
from overton.estimator.losses import build_loss
from overton.estimator.models import load_sentence_transformer, overlong, resolve_base
from overton.estimator.pairs import check_texts
from overton.estimator.preprocess import Prepare, Preprocessing
from overton.folders import atomic_folder, shown_model
from overton.precision import has_fast_bf16, ignore_launchers_precision
from overton.processes import on_one_gpu
from overton.progress import progress
from overton.sections import ALL_PAIRS

if TYPE_CHECKING:
    from datasets import Dataset
    from sentence_transformers import SentenceTransformer
    from torch import Tensor
    from transformers import TrainerCallback

    from overton.sections import EstimatorSection

COLUMNS = ("anchor", "positive", "negative")


def train_estimator(
    rows: Sequence[Mapping[str, Any]], section: EstimatorSection, folder: Path, seed: int = 0
) -> dict[str, Any]:
    """Fine-tune ``section.base`` and write a Sentence Transformers folder.

    With ``section.soup`` above 1 several trainings with different seeds, whose weights are averaged: a uniform soup
    (Wortsman et al. 2022, arXiv 2203.05482, section 2).

    The folder appears when it is complete; a run that was killed starts from scratch and, with the same seed
    and number of threads, ends with the same weights.

    Args:
        rows: triplets (``situation``, ``anchor``, ``positive``, ``negative``) or, with ``train_on: pairs``, labelled
            pairs (``situation``, ``sentence1``, ``sentence2``, ``label``).
        section: the recipe's ``estimator`` section.
        folder: where the model goes; replaced if it exists.
        seed: of data order and dropout.

    Returns:
        Figures of the training: ``triplets`` or ``pairs``, ``steps``, ``loss`` (mean of the last tenth), ``seconds``.

    Raises:
        DataError: a row lacks a column or has an empty text, or masking leaves too few distinct triplets.
        ModelError: the base cannot be found or loaded.
        RecipeError: ``freeze_layers`` does not fit the model or leaves nothing to train, or ``epoch_shares`` names a
            data set that is not there.
    """
    start = time.monotonic()
    preprocessing = Preprocessing(
        situation=section.situation,
        strip_label=section.strip_label,
        subtract_situation=section.subtract_situation,
    )
    members: list[dict[str, Tensor]] = []
    losses: list[float] = []
    steps = 0
    for number in range(section.soup):
        # Soups of neighbouring seeds share no member. numpy takes seeds of 32 bits.
        model, figures = _train(rows, section, preprocessing, (seed * section.soup + number) % 2**32, number)
        members.append(model.state_dict())
        steps += figures.pop("steps")
        losses += figures.pop("losses")
    if len(members) > 1:
        model.load_state_dict(_mean(members))
    _save(model, preprocessing, section, folder)
    return {
        **figures,
        "steps": steps,
        "loss": sum(losses) / len(losses) if losses else None,
        "seconds": round(time.monotonic() - start, 1),
    }


def _train(
    rows: Sequence[Mapping[str, Any]], section: EstimatorSection, preprocessing: Preprocessing, seed: int, number: int
) -> tuple[SentenceTransformer, dict[str, Any]]:
    """One training: the model, counts of what it learnt from, ``steps`` and ``losses`` of the last tenth of them."""
    try:
        from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
        from transformers import PrinterCallback, set_seed
    except ImportError as error:
        raise MissingDependencyError(
            f"training needs more packages ({error.name}): pip install 'overton[train]'"
        ) from None

    class Trainer(SentenceTransformerTrainer):
        def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
            """None: the card of :func:`write_card` holds no timings, so equal runs write equal folders."""

    set_seed(seed)
    model = load_sentence_transformer(resolve_base(section.base), section.max_seq_length)
    freeze(model, section.freeze_layers)
    if section.freeze_words and model.transformers_model is not None:
        model.transformers_model.get_input_embeddings().requires_grad_(False)
    prepare = partial(preprocessing, too_long=overlong(model))
    dataset, sampler, groups, figures = _prepare(rows, section, prepare, seed)
    use_cpu = model.device.type == "cpu"
    if use_cpu and model.transformers_model is not None:
        # On short texts torch's fused attention takes longer for its gradients than the plain one for the whole step.
        model.transformers_model.set_attn_implementation("eager")
    losses: list[float] = []
    with tempfile.TemporaryDirectory(prefix="overton-") as scratch:
        ignore_launchers_precision()
        arguments = SentenceTransformerTrainingArguments(
            output_dir=scratch,
            num_train_epochs=section.epochs,
            per_device_train_batch_size=min(section.batch_size, len(dataset)),
            learning_rate=section.learning_rate,
            warmup_steps=section.warmup_ratio,  # a share, when below 1
            bf16=section.bf16 and has_fast_bf16(model.device.type),
            batch_sampler=sampler,
            seed=seed,
            data_seed=seed,
            use_cpu=use_cpu,
            dataloader_pin_memory=not use_cpu,
            save_strategy="no",
            logging_steps=1,
            report_to=[],
            disable_tqdm=True,
        )
        trainer = Trainer(
            model=model,
            args=on_one_gpu(arguments),
            train_dataset=dataset,
            loss=build_loss(model, section, groups),
            callbacks=[_bar(losses, f" ({number + 1} of {section.soup})" if section.soup > 1 else "")],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
        steps = trainer.state.global_step
    return model, {**figures, "steps": steps, "losses": losses[-max(1, len(losses) // 10) :]}


def _mean(members: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Mean of each weight; what holds no fractions is the same in all."""
    return {
        name: sum(m[name] for m in members) / len(members) if first.is_floating_point() else first  # type: ignore[misc]
        for name, first in members[0].items()
    }


def _prepare(
    rows: Sequence[Mapping[str, Any]], section: EstimatorSection, prepare: Prepare, seed: int
) -> tuple[Dataset, Any, TextGroups | None, dict[str, int]]:
    """What the trainer reads, in which order, the labelled groups of ``train_on: pairs``, and counts."""
    from datasets import Dataset
    from sentence_transformers.sentence_transformer.training_args import BatchSamplers

    if section.train_on == "pairs":
        groups = group_texts(rows, prepare)
        dataset = Dataset.from_dict({"text": list(groups.texts), "label": list(range(len(groups.texts)))})
        pairs = sum(map(len, groups.partners)) // 2
        counts = {"pairs": pairs, "contradictions": groups.contradictions}
        if unknown := sorted(set(section.epoch_shares) - set(groups.sets)):
            known = ", ".join(sorted(filter(None, set(groups.sets)))) or "one data set without a name"
            raise RecipeError(
                f"estimator.epoch_shares: no part {unknown[0]!r} in the training pairs, which hold {known}"
            )
        chosen = GroupBatches(groups, 3 * section.batch_size, seed, section.epoch_shares)
        return dataset, batch_sampler(chosen), groups, counts
    columns = prepare_triplets(rows, prepare)
    counts = {"triplets": len(columns["anchor"])}
    if section.loss not in ALL_PAIRS:
        return Dataset.from_dict(columns), BatchSamplers.NO_DUPLICATES, None, counts
    data = label_texts(*(columns[name] for name in COLUMNS))
    dataset = Dataset.from_dict({"text": list(data.texts), "label": list(data.labels)})
    batches = ConfusableBatches(data, min(section.batch_size, counts["triplets"]), seed)
    return dataset, batch_sampler(batches), None, counts


def prepare_triplets(triplets: Sequence[Mapping[str, Any]], prepare: Prepare) -> dict[str, list[str]]:
    """Columns of preprocessed texts. Triplets that masking makes equal, or senseless, are left out.

    Args:
        triplets: rows with ``situation``, ``anchor``, ``positive``, ``negative``.
        prepare: a :class:`Preprocessing`, or what it does with a model's length known.

    Raises:
        DataError: see :func:`train_estimator`.
    """
    for row, triplet in enumerate(triplets, 1):
        check_texts(triplet, COLUMNS, f"triplets, row {row}")
    situations = [t["situation"] for t in triplets]
    texts = [prepare([t[name] for t in triplets], situations) for name in COLUMNS]
    # Without its situation's words a positive can equal its anchor (nothing to learn) or negative (wrong).
    rows = list(dict.fromkeys(row for row in zip(*texts, strict=True) if len(set(row)) == 3))
    if len(rows) < 2:
        raise DataError(f"triplets: {len(rows)} distinct after masking, at least 2 are needed")
    return {name: [row[i] for row in rows] for i, name in enumerate(COLUMNS)}


def freeze(model: SentenceTransformer, layers: int) -> None:
    """Keep the embeddings and the lowest ``layers`` encoder layers as they are; 0 trains everything.

    Raises:
        RecipeError: the model has fewer layers, none that can be told, or nothing else to train.
    """
    if layers == 0:
        return
    from torch import nn

    backbone = model.transformers_model
    stacks = [m for m in backbone.modules() if isinstance(m, nn.ModuleList)] if backbone is not None else []
    stack = max(stacks, key=len, default=None)
    if backbone is None or stack is None or len(stack) < layers:
        found = 0 if stack is None else len(stack)
        raise RecipeError(f"estimator.freeze_layers: {layers} asked for, but the base has {found} encoder layers")
    # A pooler in the encoder is no part of the vectors, so what it could learn does not count.
    if len(stack) == layers and not any(True for head in list(model)[1:] for _ in head.parameters()):
        raise RecipeError(
            f"estimator.freeze_layers: all {layers} encoder layers, so nothing is left to train; take fewer"
        )
    for module in (getattr(backbone, "embeddings", backbone.get_input_embeddings()), *stack[:layers]):
        module.requires_grad_(False)


def _bar(losses: list[float], which: str) -> TrainerCallback:
    from transformers import TrainerCallback

    class Bar(TrainerCallback):
        """The library's progress bar, in the style of all others."""

        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            self.bar = progress()
            self.task = self.bar.add_task(f"Training the estimator{which}", total=state.max_steps)
            self.bar.start()

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            self.bar.update(self.task, completed=state.global_step)

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
            if logs and "loss" in logs:
                losses.append(float(logs["loss"]))

        def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            self.bar.stop()

    return Bar()


def _save(model: SentenceTransformer, preprocessing: Preprocessing, section: EstimatorSection, folder: Path) -> None:
    with atomic_folder(folder) as temporary:
        model.save_pretrained(str(temporary), create_model_card=False)
        base = shown_model(section.base)
        settings = section.model_dump(mode="json") | {"base": base}
        preprocessing.save(temporary, {"base": base, "training": settings})
        write_card(temporary, section)
