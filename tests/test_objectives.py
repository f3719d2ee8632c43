"""The losses against values worked by hand."""

from __future__ import annotations

import math

import pytest
import torch
from sentence_transformers import SentenceTransformer
from torch import nn

from hubdistill.objectives import NeighbourhoodDistillLoss


class Given(nn.Module):
    """A model that gives the vectors it was handed."""

    def forward(self, features: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return features | {"sentence_embedding": features["vectors"]}


def loss_of(ours: list[list[float]], theirs: list[list[float]], **settings: object) -> float:
    model = SentenceTransformer(modules=[Given()], device="cpu")
    loss = NeighbourhoodDistillLoss(model, **{"group": len(ours), **settings})  # type: ignore[arg-type]
    return float(loss([{"vectors": torch.tensor(ours)}], torch.tensor(theirs)))


def test_a_student_that_gives_the_teachers_directions_loses_nothing() -> None:
    theirs = [[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]]
    longer = [[3.0, 0.0], [0.0, 0.5], [6.0, 8.0]]
    assert loss_of(longer, theirs) == pytest.approx(0, abs=1e-6)


def test_both_terms_are_as_worked_by_hand() -> None:
    # Cosines to the teacher: 1, 1 and 0. The third text is where the first is, not where the second is.
    ours, theirs = [[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]], [[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]
    near = 1 / (1 + math.exp(-2.0))  # temperature 0.5: cosines 1 and 0 become scores 2 and 0
    apart = near * math.log(near / (1 - near)) + (1 - near) * math.log((1 - near) / near)
    # The second text is as far from both others for the student, and near one for the teacher.
    even = near * math.log(near / 0.5) + (1 - near) * math.log((1 - near) / 0.5)
    first = 0.5 * math.log(0.5 / near) + 0.5 * math.log(0.5 / (1 - near))
    expected = 1 / 3 + 0.3 * (first + even + apart) / 3
    assert loss_of(ours, theirs, weight=0.3, temperature=0.5) == pytest.approx(expected, rel=1e-5)


def test_prefixes_share_the_weight_of_the_second_term() -> None:
    ours = [[1.0, 0.2, 0.0], [0.1, 1.0, 0.5], [0.3, 0.3, 1.0]]
    theirs = [[1.0, 0.0, 0.3], [0.0, 1.0, 0.2], [0.5, 0.5, 1.0]]
    without = loss_of(ours, theirs, weight=0.0)
    whole = loss_of(ours, theirs, weight=1.0) - without
    both = loss_of(ours, theirs, weight=1.0, prefixes=(2,)) - without
    flat = [[*row[:2], 0.0] for row in ours]
    alone = loss_of(flat, theirs, weight=1.0) - loss_of(flat, theirs, weight=0.0)
    assert both == pytest.approx((whole + alone) / 2, rel=1e-5)


def test_only_texts_of_a_group_are_compared() -> None:
    ours = [[1.0, 0.2], [0.1, 1.0], [0.3, 0.9], [1.0, 1.0], [0.7, 0.1]]
    theirs = [[1.0, 0.0], [0.0, 1.0], [0.5, 0.5], [0.2, 1.0], [0.3, 0.4]]
    parts = [slice(0, 2), slice(2, 4), slice(4, 5)]
    alone = [loss_of(ours[part], theirs[part]) * len(ours[part]) for part in parts]
    assert loss_of(ours, theirs, group=2) == pytest.approx(sum(alone) / 5, rel=1e-5)
    assert loss_of(ours, theirs, group=2) != pytest.approx(loss_of(ours, theirs), rel=1e-3)


def test_one_text_has_no_neighbours() -> None:
    assert loss_of([[0.0, 1.0]], [[1.0, 0.0]]) == pytest.approx(1)
