"""Documents, queries and relevance judgements in BEIR form: a local folder, or a data set of the Hub.

On the Hub they are configurations of one data set: `corpus`, `queries`, and `qrels` or `default` for the
judgements. NanoBEIR keeps each of its sets under a split of its own in all three; other data sets have the
splits `corpus` and `queries` there, and `train`, `dev`, `test` of the judgements.

Source: Thakur et al., BEIR: A Heterogeneous Benchmark for Zero-shot Evaluation of Information Retrieval
Models (2021), arXiv:2104.08663.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from hubdistill.data_sources import check_columns, load_hub, resolve_revision
from hubdistill.errors import CorpusError, EvaluationError
from hubdistill.recipe import DataSource, RetrievalSet


class Document(NamedTuple):
    """A document; its title may be empty."""

    title: str
    text: str

    @property
    def whole(self) -> str:
        """Title and text with a space between, as BEIR has it."""
        return f"{self.title} {self.text}".strip()


@dataclass(frozen=True)
class Beir:
    """What a set says, by its own ids.

    Attributes:
        queries: empty where they are to be made.
        qrels: query -> document -> grade; empty where nobody judged.
        source, hub_id, config, split, revision: as the report's `EvaluationData` has them.
    """

    documents: dict[str, Document]
    source: str
    queries: dict[str, str] = field(default_factory=dict)
    qrels: dict[str, dict[str, int]] = field(default_factory=dict)
    hub_id: str | None = None
    config: str | None = None
    split: str | None = None
    revision: str | None = None

    @property
    def shared(self) -> set[str]:
        """Ids of queries that are documents as well, with the same id and the same text."""
        return {
            key
            for key in self.documents.keys() & self.queries.keys()
            if self.queries[key] in (self.documents[key].text, self.documents[key].whole)
        }


def read_beir(settings: RetrievalSet, base: Path) -> Beir:
    """Read a set; its queries and judgements only if none are to be made.

    Args:
        settings: which set.
        base: the folder that relative paths start from.

    Raises:
        EvaluationError: a file or row is missing or malformed, there are no documents or queries, or a
            judgement names a document or a query that is not there.
        CorpusError: the data set cannot be found or reached, or has no such configuration or split.
    """
    made = settings.make_queries is not None
    found = (
        _read_folder(settings.name, base / settings.folder, settings.split, made)
        if settings.folder
        else _read_hub(settings, made)
    )
    for what, items in (("documents", found.documents), ("queries", found.queries)):
        if not items and not (made and what == "queries"):
            raise EvaluationError(f"{settings.name}: no {what} in {settings.folder or settings.dataset}")
    _check_qrels(settings.name, found)
    return found


def _read_folder(name: str, path: Path, split: str, made: bool) -> Beir:
    return Beir(
        {key: _document(row) for key, row in _records(path / "corpus.jsonl", name)},
        path.name,
        {} if made else {key: row.get("text") or "" for key, row in _records(path / "queries.jsonl", name)},
        {} if made else _read_qrels(path, name, split),
    )


def _read_hub(settings: RetrievalSet, made: bool) -> Beir:
    name, split = settings.name, settings.split
    source = DataSource(dataset=settings.dataset, split=split, revision=settings.revision)
    revision = resolve_revision(source)
    source = source.model_copy(update={"revision": revision or settings.revision})

    place, rows = _open(name, source, [("corpus", split), ("corpus", "corpus")])
    documents = {key: _document(row) for key, row in _texts(name, place, rows)}
    queries: dict[str, str] = {}
    qrels: dict[str, dict[str, int]] = {}
    if not made:
        place, rows = _open(name, source, [("queries", split), ("queries", "queries")])
        queries = {key: row["text"] or "" for key, row in _texts(name, place, rows)}
        place, rows = _open(name, source, [("qrels", split), ("default", split)])
        qrels = _hub_qrels(name, place, rows)
    return Beir(
        documents,
        str(settings.dataset),
        queries,
        qrels,
        hub_id=settings.dataset,
        config=place.config,
        split=place.split,
        revision=revision,
    )


def _open(name: str, source: DataSource, places: Sequence[tuple[str, str]]) -> tuple[DataSource, Any]:
    """Open the first of some configurations and splits that the data set has."""
    missing = []
    for config, split in places:
        place = source.model_copy(update={"config": config, "split": split})
        try:
            return place, load_hub(place)
        except CorpusError as error:
            # `datasets` says so when there is no such configuration or split; else the Hub was at fault.
            if not isinstance(error.__cause__, ValueError):
                raise
            missing.append(f"configuration {config!r} with split {split!r}: {error.__cause__}")
    raise EvaluationError(
        f"{name}: {source.dataset} has no {' and no '.join(missing)}; a retrieval set has the configurations "
        "corpus, queries and qrels (or default), and `split` names that of its judgements"
    )


def _texts(name: str, place: DataSource, rows: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    columns = rows.column_names
    key = "_id" if "_id" in columns else "id"
    where = f"{place.dataset} ({place.config}, {place.split})"
    check_columns([key, "text"], columns, where)
    wanted = [column for column in (key, "title", "text") if column in columns]
    for number, row in enumerate(rows.select_columns(wanted), 1):
        _check_texts(row, f"{name}: {where} row {number}")
        yield str(row[key]), row


def _hub_qrels(name: str, place: DataSource, rows: Any) -> dict[str, dict[str, int]]:
    """Judgements; NanoBEIR's have no grades, and some data sets list all documents of a query in one row."""
    where = f"{place.dataset} ({place.config}, {place.split})"
    check_columns(["query-id", "corpus-id"], rows.column_names, where)
    qrels: dict[str, dict[str, int]] = {}
    for number, row in enumerate(rows, 1):
        grade = row.get("score", 1)
        if not isinstance(grade, int | float) or grade != int(grade):
            raise EvaluationError(f"{name}: {where} row {number}: the score {grade!r} is not a whole number")
        documents = row["corpus-id"] if isinstance(row["corpus-id"], list) else [row["corpus-id"]]
        qrels.setdefault(str(row["query-id"]), {}).update(
            {str(document): int(grade) for document in documents}
        )
    return qrels


def _document(row: dict[str, Any]) -> Document:
    return Document(row.get("title") or "", row.get("text") or "")


def _check_texts(row: dict[str, Any], where: str) -> None:
    for part in ("title", "text"):
        if not isinstance(row.get(part), str | None):
            raise EvaluationError(f"{where}: `{part}` is {row[part]!r:.40}, not a text")


def _records(path: Path, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                where = f"{name}: {path.name} line {number}"
                try:
                    row = json.loads(line)
                except ValueError as error:
                    raise EvaluationError(f"{where} is not JSON: {error}") from None
                if not isinstance(row, dict) or "_id" not in row:
                    raise EvaluationError(f"{where}: expected an object with _id and text, got {line:.60}")
                _check_texts(row, where)
                yield str(row["_id"]), row
    except (OSError, ValueError) as error:
        raise EvaluationError(
            f"{name}: cannot read {path}: {error}; `folder` names one with corpus.jsonl, queries.jsonl "
            "and, for judgements, qrels.tsv or qrels/<split>.tsv"
        ) from error


def _find_qrels(path: Path, name: str, split: str) -> Path | None:
    """The file of judgements; None where nobody judged."""
    of_splits = path / "qrels"
    for found in (path / "qrels.tsv", of_splits / f"{split}.tsv"):
        if found.is_file():
            return found
    if of_splits.is_dir():
        there = ", ".join(sorted(file.stem for file in of_splits.glob("*.tsv"))) or "none"
        raise EvaluationError(
            f"{name}: {path.name}/qrels has no judgements {split}.tsv; "
            f"`split` names one of those there: {there}"
        )
    return None


def _read_qrels(path: Path, name: str, split: str) -> dict[str, dict[str, int]]:
    found = _find_qrels(path, name, split)
    if found is None:
        return {}
    qrels: dict[str, dict[str, int]] = {}
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


def _check_qrels(name: str, found: Beir) -> None:
    judged: Iterable[str] = {key for grades in found.qrels.values() for key in grades}
    named = {
        "queries": found.qrels.keys() - found.queries.keys(),
        "documents": judged - found.documents.keys(),
    }
    for what, absent in named.items():
        if absent:
            raise EvaluationError(
                f"{name}: the judgements name {len(absent)} {what} that are not there, for example "
                f"{min(absent)!r}; documents, queries and judgements must be of one version"
            )
