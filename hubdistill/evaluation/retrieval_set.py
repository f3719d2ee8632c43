"""Retrieval tasks: documents, queries and, where there are any, relevance judgements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from hubdistill.errors import EvaluationError
from hubdistill.evaluation.beir import Beir, Document, read_beir
from hubdistill.evaluation.findings import texts_sha256
from hubdistill.evaluation.made_queries import Made, make_queries
from hubdistill.recipe import MadeQueries, RetrievalSet
from hubdistill.report import EvaluationData


@dataclass(frozen=True)
class Retrieval:
    """A retrieval task in memory.

    Attributes:
        judgements: one mapping for each query, positions of its judged documents to their grades, with at
            least one above zero; None where nobody judged.
        symmetric: queries are texts like the documents, so no model's query prompt applies.
        own: positions of queries that are documents as well, to those of the documents. They are not to find
            themselves, for the same text is nearest to any model.
    """

    name: str
    documents: list[str]
    queries: list[str]
    judgements: list[dict[int, int]] | None
    symmetric: bool
    data: EvaluationData
    own: dict[int, int] = field(default_factory=dict)

    @property
    def findable(self) -> int:
        """How many documents each query can find: all but its own."""
        return len(self.documents) - bool(self.own)


def held_out_retrieval(
    name: str,
    texts: Sequence[str],
    queries: int,
    *,
    language: str | None = None,
    make: MadeQueries | None = None,
    base: Path = Path(),
    seed: int = 0,
) -> Retrieval:
    """Make a task of held-out texts: the first look for the nearest of the others, or queries are made.

    Args:
        name: of the data.
        texts: held-out texts, at least 4.
        queries: how many serve as queries where none are made; at most a quarter of the texts do.
        language: of the texts.
        make: make queries from the texts instead, and judge each text relevant to its own query.
        base: the folder that the relative path of a text2text model starts from.
        seed: of the made queries.

    Raises:
        EvaluationError: fewer than 4 texts, or no query can be made of them.
        TeacherError: the text2text model cannot be found.
    """
    if len(texts) < 4:
        raise EvaluationError(
            f"{len(texts)} held-out texts are too few for retrieval; hold out more of the corpus "
            "(corpus.held_out, evaluation.held_out_texts)"
        )
    origin = Beir({}, "held-out texts")
    if make is not None:
        made = make_queries(name, [Document("", text) for text in texts], make, base=base, seed=seed)
        return _made(name, made, origin, language)
    queries = min(queries, len(texts) // 4)
    return _retrieval(
        name, list(texts[queries:]), list(texts[:queries]), None, origin, symmetric=True, language=language
    )


def read_retrieval_set(settings: RetrievalSet, base: Path, *, seed: int = 0) -> Retrieval:
    """Read a set from its folder or from the Hub.

    With judgements, only judged queries count. Made queries, or only some of the documents, are no benchmark:
    then `benchmark_task` is left out. Data with only some of the documents is also no data set of the Hub any
    more; its source says what it is.

    A query with the id and the text of a document is that document, as in ArguAna, and is not to find itself
    unless it is judged relevant to itself. Ids alone say nothing: many sets number both from 1.

    Args:
        settings: which set.
        base: the folder that relative paths start from.
        seed: of made queries.

    Raises:
        EvaluationError: as `read_beir` and `make_queries`; or the judgements find nothing relevant.
        CorpusError: as `read_beir`.
        TeacherError: as `make_queries`.
    """
    found = read_beir(settings, base)
    kept = _choose_documents(found, settings.documents)
    origin, task = found, settings.benchmark_task
    if len(kept) < len(found.documents):
        part = f"{found.source}, {len(kept):,} of {len(found.documents):,} documents"
        origin = replace(found, source=part, hub_id=None, config=None, split=None, revision=None)
        task = None
    if settings.make_queries is not None:
        documents = [found.documents[key] for key in kept]
        made = make_queries(settings.name, documents, settings.make_queries, base=base, seed=seed)
        return _made(settings.name, made, origin, settings.language)
    position = {key: place for place, key in enumerate(kept)}
    judged = {
        query: {position[key]: grade for key, grade in grades.items() if key in position}
        for query, grades in found.qrels.items()
    }
    judged = {query: grades for query, grades in judged.items() if any(g > 0 for g in grades.values())}
    if found.qrels and not judged:
        raise EvaluationError(f"{settings.name}: the judgements find no document relevant to any query")
    # In the order of the queries, whatever the order of the judgements.
    queries = [key for key in found.queries if key in judged or not found.qrels]
    shared = found.shared
    own = {
        place: position[key]
        for place, key in enumerate(queries)
        if key in shared and key in position and judged.get(key, {}).get(position[key], 0) <= 0
    }
    return _retrieval(
        settings.name,
        [found.documents[key].whole for key in kept],
        [found.queries[key] for key in queries],
        [judged[key] for key in queries] if judged else None,
        origin,
        own,
        language=settings.language,
        task=task,
    )


def _made(name: str, made: Made, origin: Beir, language: str | None) -> Retrieval:
    judgements = [{place: 1} for place in made.sources]
    return _retrieval(name, made.documents, made.queries, judgements, origin, language=language, how=made.how)


def _retrieval(
    name: str,
    documents: list[str],
    queries: list[str],
    judgements: list[dict[int, int]] | None,
    origin: Beir,
    own: dict[int, int] | None = None,
    *,
    symmetric: bool = False,
    language: str | None = None,
    task: str | None = None,
    how: str | None = None,
) -> Retrieval:
    data = EvaluationData(
        kind="retrieval",
        title=name,
        source=origin.source,
        hub_id=origin.hub_id,
        config=origin.config,
        split=origin.split,
        revision=origin.revision,
        n=len(queries),
        documents=len(documents),
        own_documents=len(own) if own else None,
        sha256=texts_sha256([*documents, *queries]),
        labels_sha256=texts_sha256(map(_listed, judgements)) if judgements else None,
        language=language,
        made_queries=how,
        benchmark_task=task,
    )
    return Retrieval(name, documents, queries, judgements, symmetric, data, own or {})


def _listed(judged: dict[int, int]) -> str:
    return " ".join(f"{place}:{grade}" for place, grade in sorted(judged.items()))


def _choose_documents(found: Beir, limit: int | None) -> list[str]:
    """At most so many documents, judged ones before others, in the order of the file."""
    if limit is None or limit >= len(found.documents):
        return list(found.documents)
    judged = {key for grades in found.qrels.values() for key in grades}
    first = sorted(found.documents, key=lambda key: key not in judged)[:limit]
    chosen = set(first)
    return [key for key in found.documents if key in chosen]
