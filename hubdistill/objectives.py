"""Losses that sentence-transformers does not have."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from torch import nn
from torch.nn import functional


class NeighbourhoodDistillLoss(nn.Module):
    """Cosine distance to the teacher's vectors, and to its choice of neighbours within a group of texts.

    A softmax over a text's cosines to the others of its group says which of them are near. The second term
    is the Kullback-Leibler divergence from the teacher's softmax to the student's, for whole vectors and for
    prefixes of them. It sees only what the group holds, which should be texts that are alike.

    Args:
        model: the student, as wide as the teacher's vectors.
        group: texts of a group; a batch is divided in its order.
        weight: of the second term; prefixes share it.
        temperature: of both softmaxes; the lower it is, the fewer neighbours count.
        prefixes: numbers of leading dimensions whose neighbours count too.

    Inputs: a text, and the teacher's vector of it as its label.

    Source: Passalis and Tefas, Learning Deep Representations with Probabilistic Knowledge Transfer (2018),
    equations 2 to 5, with a softmax for the kernel.
    """

    citation = """\
@inproceedings{passalis2018learning,
    title = {Learning Deep Representations with Probabilistic Knowledge Transfer},
    author = {Passalis, Nikolaos and Tefas, Anastasios},
    booktitle = {Proceedings of the European Conference on Computer Vision (ECCV)},
    year = {2018}
}"""

    def __init__(
        self,
        model: SentenceTransformer,
        *,
        group: int,
        weight: float = 0.15,
        temperature: float = 0.1,
        prefixes: Sequence[int] = (),
    ) -> None:
        super().__init__()
        self.model = model
        self.group = group
        self.weight = weight
        self.temperature = temperature
        self.prefixes = tuple(prefixes)

    def forward(
        self, sentence_features: Iterable[dict[str, torch.Tensor]], labels: torch.Tensor
    ) -> torch.Tensor:
        """The loss of a batch: one column of texts, labels of shape (batch, dim)."""
        (features,) = sentence_features
        given = self.model(features)["sentence_embedding"]
        ours, theirs = functional.normalize(given), functional.normalize(labels.to(given.dtype))
        loss = (1 - (ours * theirs).sum(dim=1)).mean()
        wanted = [self._neighbours(part) for part in torch.split(theirs, self.group)]
        widths = (given.shape[1], *self.prefixes)
        for width in widths:
            parts = torch.split(functional.normalize(given[:, :width]), self.group)
            divergence = sum(
                functional.kl_div(self._neighbours(part), near, reduction="sum", log_target=True)
                for part, near in zip(parts, wanted, strict=True)
            )
            loss = loss + self.weight / len(widths) * divergence / len(ours)
        return loss

    def get_config_dict(self) -> dict[str, Any]:
        prefixes = {"prefixes": list(self.prefixes)} if self.prefixes else {}
        return {"group": self.group, "weight": self.weight, "temperature": self.temperature, **prefixes}

    def _neighbours(self, vectors: torch.Tensor) -> torch.Tensor:
        """Logarithms of how likely each other text of a group is as a neighbour, shape (group, group)."""
        scores = vectors @ vectors.T / self.temperature
        itself = torch.eye(len(vectors), dtype=torch.bool, device=vectors.device)
        # Not minus infinity: the divergence would multiply it by a probability of zero.
        return functional.log_softmax(scores.masked_fill(itself, -1e4), dim=1)
