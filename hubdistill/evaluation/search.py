"""The documents nearest to each query: a matrix product, or Qdrant, embedded here or on a server."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from hubdistill.errors import EvaluationError, MissingExtraError
from hubdistill.evaluation.vectors import FloatArray
from hubdistill.progress import track
from hubdistill.students.dimensions import unit_rows

Positions = npt.NDArray[np.intp]
Search = Callable[[FloatArray, int, int | None], list[Positions]]
"""Queries of unit length, how many documents, how many candidates deep the graph is searched (None: every
document is compared) -> positions of documents for each query, best first."""

_EDGES, _CANDIDATES = 16, 100
"""Qdrant's own defaults of m and ef_construct."""

_SCORES_AT_ONCE = 20_000_000
_POINTS_AT_ONCE = 512
_QUERIES_AT_ONCE = 64
_LEAST_KB = 10
"""Vectors below so many kilobytes are not worth a graph to a server, which takes no smaller number."""
_SECONDS_BETWEEN_LOOKS = 0.5
_IDLE_LOOKS = 20
"""A server that has been idle for so many looks builds no more of the graph."""


def check_index(index: str, *, graph: bool) -> None:
    """Find out before any work whether an index can be used.

    Args:
        index: as `nearest` takes it.
        graph: an HNSW graph is searched as well, for which `exact` stands for the embedded Qdrant.

    Raises:
        EvaluationError, MissingExtraError: as `nearest`.
    """
    if index not in ("exact", ":memory:"):
        with _connected(index) as client:
            client.get_collections()
    elif graph or index == ":memory:":
        _import_embedded()


def nearest(documents: FloatArray, queries: FloatArray, k: int, *, index: str = "exact") -> Positions:
    """The k documents nearest to each query by cosine, best first; of equal ones the earlier.

    Args:
        documents: shape (n_documents, dim).
        queries: shape (n_queries, dim).
        k: at most n_documents.
        index: `exact` for a matrix product, `:memory:` for Qdrant inside this process, or the URL of a
            Qdrant server, whose key is read from the environment variable QDRANT_API_KEY. All three compare
            every query with every document.

    Returns:
        Positions of documents, shape (n_queries, k).

    Raises:
        EvaluationError: the Qdrant server does not answer or refuses.
        MissingExtraError: an index other than `exact` needs the extra `qdrant`.
    """
    return nearest_of_each(documents, [queries], k, index=index)[0]


def nearest_bits(documents: FloatArray, queries: FloatArray, k: int) -> Positions:
    """As `nearest`, of vectors of -1 and 1: the documents with the most bits in common with each query.

    The vectors are not scaled. Sums of -1 and 1 are exact in whatever order a processor adds them, so
    documents at one Hamming distance are equally near everywhere.
    """
    return _exact(documents, queries, k)


def nearest_of_each(
    documents: FloatArray, groups: Sequence[FloatArray], k: int, *, index: str
) -> list[Positions]:
    """As `nearest`, for several groups of queries: the documents are indexed once."""
    if index == "exact":
        return [_exact(unit_rows(documents), unit_rows(queries), k) for queries in groups]
    with qdrant_index(documents, index, graph=False) as (search, _):
        return [np.array(search(unit_rows(queries), k, None)) for queries in groups]


@contextmanager
def qdrant_index(documents: FloatArray, index: str, *, graph: bool) -> Iterator[tuple[Search, int]]:
    """Put documents into Qdrant for as long as the block runs.

    Args:
        documents: shape (n_documents, dim).
        index: `:memory:` or the URL of a server.
        graph: build an HNSW graph over them.

    Yields:
        The search, and how many documents are in the graph.

    Raises:
        EvaluationError, MissingExtraError: as `nearest`.
    """
    engine = _embedded if index == ":memory:" else _server
    with engine(unit_rows(documents), index, graph) as found:
        yield found


def _exact(documents: FloatArray, queries: FloatArray, k: int) -> Positions:
    found = np.empty((len(queries), k), dtype=np.intp)
    at_once = max(1, _SCORES_AT_ONCE // len(documents))
    for start in range(0, len(queries), at_once):
        scores = queries[start : start + at_once] @ documents.T
        least = np.partition(scores, len(documents) - k, axis=1)[:, len(documents) - k]
        for row, (of_query, kth) in enumerate(zip(scores, least, strict=True), start):
            candidates = np.flatnonzero(of_query >= kth)
            found[row] = _best(candidates, of_query[candidates])[:k]
    return found


def _best(positions: Positions, scores: FloatArray) -> Positions:
    return positions[np.lexsort((positions, -scores))]


def _parts(documents: FloatArray) -> Iterator[tuple[list[int], list[list[float]]]]:
    with track(len(documents), "Indexing documents") as advance:
        for start in range(0, len(documents), _POINTS_AT_ONCE):
            part = documents[start : start + _POINTS_AT_ONCE]
            yield list(range(start, start + len(part))), part.tolist()
            advance(len(part))


def _answers(points: Any) -> Positions:
    """Positions of the points that one query found."""
    positions = np.array([point.id for point in points], dtype=np.intp)
    return _best(positions, np.array([point.score for point in points], dtype=np.float32))


def _import_embedded() -> ModuleType:
    try:
        import qdrant_edge
    except ImportError:
        raise MissingExtraError(
            "qdrant", "the embedded Qdrant (evaluation.index, evaluation.hnsw_ef)"
        ) from None
    module: ModuleType = qdrant_edge
    return module


@contextmanager
def _embedded(documents: FloatArray, index: str, graph: bool) -> Iterator[tuple[Search, int]]:
    qdrant = _import_embedded()
    # Unit vectors: the dot product is the cosine, and an embedding without length stays legal.
    space = qdrant.EdgeVectorParams(size=documents.shape[1], distance=qdrant.Distance.Dot)
    config = qdrant.EdgeConfig(
        vectors=space,
        # The smallest thresholds: the graph is built, and searched, however few documents there are.
        hnsw_config=qdrant.HnswIndexConfig(_EDGES, _CANDIDATES, full_scan_threshold=0),
        optimizers=qdrant.EdgeOptimizersConfig(indexing_threshold=1, default_segment_number=1),
        wal_enabled=False,
    )

    def search(queries: FloatArray, k: int, ef: int | None) -> list[Positions]:
        how = qdrant.SearchParams(hnsw_ef=ef, exact=ef is None)
        found: list[Positions] = []
        for start in range(0, len(queries), _QUERIES_AT_ONCE):
            requests = [
                qdrant.QueryRequest(k, query=qdrant.Query.Nearest(query), params=how)
                for query in queries[start : start + _QUERIES_AT_ONCE].tolist()
            ]
            found += map(_answers, shard.query_batch(qdrant.QueryBatchRequest(requests)))
        return found

    with TemporaryDirectory(prefix="hubdistill-qdrant-") as folder:
        shard = qdrant.EdgeShard.create(str(Path(folder) / "shard"), config)
        try:
            for ids, vectors in _parts(documents):
                points = [qdrant.Point(*point) for point in zip(ids, vectors, strict=True)]
                shard.update(qdrant.UpdateOperation.upsert_points(points))
            if graph:
                shard.optimize()
            yield search, shard.info().indexed_vectors_count
        finally:
            shard.close()


@contextmanager
def _server(documents: FloatArray, url: str, graph: bool) -> Iterator[tuple[Search, int]]:
    with _connected(url) as client:
        from qdrant_client import models

        collection = f"hubdistill-{uuid.uuid4().hex}"
        least = _LEAST_KB if graph else 0  # 0 builds no graph at all.
        client.create_collection(
            collection,
            vectors_config=models.VectorParams(size=documents.shape[1], distance=models.Distance.DOT),
            hnsw_config=models.HnswConfigDiff(
                m=_EDGES, ef_construct=_CANDIDATES, full_scan_threshold=_LEAST_KB
            ),
            optimizers_config=models.OptimizersConfigDiff(indexing_threshold=least, default_segment_number=1),
        )

        def search(queries: FloatArray, k: int, ef: int | None) -> list[Positions]:
            how = models.SearchParams(hnsw_ef=ef, exact=ef is None)
            found: list[Positions] = []
            for start in range(0, len(queries), _QUERIES_AT_ONCE):
                requests = [
                    models.QueryRequest(query=query, limit=k, params=how)
                    for query in queries[start : start + _QUERIES_AT_ONCE].tolist()
                ]
                responses = client.query_batch_points(collection, requests=requests)
                found += [_answers(response.points) for response in responses]
            return found

        try:
            for ids, vectors in _parts(documents):
                client.upsert(collection, models.Batch(ids=ids, vectors=vectors), wait=True)
            yield search, _wait_for_graph(client, collection, len(documents)) if graph else 0
        finally:
            client.delete_collection(collection)


def _wait_for_graph(client: Any, collection: str, documents: int) -> int:
    """How many documents are in the graph once the server has built what it wants to build."""
    indexed = idle = 0
    with track(documents, "Building the graph") as advance:
        while True:
            state = client.get_collection(collection)
            grown = (state.indexed_vectors_count or 0) - indexed
            indexed += grown
            advance(grown)
            idle = 0 if grown or state.status == "yellow" else idle + 1
            if indexed >= documents or idle == _IDLE_LOOKS:
                return indexed
            time.sleep(_SECONDS_BETWEEN_LOOKS)


@contextmanager
def _connected(url: str) -> Iterator[Any]:
    try:
        from qdrant_client import QdrantClient
        from qdrant_client.common.client_exceptions import QdrantException
        from qdrant_client.http.exceptions import ApiException
    except ImportError:
        raise MissingExtraError("qdrant", f"the index {url!r}") from None
    client = QdrantClient(url=url, api_key=os.environ.get("QDRANT_API_KEY"), check_compatibility=False)
    try:
        yield client
    except (ApiException, QdrantException) as error:
        raise EvaluationError(
            f"the Qdrant server at {url} failed: {str(error).strip() or type(error).__name__}; start it, "
            "correct evaluation.index, or set it to 'exact'"
        ) from error
    finally:
        client.close()
