"""The embedding cache against a `label` column of float lists in a data set.

Measures what one batch of 64 rows in random order costs the training (fetch and collate; tokenising is left
out on both sides), and the bytes on disk for a million texts without the texts themselves. The vectors are
random unit vectors: no figure depends on their values. The column is written as sentence-transformers'
distillation example writes it (`encode(...).tolist()`, which Arrow stores as float64), and, to give the peer
its best, also in float32 and read as torch tensors, and in float16, as which the cache keeps its vectors.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import datasets
import numpy as np
from comparison import arguments, at_least, conclude, show
from sentence_transformers.sentence_transformer.data_collator import SentenceTransformerDataCollator

from hubdistill.embedding_cache import CachedRows, CacheKey, EmbeddingCache
from hubdistill.trainer import CachedLabelCollator

BATCH = 64
BATCHES = 200
CHUNK = 5_000

Read = Callable[[list[int]], Any]


def main() -> None:
    parser = arguments(__doc__ or "", needs="needs: nothing but disk, about 20 kB for each text")
    parser.add_argument("--texts", type=at_least(1), default=50_000, help="rows on disk (default 50,000)")
    parser.add_argument(
        "--seed", type=at_least(0), default=12, help="of the vectors and the order (default 12)"
    )
    parser.add_argument(
        "--dimensions", type=at_least(1), nargs="+", default=[384, 1024], help="default 384 1024"
    )
    options = parser.parse_args()
    datasets.disable_progress_bars()
    rows: list[dict[str, Any]] = []
    for dimensions in options.dimensions:
        with tempfile.TemporaryDirectory() as folder:
            rows += measure(Path(folder), options.texts, dimensions, options.seed)
    show(
        rows,
        {
            "labels": "labels",
            "dimensions": "dim",
            "milliseconds": "ms per batch",
            "gigabytes": "GB per million texts",
        },
    )
    ours, peer = [[row for row in rows if row["labels"].startswith(side)] for side in ("cache", "column")]
    conclude(
        "labels",
        f"milliseconds for a batch of {BATCH} rows, {options.dimensions[-1]} dimensions",
        ours[-1]["milliseconds"],
        [row for row in peer if row["labels"] == EXAMPLE][-1]["milliseconds"],
        better="lower",
        seed=options.seed,
        texts=options.texts,
        results=rows,
    )


EXAMPLE = "column of float lists"


def measure(folder: Path, texts: int, dimensions: int, seed: int) -> list[dict[str, Any]]:
    """Write the same vectors in every way, then read batches of them in turn."""
    cached = write_cache(folder / "cache", texts, dimensions, seed)
    lists = write_column(folder / "lists", texts, dimensions, seed, None)
    floats = write_column(folder / "floats", texts, dimensions, seed, np.float32)
    halves = write_column(folder / "halves", texts, dimensions, seed, np.float16)
    collate = SentenceTransformerDataCollator(_no_tokens)
    index = datasets.Dataset.from_dict({"row": np.arange(texts), "length": np.zeros(texts, np.int32)})
    collate_cached = CachedLabelCollator(_no_tokens, texts=_Nothing(), vectors=cached)

    def column(data: datasets.Dataset) -> Read:
        return lambda rows: collate(data.__getitems__(rows))

    ways: dict[str, tuple[Read, Path]] = {
        "cache (float16)": (lambda rows: collate_cached(index.__getitems__(rows)), folder / "cache"),
        EXAMPLE: (column(lists), folder / "lists"),
        "column of float32 lists": (column(floats), folder / "floats"),
        "column of float32, as tensors": (column(floats.with_format("torch")), folder / "floats"),
        "column of float16, as tensors": (column(halves.with_format("torch")), folder / "halves"),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    rng = np.random.default_rng(seed)
    for _ in range(BATCHES):
        rows = rng.choice(texts, BATCH, replace=texts < BATCH).tolist()
        for name, (read, _) in ways.items():
            started = time.perf_counter()
            batch = read(rows)
            seconds[name].append(time.perf_counter() - started)
            assert batch["label"].shape == (BATCH, dimensions)
    return [
        {
            "labels": name,
            "dimensions": dimensions,
            "milliseconds": round(1_000 * statistics.median(seconds[name]), 4),
            "gigabytes": round(_bytes(path) / texts * 1e6 / 1e9, 3),
        }
        for name, (_, path) in ways.items()
    ]


def write_cache(folder: Path, texts: int, dimensions: int, seed: int) -> CachedRows:
    key = CacheKey("random", "none", None, None, "none", True, "float32")
    cache = EmbeddingCache.open(folder, key)
    hashes = np.random.default_rng(seed).integers(0, 256, (texts, 16), np.uint8)
    for start, vectors in unit_vectors(texts, dimensions, seed):
        cache.append(hashes[start : start + len(vectors)], vectors)
    cache.flush()
    return cache.view(hashes)


def write_column(
    folder: Path, texts: int, dimensions: int, seed: int, dtype: type[np.floating] | None
) -> datasets.Dataset:
    """A saved and reopened data set: as written by the example, or in a type of its own."""
    parts = [
        datasets.Dataset.from_dict({"label": vectors.tolist() if dtype is None else vectors.astype(dtype)})
        for _, vectors in unit_vectors(texts, dimensions, seed)
    ]
    datasets.concatenate_datasets(parts).save_to_disk(str(folder))
    return datasets.Dataset.load_from_disk(str(folder))


def unit_vectors(texts: int, dimensions: int, seed: int) -> Iterator[tuple[int, np.ndarray]]:
    rng = np.random.default_rng(seed)
    for start in range(0, texts, CHUNK):
        vectors = rng.standard_normal((min(CHUNK, texts - start), dimensions), np.float32)
        yield start, vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


class _Nothing:
    """Texts that are never tokenised."""

    def __len__(self) -> int:
        return 0

    def __getitem__(self, index: int, /) -> str:
        return ""


def _no_tokens(_inputs: list[str], **_: Any) -> dict[str, Any]:
    return {}


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


if __name__ == "__main__":
    main()
