"""The card's evaluation part: every measurement in its table, and what was not measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hubdistill.card import agreement, quality
from hubdistill.card.cost import cost_table
from hubdistill.card.inputs import input_lines
from hubdistill.card.metadata import language_list, languages
from hubdistill.card.text import Markdown, bullets, code, dataset_link, escape, table
from hubdistill.numbers import count
from hubdistill.report import SMALLEST_SLICE, DistillationReport, EvaluationData
from hubdistill.results import (
    costs,
    results,
    speed_ups,
    student_model,
    teacher_model,
    top_k_agreement,
    unique,
)
from hubdistill.variant_results import asymmetric_agreement, asymmetric_results, truncations


@dataclass(frozen=True)
class EvaluationPart:
    """The evaluation as the template prints it; a part without measurements is empty."""

    inputs: Markdown
    """The prompt and the maximum length that the recipe sets, and where the models' own prompts apply."""
    similarity: Markdown
    """Correlation with reference similarities, student beside teacher."""
    retrieval: Markdown
    """Effectiveness on judged queries, student beside teacher."""
    asymmetric: Markdown
    """The same with the student's queries on the teacher's documents."""
    benchmark: Markdown
    """Scores of MTEB tasks, student beside teacher."""
    fidelity: Markdown
    """Closeness of the student's vectors to the teacher's."""
    agreement: Markdown
    """Precision@k between top-k lists, one row a pair of models."""
    slices: Markdown
    """Agreement by language, source and length of the texts."""
    smallest_slice: str
    """Texts or queries that a row of these has at least."""
    lowest_agreement: Markdown
    """Held-out texts on which the two agree least, if the owner asks for them."""
    truncation: Markdown
    """Both models with their vectors cut, one row a width."""
    quantization: Markdown
    """Both models with their vectors quantized, one row a precision."""
    ann_recall: Markdown
    """What approximate search finds of exact search, student beside teacher."""
    cost: Markdown
    """Speed, memory and size, student beside teacher."""
    family: Markdown
    """All students of the run in one table."""
    siblings: Markdown
    """This student's differences to the others."""
    data: Markdown
    """Every data set with its source, revision and hash."""
    metrics: Markdown
    """What each metric means."""
    intervals: str
    """How the confidence intervals were made."""
    reproduce: Markdown
    """The calls that repeat the measurements."""
    not_measured: Markdown
    """What this evaluation says nothing about."""


def evaluation_part(
    report: DistillationReport, *, family: Sequence[DistillationReport] = ()
) -> EvaluationPart:
    """Arrange everything that was measured.

    Args:
        family: the reports of all students, on a card that is theirs.

    Raises:
        CardError: the teacher was not measured where the student was.
    """
    return EvaluationPart(
        inputs=input_lines(family or [report], of_family=bool(family)),
        similarity=quality.quality_tables(report, "similarity"),
        retrieval=quality.quality_tables(report, "retrieval"),
        asymmetric=quality.asymmetric_tables(report),
        benchmark=quality.benchmark_table(report),
        fidelity=agreement.fidelity_table(report),
        agreement=agreement.agreement_tables(report),
        slices=agreement.slice_tables(report),
        smallest_slice=count(SMALLEST_SLICE),
        lowest_agreement=agreement.lowest_agreement_table(report),
        truncation=agreement.truncation_table(report),
        quantization=agreement.quantization_table(report),
        ann_recall=agreement.ann_tables(report),
        cost=cost_table(report),
        family=quality.family_table(report),
        siblings=quality.sibling_table(report),
        data=_data_table(report),
        metrics=_metric_list(report),
        intervals=_interval_methods(report),
        reproduce=_calls(report),
        not_measured=bullets(not_measured(report, of_family=bool(family))),
    )


def not_measured(report: DistillationReport, *, of_family: bool = False) -> list[str]:
    """What the numbers say nothing about."""
    return [
        *_quality_gaps(report),
        *_cost_gaps(report),
        *_vector_gaps(report),
        f"Social biases, in the student{'s' * of_family} or in comparison with the teacher.",
    ]


def _quality_gaps(report: DistillationReport) -> list[str]:
    gaps = []
    similarity, retrieval = results(report, "similarity"), results(report, "retrieval")
    benchmarked = ", the MTEB tasks aside" if results(report, "benchmark") else ""
    if not similarity:
        gaps.append(f"Correlation with human judgements of similarity{benchmarked}.")
    if not retrieval:
        gaps.append(f"Retrieval against relevance judgements{benchmarked}.")
    elif all(result.data.made_queries for result in retrieval):
        gaps.append(f"Retrieval with queries that people wrote{benchmarked}.")
    if not top_k_agreement(report):
        gaps.append("Whether student and teacher retrieve the same texts.")
    seen = {result.data.language for result in (*similarity, *retrieval)}
    if missing := [language for language in languages(report) if language not in seen]:
        gaps.append(f"Quality on judged data in {language_list(missing)}.")
    return gaps


def _cost_gaps(report: DistillationReport) -> list[str]:
    speeds, measured = speed_ups(report), {ours.metric for ours, _ in costs(report)}
    gaps = []
    if not speeds:
        gaps.append("How many texts it encodes in a second.")
    if not any(name.startswith("latency") for name in measured):
        gaps.append("How long a single text takes.")
    if not any("memory" in name for name in measured):
        gaps.append("Memory in use, and the time to load.")
    if speeds:
        gaps.append(f"Speed on a {'GPU' if report.environment.device == 'cpu' else 'CPU'}.")
    longest = max((speed.tokens for speed in speeds), default=0)
    student = student_model(report).architecture
    if student.max_length and student.max_length > 1024:
        gaps.append(
            f"Texts near the maximum of {count(student.max_length)} tokens"
            + (f" (speed up to {longest} tokens)." if longest else ".")
        )
    return gaps


def _vector_gaps(report: DistillationReport) -> list[str]:
    gaps = []
    training = report.training
    if student_model(report).architecture.dimensions != teacher_model(report).architecture.dimensions:
        gaps.append("Cosine and squared error to the teacher's vectors: for two widths there are none.")
    elif training and training.teacher_space is False:
        gaps.append("Cosine and squared error to the teacher's vectors: they are of another space.")
    elif not asymmetric_results(report) and not asymmetric_agreement(report):
        gaps.append("Mixed use: queries encoded by one of the two models, documents by the other.")
    if training and training.matryoshka and not truncations(report):
        gaps.append("Vectors cut to fewer dimensions.")
    return gaps


def _data_table(report: DistillationReport) -> Markdown:
    used = {m.data for m in report.measurements}
    rows = []
    for key, data in report.data.items():
        if key in used:
            size = (
                count(data.n)
                if data.documents is None
                else f"{count(data.n)} / {count(data.documents)} documents"
            )
            if data.own_documents:
                size += f", {count(data.own_documents)} queries not finding themselves"
            digest = code(data.sha256[:12])
            if data.kind == "benchmark":
                digest += " (of the task)"
            rows.append((escape(data.title, 80), _source(data), size, digest))
    return table(("Data", "Source", "n", "SHA-256 of the texts"), rows)


def _source(data: EvaluationData) -> Markdown:
    where = dataset_link(data.hub_id) if data.hub_id else escape(data.source, 80)
    details = [escape(word) for word in (data.config, data.split) if word]
    if data.revision:
        details.append(code(data.revision[:12]))
    return Markdown(f"{where} ({', '.join(details)})" if details else where)


def _metric_list(report: DistillationReport) -> Markdown:
    used = unique(m.metric for m in report.measurements)
    lines = []
    for name in used:
        metric = report.metrics[name]
        side = "higher is better" if metric.higher_is_better else "lower is better"
        unit = f", in {escape(metric.unit)}" if metric.unit else ""
        source = f" Source: {escape(metric.reference)}." if metric.reference else ""
        head = f"**{escape(metric.title)}** ({code(name)}{unit}; {side})"
        lines.append(Markdown(f"{head}: {escape(metric.definition)}{source}"))
    return bullets(lines)


def _interval_methods(report: DistillationReport) -> str:
    intervals = [m.interval for m in report.measurements if m.interval]
    intervals += [c.interval for c in report.comparisons]
    methods = unique((interval.level, interval.method) for interval in intervals)
    # A level of 1 is a range of what was seen, not a guess at what was not.
    return escape("; ".join(f"{level:.0%}, {method}" if level < 1 else method for level, method in methods))


def _calls(report: DistillationReport) -> Markdown:
    return bullets(code(call) for call in unique(m.reproduce for m in report.measurements))
