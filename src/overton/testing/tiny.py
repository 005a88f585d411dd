"""Tiny models: a random policy, one that always says the same, a random sentence encoder and NLI model."""

from __future__ import annotations

import re
import string
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from overton.sections_training import PolicySection

_LETTERS = string.ascii_lowercase + string.digits
_PAIRS = [a + b for a in string.ascii_lowercase for b in string.ascii_lowercase]
# Words are spelled in pairs of letters, single ones where a pair does not fit.
_PIECES = (
    *("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"),
    *string.punctuation,
    *(prefix + piece for prefix in ("", "##") for piece in (*_LETTERS, *_PAIRS)),
)

_CHAT = (
    "{% for m in messages %}{{ m.role }}: {{ m.content }}{{ eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)


def tiny_policy(folder: Path, seed: int = 0, max_length: int = 64, chat: bool = False) -> Path:
    """A randomly initialised Qwen2 of about 20,000 parameters with its tokenizer. It writes nonsense.

    Args:
        folder: where to save it.
        seed: of the weights.
        max_length: longest prompt plus answer, in tokens.
        chat: give it a chat template, as instruction-tuned models have one.

    Returns:
        ``folder``.
    """
    from overton.training.policy import build_scratch_model
    from overton.training.tokenizer import train_tokenizer

    settings = PolicySection(
        vocab_size=300,
        hidden_size=16,
        layers=1,
        heads=2,
        kv_heads=1,
        intermediate_size=16,
        max_length=max_length,
    )
    tokenizer = train_tokenizer(["a tiny model for tests"], settings.vocab_size)
    if chat:
        tokenizer.chat_template = _CHAT
    build_scratch_model(settings, tokenizer, seed).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def scripted_policy(folder: Path, answer: str, max_length: int = 256) -> Path:
    """A Qwen2 that answers every prompt with the same text, at any temperature.

    Each line of the answer is one token. The layers add nothing, so the output depends on the last token
    alone, and the output matrix names each line's successor.

    Args:
        folder: where to save it.
        answer: ASCII text; its lines must differ from each other.
        max_length: longest prompt plus answer, in tokens.

    Returns:
        ``folder``.

    Raises:
        ValueError: two lines are equal, or the text is not ASCII.
    """
    import torch
    from tokenizers import AddedToken
    from transformers import Qwen2Config, Qwen2ForCausalLM

    from overton.training.tokenizer import train_tokenizer

    lines = re.findall(r"[^\n]*\n+|[^\n]+$", answer)
    if len(set(lines)) < len(lines) or not answer.isascii():
        raise ValueError("the answer must be ASCII and its lines must differ from each other")
    tokenizer = train_tokenizer([answer], 300)
    tokenizer.add_tokens([AddedToken(line, normalized=False, special=False) for line in lines])
    size = len(tokenizer) + len(tokenizer) % 2
    config = Qwen2Config(
        vocab_size=size,
        hidden_size=size,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        num_key_value_heads=1,
        head_dim=8,
        max_position_embeddings=max_length,
        tie_word_embeddings=False,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
    )
    model = Qwen2ForCausalLM(config)
    script = [tokenizer.convert_tokens_to_ids(line) for line in lines] + [tokenizer.eos_token_id]
    with torch.no_grad():
        layer = model.model.layers[0]
        layer.self_attn.o_proj.weight.zero_()
        layer.mlp.down_proj.weight.zero_()
        model.model.embed_tokens.weight.copy_(torch.eye(size))
        model.lm_head.weight.zero_()
        model.lm_head.weight[script[0]] = 10.0
        for here, following in pairwise(script):
            model.lm_head.weight[script[0], here] = 0.0
            model.lm_head.weight[following, here] = 10.0
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def tiny_encoder(folder: Path, seed: int = 0) -> Path:
    """A randomly initialised BERT sentence encoder of 32 dimensions that spells words in pairs of letters.

    Texts with the same words come out alike, others less so; meaning it knows nothing of.

    Args:
        folder: where to save it, as a Sentence Transformers folder.
        seed: of the weights.

    Returns:
        ``folder``.
    """
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import BertModel, set_seed

    set_seed(seed)
    with TemporaryDirectory() as base:
        model = BertModel(_bert_config())
        # Position, type and the mixing of tokens would make the vectors of all texts alike.
        words, layer = model.embeddings, model.encoder.layer[0]
        mixing = (layer.attention.output.dense, layer.output.dense)
        for part in (words.position_embeddings, words.token_type_embeddings, *mixing):
            torch.nn.init.zeros_(part.weight)
        model.save_pretrained(base)
        _spelling_tokenizer().save_pretrained(base)
        body = Transformer(base)
    SentenceTransformer(modules=[body, Pooling(body.get_embedding_dimension())]).save_pretrained(str(folder))
    return folder


def tiny_nli(folder: Path, seed: int = 0) -> Path:
    """A randomly initialised cross-encoder with the classes entailment, neutral and contradiction.

    Args:
        folder: where to save it, as a CrossEncoder reads it.
        seed: of the weights.

    Returns:
        ``folder``.
    """
    from transformers import BertForSequenceClassification, set_seed

    set_seed(seed)
    config = _bert_config()
    config.id2label = {0: "entailment", 1: "neutral", 2: "contradiction"}
    config.label2id = {label: index for index, label in config.id2label.items()}
    BertForSequenceClassification(config).save_pretrained(folder)
    _spelling_tokenizer().save_pretrained(folder)
    return folder


def _bert_config() -> Any:
    from transformers import BertConfig

    return BertConfig(
        vocab_size=len(_PIECES),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=512,
    )


def _spelling_tokenizer() -> Any:
    from transformers import BertTokenizerFast

    return BertTokenizerFast(vocab={piece: index for index, piece in enumerate(_PIECES)})
