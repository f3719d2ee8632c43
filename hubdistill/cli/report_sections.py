"""What `hubdistill report show` prints: one report, what people ask first on top."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from hubdistill import numbers
from hubdistill.cli.output import Table
from hubdistill.cli.tables import (
    NOTHING,
    OVERLAP_AT,
    amount,
    kept_share,
    measure_title,
    middle_speed,
    scored,
)
from hubdistill.report import DistillationReport, EvaluationData, Measurement
from hubdistill.results import (
    Kind,
    Result,
    batch_sizes,
    fidelity,
    first_agreement,
    headline_results,
    layer_ratio,
    metric_order,
    results,
    same_of,
    sibling_difference,
    speed_ups,
    student_model,
    teacher_model,
    top_k_agreement,
    unique,
)
from hubdistill.variant_results import (
    SLICES,
    ann_recall,
    asymmetric_agreement,
    asymmetric_results,
    quantizations,
    slices,
    truncations,
    whole,
    without,
)

_JUDGED: tuple[Kind, ...] = ("similarity", "retrieval", "benchmark")
_ITEMS = {"similarity": "pairs", "retrieval": "queries", "texts": "texts"}


def sections(report: DistillationReport) -> list[Table]:
    """Everything that was measured of a report's student, as tables under titles."""
    parts: Iterable[Callable[[DistillationReport], list[Table]]] = (
        overview,
        quality,
        fidelity_to_teacher,
        top_k,
        asymmetric,
        small_vectors,
        approximate_search,
        weak_slices,
        siblings,
        cost,
        time_taken,
    )
    return [table for part in parts for table in part(report) if table.rows]


def overview(report: DistillationReport) -> list[Table]:
    """The few rows that are asked for first: quality kept, agreement, speed, size."""
    rows = [
        (
            f"{result.metric.title}, {_cut(result.data.title)}",
            numbers.score(result.student.value),
            numbers.score(result.teacher.value),
            kept_share(result),
            _verdict(result),
        )
        for result in _headline(report)
    ]
    cosine = next(iter(fidelity(report)), None)
    if cosine:
        rows.append((report.metrics[cosine.metric].title, numbers.score(cosine.value), NOTHING, "", ""))
    if overlap := first_agreement(report, OVERLAP_AT):
        title = f"P@{OVERLAP_AT} with the teacher, {_cut(report.data[overlap.data].title, 26)}"
        rows.append((title, numbers.score(overlap.value), NOTHING, "", ""))
    if speed := middle_speed(report):
        rates = numbers.rate(speed.student.value), numbers.rate(speed.teacher.value)
        verdict = "" if speed.decided else "unclear"
        rows.append((f"texts a second at {speed.tokens} tokens", *rates, numbers.ratio(speed.ratio), verdict))
    ours, theirs = student_model(report), teacher_model(report)
    rows += [
        (
            "parameters",
            numbers.short_count(ours.architecture.parameters),
            numbers.short_count(theirs.architecture.parameters),
            _share(ours.architecture.parameters, theirs.architecture.parameters),
            "",
        ),
        (
            "size on disk",
            numbers.size(ours.bytes),
            numbers.size(theirs.bytes),
            _share(ours.bytes, theirs.bytes),
            "",
        ),
    ]
    relation = "a student of" if report.training else "compared with"
    title = f"{report.student}: {relation} {theirs.name}, evaluated {report.created:%Y-%m-%d}"
    return [Table(["", "student", "teacher", "of the teacher", ""], rows, title=title)]


def quality(report: DistillationReport) -> list[Table]:
    """Every judged measure, one table a data set."""
    tables = []
    for kind in _JUDGED:
        found = results(report, kind)
        for data in unique(result.student.data for result in found):
            rows = [
                (
                    measure_title(result.metric, result.student.parameters),
                    scored(result.student),
                    scored(result.teacher),
                    kept_share(result),
                    _verdict(result),
                )
                for result in found
                if result.student.data == data
            ]
            title = f"Quality on {_described(report.data[data])}"
            tables.append(Table(["measure", "student", "teacher", "kept", ""], rows, title=title))
    return tables


def fidelity_to_teacher(report: DistillationReport) -> list[Table]:
    """Closeness of the vectors to the teacher's."""
    rows = [
        (report.metrics[m.metric].title, scored(m), numbers.count(m.n), _cut(report.data[m.data].title))
        for m in fidelity(report)
    ]
    return [Table(["measure", "student", "n", "data"], rows, title="Agreement of vectors with the teacher's")]


def top_k(report: DistillationReport) -> list[Table]:
    """Precision@k with the teacher and with the siblings, one table a set of queries and documents."""
    tables = []
    for agreement in top_k_agreement(report):
        rows: list[list[str]] = []
        for other in (report.teacher, *report.siblings):
            at = agreement.at(report.student, other)
            if not at:
                continue
            name = "the teacher" if other == report.teacher else other
            values = (at.get(k) for k in agreement.ks)
            rows.append([name, *(f"{m.value:.4f}" if m else NOTHING for m in values)])
            if other == report.teacher:
                ends = (at[k].interval if k in at else None for k in agreement.ks)
                spans = (f"{one.low:.3f}-{one.high:.3f}" if one else NOTHING for one in ends)
                rows.append(["  95 % interval", *spans])
        headings = ["shared with", *(f"P@{k}" for k in agreement.ks)]
        title = f"Precision@k on {_described(agreement.data)}"
        tables.append(Table(headings, rows, title=title))
    return tables


def asymmetric(report: DistillationReport) -> list[Table]:
    """The student's queries against the teacher's documents, between both models' own searches."""
    rows = []
    for result in asymmetric_results(report):
        ours = result.student
        own = whole(report, ours, "documents")
        rows.append(
            (
                f"{result.metric.title}, {_cut(result.data.title, 24)}",
                numbers.score(ours.value),
                numbers.score(own.value) if own else NOTHING,
                numbers.score(result.teacher.value),
                kept_share(result),
                _verdict(result),
            )
        )
    for m, *_ in asymmetric_agreement(report).values():
        own = whole(report, m, "documents")
        title = f"P@{m.parameters['k']} with the teacher, {_cut(report.data[m.data].title, 18)}"
        alone = numbers.score(own.value) if own else NOTHING
        rows.append((title, numbers.score(m.value), alone, NOTHING, "", ""))
    headings = ["measure", "mixed", "student", "teacher", "mixed/teacher", ""]
    return [Table(headings, rows, title="Mixed: the student's queries against the teacher's documents")]


def small_vectors(report: DistillationReport) -> list[Table]:
    """The student with its vectors cut and quantized: rows are measures, the whole vectors first."""
    cut = {str(width): measured for width, measured in truncations(report).items()}
    return [
        _variants(report, cut, "dimensions", "The student's vectors cut to fewer dimensions"),
        _variants(report, quantizations(report), "precision", "The student's vectors quantized"),
    ]


def approximate_search(report: DistillationReport) -> list[Table]:
    """How much of exact search HNSW finds, at each depth."""
    rows = [
        (
            _cut(report.data[m.data].title),
            *(str(m.parameters.get(name, NOTHING)) for name in ("k", "ef")),
            scored(m),
            scored(same_of(report, m, report.teacher)),
        )
        for m in ann_recall(report)
    ]
    headings = ["data", "k", "ef", "student", "teacher"]
    return [Table(headings, rows, title="Share of exact search that HNSW finds")]


def weak_slices(report: DistillationReport) -> list[Table]:
    """Agreement with the teacher by language, source and length, the worst first."""
    tables = []
    for by, heading in SLICES.items():
        found = slices(report, by)
        names = unique(m.metric for measured in found.values() for m in measured)
        # Of several k the first stands for all.
        firsts = {name: {m.metric: m for m in reversed(measured)} for name, measured in found.items()}
        titles = [
            next(
                measure_title(report.metrics[metric], without(at[metric], by), "the teacher")
                for at in firsts.values()
                if metric in at
            )
            for metric in names
        ]
        rows = [
            [name, numbers.count(found[name][0].n), *(scored(firsts[name].get(metric)) for metric in names)]
            for name in sorted(found, key=lambda name: _goodness(report, found[name][0]))
        ]
        tables.append(Table([heading, "texts", *titles], rows, title=f"Agreement by {heading}, worst first"))
    return tables


def siblings(report: DistillationReport) -> list[Table]:
    """The student beside each sibling, paired; who is better only where the interval says so."""
    rows = []
    for sibling in report.siblings:
        for result in _headline(report):
            difference = sibling_difference(report, result, sibling)
            if difference is None:
                continue
            verdict = "unclear"
            if difference.decided:
                verdict = "higher" if difference.value > 0 else "lower"
            span = numbers.signed_span(difference.interval)
            title = f"{result.metric.title}, {_cut(result.data.title)}"
            rows.append((sibling, title, f"{numbers.signed(difference.value)} {span}", verdict))
    headings = ["sibling", "measure", "student minus sibling", ""]
    return [Table(headings, rows, title="Beside its siblings, paired")]


def cost(report: DistillationReport) -> list[Table]:
    """Parameters, size, speed, latency, time to load and memory, student beside teacher."""
    ours, theirs = student_model(report), teacher_model(report)
    one, other = ours.architecture, theirs.architecture
    inside = one.parameters - one.embedding_parameters, other.parameters - other.embedding_parameters
    rows = [
        _counted("parameters", one.parameters, other.parameters),
        _counted("parameters outside the embeddings", *inside),
        (
            "size on disk",
            numbers.size(ours.bytes),
            numbers.size(theirs.bytes),
            _share(ours.bytes, theirs.bytes),
        ),
    ]
    if one.kind == other.kind == "transformer":
        in_theory = layer_ratio(report)
        words = f"{numbers.ratio(in_theory)} as fast in theory" if in_theory else ""
        rows.append(("layers", str(one.layers), str(other.layers), words))
    sizes = batch_sizes(report)
    for batch_size in sizes:
        for speed in speed_ups(report, batch_size=batch_size):
            batches = f", batches of {batch_size}" if len(sizes) > 1 else ""
            spread = speed.interval
            of_teacher = numbers.ratio(speed.ratio)
            if spread:
                of_teacher += f" [{numbers.ratio(spread.low)}, {numbers.ratio(spread.high)}]"
            rows.append(
                (
                    f"texts a second at {speed.tokens} tokens{batches}",
                    numbers.rate(speed.student.value),
                    numbers.rate(speed.teacher.value),
                    of_teacher if speed.decided else f"{of_teacher} unclear",
                )
            )
    for name in metric_order(report, "speed"):
        metric = report.metrics[name]
        if metric.higher_is_better:
            continue
        for m in report.find(name, model=report.student):
            theirs_too = same_of(report, m, report.teacher)
            rows.append(
                (
                    measure_title(metric, m.parameters),
                    amount(metric, m.value),
                    amount(metric, theirs_too.value) if theirs_too else NOTHING,
                    _share(m.value, theirs_too.value) if theirs_too else NOTHING,
                )
            )
    machine = report.environment
    where = f"{machine.processor}, {machine.threads} threads"
    title = f"Cost, on {where if machine.device == 'cpu' else f'{machine.device} ({where})'}"
    return [Table(["", "student", "teacher", "student/teacher"], rows, title=title)]


def time_taken(report: DistillationReport) -> list[Table]:
    """What the evaluation took, the longest part first."""
    total = sum(report.seconds.values())
    rows = [
        (part, numbers.duration(seconds), numbers.share(seconds / total if total else 0.0))
        for part, seconds in sorted(report.seconds.items(), key=lambda item: -item[1])
    ]
    return [Table(["part", "took", "share"], rows, title=f"The evaluation took {numbers.duration(total)}")]


def _headline(report: DistillationReport) -> list[Result]:
    return [*headline_results(report), *results(report, "benchmark")]


def _verdict(result: Result) -> str:
    """Above or below the teacher, where the paired interval of the difference leaves out zero."""
    if result.comparison is None:
        return ""
    if not result.comparison.decided:
        return "unclear"
    return "higher" if result.comparison.difference > 0 else "lower"


def _variants(
    report: DistillationReport, found: Mapping[str, Sequence[Measurement]], parameter: str, title: str
) -> Table:
    columns = [
        {
            f"{measure_title(report.metrics[m.metric], without(m, parameter), 'the teacher')}, "
            f"{_cut(report.data[m.data].title, 24)}": m
            for m in measured
        }
        for measured in found.values()
    ]
    names = unique(name for column in columns for name in column)
    rows = [
        [name, *(numbers.score(column[name].value) if name in column else NOTHING for column in columns)]
        for name in names
    ]
    return Table(["measure", *found], rows, title=title)


def _goodness(report: DistillationReport, m: Measurement) -> float:
    return m.value if report.metrics[m.metric].higher_is_better else -m.value


def _counted(name: str, ours: int, theirs: int) -> tuple[str, str, str, str]:
    return name, numbers.count(ours), numbers.count(theirs), _share(ours, theirs)


def _share(ours: float, theirs: float) -> str:
    return numbers.cost_share(ours / theirs) if theirs else NOTHING


def _described(data: EvaluationData) -> str:
    """Data with its size: `Cranfield (225 queries, 1,400 documents)`."""
    made = "made " if data.made_queries else ""
    sizes = [f"{numbers.count(data.n)} {made}{_ITEMS.get(data.kind, 'items')}"]
    if data.documents is not None:
        sizes.append(f"{numbers.count(data.documents)} documents")
    return f"{_cut(data.title, 40)} ({', '.join(sizes)})"


def _cut(text: str, most: int = 32) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
