"""Tiny models of the architectures that people train, each with a tokenizer and a chat template in its family's form.

The templates are written for these tests. They have the structure and the special tokens of the published ones: what
opens and ends a turn, the names of the roles, where the start of the text stands, what happens to a system's turn.
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    AutoModelForCausalLM,
    GemmaTokenizer,
    GenerationConfig,
    PreTrainedTokenizerFast,
    Qwen2Tokenizer,
    set_seed,
)
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

CHATML = """\
{%- if messages[0].role != 'system' and default %}{{ '<|im_start|>system\\n' + default + '<|im_end|>\\n' }}{% endif %}
{%- for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{% endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"""

# The last answer always has a thought, be it an empty one; a prompt has one only where thinking is switched off.
THINKING = """\
{%- for m in messages %}
{%- set parts = m.content.split('</think>') %}
{{- '<|im_start|>' + m.role + '\\n' }}
{%- if m.role == 'assistant' and loop.last %}
{{- '<think>\\n' + (parts[0].split('<think>')[-1].strip('\\n') if parts|length > 1 else '') + '\\n</think>\\n\\n' }}
{%- endif %}
{{- parts[-1].lstrip('\\n') if m.role == 'assistant' else m.content }}
{{- '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}
{%- if enable_thinking is defined and not enable_thinking %}{{ '<think>\\n\\n</think>\\n\\n' }}{% endif %}
{%- endif %}"""

LLAMA = """\
{{- bos_token }}
{%- if messages[0].role == 'system' %}{% set said, turns = messages[0].content, messages[1:] %}
{%- else %}{% set said, turns = '', messages %}{% endif %}
{{- '<|start_header_id|>system<|end_header_id|>\\n\\nToday Date: 26 Jul 2024\\n\\n' + said + '<|eot_id|>' }}
{%- for m in turns %}
{{- '<|start_header_id|>' + m.role + '<|end_header_id|>\\n\\n' + m.content | trim + '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"""

GEMMA = """\
{{- bos_token }}
{%- if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}
{%- for m in messages %}
{{- '<start_of_turn>' + ('model' if m.role == 'assistant' else m.role) + '\\n' }}
{{- m.content | trim + '<end_of_turn>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}"""

GEMMA3 = GEMMA.replace(
    "{{ raise_exception('System role not supported') }}{% endif %}",
    "{% set said, messages = messages[0].content + '\\n\\n', messages[1:] %}{% else %}{% set said = '' %}{% endif %}",
).replace("{{- m.content", "{{- (said if loop.first else '') + m.content")


@dataclass(frozen=True)
class Family:
    """An architecture and how its models are published.

    Attributes:
        config: of the model, beside its size.
        template: of the chat.
        turn_end: the token that ends a turn.
        ends: tokens that the published generation settings end with.
        names: the tokenizer's own special tokens.
        specials: further special tokens.
        start: token that begins a text, ``""`` none.
    """

    config: dict[str, Any]
    template: str
    turn_end: str
    ends: tuple[str, ...]
    names: dict[str, str]
    specials: tuple[str, ...]
    start: str = ""


_QWEN = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
_GEMMA: dict[str, Any] = {
    "turn_end": "<end_of_turn>",
    "names": {"bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>", "unk_token": "<unk>"},
    "specials": ("<start_of_turn>", "<end_of_turn>"),
    "start": "<bos>",
}
FAMILIES = {
    "qwen2": Family(
        {"model_type": "qwen2", "tie_word_embeddings": True},
        CHATML.replace("default", "'You are a helpful assistant.'"),
        "<|im_end|>",
        ("<|im_end|>", "<|endoftext|>"),
        {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"},
        _QWEN,
    ),
    # A base model: a template for chats, but texts end with another token, which is the padding as well.
    "qwen2-base": Family(
        {"model_type": "qwen2", "tie_word_embeddings": False},
        CHATML.replace("default", "'You are a helpful assistant.'"),
        "<|im_end|>",
        ("<|endoftext|>",),
        {"eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>"},
        _QWEN,
    ),
    "qwen3": Family(
        {"model_type": "qwen3", "tie_word_embeddings": True, "head_dim": 16},
        THINKING,
        "<|im_end|>",
        ("<|im_end|>", "<|endoftext|>"),
        {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"},
        _QWEN,
    ),
    "llama3": Family(
        {"model_type": "llama", "tie_word_embeddings": True, "rope_parameters": {"rope_type": "default"}},
        LLAMA,
        "<|eot_id|>",
        ("<|end_of_text|>", "<|eot_id|>"),
        {"bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>"},  # no token to pad with
        ("<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
        "<|begin_of_text|>",
    ),
    "gemma": Family({"model_type": "gemma", "head_dim": 16}, GEMMA, ends=("<eos>",), **_GEMMA),
    "gemma2": Family(
        {
            "model_type": "gemma2",
            "head_dim": 16,
            "sliding_window": 8,
            "query_pre_attn_scalar": 16,
            "attn_logit_softcapping": 5.0,  # caps that tiny weights reach
            "final_logit_softcapping": 12.0,
        },
        GEMMA,
        ends=("<eos>", "<end_of_turn>"),
        **_GEMMA,
    ),
    "gemma3": Family(
        {
            "model_type": "gemma3_text",
            "head_dim": 16,
            "sliding_window": 8,
            "query_pre_attn_scalar": 16,
            "layer_types": ["sliding_attention", "full_attention"],
        },
        GEMMA3,
        ends=("<eos>", "<end_of_turn>"),
        **_GEMMA,
    ),
}


def save_tiny(name: str, folder: Path, texts: Sequence[str], seed: int = 0) -> Path:
    """A model of a family with random weights and a tokenizer trained on the texts, as a folder."""
    family = FAMILIES[name]
    # Words one by one: tokens that reach over a line break would hide where a turn begins.
    words = [word for text in [*texts, string.printable] for word in re.findall(r" ?\w+|\W", text)]
    tokenizer = _tokenizer(family, words)
    tokenizer.chat_template = family.template
    set_seed(seed)
    settings = dict(family.config)
    config = CONFIG_MAPPING[settings.pop("model_type")](
        vocab_size=len(tokenizer),
        hidden_size=48,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        **settings,
    )
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    # As published models have them: none of it may reach training.
    model.generation_config = GenerationConfig(
        do_sample=True,
        temperature=0.6,
        top_p=0.8,
        top_k=20,
        repetition_penalty=1.3,
        eos_token_id=tokenizer.convert_tokens_to_ids(list(family.ends)),
        bos_token_id=tokenizer.bos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _tokenizer(family: Family, texts: Sequence[str]) -> Any:
    specials = list(family.specials)
    if family.specials == _QWEN:
        new = Qwen2Tokenizer().train_new_from_iterator(texts, 300, show_progress=False)
        # Thoughts are marked by ordinary tokens, so that decoding keeps them.
        new.add_tokens(["<think>", "</think>"])
    elif family.start == "<bos>":
        new = GemmaTokenizer().train_new_from_iterator(texts, 300, show_progress=False)
        new.add_bos_token = True
    else:
        new = _llama_tokenizer(family, texts)
    new.add_special_tokens({"additional_special_tokens": specials})
    new.add_special_tokens(family.names)
    return new


def _llama_tokenizer(family: Family, texts: Sequence[str]) -> Any:
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer, bpe.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=list(family.specials), initial_alphabet=alphabet, show_progress=False
    )
    bpe.train_from_iterator(texts, trainer)
    start = family.start
    # A plain text begins with it. So does the template, so that a prompt must not be given to the tokenizer as text.
    bpe.post_processor = processors.TemplateProcessing(
        single=f"{start} $A", special_tokens=[(start, bpe.token_to_id(start))]
    )
    return PreTrainedTokenizerFast(tokenizer_object=bpe, clean_up_tokenization_spaces=False)


def save_hybrid(folder: Path) -> Path:
    """A model of which one layer has linear attention, so that its cache holds a state beside keys and values."""
    set_seed(0)
    tokenizer = _tokenizer(FAMILIES["qwen2"], [string.printable])
    config = CONFIG_MAPPING["qwen3_next"](
        vocab_size=304,
        hidden_size=48,
        intermediate_size=96,
        num_hidden_layers=2,
        layer_types=["linear_attention", "full_attention"],
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        linear_key_head_dim=8,
        linear_value_head_dim=8,
        linear_num_key_heads=2,
        linear_num_value_heads=4,
        num_experts=4,
        num_experts_per_tok=2,
        moe_intermediate_size=16,
        shared_expert_intermediate_size=16,
    )
    AutoModelForCausalLM.from_config(config, dtype=torch.float32).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
