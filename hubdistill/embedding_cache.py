"""Teacher vectors on disk: keyed, sharded, checksummed, resumable and memory-mapped.

Layout of a cache folder::

    <digest of the key>/
        key.json                 what the vectors are: teacher, revision, prompt, ...
        <name>.vectors           float16 rows, C order
        <name>.hashes            16 bytes a row: the text each vector belongs to
        <name>.json              the shard's rows, dimension and SHA-256 sums

A shard exists once its .json does; that file is written last, so a killed run loses at most the shard
in hand. Names are random, so any number of processes write into one folder without locks. Each entry
of the index takes 20 bytes: 200 MB for ten million texts.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hubdistill import atomic
from hubdistill.errors import CacheError
from hubdistill.numbers import size
from hubdistill.text_table import HASH_BYTES, Hashes

logger = logging.getLogger(__name__)

SHARD_BYTES = 64 << 20
SHARD_SECONDS = 120.0
"""A shard is also written when it has been filling for so long: what a killed run can lose."""
_SECONDS_UNTIL_ABANDONED = 3600

Rows = npt.NDArray[np.int64]
Vectors = npt.NDArray[np.float16]


@dataclass(frozen=True)
class CacheKey:
    """Everything that a vector depends on besides its text."""

    teacher: str
    revision: str
    """Commit on the Hub, or digest of a local folder's files."""
    prompt: str | None
    max_length: int | None
    pooling: str
    """The modules after the encoder, with their settings."""
    normalize: bool
    dtype: str
    """Precision of the teacher pass."""
    labels: str | None = None
    """Origin of vectors that came with the texts instead of from the teacher."""

    @property
    def digest(self) -> str:
        """Name of the folder that holds vectors under this key."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:32]


@dataclass(frozen=True, eq=False)
class _Shard:
    name: str
    rows: int
    dimension: int
    sums: dict[str, str]
    vectors: Vectors


class CachedRows:
    """Vectors of a list of texts, in its order, read from disk when asked for."""

    def __init__(self, cache: EmbeddingCache, rows: Rows) -> None:
        self.cache = cache
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int | slice | npt.ArrayLike) -> Vectors:
        """Vectors at some positions: float16, shape (n, dimension); (dimension,) for a single one."""
        if isinstance(index, int | np.integer):
            single: Vectors = self.cache[self.rows[[int(index)]]][0]
            return single
        chosen = self.rows[index] if isinstance(index, slice) else self.rows[np.asarray(index)]
        return self.cache[chosen]

    @property
    def shape(self) -> tuple[int, int]:
        """Number of texts, and dimensions."""
        return len(self.rows), self.cache.dimension or 0


class EmbeddingCache:
    """Vectors under one key. See the module docstring; open with `EmbeddingCache.open`.

    Row numbers hold for this object only: shards are numbered in the order in which it met them.
    """

    def __init__(self, folder: Path, shard_bytes: int) -> None:
        self.folder = folder
        self.dimension: int | None = None
        self._shard_bytes = shard_bytes
        self._shards: list[_Shard] = []
        self._starts = np.zeros(1, np.int64)
        self._index: _Index | None = None
        self._pending: list[tuple[Hashes, Vectors]] = []
        self._pending_rows = 0
        self._pending_since = 0.0

    @classmethod
    def open(cls, folder: Path, key: CacheKey, *, shard_bytes: int | None = None) -> EmbeddingCache:
        """Open the vectors under a key, whether there are any yet or not."""
        own = folder / key.digest
        with _disk(own, 0):
            own.mkdir(parents=True, exist_ok=True)
            if not (own / "key.json").exists():
                atomic.write_text(own / "key.json", json.dumps(asdict(key), indent=2) + "\n")
        cache = cls(own, shard_bytes or SHARD_BYTES)
        cache.reload()
        return cache

    def __len__(self) -> int:
        """Rows stored, a text that two processes embedded counted twice."""
        return int(self._starts[-1])

    def reload(self) -> None:
        """Take in the shards that other processes have finished since."""
        known = {shard.name for shard in self._shards}
        names = sorted(path.stem for path in self.folder.glob("*.json") if path.stem != "key")
        for name in names:
            if name not in known and (shard := self._load(name)):
                self._add(shard)

    def verify(self) -> list[str]:
        """Check every shard against its checksums.

        A shard that fails is deleted, so its texts are missing again and will be embedded anew; each
        is logged. Also removes what killed runs left behind.

        Returns:
            The names of the deleted shards.
        """
        bad = [
            path.stem
            for path in sorted(self.folder.glob("*.json"))
            if path.stem != "key" and not self._is_sound(path.stem)
        ]
        for name in bad:
            logger.warning("%s: shard %s is damaged; its texts will be embedded again", self.folder, name)
            self._remove(name)
        for path in [*self.folder.glob("*.vectors"), *self.folder.glob("*.hashes"), *self.folder.glob(".*")]:
            # A file without its .json may be a shard that another process is writing at this moment.
            abandoned = time.time() - path.stat().st_mtime > _SECONDS_UNTIL_ABANDONED
            if abandoned and not path.with_suffix(".json").exists():
                path.unlink(missing_ok=True)
        if bad:
            self._shards, self._starts, self._index = [], np.zeros(1, np.int64), None
            self.reload()
        return bad

    def missing(self, hashes: Hashes) -> Rows:
        """Positions of the texts that have no vector yet, each text once.

        Args:
            hashes: `text_hash` of the texts, shape (n, 16).
        """
        absent = np.flatnonzero(self._find(hashes) < 0)
        _, first = np.unique(_halves(hashes[absent]), axis=0, return_index=True)
        return absent[np.sort(first)]

    def require_space(self, rows: int, dimension: int) -> None:
        """Find out before the work begins whether the disk can hold so many more vectors.

        Raises:
            CacheError: it cannot.
        """
        needed = rows * (2 * dimension + HASH_BYTES)
        if shutil.disk_usage(self.folder).free < needed:
            raise _full_disk(self.folder, needed)

    def append(self, hashes: Hashes, vectors: npt.ArrayLike) -> None:
        """Add vectors; they are on disk once a shard is full or `flush` was called.

        Args:
            hashes: `text_hash` of the texts, shape (n, 16).
            vectors: shape (n, dimension), in any float type; stored as float16.

        Raises:
            CacheError: the disk is full, or a vector does not fit: another dimension, NaN or infinity.
        """
        with np.errstate(over="ignore"):
            rows = np.asarray(vectors).astype(np.float16)
        if rows.ndim != 2 or len(rows) != len(hashes):
            raise CacheError(
                f"expected {len(hashes)} vectors, one a text, got an array of shape {rows.shape}"
            )
        if self.dimension not in (None, rows.shape[1]):
            raise CacheError(f"{self.folder} holds {self.dimension} dimensions, got {rows.shape[1]}")
        if not np.isfinite(rows).all():
            raise CacheError(
                "the teacher gave NaN, infinity or values beyond float16 (65504); try teacher.dtype: float32"
            )
        self.dimension = rows.shape[1]
        if not self._pending:
            self._pending_since = time.monotonic()
        self._pending.append((hashes, rows))
        self._pending_rows += len(rows)
        full = self._pending_rows * self.dimension * 2 >= self._shard_bytes
        if full or time.monotonic() - self._pending_since > SHARD_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write what was appended as a shard."""
        if not self._pending:
            return
        hashes = np.concatenate([part for part, _ in self._pending])
        vectors = np.concatenate([part for _, part in self._pending])
        name = uuid.uuid4().hex
        parts = {"vectors": vectors, "hashes": hashes}
        sums = {}
        with _disk(self.folder, vectors.nbytes + hashes.nbytes):
            try:
                for kind, array in parts.items():
                    data = np.ascontiguousarray(array).data.cast("B")
                    sums[kind] = hashlib.sha256(data).hexdigest()
                    with (self.folder / f"{name}.{kind}").open("wb") as file:
                        file.write(data)
                        file.flush()
                        os.fsync(file.fileno())
                about = {"rows": len(vectors), "dimension": self.dimension, "sha256": sums}
                atomic.write_text(self.folder / f"{name}.json", json.dumps(about, indent=2) + "\n")
            except BaseException:
                self._remove(name)
                raise
        self._pending, self._pending_rows = [], 0
        if shard := self._load(name):
            self._add(shard)

    def rows(self, hashes: Hashes) -> Rows:
        """Row numbers of texts.

        Raises:
            CacheError: some have no vector.
        """
        rows = self._find(hashes)
        if absent := int((rows < 0).sum()):
            raise CacheError(
                f"{absent} of {len(rows)} texts have no vector in {self.folder}; `hubdistill embed` adds them"
            )
        return rows

    def view(self, hashes: Hashes) -> CachedRows:
        """The vectors of some texts as a sequence that stays on disk.

        Raises:
            CacheError: some have no vector.
        """
        return CachedRows(self, self.rows(hashes))

    def __getitem__(self, rows: Rows) -> Vectors:
        """Vectors by row number: float16, shape (n, dimension)."""
        vectors = np.empty((len(rows), self.dimension or 0), np.float16)
        places = np.searchsorted(self._starts, rows, side="right") - 1
        for place in np.unique(places).tolist():
            chosen = np.flatnonzero(places == place)
            vectors[chosen] = self._shards[place].vectors[rows[chosen] - self._starts[place]]
        return vectors

    def _load(self, name: str) -> _Shard | None:
        """Open a shard; None when its files do not have the sizes that its .json says."""
        try:
            about: dict[str, Any] = json.loads((self.folder / f"{name}.json").read_text(encoding="utf-8"))
            rows, dimension = int(about["rows"]), int(about["dimension"])
            path = self.folder / f"{name}.vectors"
            sizes = (path.stat().st_size, (self.folder / f"{name}.hashes").stat().st_size)
            if sizes != (rows * dimension * 2, rows * HASH_BYTES):
                raise ValueError(f"unexpected sizes {sizes}")
        except (OSError, ValueError, KeyError, TypeError) as error:
            logger.warning("%s: shard %s is left out: %s", self.folder, name, error)
            return None
        # A plain view: indexing an np.memmap itself costs several times as much.
        vectors = np.asarray(np.memmap(path, np.float16, mode="r", shape=(rows, dimension)))
        return _Shard(name, rows, dimension, about["sha256"], vectors)

    def _add(self, shard: _Shard) -> None:
        if self.dimension not in (None, shard.dimension):
            raise CacheError(
                f"{self.folder} holds shards of {self.dimension} and of {shard.dimension} dimensions"
            )
        self.dimension = shard.dimension
        self._shards.append(shard)
        self._starts = np.append(self._starts, self._starts[-1] + shard.rows)
        self._index = None

    def _is_sound(self, name: str) -> bool:
        try:
            sums = json.loads((self.folder / f"{name}.json").read_text(encoding="utf-8"))["sha256"]
            return all(
                _sha256(self.folder / f"{name}.{kind}") == sums[kind] for kind in ("vectors", "hashes")
            )
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def _remove(self, name: str) -> None:
        for kind in ("json", "vectors", "hashes"):
            (self.folder / f"{name}.{kind}").unlink(missing_ok=True)

    def _find(self, hashes: Hashes) -> Rows:
        """Row number of each text, -1 where there is none."""
        if self._index is None:
            parts = [np.fromfile(self.folder / f"{s.name}.hashes", np.uint8) for s in self._shards]
            stored = np.concatenate(parts) if parts else np.empty(0, np.uint8)
            self._index = _Index(stored.reshape(-1, HASH_BYTES))
        return self._index.find(hashes)


class _Index:
    """Finds hashes: sorted by their first half, compared by both."""

    def __init__(self, hashes: Hashes) -> None:
        halves = _halves(hashes)
        order = np.argsort(halves[:, 0], kind="stable").astype(np.uint32)
        self.first = halves[order, 0]
        self.second = halves[order, 1]
        self.row = order

    def find(self, hashes: Hashes) -> Rows:
        """Row of each hash, -1 where there is none."""
        wanted = _halves(hashes)
        found = np.full(len(wanted), -1, np.int64)
        place = np.searchsorted(self.first, wanted[:, 0])
        left = np.arange(len(wanted))
        # One step in all but the case that two texts share the first half of their hash.
        while len(left := left[place[left] < len(self.first)]):
            left = left[self.first[place[left]] == wanted[left, 0]]
            same = self.second[place[left]] == wanted[left, 1]
            found[left[same]] = self.row[place[left[same]]]
            left = left[~same]
            place[left] += 1
        return found


def _halves(hashes: Hashes) -> npt.NDArray[np.uint64]:
    """16-byte hashes as two integers, shape (n, 2)."""
    return np.ascontiguousarray(hashes).view(np.uint64).reshape(-1, 2)


def _sha256(path: Path) -> str:
    status = path.stat()
    return _sha256_of_state(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=4096)
def _sha256_of_state(path: Path, size: int, changed: int) -> str:
    """One process reads a file again only when size or time of change say that it is another one."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _disk(folder: Path, needed: int) -> Iterator[None]:
    """Say what a full disk needs."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise _full_disk(folder, needed) from error


def _full_disk(folder: Path, needed: int) -> CacheError:
    free = shutil.disk_usage(folder if folder.exists() else folder.anchor or ".").free
    return CacheError(
        f"the disk that holds {folder} is full: {size(needed)} needed, {size(free)} free. "
        "Free some space or set `output` to another disk, then run again: finished shards are kept"
    )
