"""What a recipe would do, in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hubdistill.cli.plan import plan
from hubdistill.recipe_file import parse_recipe


@pytest.mark.parametrize(
    ("student", "words"),
    [
        ({"layers": 3, "select": "ends"}, "small (3 layers, ends)"),
        ({"layers": [0, 5], "dimensions": 128}, "small (layers 0, 5, 128 dimensions)"),
        ({"kind": "static"}, "small (static)"),
        (
            {"kind": "trimmed", "vocabulary": {"tokens": 15000}, "dimensions": 64},
            "small (all layers, 15,000 tokens, 64 dimensions)",
        ),
        (
            {"kind": "trimmed", "vocabulary": {"coverage": 0.995}},
            "small (all layers, tokens for 99.5% of the corpus)",
        ),
        ({"kind": "model", "model": "org/other"}, "small (from org/other)"),
        (
            {"kind": "model", "model": "org/other", "teacher_space": False},
            "small (from org/other, own width)",
        ),
    ],
)
def test_each_kind_of_student_is_named(student: dict[str, Any], words: str) -> None:
    data = {
        "name": "family",
        "teacher": {"model": "org/teacher"},
        "corpus": {"sources": [{"files": ["texts.txt"]}]},
        "students": [{"name": "small", **student}],
    }
    assert plan(parse_recipe(data, folder=Path()), push=False)["distill"] == words
