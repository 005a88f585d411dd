"""BERT's forward pass: texts of all lengths lie end to end in blocks of few fixed sizes.

Dense layers work on tokens, so they run over a whole block without padding. The matrix kernels, which the CPU's
library builds anew for each size, are built for a handful of sizes instead of for every batch; a GPU gets one large
size, since it starts a kernel for many tokens as fast as for a few. Attention, the small part, gets each text filled up
to a multiple of 16 tokens and masked. Between layers values stay in float32: bfloat16 is for the multiplications,
where it is fast.

A text's vector does not depend on the others of its block. That is the other reason for fixed sizes: a long sum is
cut into parts by the number of rows, so only sizes are taken with which it comes out alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional as F

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


# Tokens of a block: it is filled up to the next of these sizes. The largest is, on a CPU, small enough that what a layer
# makes of them stays in its cache.
_SIZES = {
    ("cpu", torch.bfloat16): range(128, 1025, 128),
    ("cpu", torch.float32): range(64, 513, 64),
    ("cuda", torch.bfloat16): range(16_384, 16_385),
    ("cuda", torch.float32): range(16_384, 16_385),
}
_WIDTH = 16  # attention's kernel takes as many numbers at once, and the rest one by one
_PROBES = ("A text.", "  ONE that is longer,\n with Capitals & spaces. ", "the third text has other words again")


class _Places(NamedTuple):
    """Where the tokens of a block stand.

    Attributes:
        position: (size,) a token's number in its text.
        word: (size,) token ids; what fills the block up is 0.
        text: (tokens,) a token's text.
        lengths: (texts, 1) tokens of each text.
        wide: the rows that attention reads, each text filled up to its width.
        narrow: (size,) where each token stands among those.
        runs: width and mask, (texts, 1, 1, width), of texts of equal width that stand side by side.
    """

    position: torch.Tensor
    word: torch.Tensor
    text: torch.Tensor
    lengths: torch.Tensor
    wide: torch.Tensor
    narrow: torch.Tensor
    runs: list[tuple[int, torch.Tensor]]


class PackedBert:
    """Unit vectors of texts as a Sentence Transformer gives them, for a BERT with mean pooling.

    The weights of dense layers are copied; those of embeddings and normalizations are the model's own.

    Args:
        model: one that :func:`packed` accepts.
        bf16: multiply in bfloat16.
    """

    def __init__(self, model: SentenceTransformer, bf16: bool) -> None:
        from tokenizers import Tokenizer

        bert: Any = model[0].auto_model
        self.dtype = torch.bfloat16 if bf16 else torch.float32
        self.device = model.device
        sizes = _SIZES[self.device.type, self.dtype]
        self.heads = int(bert.config.num_attention_heads)
        self.embeddings = bert.embeddings
        self.layers = [_Layer(layer, self.dtype, sizes[-1]) for layer in bert.encoder.layer]
        self.sizes = self.layers[0].alike(sizes) if self.layers else tuple(sizes)
        # A copy, since the model's own is switched between padding and none from call to call.
        self.tokenizer = Tokenizer.from_str(model.tokenizer.backend_tokenizer.to_str())
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(int(model.max_seq_length or model.tokenizer.model_max_length))

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, special ones included, cut at the model's length."""
        return [found.ids for found in self.tokenizer.encode_batch_fast(list(texts))]

    def blocks(self, lengths: Sequence[int]) -> list[list[int]]:
        """Indices of texts, by their number of tokens: the texts of each block, longest first."""
        blocks: list[list[int]] = []
        room = 0
        for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
            if not blocks or lengths[index] > room:
                blocks.append([])
                room = self.sizes[-1]
            blocks[-1].append(index)
            room -= lengths[index]
        return blocks

    @torch.inference_mode()
    def __call__(self, block: Sequence[Sequence[int]]) -> npt.NDArray[np.float32]:
        """Unit vectors (n, d) of the n texts of one block, given as token ids, in falling order of length."""
        places = _places(block, self.dtype, self.sizes, self.device)
        hidden = self._embed(places)
        for layer in self.layers:
            mixed = layer.mix(hidden.to(self.dtype))
            hidden = layer.first(hidden.add_(layer.out(self._attend(mixed, places))))
            hidden = layer.second(hidden.add_(layer.down(layer.up(hidden.to(self.dtype)))))
        sums = hidden.new_zeros(len(block), hidden.shape[1])
        sums.index_add_(0, places.text, hidden[: len(places.text)])
        return np.asarray(F.normalize(sums / places.lengths).cpu().numpy(), dtype=np.float32)

    def _embed(self, places: _Places) -> torch.Tensor:
        own = self.embeddings
        rows = own.word_embeddings(places.word) + own.token_type_embeddings.weight[0]
        found: torch.Tensor = own.LayerNorm(rows.add_(own.position_embeddings(places.position)))
        return found

    def _attend(self, mixed: torch.Tensor, places: _Places) -> torch.Tensor:
        """Attention within each text: (size, 3 d) queries, keys and values to (size, d)."""
        wide = mixed.index_select(0, places.wide)
        out = wide.new_empty(len(wide), mixed.shape[1] // 3)
        start = 0
        for width, mask in places.runs:
            stop = start + width * len(mask)
            query, key, value = (
                wide[start:stop].view(-1, width, 3, self.heads, out.shape[1] // self.heads).permute(2, 0, 3, 1, 4)
            )
            found = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
            out[start:stop].view(-1, width, self.heads, found.shape[-1]).copy_(found.transpose(1, 2))
            start = stop
        return out.index_select(0, places.narrow)


def _places(
    block: Sequence[Sequence[int]], dtype: torch.dtype, sizes: Sequence[int], device: torch.device
) -> _Places:
    length = np.array([len(ids) for ids in block])
    width = -(-length // _WIDTH) * _WIDTH
    tokens = int(length.sum())
    size = next((size for size in sizes if size >= tokens), -(-tokens // _WIDTH) * _WIDTH)
    text = np.repeat(np.arange(len(length)), length)
    first, first_wide = np.cumsum(length) - length, np.cumsum(width) - width
    position, word, narrow = np.zeros((3, size), dtype=np.int64)
    position[:tokens] = np.arange(tokens) - first[text]
    word[:tokens] = np.fromiter(chain.from_iterable(block), dtype=np.int64, count=tokens)
    narrow[:tokens] = first_wide[text] + position[:tokens]
    # What fills a text up is masked, so any row will do.
    wide = np.zeros(int(width.sum()), dtype=np.int64)
    wide[narrow[:tokens]] = np.arange(tokens)
    runs = []
    for value in np.unique(width)[::-1]:
        filled = np.arange(value)[None, :] >= length[width == value][:, None]
        mask = torch.zeros(filled.shape, dtype=dtype).masked_fill_(torch.from_numpy(filled), float("-inf"))
        runs.append((int(value), mask[:, None, None, :].to(device)))
    arrays = (position, word, text, length[:, None], wide, narrow)
    position, word, text, each, wide, narrow = (torch.from_numpy(array).to(device) for array in arrays)
    return _Places(position, word, text, each, wide, narrow, runs)


class _Layer:
    """The parts of one layer in the order of use; queries, keys and values are one matrix."""

    def __init__(self, layer: Any, dtype: torch.dtype, rows: int) -> None:
        own = layer.attention.self
        self.mix = _Dense(dtype, rows, own.query, own.key, own.value)
        self.out = _Dense(dtype, rows, layer.attention.output.dense)
        self.up = _Dense(dtype, rows, layer.intermediate.dense, gelu=True)
        self.down = _Dense(dtype, rows, layer.output.dense)
        self.first = layer.attention.output.LayerNorm
        self.second = layer.output.LayerNorm

    @torch.inference_mode()
    def alike(self, sizes: Sequence[int]) -> tuple[int, ...]:
        """The numbers of rows with which a row of bfloat16 comes out as among the largest number of them, bit for bit.

        A long sum is cut into parts by the number of rows, the layer's widths, the processor and the number of threads:
        with AMX from 384 rows on alike for a width of 384, from 768 on for one of 768, and without it for all.
        """
        if self.mix.weight.dtype != torch.bfloat16 or len(sizes) == 1:
            return tuple(sizes)
        found = list(sizes)
        for dense in (self.mix, self.out, self.up, self.down):
            rows = torch.randn(sizes[-1], dense.weight.shape[1], generator=torch.Generator().manual_seed(0))
            rows = rows.to(dense.weight.dtype)
            whole = dense(rows)
            found = [size for size in found if torch.equal(dense(rows[:size]), whole[:size])]
        return tuple(found)


class _Dense:
    """A dense layer of one or more matrices side by side, with GELU after it if wanted.

    On a CPU PyTorch's operator for compiled models multiplies, adds and applies GELU in one go, with the weights laid
    out for the processor and a number of rows beforehand. It is not public, so a release without it gets the plain
    operators.
    """

    def __init__(self, dtype: torch.dtype, rows: int, *parts: torch.nn.Linear, gelu: bool = False) -> None:
        self.gelu = gelu
        with torch.no_grad():
            self.weight = torch.cat([part.weight for part in parts]).to(dtype)
            self.bias = torch.cat([part.bias for part in parts]).to(dtype)
        self.laid: torch.Tensor | None = None
        if dtype == torch.bfloat16 and self.weight.device.type == "cpu":
            try:
                self.laid = torch.ops.mkldnn._reorder_linear_weight(self.weight, rows)
                self._fused(self.weight.new_zeros(1, self.weight.shape[1]))
            except (AttributeError, NotImplementedError, RuntimeError):
                self.laid = None

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        if self.laid is not None:
            return self._fused(rows)
        found = F.linear(rows, self.weight, self.bias)
        return F.gelu(found) if self.gelu else found

    def _fused(self, rows: torch.Tensor) -> torch.Tensor:
        after, how = ("gelu", "none") if self.gelu else ("none", "")
        found: torch.Tensor = torch.ops.mkldnn._linear_pointwise(rows, self.laid, self.bias, after, [], how)
        return found


def packed(model: SentenceTransformer, bf16: bool) -> PackedBert | None:
    """The fast way to a model's vectors, where there is one.

    Returns:
        ``None`` for a model that is on neither a CPU nor a CUDA GPU, is no plain BERT with mean pooling, or whose own
        vectors of a few texts come out otherwise, whatever the setting that makes them do so.
    """
    if not _is_plain_bert(model):
        return None
    try:
        found = PackedBert(model, bf16)
        wanted = model.encode(list(_PROBES), show_progress_bar=False, convert_to_numpy=True, normalize_embeddings=True)
        rows = found(found.tokenize(_PROBES))
    except Exception:  # an unusual model; the library itself says what is wrong with it
        return None
    close = np.einsum("ij,ij->i", rows, wanted) if rows.shape == wanted.shape else np.zeros(1)
    return found if bool((close > (0.99 if bf16 else 0.9999)).all()) else None


def _is_plain_bert(model: SentenceTransformer) -> bool:
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
    from transformers import BertModel

    first, *others = list(model)
    if type(first) is not Transformer or type(first.auto_model) is not BertModel:
        return False
    if model.device.type not in ("cpu", "cuda"):
        return False
    if not others or type(others[0]) is not Pooling or others[0].pooling_mode != "mean":
        return False
    config = first.auto_model.config
    return (
        all(type(module) is Normalize for module in others[1:])
        and config.hidden_act == "gelu"
        and not config.is_decoder
        and all(p.dtype == torch.float32 for p in first.parameters())
        and all(
            type(m) is torch.nn.Linear
            for n, m in first.named_modules()
            if n.endswith(("query", "key", "value", "dense"))
        )
    )
