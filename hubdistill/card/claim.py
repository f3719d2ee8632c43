"""The card's first paragraph: what the facts allow to be said, and no more."""

from __future__ import annotations

from collections.abc import Callable

from hubdistill.card.text import Markdown, escape, model_link, table
from hubdistill.numbers import (
    cost_share,
    count,
    layer_list,
    listed,
    rate,
    ratio,
    score,
    share,
    share_span,
    short_count,
    signed,
    size,
)
from hubdistill.report import DistillationReport, Interval, Model
from hubdistill.results import (
    Result,
    fidelity,
    headline_results,
    middle,
    speed_ups,
    student_model,
    teacher_model,
    unique,
    where_measured,
)


def claim(report: DistillationReport, name: str) -> Markdown:
    """Where the student comes from, the quality it keeps and the speed it gains.

    Args:
        name: the student's name as the card has it.
    """
    parts = [_origin(report, name), _quality(report), _speed(report)]
    return Markdown(" ".join(part for part in parts if part))


def glance(report: DistillationReport) -> Markdown:
    """The few numbers that a reader compares first, student beside teacher."""
    student, teacher = student_model(report), teacher_model(report)
    rows: list[tuple[str, ...]] = []
    for result in headline_results(report)[:6]:
        kept = share(result.comparison.kept) if result.comparison else ""
        title = f"{result.metric.title}, {result.data.title}"
        if result.data.made_queries:
            title += " (made queries)"
        rows.append((title, score(result.student.value), score(result.teacher.value), kept))
    if speeds := speed_ups(report):
        speed = middle(speeds)
        rates = (rate(speed.student.value), rate(speed.teacher.value))
        rows.append((f"Texts per second, {speed.tokens} tokens each", *rates, ratio(speed.ratio)))
    ours, theirs = student.architecture.parameters, teacher.architecture.parameters
    rows.append(("Parameters", short_count(ours), short_count(theirs), cost_share(ours / theirs)))
    part = cost_share(student.bytes / teacher.bytes)
    rows.append(("Size on disk", size(student.bytes), size(teacher.bytes), part))
    return table(("", "This model", "Teacher", "Of the teacher"), rows, numbers_from=1)


def model_name(model: Model) -> Markdown:
    """A model as text: a link where it is on the Hub."""
    return model_link(model.hub_id) if model.hub_id else escape(model.name)


def quality_sentence(result: Result) -> str:
    """What one comparison with the teacher allows to be said.

    A difference whose interval contains zero is neither a loss nor a win.
    """
    metric, comparison = escape(result.metric.title), result.comparison
    scores = f"{score(result.student.value)} against {score(result.teacher.value)}"
    items = f"{count(result.student.n)} {_items(result)}"
    where = f"On {escape(result.data.title)}"
    if comparison is None:
        return f"{where} its {metric} is {scores} of the teacher ({items})."
    if not comparison.decided:
        return (
            f"{where} there is no measurable difference to the teacher in {metric}: {scores}, "
            f"{_interval(comparison.interval, signed)} of the difference, {items}."
        )
    verb = "keeps" if comparison.difference < 0 else "reaches"
    return (
        f"{where} it {verb} {share(comparison.kept)} of the teacher's {metric}: {scores}, "
        f"{_interval(comparison.kept_interval, share)} of the share, {items}."
    )


def _origin(report: DistillationReport, name: str) -> str:
    student, teacher = student_model(report), teacher_model(report)
    ours, theirs = student.architecture, teacher.architecture
    training = report.training
    trimmed = training is not None and training.method == "trimmed"
    first = f"**{escape(name)}** maps texts to vectors of {count(ours.dimensions)} dimensions"
    if training is None:
        first += f" and is compared here with {model_name(teacher)}."
    elif trimmed:
        first += f". It is {model_name(teacher)} cut down, without training."
    else:
        first += f" and was distilled from {model_name(teacher)}."
    sizes = (
        f"{short_count(ours.parameters)} parameters (teacher: {short_count(theirs.parameters)}) and "
        f"{size(student.bytes)} on disk ({size(teacher.bytes)})"
    )
    if ours.kind == "static":
        hidden = f" and a hidden layer of {count(ours.feed_forward)} units" if ours.feed_forward else ""
        what = f"It is a static embedding model: {count(ours.vocabulary)} token vectors{hidden}, {sizes}."
    elif ours.kept_layers is not None:
        what = (
            f"It has {ours.layers} of the teacher's {theirs.layers} layers ({layer_list(ours.kept_layers)}, "
            f"counted from 0), {sizes}."
        )
    elif training and training.start:
        start = model_link(training.start.hub_id) if training.start.hub_id else escape(training.start.name)
        what = f"It starts from {start} and has {ours.layers} layers (teacher: {theirs.layers}), {sizes}."
    elif trimmed:
        what = f"It has all of the teacher's {theirs.layers} layers, {sizes}."
    else:
        what = f"It has {ours.layers} layers (teacher: {theirs.layers}), {sizes}."
    parts = [first, what]
    if training and (vocabulary := training.vocabulary):
        parts.append(
            f"It knows {count(vocabulary.tokens)} of the teacher's {count(vocabulary.available)} tokens, "
            f"which make up {share(vocabulary.held_out_coverage)} of the tokens of held-out texts."
        )
    if training and training.matryoshka:
        sizes = listed(map(count, training.matryoshka)).replace(" and ", " or ")
        parts.append(f"Its vectors can be cut to {sizes} dimensions.")
    return " ".join(parts)


def _quality(report: DistillationReport) -> str:
    found = headline_results(report)
    if not found:
        return _closeness(report)
    sentences = []
    for kind in unique(result.data.kind for result in found):
        of_kind = [result for result in found if result.data.kind == kind]
        # Queries that were made stand for those of people only where there are none of these.
        sentences.append(_summary([r for r in of_kind if not r.data.made_queries] or of_kind))
    return " ".join(sentences)


def _closeness(report: DistillationReport) -> str:
    close = fidelity(report)
    if not close:
        return "Its quality was not measured."
    first = close[0]
    title = escape(report.metrics[first.metric].title)
    return f"{title}: {score(first.value)} on {count(first.n)} held-out texts."


def _summary(found: list[Result]) -> str:
    """One sentence for all data sets of one kind: the least and the most that is kept."""
    compared = [(result, result.comparison) for result in found if result.comparison]
    if len(found) == 1 or len(compared) < len(found):
        return " ".join(quality_sentence(result) for result in found)
    by_share = sorted(compared, key=lambda pair: pair[1].kept)
    least, most = (
        f"{share(c.kept)} {share_span(c.kept_interval)} ({escape(r.data.title)})"
        for r, c in (by_share[0], by_share[-1])
    )
    sets = "data sets with made queries" if found[0].data.made_queries else "data sets"
    text = (
        f"Over {len(found)} {sets} it has between {least} and {most} of the teacher's "
        f"{escape(found[0].metric.title)}"
    )
    undecided = [escape(result.data.title) for result, c in compared if not c.decided]
    if len(undecided) == len(found):
        text += "; none of the differences is measurable"
    elif undecided:
        text += f"; there is no measurable difference on {listed(undecided)}"
    return f"{text}."


def _speed(report: DistillationReport) -> str:
    speeds = speed_ups(report)
    if not speeds:
        return "Its speed was not measured."
    where = escape(where_measured(report))
    lengths = sorted(speed.tokens for speed in speeds)
    texts = f"{lengths[0]}" if len(lengths) == 1 else f"{lengths[0]} to {lengths[-1]}"
    if not any(speed.decided for speed in speeds):
        return (
            f"Its speed shows no measurable difference to the teacher's on texts of {texts} tokens ({where})."
        )
    ratios = unique(ratio(value) for value in sorted(speed.ratio for speed in speeds))
    times = ratios[0] if len(ratios) == 1 else f"{ratios[0]} to {ratios[-1]}"
    text = (
        f"It encodes {times} as many texts per second as the teacher, for texts of {texts} tokens ({where})"
    )
    if undecided := [str(speed.tokens) for speed in speeds if not speed.decided]:
        text += f"; at {listed(undecided)} tokens there is no measurable difference"
    return f"{text}."


def _items(result: Result) -> str:
    if result.data.made_queries:
        return "made queries"
    return {"similarity": "pairs", "retrieval": "queries"}.get(result.data.kind, "texts")


def _interval(interval: Interval, write: Callable[[float], str]) -> str:
    return f"{interval.level:.0%} interval {write(interval.low)} to {write(interval.high)}"
