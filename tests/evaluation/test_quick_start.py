"""The quick start is really run."""

from __future__ import annotations

from pathlib import Path

import pytest

from hubdistill.errors import EvaluationError
from hubdistill.evaluation.quick_start import SENTENCES, run_quick_start


def test_the_snippet_runs_on_the_saved_model(tiny_teacher_folder: Path) -> None:
    quick_start = run_quick_start(tiny_teacher_folder, "de")
    assert 'SentenceTransformer("MODEL_ID")' in quick_start.code
    assert str(tiny_teacher_folder) not in quick_start.code
    assert SENTENCES["de"][0] in quick_start.code
    assert quick_start.output.startswith("(3, 32)\ntensor([[1.0000, ")


def test_a_model_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match=f"the quick start of {tmp_path.name} fails"):
        run_quick_start(tmp_path)
