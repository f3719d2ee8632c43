"""Linear CKA: whether two models see the same structure in the same texts, whatever their dimensions.

Source: Kornblith et al., Similarity of Neural Network Representations Revisited (arXiv:1905.00414), with the
unbiased estimate of HSIC of Song et al., Feature Selection via Dependence Maximization, JMLR 13 (2012),
equation 5.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hubdistill.errors import EvaluationError
from hubdistill.evaluation.findings import Estimate
from hubdistill.evaluation.significance import Array, Bootstrap, Statistic, divide
from hubdistill.evaluation.vectors import FloatArray


class Alignment:
    """Linear CKA of any number of models with one teacher, whose own part is computed once.

    Args:
        teacher: its name, for messages.
        target: its embeddings, shape (n_texts, dim).
        bootstrap: resamples of the texts.

    Raises:
        EvaluationError: fewer than 4 texts, or all have the same embedding.
    """

    def __init__(self, teacher: str, target: FloatArray, bootstrap: Bootstrap) -> None:
        self._bootstrap = bootstrap
        self._gram = gram(target)
        self._own = self._itself(teacher, self._gram)

    def of(self, student: str, embeddings: FloatArray) -> Estimate:
        """CKA of a student with the teacher: 1 for equal spaces up to rotation and scale, about 0 for
        unrelated ones.

        Args:
            student: its name, for messages.
            embeddings: of the same texts, shape (n_texts, any).

        Raises:
            EvaluationError: all texts have the same embedding.
        """
        theirs = gram(embeddings)
        itself, both = self._itself(student, theirs), self._dependence(self._gram, theirs)
        scale = np.sqrt(np.maximum(self._own.resampled, 0) * np.maximum(itself.resampled, 0))
        value = both.value / np.sqrt(self._own.value * itself.value)
        return Estimate(float(value), divide(both.resampled, scale))

    def _itself(self, model: str, of_model: Array) -> Estimate:
        if len(of_model) < 4:
            raise EvaluationError(f"linear CKA needs at least 4 held-out texts, got {len(of_model)}")
        found = self._dependence(of_model, of_model)
        if not found.value > 0:
            raise EvaluationError(
                f"{model} gives all {len(of_model)} held-out texts the same embedding, so that linear CKA is "
                "undefined; check the model's weights"
            )
        return found

    def _dependence(self, first: Array, second: Array) -> Estimate:
        statistic = hsic(first, second)
        return Estimate(
            float(statistic(np.ones((1, len(first))))[0]), self._bootstrap.distribution(statistic)
        )


def gram(embeddings: FloatArray) -> Array:
    """Dot products of all pairs of embeddings, with zeros for each with itself; shape (n_texts, n_texts).

    HSIC does not depend on where the origin is. With the mean there, nothing large cancels in it, and
    resamples, in which the mean is another, vary no more than they must.
    """
    centred = embeddings.astype(np.float64)
    centred -= centred.mean(axis=0)
    products = centred @ centred.T
    np.fill_diagonal(products, 0)
    return products


def hsic(first: Array, second: Array) -> Statistic:
    """Unbiased estimate of the Hilbert-Schmidt independence criterion of two `gram` matrices K and L.

    The mean of K_ij L_ij over all pairs, minus twice that of K_ij L_iq over all triples, plus that of
    K_ij L_qr over all quadruples of different texts. In a resample each counts as often as its texts were
    drawn together. Copies of a text are no different texts: as pairs they would make any two models alike.

    Args:
        first: shape (n_texts, n_texts), zeros on the diagonal.
        second: the same of the other model.

    Returns:
        A statistic over texts; NaN on a resample of fewer than 4 different texts.
    """
    product = first * second

    def statistic(counts: Array) -> Array:
        squares = counts**2
        rows, columns = counts @ first, counts @ second
        of_product = counts @ product
        doubled = _dot(squares, of_product)
        twice = _dot(squares, squares @ product)
        pairs = _dot(counts, of_product)
        triples = _dot(counts, rows, columns) - doubled
        # Of all products of two pairs, those that share a text in one of four ways, or both texts in two.
        shared = _dot(squares, rows, columns) - twice
        quadruples = _dot(counts, rows) * _dot(counts, columns) - 4 * shared - 2 * twice
        of_pairs, of_triples, of_quadruples = _different(counts)
        return divide(pairs, of_pairs) - 2 * divide(triples, of_triples) + divide(quadruples, of_quadruples)

    return statistic


def _different(counts: Array) -> Sequence[Array]:
    """How many pairs, triples and quadruples of different texts each resample has, in any order."""
    s1, s2, s3, s4 = ((counts**power).sum(axis=1) for power in (1, 2, 3, 4))
    return (
        s1**2 - s2,
        s1**3 - 3 * s1 * s2 + 2 * s3,
        s1**4 - 6 * s1**2 * s2 + 3 * s2**2 + 8 * s1 * s3 - 6 * s4,
    )


def _dot(*factors: Array) -> Array:
    """Sums of products over texts, one for each resample."""
    return np.asarray(np.einsum(",".join(["rt"] * len(factors)) + "->r", *factors))
