"""The bootstrap: each statistic against a resample taken apart, coverage, pairing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.stats

from hubdistill.evaluation.findings import Estimate, Findings
from hubdistill.evaluation.significance import (
    Bootstrap,
    Statistic,
    divide,
    mean,
    pearson,
    percentile,
    spearman,
)
from hubdistill.report import EvaluationData

RNG = np.random.default_rng(5)
X = RNG.normal(size=40)
Y = np.round(X + RNG.normal(size=40))  # many ties

CASES: dict[str, tuple[Statistic, Callable[[Any], float]]] = {
    "mean": (mean(X), lambda drawn: X[drawn].mean()),
    "percentile": (percentile(X, 5), lambda drawn: np.percentile(X[drawn], 5)),
    "pearson": (pearson(X, Y), lambda drawn: scipy.stats.pearsonr(X[drawn], Y[drawn]).statistic),
    "spearman": (spearman(X, Y), lambda drawn: scipy.stats.spearmanr(X[drawn], Y[drawn]).statistic),
}


@pytest.mark.parametrize("name", CASES)
def test_a_statistic_of_counts_is_that_of_the_drawn_items(name: str) -> None:
    statistic, reference = CASES[name]
    drawn = np.random.default_rng(1).integers(40, size=(50, 40))
    counts = np.array([np.bincount(row, minlength=40) for row in drawn], dtype=np.float64)
    assert statistic(counts) == pytest.approx([reference(row) for row in drawn], abs=1e-12)


@pytest.mark.parametrize("name", CASES)
def test_a_statistic_of_the_sample_itself_is_the_usual_one(name: str) -> None:
    statistic, reference = CASES[name]
    assert statistic(np.ones((1, 40))) == pytest.approx([reference(np.arange(40))], abs=1e-12)


def test_columns_are_averaged_apart() -> None:
    values = np.column_stack([X, Y])
    bootstrap = Bootstrap(40, "texts", resamples=200, seed=3)
    both = bootstrap.distribution(mean(values))
    assert both.shape == (200, 2)
    assert both[:, 1] == pytest.approx(bootstrap.distribution(mean(Y)))


def test_the_seed_decides_the_resamples_and_blocks_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Bootstrap(40, "texts", resamples=300, seed=3).distribution(mean(X))
    monkeypatch.setattr("hubdistill.evaluation.significance._COUNTS_AT_ONCE", 40 * 7)
    again = Bootstrap(40, "texts", resamples=300, seed=3).distribution(mean(X))
    assert again == pytest.approx(whole, abs=1e-12)
    assert (Bootstrap(40, "texts", resamples=300, seed=4).distribution(mean(X)) != whole).any()


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    generator = np.random.default_rng(8)
    covered = 0
    for trial in range(400):
        sample = generator.normal(loc=1.0, size=60)
        bootstrap = Bootstrap(60, "items", resamples=300, seed=trial)
        interval = bootstrap.interval(bootstrap.distribution(mean(sample)))
        covered += interval.low <= 1.0 <= interval.high
    assert 0.90 <= covered / 400 <= 0.98


def test_intervals_of_spearman_cover_the_truth() -> None:
    generator = np.random.default_rng(9)
    truth = 6 / np.pi * np.arcsin(0.6 / 2)  # of a bivariate normal with correlation 0.6
    covered = 0
    for trial in range(200):
        x = generator.normal(size=80)
        y = 0.6 * x + 0.8 * generator.normal(size=80)
        bootstrap = Bootstrap(80, "items", resamples=200, seed=trial)
        interval = bootstrap.interval(bootstrap.distribution(spearman(x, y)))
        covered += interval.low <= truth <= interval.high
    assert 0.90 <= covered / 200 <= 0.98


def test_paired_intervals_of_a_difference_and_of_a_share_cover_the_truth() -> None:
    generator = np.random.default_rng(10)
    covered = np.zeros(2)
    for trial in range(400):
        easy = generator.normal(loc=2.0, size=60)  # what the items have in common for both models
        teacher, student = (easy + generator.normal(loc=gain, scale=0.3, size=60) for gain in (0.1, 0.0))
        bootstrap = Bootstrap(60, "items", resamples=200, seed=trial)
        theirs, ours = (bootstrap.distribution(mean(values)) for values in (teacher, student))
        difference = bootstrap.paired_interval(ours - theirs)
        kept = bootstrap.paired_interval(divide(ours, theirs))
        covered += [difference.low <= -0.1 <= difference.high, kept.low <= 2 / 2.1 <= kept.high]
    assert (covered / 400 >= 0.91).all()
    assert (covered / 400 <= 0.98).all()


def test_equal_models_differ_by_exactly_nothing() -> None:
    bootstrap = Bootstrap(40, "pairs", resamples=200, seed=3)
    student, teacher = (bootstrap.distribution(spearman(X, Y)) for _ in range(2))
    difference = bootstrap.paired_interval(student - teacher)
    kept = bootstrap.paired_interval(divide(student, teacher))
    assert (difference.low, difference.high, kept.low, kept.high) == (0, 0, 1, 1)
    assert difference.method == "paired percentile bootstrap over pairs, 200 resamples"


def test_pairing_sees_a_small_difference_that_separate_intervals_do_not() -> None:
    bootstrap = Bootstrap(40, "pairs", resamples=500, seed=3)
    better = bootstrap.distribution(mean(X + 0.05))
    worse = bootstrap.distribution(mean(X))
    assert bootstrap.interval(worse).high > bootstrap.interval(better).low
    assert bootstrap.paired_interval(better - worse).low > 0


def test_resamples_on_which_a_correlation_is_undefined_are_passed_over() -> None:
    x, y = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 1.0]), np.arange(6.0)
    bootstrap = Bootstrap(6, "pairs", resamples=200, seed=3)
    values = bootstrap.distribution(spearman(x, y))
    assert np.isnan(values).any()
    assert -1 <= bootstrap.interval(values).low <= bootstrap.interval(values).high <= 1


def test_too_few_items_have_no_interval() -> None:
    for items, found in ((1, False), (5, False), (6, True)):
        bootstrap = Bootstrap(items, "queries", resamples=200, seed=3)
        values = bootstrap.distribution(mean(np.ones(items)))
        assert (bootstrap.interval(values) is not None) == found
        assert (bootstrap.paired_interval(values) is not None) == found


@pytest.mark.parametrize("items", [1, 6])
def test_models_are_compared_on_no_fewer_items_than_an_interval_needs(items: int) -> None:
    findings = Findings(resamples=100, seed=3, reproduce="call")
    findings.add_data("set", EvaluationData(kind="retrieval", title="t", source="s", n=items, sha256="0"))
    bootstrap = findings.bootstrap(items, "queries")
    estimates = [
        (name, Estimate(value, bootstrap.distribution(mean(np.full(items, value)))))
        for name, value in (("teacher", 0.6), ("student", 0.4))
    ]
    findings.quality("ndcg_at_10", "set", estimates, bootstrap)
    assert [m.interval is None for m in findings.measurements] == [items == 1] * 2
    assert len(findings.comparisons) == (items == 6)
