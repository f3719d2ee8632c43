"""The quick start is really run."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import pytest

from hubdistill.errors import EvaluationError
from hubdistill.evaluation import Candidate
from hubdistill.evaluation.quick_start import SENTENCES, run_quick_starts
from hubdistill.models import locate
from hubdistill.recipe import Card
from hubdistill.reporting import Subject, load_candidate


def student(folder: Path, prompt: str | None = None) -> Candidate:
    found = load_candidate(Subject(folder.name, locate(str(folder)), Card()), None, "cpu")
    return Candidate(found.name, found.model, found.facts, prompt, folder=found.folder)


def test_the_snippets_run_on_each_saved_model(
    tiny_teacher_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "copy").symlink_to(tiny_teacher_folder)
    (tmp_path / "odd").symlink_to(tiny_teacher_folder)
    students = [student(tiny_teacher_folder), student(tmp_path / "copy", "a "), student(tmp_path / "odd")]
    students[2].model[1].pooling_mode = "cls"  # Not what is saved.
    with caplog.at_level(logging.WARNING):
        first, second, third = run_quick_starts(students, "de")
    assert 'SentenceTransformer("MODEL_ID")' in first.code
    assert "model.encode(sentences)" in first.code
    assert 'model.encode(sentences, prompt="a ")' in second.code
    assert [one.prompt for one in (first, second, third)] == ["", "a ", ""]
    assert first.output.startswith("(3, 32)\ntensor([[1.0000, ")
    assert first.output == third.output != second.output
    for one in (first, second):
        assert one.sentences == SENTENCES["de"]
        assert one.plain is not None
        assert one.plain.largest_difference <= 1e-5
        assert one.plain.texts == 6
        for code in (one.code, one.plain.code):
            assert SENTENCES["de"][0] in code
            assert str(tiny_teacher_folder) not in code
    assert third.plain is None
    assert "odd: the card has no snippet without sentence-transformers: its vectors differ" in caplog.text


def test_models_with_prompts_for_retrieval_are_shown_with_them(
    tiny_teacher_folder: Path, tmp_path: Path
) -> None:
    for name in ("asking", "plain"):
        shutil.copytree(tiny_teacher_folder, tmp_path / name)
    config = tmp_path / "asking" / "config_sentence_transformers.json"
    said = json.loads(config.read_text()) | {"prompts": {"query": "query: ", "passage": "passage: "}}
    config.write_text(json.dumps(said))
    students = [student(tmp_path / "asking", "query: "), student(tmp_path / "plain")]
    asking, plain = run_quick_starts(students, retrieval=True)
    assert asking.retrieval
    assert "queries = model.encode_query(sentences[:1])" in asking.code
    assert asking.output.startswith("(1, 32) (2, 32)\ntensor([[")
    assert asking.plain is not None
    assert "query: " not in asking.plain.code
    assert not plain.retrieval
    assert "model.encode(sentences)" in plain.code


def test_a_model_that_cannot_be_used_is_refused(tiny_teacher_folder: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(tiny_teacher_folder, broken)
    two = student(broken)
    (broken / "model.safetensors").unlink()
    with pytest.raises(EvaluationError, match="the quick start of broken fails"):
        run_quick_starts([student(tiny_teacher_folder), two])
