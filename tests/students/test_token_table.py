"""The solve behind static students, against closed forms."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import scipy.sparse

from hubdistill.errors import CorpusTooSmallError
from hubdistill.students import token_table
from hubdistill.students.token_table import (
    choose_ridge,
    fit_static,
    fit_token_table,
    held_out_cosine,
    length_weights,
)

Floats = npt.NDArray[np.float32]


def unit(vectors: npt.NDArray[np.floating]) -> Floats:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def problem(texts: int = 300, tokens: int = 40, dim: int = 6) -> tuple[scipy.sparse.csr_array, Floats]:
    """Bags of 1 to 12 tokens, and noisy unit vectors that depend on them; the last token never occurs."""
    rng = np.random.default_rng(0)
    bags = [rng.integers(0, tokens - 1, rng.integers(1, 13)) for _ in range(texts)]
    counts = np.stack([np.bincount(bag, minlength=tokens) for bag in bags]).astype(np.float32)
    table = rng.standard_normal((tokens, dim))
    return scipy.sparse.csr_array(counts), unit(counts @ table + 0.5 * rng.standard_normal((texts, dim)))


def closed_form(counts: Floats, targets: Floats, ridge: float, prior: Floats, weights: Floats) -> Floats:
    rows = weights[:, None] * counts.astype(np.float64)
    return np.linalg.solve(rows.T @ rows + ridge * np.eye(rows.shape[1]), rows.T @ targets + ridge * prior)


def test_conjugate_gradients_reach_the_closed_form() -> None:
    counts, targets = problem()
    prior = np.random.default_rng(1).standard_normal((40, 6)).astype(np.float32)
    weights = np.random.default_rng(2).uniform(0.5, 2, 300).astype(np.float32)
    table = fit_token_table(counts, targets, ridge=0.5, prior=prior, row_weights=weights, max_iterations=100)
    expected = closed_form(counts.toarray(), targets, 0.5, prior, weights)
    np.testing.assert_allclose(table, expected, atol=1e-4)
    assert table.dtype == np.float32


def test_texts_weigh_one_over_the_root_of_their_length() -> None:
    counts, targets = problem()
    lengths = counts.toarray().sum(axis=1)
    expected = closed_form(
        counts.toarray(),
        targets,
        0.5,
        np.zeros((40, 6), np.float32),
        (1 / np.sqrt(lengths)).astype(np.float32),
    )
    np.testing.assert_allclose(
        fit_token_table(counts, targets, ridge=0.5, max_iterations=100), expected, atol=1e-4
    )


def test_a_text_without_tokens_has_a_weight_all_the_same() -> None:
    counts = scipy.sparse.csr_array(np.array([[0, 0], [4, 0]], np.float32))
    np.testing.assert_array_equal(length_weights(counts), [1, 0.5])


def test_a_start_elsewhere_leads_to_the_same_table() -> None:
    counts, targets = problem()
    start = np.random.default_rng(1).standard_normal((40, 6)).astype(np.float32)
    np.testing.assert_allclose(
        fit_token_table(counts, targets, start=start, max_iterations=100),
        fit_token_table(counts, targets, max_iterations=100),
        atol=1e-4,
    )


def test_a_token_that_no_text_shows_keeps_its_prior() -> None:
    counts, targets = problem()
    prior = np.random.default_rng(1).standard_normal((40, 6)).astype(np.float32)
    table = fit_token_table(counts, targets, prior=prior)
    np.testing.assert_allclose(table[-1], prior[-1], atol=1e-6)
    assert np.abs(table[:-1] - prior[:-1]).max(axis=1).min() > 1e-3
    np.testing.assert_array_equal(fit_token_table(counts, targets)[-1], np.zeros(6))


def test_blocks_of_columns_and_of_texts_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    counts, targets = problem()
    whole = fit_token_table(counts, targets)
    monkeypatch.setattr(token_table, "_COLUMNS", 4)
    monkeypatch.setattr(token_table, "_SPAN", 70)
    monkeypatch.setattr(token_table, "_TEXTS", 64)
    np.testing.assert_allclose(fit_token_table(counts, targets), whole, atol=1e-5)


def test_targets_may_lie_on_disk_in_half_precision(tmp_path: Path) -> None:
    counts, targets = problem()
    np.save(tmp_path / "targets.npy", targets.astype(np.float16))
    mapped = np.load(tmp_path / "targets.npy", mmap_mode="r")
    np.testing.assert_allclose(fit_token_table(counts, mapped), fit_token_table(counts, targets), atol=1e-3)


def test_fewer_texts_than_dimensions_are_refused() -> None:
    counts, targets = problem(texts=5)
    with pytest.raises(CorpusTooSmallError, match=r"5 texts are too few .* 6 dimensions"):
        fit_token_table(counts, targets)


def test_as_many_vectors_as_texts_are_expected() -> None:
    counts, targets = problem()
    with pytest.raises(ValueError, match="300 texts, but 299 vectors"):
        fit_token_table(counts, targets[:-1])


def test_held_out_cosine_does_not_depend_on_lengths() -> None:
    table = np.array([[2, 0], [0, 1]], np.float32)
    counts = scipy.sparse.csr_array(np.array([[3, 0], [1, 2]], np.float32))
    targets = np.array([[1, 0], [0, 5]], np.float32)
    assert held_out_cosine(table, counts, targets) == pytest.approx((1 + 2 / np.sqrt(8)) / 2)


def test_the_ridge_with_the_best_held_out_cosine_is_chosen() -> None:
    counts, targets = problem(texts=600)
    some, rest = slice(0, 100), slice(100, None)
    prior = np.random.default_rng(1).standard_normal((40, 6)).astype(np.float32)
    ridges = (1e-3, 1.0, 1e4)
    ridge = choose_ridge(
        counts[some],
        targets[some],
        prior=prior,
        held_out_counts=counts[rest],
        held_out_targets=targets[rest],
        ridges=ridges,
    )
    tables = [fit_token_table(counts[some], targets[some], ridge=tried, prior=prior) for tried in ridges]
    expected = [held_out_cosine(table, counts[rest], targets[rest]) for table in tables]
    assert ridge == ridges[int(np.argmax(expected))] != 1e4


def test_solving_again_brings_the_cosine_closer() -> None:
    rng = np.random.default_rng(0)
    counts, _ = problem(texts=2000)
    # Some tokens say much less than others, so length alone does not tell how long a text's vector is.
    table = rng.standard_normal((40, 6)) * rng.choice([0.05, 1, 4], 40)[:, None]
    targets = unit(counts @ table + 0.3 * rng.standard_normal((2000, 6)))
    prior = np.zeros((40, 6), np.float32)
    solved, fit = fit_static(
        counts[:1500],
        targets[:1500],
        held_out_counts=counts[1500:],
        held_out_targets=targets[1500:],
        prior=prior,
        ridge=0.1,
        reweight=5,
    )
    solves = fit.held_out_cosine[1:]
    assert solves[1] > solves[0] + 0.005
    assert held_out_cosine(solved, counts[1500:], targets[1500:]) == pytest.approx(max(solves))
    assert fit.ridge == 0.1


def test_a_solve_that_does_not_help_is_thrown_away() -> None:
    counts, targets = problem()
    arguments = {
        "held_out_counts": counts,
        "held_out_targets": targets,
        "prior": np.zeros((40, 6), np.float32),
    }
    once, _ = fit_static(counts, targets, ridge=1.0, reweight=0, **arguments)
    monotone, fit = fit_static(counts, targets, ridge=1.0, reweight=50, **arguments)
    assert len(fit.held_out_cosine) < 52
    assert held_out_cosine(monotone, counts, targets) == pytest.approx(max(fit.held_out_cosine[1:]))
    assert held_out_cosine(once, counts, targets) == pytest.approx(fit.held_out_cosine[1])
