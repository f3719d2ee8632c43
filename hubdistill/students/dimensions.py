"""Fewer output dimensions: a linear projection that keeps as much of the teacher's geometry as it can."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, Normalize
from torch import nn

from hubdistill import report
from hubdistill.errors import CorpusTooSmallError, StudentError

FIT_TEXTS = 100_000
"""Texts whose vectors a projection is fitted on, at most."""

_ROWS = 8_192

FloatArray = npt.NDArray[np.float32]


class Vectors(Protocol):
    """Rows of vectors: an array, or a view of the embedding cache."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Any, /) -> np.ndarray: ...


@dataclass(frozen=True, eq=False)
class Projection:
    """A linear map to fewer dimensions, and what it was fitted on."""

    weight: FloatArray
    """Orthonormal rows, the most important first; shape (dimensions, dim)."""
    kept: float
    """Share of the vectors' squared length that is left, over the texts of the fit."""
    texts: int

    def __call__(self, vectors: np.ndarray, *, unit: bool = True) -> FloatArray:
        """Project vectors, shape (n, dim), and scale them to length 1 if asked; shape (n, dimensions)."""
        projected = np.asarray(np.asarray(vectors, np.float32) @ self.weight.T, np.float32)
        return unit_rows(projected) if unit else projected

    @property
    def fact(self) -> report.Projection:
        """What the report says of it."""
        kept, available = self.weight.shape
        return report.Projection(dimensions=kept, available=available, texts=self.texts, kept=self.kept)


@dataclass(frozen=True, eq=False)
class ProjectedRows:
    """Vectors seen through a projection, computed as they are read."""

    vectors: Vectors
    projection: Projection
    unit: bool
    """Whether they are scaled to length 1."""

    def __len__(self) -> int:
        return len(self.vectors)

    def __getitem__(self, rows: Any, /) -> np.ndarray:
        return self.projection(self.vectors[rows], unit=self.unit)


@dataclass(frozen=True, eq=False)
class UnitRows:
    """Vectors scaled to length 1 as they are read."""

    vectors: Vectors

    def __len__(self) -> int:
        return len(self.vectors)

    def __getitem__(self, rows: Any, /) -> np.ndarray:
        return unit_rows(self.vectors[rows])


def unit_rows(vectors: np.ndarray) -> FloatArray:
    """Vectors scaled to length 1; one without length stays as it is.

    Args:
        vectors: shape (n, dim).
    """
    vectors = np.asarray(vectors, np.float32)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths == 0, 1, lengths), np.float32)


def fit_projection(vectors: Vectors, dimensions: int, *, texts: int = FIT_TEXTS) -> Projection:
    """Find the projection that changes the vectors' inner products least.

    It is spanned by the leading eigenvectors of the second moments, without centring: what has to stay are
    inner products, and a mean that all vectors share is part of them. No other subspace of that size is
    nearer to the vectors (Eckart and Young, 1936). Its directions are in order of importance, so that
    prefixes of the projected vectors are the best projections to still fewer dimensions.

    Args:
        vectors: the teacher's vectors, shape (n_texts, dim).
        dimensions: how many to keep, at most dim.
        texts: read so many rows at most, evenly spread.

    Raises:
        CorpusTooSmallError: fewer texts than dimensions.
    """
    if len(vectors) < dimensions:
        raise CorpusTooSmallError(
            f"{len(vectors)} texts cannot tell which {dimensions} dimensions to keep; give at least as many "
            "texts as dimensions, better a hundred times as many"
        )
    rows = np.unique(np.linspace(0, len(vectors) - 1, min(len(vectors), texts)).astype(np.int64))
    moments: npt.NDArray[np.float64] | float = 0.0
    for start in range(0, len(rows), _ROWS):
        block = np.asarray(vectors[rows[start : start + _ROWS]], np.float32)
        moments = moments + (block.T @ block).astype(np.float64)
    values, directions = np.linalg.eigh(moments)
    leading = directions[:, ::-1][:, :dimensions].T
    # An eigenvector has no sign of its own; with one, the same texts give the same student anywhere.
    strongest = leading[np.arange(len(leading)), np.abs(leading).argmax(axis=1)]
    leading = leading * np.where(strongest < 0, -1, 1)[:, None]
    kept = float(values[::-1][:dimensions].sum() / values.sum())
    return Projection(np.ascontiguousarray(leading, np.float32), min(1.0, kept), len(rows))


def add_projection(model: SentenceTransformer, weight: FloatArray, *, normalize: bool | None = None) -> Dense:
    """Put a linear map behind a model's last module, in front of its final Normalize where there is one.

    It has no bias, so that it makes no difference whether vectors are scaled to length 1 before it.

    Args:
        model: is changed.
        weight: shape (new dimensions, the model's dimensions).
        normalize: whether the model's vectors have length 1 afterwards; as before when None.

    Returns:
        The new module.
    """
    dense = Dense(
        weight.shape[1],
        weight.shape[0],
        bias=False,
        activation_function=nn.Identity(),
        init_weight=torch.from_numpy(np.array(weight, np.float32)).to(model.dtype),
    ).to(model.device)
    last = model.pop(-1) if isinstance(model[-1], Normalize) else None
    model.append(dense)
    if normalize or (normalize is None and last):
        model.append(last or Normalize())
    return dense


def check_dimensions(
    wanted: int,
    available: int,
    *,
    student: str = "student",
    teacher: str = "the teacher",
    field: str = "dimensions",
) -> None:
    """Make sure that a teacher has more dimensions than a student is to keep.

    Raises:
        StudentError: it has not.
    """
    if wanted >= available:
        raise StudentError(
            f"student '{student}' asks for {wanted} dimensions, but {teacher} has {available}; set {field} "
            f"to at most {available - 1}, or leave it out to keep them all"
        )


def check_matryoshka(sizes: tuple[int, ...], width: int, *, student: str = "student", field: str) -> None:
    """Make sure that the sizes to train are prefixes of the student's vectors.

    Raises:
        StudentError: one is as wide as the vectors, or wider.
    """
    if wide := [size for size in sizes if size >= width]:
        raise StudentError(
            f"student '{student}' gives {width} dimensions, so that {wide[0]} is no part of them; keep the "
            f"sizes of {field} below {width} (the full width is always trained)"
        )
