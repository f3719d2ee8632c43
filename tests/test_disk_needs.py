"""What a run will write, counted before it writes."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from sentence_transformers import SentenceTransformer

from hubdistill.disk_needs import disk_needed
from hubdistill.errors import TrainingError
from hubdistill.free_space import refuse_full
from hubdistill.recipe import Recipe

# A block of width 32 and inner width 64, in float32: attention 4 (32 x 32 + 32), two norms of 2 x 32, and
# 32 x 64 + 64 and 64 x 32 + 32 between.
BLOCK = 4 * (4 * 1056 + 2 * 64 + 2112 + 2080)


def recipe(*students: dict[str, Any], texts: int | None = 1_000, teacher: str = "teacher") -> Recipe:
    return Recipe.model_validate(
        {
            "name": "tiny",
            "teacher": {"model": teacher},
            "corpus": {"sources": [{"files": ["texts.txt"]}], "texts": texts},
            "students": list(students),
            "card": {"license": "apache-2.0", "language": ["en"]},
        }
    )


def needed(wanted: Recipe, teacher: SentenceTransformer, **options: Any) -> list[int]:
    return list(
        disk_needed(wanted, teacher, **{"starts": {}, "cached_bytes": 0, "made": (), **options}).values()
    )


def size(model: SentenceTransformer) -> int:
    return 4 * sum(parameter.numel() for parameter in model.parameters())


def test_vectors_students_and_the_checkpoints_of_the_largest_are_counted(
    tiny_teacher: SentenceTransformer,
) -> None:
    static = {"name": "table", "kind": "static", "hidden_layer": False}
    wanted = recipe({"name": "two", "layers": 2}, static)
    two = size(tiny_teacher) - 2 * BLOCK
    table = len(tiny_teacher.tokenizer) * 32 * 4
    # 1,000 vectors of 32 numbers of 2 bytes; two checkpoints of weights and two moments of two blocks.
    assert needed(wanted, tiny_teacher) == [64_000, two + table, 2 * (two + 2 * 2 * BLOCK)]
    assert needed(wanted, tiny_teacher, cached_bytes=50_000, made=["two"]) == [14_000, table, 0]
    assert needed(wanted, tiny_teacher, made=["two", "table"]) == [0, 0, 0]
    # Two matrices of 32 x 128 make the hidden layer, and all of the student is trained.
    deeper = table + 2 * 4 * 32 * 128
    trained = recipe({"name": "table", "kind": "static"})
    assert needed(trained, tiny_teacher) == [64_000, deeper, 2 * 3 * deeper]


def test_what_is_not_known_is_not_counted(tiny_teacher: SentenceTransformer) -> None:
    cut = {"name": "cut", "layers": [0, 3], "vocabulary": {"coverage": 0.9}}
    other = {"name": "other", "kind": "model", "model": "elsewhere"}
    assert needed(recipe(cut, texts=None), tiny_teacher) == [0, 2 * BLOCK, 2 * 6 * BLOCK]
    whole = size(tiny_teacher)
    assert needed(recipe(other), tiny_teacher, starts={"other": tiny_teacher})[1:] == [whole, 2 * whole]


def test_a_full_disk_is_told_with_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = shutil.disk_usage(tmp_path)._replace(free=1_500_000)
    monkeypatch.setattr("hubdistill.free_space.shutil.disk_usage", lambda _: free)
    parts = {"vectors": 1_000_000, "students": 500_000}
    refuse_full(tmp_path / "not" / "there", parts, TrainingError)
    with pytest.raises(
        TrainingError,
        match=r"has 1\.50 MB free, and at least 1\.50 MB are needed \(1\.00 MB for vectors, 500\.0 kB for "
        r"students, 1 bytes for more\); free some space, or else$",
    ):
        refuse_full(tmp_path, {**parts, "more": 1, "none": 0}, TrainingError, otherwise=", or else")


def test_a_run_is_refused_before_it_begins(
    tiny_teacher_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hubdistill.pipeline import Run

    monkeypatch.chdir(tmp_path)
    run = Run(recipe({"name": "two", "layers": 2}, teacher=str(tiny_teacher_folder)), device="cpu")
    free = shutil.disk_usage(tmp_path)._replace(free=10)
    monkeypatch.setattr("hubdistill.free_space.shutil.disk_usage", lambda _: free)
    with pytest.raises(TrainingError, match=r"10 bytes free.*\(64\.0 kB for the teacher's vectors of 1,000"):
        run.preflight(push=False)
