"""Layers solved to stand in for the ones that were taken away."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer

from hubdistill.errors import StudentError
from hubdistill.students.layer_refit import can_refit, refit_layers
from hubdistill.students.layers import reduce_layers
from tests.students.test_layers import FAMILIES, WORDS, make_teacher

ENDS_OTHERWISE = {"gemma3"}  # a norm, and only then the residual


def texts(number: int) -> list[str]:
    rng = np.random.default_rng(0)
    return [" ".join(rng.choice(WORDS, rng.integers(2, 12))) for _ in range(number)]


def distance(student: SentenceTransformer, teacher: SentenceTransformer, sample: list[str]) -> float:
    """Mean squared distance of the tokens' last hidden states."""
    with torch.no_grad():
        states = [
            model[0](dict(model.preprocess(sample)))["token_embeddings"] for model in (student, teacher)
        ]
    attended = teacher.preprocess(sample)["attention_mask"].bool()
    return float((states[0] - states[1])[attended].pow(2).mean())


@pytest.mark.parametrize("family", FAMILIES)
def test_layers_come_closer_to_the_teacher_without_training(family: str, tmp_path: Path) -> None:
    teacher = make_teacher(tmp_path, FAMILIES[family])
    student = reduce_layers(teacher, (0, 5))
    known, unseen = texts(600)[:400], texts(600)[400:]
    before = {name: tensor.clone() for name, tensor in student.state_dict().items()}
    far = distance(student, teacher, unseen)
    assert can_refit(teacher) is (family not in ENDS_OTHERWISE)
    if family in ENDS_OTHERWISE:
        with pytest.raises(StudentError, match="linear map"):
            refit_layers(student, teacher, (0, 5), known)
        assert all(torch.equal(tensor, before[name]) for name, tensor in student.state_dict().items())
    else:
        refit_layers(student, teacher, (0, 5), known)
        assert distance(student, teacher, unseen) < 0.8 * far


@pytest.mark.parametrize("family", ["bert", "modernbert"])
def test_a_student_with_every_layer_stays_as_it_is(family: str, tmp_path: Path) -> None:
    teacher = make_teacher(tmp_path, FAMILIES[family]).float()
    student = reduce_layers(teacher, range(6))
    refit_layers(student, teacher, range(6), texts(200))
    assert distance(student, teacher, texts(50)) < 1e-3


def test_only_the_last_linear_maps_change(tmp_path: Path) -> None:
    teacher = make_teacher(tmp_path, FAMILIES["bert"])
    student = reduce_layers(teacher, (0, 5))
    before = {name: tensor.clone() for name, tensor in student.state_dict().items()}
    refit_layers(student, teacher, (0, 5), texts(200))
    changed = {name for name, tensor in student.state_dict().items() if not torch.equal(tensor, before[name])}
    assert {name.split("layer.", 1)[1] for name in changed} == {
        f"{place}.output.dense.{part}" for place in (0, 1) for part in ("weight", "bias")
    }
