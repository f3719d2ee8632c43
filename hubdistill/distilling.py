"""Making one student of each kind, and the facts about how it was made."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize

from hubdistill import atomic, recipe, report
from hubdistill.corpus import Corpus
from hubdistill.embedding_cache import CachedRows
from hubdistill.static_training import train_hidden_layer
from hubdistill.student_checks import load_start
from hubdistill.students import dimensions, other_model
from hubdistill.students.copying import copy_model
from hubdistill.students.dimensions import ProjectedRows, UnitRows, Vectors, unit_rows
from hubdistill.students.layer_refit import REFIT_TEXTS, refit_layers
from hubdistill.students.layer_search import SEARCH_TEXTS, search_layers
from hubdistill.students.layers import count_layers, reduce_layers, select_layers
from hubdistill.students.static import build_static_student
from hubdistill.students.vocabulary import choose_tokens, measure_coverage, trim_vocabulary
from hubdistill.teacher import Teacher, processes
from hubdistill.text_table import TextTable
from hubdistill.trainer import last_checkpoint, spent_seconds
from hubdistill.training import train


@dataclass(frozen=True)
class Student:
    """A student that was just made."""

    model: SentenceTransformer
    facts: report.Training
    layers: tuple[int, ...] | None = None
    """The teacher's layers that it keeps, counted from 0; None for other kinds of students."""


@dataclass(frozen=True)
class Distiller:
    """What all students of a family are made of.

    Args:
        family: the recipe.
        teacher: whose students they are.
        corpus: the texts.
        vectors: gives the teacher's vectors of some of them.
    """

    family: recipe.Recipe
    teacher: Teacher
    corpus: Corpus
    vectors: Callable[[TextTable], CachedRows]

    def make(self, index: int, student: recipe.AnyStudent, work: Path) -> Student:
        """Make one student.

        Args:
            index: its place in the recipe.
            student: what is asked for.
            work: a folder for checkpoints; a run that finds some there goes on from them.
        """
        texts = self.corpus.train.head(student.texts or len(self.corpus.train))
        # The teacher's pass, if it is still to be made, has seconds of its own.
        vectors = self.vectors(texts.head(vectors_needed(student, len(texts))))
        started = time.perf_counter() - spent_seconds(work)
        match student:
            case recipe.LayerStudent():
                made = self._reduce(index, student, texts, vectors, work)
            case recipe.StaticStudent():
                made = self._solve(student, texts, vectors, work)
            case recipe.TrimmedStudent():
                made = self._trim(student, texts, vectors)
            case recipe.ModelStudent():
                made = self._retrain(index, student, texts, vectors, work)
        facts = made.facts.model_copy(update={"seconds": time.perf_counter() - started})
        return replace(made, facts=facts)

    def _reduce(
        self, index: int, student: recipe.LayerStudent, texts: TextTable, vectors: Vectors, work: Path
    ) -> Student:
        teacher = self.teacher
        layers = self._layers(index, student, work)
        # A teacher in bfloat16 takes less memory; steps of training would be lost in it.
        model = reduce_layers(teacher.model, layers).float()
        if student.refit and last_checkpoint(work) is None:
            refit_layers(model, teacher.model, layers, texts.texts(0, REFIT_TEXTS), prompt=teacher.prompt)
        model, vocabulary = self._with_vocabulary(model, student, texts)
        held_out = self._held_out_vectors
        projection = None
        if student.dimensions:
            projection = dimensions.fit_projection(vectors, student.dimensions)
            dimensions.add_projection(model, projection.weight)
            unit = isinstance(model[-1], Normalize)
            vectors = ProjectedRows(vectors, projection, unit)
            held_out = projection(held_out, unit=unit)
        facts = self._train(model, student, texts, vectors, held_out, work, teacher.prompt)
        kept = ", ".join(map(str, layers))
        if isinstance(student.layers, tuple):
            rule = "listed in the recipe"
        elif student.select == "search":
            rule = "taken away one by one, each time the one that its vectors miss least"
        else:
            rule = f"rule: {student.select}"
        selection = f"layers {kept} of the teacher's {count_layers(teacher.model)}, counted from 0 ({rule})"
        if student.refit:
            selection += ", solved to stand in for the others before training"
        found = {
            "selection": selection,
            "vocabulary": vocabulary,
            "projection": projection and projection.fact,
        }
        return Student(model, facts.model_copy(update=found), layers)

    def _layers(self, index: int, student: recipe.LayerStudent, work: Path) -> tuple[int, ...]:
        """The layers to keep; what an interrupted run chose stays chosen, as its checkpoints hold them."""
        record, state = work / "layers.json", processes()
        chosen = record.exists()
        state.wait_for_everyone()
        if not chosen:
            # By all processes, as they share the teacher's pass; what the first one found holds.
            layers = self._choose_layers(index, student)
            if state.is_main_process:
                atomic.write_text(record, json.dumps(layers))
            state.wait_for_everyone()
        return tuple(json.loads(record.read_text(encoding="utf-8")))

    def _choose_layers(self, index: int, student: recipe.LayerStudent) -> tuple[int, ...]:
        available = count_layers(self.teacher.model)
        if isinstance(student.layers, tuple):
            return student.layers
        if student.select == "search":
            return self._search_path[available - student.layers]
        return select_layers(
            available,
            student.layers,
            student.select,
            student=student.name,
            teacher=self.teacher.name,
            index=index,
        )

    @cached_property
    def _search_path(self) -> list[tuple[int, ...]]:
        """One search for all students of the family: down to the smallest of them."""
        model = self.teacher.model
        smallest = min(
            student.layers
            for student in self.family.students
            if isinstance(student, recipe.LayerStudent)
            and isinstance(student.layers, int)
            and student.select == "search"
        )
        texts = self.corpus.train.head(max(SEARCH_TEXTS, 2 * (model.get_embedding_dimension() or 0)))
        vectors = unit_rows(self.vectors(texts)[:])
        return search_layers(model, smallest, texts, vectors, prompt=self.teacher.prompt)

    def _solve(
        self, student: recipe.StaticStudent, texts: TextTable, vectors: Vectors, work: Path
    ) -> Student:
        held_out = self._held_out_vectors
        projection = None
        if student.dimensions:
            projection = dimensions.fit_projection(vectors, student.dimensions)
            vectors = ProjectedRows(vectors, projection, unit=True)
            held_out = projection(held_out)
        elif not isinstance(self.teacher.model[-1], Normalize):
            vectors, held_out = UnitRows(vectors), unit_rows(held_out)
        model, facts = build_static_student(
            self.teacher.model,
            texts,
            vectors,
            held_out_texts=self.corpus.choosing.texts(),
            held_out_targets=held_out,
            settings=student,
        )
        if student.hidden_layer:
            model, facts = train_hidden_layer(
                model,
                facts,
                texts,
                vectors,
                held_out_texts=self.corpus.choosing.texts(),
                held_out_vectors=held_out,
                settings=student,
                folder=work,
                seed=self.family.seed,
            )
        return Student(model, facts.model_copy(update={"projection": projection and projection.fact}))

    def _trim(self, student: recipe.TrimmedStudent, texts: TextTable, vectors: Vectors) -> Student:
        model = self.teacher.model
        if student.vocabulary is None:
            texts = texts.head(dimensions.FIT_TEXTS)
            model = copy_model(model)
        model, vocabulary = self._with_vocabulary(model, student, texts)
        projection = None
        if student.dimensions:
            projection = dimensions.fit_projection(vectors, student.dimensions)
            dimensions.add_projection(model, projection.weight)
        facts = report.Training(
            method="trimmed",
            loss=None,
            texts=len(texts),
            hyperparameters={},
            vocabulary=vocabulary,
            projection=projection and projection.fact,
            seconds=0.0,  # `make` measures them
        )
        return Student(model, facts)

    def _retrain(
        self, index: int, student: recipe.ModelStudent, texts: TextTable, vectors: Vectors, work: Path
    ) -> Student:
        start = load_start(self.family, self.teacher, index, student)
        model, width = start.model, start.model.get_embedding_dimension()
        sample = texts.texts(0, other_model.FIT_TEXTS)
        projection = other_model.add_fitted_projection(model, sample, vectors, teacher=self.teacher.model)
        facts = self._train(model, student, texts, vectors, self._held_out_vectors, work, start.prompt)
        if not student.teacher_space:
            other_model.keep_own_width(model, projection)
        origin = report.Start(
            name=start.name,
            hub_id=start.base_model_id,
            revision=start.revision,
            license=start.license,
            dimensions=width or 0,
        )
        found = {"method": "model", "start": origin, "teacher_space": student.teacher_space}
        return Student(model, facts.model_copy(update=found))

    def _train(
        self,
        model: SentenceTransformer,
        student: recipe.LayerStudent | recipe.ModelStudent,
        texts: TextTable,
        vectors: Vectors,
        held_out_vectors: np.ndarray,
        work: Path,
        prompt: str | None,
    ) -> report.Training:
        return train(
            model,
            texts,
            vectors,
            held_out_texts=self.corpus.choosing.texts(),
            held_out_vectors=held_out_vectors,
            settings=self.family.training_of(student),
            folder=work,
            seed=self.family.seed,
            prompt=prompt,
        )

    def _with_vocabulary(
        self,
        model: SentenceTransformer,
        student: recipe.LayerStudent | recipe.TrimmedStudent,
        texts: TextTable,
    ) -> tuple[SentenceTransformer, report.Vocabulary | None]:
        """The model with only the tokens that the student keeps, and what these cover."""
        if student.vocabulary is None:
            return model, None
        kept = choose_tokens(
            model, texts, student.vocabulary, prompt=self.teacher.prompt, student=student.name
        )
        covered = measure_coverage(model, self.corpus.choosing, kept.ids, prompt=self.teacher.prompt)
        return trim_vocabulary(model, kept.ids), report.Vocabulary(
            tokens=len(kept.ids),
            available=kept.available,
            texts=len(texts),
            coverage=kept.coverage,
            held_out_texts=len(self.corpus.choosing),
            held_out_coverage=covered.tokens,
            held_out_unchanged=covered.texts,
        )

    @cached_property
    def _held_out_vectors(self) -> np.ndarray:
        return self.vectors(self.corpus.choosing)[:]


def vectors_needed(student: recipe.AnyStudent, available: int) -> int:
    """For how many of the corpus's texts a student needs the teacher's vectors."""
    texts = min(available, student.texts or available)
    if isinstance(student, recipe.TrimmedStudent):
        return min(texts, dimensions.FIT_TEXTS) if student.dimensions else 0
    return texts
