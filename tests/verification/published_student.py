"""A student of the tiny teacher, measured, with report and card, and the data that it was measured on."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime
from pathlib import Path

from evaluation.word_models import words
from sentence_transformers import SentenceTransformer

from hubdistill import __version__
from hubdistill.card import write_card
from hubdistill.evaluation import Candidate, evaluate
from hubdistill.evaluation.architecture import environment
from hubdistill.evaluation.held_out import of_sources
from hubdistill.models import locate
from hubdistill.recipe import Card, CorpusSource, Evaluation, RetrievalSet, SimilaritySet, Speed, Teacher
from hubdistill.recipe_file import published, published_teacher
from hubdistill.report import DistillationReport, EvaluationPlan, QuickStart
from hubdistill.reporting import Subject, describe_teacher, load_candidate
from hubdistill.students.layers import reduce_layers
from hubdistill.teacher import load_teacher

SEED = 12
STUDENT, TEACHER = "student", "teacher"
SETTINGS = Evaluation(
    similarity=(SimilaritySet(name="sts", files=("sets/pairs.tsv",)),),
    retrieval=(RetrievalSet(name="tiny", folder="sets/tiny"),),
    held_out_texts=220,
    queries=20,
    k=(3, 5),
    truncate=(16,),
    speed=Speed(tokens=(8,), batch_sizes=(4,), calls=4, footprint=False, seconds=0.01, repeats=2),
    bootstrap=100,
)


def publish(here: Path, teacher_folder: Path) -> None:
    """Fill a folder with `data`, `student` and `teacher`."""
    write_data(here / "data")
    SentenceTransformer(str(teacher_folder), device="cpu").save(str(here / TEACHER), create_model_card=False)
    first = load_teacher(Teacher(model=str(here / TEACHER)), base=Path(), device="cpu")
    reduce_layers(first.model, [0, 3]).save_pretrained(str(here / STUDENT), create_model_card=False)
    sources = (CorpusSource(files=("texts.txt",)),)
    owner = Card(license="apache-2.0", language=("en",))
    subject = Subject(STUDENT, locate(str(here / STUDENT)), owner, kept_layers=(0, 3))
    reference = describe_teacher(first)
    student = load_candidate(subject, None, "cpu")
    evidence = evaluate(
        Candidate(TEACHER, first.model, reference, folder=first.folder),
        [student],
        SETTINGS,
        of_sources(sources, SETTINGS, base=here / "data", seed=SEED),
        base=here / "data",
        seed=SEED,
        work=here,
    )
    DistillationReport(
        hubdistill_version=__version__,
        created=datetime(2026, 1, 1, tzinfo=UTC),
        student=STUDENT,
        teacher=TEACHER,
        base_model=None,
        models={TEACHER: reference, STUDENT: student.facts},
        data=evidence.data,
        metrics=evidence.metrics,
        measurements=evidence.measurements,
        comparisons=evidence.comparisons,
        environment=environment(SEED, "cpu"),
        plan=EvaluationPlan(
            teacher=published_teacher(first.settings),
            settings=published(SETTINGS),
            texts="sources",
            sources=sources,
        ),
        quick_start=QuickStart(code='print("MODEL_ID")', output="MODEL_ID"),
        owner=owner,
    ).save(here / STUDENT)
    write_card(here / STUDENT)


def write_data(folder: Path) -> None:
    """Texts, two sets of sentence pairs and a retrieval set."""
    some = random.Random(3)
    known = words(40)

    def sentence() -> str:
        return " ".join(some.sample(known, some.randint(2, 6)))

    (folder / "sets" / "tiny").mkdir(parents=True)
    (folder / "texts.txt").write_text("".join(f"{sentence()}\n" for _ in range(240)), encoding="utf-8")
    rows = []
    for _ in range(240):
        first, shared = sentence().split(), some.random()
        # Never the same: of texts with equal vectors, arithmetic decides which are nearer.
        second = [
            some.choice(known),
            *(word if some.random() < shared else some.choice(known) for word in first),
        ]
        rows.append(f"{shared:.2f}\t{' '.join(first)}\t{' '.join(second)}\n")
    pairs = "score\tsentence1\tsentence2\n" + "".join(rows)
    (folder / "sets" / "pairs.tsv").write_text(pairs, encoding="utf-8")
    for part, count in (("corpus", 30), ("queries", 8)):
        lines = [json.dumps({"_id": f"{part[0]}{i}", "text": sentence()}) for i in range(count)]
        (folder / "sets" / "tiny" / f"{part}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    qrels = "".join(f"q{i}\tc{i}\t1\nq{i}\tc{i + 9}\t1\n" for i in range(8))
    (folder / "sets" / "tiny" / "qrels.tsv").write_text(
        f"query-id\tcorpus-id\tscore\n{qrels}", encoding="utf-8"
    )
