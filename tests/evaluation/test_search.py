"""Search: exact, in the embedded Qdrant, and on a server that is not there."""

from __future__ import annotations

import socket

import numpy as np
import pytest

from hubdistill.errors import EvaluationError
from hubdistill.evaluation import search
from hubdistill.evaluation.search import nearest

RNG = np.random.default_rng(6)
DOCUMENTS = RNG.normal(size=(300, 16)).astype(np.float32)
QUERIES = RNG.normal(size=(90, 16)).astype(np.float32)


def test_the_nearest_come_first() -> None:
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (QUERIES, DOCUMENTS)]
    expected = np.argsort(-(unit[0] @ unit[1].T), axis=1)[:, :20]
    assert (nearest(DOCUMENTS, QUERIES, 20) == expected).all()


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = nearest(DOCUMENTS, QUERIES, 20)
    monkeypatch.setattr(search, "_SCORES_AT_ONCE", 300 * 7)
    assert (nearest(DOCUMENTS, QUERIES, 20) == whole).all()


def test_of_equally_near_documents_the_earlier_comes_first() -> None:
    documents = np.array([[0, 1], [1, 0], [2, 0], [1, 0], [0, 0]], dtype=np.float32)
    query = np.array([[1, 0]], dtype=np.float32)
    assert nearest(documents, query, 2).tolist() == [[1, 2]]
    assert nearest(documents, query, 5).tolist() == [[1, 2, 3, 0, 4]]


def test_qdrant_finds_what_exact_search_finds() -> None:
    pytest.importorskip("qdrant_client", reason="needs the extra 'qdrant'")
    assert (nearest(DOCUMENTS, QUERIES, 20, index=":memory:") == nearest(DOCUMENTS, QUERIES, 20)).all()


def test_a_server_that_is_down_is_named() -> None:
    pytest.importorskip("qdrant_client", reason="needs the extra 'qdrant'")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(EvaluationError, match=f"the Qdrant server at {url} failed"):
        nearest(DOCUMENTS, QUERIES, 20, index=url)


def test_an_address_that_is_none_is_named() -> None:
    pytest.importorskip("qdrant_client", reason="needs the extra 'qdrant'")
    with pytest.raises(EvaluationError, match="exakt"):
        nearest(DOCUMENTS, QUERIES, 20, index="exakt")
