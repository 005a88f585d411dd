"""Losses by the recipe's names, for batches of (anchor, positive, negative)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from torch import nn

    from overton.recipe import EstimatorSection


def build_loss(model: SentenceTransformer, section: EstimatorSection) -> nn.Module:
    """The loss module of ``estimator.loss``.

    ``mnrl`` and ``cached_mnrl`` push the positive of each anchor above all other positives and negatives of
    the batch; ``cosent`` ranks the batch's positive pairs above its negative pairs, so texts of other
    triplets are never taken for negatives.
    """
    from sentence_transformers.sentence_transformer import losses

    if section.loss == "mnrl":
        return losses.MultipleNegativesRankingLoss(model, scale=section.scale)
    if section.loss == "cached_mnrl":
        return losses.CachedMultipleNegativesRankingLoss(model, scale=section.scale)
    return _triplet_cosent(model, section.scale)


def _triplet_cosent(model: SentenceTransformer, scale: float) -> nn.Module:
    import torch
    from sentence_transformers.base.losses.merged_forward import embed_columns
    from sentence_transformers.sentence_transformer.losses import CoSENTLoss

    class TripletCoSENTLoss(CoSENTLoss):
        """CoSENT (Huang et al. 2024, doi 10.1109/TASLP.2024.3402087) on the three pairs of each triplet.

        Three texts are encoded for three pairs; as plain labelled pairs they would take six.
        """

        def forward(self, sentence_features: Any, labels: Any = None) -> torch.Tensor:
            anchor, positive, negative = embed_columns(self.model, sentence_features, separate_first=False)
            left = torch.cat([anchor, anchor, positive])
            right = torch.cat([positive, negative, negative])
            wanted = torch.zeros(len(left), device=left.device)
            wanted[: len(anchor)] = 1.0
            return self.compute_loss_from_embeddings([left, right], wanted)

    return TripletCoSENTLoss(model, scale=scale)
