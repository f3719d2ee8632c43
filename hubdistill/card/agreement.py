"""Tables of agreement with the teacher: whole, by slice, of short or small vectors, and text by text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hubdistill.card.cells import NOT_MEASURED, bare, counts, measure_name, scored, short_name
from hubdistill.card.metadata import LANGUAGE_NAMES
from hubdistill.card.text import Markdown, escape, folded, table
from hubdistill.numbers import count, score
from hubdistill.report import DistillationReport, EvaluationData, Measurement, Value
from hubdistill.results import Agreement, fidelity, same_of, top_k_agreement, unique
from hubdistill.variant_results import (
    SLICES,
    SliceBy,
    ann_recall,
    quantizations,
    slices,
    truncations,
    vector_bytes,
    whole,
)

MOST_SLICES = 10
"""Slices shown of one kind."""


def fidelity_table(report: DistillationReport) -> Markdown:
    """Closeness of the student's vectors to the teacher's."""
    rows = []
    for m in fidelity(report):
        metric = report.metrics[m.metric]
        rows.append((escape(metric.title), scored(m), count(m.n), escape(report.data[m.data].title, 80)))
    if not rows:
        return Markdown()
    text = table(("Measure", "Value", "Texts", "Data"), rows)
    if any(m.metric == "negative_mse" for m in fidelity(report)):
        text += Markdown(
            "\n\n`negative_mse` is as sentence-transformers reports it: 100 times the MSE, negated."
        )
    return text


def agreement_tables(report: DistillationReport) -> Markdown:
    """Precision@k between top-k lists, one table a set of queries and documents."""
    return Markdown("\n\n".join(_agreement_table(report, agreement) for agreement in top_k_agreement(report)))


def truncation_table(report: DistillationReport) -> Markdown:
    """Both models with their vectors cut, one row a width."""
    rows = [
        (model, count(width), vector_bytes(width, "float32"), measured)
        for model in (report.student, report.teacher)
        for width, measured in truncations(report, model).items()
    ]
    return _variants_table(report, "Dimensions", rows)


def quantization_table(report: DistillationReport) -> Markdown:
    """Both models with their vectors quantized, one row a precision."""
    rows = [
        (model, precision, vector_bytes(report.models[model].architecture.dimensions, precision), measured)
        for model in (report.student, report.teacher)
        for precision, measured in quantizations(report, model).items()
    ]
    return _variants_table(report, "Stored as", rows)


def ann_tables(report: DistillationReport) -> Markdown:
    """How much of exact search the HNSW graph finds at each depth, student beside teacher."""
    ours = ann_recall(report)
    tables = []
    for data, k in unique((m.data, m.parameters.get("k")) for m in ours):
        rows = []
        for m in ours:
            if (m.data, m.parameters.get("k")) == (data, k):
                teacher = same_of(report, m, report.teacher)
                ef = m.parameters.get("ef")
                rows.append((str(ef), scored(m), scored(teacher) if teacher else NOT_MEASURED))
        title = f"**{escape(report.data[data].title, 80)}**, k = {k}, {_size(report.data[data])}"
        tables.append(f"{title}\n\n{table(('ef', 'This model', 'Teacher'), rows, numbers_from=0)}")
    return Markdown("\n\n".join(tables))


def slice_tables(report: DistillationReport) -> Markdown:
    """Agreement on the texts of each language, source and range of lengths, the lowest first."""
    return Markdown("\n\n".join(filter(None, (_slice_table(report, by) for by in SLICES))))


def weakest_slices(report: DistillationReport) -> list[str]:
    """Where the student is measurably further from the teacher than over all, a sentence each."""
    sentences: list[str] = []
    for by in SLICES:
        found = _sure_slices(report, by)
        if not found:
            continue
        name, measured = next(iter(found.items()))
        worst = measured[0]
        on_all = whole(report, worst, by)
        if on_all is None or on_all.interval is None or worst.interval is None:
            continue
        if worst.interval.high < on_all.interval.low:
            words = {"language": "in {}", "source": "from {}", "length": "of {} tokens"}[by]
            where = words.format(_slice_name(by, name))
            title = measure_name(report, worst, data=False)
            sentences.append(
                Markdown(
                    f"It is furthest from the teacher on texts {where} ({escape(title)}: "
                    f"{score(worst.value)}; on all texts {score(on_all.value)})."
                )
            )
    return sentences


def lowest_agreement_table(report: DistillationReport) -> Markdown:
    """The held-out texts on which the two agree least, folded."""
    found = report.lowest_agreement
    if not found:
        return Markdown()
    titles = unique(report.metrics[low.metric].title for low in found)
    rows = [(escape(low.text), score(low.value)) for low in found]
    body = table(("Text", " / ".join(titles)), rows, numbers_from=1)
    return folded("The held-out texts on which student and teacher agree least", body)


def _agreement_table(report: DistillationReport, agreement: Agreement) -> str:
    rows = []
    for (model, other), values in agreement.pairs.items():
        names = Markdown(f"{short_name(report, model)} and {short_name(report, other)}")
        # Intervals for this student against its teacher only: the table stays narrow.
        write = scored if (model, other) == (report.student, report.teacher) else bare
        rows.append((names, *(write(values[k]) if k in values else NOT_MEASURED for k in agreement.ks)))
    title = f"**{escape(agreement.data.title, 80)}**, {_size(agreement.data)}"
    return f"{title}\n\n{table(('Pair', *(f'P@{k}' for k in agreement.ks)), rows, numbers_from=1)}"


def _size(data: EvaluationData) -> str:
    text = f"{count(data.n)} queries"
    if data.made_queries:
        text += " made from the documents"
    return text if data.documents is None else f"{text}, {count(data.documents)} documents"


def _variants_table(
    report: DistillationReport, heading: str, variants: Sequence[tuple[str, str, int, list[Measurement]]]
) -> Markdown:
    """Rows of model, what was done to its vectors, bytes of one vector, and measures in columns."""
    if not variants:
        return Markdown()
    columns = _columns(m for *_, measured in variants for m in measured)
    rows = []
    for model, variant, size, measured in variants:
        cells = {_column(m): scored(m) for m in measured}
        name = "This model" if model == report.student else "Teacher"
        rows.append((name, variant, count(size), *(cells.get(c, NOT_MEASURED) for c in columns)))
    headings = ("Vectors of", heading, "Bytes each", *(measure_name(report, m) for m in columns.values()))
    return table(headings, rows, numbers_from=2)


def _column(m: Measurement) -> tuple[str, str, Value]:
    return m.metric, m.data, m.parameters.get("k")


def _columns(measured: Iterable[Measurement]) -> dict[tuple[str, str, Value], Measurement]:
    """One measurement for each measure; of several k the smallest."""
    columns = {_column(m): m for m in measured}
    smallest = {
        place: min((k for *other, k in columns if tuple(other) == place and isinstance(k, int)), default=None)
        for place in unique((metric, data) for metric, data, _ in columns)
    }
    return {column: m for column, m in columns.items() if column[2] in (None, smallest[column[:2]])}


def _sure_slices(report: DistillationReport, by: SliceBy) -> dict[str, list[Measurement]]:
    """What was measured with intervals on each slice, the lowest first; nothing where one slice is all."""
    found = {
        name: sure
        for name, measured in slices(report, by).items()
        if (sure := [m for m in measured if m.interval])
    }
    if len(found) == 1 and all(m.n == report.data[m.data].n for m in next(iter(found.values()))):
        return {}
    return dict(sorted(found.items(), key=lambda item: item[1][0].value))


def _slice_table(report: DistillationReport, by: SliceBy) -> str:
    found = _sure_slices(report, by)
    if not found:
        return ""
    columns = _columns(m for measured in found.values() for m in measured)
    rows = []
    for name, measured in list(found.items())[:MOST_SLICES]:
        cells = {_column(m): scored(m) for m in measured}
        rows.append((_slice_name(by, name), counts(measured), *(cells.get(c, NOT_MEASURED) for c in columns)))
    on_all = [whole(report, m, by) for m in columns.values()]
    if everything := [m for m in on_all if m]:
        cells_of_all = (scored(m) if m else NOT_MEASURED for m in on_all)
        rows.append((Markdown("**all**"), counts(everything), *cells_of_all))
    headings = (SLICES[by].capitalize(), "n", *(measure_name(report, m) for m in columns.values()))
    text = table(headings, rows, numbers_from=1)
    left_out = len(found) - MOST_SLICES
    return f"{text}\n\n{count(left_out)} more are in report.json." if left_out > 0 else text


def _slice_name(by: SliceBy, name: str) -> str:
    return escape(LANGUAGE_NAMES.get(name, name) if by == "language" else name, 80)
