"""The offline default of ``evaluation.nli_model``: a small cross-encoder trained from nothing on the world's
pairs.

Its weights, tokenizer and code have nothing in common with the reward's encoder. The hard part is to learn
from pairs alone that two sentences say the same, so three things help the encoder on its way, all of which
are thrown away after training: it first learns to say what single sentences mean, it goes on doing so for
both sides of a pair (read after the first layer, at the token that ends each side), and the verdict is also
asked for one layer early, at the last token, where the two meanings meet first.
"""

from __future__ import annotations

import math
import os
import random
import re
import shutil
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from overton.errors import DataError
from overton.evaluation.coverage import drop_lead
from overton.evaluation.nli import load_nli, quiet_loading
from overton.progress import progress
from overton.rundir import read_jsonl, write_json

LABELS = ("contradiction", "entailment", "neutral")
HELD_OUT = 0.1
EPOCHS = 4.0  # over the pairs
WARM_UP_SENTENCES = 20_000
BATCH = 128
LEARNING_RATE = 3e-3
MAX_LENGTH = 80  # tokens of a pair
_SHAPE = {"hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 128}
_VOCABULARY = 4000
_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_IGNORED = -100  # PyTorch's mark for "no target"
_SAME_TEXT = 0.02  # share of pairs that are a sentence with itself

_STRANGERS = 0.25  # share of entailed pairs that speak of other people instead
_WORD = re.compile(r"\w{3,}")  # short ones are function words
_GARBLED = 0.06  # share of pairs whose hypothesis says nothing any more
MASKID=4
COPY=1
COPYW=1.0
READ=1
KINDS=3
# premise, hypothesis, label, meaning of the premise, meaning of the hypothesis
Example = tuple[str, str, int, int, int]


def train_world_nli(path: Path, folder: Path, seed: int = 0) -> dict[str, Any]:
    """Train the cross-encoder and save it.

    Args:
        path: ``data/nli.jsonl`` with ``premise``, ``hypothesis``, ``label`` and, if known,
            ``premise_meaning`` and ``hypothesis_meaning``.
        folder: where to save it, as a CrossEncoder folder with ``benchmark.json``. Appears whole or not at
            all.
        seed: decides the split and the weights.

    Returns:
        The benchmark on the 10% of the pairs that were held out: ``accuracy``, ``entailment`` (precision,
        recall and f1), ``per_class`` accuracy, ``pairs``, ``held_out``, ``parameters``, ``seconds``.

    Raises:
        DataError: the file is missing or a row is not such a pair.
    """
    from sentence_transformers import CrossEncoder
    from transformers import set_seed

    began = time.perf_counter()
    examples, meanings = read_pairs(path)
    random.Random(seed).shuffle(examples)
    cut = max(1, round(len(examples) * HELD_OUT))
    held_out, train = examples[:cut], examples[cut:]
    set_seed(seed)
    tokenizer = train_tokenizer([text for e in train for text in e[:2]])
    model = make_model(len(tokenizer))
    _fit(model, tokenizer, train, meanings, seed)
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    for leftover in folder.parent.glob(f".{folder.name}.*.tmp"):
        shutil.rmtree(leftover, ignore_errors=True)
    with quiet_loading():
        model.save_pretrained(temporary / "plain")
        tokenizer.save_pretrained(temporary / "plain")
        encoder = CrossEncoder(str(temporary / "plain"), device="cpu", local_files_only=True)
        encoder.save_pretrained(str(temporary / "whole"), create_model_card=False)
    benchmark = {
        **score_pairs(temporary / "whole", held_out),
        "pairs": len(train),
        "held_out": len(held_out),
        "parameters": sum(p.numel() for p in model.parameters()),
        "seed": seed,
        "seconds": round(time.perf_counter() - began, 1),
    }
    write_json(temporary / "whole" / "benchmark.json", benchmark)
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(temporary / "whole", folder)
    shutil.rmtree(temporary, ignore_errors=True)
    return benchmark


def read_pairs(path: Path) -> tuple[list[Example], int]:
    """Pairs with their labels and meanings as numbers, and how many meanings there are (0 = unknown).

    Hypotheses lose "In the perspective of LABEL," just as an answer's sentences do when they are judged.

    Raises:
        DataError: names the row.
    """
    rows = read_jsonl(path)
    names = {m for r in rows for m in (r.get("premise_meaning"), r.get("hypothesis_meaning")) if m}
    number = {name: i for i, name in enumerate(sorted(map(str, names)))}
    examples = []
    for index, row in enumerate(rows, 1):
        texts = row.get("premise"), row.get("hypothesis")
        if not all(isinstance(t, str) and t.strip() for t in texts):
            raise DataError(f"{path}, row {index}: `premise` and `hypothesis` must be text")
        if row.get("label") not in LABELS:
            raise DataError(
                f"{path}, row {index}: `label` must be one of {', '.join(LABELS)}, found {row.get('label')!r}"
            )
        known = [number.get(str(row.get(f"{side}_meaning")), _IGNORED) for side in ("premise", "hypothesis")]
        examples.append(
            (str(texts[0]), drop_lead(str(texts[1])), LABELS.index(row["label"]), known[0], known[1])
        )
    return examples, len(number)


def train_tokenizer(texts: Sequence[str]) -> Any:
    """A lower-case tokenizer with BERT's layout of a pair: the most frequent words, others in letters.

    The vocabulary is counted here because the library's WordPiece trainer gives another one at each call.
    """
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    normalizer, splitter = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    counts = Counter(
        word for text in texts for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text))
    )
    letters = sorted({letter for word in counts for letter in word})
    words = sorted((w for w in counts if len(w) > 1), key=lambda w: (-counts[w], w))
    pieces = [*_SPECIAL, *letters, *(f"##{letter}" for letter in letters), *words][:_VOCABULARY]
    made = Tokenizer(models.WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]"))
    made.normalizer = normalizer
    made.pre_tokenizer = splitter
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(t, made.token_to_id(t)) for t in ("[CLS]", "[SEP]")],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        model_max_length=MAX_LENGTH,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    )


def make_model(vocabulary: int) -> Any:
    """A BERT of about 0.4M parameters with random weights and three named classes."""
    from transformers import BertConfig, BertForSequenceClassification

    config = BertConfig(
        vocab_size=vocabulary,
        max_position_embeddings=MAX_LENGTH,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        id2label=dict(enumerate(LABELS)),
        label2id={name: i for i, name in enumerate(LABELS)},
        **_SHAPE,
    )
    return BertForSequenceClassification(config)


def score_pairs(folder: Path, examples: Sequence[Example]) -> dict[str, Any]:
    """Accuracy of a saved model on labelled pairs, at P(entailment) >= 0.5 for the entailment figures."""
    import numpy as np

    model = load_nli(folder)
    pairs = [(e[0], e[1]) for e in examples]
    truth = np.array([e[2] for e in examples])
    found = model.class_probabilities(pairs)
    classes = np.array([found[p] for p in pairs])
    guess = classes.argmax(axis=1)
    says, is_so = classes[:, LABELS.index("entailment")] >= 0.5, truth == LABELS.index("entailment")
    hits = int((says & is_so).sum())
    precision, recall = hits / max(1, int(says.sum())), hits / max(1, int(is_so.sum()))
    return {
        "accuracy": float((guess == truth).mean()),
        "per_class": {
            name: float((guess[truth == i] == i).mean()) if (truth == i).any() else None
            for i, name in enumerate(LABELS)
        },
        "entailment": {
            "precision": precision,
            "recall": recall,
            "f1": 2 * precision * recall / (precision + recall) if hits else 0.0,
        },
    }


def _fit(model: Any, tokenizer: Any, train: Sequence[Example], meanings: int, seed: int) -> None:
    """Train in place: single sentences first (if their meanings are known), then pairs."""
    learner = _learner(model, tokenizer.sep_token_id, meanings)
    sentences = sorted(
        {(text, meaning) for e in train for text, meaning in ((e[0], e[3]), (e[1], e[4])) if meaning >= 0}
    )
    collate = _Collator(tokenizer, seed, sentences)
    steps = math.ceil(EPOCHS * len(train) / BATCH)
    warm_up = math.ceil(min(WARM_UP_SENTENCES, 2 * len(sentences)) / BATCH) if sentences else 0
    with progress() as bar:
        task = bar.add_task("nli: cross-encoder", total=warm_up + steps)

        def advance() -> None:
            bar.advance(task)

        if warm_up:
            _train(learner, sentences, collate.sentences, warm_up, "constant_with_warmup", seed, advance)
        _train(learner, list(train), collate.pairs, steps, "cosine", seed, advance)


def _train(
    learner: Any,
    rows: list[Any],
    collate: Callable[[list[Any]], dict[str, Any]],
    steps: int,
    schedule: str,
    seed: int,
    advance: Callable[[], None],
) -> None:
    import tempfile

    from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

    class Advance(TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            advance()

    with tempfile.TemporaryDirectory() as scratch:
        arguments = TrainingArguments(
            output_dir=scratch,
            max_steps=steps,
            per_device_train_batch_size=BATCH,
            learning_rate=LEARNING_RATE,
            lr_scheduler_type=schedule,
            warmup_steps=max(1, steps // 12),
            weight_decay=0.01,
            adam_beta2=0.98,
            max_grad_norm=1.0,
            seed=seed,
            save_strategy="no",
            logging_strategy="no",
            report_to=[],
            disable_tqdm=True,
            remove_unused_columns=False,
            dataloader_pin_memory=False,
        )
        trainer = Trainer(
            learner, arguments, data_collator=collate, train_dataset=rows, callbacks=[Advance()]
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()


def _words(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(text.lower()))


class _Collator:
    """Rows -> tensors, with the augmentation that equality of meaning allows."""

    def __init__(self, tokenizer: Any, seed: int, sentences: Sequence[tuple[str, int]]) -> None:
        self.tokenizer = tokenizer
        self.random = random.Random(seed)
        self.by_meaning: dict[int, list[str]] = {_IGNORED: []}
        for text, meaning in sentences:
            self.by_meaning.setdefault(meaning, []).append(text)

    def sentences(self, rows: list[tuple[str, int]]) -> dict[str, Any]:
        """Single sentences on either side: the token types of a premise or of a hypothesis."""
        import torch

        batch = self._encode([text for text, _ in rows])
        if self.random.random() < 0.5:
            batch["token_type_ids"] = (batch["input_ids"] != self.tokenizer.cls_token_id).long()
        return {**batch, "first": torch.tensor([meaning for _, meaning in rows])}

    def pairs(self, rows: list[Example]) -> dict[str, Any]:
        """Pairs, half of them the other way round, a few of them a sentence with itself.

        In the world all three relations are symmetric: the same, the opposite and another meaning.
        """
        import torch

        drawn = []
        for premise, hypothesis, label, first, second in rows:
            if self.random.random() < 0.5:
                premise, hypothesis, first, second = hypothesis, premise, second, first
            if label == LABELS.index("entailment") and self.random.random() < _STRANGERS:
                stranger = self._stranger(premise, hypothesis, second)
                if stranger:
                    drawn.append((premise, stranger, LABELS.index("neutral"), first, second))
                    continue
            draw = self.random.random()
            if draw < _SAME_TEXT:
                hypothesis, label, second = premise, LABELS.index("entailment"), first
            elif draw < _SAME_TEXT + _GARBLED:
                own = hypothesis if label == LABELS.index("entailment") else premise
                hypothesis, label, second = self._garble(own, rows), LABELS.index("neutral"), _IGNORED
            drawn.append((premise, hypothesis, label, first, second))
        batch = self._encode([d[0] for d in drawn], [d[1] for d in drawn])
        names = ("labels", "first", "second")
        return {**batch, **{name: torch.tensor([d[i] for d in drawn]) for i, name in enumerate(names, 2)}}

    def _stranger(self, premise: str, hypothesis: str, meaning: int) -> str | None:
        """The hypothesis with other people or things where the premise names its own, from another pair.

        Sentences with the same meaning and most of the same words differ in whom and what they speak of.
        """
        known, own = _words(premise), _words(hypothesis)
        for other in self.random.sample(self.by_meaning[meaning], min(30, len(self.by_meaning[meaning]))):
            theirs = _words(other)
            shared, gone, new = len(own & theirs), own - theirs, theirs - own
            if shared > len(gone) and shared > len(new) and gone & known and new - known and not new & known:
                return other
        return None

    def _garble(self, text: str, rows: list[Example]) -> str:
        """Words that say nothing any more: shuffled, cut in the middle, or run into another sentence."""
        words = text.rstrip(".").split()
        kind = self.random.randrange(KINDS)
        if kind == 0:
            self.random.shuffle(words)
        else:
            words = words[: self.random.randint(len(words) // 3, len(words) * 2 // 3)]
            if kind == 1:
                other = self.random.choice(rows)[self.random.randrange(2)].split()
                words += other[self.random.randint(len(other) // 3, len(other) * 2 // 3) :]
        return " ".join(words).rstrip(".") + "."

    def _encode(self, *texts: list[str]) -> dict[str, Any]:
        return dict(self.tokenizer(*texts, padding=True, truncation=True, return_tensors="pt"))


def _learner(model: Any, separator: int, meanings: int) -> Any:
    """The model with the helper heads that exist only while it learns."""
    import torch
    from torch import nn
    from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

    class Learner(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model
            self.meaning = nn.Linear(model.config.hidden_size, max(1, meanings))
            self.copied = nn.Linear(model.config.hidden_size, 1)
            self.early = nn.Linear(model.config.hidden_size, len(LABELS))

        def forward(
            self,
            input_ids: torch.Tensor,
            token_type_ids: torch.Tensor,
            attention_mask: torch.Tensor,
            labels: torch.Tensor | None = None,
            first: torch.Tensor | None = None,
            second: torch.Tensor | None = None,
        ) -> dict[str, torch.Tensor]:
            out = self.model.bert(
                input_ids=input_ids,
                token_type_ids=token_type_ids,
                attention_mask=attention_mask,
                output_hidden_states=True,
            )
            row = torch.arange(len(input_ids), device=input_ids.device)
            ends = (input_ids == separator).int().argmax(dim=1), attention_mask.sum(dim=1) - 1
            loss = torch.zeros((), device=input_ids.device)
            for end, target in zip(ends, (first, second), strict=True):
                if target is not None and (target >= 0).any():
                    loss = loss + cross_entropy(self.meaning(out.hidden_states[READ][row, end]), target)
            if labels is not None:
                verdict = self.model.classifier(out.pooler_output)
                early = self.early(out.hidden_states[-2][row, ends[1]])
                loss = loss + cross_entropy(verdict, labels) + 0.5 * cross_entropy(early, labels)
                own = attention_mask.bool() & (input_ids > MASKID)
                other = own[:, None, :] & (token_type_ids[:, :, None] != token_type_ids[:, None, :])
                copied = ((input_ids[:, :, None] == input_ids[:, None, :]) & other).any(dim=2)
                guess = self.copied(out.hidden_states[COPY]).squeeze(2)
                loss = loss + COPYW*binary_cross_entropy_with_logits(guess[own], copied[own].float())
            return {"loss": loss}

    return Learner()
