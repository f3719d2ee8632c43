"""Curves of agreement and of training, and the family's quality against its speed."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.text import Annotation
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter
from matplotlib.transforms import Bbox

from hubdistill.figures.style import FAINT, GAIN, INK, OTHERS, STUDENT, TEACHER, canvas, drawable
from hubdistill.numbers import short_count, size
from hubdistill.report import DistillationReport
from hubdistill.results import Agreement, headline_results, known, middle, speed_ups, top_k_agreement


def precision_at_k(report: DistillationReport) -> Canvas:
    """Precision@k over k, one panel for each set of queries and documents."""
    agreements = top_k_agreement(report)[:3]
    figure = canvas(1.0 + 6.6 * len(agreements), 4.6)
    for axes, agreement in zip(
        figure.subplots(1, len(agreements), squeeze=False)[0], agreements, strict=True
    ):
        _agreement_curves(axes, report, agreement)
    return figure


def _agreement_curves(axes: Axes, report: DistillationReport, agreement: Agreement) -> None:
    axes.set_title(drawable(f"Shared neighbours, {agreement.data.title}", 64))
    others = [pair for pair in agreement.pairs if pair != (report.student, report.teacher)]
    # With many siblings only the pairs with this student or with the teacher stay readable.
    if len(others) > 5:
        others = [pair for pair in others if report.student in pair or report.teacher in pair][:5]
    curves = [pair for pair in agreement.pairs if pair not in others][:1] + others
    for place, pair in enumerate(curves):
        values = agreement.pairs[pair]
        ks = list(values)
        main = pair == (report.student, report.teacher)
        colour = STUDENT if main else OTHERS[(place - 1) % len(OTHERS)]
        name = " and ".join("teacher" if key == report.teacher else report.models[key].name for key in pair)
        axes.plot(
            ks, [values[k].value for k in ks], marker="o", markersize=6 if main else 4, color=colour,
            linewidth=2.6 if main else 1.5, linestyle="-" if report.teacher in pair else (0, (4, 2)),
            label=drawable(name, 54), zorder=3 if main else 2,
        )  # fmt: skip
        intervals = [values[k].interval for k in ks]
        if main and all(intervals):
            low, high = [i.low for i in intervals if i], [i.high for i in intervals if i]
            axes.fill_between(ks, low, high, color=colour, alpha=0.15, linewidth=0)
    # A wide scale, or the shape of small differences would look like large ones.
    drawn = [values[k].value for values in map(agreement.pairs.__getitem__, curves) for k in values]
    room = max(0.02, (0.2 - (max(drawn) - min(drawn))) / 2)
    axes.set_ylim(max(0, min(drawn) - room), min(1.005, max(drawn) + room))
    axes.set_xticks(agreement.ks)
    axes.set_xlabel("k")
    axes.set_ylabel("Precision@k")
    axes.yaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10]))
    axes.grid()
    axes.legend(
        loc="upper left", bbox_to_anchor=(0, -0.14), ncols=2 if len(curves) > 2 else 1, borderaxespad=0
    )


def training(report: DistillationReport) -> Canvas:
    """Loss and cosine to the teacher over the steps."""
    facts = known(report.training, "training")
    losses = [(line.step, line.loss) for line in facts.log if line.loss is not None]
    cosines = [(line.step, line.teacher_cosine) for line in facts.log if line.teacher_cosine is not None]
    panels = [
        (points, label, colour)
        for points, label, colour in (
            (losses, "Loss", STUDENT),
            (cosines, "Cosine to the teacher", GAIN),
        )
        if len(points) > 1
    ]
    figure = canvas(3.8 * len(panels) + 1.4, 3.4)
    for axes, (points, label, colour) in zip(
        figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True
    ):
        steps, values = zip(*points, strict=True)
        axes.set_title(label if label == "Loss" else f"{label}, held-out texts")
        axes.plot(steps, values, color=colour, marker="o" if len(points) <= 25 else "", markersize=4)
        if facts.best_step is not None:
            axes.axvline(facts.best_step, color=FAINT, linewidth=1.2, linestyle=(0, (2, 2)))
            side = -1 if facts.best_step > (steps[0] + steps[-1]) / 2 else 1
            axes.annotate(
                "published", (facts.best_step, 0.5), xycoords=("data", "axes fraction"),
                xytext=(4 * side, 0), textcoords="offset points", ha="right" if side < 0 else "left",
                color=FAINT, fontsize=8.5,
            )  # fmt: skip
        axes.set_xlabel("Step")
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.grid()
    return figure


def quality_speed(report: DistillationReport) -> Canvas:
    """Share of quality kept over speed-up; the area of a bubble is the size on disk."""
    figure = canvas(7.6, 4.8)
    axes = figure.subplots()
    models = []
    for key in (report.student, *report.siblings):
        found, speeds = headline_results(report, key), speed_ups(report, key)
        if found and found[0].comparison and speeds:
            models.append((key, found[0].comparison, middle(speeds)))
    ratios = [speed.ratio for _, _, speed in models]
    if max(ratios) > 20:
        axes.set_xscale("log")
        axes.set_xlim(0.6 * min(1, *ratios), max(ratios) * 6)
    else:
        axes.set_xlim(0, max(ratios) * 1.35)
    largest = report.models[report.teacher].bytes
    axes.scatter([1], [1], s=900, color=TEACHER, alpha=0.75, linewidths=0, zorder=2)
    names = [_bubble_name(axes, report, report.teacher, 1, 1, 900)]
    for place, (key, comparison, speed) in enumerate(models):
        colour = STUDENT if key == report.student else OTHERS[(place - 1) % len(OTHERS)]
        area = max(40, 900 * report.models[key].bytes / largest)
        interval = comparison.kept_interval
        axes.plot([speed.ratio] * 2, [interval.low, interval.high], color=INK, linewidth=1.2, zorder=3)
        axes.scatter(
            [speed.ratio], [comparison.kept], s=area, color=colour, alpha=0.75, linewidths=0, zorder=2
        )
        names.append(_bubble_name(axes, report, key, speed.ratio, comparison.kept, area))
    first = headline_results(report)[0]
    lowest = min(comparison.kept_interval.low for _, comparison, _ in models)
    highest = max(1.0, *(comparison.kept_interval.high for _, comparison, _ in models))
    room = 0.22 * (highest - lowest) + 0.004
    axes.set_ylim(lowest - room, highest + room)
    axes.set_title("Quality kept and speed gained")
    axes.set_ylabel(drawable(f"Share of the teacher's {first.metric.title},\n{first.data.title}", 120))
    axes.set_xlabel(
        drawable(
            f"Texts per second over the teacher's, {middle(speed_ups(report)).tokens} tokens per text", 80
        )
    )
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g}%"))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}x"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid()
    _move_apart(figure, names)
    return figure


def _move_apart(figure: Canvas, names: Sequence[Annotation]) -> None:
    """Move names up or down until none covers another."""
    figure.draw_without_rendering()
    placed: list[Bbox] = []
    for name in names:
        x, y = name.xyann
        for step in range(2 * len(names)):
            # 0, +1, -1, +2, ... times a little more than half a name's height.
            name.xyann = (x, y + 14 * ((step + 1) // 2) * (1 if step % 2 else -1))
            box = name.get_window_extent()
            if not any(box.overlaps(other) for other in placed):
                break
        placed.append(box)


def _bubble_name(
    axes: Axes, report: DistillationReport, key: str, x: float, y: float, area: float
) -> Annotation:
    model = report.models[key]
    text = f"{drawable(model.name, 44)}\n{short_count(model.architecture.parameters)}, {size(model.bytes)}"
    return axes.annotate(
        text, (x, y), xytext=(math.sqrt(area) / 2 + 4, 0), textcoords="offset points", va="center",
        fontsize=8.5, fontweight="bold" if key == report.student else "normal",
    )  # fmt: skip
