"""Tables of quality on judged data: student beside teacher, and beside its siblings."""

from __future__ import annotations

from hubdistill.card.cells import NOT_MEASURED, bare, compared, difference, scored, short_name
from hubdistill.card.text import Markdown, code, escape, folded, table
from hubdistill.numbers import count, listed, ratio, score, short_count, size
from hubdistill.report import DistillationReport
from hubdistill.results import (
    Kind,
    Result,
    first_agreement,
    headline_results,
    known,
    layers_of,
    middle,
    results,
    same_of,
    sibling_difference,
    speed_ups,
    top_k_agreement,
    unique,
)
from hubdistill.variant_results import asymmetric_agreement, asymmetric_results, whole


def quality_tables(report: DistillationReport, kind: Kind) -> Markdown:
    """A table for each metric on data of one kind; the first is open, the others are folded."""
    found = results(report, kind)
    tables = [(rows[0].metric.title, _quality_table(rows)) for rows in _by_metric(found)]
    made = unique(result.data for result in found if result.data.made_queries)
    notes = [
        f"{escape(data.title, 80)}: its queries were made from its documents, not written by people "
        f"({escape(data.made_queries or '')})."
        for data in made
    ]
    return Markdown("\n\n".join([*_first_open(tables), *notes]))


def benchmark_table(report: DistillationReport) -> Markdown:
    """Scores of MTEB tasks."""
    rows = [
        (
            escape(result.data.title, 80),
            code(str(result.student.parameters.get("main_score", result.metric_name))),
            bare(result.student),
            bare(result.teacher),
        )
        for result in results(report, "benchmark")
    ]
    return table(("Task", "Score", "This model", "Teacher"), rows, numbers_from=2) if rows else Markdown()


def asymmetric_tables(report: DistillationReport) -> Markdown:
    """The student's queries on the teacher's documents, between both models on their own."""
    found = asymmetric_results(report)
    tables = [(rows[0].metric.title, _asymmetric_table(report, rows)) for rows in _by_metric(found)]
    return Markdown("\n\n".join([*_first_open(tables), *_asymmetric_agreement(report)]))


def family_table(report: DistillationReport, *, own: bool = True) -> Markdown:
    """All students of the run and their teacher.

    Args:
        own: the report's own student stands out.
    """
    if not report.siblings:
        return Markdown()
    headline = headline_results(report)[:2]
    agreement = next(iter(top_k_agreement(report)), None)
    widths = {model.architecture.dimensions for model in report.models.values()}
    rows = []
    for key in (report.student, *report.siblings, report.teacher):
        model, name = report.models[key], short_name(report, key)
        cells = [
            Markdown(f"**{name}**") if own and key == report.student else name,
            str(layers_of(model.architecture)) if model.architecture.kind == "transformer" else "static",
            *([count(model.architecture.dimensions)] if len(widths) > 1 else []),
            short_count(model.architecture.parameters),
            size(model.bytes),
        ]
        for result in headline:
            found = same_of(report, result.student, key)
            cells.append(score(found.value) if found else NOT_MEASURED)
        if agreement:
            first = agreement.at(key, report.teacher).get(agreement.ks[0])
            cells.append(bare(first) if first else NOT_MEASURED)
        cells.append(_family_speed(report, key))
        rows.append(cells)
    headings = ["Model", "Layers", *(["Dimensions"] if len(widths) > 1 else []), "Parameters", "Size"]
    headings += [result.data.title for result in headline]
    headings += [f"P@{agreement.ks[0]} with teacher"] if agreement else []
    headings += ["Speed-up"]
    notes = _scores(headline)
    if speeds := speed_ups(report):
        notes.append(f"Speed-up: texts per second over the teacher's, at {middle(speeds).tokens} tokens.")
    return Markdown("\n\n".join([table(headings, rows, numbers_from=1), " ".join(notes)]).rstrip())


def sibling_table(report: DistillationReport) -> Markdown:
    """This student's differences to each of its siblings."""
    headline = headline_results(report)[:4]
    first = first_agreement(report)
    measured = [*(result.student for result in headline), *([first] if first else [])]
    rows = []
    for sibling in report.siblings:
        differences = [sibling_difference(report, one, sibling) for one in measured]
        if any(differences):
            cells = [
                difference(d.value, d.interval, decided=d.decided) if d else Markdown("not compared")
                for d in differences
            ]
            rows.append((short_name(report, sibling), *cells))
    if not rows:
        return Markdown()
    headings = ["This model minus", *(result.data.title for result in headline)]
    headings += [f"P@{first.parameters['k']} with teacher"] if first else []
    return Markdown(f"{table(headings, rows, numbers_from=1)}\n\n{' '.join(_scores(headline))}")


def _by_metric(found: list[Result]) -> list[list[Result]]:
    names = unique(result.metric_name for result in found)
    return [[result for result in found if result.metric_name == name] for name in names]


def _first_open(tables: list[tuple[str, Markdown]]) -> list[str]:
    return [
        folded(title, body) if place else f"**{escape(title)}**\n\n{body}"
        for place, (title, body) in enumerate(tables)
    ]


def _quality_table(found: list[Result]) -> Markdown:
    items = {"similarity": "Pairs", "retrieval": "Queries"}.get(found[0].data.kind, "n")
    rows = [
        (
            escape(result.data.title, 80),
            count(result.student.n),
            scored(result.student),
            scored(result.teacher),
            *compared(result.comparison),
        )
        for result in found
    ]
    return table(("Data set", items, "This model", "Teacher", "Difference", "Kept"), rows, numbers_from=1)


def _asymmetric_table(report: DistillationReport, found: list[Result]) -> Markdown:
    rows: list[tuple[str, ...]] = []
    own = {(r.metric_name, r.student.data): r for r in results(report, "retrieval")}
    for result in found:
        metric, data = result.metric_name, result.student.data
        place = f"measurements: {metric} of {result.student.model} on {data} without documents"
        alone = known(own.get((metric, data)), place)
        title = escape(result.data.title, 80)
        rows += [
            (title, "this model", "this model", scored(alone.student), *compared(alone.comparison)),
            (title, "this model", "teacher", scored(result.student), *compared(result.comparison)),
            (title, "teacher", "teacher", scored(result.teacher), "", ""),
        ]
    headings = ("Data set", "Queries by", "Documents by", "Score", "Difference to teacher", "Kept")
    return table(headings, rows, numbers_from=3)


def _scores(headline: list[Result]) -> list[str]:
    """Which metric the scores under each data set are of."""
    if not headline:
        return []
    sets = {
        title: [escape(r.data.title) for r in headline if r.metric.title == title]
        for title in unique(r.metric.title for r in headline)
    }
    if len(sets) == 1:
        return [f"Scores: {escape(next(iter(sets)))}."]
    return [f"Scores: {'; '.join(f'{escape(title)} on {listed(names)}' for title, names in sets.items())}."]


def _asymmetric_agreement(report: DistillationReport) -> list[str]:
    """How far the student's queries find what the teacher's find, in its own index and in the teacher's."""
    found = []
    for data, mixed in asymmetric_agreement(report).items():
        alone = (whole(report, m, "documents") for m in mixed)
        rows = [
            ["this model", *(scored(m) if m else NOT_MEASURED for m in alone)],
            ["teacher", *map(scored, mixed)],
        ]
        title = f"**Shared with the teacher's own search**, {escape(report.data[data].title, 80)}"
        headings = ("Documents by", *(f"P@{m.parameters['k']}" for m in mixed))
        found.append(f"{title}\n\n{table(headings, rows, numbers_from=1)}")
    return found


def _family_speed(report: DistillationReport, model: str) -> str:
    if model == report.teacher:
        return "1x"
    speeds = speed_ups(report, model)
    return ratio(middle(speeds).ratio) if speeds else NOT_MEASURED
