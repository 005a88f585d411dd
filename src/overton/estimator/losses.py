"""Losses by the recipe's names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from torch import Tensor, nn

    from overton.recipe import EstimatorSection

ALL_PAIRS = ("supcon", "cosent")  # on labelled texts; the others are on triplets


def build_loss(model: SentenceTransformer, section: EstimatorSection) -> nn.Module:
    """The loss module of ``estimator.loss``.

    ``supcon`` and ``cosent`` take every pair of texts in a batch, labelled by cluster (see
    :mod:`overton.estimator.batches`). ``mnrl`` and ``cached_mnrl`` are the library's own, on triplets.
    """
    from sentence_transformers.sentence_transformer import losses

    if section.loss == "mnrl":
        return losses.MultipleNegativesRankingLoss(model, scale=section.scale)
    if section.loss == "cached_mnrl":
        return losses.CachedMultipleNegativesRankingLoss(model, scale=section.scale)
    return _all_pairs(model, supcon_loss if section.loss == "supcon" else cosent_loss, section.scale)


def supcon_loss(similarities: Tensor, same: Tensor) -> Tensor:
    """Supervised contrastive loss (Khosla et al. 2020, arXiv 2004.11362, equation 2).

    For each text, the mean over the other texts of its cluster of ``-log softmax`` among all other texts.

    Args:
        similarities: (n, n) scaled cosines.
        same: (n, n) bool, whether two texts are of one cluster; the diagonal is ignored.

    Returns:
        Mean over texts that have another one of their cluster; 0 when there is none.
    """
    import torch

    itself = torch.eye(len(same), dtype=torch.bool, device=same.device)
    similarities = similarities.masked_fill(itself, -torch.inf)
    log_share = similarities - torch.logsumexp(similarities, dim=1, keepdim=True)
    same = same & ~itself
    partners = same.sum(1)
    per_text = -torch.where(same, log_share, 0.0).sum(1) / partners.clamp(min=1)
    return per_text.sum() / (partners > 0).sum().clamp(min=1)


def cosent_loss(similarities: Tensor, same: Tensor) -> Tensor:
    """CoSENT (Huang et al. 2024, doi 10.1109/TASLP.2024.3402087) on all pairs of a batch.

    ``log(1 + sum exp(negative - positive))`` over every negative pair and every positive pair.

    Args:
        similarities: (n, n) scaled cosines.
        same: (n, n) bool, whether two texts are of one cluster; the diagonal is ignored.
    """
    import torch

    pair = torch.triu(torch.ones_like(same), 1)
    positive, negative = similarities[pair & same], similarities[pair & ~same]
    return torch.nn.functional.softplus(torch.logsumexp(negative, 0) + torch.logsumexp(-positive, 0))


def _all_pairs(model: SentenceTransformer, function: Any, scale: float) -> nn.Module:
    import torch

    class AllPairsLoss(torch.nn.Module):
        """Encodes a batch of texts once and compares all of them."""

        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, sentence_features: Any, labels: Tensor) -> Tensor:
            (features,) = sentence_features
            rows = torch.nn.functional.normalize(self.model(features)["sentence_embedding"].float(), dim=1)
            labels = labels.view(-1)
            loss: Tensor = function(scale * rows @ rows.T, labels[:, None] == labels[None, :])
            return loss

        def get_config_dict(self) -> dict[str, Any]:
            return {"function": function.__name__, "scale": scale}

    return AllPairsLoss()
