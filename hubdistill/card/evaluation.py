"""The card's evaluation part: tables of student, teacher and siblings, and what was not measured."""

from __future__ import annotations

from dataclasses import dataclass

from hubdistill.card.claim import model_name
from hubdistill.card.metadata import language_list, languages
from hubdistill.card.text import Markdown, bullets, code, dataset_link, escape, folded, table
from hubdistill.numbers import (
    count,
    listed,
    memory,
    rate,
    ratio,
    score,
    share,
    share_span,
    short_count,
    signed,
    signed_span,
    size,
    span,
)
from hubdistill.report import DistillationReport, EvaluationData, Measurement
from hubdistill.results import (
    Agreement,
    Kind,
    Result,
    SpeedUp,
    fidelity,
    headline_results,
    layers_of,
    middle,
    results,
    speed_ups,
    student_model,
    teacher_model,
    top_k_agreement,
    truncations,
    unique,
)

NOT_MEASURED = "\N{EM DASH}"


@dataclass(frozen=True)
class EvaluationPart:
    """The evaluation as the template prints it; a part without measurements is empty."""

    similarity: Markdown
    """Correlation with reference similarities, student beside teacher."""
    retrieval: Markdown
    """Effectiveness on judged queries, student beside teacher."""
    fidelity: Markdown
    """Closeness of the student's vectors to the teacher's."""
    agreement: Markdown
    """Precision@k between top-k lists, one row a pair of models."""
    truncation: Markdown
    """The student with its vectors cut, one row a width."""
    speed: Markdown
    """Texts per second, student beside teacher."""
    family: Markdown
    """All students of the run in one table."""
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


def evaluation_part(report: DistillationReport) -> EvaluationPart:
    """Arrange everything that was measured.

    Raises:
        CardError: the teacher was not measured where the student was.
    """
    return EvaluationPart(
        similarity=_quality_tables(report, "similarity"),
        retrieval=_quality_tables(report, "retrieval"),
        fidelity=_fidelity_table(report),
        agreement=_agreement_tables(report),
        truncation=_truncation_table(report),
        speed=_speed_table(report),
        family=_family_table(report),
        data=_data_table(report),
        metrics=_metric_list(report),
        intervals=_interval_methods(report),
        reproduce=_calls(report),
        not_measured=bullets(not_measured(report)),
    )


def not_measured(report: DistillationReport) -> list[str]:
    """What the numbers say nothing about."""
    kinds = {report.data[m.data].kind for m in report.measurements if m.model == report.student}
    gaps = []
    if "similarity" not in kinds:
        gaps.append("Correlation with human judgements of similarity.")
    if not results(report, "retrieval"):
        gaps.append("Retrieval against relevance judgements.")
    if not top_k_agreement(report):
        gaps.append("Whether student and teacher retrieve the same texts.")
    if "speed" not in kinds:
        gaps.append("Speed.")
    elif report.environment.device == "cpu":
        gaps.append("Speed on a GPU.")
    else:
        gaps.append("Speed on a CPU.")
    sets = [data for data in report.data.values() if data.kind in ("similarity", "retrieval")]
    seen = {data.language for data in sets}
    if missing := [language for language in languages(report) if language not in seen]:
        gaps.append(f"Quality on judged data in {language_list(missing)}.")
    student = student_model(report).architecture
    if student.dimensions != teacher_model(report).architecture.dimensions:
        gaps.append("Cosine and squared error to the teacher's vectors: for two widths there are none.")
    elif report.training and report.training.teacher_space is False:
        gaps.append("Cosine and squared error to the teacher's vectors: they are of another space.")
    if report.training and report.training.matryoshka and not truncations(report):
        gaps.append("Vectors cut to fewer dimensions.")
    if student.max_length and student.max_length > 1024:
        longest = max((speed.tokens for speed in speed_ups(report)), default=0)
        gaps.append(
            f"Texts near the maximum of {count(student.max_length)} tokens"
            + (f" (speed up to {longest} tokens)." if longest else ".")
        )
    gaps.append("Mixed use: queries encoded by one of the two models, documents by the other.")
    gaps.append("Social biases, in the student or in comparison with the teacher.")
    return gaps


def _quality_tables(report: DistillationReport, kind: Kind) -> Markdown:
    found = results(report, kind)
    parts: list[str] = []
    for position, name in enumerate(unique(result.metric_name for result in found)):
        rows = [result for result in found if result.metric_name == name]
        body = _quality_table(rows)
        title = rows[0].metric.title
        if position == 0:
            parts.append(f"**{escape(title)}**\n\n{body}")
        else:
            parts.append(folded(title, body))
    return Markdown("\n\n".join(parts))


def _quality_table(found: list[Result]) -> Markdown:
    items = {"similarity": "Pairs", "retrieval": "Queries"}.get(found[0].data.kind, "n")
    rows = []
    for result in found:
        comparison = result.comparison
        if comparison is None:
            difference, kept = Markdown("not compared"), Markdown("not compared")
        else:
            verdict = "" if comparison.decided else "<br>no measurable difference"
            difference = Markdown(
                f"{signed(comparison.difference)}<br>{signed_span(comparison.interval)}{verdict}"
            )
            kept = Markdown(f"{share(comparison.kept)}<br>{share_span(comparison.kept_interval)}")
        rows.append(
            (
                escape(result.data.title, 80),
                count(result.student.n),
                _scored(result.student),
                _scored(result.teacher),
                difference,
                kept,
            )
        )
    return table(("Data set", items, "This model", "Teacher", "Difference", "Kept"), rows, numbers_from=1)


def _fidelity_table(report: DistillationReport) -> Markdown:
    rows = []
    for m in fidelity(report):
        metric = report.metrics[m.metric]
        rows.append((escape(metric.title), _scored(m), count(m.n), escape(report.data[m.data].title, 80)))
    if not rows:
        return Markdown()
    text = table(("Measure", "Value", "Texts", "Data"), rows)
    if any(m.metric == "negative_mse" for m in fidelity(report)):
        text += Markdown(
            "\n\n`negative_mse` is as sentence-transformers reports it: 100 times the MSE, negated."
        )
    return text


def _agreement_tables(report: DistillationReport) -> Markdown:
    return Markdown("\n\n".join(_agreement_table(report, agreement) for agreement in top_k_agreement(report)))


def _agreement_table(report: DistillationReport, agreement: Agreement) -> str:
    rows = []
    for (model, other), values in agreement.pairs.items():
        names = Markdown(f"{_short(report, model)} and {_short(report, other)}")
        # Intervals for this student against its teacher only: the table stays narrow.
        write = _scored if (model, other) == (report.student, report.teacher) else _bare
        rows.append((names, *(write(values[k]) if k in values else NOT_MEASURED for k in agreement.ks)))
    m = next(m for values in agreement.pairs.values() for m in values.values())
    title = f"**{escape(agreement.data.title, 80)}**, {count(m.n)} queries"
    if agreement.data.documents is not None:
        title += f", {count(agreement.data.documents)} documents"
    return f"{title}\n\n{table(('Pair', *(f'P@{k}' for k in agreement.ks)), rows, numbers_from=1)}"


def _truncation_table(report: DistillationReport) -> Markdown:
    widths = truncations(report)
    if not widths:
        return Markdown()
    first = next(iter(widths.values()))
    headings = ["Dimensions"]
    for m in first:
        k = m.parameters.get("k")
        title = report.data[m.data].title
        headings.append(f"P@{k} with teacher, {title}" if k else f"{report.metrics[m.metric].title}, {title}")
    rows = [[count(width), *map(_scored, measured)] for width, measured in widths.items()]
    return table(headings, rows, numbers_from=0)


def _speed_table(report: DistillationReport) -> Markdown:
    speeds = speed_ups(report)
    if not speeds:
        return Markdown()
    rows = [
        (
            count(speed.tokens),
            _timed(speed.student),
            _timed(speed.teacher),
            _speed_up(speed),
        )
        for speed in speeds
    ]
    text = table(
        ("Tokens per text", "This model, texts/s", "Teacher, texts/s", "Speed-up"), rows, numbers_from=0
    )
    return Markdown(f"{text}\n\n{escape(_conditions(report, speeds))}")


def _speed_up(speed: SpeedUp) -> Markdown:
    lines = [ratio(speed.ratio)]
    if speed.interval:
        lines.append(f"[{rate(speed.interval.low)}, {rate(speed.interval.high)}]")
    if not speed.decided:
        lines.append("no measurable difference")
    return Markdown("<br>".join(lines))


def _conditions(report: DistillationReport, speeds: list[SpeedUp]) -> str:
    machine = report.environment
    batches = unique(speed.batch_size for speed in speeds if speed.batch_size is not None)
    ours, theirs = student_model(report).dtype, teacher_model(report).dtype
    dtype = ours if ours == theirs else f"{ours} (teacher: {theirs})"
    processor = (
        f"{machine.processor}, {machine.cores} cores, {machine.threads} threads, "
        f"{memory(machine.memory_bytes)} memory"
    )
    device = processor if machine.device == "cpu" else f"{machine.device}; host: {processor}"
    batch = f", batches of {listed(batches)}" if batches else ""
    return f"Measured on {device}; {dtype}{batch}."


def _family_table(report: DistillationReport) -> Markdown:
    if not report.siblings:
        return Markdown()
    headline = headline_results(report)[:2]
    agreement = next(iter(top_k_agreement(report)), None)
    widths = {model.architecture.dimensions for model in report.models.values()}
    rows = []
    for key in (report.student, *report.siblings, report.teacher):
        model = report.models[key]
        cells = [
            Markdown(f"**{_short(report, key)}**") if key == report.student else _short(report, key),
            str(layers_of(model.architecture)) if model.architecture.kind == "transformer" else "static",
            *([count(model.architecture.dimensions)] if len(widths) > 1 else []),
            short_count(model.architecture.parameters),
            size(model.bytes),
        ]
        for result in headline:
            found = report.find(
                result.metric_name, model=key, data=result.student.data, **result.student.parameters
            )
            cells.append(score(found[0].value) if found else NOT_MEASURED)
        if agreement:
            first = agreement.at(key, report.teacher).get(agreement.ks[0])
            cells.append(_bare(first) if first else NOT_MEASURED)
        cells.append(_family_speed(report, key))
        rows.append(cells)
    headings = ["Model", "Layers", *(["Dimensions"] if len(widths) > 1 else []), "Parameters", "Size"]
    headings += [result.data.title for result in headline]
    headings += [f"P@{agreement.ks[0]} with teacher"] if agreement else []
    headings += ["Speed-up"]
    note = ""
    if headline:
        note += f"Scores: {escape(headline[0].metric.title)}. "
    if speeds := speed_ups(report):
        note += f"Speed-up: texts per second over the teacher's, at {middle(speeds).tokens} tokens."
    return Markdown(f"{table(headings, rows, numbers_from=1)}\n\n{note}".rstrip())


def _family_speed(report: DistillationReport, model: str) -> str:
    if model == report.teacher:
        return "1x"
    speeds = speed_ups(report, model)
    return ratio(middle(speeds).ratio) if speeds else NOT_MEASURED


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
            rows.append((escape(data.title, 80), _source(data), size, code(data.sha256[:12])))
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
    methods = unique(f"{interval.level:.0%}, {interval.method}" for interval in intervals)
    return escape("; ".join(methods))


def _calls(report: DistillationReport) -> Markdown:
    return bullets(code(call) for call in unique(m.reproduce for m in report.measurements))


def _scored(m: Measurement) -> Markdown:
    return Markdown(f"{score(m.value)}<br>{span(m.interval)}" if m.interval else score(m.value))


def _bare(m: Measurement) -> Markdown:
    return Markdown(score(m.value))


def _timed(m: Measurement) -> Markdown:
    if m.interval is None:
        return Markdown(rate(m.value))
    return Markdown(f"{rate(m.value)}<br>[{rate(m.interval.low)}, {rate(m.interval.high)}]")


def _short(report: DistillationReport, key: str) -> Markdown:
    return Markdown("teacher") if key == report.teacher else model_name(report.models[key])
