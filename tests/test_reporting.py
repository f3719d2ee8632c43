"""The reports of students that were measured together."""

from __future__ import annotations

from pathlib import Path

from evaluation.word_models import random_vectors, words

from hubdistill.evaluation.held_out import HeldOut
from hubdistill.models import locate
from hubdistill.recipe import Card, Evaluation, Teacher
from hubdistill.reporting import Subject, write_reports
from hubdistill.teacher import load_teacher


def test_every_report_compares_every_two_students(tmp_path: Path, tiny_teacher_folder: Path) -> None:
    names = ["one", "two", "three"]
    for seed, name in enumerate(names):
        model = random_vectors(name, words(40), 8, seed=seed).model
        model.save_pretrained(str(tmp_path / name), create_model_card=False)
    reports = write_reports(
        load_teacher(Teacher(model=str(tiny_teacher_folder)), base=tmp_path, device="cpu"),
        [Subject(name, locate(str(tmp_path / name)), Card()) for name in names],
        Evaluation(k=(5,), queries=10, bootstrap=100, speed=None),
        held_out=HeldOut(words(40)),
        base=tmp_path,
        seed=12,
        work=tmp_path / "work",
        device="cpu",
    )
    pairs = {(c.model, c.against) for c in reports["one"].comparisons if c.metric == "precision_at_k"}
    assert {frozenset(pair) for pair in pairs} == {
        frozenset(("one", "two")),
        frozenset(("one", "three")),
        frozenset(("two", "three")),
    }
    assert reports["one"].comparisons == reports["two"].comparisons == reports["three"].comparisons
