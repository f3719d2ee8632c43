"""A student saved where an older model lay: only the new one is there, and it is the trained one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer

from hubdistill.errors import TrainingError
from hubdistill.models import locate
from hubdistill.saving import check_saved, save_student
from hubdistill.students.layers import reduce_layers

TEXTS = ["a text of the sentence", "this is not it"]


@pytest.fixture
def student(tiny_teacher: SentenceTransformer) -> SentenceTransformer:
    return reduce_layers(tiny_teacher, [0, 3])


def files_of(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_nothing_of_an_older_model_is_left(student: SentenceTransformer, tmp_path: Path) -> None:
    new, folder = tmp_path / "new", tmp_path / "out"
    save_student(student, new)
    (folder / "3_Dense").mkdir(parents=True)
    modules = [{"idx": 0, "name": "0", "path": ""}, {"idx": 1, "name": "1", "path": "3_Dense"}]
    (folder / "modules.json").write_text(json.dumps(modules))
    for older in ("pytorch_model.bin", "model-00001-of-00002.safetensors", "adapter_config.json"):
        (folder / older).write_text("{}")
    (folder / "3_Dense" / "model.safetensors").write_bytes(b"")
    save_student(student, folder)
    assert files_of(folder) == files_of(new)
    assert not (folder / "3_Dense").exists()


def test_what_is_no_models_file_stays(student: SentenceTransformer, tmp_path: Path) -> None:
    own = {
        "README.md",
        "config_train.json",
        "notes/config.json",
        "checkpoint-5/model.safetensors",
        "data.model",
    }
    for name in {*own, "vocab.txt"}:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("mine")
    save_student(student, tmp_path)
    assert (tmp_path / "vocab.txt").read_text() == "mine"  # no model had been saved there
    save_student(student, tmp_path)
    assert all((tmp_path / name).read_text() == "mine" for name in own)


def test_a_folder_of_another_model_is_refused(
    student: SentenceTransformer, tiny_teacher: SentenceTransformer, tmp_path: Path
) -> None:
    save_student(student, tmp_path)
    check_saved(student, locate(str(tmp_path)), TEXTS, prompt=None)
    with pytest.raises(TrainingError, match="does not give the vectors of the trained student"):
        check_saved(tiny_teacher, locate(str(tmp_path)), TEXTS, prompt=None)


def test_vectors_that_are_no_numbers_are_refused(student: SentenceTransformer, tmp_path: Path) -> None:
    with torch.no_grad():
        next(student.parameters()).fill_(np.nan)
    save_student(student, tmp_path)
    with pytest.raises(TrainingError, match="NaN"):
        check_saved(student, locate(str(tmp_path)), TEXTS, prompt=None)
