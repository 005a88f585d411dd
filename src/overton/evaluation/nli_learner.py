"""How the world's small cross-encoder learns.

The hard part is to learn from pairs alone that two sentences say the same. Three things help the encoder on
its way and are thrown away after training: it first learns to say what single sentences mean; it goes on
doing so for both sides of a pair (read after the first layer, at the token that ends each side); and the
verdict is also asked for one layer early, at the last token, where the two meanings meet first.
"""

from __future__ import annotations

import math
import random
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from overton.precision import ignore_launchers_precision
from overton.processes import on_one_gpu
from overton.progress import progress

LABELS = ("contradiction", "entailment", "neutral")
EPOCHS = 4.0  # over the pairs
WARM_UP_SENTENCES = 20_000
BATCH = 128
LEARNING_RATE = 3e-3
MAX_LENGTH = 80  # tokens of a pair
IGNORED = -100  # PyTorch's mark for "no target"
_SHAPE = {"hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 128}
_VOCABULARY = 4000
_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_SAME_TEXT = 0.02  # share of pairs that are a sentence with itself

# premise, hypothesis, label, meaning of the premise, meaning of the hypothesis
Example = tuple[str, str, int, int, int]


def train_tokenizer(texts: Sequence[str]) -> Any:
    """A lower-case tokenizer with BERT's layout of a pair: the most frequent words, others in letters.

    The vocabulary is counted here because the library's WordPiece trainer gives another one at each call.
    """
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    normalizer, splitter = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    counts = Counter(word for text in texts for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text)))
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


def fit(model: Any, tokenizer: Any, train: Sequence[Example], meanings: int, seed: int) -> None:
    """Train in place: single sentences first (if their meanings are known), then pairs.

    Args:
        model: what :func:`make_model` made.
        tokenizer: what :func:`train_tokenizer` made.
        train: labelled pairs.
        meanings: number of meanings, 0 = unknown.
        seed: decides batches and augmentation.
    """
    learner = _learner(model, tokenizer.sep_token_id, meanings)
    sentences = sorted(
        {(text, meaning) for e in train for text, meaning in ((e[0], e[3]), (e[1], e[4])) if meaning >= 0}
    )
    collate = _Collator(tokenizer, seed)
    steps = math.ceil(EPOCHS * len(train) / BATCH)
    warm_up = math.ceil(min(WARM_UP_SENTENCES, 2 * len(sentences)) / BATCH) if sentences else 0
    with one_thread(), progress() as bar:
        task = bar.add_task("nli: cross-encoder", total=warm_up + steps)

        def advance() -> None:
            bar.advance(task)

        if warm_up:
            _train(learner, sentences, collate.sentences, warm_up, "constant_with_warmup", seed, advance)
        _train(learner, list(train), collate.pairs, steps, "cosine", seed, advance)


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one CPU thread.

    Matrices this small gain little from a second one and lose fivefold when another process wants its core;
    and the weights come out the same whatever the number of cores.
    """
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _train(
    learner: Any,
    rows: list[Any],
    collate: Callable[[list[Any]], dict[str, Any]],
    steps: int,
    schedule: str,
    seed: int,
    advance: Callable[[], None],
) -> None:
    from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

    class Advance(TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            advance()

    with tempfile.TemporaryDirectory() as scratch:
        ignore_launchers_precision()
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
        arguments = on_one_gpu(arguments)
        trainer = Trainer(learner, arguments, data_collator=collate, train_dataset=rows, callbacks=[Advance()])
        trainer.remove_callback(PrinterCallback)
        trainer.train()


class _Collator:
    """Rows -> tensors, with the augmentation that equality of meaning allows."""

    def __init__(self, tokenizer: Any, seed: int) -> None:
        self.tokenizer = tokenizer
        self.random = random.Random(seed)

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
            if self.random.random() < _SAME_TEXT:
                hypothesis, label, second = premise, LABELS.index("entailment"), first
            drawn.append((premise, hypothesis, label, first, second))
        batch = self._encode([d[0] for d in drawn], [d[1] for d in drawn])
        names = ("labels", "first", "second")
        return {**batch, **{name: torch.tensor([d[i] for d in drawn]) for i, name in enumerate(names, 2)}}

    def _encode(self, *texts: list[str]) -> dict[str, Any]:
        return dict(self.tokenizer(*texts, padding=True, truncation=True, return_tensors="pt"))


def _learner(model: Any, separator: int, meanings: int) -> Any:
    """The model with the helper heads that exist only while it learns."""
    import torch
    from torch import nn
    from torch.nn.functional import cross_entropy

    class Learner(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model
            self.meaning = nn.Linear(model.config.hidden_size, max(1, meanings))
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
                    loss = loss + cross_entropy(self.meaning(out.hidden_states[1][row, end]), target)
            if labels is not None:
                verdict = self.model.classifier(out.pooler_output)
                early = self.early(out.hidden_states[-2][row, ends[1]])
                loss = loss + cross_entropy(verdict, labels) + 0.5 * cross_entropy(early, labels)
            return {"loss": loss}

    return Learner()
