"""Claimed against measured, worked by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import pytest

from hubdistill.report import Comparison, Interval, Measurement, Value
from hubdistill.verification.figures import Ends, Figure, figures_of
from hubdistill.verification.judgement import Conditions, judge, tolerance


def figure(
    value: float, interval: Ends | None = (0.7, 0.9), *, metric: str = "spearman_cosine", **more: Value
) -> Figure:
    return Figure("", metric, "s", None, "sts", tuple(more.items()), value, 1000, interval)


def graph(value: float) -> Figure:
    return figure(value, metric="ann_recall_at_k")


SAMPLE = Conditions(sampled=True)
ELSEWHERE = Conditions(hardware="it was measured on 8 cores")
COARSE = Conditions(precision="s is bfloat16 here, float32 when it was measured")


@pytest.mark.parametrize(
    ("claimed", "measured", "conditions", "verdict"),
    [
        (figure(0.8), figure(0.8), Conditions(), "same"),
        (figure(0.8), figure(0.800_01), Conditions(), "same"),
        # Inside the interval, and yet not what was measured.
        (figure(0.81), figure(0.8), Conditions(), "differs"),
        (figure(0.95), figure(0.8), Conditions(), "differs"),
        (figure(float("nan")), figure(0.8), Conditions(), "differs"),
        # Ends of intervals: 1 % of the width of 0.2 is 0.002.
        (figure(0.8, (0.7015, 0.9)), figure(0.8), Conditions(), "same"),
        (figure(0.8, (0.71, 0.9)), figure(0.8), Conditions(), "differs"),
        (figure(0.8, (0.7, 0.88)), figure(0.8), Conditions(), "differs"),
        (figure(0.8, None), figure(0.8), Conditions(), "differs"),
        (figure(0.8, None), figure(0.8, None), Conditions(), "same"),
        (replace(figure(0.8), n=999), figure(0.8), Conditions(), "differs"),
        # Another precision explains what is inside the interval.
        (figure(0.81), figure(0.8), COARSE, "holds"),
        (figure(0.95), figure(0.65), COARSE, "differs"),
        # A sample's interval is stretched to twice its width: from 0.6 to 1.0.
        (figure(0.95, (0.94, 0.96)), figure(0.8), SAMPLE, "holds"),
        (figure(1.01, (0.94, 1.02)), figure(0.8), SAMPLE, "differs"),
        # A claim does not come true by an interval that holds everything.
        (figure(0.5, (0.0, 1.0)), figure(0.8), SAMPLE, "differs"),
        (figure(0.8), figure(0.8, None), SAMPLE, "not run"),
        # HNSW graphs differ from one building to the next.
        (graph(0.96), graph(0.975), Conditions(), "same"),
        (graph(0.94), graph(0.975), Conditions(), "differs"),
    ],
)  # fmt: skip
def test_quality(claimed: Figure, measured: Figure, conditions: Conditions, verdict: str) -> None:
    assert judge(claimed, measured, conditions)[0] == verdict


def test_a_reason_says_by_how_much() -> None:
    assert judge(figure(0.82), figure(0.8), Conditions())[1] == "off by 0.02, though inside the interval"
    assert judge(figure(0.8, (0.7, 0.8)), figure(0.8), Conditions())[1] == "the interval is [0.7000, 0.9000]"


@pytest.mark.parametrize(
    ("metric", "claimed", "measured", "ends", "verdict"),
    [
        ("speedup", 2.0, 1.9, (1.7, 1.8), "holds"),
        ("speedup", 2.0, 3.0, (2.9, 3.1), "holds"),
        ("speedup", 2.6, 1.9, (1.7, 2.0), "differs"),
        ("latency_p50", 0.5, 0.6, (0.55, 0.7), "holds"),
        ("latency_p50", 0.5, 0.4, (0.3, 0.45), "holds"),
        ("latency_p50", 0.5, 0.8, (0.7, 0.9), "differs"),
        ("peak_memory", 0.9, 0.95, None, "holds"),
    ],
)
def test_cost(metric: str, claimed: float, measured: float, ends: Ends | None, verdict: str) -> None:
    what = "" if metric == "speedup" else "ratio"
    told = Figure(what, metric, "s", "t", "speed", (), claimed, None, None)
    found = Figure(what, metric, "s", "t", "speed", (), measured, None, ends)
    assert judge(told, found, Conditions())[0] == verdict
    elsewhere = judge(told, found, ELSEWHERE)
    assert elsewhere[0] == ("not run" if verdict == "differs" else "holds")
    assert "8 cores" in elsewhere[1]


def test_cost_with_spread() -> None:
    measured = Figure("ratio", "load_seconds", "s", "t", "speed", (), 0.98, None, (0.88, 1.09))
    for claimed, verdict in ((0.68, "holds"), (0.5, "differs")):
        told = Figure("ratio", "load_seconds", "s", "t", "speed", (), claimed, None, (0.4, 0.94))
        assert judge(told, measured, Conditions())[0] == verdict
    told = Figure("", "speedup", "s", "t", "speed", (), 2.0, None, (0.0, 100.0))
    assert judge(told, told, Conditions())[0] == "differs"
    # However wide an interval is claimed.
    told = Figure("", "speedup", "s", "t", "speed", (), 10.0, None, (1.0, 100.0))
    assert judge(told, replace(told, value=2.0, interval=(1.8, 2.2)), Conditions())[0] == "differs"


def test_tolerances() -> None:
    assert tolerance(figure(0.8)) == pytest.approx(5e-5)
    # Errors are small, so what they may be off is a share of them.
    assert tolerance(figure(0.0004, metric="mse")) == pytest.approx(2e-8)
    # Three places in 1000 lists of ten.
    assert tolerance(figure(0.6, metric="precision_at_k", k=10)) == pytest.approx(3 / 10_000)
    assert tolerance(figure(0.4, metric="ndcg_at_10")) == pytest.approx(0.25 / 1000)


def test_few_queries_may_not_be_far_off() -> None:
    one = replace(figure(0.4, None, metric="ndcg_at_10"), n=1)
    assert tolerance(one) == pytest.approx(0.01)
    assert judge(replace(one, value=0.6), one, Conditions())[0] == "differs"
    assert tolerance(replace(one, metric="precision_at_k", parameters=(("k", 10),))) == pytest.approx(0.012)


@pytest.mark.parametrize(
    ("what", "claimed", "ends", "measured", "measured_ends", "verdict"),
    [
        # A tenth of the interval's width of 0.2, and of 0.13.
        ("", 0.525, (0.425, 0.625), 0.51, (0.41, 0.61), "same"),
        ("", 0.60, (0.50, 0.70), 0.51, (0.41, 0.61), "differs"),
        ("kept", 0.81, (0.71, 0.90), 0.80, (0.70, 0.89), "same"),
        ("kept", 0.99, (0.90, 1.08), 0.80, (0.70, 0.89), "differs"),
        ("difference", -0.11, (-0.18, -0.05), -0.12, (-0.19, -0.06), "same"),
        ("difference", 0.0, (-0.05, 0.05), -0.12, (-0.19, -0.06), "differs"),
    ],
)  # fmt: skip
def test_rounding_excuses_no_false_figure_of_judged_queries(
    what: Literal["", "kept", "difference"],
    claimed: float,
    ends: Ends,
    measured: float,
    measured_ends: Ends,
    verdict: str,
) -> None:
    scale = {"": 1.0, "kept": 4.0, "difference": 2.0}[what]
    shape = Figure(what, "ndcg_at_10", "s", None, "d", (), measured, 50, measured_ends, scale)
    told = replace(shape, value=claimed, interval=ends)
    assert judge(told, shape, Conditions(coarse=True))[0] == verdict


def test_rounding_moves_means_and_correlations() -> None:
    assert tolerance(figure(0.8), coarse=True) == pytest.approx(20 * 5e-5)
    assert judge(figure(0.8008), figure(0.8), Conditions(coarse=True))[0] == "same"
    assert judge(figure(0.8008), figure(0.8), Conditions())[0] == "differs"
    # Lists of which nothing is counted but by chance the same: twice as many may differ.
    certain = figure(1.0, (1.0, 1.0), metric="precision_at_k", k=10)
    assert tolerance(certain, coarse=True) == pytest.approx(2 * 3 / 10_000)


def measurement(
    metric: str, model: str, value: float, ends: Ends | None = None, **more: Value
) -> Measurement:
    interval = Interval(low=ends[0], high=ends[1], method="m") if ends else None
    return Measurement(
        metric=metric,
        model=model,
        value=value,
        data="d",
        n=10,
        parameters=more,
        interval=interval,
        reproduce="",
    )


def test_figures_of_a_report() -> None:
    interval = Interval(low=0.1, high=0.2, method="m")
    comparison = Comparison(
        metric="ndcg_at_10",
        model="s",
        against="t",
        data="d",
        difference=-0.1,
        interval=interval,
        kept=0.8,
        kept_interval=interval,
    )
    measurements = [
        measurement("ndcg_at_10", "t", 0.5, (0.4, 0.6)),
        measurement("ndcg_at_10", "s", 0.4, (0.3, 0.5)),
        measurement("ndcg_at_10", "sibling", 0.45),
        measurement("precision_at_k", "s", 0.4, k=10).model_copy(update={"against": "sibling"}),
        measurement("texts_per_second", "s", 100),
        measurement("latency_p50", "t", 10, (8, 12), tokens=16),
        measurement("latency_p50", "s", 5, (4, 6), tokens=16),
        measurement("latency_p50", "s", 5, tokens=64),
    ]
    sibling = comparison.model_copy(update={"model": "sibling"})
    found = figures_of(measurements, [comparison, sibling], student="s", teacher="t")
    assert [(one.called("t"), one.model, one.value) for one in found] == [
        ("ndcg_at_10", "t", 0.5),
        ("ndcg_at_10", "s", 0.4),
        ("ratio latency_p50[tokens=16]", "s", 0.5),
        ("kept ndcg_at_10", "s", 0.8),
        ("difference ndcg_at_10", "s", -0.1),
    ]
    assert found[2].interval == pytest.approx((4 / 12, 6 / 8))
    # An error e in both figures is one of 2 e / 0.5 in the share.
    assert found[3].scale == pytest.approx(4)
    assert found[4].scale == 2
