"""Texts on disk, read through a memory map."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

HASH_BYTES = 16
Hashes = npt.NDArray[np.uint8]

_ROWS_PER_BATCH = 10_000
_SCHEMA = pa.schema({"text": pa.string()})
_TEXTS, _HASHES, _SOURCES = "texts.arrow", "hashes.bin", "sources.bin"


def text_hash(text: str) -> bytes:
    """The 16-byte BLAKE2b of a normalised text: its key in the embedding cache and in the split."""
    return blake2b(text.encode(), digest_size=HASH_BYTES).digest()


@dataclass(frozen=True, eq=False)
class TextTable:
    """A selection of texts from a folder written by `TextTableWriter`.

    Memory holds the row numbers only. Tables pickle as folder and rows, so data loader workers open
    the files anew.
    """

    folder: Path
    rows: npt.NDArray[np.int64]
    """Rows of the files, in the order of this table."""

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> str:
        return self._text(int(self.rows[index]))

    def __iter__(self) -> Iterator[str]:
        for batch in self.batches(_ROWS_PER_BATCH):
            yield from batch

    def texts(self, start: int = 0, stop: int | None = None) -> list[str]:
        """Texts from `start` up to, not including, `stop`."""
        return [self._text(row) for row in self.rows[start:stop].tolist()]

    def batches(self, size: int) -> Iterator[list[str]]:
        """All texts in order, `size` at a time."""
        for start in range(0, len(self), size):
            yield self.texts(start, start + size)

    def head(self, n: int) -> TextTable:
        """The first `n` texts: of a corpus, a fair sample."""
        return replace(self, rows=self.rows[:n])

    def select(self, positions: npt.NDArray[np.int64]) -> TextTable:
        """The texts at some positions, in their order."""
        return replace(self, rows=self.rows[positions])

    @property
    def hashes(self) -> Hashes:
        """`text_hash` of each text, shape (n, 16)."""
        stored = np.memmap(self.folder / _HASHES, np.uint8, mode="r").reshape(-1, HASH_BYTES)
        return np.asarray(stored[self.rows])

    @property
    def source_index(self) -> npt.NDArray[np.int16]:
        """For each text, which source of the recipe it came from."""
        return np.asarray(np.memmap(self.folder / _SOURCES, "<i2", mode="r")[self.rows])

    @cached_property
    def _chunks(self) -> list[Any]:
        table = pa.ipc.open_stream(pa.memory_map(str(self.folder / _TEXTS))).read_all()
        return list(table.column("text").chunks)

    def _text(self, row: int) -> str:
        text: str = self._chunks[row // _ROWS_PER_BATCH][row % _ROWS_PER_BATCH].as_py()
        return text

    def __getstate__(self) -> dict[str, Any]:
        return {"folder": self.folder, "rows": self.rows}


class TextTableWriter:
    """Writes texts, one by one, into a folder that `TextTable` reads.

    Use as a context manager; rows are numbered in the order of `add`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._pending: list[str] = []
        self._texts = pa.ipc.new_stream(str(folder / _TEXTS), _SCHEMA)
        self._hashes = (folder / _HASHES).open("wb")
        self._sources = (folder / _SOURCES).open("wb")

    def add(self, text: str, digest: bytes, source: int = 0) -> None:
        """Append a text with its `text_hash` and the number of its source."""
        self._pending.append(text)
        self._hashes.write(digest)
        self._sources.write(source.to_bytes(2, "little"))
        if len(self._pending) == _ROWS_PER_BATCH:
            self._write()

    def _write(self) -> None:
        self._texts.write_batch(pa.record_batch([pa.array(self._pending, pa.string())], schema=_SCHEMA))
        self._pending = []

    def __enter__(self) -> TextTableWriter:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pending:
            self._write()
        self._texts.close()
        self._hashes.close()
        self._sources.close()


def write_texts(folder: Path, texts: Iterator[str] | list[str]) -> TextTable:
    """Write texts as they are into a folder and return them all as a table."""
    folder.mkdir(parents=True, exist_ok=True)
    count = 0
    with TextTableWriter(folder) as writer:
        for text in texts:
            writer.add(text, text_hash(text))
            count += 1
    return TextTable(folder, np.arange(count))
