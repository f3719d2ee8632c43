"""Whether a figure that was measured again is the one that was claimed."""

from __future__ import annotations

from dataclasses import dataclass

from hubdistill.verification.figures import Ends, Figure
from hubdistill.verification.outcome import CheckedClaim, Verdict

SMOOTH = 5e-5
"""How far means and correlations may be off: half of the last decimal that a card prints."""
FLIPS = 3.0
"""Lists that may differ in one place, over all queries."""
JUDGED = 0.25
"""By how much judged figures of all queries together may differ: places that swap."""
FEWEST = 25
"""Fewer queries may differ by no more than so many: a single swap is much of a figure of few."""
GRAPH = 0.02
"""How far the recall of an HNSW graph may be off, which is built at random."""
SLOWER = 0.25
"""By how much the best repeat of a ratio of speeds may be worse than claimed."""
SPREAD = 1.5
"""How many times the claimed ratio the worse end of its interval counts at most."""
OF_WIDTH = 0.01
"""By how much of its own width an interval's end may be off."""
COARSE = 20
"""How many times as far means and correlations may be off of models that compute in bfloat16 or float16."""
COARSE_COUNTS = 2
"""How many times as far counted and judged figures of such models may be off whatever their intervals are."""
COARSE_WIDTH = 0.1
"""By how much of its interval's width such a figure may be off, if that is more."""
STRETCHED = 2.0
"""A sample's interval, times this, holds the figure of the whole: many figures are looked at together, and
one in twenty is outside the plain interval."""

_SMALL = ("mse", "negative_mse")
_JUDGED = ("ndcg_at_10", "mrr_at_10", "recall_at_100", "map_at_100")
_COUNTED = ("precision_at_k", "ann_recall_at_k", *_JUDGED)
_HIGHER_IS_BETTER = ("speedup",)

_Judgement = tuple[Verdict, str]


@dataclass(frozen=True)
class Conditions:
    """How the new measurement differs from the old one.

    Args:
        sampled: only a part of the data was measured.
        precision: why the models compute otherwise; empty when they do not.
        coarse: a model computes in less than float32.
        hardware: what else this machine is; empty when it is the same kind.
        other_version: another version measured, which may have named its intervals otherwise.
    """

    sampled: bool = False
    precision: str = ""
    coarse: bool = False
    hardware: str = ""
    other_version: bool = False


def judge(claimed: Figure, measured: Figure, conditions: Conditions) -> _Judgement:
    """Compare a claimed figure with the one that was measured again.

    On the same texts, seed and weights a figure of quality is the same in every digit that arithmetic leaves:
    the verdict is by `tolerance`, not by the interval, so that a figure that was changed within its interval
    is found. Ends of intervals are claimed as well: equal resamples give equal ends.

    Only what cannot be the same is judged by intervals: samples, models in another precision, and speed.
    """
    if claimed.is_cost:
        return _judge_cost(claimed, measured, conditions)
    if conditions.sampled:
        return _judge_sample(claimed, measured)
    if not claimed.what and claimed.n != measured.n:
        return "differs", f"claimed of {claimed.n} items, measured on {measured.n}"
    reason = _difference(claimed, measured, coarse=conditions.coarse)
    if not (reason or conditions.other_version) and claimed.certainty != measured.certainty:
        return "differs", f"the interval is {measured.certainty}"
    if not reason:
        return "same", ""
    if conditions.precision and _within(measured.value, claimed.interval):
        return "holds", f"inside the claimed interval; {conditions.precision}"
    return "differs", reason


def _difference(claimed: Figure, measured: Figure, *, coarse: bool) -> str:
    """What is not the same; nothing when all is."""
    allowed = tolerance(measured, coarse=coarse)
    off = abs(claimed.value - measured.value)
    # Written so that a figure that is no number is never the same.
    if not off <= allowed:
        inside = ", though inside the interval" if _within(claimed.value, measured.interval) else ""
        return f"off by {off:.2g}{inside}"
    if claimed.interval is None or measured.interval is None:
        same = claimed.interval is measured.interval
        return "" if same else f"claimed with{'' if claimed.interval else 'out'} an interval"
    low, high = measured.interval
    of_width = OF_WIDTH * _grain(measured) if coarse else OF_WIDTH
    allowed = max(2 * allowed, of_width * (high - low))
    if all(abs(a - b) <= allowed for a, b in zip(claimed.interval, measured.interval, strict=True)):
        return ""
    return f"the interval is {_ends(measured.interval)}"


def _judge_sample(claimed: Figure, measured: Figure) -> _Judgement:
    if measured.interval is None:
        return "not run", "a sample has no interval for it"
    low, high = (measured.value + STRETCHED * (end - measured.value) for end in measured.interval)
    whole = claimed.interval or (claimed.value, claimed.value)
    if whole[0] <= high and whole[1] >= low and low <= claimed.value <= high:
        return "holds", ""
    return "differs", f"a sample has {_ends(measured.interval)}"


def _judge_cost(claimed: Figure, measured: Figure, conditions: Conditions) -> _Judgement:
    """A claim holds if the intervals meet, or if the best of the repeats, and a bit more, is as good.

    The claimed interval counts only as far as timings spread: no claim comes true by a wide one.
    """
    ours, theirs = ((one.value, one.interval or (one.value, one.value)) for one in (claimed, measured))
    if min(ours[0], *ours[1]) <= 0:
        return "differs", "no ratio of costs is zero or less"
    if claimed.metric in _HIGHER_IS_BETTER:
        # As costs, of which less is better.
        ours, theirs = ((1 / value, (1 / high, 1 / low)) for value, (low, high) in (ours, theirs))
    (value, (_, worst)), (_, (best, _)) = ours, theirs
    if best <= max(min(worst, value * SPREAD), value * (1 + SLOWER)):
        return "holds", conditions.hardware
    if conditions.hardware:
        return "not run", f"ratios of cost are of one machine; {conditions.hardware}"
    return (
        "differs",
        f"of all repeats the best is {1 / best if claimed.metric in _HIGHER_IS_BETTER else best:.3g}",
    )


def _within(value: float, interval: Ends | None) -> bool:
    return interval is not None and interval[0] <= value <= interval[1]


def _ends(interval: Ends) -> str:
    return f"[{interval[0]:.4f}, {interval[1]:.4f}]"


def _grain(figure: Figure) -> float:
    return COARSE_COUNTS if figure.metric in _COUNTED else COARSE


def tolerance(figure: Figure, *, coarse: bool = False) -> float:
    """How far a figure may be off when the same is measured again, for arithmetic and nothing else.

    Measured with two students of six-layer MiniLM on STS-B and Cranfield: other batches change a float32
    embedding by 9e-8, means and correlations by 1e-8 (3e-6 of vectors that are rounded to int8), ends of
    intervals by 1e-8 or a 6000th of their width, and no list of neighbours; another number of threads changes
    nothing. Other processors add up in other orders as well; the tolerance leaves room for a hundred times as
    much. Where neighbours are counted, two that are equally near may swap: that is a whole place in one
    query's list.

    Args:
        coarse: of a model that computes in less than float32. Rounding moves all its cosines, so means and
            correlations are off by more, and near ties swap in many lists. But they swap either way: what is
            left of them in a mean shrinks as its interval does. Measured in bfloat16 with MiniLM and three of
            its layers on Cranfield and CISI: with other batches a list in twenty has another nDCG@10, and no
            counted or judged figure of all queries is off by more than a 35th of its interval's width.
    """
    n = max(figure.n, FEWEST) if figure.n else 0
    if figure.metric == "ann_recall_at_k":
        allowed = GRAPH
    elif figure.metric == "precision_at_k" and n:
        k = dict(figure.parameters).get("k")
        allowed = FLIPS / (n * k) if isinstance(k, int) and k > 0 else SMOOTH
    elif figure.metric in _JUDGED and n:
        allowed = JUDGED / n
    elif figure.metric in _SMALL:
        allowed = SMOOTH * abs(figure.value)
    else:
        allowed = SMOOTH
    allowed *= figure.scale
    if not coarse:
        return allowed
    low, high = figure.interval or (0.0, 0.0)
    of_width = COARSE_WIDTH * (high - low) if figure.metric in _COUNTED else 0.0
    return max(_grain(figure) * allowed, of_width)


def checked(
    claimed: Figure,
    measured: Figure | None,
    teacher: str,
    *,
    conditions: Conditions,
    absent: str,
) -> CheckedClaim:
    """The outcome of one claim.

    Args:
        measured: the figure now; None where it was not measured.
        teacher: the teacher's name in the report.
        absent: why it was not measured.
    """
    verdict, why = judge(claimed, measured, conditions) if measured else ("not run", absent)
    return CheckedClaim(
        figure=claimed.called(teacher),
        model=claimed.model,
        data=claimed.data,
        source="report",
        claimed=claimed.value,
        interval=claimed.interval,
        measured=measured.value if measured else None,
        measured_interval=measured.interval if measured else None,
        verdict=verdict,
        why=why,
        variant=claimed.is_variant,
    )
