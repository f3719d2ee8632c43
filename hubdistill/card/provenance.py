"""Licences and revisions of students and of everything that they were made of."""

from __future__ import annotations

from collections.abc import Sequence

from hubdistill.card.claim import model_name
from hubdistill.card.licenses import license_remark
from hubdistill.card.metadata import license_id
from hubdistill.card.text import Markdown, code, dataset_link, escape, model_link, table
from hubdistill.report import DistillationReport
from hubdistill.results import student_model, teacher_model, unique

Row = tuple[str, str, str]

_UNDECLARED = "not declared"


def provenance_part(reports: Sequence[DistillationReport]) -> Markdown:
    """A table of parts, licences and revisions, and what follows from the licences.

    Args:
        reports: one student's, or those of a family that was measured together.
    """
    first = reports[0]
    rows = [_student(report, alone=len(reports) == 1) for report in reports]
    teacher = teacher_model(first)
    revision = code(_short_revision(teacher.revision))
    rows.append((Markdown(f"Teacher: {model_name(teacher)}"), teacher.license or _UNDECLARED, revision))
    for report in reports:
        rows += _start(report)
    for report in reports:
        rows += _texts(report)
    done = "Made" if any(report.training for report in reports) else "Measured"
    rows.append((f"{done} with hubdistill", "apache-2.0", code(first.hubdistill_version)))
    facts = "[report.json](report.json)" if len(reports) == 1 else "the students' own `report.json`"
    created = first.created.strftime("%Y-%m-%d")
    parts = [
        table(("Part", "Licence", "Revision"), unique(rows)),
        *unique(Markdown((report.owner.license_note or "").strip()) for report in reports),
        escape(" ".join(unique(remark for report in reports for remark in _remarks(report)))),
        Markdown(f"Measured on {created}. All facts of this card are in {facts}."),
    ]
    return Markdown("\n\n".join(filter(None, parts)))


def _student(report: DistillationReport, *, alone: bool) -> Row:
    student = student_model(report)
    name = "This model" if alone else model_name(student)
    return name, license_id(report), code(_short_revision(student.revision))


def _start(report: DistillationReport) -> list[Row]:
    start = report.training.start if report.training else None
    if start is None:
        return []
    where = model_link(start.hub_id) if start.hub_id else escape(start.name)
    revision = code(_short_revision(start.revision))
    return [(Markdown(f"Starts from: {where}"), start.license or _UNDECLARED, revision)]


def _texts(report: DistillationReport) -> list[Row]:
    rows: list[Row] = []
    for source in report.corpus.sources if report.corpus else ():
        where = dataset_link(source.hub_id) if source.hub_id else escape(source.name, 80)
        revision = code(source.revision[:12]) if source.revision else Markdown("not on the Hub")
        licence = source.license or (_UNDECLARED if source.hub_id else "see the source")
        rows.append((Markdown(f"Texts: {where}"), licence, revision))
    return rows


def _remarks(report: DistillationReport) -> list[str]:
    if not report.training:
        return []
    own, start = license_id(report), report.training.start
    remarks = [license_remark(own, teacher_model(report).license, "the teacher")]
    if start:
        remarks.append(license_remark(own, start.license, "the model that it starts from"))
    return [remark for remark in remarks if remark]


def _short_revision(revision: str) -> str:
    kind, colon, digest = revision.rpartition(":")
    return f"{kind}{colon}{digest[:12]}"
