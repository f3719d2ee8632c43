"""Linear CKA: against its definition, what it does not depend on, and how sure it is."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
import pytest

from hubdistill.errors import EvaluationError
from hubdistill.evaluation.alignment import Alignment, gram, hsic
from hubdistill.evaluation.significance import Bootstrap

Array = npt.NDArray[np.float64]
RNG = np.random.default_rng(3)
X = RNG.normal(size=(40, 6)).astype(np.float32)
Y = (X @ RNG.normal(size=(6, 3)) + RNG.normal(size=(40, 3))).astype(np.float32)


def cka(first: npt.NDArray[np.float32], second: npt.NDArray[np.float32]) -> float:
    bootstrap = Bootstrap(len(first), "texts", resamples=100, seed=1)
    return Alignment("teacher", first, bootstrap).of("student", second).value


def means_over_different_texts(first: Array, second: Array, counts: Array) -> float:
    """The definition, taken literally."""
    means = []
    for size, (i, j) in ((2, (0, 1)), (3, (0, 2)), (4, (2, 3))):
        places = np.array(list(itertools.permutations(range(len(counts)), size))).T
        weights = counts[places].prod(axis=0)
        means.append(
            (weights * first[places[0], places[1]] * second[places[i], places[j]]).sum() / weights.sum()
        )
    return float(means[0] - 2 * means[1] + means[2])


def test_a_resample_is_the_mean_over_different_texts_as_often_as_they_were_drawn() -> None:
    first, second = gram(X[:7]), gram(Y[:7])
    counts = np.array([[1.0] * 7, [2, 0, 1, 3, 1, 0, 0], [0, 1, 1, 1, 4, 0, 0]])
    expected = [means_over_different_texts(first, second, row) for row in counts]
    assert hsic(first, second)(counts) == pytest.approx(expected, abs=1e-12)


def test_the_whole_sample_has_the_published_estimate_wherever_the_origin_is() -> None:
    n = len(X)
    first, second = (part.astype(np.float64) @ part.T.astype(np.float64) for part in (X + 2, Y - 1))
    np.fill_diagonal(first, 0)
    np.fill_diagonal(second, 0)
    published = (
        np.trace(first @ second)
        + first.sum() * second.sum() / ((n - 1) * (n - 2))
        - 2 / (n - 2) * (first @ second).sum()
    ) / (n * (n - 3))
    assert hsic(gram(X), gram(Y))(np.ones((1, n))) == pytest.approx([published], rel=1e-6)


def test_a_resample_of_fewer_than_four_different_texts_has_no_value() -> None:
    assert np.isnan(hsic(gram(X[:5]), gram(Y[:5]))(np.array([[2.0, 2, 1, 0, 0]]))).all()


def test_a_rotated_scaled_and_shifted_copy_is_the_same_space() -> None:
    rotation = np.linalg.qr(RNG.normal(size=(6, 6)))[0]
    copy = (3 * X @ rotation + 5).astype(np.float32)
    assert cka(X, X) == 1
    assert cka(X, copy) == pytest.approx(1, abs=1e-6)
    assert cka(X, np.pad(X, ((0, 0), (0, 4)))) == pytest.approx(1, abs=1e-9)


def test_unrelated_spaces_are_about_nothing_whatever_their_width() -> None:
    generator = np.random.default_rng(11)
    spaces = generator.normal(size=(60, 2, 50, 64)).astype(np.float32)
    # The biased estimate gives about 0.5 here: 50 texts, 64 dimensions.
    assert np.mean([cka(first, second[:, :32]) for first, second in spaces]) == pytest.approx(0, abs=0.01)


def test_intervals_cover_the_truth() -> None:
    generator = np.random.default_rng(4)
    mixing = np.diag([2.0, 1.0, 0.5]) @ np.linalg.qr(generator.normal(size=(3, 3)))[0]
    across, within = mixing, mixing.T @ mixing + 0.25 * np.eye(3)
    # The texts' covariances, of unit normal x and y = mixing x + 0.5 noise.
    truth = (across**2).sum() / np.sqrt(3 * (within**2).sum())
    covered = 0
    for trial in range(120):
        x = generator.normal(size=(80, 3))
        y = x @ mixing + 0.5 * generator.normal(size=(80, 3))
        bootstrap = Bootstrap(80, "texts", resamples=200, seed=trial)
        alignment = Alignment("teacher", x.astype(np.float32), bootstrap)
        interval = bootstrap.interval(alignment.of("student", y.astype(np.float32)).resampled)
        covered += interval.low <= truth <= interval.high
    assert 0.90 <= covered / 120 <= 0.99


def test_embeddings_that_do_not_vary_are_refused() -> None:
    constant = np.ones_like(X)
    with pytest.raises(EvaluationError, match="student gives all 40 held-out texts the same embedding"):
        cka(X, constant)
    with pytest.raises(EvaluationError, match="teacher gives all 40 held-out texts"):
        cka(constant, X)


def test_too_few_texts_are_refused() -> None:
    with pytest.raises(EvaluationError, match="at least 4 held-out texts, got 3"):
        cka(X[:3], Y[:3])
