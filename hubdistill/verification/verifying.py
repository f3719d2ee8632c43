"""One verification: a published model, its report and its card, from beginning to end."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from hubdistill import __version__
from hubdistill.errors import EvaluationError, ReportError, TeacherError
from hubdistill.evaluation import Candidate
from hubdistill.evaluation.architecture import environment
from hubdistill.models import load_model
from hubdistill.numbers import listed
from hubdistill.report import FILE_NAME, DistillationReport, EvaluationPlan, load_report
from hubdistill.verification.card_check import check_card
from hubdistill.verification.consistency import (
    check_facts_of_report,
    contradictions,
    left_out,
    notes_on,
    unlike_held_out,
)
from hubdistill.verification.figures import ABSOLUTE_SPEED, COSTS, Figure, figures_of
from hubdistill.verification.inputs import Inputs, plan_of, read_inputs
from hubdistill.verification.judgement import Conditions, checked
from hubdistill.verification.local_data import LocalData
from hubdistill.verification.model_index import rerun_model_index
from hubdistill.verification.outcome import CheckedClaim, Problem, Verification
from hubdistill.verification.published import (
    Published,
    check_facts,
    check_weights,
    fetch,
    is_missing_revision,
    load_reference,
    load_student,
    note_on_other_weights,
    without_bytes_of_caches,
    without_harmless_files,
)
from hubdistill.verification.rerun import Rerun, rerun

_CARD = "README.md"


def verify(
    model: str,
    *,
    revision: str | None = None,
    quick: bool = False,
    data: Sequence[Path] = (),
    teacher: str | None = None,
    texts: Sequence[Path] = (),
    speed: bool = True,
    trust_remote_code: bool = False,
    device: str | None = None,
) -> Verification:
    """Measure again what a published model claims, and compare.

    Figures of quality are repeated exactly, on the same data with the same seed; of cost, ratios of student
    to teacher are. A claim that cannot be repeated here is `not run`, with what mends it, and does not stop
    the others. A model without a report.json is checked by its card's model-index.

    Args:
        model: a Hub id, `id@revision`, or a student's folder.
        revision: branch, tag or commit on the Hub.
        quick: measure a sample, and only what a sample can tell.
        data: folders, or files, where local data that was measured on may be; nothing else is read.
        teacher: a copy of the teacher, where the recorded one cannot be had: a folder or a Hub id.
        texts: files of the held-out texts.
        speed: repeat measurements of cost.
        trust_remote_code: run the models' own Python code.
        device: torch device; the fastest there is when left out.

    Raises:
        TeacherError: the model cannot be found or fetched.
        ReportError: it has neither a report nor a card, or a report that cannot be read.
    """
    started = time.monotonic()
    published = fetch(model, revision)
    if (published.folder / FILE_NAME).is_file():
        with tempfile.TemporaryDirectory(prefix="hubdistill-verify-") as work:
            check = _Check(published, load_report(published.folder), Path(work), quick=quick)
            check.run(
                LocalData(data),
                teacher,
                texts,
                speed=speed,
                device=device,
                trust_remote_code=trust_remote_code,
            )
            claims, problems, notes = check.claims, check.problems, check.notes
            names = check.report.student, check.report.teacher
    else:
        names = "", ""
        claims, problems, notes = _by_card(
            published, quick=quick, device=device, trust_remote_code=trust_remote_code
        )
    return Verification(
        model=published.name,
        revision=published.revision,
        claims=tuple(claims),
        problems=tuple(problems),
        notes=tuple(notes),
        quick=quick,
        seconds=time.monotonic() - started,
        student=names[0],
        teacher=names[1],
    )


def _by_card(
    published: Published, *, quick: bool, device: str | None, trust_remote_code: bool
) -> tuple[list[CheckedClaim], list[Problem], list[str]]:
    """What a model without a report can be held to: the model-index of its card."""
    card = _read_card(published.folder)
    if card is None:
        raise ReportError(f"{published.name} has neither a {FILE_NAME} nor a {_CARD}: it claims nothing")
    model = load_model(published.model, device=device, trust_remote_code=trust_remote_code)
    claims, notes = rerun_model_index(card, model, name=published.name, quick=quick)
    return claims, [], [f"there is no {FILE_NAME}: the card's model-index was measured again", *notes]


def _read_card(folder: Path) -> str | None:
    try:
        return (folder / _CARD).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


@dataclass
class _Check:
    """One verification of a report on its way."""

    published: Published
    report: DistillationReport
    work: Path
    quick: bool
    claims: list[CheckedClaim] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def run(
        self,
        data: LocalData,
        teacher: str | None,
        texts: Sequence[Path],
        *,
        speed: bool,
        device: str | None,
        trust_remote_code: bool,
    ) -> None:
        """Do all of it."""
        plan = plan_of(self.report, self.work)
        if not speed:
            plan = plan.model_copy(update={"settings": plan.settings.model_copy(update={"speed": None})})
        reference, without = self._reference(plan, teacher, device, trust_remote_code)
        student = self._student(reference, plan, device, trust_remote_code)
        inputs = read_inputs(self.report, plan, data, texts, quick=self.quick, work=self.work)
        self.problems += inputs.problems
        seed = self.report.environment.seed
        found = Rerun()
        if student is not None:
            if student.teacher_space is None and inputs.held_out is None:
                student = replace(student, teacher_space=self._shares_space())
            found = rerun(student, reference, inputs, seed=seed, work=self.work, quick=self.quick)
        self.problems += (Problem("evaluation", text) for text in found.failed)
        absence = _Absence(self, inputs, found, without, speed=speed, student=student is not None)
        self._judge(found, absence, student, reference)
        self.problems += check_facts_of_report(self.report) + contradictions(self.report)
        self.problems += unlike_held_out(self.report, plan, found)
        if student and reference and not (self.quick or found.failed):
            self.problems += self._left_out(found, all_data=not (inputs.absent or texts))
        self._card()
        self._say_what_is_left()
        self.notes += notes_on(self.report, plan)

    def _reference(
        self, plan: EvaluationPlan, given: str | None, device: str | None, trust_remote_code: bool
    ) -> tuple[Candidate | None, str]:
        """The teacher, or why there is none."""
        recorded = self.report.models[self.report.teacher]
        try:
            found = load_reference(
                self.report,
                plan,
                given,
                base=self.work,
                device=device,
                trust_remote_code=trust_remote_code,
            )
        except (TeacherError, EvaluationError) as error:
            if is_missing_revision(error):
                reason = f"the Hub has no commit {recorded.revision} of {recorded.hub_id}"
                self.problems.append(Problem(f"report.json, models.{recorded.name}", reason))
                return None, reason
            return None, str(error) if given or "--teacher" in str(error) else f"{error}, or in --teacher"
        assert found.folder is not None
        problem, note = check_weights(
            found.folder, recorded, found.facts.revision, f"weights of {given or recorded.name}"
        )
        self._take(problem, note)
        claims, problems = check_facts(recorded, found.facts)
        claims, note = without_harmless_files(claims, recorded, found.facts, found.folder)
        self.claims += without_bytes_of_caches(claims, recorded, found.facts)
        self.notes += [note] if note else []
        self.problems += problems
        return found, ""

    def _student(
        self, reference: Candidate | None, plan: EvaluationPlan, device: str | None, trust_remote_code: bool
    ) -> Candidate | None:
        recorded = self.report.models[self.report.student]
        problem, note = check_weights(
            self.published.folder,
            recorded,
            self.published.revision,
            "model.safetensors",
        )
        self._take(problem, note)
        self._take(None, note_on_other_weights(self.published.folder))
        try:
            found = load_student(
                self.published,
                self.report,
                reference.prompt if reference else plan.teacher.prompt,
                device=device,
                trust_remote_code=trust_remote_code,
            )
        except (TeacherError, EvaluationError) as error:
            self.problems.append(Problem(self.published.name, str(error)))
            return None
        claims, problems = check_facts(recorded, found.facts)
        claims, note = without_harmless_files(claims, recorded, found.facts, self.published.folder)
        self.claims[:0] = claims
        self.notes += [note] if note else []
        self.problems += problems
        return found

    def _shares_space(self) -> bool:
        """Whether the report compares student and teacher number by number."""
        return any(
            m.metric == "teacher_cosine" or "documents" in m.parameters
            for m in self.report.measurements
            if m.model == self.report.student
        )

    def _judge(
        self, found: Rerun, absence: _Absence, student: Candidate | None, reference: Candidate | None
    ) -> None:
        names = {"student": self.report.student, "teacher": self.report.teacher}
        measured = {one.key: one for one in figures_of(found.measurements, found.comparisons, **names)}
        loaded = [one for one in (student, reference) if one is not None]
        hardware = self._hardware(str(loaded[0].model.device)) if loaded else ""
        precision = {one.name: self._precision(one) for one in loaded}
        coarse = {one.name for one in loaded if one.facts.dtype != "float32"}
        for claimed in figures_of(self.report.measurements, self.report.comparisons, **names):
            conditions = Conditions(
                sampled=self.quick,
                precision=precision.get(claimed.model, "") or precision.get(claimed.against or "", ""),
                coarse=not coarse.isdisjoint((claimed.model, claimed.against)),
                hardware=hardware,
                other_version=self.report.hubdistill_version != __version__,
            )
            again = measured.get(claimed.key)
            claim = checked(
                claimed,
                again,
                names["teacher"],
                conditions=conditions,
                absent="" if again else absence.reason(claimed),
            )
            if again is None and not claim.why:
                claim = absence.unexplained(claimed, claim)
            self.claims.append(claim)

    def _left_out(self, found: Rerun, *, all_data: bool) -> list[Problem]:
        names = {"student": self.report.student, "teacher": self.report.teacher}
        claimed = figures_of(self.report.measurements, self.report.comparisons, **names)
        measured = figures_of(found.measurements, found.comparisons, **names)
        return left_out(self.report, claimed, measured, all_data=all_data)

    def _precision(self, one: Candidate) -> str:
        recorded = self.report.models[one.name].dtype
        here = one.facts.dtype
        return "" if recorded == here else f"{one.name} is {here} here, {recorded} when it was measured"

    def _hardware(self, device: str) -> str:
        then, now = self.report.environment, environment(0, device)
        differs = [
            f"{getattr(then, name)} {unit}".strip()
            for name, unit in (("device", ""), ("processor", ""), ("cores", "cores"), ("threads", "threads"))
            if getattr(then, name) != getattr(now, name)
        ]
        return f"it was measured on {listed(differs)}" if differs else ""

    def _card(self) -> None:
        try:
            card = _read_card(self.published.folder)
        except (OSError, UnicodeDecodeError) as error:
            self.problems.append(Problem(_CARD, f"cannot be read: {error}"))
            return
        if card is None:
            self.problems.append(Problem(_CARD, "is not there, though the report describes one"))
            return
        found = check_card(card, self.report, folder=self.published.folder, repo_id=self.published.repo_id)
        self.claims += found.claims
        self.problems += found.problems
        self.notes += found.notes

    def _say_what_is_left(self) -> None:
        siblings = set(self.report.siblings)
        if siblings:
            named = [(one.model, one.against) for one in self.report.measurements]
            named += [(one.model, one.against) for one in self.report.comparisons]
            count = sum(not siblings.isdisjoint(both) for both in named)
            self.notes.append(
                f"{count} figures of {listed(sorted(siblings))} stand in this report as well; their own "
                "repositories verify them"
            )
        absolute = sum(
            m.metric == ABSOLUTE_SPEED or m.metric in COSTS
            for m in self.report.measurements
            if m.model in (self.report.student, self.report.teacher)
        )
        if absolute:
            self.notes.append(
                f"{absolute} speeds, times and sizes in memory are of the machine they were measured on; "
                "ratios of student to teacher are compared instead"
            )

    def _take(self, problem: Problem | None, note: str) -> None:
        self.problems += [problem] if problem else []
        self.notes += [note] if note else []


@dataclass(frozen=True)
class _Absence:
    """Why claims were not measured again."""

    check: _Check
    inputs: Inputs
    found: Rerun
    without_teacher: str
    speed: bool
    student: bool

    def reason(self, claimed: Figure) -> str:
        """Why one claim was not; nothing when nothing stood in its way."""
        teacher = self.check.report.teacher
        if not self.student:
            return "the model cannot be loaded"
        if claimed.is_cost and (not self.speed or self.check.quick):
            return "--no-speed" if not self.speed else "a sample says nothing about cost"
        if claimed.data in self.inputs.absent:
            return self.inputs.absent[claimed.data]
        needs_teacher = {claimed.model, claimed.against, dict(claimed.parameters).get("documents")}
        if self.without_teacher and (teacher in needs_teacher or claimed.is_cost):
            return f"needs the teacher: {self.without_teacher}"
        if claimed.metric in self.found.unavailable:
            return self.found.unavailable[claimed.metric]
        if self.found.failed:
            return "the evaluation broke off"
        return "needs the whole collection; leave out --quick" if self.check.quick else ""

    def unexplained(self, claimed: Figure, claim: CheckedClaim) -> CheckedClaim:
        """A claim that nothing stood in the way of: the evaluation has no such figure."""
        if claimed.is_cost:
            return replace(claim, why="nothing of the kind can be measured on this machine")
        then = self.check.report.hubdistill_version
        if then == __version__:
            return replace(
                claim, verdict="differs", why="the evaluation that the report describes has no such figure"
            )
        return replace(claim, why=f"measured by hubdistill {then}, which {__version__} does not repeat")
