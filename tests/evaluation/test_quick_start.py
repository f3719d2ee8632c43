"""The quick start is really run."""

from __future__ import annotations

from pathlib import Path

import pytest

from hubdistill.errors import EvaluationError
from hubdistill.evaluation.quick_start import SENTENCES, run_quick_starts


def test_the_snippet_runs_on_each_saved_model(tiny_teacher_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "copy").symlink_to(tiny_teacher_folder)
    models = [("one", tiny_teacher_folder, False), ("two", tmp_path / "copy", False)]
    first, second = run_quick_starts(models, "de")
    assert first == second
    assert 'SentenceTransformer("MODEL_ID")' in first.code
    assert str(tiny_teacher_folder) not in first.code
    assert SENTENCES["de"][0] in first.code
    assert first.output.startswith("(3, 32)\ntensor([[1.0000, ")


def test_a_model_that_cannot_be_used_is_refused(tiny_teacher_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="the quick start of two fails"):
        run_quick_starts([("one", tiny_teacher_folder, False), ("two", tmp_path, False)])
