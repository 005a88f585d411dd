"""The tokenizer of a policy from nothing: frequent phrases are single tokens, and bytes spell the rest."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

from overton.segment import CORE_CLOSE, CORE_OPEN, OPENER, SUMMARY_CLOSE, SUMMARY_OPEN

PAD, EOS = "<|pad|>", "<|end|>"
_MARKS = (CORE_OPEN, CORE_CLOSE, SUMMARY_OPEN, SUMMARY_CLOSE, OPENER)
_BREAKS = re.compile("|".join(map(re.escape, _MARKS)) + r"|\n|(?<=,)")
_SPACED_WORD = re.compile(r" ?[^ ]+")
_TEXTS = 10_000  # more change no more than a token in fifty, and take their time
_LEAST = 20  # uses of a phrase in them


def train_tokenizer(texts: Iterable[str], vocab_size: int, phrases: int = 0) -> Any:
    """A byte-level BPE trained on the texts, with the template's tags and opener as single tokens.

    On top of it, up to ``phrases`` frequent word sequences become single tokens, so that a small model
    spends its steps on what is said and not on spelling: superword tokens as in SuperBPE (Liu et al. 2025,
    arXiv 2503.13423). The tags are ordinary (not special) tokens, so that decoding with
    ``skip_special_tokens`` keeps them.

    Args:
        texts: the train split; the first 10,000 are read.
        vocab_size: size of the byte-level BPE, tags not counted.
        phrases: superword tokens at most. Those that are only steps to longer ones are left out, about half.

    Returns:
        A ``transformers.PreTrainedTokenizerFast`` with pad and end tokens.
    """
    from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast, Qwen2Tokenizer

    texts = list(islice(texts, _TEXTS))
    added = [*_MARKS, *(frequent_phrases(texts, phrases) if phrases else [])]
    tokenizer = Tokenizer(models.BPE())
    # Beside a Qwen2 model, AutoTokenizer reads every tokenizer back with the splitting rules of Qwen2.
    rules = Qwen2Tokenizer().backend_tokenizer
    tokenizer.normalizer, tokenizer.pre_tokenizer, tokenizer.decoder = (
        rules.normalizer,
        rules.pre_tokenizer,
        rules.decoder,
    )
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[PAD, EOS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_tokens([AddedToken(text, special=False, normalized=False) for text in added])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=EOS,
        unk_token=EOS,  # never needed by a byte-level BPE; without it Qwen2's is added beyond the vocabulary
        clean_up_tokenization_spaces=False,
    )


def frequent_phrases(texts: Sequence[str], count: int, least: int = _LEAST) -> list[str]:
    """Word sequences within a line that occur often: BPE over words instead of bytes.

    Each distinct word stands as one private character, so that the library's trainer does the merging.

    Args:
        texts: to read.
        count: merges at most.
        least: uses of a phrase, not counting those where a longer one stands in its place.
    """
    from tokenizers import Tokenizer, models, trainers

    codes: dict[str, str] = {}
    lines = []
    for text in texts:
        for part in _BREAKS.split(text):
            words = _SPACED_WORD.findall(part)
            lines.append("".join(codes.setdefault(w, chr(0x10000 + len(codes))) for w in words))
    words_of = {code: word for word, code in codes.items()}
    bpe = Tokenizer(models.BPE())
    trainer = trainers.BpeTrainer(
        vocab_size=len(codes) + count,
        min_frequency=least,
        limit_alphabet=len(codes),
        show_progress=False,
        initial_alphabet=sorted(words_of),
    )
    bpe.train_from_iterator(lines, trainer)
    merged = sorted(bpe.get_vocab().items(), key=lambda item: item[1])
    found = ["".join(words_of[c] for c in token) for token, _ in merged if len(token) > 1]
    uses = token_uses(texts, [*_MARKS, *found])
    return [phrase for phrase in found if uses[phrase] >= least]


def token_uses(texts: Sequence[str], tokens: Sequence[str]) -> Counter[str]:
    """How often each token is found as a tokenizer finds added tokens: from the left, the longest first."""
    from tokenizers import AddedToken, Tokenizer, models

    between = "<between>"
    splitter = Tokenizer(models.WordLevel({between: 0}, unk_token=between))
    splitter.add_tokens([AddedToken(token, special=False, normalized=False) for token in tokens])
    uses = Counter(token for found in splitter.encode_batch(list(texts)) for token in found.tokens)
    del uses[between]
    return uses
