"""Rows of data sources: Hub data sets, and local text, JSON, CSV, TSV and Parquet files.

Everything streams: no source is ever held in memory as a whole.
"""

from __future__ import annotations

import csv
import gzip
import heapq
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any, NamedTuple, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from hubdistill.bibtex import card_citations
from hubdistill.errors import CorpusError, MissingColumnError
from hubdistill.recipe import DataSource, SimilaritySet

Row = tuple[Any, ...]
Item = TypeVar("Item")

TEXT_COLUMNS = ("text", "sentence")
"""Names under which texts are looked for when a source names no column."""

_OPEN_FILES = 32
_ARROW_ROWS = 1_000
_SHUFFLE_BUFFER = 10_000
_LONGEST_CSV_FIELD = 1 << 27


def read_rows(source: DataSource, columns: Sequence[str], *, base: Path) -> Iterator[Row]:
    """Read columns of a source, row by row, in the source's own order.

    Args:
        source: a Hub data set or local files.
        columns: the columns to read; each row is a tuple in this order.
        base: the folder that relative paths start from.

    Raises:
        MissingColumnError: a column is not there; the message lists those that are.
        CorpusError: the source cannot be found or read; the message names file and line.
    """
    if source.dataset:
        yield from hub_rows(source, columns)
    else:
        yield from chain.from_iterable(file_rows(path, columns) for path in local_files(source, base))


def read_pairs(settings: SimilaritySet, base: Path) -> list[tuple[str, str, float]]:
    """Read sentence pairs with their score.

    Raises:
        CorpusError: as `read_rows`; also when a sentence is not text or a score not a number.
    """
    pairs = []
    columns = (settings.sentence1, settings.sentence2, settings.score)
    for number, (first, second, score) in enumerate(read_rows(settings, columns, base=base), 1):
        try:
            value = float(score)
        except (TypeError, ValueError):
            raise CorpusError(
                f"{settings.name}: pair {number}: the score {score!r} is not a number; "
                f"`score` names the column {settings.score!r}"
            ) from None
        if not (isinstance(first, str) and isinstance(second, str)):
            raise CorpusError(
                f"{settings.name}: pair {number}: expected two sentences, got {first!r}, {second!r}"
            )
        pairs.append((first, second, value))
    return pairs


def source_name(source: DataSource) -> str:
    """The name a source goes by in messages and reports: Hub id or file names, never paths."""
    return source.dataset or ", ".join(Path(pattern).name for pattern in source.files)


def local_files(source: DataSource, base: Path) -> list[Path]:
    """The files that a source's patterns match, each once, sorted within a pattern.

    Raises:
        CorpusError: a pattern matches nothing.
    """
    found: dict[Path, None] = {}
    for pattern in source.files:
        # An absolute pattern has a root of its own; pathlib globs only below a folder.
        root = Path(pattern).anchor or str(base)
        relative = str(Path(pattern).relative_to(root)) if Path(pattern).is_absolute() else pattern
        try:
            matches = sorted(path for path in Path(root).glob(relative) if path.is_file())
        except ValueError as error:
            raise CorpusError(f"`files` holds {pattern!r}, which is no path or pattern: {error}") from None
        if not matches:
            raise CorpusError(f"no file matches {pattern!r} in {base.resolve()}; check `files` in the recipe")
        found.update(dict.fromkeys(matches))
    return list(found)


def available_columns(source: DataSource, *, base: Path) -> list[str]:
    """The columns that a source has, as its first file or row shows them."""
    if source.dataset:
        return _hub_columns(load_hub(source))
    return _file_columns(local_files(source, base)[0])


def check_columns(wanted: Sequence[str], available: Sequence[str], name: str) -> None:
    """Refuse columns that are not there.

    Raises:
        MissingColumnError: names the missing column and lists those there are.
    """
    for column in wanted:
        if column not in available:
            raise MissingColumnError(f"{name} has no column {column!r}; its columns: {', '.join(available)}")


def mix(streams: Iterable[tuple[float, Iterator[Item]]], *, at_once: int | None = None) -> Iterator[Item]:
    """Draw from weighted streams so that every beginning of the result holds them in proportion.

    A stream that runs dry leaves its share to the others. With `at_once`, no more than so many
    streams are open at a time; the next one takes the place of one that ran dry.
    """
    waiting = iter(streams)
    numbered = enumerate(waiting)
    open_streams: list[tuple[float, int, float, Iterator[Item]]] = []
    now = 0.0
    for number, (weight, stream) in islice(numbered, at_once):
        heapq.heappush(open_streams, (1 / weight, number, weight, stream))
    while open_streams:
        now, number, weight, stream = open_streams[0]
        try:
            item = next(stream)
        except StopIteration:
            heapq.heappop(open_streams)
            for new_number, (new_weight, new_stream) in islice(numbered, 1):
                heapq.heappush(open_streams, (now + 1 / new_weight, new_number, new_weight, new_stream))
            continue
        heapq.heapreplace(open_streams, (now + 1 / weight, number, weight, stream))
        yield item


def mixed_rows(
    source: DataSource, columns: Sequence[str], *, base: Path, sample_seed: int | None
) -> Iterator[Row]:
    """Rows of a source in an order whose every beginning is a fair sample, as far as streaming allows.

    Several files are read side by side in proportion to their size. With a `sample_seed` (a limit is
    set, so only a beginning will be read) Hub data sets are shuffled: whole ones exactly, streamed ones
    through a buffer.
    """
    if source.dataset:
        return hub_rows(source, columns, sample_seed=sample_seed)
    paths = local_files(source, base)
    return mix(
        ((max(1, path.stat().st_size), file_rows(path, columns)) for path in paths), at_once=_OPEN_FILES
    )


def hub_rows(source: DataSource, columns: Sequence[str], *, sample_seed: int | None = None) -> Iterator[Row]:
    """Rows of a Hub data set. Lists of numbers come as numpy arrays."""
    data = load_hub(source)
    name = source_name(source)
    check_columns(columns, _hub_columns(data), name)
    if sample_seed is not None:
        buffer = {"buffer_size": _SHUFFLE_BUFFER} if source.streaming else {}
        data = data.shuffle(seed=sample_seed, **buffer)
    with _reading(name):
        for table in data.with_format("arrow").iter(batch_size=_ARROW_ROWS):
            yield from _arrow_rows(table, columns)


def load_hub(source: DataSource) -> Any:
    """Open a Hub data set: a `datasets.Dataset`, or an `IterableDataset` when streaming.

    Raises:
        CorpusError: it cannot be found or reached, or has no such config or split.
    """
    import datasets
    from httpx2 import HTTPError

    try:
        return datasets.load_dataset(
            source.dataset,
            source.config,
            split=source.split,
            revision=source.revision,
            streaming=source.streaming,
        )
    except (OSError, ValueError, RuntimeError, HTTPError, datasets.exceptions.DatasetsError) as error:
        raise CorpusError(
            f"cannot open the data set {source.dataset!r} (config {source.config!r}, split {source.split!r}, "
            f"revision {source.revision!r}): {error}; "
            "check the id and the network, and that you are logged in if it is private"
        ) from error


def resolve_revision(source: DataSource) -> str | None:
    """The commit that a Hub data set's revision stands for now; None where the Hub cannot be asked."""
    from httpx2 import HTTPError
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

    try:
        commit = HfApi().dataset_info(str(source.dataset), revision=source.revision).sha
    except (OfflineModeIsEnabled, HFValidationError, HfHubHTTPError, HTTPError, OSError):
        # Whether the data set can be had at all is load_dataset's to say: it may lie in the local cache.
        return None
    return commit


class DataCard(NamedTuple):
    """What a data set's own card says of it."""

    license: str | None = None
    citations: tuple[str, ...] = ()
    """BibTeX."""


def read_data_card(dataset: str, revision: str | None) -> DataCard:
    """Read the card of a Hub data set; it says nothing where there is none, or the Hub cannot be asked."""
    from httpx2 import HTTPError
    from huggingface_hub import DatasetCard, hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    try:
        path = hf_hub_download(dataset, "README.md", repo_type="dataset", revision=revision)
        text = Path(path).read_text(encoding="utf-8", errors="replace")
        licence = DatasetCard(text, ignore_metadata_errors=True).data.get("license")
    except (OfflineModeIsEnabled, HfHubHTTPError, HTTPError, OSError, ValueError, RecursionError):
        return DataCard()
    names = [licence] if isinstance(licence, str) else licence if isinstance(licence, list) else []
    return DataCard(", ".join(map(str, names)) or None, card_citations(text))


def file_rows(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    """Rows of a local file.

    Raises:
        MissingColumnError, CorpusError: as `read_rows`.
    """
    check_columns(columns, _file_columns(path), path.name)
    with _reading(path.name):
        yield from _FORMATS[_suffix(path)](path, columns)


def _suffix(path: Path) -> str:
    suffix = Path(path.name.lower().removesuffix(".gz")).suffix
    if suffix not in _FORMATS:
        raise CorpusError(
            f"{path.name}: unknown kind of file; expected {', '.join(_FORMATS)} (or these with .gz)"
        )
    return suffix


@contextmanager
def _reading(name: str) -> Iterator[None]:
    """Turn what goes wrong below into a CorpusError that names the source."""
    try:
        yield
    except (OSError, EOFError, zlib.error, csv.Error, pa.ArrowException) as error:
        raise CorpusError(f"{name}: cannot be read: {error}") from error


def _open(path: Path) -> IO[bytes]:
    return gzip.open(path, "rb") if path.name.lower().endswith(".gz") else path.open("rb")  # type: ignore[return-value]


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Numbered lines of a UTF-8 file, without their ends. Only a newline ends a line."""
    number = 0
    with _open(path) as file:
        try:
            for number, line in enumerate(file, 1):
                yield number, line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise CorpusError(f"{path.name}: line {number} is not UTF-8: {error.reason}") from None
        except (OSError, EOFError, zlib.error) as error:
            raise CorpusError(f"{path.name}: damaged after line {number}: {error}") from error


def _text_rows(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    return ((line,) * len(columns) for _, line in _lines(path))


def _json_records(path: Path) -> Iterator[dict[str, Any]]:
    for number, line in _lines(path):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError as error:
            raise CorpusError(f"{path.name}: line {number} is not JSON: {error}") from None
        if not isinstance(record, dict):
            raise CorpusError(f"{path.name}: line {number}: expected a JSON object, got {line[:60]!r}")
        yield record


def _json_rows(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    return (tuple(record.get(column) for column in columns) for record in _json_records(path))


def _csv_lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Records of a CSV file (quotes as in RFC 4180) or a TSV file (no quoting at all)."""
    if _suffix(path) == ".tsv":
        for number, line in _lines(path):
            yield number, line.split("\t")
        return
    csv.field_size_limit(_LONGEST_CSV_FIELD)
    reader = csv.reader((line + "\n" for _, line in _lines(path)), strict=True)
    try:
        for record in reader:
            yield reader.line_num, record
    except csv.Error as error:
        raise CorpusError(f"{path.name}: line {reader.line_num}: {error}") from None


def _csv_rows(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    records = _csv_lines(path)
    _, header = next(records)
    places = [header.index(column) for column in columns]
    for number, record in records:
        if len(record) == len(header):
            yield tuple(record[place] for place in places)
        elif any(record):
            raise CorpusError(
                f"{path.name}: line {number} has {len(record)} fields, the header {len(header)}"
            )


def _parquet_rows(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(_ARROW_ROWS, columns=list(dict.fromkeys(columns))):
            yield from _arrow_rows(batch, columns)


_FORMATS: dict[str, Callable[[Path, Sequence[str]], Iterator[Row]]] = {
    ".txt": _text_rows,
    ".jsonl": _json_rows,
    ".csv": _csv_rows,
    ".tsv": _csv_rows,
    ".parquet": _parquet_rows,
}


def _file_columns(path: Path) -> list[str]:
    suffix = _suffix(path)
    with _reading(path.name):
        if suffix == ".txt":
            return [TEXT_COLUMNS[0]]
        if suffix == ".jsonl":
            return list(next(_json_records(path), {}))
        if suffix == ".parquet":
            return list(pq.read_schema(path).names)
        return next((header for _, header in _csv_lines(path)), [])


def _hub_columns(data: Any) -> list[str]:
    names: list[str] | None = data.column_names
    return names if names is not None else list(next(iter(data), {}))


def _arrow_rows(table: Any, columns: Sequence[str]) -> Iterator[Row]:
    return zip(*(_arrow_values(table.column(column)) for column in columns), strict=True)


def _arrow_values(column: Any) -> list[Any]:
    """Values as Python objects; lists of floats as numpy arrays, which are many times quicker to make."""
    kind = column.type
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    if is_list and pa.types.is_floating(kind.value_type):
        return [v.values.to_numpy(zero_copy_only=False) if v.is_valid else None for v in column]
    values: list[Any] = column.to_pylist()
    return values
