"""A tiny random BERT as a Sentence Transformers folder, and hand-made pairs."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

_SUBJECTS = ("teacher", "pilot", "baker", "nurse", "farmer", "singer")
# Two ways to say each of four perspectives; the first two are for, the others against.
VIEWS = (
    ("the {} acts with courage", "it takes bravery of the {}"),
    ("the {} keeps a promise", "a given word binds the {}"),
    ("the {} is careless about danger", "nobody is safe with the {}"),
    ("the {} breaks the law", "rules forbid what the {} does"),
)
WORDS = sorted(
    {w for pair in VIEWS for text in pair for w in text.replace("{}", "").split()}
    | set(_SUBJECTS)
    | {"someone", "should", "act", "in", "perspective", "of", "honesty", "a", "may", "."}
)


def build_tiny(folder: Path, seed: int = 0) -> Path:
    """Write a tiny Sentence Transformer with random weights."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
    from transformers import BertConfig, BertModel, BertTokenizer

    source = folder.with_name(folder.name + "-bert")
    source.mkdir(parents=True)
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    (source / "vocab.txt").write_text("\n".join(vocabulary), encoding="utf-8")
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=40,
    )
    BertModel(config).save_pretrained(source)
    BertTokenizer(str(source / "vocab.txt")).save_pretrained(source)
    body = Transformer(str(source), max_seq_length=32)
    pooling = Pooling(body.get_embedding_dimension(), pooling_mode="mean")
    SentenceTransformer(modules=[body, pooling, Normalize()], device="cpu").save_pretrained(
        str(folder), create_model_card=False
    )
    return folder


def make_pairs(count: int, seed: int) -> list[dict[str, Any]]:
    """Rows of labelled pairs over the tiny world."""
    rng = random.Random(seed)
    rows = []
    for number in range(count):
        who = rng.choice(_SUBJECTS)
        view = rng.randrange(len(VIEWS))
        other = view if number % 2 == 0 else (view + rng.randrange(1, len(VIEWS))) % len(VIEWS)
        relation = "same" if other == view else ("near" if other // 2 == view // 2 else "opposite")
        rows.append(
            {
                "situation": f"the {who} may act number {number // 4}",
                "sentence1": VIEWS[view][0].format(who),
                "sentence2": VIEWS[other][1].format(who),
                "label": int(other == view),
                "relation": relation,
            }
        )
    return rows


def make_triplets(count: int, seed: int) -> list[dict[str, Any]]:
    """Rows of triplets over the tiny world."""
    rng = random.Random(seed)
    rows = []
    for _ in range(count):
        who = rng.choice(_SUBJECTS)
        view = rng.randrange(len(VIEWS))
        other = (view + rng.randrange(1, len(VIEWS))) % len(VIEWS)
        first = rng.randrange(2)
        rows.append(
            {
                "situation": f"the {who} may act",
                "anchor": VIEWS[view][first].format(who),
                "positive": VIEWS[view][1 - first].format(who),
                "negative": VIEWS[other][rng.randrange(2)].format(who),
            }
        )
    return rows
