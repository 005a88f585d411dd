"""Losses by the recipe's names."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from torch import Tensor, nn

    from overton.estimator.groups import TextGroups
    from overton.sections import EstimatorSection

_PARTS = 3  # more of them save little padding, and each takes calls and a sum of gradients


def build_loss(model: SentenceTransformer, section: EstimatorSection, groups: TextGroups | None = None) -> nn.Module:
    """The loss module of ``estimator.loss``.

    ``supcon``, ``cosent`` and ``angle`` take every pair of texts in a batch: labelled by cluster (see
    :mod:`overton.estimator.batches`) or, with ``groups``, as people labelled them (:mod:`overton.estimator.groups`).
    ``mnrl``, ``cached_mnrl`` and ``gist`` are the library's own, on triplets; the guide of ``gist`` is the base.
    """
    from sentence_transformers.sentence_transformer import losses

    if section.loss == "mnrl":
        return losses.MultipleNegativesRankingLoss(model, scale=section.scale)
    if section.loss == "cached_mnrl":
        return losses.CachedMultipleNegativesRankingLoss(model, scale=section.scale)
    if section.loss == "gist":
        from overton.estimator.models import load_sentence_transformer, resolve_base

        guide = load_sentence_transformer(resolve_base(section.base), section.max_seq_length)
        return losses.GISTEmbedLoss(model, guide.requires_grad_(False), temperature=1 / section.scale)
    function = supcon_loss if section.loss == "supcon" else cosent_loss
    similarities = angle_similarities if section.loss == "angle" else cosines
    return _all_pairs(model, function, similarities, section, groups)


def cosines(rows: Tensor) -> Tensor:
    """(n, n) cosines of unit rows (n, d)."""
    return rows @ rows.T


def angle_similarities(rows: Tensor) -> Tensor:
    """(n, n) absolute AnglE similarities of unit rows (n, d): ``|cosine + sine|`` (arXiv 2309.12871).

    Columns i and i + d/2 are real and imaginary part of one complex number, as in
    ``sentence_transformers.util.pairwise_angle_sim``. An odd d gets a column of zeros.
    """
    import torch

    if rows.shape[1] % 2:
        rows = torch.nn.functional.pad(rows, (0, 1))
    first, last = rows.chunk(2, dim=1)
    crossed = last @ first.T
    return (rows @ rows.T + crossed - crossed.T).abs()


def supcon_loss(similarities: Tensor, same: Tensor, known: Tensor | None = None) -> Tensor:
    """Supervised contrastive loss (Khosla et al. 2020, arXiv 2004.11362, equation 2).

    For each text, the mean over the other texts of its cluster of ``-log softmax`` among all other texts.

    Args:
        similarities: (n, n) scaled cosines.
        same: (n, n) bool, whether two texts state the same; the diagonal is ignored.
        known: (n, n) bool, which pairs are labelled; ``None`` = all. Others stay out of the softmax.

    Returns:
        Mean over texts that have another one of their cluster; 0 when there is none.
    """
    import torch

    compared = ~torch.eye(len(same), dtype=torch.bool, device=same.device)
    if known is not None:
        compared = compared & known
    same = same & compared
    partners = same.sum(1)
    # A text without any labelled pair gets a row of zeros; it has no partner, so it does not count below.
    masked = similarities.masked_fill(~compared & compared.any(1)[:, None], -torch.inf)
    total = torch.logsumexp(masked, dim=1)
    per_text = -torch.where(same, similarities - total[:, None], 0.0).sum(1) / partners.clamp(min=1)
    return per_text.sum() / (partners > 0).sum().clamp(min=1)


def cosent_loss(similarities: Tensor, same: Tensor, known: Tensor | None = None) -> Tensor:
    """CoSENT (Huang et al. 2024, doi 10.1109/TASLP.2024.3402087) on all pairs of a batch.

    ``log(1 + sum exp(negative - positive))`` over every negative pair and every positive pair.

    Args:
        similarities: (n, n) scaled similarities; the upper triangle counts.
        same: (n, n) bool, whether two texts state the same; the diagonal is ignored.
        known: (n, n) bool, which pairs are labelled; ``None`` = all.
    """
    import torch

    pair = torch.triu(torch.ones_like(same) if known is None else known, 1)
    return _ranking(similarities[pair & same], similarities[pair & ~same])


def stance_loss(similarities: Tensor, same: Tensor, known: Tensor, opposite: Tensor) -> Tensor:
    """The order that CoSENT asks for, one level lower: different views of one stance before views of opposite stances.

    Args:
        similarities: (n, n) scaled similarities; the upper triangle counts.
        same: (n, n) bool, whether two texts state the same.
        known: (n, n) bool, which pairs are labelled.
        opposite: (n, n) bool, which of them are for and against.
    """
    import torch

    pair = torch.triu(known & ~same, 1)
    return _ranking(similarities[pair & ~opposite], similarities[pair & opposite])


def _ranking(higher: Tensor, lower: Tensor) -> Tensor:
    """``log(1 + sum exp(low - high))`` over all pairs of both, each of shape (m,); 0 when one is empty."""
    import torch

    return torch.nn.functional.softplus(torch.logsumexp(lower, 0) + torch.logsumexp(-higher, 0))


def encode_in_parts(model: SentenceTransformer, features: dict[str, Any]) -> Tensor:
    """(n, d) vectors of a batch, encoded in parts of like length: of a batch as it comes half is padding."""
    import torch

    mask = features.get("attention_mask")
    if mask is None:  # static embeddings: no padding
        return model(features)["sentence_embedding"]
    order = torch.argsort(mask.sum(1), stable=True)
    found = []
    for rows in order.chunk(_PARTS):
        used = mask[rows].any(0)
        part = {
            name: value[rows][:, used] if torch.is_tensor(value) and value.shape == mask.shape else value
            for name, value in features.items()
        }
        found.append(model(part)["sentence_embedding"])
    return torch.cat(found)[torch.argsort(order)]


def _all_pairs(
    model: SentenceTransformer,
    function: Callable[..., Tensor],
    similarities: Callable[[Tensor], Tensor],
    section: EstimatorSection,
    groups: TextGroups | None,
) -> nn.Module:
    import torch

    from overton.estimator.groups import pair_labels

    class AllPairsLoss(torch.nn.Module):
        """Encodes a batch of texts once and compares all of them."""

        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, sentence_features: Any, labels: Tensor) -> Tensor:
            (features,) = sentence_features
            rows = torch.nn.functional.normalize(encode_in_parts(self.model, features).float(), dim=1)
            labels = labels.view(-1)
            scaled = section.scale * similarities(rows)
            if groups is None:
                return function(scaled, labels[:, None] == labels[None, :])
            same, known, opposite = pair_labels(groups, labels)
            loss = function(scaled, same, known)
            if section.stance_weight:
                loss = loss + section.stance_weight * stance_loss(scaled, same, known, opposite)
            return loss

        def get_config_dict(self) -> dict[str, Any]:
            return {"function": function.__name__, "scale": section.scale}

    return AllPairsLoss()
