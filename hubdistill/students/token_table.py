"""Solving for a token table: the numbers behind a static student.

A static embedding model is linear in its token table, so fitting it to a teacher is a sparse
least-squares problem. A first solve weights each text by 1/sqrt(length); further solves weight it by one
over the length of the vector that the table gives it, which turns the residual into the cosine distance
(iteratively reweighted least squares). A ridge pulls towards a prior, so that tokens which the texts
hardly show are not lost.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import scipy.sparse

from hubdistill.errors import CorpusTooSmallError
from hubdistill.progress import track
from hubdistill.students.dimensions import Vectors

logger = logging.getLogger(__name__)

RIDGES = (0.1, 0.3, 1.0, 3.0)
"""What `choose_ridge` tries by default."""
RIDGE_TEXTS = 50_000
"""Texts that it tries them on: the best ridge depends on the noise, not on the number of texts."""

# Output dimensions solved together. They are independent of each other, so this bounds memory and gives
# threads their work; 64 columns of a 30,000-token table still fit a processor's cache.
_COLUMNS = 64
_SPAN = 1 << 20
_TEXTS = 8_192

Table: TypeAlias = npt.NDArray[np.float32]
"""Token vectors, shape (tokens, dim)."""
Weights: TypeAlias = npt.NDArray[np.float32]
"""One weight for each text, shape (texts,)."""
Counts: TypeAlias = scipy.sparse.csr_array
"""Token counts, shape (texts, tokens), float32."""


@dataclass(frozen=True)
class StaticFit:
    """What was chosen for a token table, and what it came to."""

    ridge: float
    iterations: int
    """Conjugate-gradient iterations of each solve."""
    held_out_cosine: tuple[float, ...]
    """Mean cosine to the teacher on held-out texts: of the prior, then after each solve."""


def fit_static(
    counts: Counts,
    targets: Vectors,
    *,
    held_out_counts: Counts,
    held_out_targets: Vectors,
    prior: Table,
    ridge: float | Literal["auto"] = "auto",
    iterations: int = 10,
    reweight: int = 1,
) -> tuple[Table, StaticFit]:
    """Choose a ridge, solve, and solve again with weights that stand for the cosine.

    A further solve that does not raise the held-out cosine is the last, and is thrown away.

    Args:
        counts: shape (texts, tokens).
        targets: the teacher's unit vectors, shape (texts, dim).
        held_out_counts: shape (held-out texts, tokens).
        held_out_targets: unit vectors, shape (held-out texts, dim).
        prior: the table that the ridge pulls towards.
        ridge: strength of the pull; `auto` chooses it by `choose_ridge`.
        iterations: of conjugate gradients, in each solve.
        reweight: how many solves follow the first, at most.

    Raises:
        CorpusTooSmallError: fewer texts than output dimensions.
    """
    if ridge == "auto":
        ridge = choose_ridge(
            counts, targets, prior=prior, held_out_counts=held_out_counts, held_out_targets=held_out_targets
        )
    weights = length_weights(counts)
    table = prior
    cosines = [held_out_cosine(prior, held_out_counts, held_out_targets)]
    for solve in range(1 + reweight):
        solved = fit_token_table(
            counts,
            targets,
            ridge=ridge,
            prior=prior,
            row_weights=weights,
            start=table,
            max_iterations=iterations,
        )
        cosines.append(held_out_cosine(solved, held_out_counts, held_out_targets))
        logger.info("Solve %d: cosine to the teacher on held-out texts %.4f", solve + 1, cosines[-1])
        if solve > 0 and cosines[-1] <= cosines[-2]:
            break
        table = solved
        if solve < reweight:
            weights = _cosine_weights(counts, table)
    return table, StaticFit(ridge, iterations, tuple(cosines))


def choose_ridge(
    counts: Counts,
    targets: Vectors,
    *,
    prior: Table,
    held_out_counts: Counts,
    held_out_targets: Vectors,
    ridges: tuple[float, ...] = RIDGES,
) -> float:
    """The one of some ridges with the best held-out cosine, when each is tried on a part of the texts."""
    part = slice(None, None, max(1, counts.shape[0] // max(RIDGE_TEXTS, targets[:1].shape[1])))
    some, their_targets = counts[part], targets[part]
    cosines: dict[float, float] = {}
    for ridge in ridges:
        table = fit_token_table(some, their_targets, ridge=ridge, prior=prior, max_iterations=10)
        cosines[ridge] = held_out_cosine(table, held_out_counts, held_out_targets)
        logger.info("Ridge %g: cosine to the teacher on held-out texts %.4f", ridge, cosines[ridge])
    return max(cosines, key=lambda ridge: cosines[ridge])


def fit_token_table(
    counts: Counts,
    targets: Vectors,
    *,
    ridge: float = 1.0,
    prior: Table | None = None,
    row_weights: Weights | None = None,
    start: Table | None = None,
    max_iterations: int = 10,
) -> Table:
    """Solve for the token table whose bags of tokens best match the teacher.

    Minimises ||D counts table - targets||^2 + ridge ||table - prior||^2 by conjugate gradients on the
    normal equations with a Jacobi preconditioner (Hestenes and Stiefel, 1952), for all output dimensions;
    D weights the rows. Beside the result, memory holds four arrays of (tokens, 64) for each thread.

    Args:
        counts: token counts, shape (texts, tokens).
        targets: the teacher's unit vectors, shape (texts, dim); read a block of rows at a time, once.
        ridge: strength of the penalty; chosen on held-out texts by `choose_ridge`.
        prior: the table that the penalty pulls towards, shape (tokens, dim); zero when None.
        row_weights: the diagonal of D, shape (texts,); 1/sqrt(length) when None.
        start: where to begin, shape (tokens, dim); at the prior when None.
        max_iterations: of conjugate gradients.

    Raises:
        CorpusTooSmallError: fewer texts than output dimensions.
    """
    check_size(counts, targets)
    start = prior if start is None else start
    row_weights = length_weights(counts) if row_weights is None else row_weights
    squares = row_weights[:, None] ** 2
    diagonal = (counts.power(2).T @ squares) + np.float32(ridge)
    table = _right_hand_side(counts, targets, row_weights)

    # Slicing copies, so most corpora stay in one piece.
    spans = list(blocks_of(counts.shape[0], _SPAN))
    parts = [(counts[rows], squares[rows]) for rows in spans] if len(spans) > 1 else [(counts, squares)]

    def normal(x: Table) -> Table:
        result = ridge * x
        for part, weights in parts:
            product = part @ x
            product *= weights
            result += part.T @ product
        return result

    def solve(columns: slice) -> None:
        residual = table[:, columns].copy()
        if prior is not None:
            residual += ridge * prior[:, columns]
        x = np.zeros_like(residual)
        if start is not None:
            x += start[:, columns]
            residual -= normal(x)
        direction = residual / diagonal
        power = (residual * direction).sum(axis=0)
        for _ in range(max_iterations):
            moved = normal(direction)
            length = power / np.maximum((direction * moved).sum(axis=0), 1e-30)
            x += length * direction
            moved *= length
            residual -= moved
            np.divide(residual, diagonal, out=moved)
            previous, power = power, (residual * moved).sum(axis=0)
            direction *= power / np.maximum(previous, 1e-30)
            direction += moved
        table[:, columns] = x

    blocks = [slice(i, i + _COLUMNS) for i in range(0, table.shape[1], _COLUMNS)]
    with (
        ThreadPoolExecutor(min(len(blocks), os.cpu_count() or 1)) as pool,
        track(len(blocks), "Solving for the token table") as advance,
    ):
        for _ in pool.map(solve, blocks):
            advance(1)
    return table


def held_out_cosine(table: Table, counts: Counts, targets: Vectors) -> float:
    """Mean cosine between the vectors that a table gives some texts and the teacher's."""
    total = 0.0
    for rows in blocks_of(counts.shape[0]):
        ours, theirs = counts[rows] @ table, np.asarray(targets[rows], np.float32)
        norms = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
        total += float(((ours * theirs).sum(axis=1) / np.maximum(norms, 1e-12)).sum())
    return float(total / counts.shape[0])


def length_weights(counts: Counts) -> Weights:
    """1/sqrt(length): what makes a bag of unrelated tokens about as long as a bag of one."""
    return np.asarray(1 / np.sqrt(np.maximum(counts.sum(axis=1), 1)), np.float32)


def _cosine_weights(counts: Counts, table: Table) -> Weights:
    """Weights with which every text's vector has unit length under the table."""
    norms = np.concatenate(
        [np.linalg.norm(counts[rows] @ table, axis=1) for rows in blocks_of(counts.shape[0])]
    )
    # A text whose vector nearly vanishes has no direction yet and must not outweigh all others.
    return np.asarray(1 / np.maximum(norms, 0.1 * np.median(norms)), np.float32)


def _right_hand_side(counts: Counts, targets: Vectors, weights: Weights) -> Table:
    """counts.T @ D @ targets, touching only the tokens of the texts in hand."""
    product = np.zeros((counts.shape[1], targets[:1].shape[1]), np.float32)
    for rows in blocks_of(counts.shape[0]):
        block = counts[rows]
        present, places = np.unique(block.indices, return_inverse=True)
        block = scipy.sparse.csr_array(
            (block.data, places, block.indptr), shape=(block.shape[0], len(present))
        )
        product[present] += block.T @ (np.asarray(targets[rows], np.float32) * weights[rows, None])
    return product


def blocks_of(rows: int, size: int = _TEXTS) -> Iterator[slice]:
    return (slice(start, min(start + size, rows)) for start in range(0, rows, size))


def check_size(counts: Counts, targets: Vectors) -> None:
    texts, dimensions = len(targets), targets[:1].shape[1]
    if counts.shape[0] != texts:
        raise ValueError(f"{counts.shape[0]} texts, but {texts} vectors")
    if texts < dimensions:
        raise CorpusTooSmallError(
            f"{texts} texts are too few to solve for a static student of {dimensions} dimensions; give it at "
            f"least {dimensions}, better {100 * dimensions} (corpus.sources, or the student's `texts`)"
        )
