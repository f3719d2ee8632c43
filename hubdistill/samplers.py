"""Which texts a training batch holds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from datasets import Dataset
from sentence_transformers.base.sampler import DefaultBatchSampler

GROUP = 128
"""Texts of one cluster that a NeighbourSampler keeps together."""


class LengthBucketSampler(DefaultBatchSampler):
    """Batches of texts of like length, in random order.

    Texts are shuffled, cut into windows of `WINDOW` batches and sorted by their `length` column inside
    each window; then the batches are shuffled. Padding all but vanishes, and a text meets different
    neighbours in every epoch.
    """

    WINDOW = 64

    def __init__(self, dataset: Dataset, batch_size: int, drop_last: bool, **kwargs: Any) -> None:
        super().__init__(dataset, batch_size=batch_size, drop_last=drop_last, **kwargs)
        self.lengths = np.asarray(dataset.with_format("numpy")["length"][:])

    def __iter__(self) -> Iterator[list[int]]:
        rng = np.random.default_rng((self.seed, self.epoch))
        order = rng.permutation(len(self.lengths))
        batches: list[list[int]] = []
        for start in range(0, len(order), self.WINDOW * self.batch_size):
            window = order[start : start + self.WINDOW * self.batch_size]
            window = window[np.argsort(self.lengths[window], kind="stable")]
            batches += [
                window[i : i + self.batch_size].tolist() for i in range(0, len(window), self.batch_size)
            ]
        if self.drop_last:
            batches = [batch for batch in batches if len(batch) == self.batch_size]
        for index in rng.permutation(len(batches)):
            yield batches[index]


class NeighbourSampler(DefaultBatchSampler):
    """Batches of groups of like texts in random order; where a `cluster` ends in a group, the next begins.

    A loss can so compare texts that are near each other: their differences are what a search depends on. In
    every epoch the groups are drawn anew.
    """

    def __init__(self, dataset: Dataset, batch_size: int, drop_last: bool, **kwargs: Any) -> None:
        super().__init__(dataset, batch_size=batch_size, drop_last=drop_last, **kwargs)
        self.clusters = np.asarray(dataset.with_format("numpy")["cluster"][:])

    def __iter__(self) -> Iterator[list[int]]:
        rng = np.random.default_rng((self.seed, self.epoch))
        order = rng.permutation(len(self.clusters))
        order = order[np.argsort(self.clusters[order], kind="stable")]
        size = min(GROUP, self.batch_size)
        # What is left over comes last, where it moves no group across the edge of a batch.
        groups, rest = np.split(order, [len(order) // size * size])
        order = np.concatenate([*rng.permutation(groups.reshape(-1, size)), rest])
        for start in range(0, len(self) * self.batch_size, self.batch_size):
            yield order[start : start + self.batch_size].tolist()
