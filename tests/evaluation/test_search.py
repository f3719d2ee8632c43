"""Search: exact, in the embedded Qdrant, and on a server that is not there."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import numpy as np
import pytest
from evaluation.qdrant_server import qdrant_server

from hubdistill.errors import EvaluationError, MissingExtraError
from hubdistill.evaluation import check_sets, search
from hubdistill.evaluation.search import nearest, nearest_bits, nearest_of_each, qdrant_index
from hubdistill.recipe import Evaluation
from hubdistill.students.dimensions import unit_rows

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


def test_documents_with_as_many_bits_in_common_are_equally_near() -> None:
    documents, queries = (RNG.choice([-1, 1], size=(n, 768)).astype(np.float32) for n in (500, 50))
    distances = (queries[:, None] != documents[None]).sum(axis=2)
    expected = np.argsort(distances, axis=1, kind="stable")[:, :20]
    assert (nearest_bits(documents, queries, 20) == expected).all()


def test_qdrant_finds_what_exact_search_finds() -> None:
    pytest.importorskip("qdrant_edge", reason="needs the extra 'qdrant'")
    assert (nearest(DOCUMENTS, QUERIES, 20, index=":memory:") == nearest(DOCUMENTS, QUERIES, 20)).all()


def test_a_server_searches_exactly_and_is_left_clean(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("qdrant_client", reason="needs the extra 'qdrant'")
    monkeypatch.setenv("QDRANT_API_KEY", "the-key")
    with qdrant_server() as (url, server):
        with pytest.warns(UserWarning, match="insecure connection"):
            found = nearest(DOCUMENTS, QUERIES, 20, index=url)
        assert (found == nearest(DOCUMENTS, QUERIES, 20)).all()
        assert server.keys == {"the-key"}
        assert not server.collections


def test_documents_are_indexed_once_for_several_groups_of_queries() -> None:
    pytest.importorskip("qdrant_client", reason="needs the extra 'qdrant'")
    with qdrant_server() as (url, server):
        found = nearest_of_each(DOCUMENTS, [QUERIES, QUERIES[::2]], 5, index=url)
        assert server.created == 1
    exact = nearest(DOCUMENTS, QUERIES, 5)
    assert [group.tolist() for group in found] == [exact.tolist(), exact[::2].tolist()]


def test_a_server_searches_its_graph_once_it_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("qdrant_client", reason="needs the extra 'qdrant'")
    monkeypatch.setattr(search, "_SECONDS_BETWEEN_LOOKS", 0)
    exact = nearest(DOCUMENTS, QUERIES, 20)
    with qdrant_server() as (url, server):
        with qdrant_index(DOCUMENTS, url, graph=True) as (find, indexed):
            assert indexed == len(DOCUMENTS)
            ((name, collection),) = server.collections.items()
            assert name.startswith("hubdistill-")
            assert (collection["hnsw_config"]["m"], collection["hnsw_config"]["ef_construct"]) == (16, 100)
            found = find(unit_rows(QUERIES), 10, 16)
            assert [places.tolist() for places in found] == exact[:, ::2].tolist()
        assert not server.collections


def test_a_server_that_is_down_is_named() -> None:
    pytest.importorskip("qdrant_client", reason="needs the extra 'qdrant'")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(EvaluationError, match=f"the Qdrant server at {url} failed"):
        nearest(DOCUMENTS, QUERIES, 20, index=url)
    with pytest.raises(EvaluationError, match=f"the Qdrant server at {url} failed"):
        check_sets(Evaluation(index=url), Path())


def test_an_index_that_can_be_used_passes_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("qdrant_client", reason="needs the extra 'qdrant'")
    with qdrant_server() as (url, server):
        monkeypatch.setitem(sys.modules, "qdrant_edge", None)  # The server has a graph of its own.
        check_sets(Evaluation(index=url, hnsw_ef=(64,)), Path())
        assert server.created == 0
    check_sets(Evaluation(), Path())
    for settings in (Evaluation(hnsw_ef=(64,)), Evaluation(index=":memory:")):
        with pytest.raises(MissingExtraError, match=r"evaluation\.hnsw_ef.*install 'hubdistill\[qdrant\]'"):
            check_sets(settings, Path())


def test_an_address_that_is_none_is_named() -> None:
    pytest.importorskip("qdrant_client", reason="needs the extra 'qdrant'")
    with pytest.raises(EvaluationError, match="exakt"):
        nearest(DOCUMENTS, QUERIES, 20, index="exakt")
