"""Projections to fewer dimensions: what they keep, and the models that they become part of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, Normalize

from hubdistill.errors import CorpusTooSmallError, StudentError
from hubdistill.students.dimensions import (
    ProjectedRows,
    add_projection,
    check_dimensions,
    check_matryoshka,
    fit_projection,
)

TEXTS = ["this is a text", "the sentence is not in it", "a", "for that of the text and this"]


def test_the_projection_keeps_the_plane_that_vectors_lie_in() -> None:
    # Four vectors in the plane of the first and third coordinate, longer along the third.
    vectors = np.array([[1, 0, 2], [-1, 0, 2], [1, 0, -2], [-1, 0, -2]], np.float32)
    projection = fit_projection(vectors, 2)
    assert projection.weight == pytest.approx(np.array([[0, 0, 1], [1, 0, 0]]))
    assert projection.kept == pytest.approx(1)
    assert fit_projection(vectors, 1).kept == pytest.approx(16 / 20)
    assert projection(vectors, unit=False) @ projection(vectors, unit=False).T == pytest.approx(
        vectors @ vectors.T
    )


def test_a_mean_that_all_vectors_share_is_kept() -> None:
    # Centred, the first coordinate would have no variance and would go first.
    vectors = np.array([[3, 1, 0], [3, -1, 0.5], [3, 0, -0.5]], np.float32)
    assert abs(fit_projection(vectors, 1).weight[0, 0]) > 0.9


def test_no_other_projection_of_that_size_is_nearer() -> None:
    rng = np.random.default_rng(0)
    vectors = (rng.normal(size=(200, 10)) * np.linspace(1, 3, 10)).astype(np.float32)
    best = fit_projection(vectors, 4).weight

    def lost(weight: np.ndarray) -> float:
        return float(np.square(vectors - vectors @ weight.T @ weight).sum())

    others = [np.linalg.qr(rng.normal(size=(10, 4)))[0].T for _ in range(20)]
    others.append(np.linalg.qr(best.T + 0.05 * rng.normal(size=(10, 4)))[0].T)
    assert all(lost(best) < lost(other) for other in others)


def test_prefixes_are_the_projections_to_still_fewer_dimensions() -> None:
    vectors = np.random.default_rng(0).normal(size=(300, 12)).astype(np.float16)
    assert fit_projection(vectors, 8).weight[:3] == pytest.approx(fit_projection(vectors, 3).weight)


def test_a_fit_reads_a_sample_in_blocks() -> None:
    read: list[int] = []

    class Rows:
        def __len__(self) -> int:
            return 1_000_000

        def __getitem__(self, rows: np.ndarray) -> np.ndarray:
            read.append(len(rows))
            return np.random.default_rng(rows[0]).normal(size=(len(rows), 4)).astype(np.float16)

    assert fit_projection(Rows(), 2, texts=20_000).texts == 20_000
    assert sum(read) == 20_000
    assert max(read) <= 8_192


def test_fewer_texts_than_dimensions_are_refused() -> None:
    with pytest.raises(CorpusTooSmallError, match="3 texts cannot tell which 4 dimensions"):
        fit_projection(np.ones((3, 8), np.float32), 4)


def test_a_projected_model_gives_the_projected_vectors_and_loads_back(
    tiny_teacher: SentenceTransformer, tmp_path: Path
) -> None:
    vectors = tiny_teacher.encode(TEXTS * 10)
    projection = fit_projection(vectors, 8)
    expected = projection(tiny_teacher.encode(TEXTS))
    add_projection(tiny_teacher, projection.weight)
    assert [type(module) for module in tiny_teacher][-2:] == [Dense, Normalize]
    assert tiny_teacher.get_embedding_dimension() == 8
    tiny_teacher.save_pretrained(str(tmp_path), create_model_card=False)
    loaded = SentenceTransformer(str(tmp_path), device="cpu")
    assert loaded.encode(TEXTS) == pytest.approx(expected, abs=1e-5)
    assert loaded[-2].linear.bias is None


def test_a_model_without_unit_vectors_stays_without(tiny_teacher: SentenceTransformer) -> None:
    tiny_teacher.pop(-1)
    vectors = tiny_teacher.encode(TEXTS)
    projection = fit_projection(vectors, 4)
    add_projection(tiny_teacher, projection.weight)
    assert isinstance(tiny_teacher[-1], Dense)
    # Four vectors span four dimensions, so that no inner product changes.
    found = tiny_teacher.encode(TEXTS)
    assert found @ found.T == pytest.approx(vectors @ vectors.T, rel=1e-4)


def test_projected_rows_are_the_projected_vectors() -> None:
    vectors = np.random.default_rng(0).normal(size=(50, 6)).astype(np.float16)
    projection = fit_projection(vectors, 2)
    rows = ProjectedRows(vectors, projection, unit=True)
    assert len(rows) == 50
    assert rows[np.array([4, 2])] == pytest.approx(projection(vectors)[[4, 2]])
    assert np.linalg.norm(rows[np.arange(50)], axis=1) == pytest.approx(np.ones(50))


def test_dimensions_must_be_fewer_than_the_teachers() -> None:
    check_dimensions(383, 384)
    message = r"'small' asks for 384 dimensions, but MiniLM has 384; set students\[1\]\.dimensions .*383"
    with pytest.raises(StudentError, match=message):
        check_dimensions(384, 384, student="small", teacher="MiniLM", field="students[1].dimensions")


def test_trained_prefixes_must_be_shorter_than_the_vectors() -> None:
    check_matryoshka((64, 128), 129, field="training.matryoshka")
    with pytest.raises(StudentError, match=r"gives 128 dimensions.*128 is no part.*training\.matryoshka"):
        check_matryoshka((64, 128), 128, field="training.matryoshka")
