"""How sure a figure is: percentile bootstrap over items, paired between models.

A resample is a vector of counts: how often each item was drawn. A statistic is computed from the counts
of many resamples at once, so nothing is copied or sorted again for each of them: the ranks in a resample
follow from cumulated counts in the order of the full sample. All models are given the same resamples,
so differences and ratios between them are paired.

Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapters 6 and 13.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from hubdistill.report import Interval

Array = npt.NDArray[np.float64]
Statistic = Callable[[Array], Array]
"""Counts of shape (resamples, items) -> values of shape (resamples,) or (resamples, columns)."""

LEVEL = 0.95
FEWEST = 6
"""Fewer items have no interval: were all five of them better, a sign test would still give p = 0.06, while
resamples of so few hardly vary, and those of one not at all."""
_COUNTS_AT_ONCE = 4_000_000


class Bootstrap:
    """Resamples of one set of items.

    Args:
        items: how many items there are.
        unit: what an item is, in the plural, for the interval's description.
        resamples: how many resamples are drawn.
        seed: the same seed gives the same resamples.
    """

    def __init__(self, items: int, unit: str, *, resamples: int, seed: int) -> None:
        self.items = items
        self.resamples = resamples
        self._seed = seed
        self.method = f"percentile bootstrap over {unit}, {resamples} resamples"
        self.paired_method = f"paired {self.method}"

    def distribution(self, statistic: Statistic) -> Array:
        """Values of a statistic on every resample, shape (resamples,) or (resamples, columns)."""
        generator = np.random.default_rng(self._seed)
        at_once = max(1, _COUNTS_AT_ONCE // self.items)
        parts = []
        for start in range(0, self.resamples, at_once):
            rows = min(at_once, self.resamples - start)
            drawn = generator.integers(self.items, size=(rows, self.items))
            drawn += self.items * np.arange(rows)[:, None]
            counts = np.bincount(drawn.ravel(), minlength=drawn.size).reshape(drawn.shape)
            parts.append(statistic(counts.astype(np.float64)))
        return np.concatenate(parts)

    def interval(self, values: Array) -> Interval | None:
        """Interval of a figure from its values on the resamples, shape (resamples,).

        None of fewer than `FEWEST` items.
        """
        return self._interval(values, self.method)

    def paired_interval(self, values: Array) -> Interval | None:
        """As `interval`, of a difference or ratio of two models, taken resample by resample."""
        return self._interval(values, self.paired_method)

    def _interval(self, values: Array, method: str) -> Interval | None:
        if self.items < FEWEST:
            return None
        tail = 100 * (1 - LEVEL) / 2
        low, high = np.nanpercentile(values, [tail, 100 - tail])
        return Interval(low=float(low), high=float(high), level=LEVEL, method=method)


def mean(values: Array) -> Statistic:
    """Mean over items; values of shape (items,) or (items, columns)."""
    return lambda counts: counts @ values / _totals(counts, values)


def percentile(values: Array, percent: float) -> Statistic:
    """Percentile over items, interpolated as `numpy.percentile` does; values of shape (items,)."""
    order = np.argsort(values)
    ascending = values[order]

    def statistic(counts: Array) -> Array:
        upto = np.cumsum(counts[:, order], axis=1)
        place = percent / 100 * (upto[:, -1:] - 1)
        below = ascending[(upto <= np.floor(place)).sum(axis=1)]
        above = ascending[(upto <= np.ceil(place)).sum(axis=1)]
        part = (place - np.floor(place))[:, 0]
        return np.asarray(below + part * (above - below))

    return statistic


def pearson(first: Array, second: Array) -> Statistic:
    """Pearson correlation of two variables over items; NaN on a resample where one is constant."""
    x, y = _standard(first), _standard(second)
    moments = np.column_stack([x, y, x * x, y * y, x * y])

    def statistic(counts: Array) -> Array:
        mx, my, xx, yy, xy = (counts @ moments / counts.sum(axis=1, keepdims=True)).T
        return divide(xy - mx * my, np.sqrt(np.maximum(xx - mx**2, 0) * np.maximum(yy - my**2, 0)))

    return statistic


def spearman(first: Array, second: Array) -> Statistic:
    """Spearman correlation, ties at their mean rank; NaN on a resample where one variable is constant."""
    ranks_of_first, ranks_of_second = ranks(first), ranks(second)

    def statistic(counts: Array) -> Array:
        middle = (counts.sum(axis=1, keepdims=True) + 1) / 2
        x, y = ranks_of_first(counts) - middle, ranks_of_second(counts) - middle
        weighted = counts * x
        xx, xy = np.einsum("ri,ri->r", weighted, x), np.einsum("ri,ri->r", weighted, y)
        yy = np.einsum("ri,ri,ri->r", counts, y, y)
        return divide(xy, np.sqrt(xx * yy))

    return statistic


def ranks(values: Array) -> Statistic:
    """Ranks (from 1, ties at their mean) that each item has in a resample; shape (resamples, items).

    Items that a resample leaves out get a rank as well; it carries no weight.
    """
    order = np.argsort(values, kind="stable")
    ascending = values[order]
    is_first = np.concatenate([[True], ascending[1:] != ascending[:-1]])
    starts = np.flatnonzero(is_first)
    group = np.empty(len(values), dtype=np.intp)
    group[order] = np.cumsum(is_first) - 1

    def statistic(counts: Array) -> Array:
        of_group = counts[:, order]
        if len(starts) < len(values):
            of_group = np.add.reduceat(of_group, starts, axis=1)
        middle = np.cumsum(of_group, axis=1) - (of_group - 1) / 2
        return np.asarray(middle[:, group])

    return statistic


def divide(above: Array, below: Array) -> Array:
    """Ratio on each resample; NaN where it is undefined, which intervals pass over."""
    return np.divide(above, below, out=np.full_like(above, np.nan), where=below != 0)


def _standard(values: Array) -> Array:
    # Moments of centred values lose no digits.
    centred = np.asarray(values, dtype=np.float64) - np.mean(values)
    return np.asarray(centred / (np.abs(centred).max() or 1))


def _totals(counts: Array, values: Array) -> Array:
    totals: Array = counts.sum(axis=1, keepdims=values.ndim > 1)
    return totals
