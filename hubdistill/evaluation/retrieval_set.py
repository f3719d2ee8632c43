"""Retrieval sets: documents, queries and, where there are any, relevance judgements, in BEIR form."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hubdistill.errors import EvaluationError
from hubdistill.evaluation.findings import texts_sha256
from hubdistill.recipe import RetrievalSet
from hubdistill.report import EvaluationData

QRELS = ("qrels.tsv", "qrels/test.tsv")


@dataclass(frozen=True)
class Retrieval:
    """A retrieval task in memory.

    Attributes:
        judgements: one mapping for each query, positions of its judged documents to their grades, with at
            least one above zero; None where nobody judged.
        symmetric: queries are texts like the documents, so no model's query prompt applies.
    """

    name: str
    documents: list[str]
    queries: list[str]
    judgements: list[dict[int, int]] | None
    symmetric: bool
    data: EvaluationData


@dataclass(frozen=True)
class _Folder:
    """What the files of a set say."""

    name: str
    documents: dict[str, str]
    queries: dict[str, str]
    qrels: dict[str, dict[str, int]] = field(default_factory=dict)


def held_out_retrieval(
    name: str, texts: Sequence[str], queries: int, *, language: str | None = None
) -> Retrieval:
    """Let the first held-out texts look for the nearest of the others.

    Args:
        name: of the data.
        texts: held-out texts, at least 4.
        queries: how many serve as queries; at most a quarter of the texts do.
        language: of the texts.

    Raises:
        EvaluationError: fewer than 4 texts.
    """
    queries = min(queries, len(texts) // 4)
    if not queries:
        raise EvaluationError(
            f"{len(texts)} held-out texts are too few for retrieval; hold out more of the corpus "
            "(corpus.held_out, evaluation.held_out_texts)"
        )
    return _retrieval(
        name,
        list(texts[queries:]),
        list(texts[:queries]),
        None,
        symmetric=True,
        source="held-out texts",
        language=language,
    )


def read_retrieval_set(settings: RetrievalSet, base: Path) -> Retrieval:
    """Read a set from its folder.

    A document is its title and its text with a space between, as BEIR has it. With judgements, only
    judged queries count.

    Args:
        settings: which set.
        base: the folder that relative paths start from.

    Raises:
        EvaluationError: a file is missing or malformed, there are no documents or queries, or a judgement
            names a document or a query that is not there.
    """
    path = base / settings.folder
    folder = _Folder(
        settings.name,
        {key: _document(row) for key, row in _records(path / "corpus.jsonl", settings.name)},
        {key: row.get("text") or "" for key, row in _records(path / "queries.jsonl", settings.name)},
        _read_qrels(path, settings.name),
    )
    for what, items in (("documents", folder.documents), ("queries", folder.queries)):
        if not items:
            raise EvaluationError(f"{settings.name}: no {what} in {settings.folder}")
    _check_qrels(folder)
    kept = _choose_documents(folder, settings.documents)
    position = {key: place for place, key in enumerate(kept)}
    judged = {
        query: {position[key]: grade for key, grade in grades.items() if key in position}
        for query, grades in folder.qrels.items()
    }
    judged = {query: grades for query, grades in judged.items() if any(g > 0 for g in grades.values())}
    if folder.qrels and not judged:
        raise EvaluationError(f"{settings.name}: the judgements find no document relevant to any query")
    # In the order of the queries file, whatever the order of the judgements.
    queries = [key for key in folder.queries if key in judged or not folder.qrels]
    return _retrieval(
        settings.name,
        [folder.documents[key] for key in kept],
        [folder.queries[key] for key in queries],
        [judged[key] for key in queries] if judged else None,
        symmetric=False,
        source=Path(settings.folder).name,
        language=settings.language,
    )


def _retrieval(
    name: str,
    documents: list[str],
    queries: list[str],
    judgements: list[dict[int, int]] | None,
    *,
    symmetric: bool,
    source: str,
    language: str | None,
) -> Retrieval:
    data = EvaluationData(
        kind="retrieval",
        title=name,
        source=source,
        n=len(queries),
        documents=len(documents),
        sha256=texts_sha256([*documents, *queries]),
        language=language,
    )
    return Retrieval(name, documents, queries, judgements, symmetric, data)


def _document(row: dict[str, Any]) -> str:
    return f"{row.get('title') or ''} {row.get('text') or ''}".strip()


def _records(path: Path, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                try:
                    row = json.loads(line)
                except ValueError as error:
                    raise EvaluationError(f"{name}: {path.name} line {number} is not JSON: {error}") from None
                if not isinstance(row, dict) or "_id" not in row:
                    raise EvaluationError(
                        f"{name}: {path.name} line {number}: expected an object with _id and text, "
                        f"got {line:.60}"
                    )
                for part in ("title", "text"):
                    if not isinstance(row.get(part), str | None):
                        raise EvaluationError(
                            f"{name}: {path.name} line {number}: `{part}` is {row[part]!r:.40}, not a text"
                        )
                yield str(row["_id"]), row
    except (OSError, ValueError) as error:
        raise EvaluationError(
            f"{name}: cannot read {path}: {error}; `folder` names one with corpus.jsonl, queries.jsonl "
            "and, for judgements, qrels.tsv"
        ) from error


def _read_qrels(path: Path, name: str) -> dict[str, dict[str, int]]:
    found = next((path / file for file in QRELS if (path / file).is_file()), None)
    qrels: dict[str, dict[str, int]] = {}
    if found is None:
        return qrels
    try:
        lines = found.read_text(encoding="utf-8").split("\n")
    except (OSError, ValueError) as error:
        raise EvaluationError(f"{name}: cannot read {found}: {error}") from error
    rows = csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
    if (header := next(rows, [])) and header[-1].isdigit():
        raise EvaluationError(
            f"{name}: {found.name} begins with a judgement, {header}; its first line must be a header: "
            "query-id, corpus-id, score"
        )
    for row in rows:
        try:
            if row:
                query, document, grade = row
                qrels.setdefault(query, {})[document] = int(grade)
        except ValueError:
            raise EvaluationError(
                f"{name}: {found.name} line {rows.line_num}: expected query-id, corpus-id and an "
                f"integer score with tabs between, got {row}"
            ) from None
    return qrels


def _check_qrels(folder: _Folder) -> None:
    named = {
        "queries": folder.qrels.keys() - folder.queries.keys(),
        "documents": {key for grades in folder.qrels.values() for key in grades} - folder.documents.keys(),
    }
    for what, absent in named.items():
        if absent:
            raise EvaluationError(
                f"{folder.name}: the judgements name {len(absent)} {what} that are not there, for example "
                f"{min(absent)!r}; corpus.jsonl, queries.jsonl and qrels.tsv must be of one version"
            )


def _choose_documents(folder: _Folder, limit: int | None) -> list[str]:
    """At most so many documents, judged ones before others, in the order of the file."""
    if limit is None or limit >= len(folder.documents):
        return list(folder.documents)
    judged = {key for grades in folder.qrels.values() for key in grades}
    first = sorted(folder.documents, key=lambda key: key not in judged)[:limit]
    chosen = set(first)
    return [key for key in folder.documents if key in chosen]
