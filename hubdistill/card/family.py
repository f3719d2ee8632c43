"""The card of a family: all students that were measured together, side by side.

It is rendered from the students' reports by the same tables as their own cards, and has no model of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hubdistill.card.cells import NOT_MEASURED, scored, short_name
from hubdistill.card.claim import model_name
from hubdistill.card.cost import cost_label, with_spread
from hubdistill.card.evaluation import EvaluationPart, evaluation_part
from hubdistill.card.metadata import LIBRARY, MADE_HERE, languages, license_id, to_yaml
from hubdistill.card.provenance import provenance_part
from hubdistill.card.quality import family_table
from hubdistill.card.quick_start import quoted
from hubdistill.card.text import Markdown, bullets, escape, fenced, table
from hubdistill.card.training import TrainingPart, environment_lines, recipe_part, training_part
from hubdistill.citations import citations
from hubdistill.errors import CardError
from hubdistill.figures import NAMES, Figure
from hubdistill.figures.content import Family, Member, family
from hubdistill.numbers import count, listed, ratio, share, share_span
from hubdistill.report import DistillationReport
from hubdistill.results import Result, costs, headline_results, same_of, speed_ups, unique

FIGURES = ("quality_speed", "agreement_matrix", "precision_at_k")
"""The figures that say as much of the family as of one student."""


@dataclass(frozen=True)
class FamilyView:
    """The variables of the family's template."""

    metadata: Markdown
    """YAML front matter without its `---` lines."""
    hubdistill_version: str
    """The version that wrote the reports."""
    title: Markdown
    """The family's name."""
    claim: Markdown
    """One paragraph: how many students of which teacher, what each keeps and gains."""
    students: Markdown
    """All students and their teacher in one table."""
    choice: Markdown
    """Whether a student is behind another one in all; empty where not every two of them were compared."""
    figures: dict[str, Markdown]
    """Images by name, as in `hubdistill.figures.TITLES`; empty where there is none."""
    quick_start: Markdown
    """How to load one of them."""
    quality: Markdown
    """The metric that stands for each kind of judged data, a column for each model."""
    cost: Markdown
    """Texts per second, latency and memory, a column for each model; empty when nothing was measured."""
    evaluation: EvaluationPart
    """Of the first student; inputs, agreement, data and metrics are those of the family."""
    making: Markdown
    """How each student was made, in a list."""
    training: TrainingPart | None
    """Of the first student; the training texts are those of the family."""
    environment: Markdown
    """Machine and library versions."""
    repeat: Markdown
    """The command that repeats the run, and its recipe; empty without a recipe."""
    provenance: Markdown
    """Licences and revisions."""
    citations: Markdown
    """BibTeX."""


def family_view(
    reports: Sequence[DistillationReport],
    *,
    name: str,
    repo_ids: Mapping[str, str] | None = None,
    figures: Sequence[Figure] = (),
) -> FamilyView:
    """Make everything that a family's card prints.

    Args:
        reports: one for each student, all of one evaluation.
        name: the family's.
        repo_ids: where the students are published, by their names.
        figures: pictures to show.

    Raises:
        CardError: the reports are not of one family that was measured together, or lack a fact.
    """
    _refuse_strangers(reports)
    first, linked = reports[0], [_published(report, repo_ids or {}) for report in reports]
    images = {figure.name: Markdown(f"![{escape(figure.alt)}]({figure.path})") for figure in figures}
    found = family(first)
    return FamilyView(
        metadata=_front_matter(reports),
        hubdistill_version=escape(first.hubdistill_version),
        title=escape(name),
        claim=_claim(linked, name, found),
        students=family_table(linked[0], own=False),
        choice=_choice(linked[0], found) if found else Markdown(),
        figures={figure: images.get(figure, Markdown()) for figure in NAMES},
        quick_start=_quick_start(reports, repo_ids or {}),
        quality=_quality(first),
        cost=_cost(first),
        evaluation=evaluation_part(first, family=reports),
        making=_making(reports),
        training=training_part(first),
        environment=environment_lines(first),
        repeat=recipe_part(first),
        provenance=provenance_part(linked),
        citations=_citations(reports),
    )


def _refuse_strangers(reports: Sequence[DistillationReport]) -> None:
    if len(reports) < 2:
        raise CardError(f"a family has at least two students, and there are {len(reports)} reports")
    first = reports[0]
    students = {report.student for report in reports}
    for report in reports[1:]:
        if report.measurements != first.measurements or report.teacher != first.teacher:
            raise CardError(
                f"'{report.student}' and '{first.student}' were not measured together, so they cannot stand "
                "in one table; evaluate the family in one run (`hubdistill evaluate RECIPE`)"
            )
    if missing := sorted({first.student, *first.siblings} - students):
        raise CardError(f"the family has a student '{missing[0]}' as well; give its report too")


def _published(report: DistillationReport, repo_ids: Mapping[str, str]) -> DistillationReport:
    """The report with the students' Hub ids, so that their names are links."""
    models = {
        key: model.model_copy(update={"hub_id": repo_ids.get(key, model.hub_id)})
        for key, model in report.models.items()
    }
    return report.model_copy(update={"models": models})


def _front_matter(reports: Sequence[DistillationReport]) -> Markdown:
    licences = unique(license_id(report) for report in reports)
    if len(licences) > 1:
        raise CardError(
            f"the students have different licences ({listed(licences)}); a family's card says one"
        )
    first = reports[0]
    card = {
        "language": languages(first),
        "license": licences[0],
        "library_name": LIBRARY,
        "tags": unique(
            [*MADE_HERE, "model-family", *(tag for report in reports for tag in report.owner.tags)]
        ),
        "base_model": unique(report.base_model for report in reports if report.base_model),
        "datasets": unique(s.hub_id for s in first.corpus.sources if s.hub_id) if first.corpus else [],
    }
    return to_yaml({key: value for key, value in card.items() if value})


def _claim(reports: Sequence[DistillationReport], name: str, found: Family | None) -> Markdown:
    first = reports[0]
    made = "distilled from" if all(report.training for report in reports) else "compared with"
    text = (
        f"**{escape(name)}** is a family of {count(len(reports))} students {made} "
        f"{model_name(first.models[first.teacher])} and measured in one run, on the same inputs."
    )
    if found:
        members = sorted(found.members[1:], key=lambda member: -member.kept)
        each = (f"{model_name(first.models[m.model])} {_keeps(m)}" for m in members)
        text += (
            f" Of the teacher's {escape(found.result.metric.title)} on {escape(found.result.data.title)}, "
            f"{listed(each)} its speed."
        )
    return Markdown(text)


def _keeps(member: Member) -> str:
    interval = f" {share_span(member.kept_interval)}" if member.kept_interval else ""
    return f"keeps {share(member.kept)}{interval} at {ratio(member.speed_up)}"


def _choice(report: DistillationReport, found: Family) -> Markdown:
    """Which students another one leaves no reason to take."""
    behind = [model_name(report.models[member.model]) for member in found.members[1:] if member.beaten]
    if not behind:
        return Markdown("None of the students is measurably behind another one." if found.compared else "")
    are = "is" if len(behind) == 1 else "are"
    return Markdown(
        f"{listed(behind)} {are} measurably behind another model of the family, which is at least as good "
        "and at least as fast."
    )


def _quick_start(reports: Sequence[DistillationReport], repo_ids: Mapping[str, str]) -> Markdown:
    report = reports[0]
    keys = (report.student, *report.siblings)
    names = [quoted(repo_ids.get(key, report.models[key].name)) for key in keys]
    others = f"  # or {listed(names[1:]).replace(' and ', ' or ')}"
    if any(report.quick_start.retrieval for report in reports):
        encoding = (
            'queries = model.encode_query(["How is the weather?"])\n'
            'documents = model.encode_document(["It is lovely today.", "He drove to the stadium."])\n'
            "print(model.similarity(queries, documents))"
        )
    else:
        encoding = (
            'embeddings = model.encode(["The weather is lovely today.", "He drove to the stadium."])\n'
            "print(model.similarity(embeddings, embeddings))"
        )
    return fenced(
        "from sentence_transformers import SentenceTransformer\n\n"
        f'model = SentenceTransformer("{names[0]}"){others}\n{encoding}',
        "python",
    )


def _models(report: DistillationReport) -> list[str]:
    return [report.student, *report.siblings, report.teacher]


def _quality(report: DistillationReport) -> Markdown:
    """A table for the metric that stands for each kind of judged data."""
    headline = headline_results(report)
    tables = []
    for metric in unique(result.metric_name for result in headline):
        rows = [result for result in headline if result.metric_name == metric]
        tables.append(f"**{escape(rows[0].metric.title)}**\n\n{_quality_table(report, rows)}")
    return Markdown("\n\n".join(tables))


def _quality_table(report: DistillationReport, found: list[Result]) -> Markdown:
    rows = [
        (
            escape(result.data.title, 80),
            count(result.student.n),
            *(_score(report, result, model) for model in _models(report)),
        )
        for result in found
    ]
    headings = ["Data set", "n", *(short_name(report, model) for model in _models(report))]
    return table(headings, rows, numbers_from=1)


def _score(report: DistillationReport, result: Result, model: str) -> Markdown:
    """A model's score with its interval, and what that keeps of the teacher's."""
    measured = same_of(report, result.student, model)
    if measured is None:
        return Markdown(NOT_MEASURED)
    kept = (
        c.kept
        for c in report.comparisons
        if (c.metric, c.data, c.parameters) == (measured.metric, measured.data, measured.parameters)
        and (c.model, c.against) == (model, report.teacher)
    )
    return Markdown("<br>".join([scored(measured), *map(share, kept)]))


def _cost(report: DistillationReport) -> Markdown:
    rows: list[list[str]] = []
    for speed in speed_ups(report):
        cells = []
        for model in _models(report):
            mine = next((s for s in speed_ups(report, model) if s.tokens == speed.tokens), None)
            if mine is None:
                cells.append(Markdown(NOT_MEASURED))
            elif model == report.teacher:
                cells.append(with_spread(mine.student, ""))
            else:
                cells.append(Markdown(f"{with_spread(mine.student, '')}<br>{ratio(mine.ratio)}"))
        rows.append([f"Texts per second, {speed.tokens} tokens each", *cells])
    for ours, _ in costs(report):
        metric = report.metrics[ours.metric]
        found = [same_of(report, ours, model) for model in _models(report)]
        label = cost_label(report, ours)
        rows.append([label, *(with_spread(m, metric.unit) if m else NOT_MEASURED for m in found)])
    if not rows:
        return Markdown()
    return table(["", *(short_name(report, model) for model in _models(report))], rows, numbers_from=1)


def _making(reports: Sequence[DistillationReport]) -> Markdown:
    lines = []
    for report in reports:
        part = training_part(report)
        if part:
            name = short_name(report, report.student)
            lines.append(Markdown(f"**{name}.** {part.method} {part.time}"))
    return bullets(lines)


def _citations(reports: Sequence[DistillationReport]) -> Markdown:
    entries = {entry.key.lower(): entry.text for report in reports for entry in citations(report)}
    return fenced("\n\n".join(entries.values()), "bibtex")
