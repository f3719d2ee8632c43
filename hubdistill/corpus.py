"""The corpus: texts from Hub data sets and local files, normalised, deduplicated, mixed and split.

A corpus is a folder. It is written once, whole or not at all, and used again as long as the recipe's
corpus settings, the local files and the data sets' revisions stay the same. Which texts are held out is
decided by each text's own hash, so a held-out text stays held out whatever the order, size or number of
sources.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from hubdistill import atomic, progress
from hubdistill import recipe as settings_of
from hubdistill.data_sources import (
    TEXT_COLUMNS,
    DataCard,
    available_columns,
    check_columns,
    local_files,
    mix,
    mixed_rows,
    read_data_card,
    read_pairs,
    read_rows,
    resolve_revision,
    source_name,
)
from hubdistill.errors import CorpusError, CorpusTooSmallError, MissingColumnError, RecipeError
from hubdistill.recipe import CorpusSource
from hubdistill.report import CorpusFacts, Source
from hubdistill.text_table import HASH_BYTES, Hashes, TextTable, TextTableWriter, text_hash, write_texts

__all__ = [
    "Corpus",
    "LabelColumn",
    "TextTable",
    "held_out_mask",
    "normalize",
    "read_corpus",
    "read_pairs",
    "read_rows",
    "text_hash",
    "write_texts",
]

FORMAT = 2
CHOOSING_TEXTS = 2_000
"""Held-out texts kept for choices while distilling, at most; nothing is measured on them."""

_MANIFEST, _TRAIN, _HELD_OUT = "corpus.json", "train.npy", "held_out.npy"
_LABELS, _LABEL_HASHES = "labels.bin", "label_hashes.bin"

# Control characters other than tab and newline, and the byte-order mark, carry no meaning in a text.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ufeff]+")
# Half a character, as JSON's escapes can smuggle in: no UTF-8 file can hold it.
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, eq=False)
class LabelColumn:
    """Teacher vectors that came with the texts."""

    folder: Path
    dimension: int
    digest: str
    """Of the vectors and their texts: part of the embedding cache's key, which so never mixes two origins."""

    @property
    def hashes(self) -> Hashes:
        """`text_hash` of each labelled text, shape (n, 16)."""
        return np.memmap(self.folder / _LABEL_HASHES, np.uint8, mode="r").reshape(-1, HASH_BYTES)

    @property
    def vectors(self) -> npt.NDArray[np.float16]:
        """Memory-mapped vectors, shape (n, dimension)."""
        return np.memmap(self.folder / _LABELS, np.float16, mode="r").reshape(-1, self.dimension)


@dataclass(frozen=True)
class Corpus:
    """Training texts in shuffled order, held-out texts, and what is known about them."""

    train: TextTable
    held_out: TextTable
    facts: CorpusFacts
    labels: LabelColumn | None

    @property
    def choosing(self) -> TextTable:
        """Held-out texts that choices are made by while distilling: the last of them, a quarter at most."""
        return replace(self.held_out, rows=self.held_out.rows[-self._for_choices :])

    @property
    def measured(self) -> TextTable:
        """Held-out texts that nothing was chosen by, which students are measured on."""
        return self.held_out.head(max(1, len(self.held_out) - self._for_choices))

    @property
    def _for_choices(self) -> int:
        return min(CHOOSING_TEXTS, max(1, len(self.held_out) // 4))


@dataclass
class _Count:
    """What happened to the texts of one source."""

    read: int = 0
    kept: int = 0
    duplicates: int = 0
    too_short: int = 0
    too_long: int = 0


@dataclass
class _Reader:
    """One pass over the sources, with the texts seen so far."""

    settings: settings_of.Corpus
    base: Path
    seed: int
    columns: list[tuple[str, ...]]
    seen: set[bytes] = field(default_factory=set)
    counts: list[_Count] = field(default_factory=list)

    def texts(self) -> Iterator[tuple[str, bytes, int, Any]]:
        """New texts over all sources: text, hash, source number, label."""
        self.counts = [_Count() for _ in self.settings.sources]
        streams = (
            (source.weight, islice(self._source(number), source.texts))
            for number, source in enumerate(self.settings.sources)
        )
        return islice(mix(streams), self.settings.texts)

    def _source(self, number: int) -> Iterator[tuple[str, bytes, int, Any]]:
        source, count = self.settings.sources[number], self.counts[number]
        columns = self.columns[number]
        limited = source.texts is not None or self.settings.texts is not None
        wanted = (*columns, source.label) if source.label else columns
        rows = mixed_rows(source, wanted, base=self.base, sample_seed=self.seed if limited else None)
        for row in rows:
            label = row[-1] if source.label else None
            for column, value in zip(columns, row, strict=False):
                for raw in value if isinstance(value, list) else (value,):
                    count.read += 1
                    if raw is not None and not isinstance(raw, str):
                        raise CorpusError(
                            f"{source_name(source)}: column {column!r} holds {type(raw).__name__}, not text; "
                            "name the columns of texts under `columns`"
                        )
                    text = normalize(raw or "", self.settings.unicode)
                    digest = text_hash(text)
                    if self._is_new(text, digest, count):
                        yield text, digest, number, label

    def _is_new(self, text: str, digest: bytes, count: _Count) -> bool:
        if len(text) < self.settings.min_characters:
            count.too_short += 1
        elif len(text) > self.settings.max_characters:
            count.too_long += 1
        elif digest in self.seen:
            count.duplicates += 1
        else:
            self.seen.add(digest)
            count.kept += 1
            return True
        return False


class _LabelWriter:
    """Writes vectors beside their texts' hashes, and holds them to one dimension."""

    def __init__(self, folder: Path) -> None:
        self._vectors = (folder / _LABELS).open("wb")
        self._hashes = (folder / _LABEL_HASHES).open("wb")
        self._content = hashlib.sha256()
        self.dimension = 0

    def add(self, digest: bytes, label: Any, place: str) -> None:
        try:
            vector = np.asarray([] if label is None else label, dtype=np.float16)
        except (TypeError, ValueError):
            vector = np.empty(0, np.float16)
        if vector.ndim != 1 or not vector.size or not np.isfinite(vector).all():
            raise CorpusError(f"{place}: a label is not a list of finite numbers: {label!r:.60}")
        if self.dimension not in (0, vector.size):
            raise CorpusError(
                f"{place}: a label has {vector.size} dimensions, those before it {self.dimension}"
            )
        self.dimension = vector.size
        self._vectors.write(vector.tobytes())
        self._hashes.write(digest)
        self._content.update(digest + vector.tobytes())

    @property
    def digest(self) -> str:
        """Of all that was written."""
        return self._content.hexdigest()

    def __enter__(self) -> _LabelWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._vectors.close()
        self._hashes.close()


def normalize(text: str, form: Literal["NFC", "NFKC"] = "NFC") -> str:
    """Bring a text into the form in which it is compared, stored and embedded.

    Unicode normalisation; newlines as \\n; other control characters to spaces; no space at the ends.
    """
    text = _CONTROL.sub(" ", text.replace("\r\n", "\n").replace("\r", "\n"))
    return unicodedata.normalize(form, _SURROGATE.sub("\ufffd", text)).strip()


def held_out_mask(hashes: Hashes, share: float) -> npt.NDArray[np.bool_]:
    """Which texts are held out: those whose hash, read as a fraction, is below the share."""
    leading = np.ascontiguousarray(hashes[:, :8]).view(">u8").reshape(-1)
    return np.asarray(leading < np.uint64(share * 2**64))


def read_corpus(settings: settings_of.Corpus, folder: Path, *, base: Path, seed: int) -> Corpus:
    """Read a corpus into a folder, or open it when the folder already holds it.

    Every beginning of `train` is a fair mix of the sources. Of a source that is not read to its end
    (a limit is set), files contribute in proportion to their size, each from its start.

    Args:
        settings: the recipe's `corpus`.
        folder: where the corpus is kept; replaced when it holds another one.
        base: the folder that relative paths of the recipe start from.
        seed: decides the order of `train` and the sample of Hub data sets under a limit.

    Raises:
        MissingColumnError: a source lacks a column it was asked for.
        CorpusTooSmallError: no texts remain, or none for one of the two parts.
        CorpusError: a source cannot be read.
    """
    for number, source in enumerate(settings.sources):
        if source.label and len(source.columns) > 1:
            raise RecipeError(
                f"corpus.sources.{number}: `label` goes with a single text column, not {len(source.columns)}"
            )
    key = _key(settings, base, seed)
    revisions = [resolve_revision(source) if source.dataset else None for source in settings.sources]
    found = _manifest(folder)
    if found and found["key"] == key and _same_revisions(revisions, found["revisions"]):
        return _open(folder, found)
    pinned = settings.model_copy(
        update={
            "sources": tuple(
                source.model_copy(update={"revision": revision}) if revision else source
                for source, revision in zip(settings.sources, revisions, strict=True)
            )
        }
    )
    with atomic.new_folder(folder) as beside:
        _write(beside, pinned, key, revisions, base=base, seed=seed)
    return _open(folder, json.loads((folder / _MANIFEST).read_text(encoding="utf-8")))


def _write(
    folder: Path,
    settings: settings_of.Corpus,
    key: str,
    revisions: list[str | None],
    *,
    base: Path,
    seed: int,
) -> None:
    columns = [text_columns(source, base) for source in settings.sources]
    reader = _Reader(settings, base, seed, columns)
    with (
        TextTableWriter(folder) as writer,
        _LabelWriter(folder) as labels,
        progress.track(settings.texts, "Reading texts") as advance,
    ):
        for text, digest, number, label in reader.texts():
            source = settings.sources[number]
            if source.label:
                labels.add(digest, label, source_name(source))
            writer.add(text, digest, number)
            advance(1)
    names = ", ".join(source_name(source) for source in settings.sources)
    count = len(reader.seen)
    if not count:
        dropped = sum(c.too_short + c.too_long for c in reader.counts)
        why = (
            f"all {dropped} are shorter than corpus.min_characters ({settings.min_characters}) or longer "
            f"than corpus.max_characters ({settings.max_characters})"
            if dropped
            else "there is nothing to read; check corpus.sources"
        )
        raise CorpusTooSmallError(f"no texts in {names}: {why}")
    table = TextTable(folder, np.arange(count))
    held_out = held_out_mask(table.hashes, settings.held_out)
    order = np.random.default_rng(seed).permutation(count)
    train, rest = order[~held_out[order]], order[held_out[order]]
    if not len(train) or not len(rest):
        part = "train on" if not len(train) else "hold out"
        raise CorpusTooSmallError(
            f"{names}: {count} texts leave none to {part} at corpus.held_out = {settings.held_out}; "
            "add texts or change the share"
        )
    np.save(folder / _TRAIN, train)
    np.save(folder / _HELD_OUT, rest)
    facts = CorpusFacts(
        sources=tuple(
            _facts(*parts) for parts in zip(settings.sources, columns, revisions, reader.counts, strict=True)
        ),
        texts=len(train),
        held_out=len(rest),
        duplicates=sum(c.duplicates for c in reader.counts),
        too_short=sum(c.too_short for c in reader.counts),
        too_long=sum(c.too_long for c in reader.counts),
        sha256=hashlib.sha256(TextTable(folder, train).hashes.tobytes()).hexdigest(),
    )
    manifest = {
        "format": FORMAT,
        "key": key,
        "revisions": revisions,
        "label_dimension": labels.dimension,
        "label_digest": labels.digest,
        "facts": facts.model_dump(mode="json"),
    }
    atomic.write_text(folder / _MANIFEST, json.dumps(manifest, indent=2) + "\n")


def _open(folder: Path, manifest: dict[str, Any]) -> Corpus:
    dimension = manifest["label_dimension"]
    return Corpus(
        train=TextTable(folder, np.load(folder / _TRAIN)),
        held_out=TextTable(folder, np.load(folder / _HELD_OUT)),
        facts=CorpusFacts.model_validate(manifest["facts"]),
        labels=LabelColumn(folder, dimension, manifest["label_digest"]) if dimension else None,
    )


def _manifest(folder: Path) -> dict[str, Any] | None:
    try:
        found = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and found.get("format") == FORMAT else None


def _same_revisions(now: list[str | None], then: list[str | None]) -> bool:
    """Whether no data set has moved, as far as can be seen: an unreachable Hub says nothing."""
    return all(new is None or new == old for new, old in zip(now, then, strict=True))


def _key(settings: settings_of.Corpus, base: Path, seed: int) -> str:
    """What the corpus depends on, apart from the data sets' revisions."""
    files = [
        [str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns]
        for source in settings.sources
        if source.files
        for path in local_files(source, base)
    ]
    parts = [FORMAT, settings.model_dump(mode="json"), files, seed]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def text_columns(source: CorpusSource, base: Path) -> tuple[str, ...]:
    available = available_columns(source, base=base)
    name = source_name(source)
    if not available:
        raise CorpusTooSmallError(f"no texts in {name}: there is nothing to read; check corpus.sources")
    if source.label:
        check_columns([source.label], available, name)
    if source.columns:
        check_columns(source.columns, available, name)
        return source.columns
    for column in TEXT_COLUMNS:
        if column in available:
            return (column,)
    raise MissingColumnError(
        f"{name} has no column named {' or '.join(TEXT_COLUMNS)}; "
        f"set `columns` to some of: {', '.join(available)}"
    )


def _facts(source: CorpusSource, columns: tuple[str, ...], revision: str | None, count: _Count) -> Source:
    # Without a revision, the Hub could not be asked.
    declared = read_data_card(source.dataset, revision) if source.dataset and revision else DataCard()
    return Source(
        name=source_name(source),
        hub_id=source.dataset,
        config=source.config,
        split=source.split if source.dataset else None,
        revision=revision,
        columns=columns,
        weight=source.weight,
        read=count.read,
        kept=count.kept,
        language=source.language,
        license=declared.license,
        citations=declared.citations,
    )
