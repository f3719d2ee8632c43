"""A recipe's steps, in order: embed, distill, evaluate, write the cards, push.

Each step writes what it made below the recipe's output folder and finds there what an earlier run made,
so every step can be called on its own and a killed run goes on where it was:

    runs/<family>/
        corpus/                  normalised, deduplicated, split texts
        embeddings/              the teacher's vectors
        work/<student>/          checkpoints, distilled.json once the student is done, and the held-out texts
                                 on which it agrees least with the teacher
        students/<student>/      what is published: model, report.json, figures, README.md, recipe.yaml
        family/                  one card for all students, where there are several
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from sentence_transformers import SentenceTransformer

from hubdistill import atomic, corpus, report
from hubdistill.card import check_owner, write_cards
from hubdistill.disk_needs import disk_needed
from hubdistill.distilling import Distiller, vectors_needed
from hubdistill.embedding_cache import CachedRows, EmbeddingCache
from hubdistill.errors import CardError, MissingExtraError, PublishError, TrainingError
from hubdistill.evaluation import check_held_out, check_sets
from hubdistill.evaluation.held_out import HeldOut, of_corpus
from hubdistill.free_space import refuse_full
from hubdistill.gate_check import check_gates
from hubdistill.hub import PushOutcome, preflight, push, refuse_foreign_card
from hubdistill.hub.gates import refuse_unmet
from hubdistill.models import locate
from hubdistill.private_text import find_secrets
from hubdistill.recipe import AnyStudent, LayerStudent, ModelStudent, Recipe
from hubdistill.recipe_file import dump_recipe
from hubdistill.reporting import Subject, settle_owner, write_reports
from hubdistill.student_checks import check_start, check_student, load_start
from hubdistill.teacher import Teacher, embed, load_teacher, processes
from hubdistill.trainer import training_arguments
from hubdistill.training import trains_in_bf16

if TYPE_CHECKING:
    from hubdistill.text_table import TextTable

MADE = "distilled.json"


@dataclass(frozen=True)
class Embedded:
    """The outcome of the teacher pass."""

    texts: int
    """Training texts with vectors."""
    held_out: int
    seconds: float
    folder: Path


@dataclass(frozen=True)
class Distilled:
    """A student on disk."""

    name: str
    folder: Path
    parameters: int
    seconds: float
    reused: bool
    """An earlier run with the same settings had made it."""


class Made(report.Fact):
    """What is recorded of a student once it is whole."""

    fingerprint: str
    layers: tuple[int, ...] | None
    parameters: int
    training: report.Training


class Run:
    """One recipe, step by step.

    Args:
        recipe: what to do.
        device: torch device for teacher and students; the fastest there is when left out.
    """

    def __init__(self, recipe: Recipe, *, device: str | None = None) -> None:
        self.recipe = recipe
        self.device = device
        self.folder = recipe.output_folder

    def student_folder(self, name: str) -> Path:
        """Folder of a student as it is published."""
        return self.recipe.student_folder(name)

    @cached_property
    def teacher(self) -> Teacher:
        """The teacher, loaded."""
        return load_teacher(self.recipe.teacher, base=self.recipe.folder, device=self.device)

    @cached_property
    def corpus(self) -> corpus.Corpus:
        """The corpus, read or found on disk."""
        with processes().main_process_first():
            return corpus.read_corpus(
                self.recipe.corpus, self.folder / "corpus", base=self.recipe.folder, seed=self.recipe.seed
            )

    @cached_property
    def distiller(self) -> Distiller:
        """Makes the students."""
        return Distiller(self.recipe, self.teacher, self.corpus, self._vectors)

    def preflight(self, *, push: bool, token: str | None = None, force: bool = False) -> None:
        """Find out now what would fail after hours of work.

        Args:
            push: whether the students are to be published.
            token: as `push` takes it.
            force: as `push` takes it.

        Raises:
            HubDistillError: the first thing that stands in the way, in words that mend it.
        """
        starts, origins = {}, {self.teacher.name: self.teacher.license}
        for index, student in enumerate(self.recipe.students):
            check_student(self.recipe, self.teacher, index, student)
            if isinstance(student, ModelStudent):
                start = load_start(self.recipe, self.teacher, index, student)
                check_start(self.recipe, self.teacher, start, student.name)
                starts[student.name] = start.model
                origins[start.name] = start.license
            if isinstance(student, LayerStudent | ModelStudent):
                training_arguments(
                    self.recipe.training_of(student),
                    1,
                    folder=self.folder,
                    seed=self.recipe.seed,
                    device=self.teacher.model.device,
                    bf16=trains_in_bf16(self.teacher.model),
                )
        needed = disk_needed(
            self.recipe,
            self.teacher.model,
            starts=starts,
            cached_bytes=sum(file.stat().st_size for file in self._cache_folder.glob("*/*.vectors")),
            made=[name for name in self._names() if self._find(name)],
        )
        refuse_full(self.folder, needed, TrainingError, otherwise=", take fewer texts, or set `output`")
        check_sets(self.recipe.evaluation, self.recipe.folder, seed=self.recipe.seed)
        check_gates(self.recipe.publish.gates, self.recipe.evaluation)
        check_owner(settle_owner(self.recipe.card, self.teacher), origins)
        if find_spec("matplotlib") is None:
            raise MissingExtraError("figures", "Drawing the card's figures")
        if self.recipe.card.template and not (self.recipe.folder / self.recipe.card.template).is_file():
            raise CardError(f"card.template: there is no file {self.recipe.card.template}")
        if push:
            for name in self._names():
                place = preflight(
                    self.repo_id(name),
                    token=token,
                    private=self.recipe.publish.private,
                    revision=self.recipe.publish.revision,
                    create_pr=self.recipe.publish.create_pr,
                    tag=self.recipe.publish.tag,
                    collection=self.recipe.publish.collection,
                    collection_note=self.recipe.publish.collection_note,
                )
                if not force and not self.recipe.publish.create_pr:
                    refuse_foreign_card(place, token=token)

    def repo_id(self, name: str) -> str:
        """Where a student goes on the Hub.

        Raises:
            PublishError: the recipe names no namespace.
        """
        if not self.recipe.publish.namespace:
            raise PublishError("set publish.namespace in the recipe to your user or organisation on the Hub")
        return f"{self.recipe.publish.namespace}/{name}"

    def embed(self) -> Embedded:
        """Have the teacher embed what the students need; vectors that are there already are kept."""
        check_held_out(
            self.recipe.evaluation, self._held_out(), base=self.recipe.folder, seed=self.recipe.seed
        )
        started = time.perf_counter()
        train, held_out = self._train_vectors, self._held_out_vectors
        return Embedded(
            texts=len(train),
            held_out=len(held_out),
            seconds=time.perf_counter() - started,
            folder=self._cache_folder,
        )

    def distill(self) -> list[Distilled]:
        """Make every student of the family; those that an earlier run made are kept."""
        return [self._distill(index, student) for index, student in enumerate(self.recipe.students)]

    def evaluate(self) -> dict[str, report.DistillationReport]:
        """Measure all students and the teacher together, and write each student's report.json.

        Of several processes only the first measures; the others get an empty answer.

        Raises:
            TrainingError: a student is not there yet, or was made by other settings.
        """
        held_out = self._held_out()  # by all processes, as they wait for one another to read the corpus
        if not processes().is_main_process:
            return {}
        return write_reports(
            self.teacher,
            [self._subject(index, student) for index, student in enumerate(self.recipe.students)],
            self.recipe.evaluation,
            held_out=held_out,
            base=self.recipe.folder,
            seed=self.recipe.seed,
            work=self.folder / "work",
            device=self.device,
        )

    def write_cards(self) -> list[Path]:
        """Draw the figures and write README.md in each student's folder; several get one together as well."""
        return write_cards(self.recipe) if processes().is_main_process else []

    def push(
        self, *, token: str | None = None, dry_run: bool = False, force: bool = False
    ) -> list[PushOutcome]:
        """Publish every student, each in one commit; none of them unless all can be.

        That is, unless all meet the recipe's gates and no card was edited on the Hub.

        Args:
            token: a Hub token; by default the one of HF_TOKEN, `hf auth login` or a trusted publisher.
            dry_run: find out what would happen, and send nothing.
            force: replace what was edited on the Hub's cards.
        """
        if not processes().is_main_process:
            return []
        if not dry_run and len(self._names()) > 1:
            would_be = self.push(token=token, dry_run=True, force=force)
            refuse_unmet({outcome.repo_id: outcome.gates for outcome in would_be})
            for outcome in would_be:
                if outcome.conflict:
                    raise CardError(f"{outcome.repo_id}: {outcome.conflict}")
        settings = self.recipe.publish
        return [
            push(
                self.student_folder(name),
                self.repo_id(name),
                token=token,
                dry_run=dry_run,
                private=settings.private,
                create_pr=settings.create_pr,
                revision=settings.revision,
                tag=settings.tag,
                collection=settings.collection,
                collection_note=settings.collection_note,
                commit_message=settings.commit_message,
                gates=settings.gates,
                force=force,
            )
            for name in self._names()
        ]

    def _held_out(self) -> HeldOut:
        """Held-out texts, and where each came from."""
        return of_corpus(self.corpus, self.recipe.evaluation.held_out_texts)

    @property
    def _cache_folder(self) -> Path:
        return self.folder / "embeddings"

    def _names(self) -> list[str]:
        return [student.name for student in self.recipe.students]

    def _vectors(self, texts: TextTable) -> CachedRows:
        """The teacher's vectors of some texts; the time that the teacher takes is added up on disk."""
        cache = EmbeddingCache.open(self._cache_folder, self.teacher.cache_key(self.corpus.labels))
        complete = not len(cache.missing(texts.hashes))
        started = time.perf_counter()
        try:
            return embed(self.teacher, texts, self._cache_folder, labels=self.corpus.labels)
        finally:
            # Also after Ctrl-C, as what was computed is kept.
            if not complete and processes().is_main_process:
                seconds = (self._teacher_seconds() or 0.0) + time.perf_counter() - started
                atomic.write_text(self._teacher_pass, json.dumps({"seconds": seconds}))

    def _teacher_seconds(self) -> float | None:
        """Seconds of all passes of the teacher so far; None when there was none."""
        if not self._teacher_pass.exists():
            return None
        return float(json.loads(self._teacher_pass.read_text(encoding="utf-8"))["seconds"])

    @property
    def _teacher_pass(self) -> Path:
        """Where the seconds of this teacher's passes are added up."""
        return self._cache_folder / f"{self.teacher.cache_key(self.corpus.labels).digest}.json"

    @cached_property
    def _train_vectors(self) -> CachedRows:
        """Teacher vectors of as many training texts as the hungriest student needs."""
        available = len(self.corpus.train)
        wanted = max(vectors_needed(student, available) for student in self.recipe.students)
        return self._vectors(self.corpus.train.head(wanted))

    @cached_property
    def _held_out_vectors(self) -> CachedRows:
        return self._vectors(self.corpus.choosing)

    def _distill(self, index: int, student: AnyStudent) -> Distilled:
        fingerprint = self._fingerprint(index, student)
        made = self._find(student.name)
        reused = made is not None and made.fingerprint == fingerprint
        if made is None or not reused:
            new = self.distiller.make(index, student, self._work(student.name, fingerprint))
            made = Made(
                fingerprint=fingerprint,
                layers=new.layers,
                parameters=sum(parameter.numel() for parameter in new.model.parameters()),
                training=new.facts.model_copy(update={"teacher_seconds": self._teacher_seconds()}),
            )
            if processes().is_main_process:
                self._save(student.name, new.model, made)
            processes().wait_for_everyone()
        return Distilled(
            name=student.name,
            folder=self.student_folder(student.name),
            parameters=made.parameters,
            seconds=made.training.seconds,
            reused=reused,
        )

    def _samples(self, texts: TextTable) -> tuple[str, ...]:
        """Training texts for the card, without any that would look like a secret or a private path."""
        wanted = self.recipe.card.samples
        candidates = texts.texts(0, 100 * wanted)
        return tuple([text for text in candidates if not any(find_secrets(text))][:wanted])

    def _work(self, name: str, fingerprint: str) -> Path:
        """A folder for checkpoints of exactly these settings; those of others are removed."""
        parent = self.folder / "work" / name
        work = parent / fingerprint[:16]
        for other in parent.glob("*"):
            if other != work and other.is_dir():
                with suppress(FileNotFoundError):  # another process of this run removes it as well
                    shutil.rmtree(other)
        work.mkdir(parents=True, exist_ok=True)
        return work

    def _save(self, name: str, model: SentenceTransformer, made: Made) -> None:
        """Put the student's folder in place, then record it as made; an edited card is kept."""
        folder, record = self.student_folder(name), self.folder / "work" / name / MADE
        with atomic.new_folder(folder) as beside:
            model.save_pretrained(str(beside), create_model_card=False)
            (beside / "recipe.yaml").write_text(dump_recipe(self.recipe), encoding="utf-8")
            if (folder / "README.md").exists():
                shutil.copy(folder / "README.md", beside)
            # Should the run be killed from here on, the old record must not pass for that of the new folder.
            record.unlink(missing_ok=True)
        atomic.write_text(record, made.model_dump_json(indent=2))
        shutil.rmtree(self._work(name, made.fingerprint))

    def _find(self, name: str) -> Made | None:
        """What an earlier run recorded of a student."""
        record = self.folder / "work" / name / MADE
        if not record.exists() or not self.student_folder(name).is_dir():
            return None
        return Made.model_validate_json(record.read_text(encoding="utf-8"))

    def _fingerprint(self, index: int, student: AnyStudent) -> str:
        """Digest of everything that a student depends on."""
        parts = {
            "teacher": [
                self.teacher.name,
                self.teacher.content,
                self.recipe.teacher.model_dump(mode="json", exclude={"hub_id", "batch_tokens"}),
            ],
            "corpus": self.corpus.facts.sha256,
            "labels": self.corpus.labels.digest if self.corpus.labels else None,
            "student": student.model_dump(mode="json"),
            "seed": self.recipe.seed,
        }
        if isinstance(student, ModelStudent):
            parts["start"] = load_start(self.recipe, self.teacher, index, student).content
        if isinstance(student, LayerStudent | ModelStudent):
            parts["training"] = self.recipe.training_of(student).model_dump(mode="json")
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def _subject(self, index: int, student: AnyStudent) -> Subject:
        name = student.name
        made = self._find(name)
        if made is None or made.fingerprint != self._fingerprint(index, student):
            # Its training texts may be held out by now, and the report would tell of another recipe.
            state = "was made by another recipe, corpus or teacher" if made else "is not there yet"
            raise TrainingError(f"student '{name}' {state}; run `hubdistill distill` with this recipe")
        training, start = made.training, made.training.start
        samples = self._samples(self.corpus.train.head(training.texts))
        folder = self.student_folder(name)
        return Subject(
            name,
            locate(str(folder.resolve())),
            settle_owner(self.recipe.card, self.teacher),
            training=training.model_copy(update={"samples": samples}),
            kept_layers=made.layers,
            base_model=start.hub_id if start else self.teacher.base_model_id,
            corpus=self.corpus.facts,
            recipe=dump_recipe(self.recipe),
        )
