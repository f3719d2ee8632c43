"""The documents nearest to each query: exact search in memory, or a Qdrant index."""

from __future__ import annotations

import os
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from hubdistill.errors import EvaluationError, MissingExtraError
from hubdistill.evaluation.vectors import FloatArray, unit_rows
from hubdistill.progress import track

_SCORES_AT_ONCE = 20_000_000
_POINTS_AT_ONCE = 512
_QUERIES_AT_ONCE = 64


def nearest(
    documents: FloatArray, queries: FloatArray, k: int, *, index: str = "exact"
) -> npt.NDArray[np.intp]:
    """The k documents nearest to each query by cosine, best first; of equal ones the earlier.

    Args:
        documents: shape (n_documents, dim).
        queries: shape (n_queries, dim).
        k: at most n_documents.
        index: `exact` for a matrix product, `:memory:` for Qdrant inside this process, or the URL of a
            Qdrant server, whose key is read from the environment variable QDRANT_API_KEY.

    Returns:
        Positions of documents, shape (n_queries, k).

    Raises:
        EvaluationError: the Qdrant server does not answer or refuses.
        MissingExtraError: an index other than `exact` needs the extra `qdrant`.
    """
    documents, queries = unit_rows(documents), unit_rows(queries)
    return _exact(documents, queries, k) if index == "exact" else _qdrant(documents, queries, k, index)


def _exact(documents: FloatArray, queries: FloatArray, k: int) -> npt.NDArray[np.intp]:
    found = np.empty((len(queries), k), dtype=np.intp)
    at_once = max(1, _SCORES_AT_ONCE // len(documents))
    for start in range(0, len(queries), at_once):
        scores = queries[start : start + at_once] @ documents.T
        least = np.partition(scores, len(documents) - k, axis=1)[:, len(documents) - k]
        for row, (of_query, kth) in enumerate(zip(scores, least, strict=True), start):
            candidates = np.flatnonzero(of_query >= kth)
            found[row] = _best(candidates, of_query[candidates], k)
    return found


def _best(positions: npt.NDArray[np.intp], scores: FloatArray, k: int) -> npt.NDArray[np.intp]:
    return positions[np.lexsort((positions, -scores))][:k]


def _qdrant(documents: FloatArray, queries: FloatArray, k: int, index: str) -> npt.NDArray[np.intp]:
    with _connected(index) as client:
        from qdrant_client import models

        collection = f"hubdistill-{uuid.uuid4().hex}"
        # Unit vectors: the dot product is the cosine, and an embedding without length stays legal.
        space = models.VectorParams(size=documents.shape[1], distance=models.Distance.DOT)
        client.create_collection(collection, vectors_config=space)
        try:
            with track(len(documents), "Indexing documents") as advance:
                for start in range(0, len(documents), _POINTS_AT_ONCE):
                    part = documents[start : start + _POINTS_AT_ONCE]
                    ids = list(range(start, start + len(part)))
                    client.upsert(collection, models.Batch(ids=ids, vectors=part.tolist()), wait=True)
                    advance(len(part))
            # The embedded index is always exact, and warns when it is told to be.
            how = None if index == ":memory:" else models.SearchParams(exact=True)
            return np.array(list(_qdrant_answers(client, collection, queries, k, how)))
        finally:
            client.delete_collection(collection)


def _qdrant_answers(
    client: Any, collection: str, queries: FloatArray, k: int, how: Any
) -> Iterator[npt.NDArray[np.intp]]:
    from qdrant_client import models

    for start in range(0, len(queries), _QUERIES_AT_ONCE):
        requests = [
            models.QueryRequest(query=query.tolist(), limit=k, params=how)
            for query in queries[start : start + _QUERIES_AT_ONCE]
        ]
        for response in client.query_batch_points(collection, requests=requests):
            positions = np.array([point.id for point in response.points], dtype=np.intp)
            scores = np.array([point.score for point in response.points], dtype=np.float32)
            yield _best(positions, scores, k)


@contextmanager
def _connected(index: str) -> Iterator[Any]:
    try:
        from qdrant_client import QdrantClient
        from qdrant_client.common.client_exceptions import QdrantException
        from qdrant_client.http.exceptions import ApiException
    except ImportError:
        raise MissingExtraError("qdrant", f"the index {index!r}") from None
    if index == ":memory:":
        client = QdrantClient(":memory:")
    else:
        key = os.environ.get("QDRANT_API_KEY")
        client = QdrantClient(url=index, api_key=key, check_compatibility=False)
    try:
        with warnings.catch_warnings():
            # Said of the embedded index from 20,000 points on: a server would be faster.
            warnings.filterwarnings("ignore", message="Local mode is not recommended", category=UserWarning)
            yield client
    except (ApiException, QdrantException) as error:
        raise EvaluationError(
            f"the Qdrant server at {index} failed: {str(error).strip() or type(error).__name__}; start it, "
            "correct evaluation.index, or set it to 'exact'"
        ) from error
    finally:
        client.close()
