"""The embedding cache: what it keeps, what it notices, and what a killed run costs."""

from __future__ import annotations

import errno
import logging
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubdistill import embedding_cache
from hubdistill.corpus import text_hash
from hubdistill.embedding_cache import CacheKey, EmbeddingCache
from hubdistill.errors import CacheError

KEY = CacheKey(
    teacher="org/teacher",
    revision="a" * 40,
    prompt=None,
    max_length=64,
    pooling="mean",
    normalize=True,
    dtype="float32",
)


def hashes_of(*numbers: int) -> np.ndarray:
    return np.frombuffer(b"".join(text_hash(str(n)) for n in numbers), np.uint8).reshape(-1, 16)


def vectors_of(*numbers: int, dimension: int = 8) -> np.ndarray:
    """A vector that tells its text: all entries are the number."""
    return np.repeat(np.array(numbers, np.float32)[:, None], dimension, axis=1)


def filled(folder: Path, shards: int = 3) -> EmbeddingCache:
    """Texts 0 to 10*shards - 1, ten to a shard."""
    cache = EmbeddingCache.open(folder, KEY)
    for start in range(0, 10 * shards, 10):
        cache.append(hashes_of(*range(start, start + 10)), vectors_of(*range(start, start + 10)))
        cache.flush()
    return cache


def files(folder: Path, pattern: str) -> list[Path]:
    return sorted(path for path in (folder / KEY.digest).glob(pattern) if path.name != "key.json")


def test_vectors_come_back_by_text_in_any_order(tmp_path: Path) -> None:
    filled(tmp_path)
    view = EmbeddingCache.open(tmp_path, KEY).view(hashes_of(25, 3, 3, 17))
    assert view.shape == (4, 8)
    assert view[:].dtype == np.float16
    assert view[:][:, 0].tolist() == [25, 3, 3, 17]
    assert view[1:3][:, 0].tolist() == [3, 3]
    assert view[np.array([3, 0])][:, 0].tolist() == [17, 25]
    assert view[[0, 3]].shape == (2, 8)
    assert (view[0][0], view[-1][0]) == (25, 17)


def test_appended_rows_can_be_read_without_reopening(tmp_path: Path) -> None:
    cache = filled(tmp_path, shards=1)
    view = cache.view(hashes_of(4))
    cache.append(hashes_of(100), vectors_of(100))
    cache.flush()
    assert view[0][0] == 4
    assert cache.view(hashes_of(100))[0][0] == 100


def test_only_new_texts_are_missing_and_each_once(tmp_path: Path) -> None:
    cache = filled(tmp_path, shards=1)
    assert cache.missing(hashes_of(3, 50, 9, 51, 50)).tolist() == [1, 3]


def test_reading_a_missing_text_says_how_many_lack(tmp_path: Path) -> None:
    with pytest.raises(CacheError, match=r"2 of 3 texts have no vector .*`hubdistill embed` adds them"):
        filled(tmp_path, shards=1).rows(hashes_of(1, 50, 51))


def test_another_key_is_another_cache(tmp_path: Path) -> None:
    filled(tmp_path)
    for change in ({"revision": "b"}, {"prompt": "query: "}, {"max_length": 32}, {"dtype": "bfloat16"}):
        other = EmbeddingCache.open(tmp_path, replace(KEY, **change))
        assert len(other.missing(hashes_of(1, 2))) == 2


def test_shards_are_of_bounded_size(tmp_path: Path) -> None:
    cache = EmbeddingCache.open(tmp_path, KEY, shard_bytes=10 * 8 * 2)
    for number in range(35):
        cache.append(hashes_of(number), vectors_of(number))
    assert len(files(tmp_path, "*.vectors")) == 3
    cache.flush()
    assert len(files(tmp_path, "*.vectors")) == 4
    assert len(cache) == 35


def test_a_slow_teacher_still_leaves_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding_cache, "SHARD_SECONDS", -1.0)
    EmbeddingCache.open(tmp_path, KEY).append(hashes_of(1), vectors_of(1))
    assert len(files(tmp_path, "*.vectors")) == 1


@pytest.mark.parametrize("kind", ["vectors", "hashes"])
def test_a_flipped_byte_is_noticed_said_and_embedded_again(
    kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    filled(tmp_path)
    damaged = files(tmp_path, f"*.{kind}")[1]
    content = bytearray(damaged.read_bytes())
    content[5] ^= 1
    damaged.write_bytes(content)
    cache = EmbeddingCache.open(tmp_path, KEY)
    with caplog.at_level(logging.WARNING):
        assert cache.verify() == [damaged.stem]
    assert f"shard {damaged.stem} is damaged; its texts will be embedded again" in caplog.text
    missing = cache.missing(hashes_of(*range(30)))
    assert len(missing) == 10
    cache.append(hashes_of(*missing), vectors_of(*missing))
    cache.flush()
    assert cache.verify() == []
    assert cache.view(hashes_of(*range(30)))[:][:, 0].tolist() == list(range(30))


def test_sound_shards_pass(tmp_path: Path) -> None:
    assert filled(tmp_path).verify() == []


@pytest.mark.parametrize("torn", ["vectors", "hashes", "json"])
def test_a_torn_shard_is_left_out(torn: str, tmp_path: Path) -> None:
    filled(tmp_path)
    path = files(tmp_path, f"*.{torn}")[0]
    path.write_bytes(path.read_bytes()[:-7])
    cache = EmbeddingCache.open(tmp_path, KEY)
    assert len(cache) == 20
    assert cache.verify() == [path.stem]


def test_a_shard_without_its_last_file_does_not_exist(tmp_path: Path) -> None:
    filled(tmp_path)
    unfinished = files(tmp_path, "*.json")[0]
    unfinished.unlink()
    cache = EmbeddingCache.open(tmp_path, KEY)
    assert len(cache) == 20
    # It may be another process's shard in hand, so it goes only when it is old.
    cache.verify()
    assert unfinished.with_suffix(".vectors").exists()
    for kind in (".vectors", ".hashes"):
        os.utime(unfinished.with_suffix(kind), (0, 0))
    cache.verify()
    assert not unfinished.with_suffix(".vectors").exists()
    assert len(cache) == 20


def test_processes_write_side_by_side_and_see_each_other_after_reload(tmp_path: Path) -> None:
    one, two = EmbeddingCache.open(tmp_path, KEY), EmbeddingCache.open(tmp_path, KEY)
    one.append(hashes_of(1, 3), vectors_of(1, 3))
    two.append(hashes_of(2, 3), vectors_of(2, 3))
    one.flush()
    two.flush()
    for cache in (one, two):
        cache.reload()
        assert cache.view(hashes_of(3, 2, 1))[:][:, 0].tolist() == [3, 2, 1]


def test_a_full_disk_says_what_it_needs_and_leaves_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = filled(tmp_path, shards=1)
    before = sorted((tmp_path / KEY.digest).iterdir())

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    cache.append(hashes_of(50), vectors_of(50))
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(
            CacheError,
            match=r"is full: [0-9.]+ (bytes|[kMG]?B) needed, .* free\. Free some space or set `output`",
        ):
            cache.flush()
    assert sorted((tmp_path / KEY.digest).iterdir()) == before
    cache.flush()
    assert cache.view(hashes_of(50))[0][0] == 50


def test_too_little_space_is_said_before_the_work_begins(tmp_path: Path) -> None:
    cache = filled(tmp_path, shards=1)
    free = shutil.disk_usage(tmp_path).free
    cache.require_space(10, 8)
    with pytest.raises(CacheError, match="is full"):
        cache.require_space(free // 16, 8)


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        (np.full((1, 8), np.nan), "NaN"),
        (np.full((1, 8), 1e6), "beyond float16"),
        (np.zeros((1, 9)), "holds 8 dimensions, got 9"),
        (np.zeros((2, 8)), "expected 1 vectors"),
    ],
)
def test_vectors_that_do_not_fit_are_refused(vectors: np.ndarray, message: str, tmp_path: Path) -> None:
    with pytest.raises(CacheError, match=message):
        filled(tmp_path, shards=1).append(hashes_of(50), vectors)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=12), st.integers(0, 20))
def test_the_index_tells_apart_hashes_that_share_a_half(pairs: list[tuple[int, int]], absent: int) -> None:
    stored = np.array(list(dict.fromkeys(pairs)), np.uint64).reshape(-1, 2)
    wanted = np.array([*pairs, (absent, absent)], np.uint64)
    found = embedding_cache._Index(stored.view(np.uint8).reshape(-1, 16)).find(
        wanted.view(np.uint8).reshape(-1, 16)
    )
    rows = {tuple(pair): row for row, pair in enumerate(stored.tolist())}
    assert found.tolist() == [rows.get(tuple(pair), -1) for pair in wanted.tolist()]


def test_a_cache_of_shards_of_different_width_is_refused(tmp_path: Path) -> None:
    one, two = EmbeddingCache.open(tmp_path, KEY), EmbeddingCache.open(tmp_path, KEY)
    one.append(hashes_of(1), vectors_of(1, dimension=4))
    two.append(hashes_of(2), vectors_of(2, dimension=5))
    one.flush()
    two.flush()
    with pytest.raises(CacheError, match=r"shards of \d and of \d dimensions"):
        EmbeddingCache.open(tmp_path, KEY)
