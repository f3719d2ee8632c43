"""Curves: agreement over k, quality over the size of the vectors, training over the steps."""

from __future__ import annotations

import math

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from hubdistill.figures.content import VectorQuality, curves, vector_qualities
from hubdistill.figures.style import FAINT, GAIN, OTHERS, PAPER, STUDENT, TEACHER, canvas, drawable, short
from hubdistill.numbers import count
from hubdistill.report import DistillationReport
from hubdistill.results import Agreement, Pair, known


def precision_at_k(report: DistillationReport, *, of_family: bool = False) -> Canvas:
    """Precision@k over k, one panel for each set of queries and documents.

    Args:
        of_family: no student stands out.
    """
    own = None if of_family else report.student
    agreements, pairs = curves(report)
    figure, panels = _panels(len(agreements), 4.0 + 0.17 * math.ceil(len(pairs) / 2))
    for axes, agreement in zip(panels, agreements, strict=True):
        _agreement_curves(axes, report, agreement, pairs, own, limit=64 if len(agreements) == 1 else 44)
    _share_legend(figure, panels)
    return figure


def _panels(number: int, height: float) -> tuple[Canvas, list[Axes]]:
    columns, rows = min(2, number), math.ceil(number / 2)
    figure = canvas(7.6 if number == 1 else 10.4, height * rows)
    return figure, list(figure.subplots(rows, columns, squeeze=False).flat)[:number]


def _share_legend(figure: Canvas, panels: list[Axes]) -> None:
    """One legend for all panels, and no axes in the empty place of an odd number."""
    for axes in figure.axes[len(panels) :]:
        axes.remove()
    # By colour as well: cut names can be alike.
    entries = {
        (line.get_label(), line.get_color(), line.get_marker()): line
        for axes in panels
        for line in axes.get_lines()
    }
    figure.legend(
        handles=list(entries.values()), loc="outside lower center", ncols=2 if len(entries) > 1 else 1
    )


def _agreement_curves(
    axes: Axes,
    report: DistillationReport,
    agreement: Agreement,
    pairs: list[Pair],
    own: str | None,
    *,
    limit: int,
) -> None:
    axes.set_title(drawable(f"Shared neighbours, {agreement.data.title}", limit))
    ends = []
    # Whiskers beside each other, or they would hide each other.
    step = 0.006 * (agreement.ks[-1] - agreement.ks[0])
    for place, pair in enumerate(pairs):
        values = agreement.at(*pair)
        if not values:
            continue
        main = pair == (own, report.teacher)
        colour = OTHERS[(place - 1) % len(OTHERS)] if place else STUDENT
        shift = 0 if main else step * (place - len(pairs) / 2)
        ks = [k + shift for k in values]
        name = " and ".join(
            "teacher" if key == report.teacher else short(report.models[key].name, 26) for key in pair
        )
        axes.plot(
            ks, [m.value for m in values.values()], marker="o", markersize=6 if main else 4, color=colour,
            linewidth=2.6 if main else 1.5, linestyle="-" if report.teacher in pair else (0, (4, 2)),
            label=name, zorder=3 if main else 2,
        )  # fmt: skip
        ends += [m.value for m in values.values()]
        intervals = [m.interval for m in values.values() if m.interval]
        if len(intervals) == len(ks):
            low, high = [i.low for i in intervals], [i.high for i in intervals]
            ends += [*low, *high]
            if main:
                axes.fill_between(ks, low, high, color=colour, alpha=0.15, linewidth=0)
            else:
                axes.vlines(ks, low, high, color=colour, linewidth=1.2)
    # A wide scale, or the shape of small differences would look like large ones.
    room = max(0.02, (0.2 - (max(ends) - min(ends))) / 2)
    axes.set_ylim(max(0, min(ends) - room), min(1.005, max(ends) + room))
    axes.set_xticks(agreement.ks)
    axes.set_xlabel(f"k, {count(agreement.data.n)} queries")
    axes.set_ylabel("Precision@k")
    axes.yaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10]))
    axes.grid()


def vector_size(report: DistillationReport) -> Canvas:
    """Quality over the bytes of a vector that is cut or quantized, one panel for each measure."""
    found = vector_qualities(report)
    figure, panels = _panels(len(found), 4.1)
    for axes, quality in zip(panels, found, strict=True):
        _size_curves(axes, report, quality)
    _share_legend(figure, panels)
    return figure


def _size_curves(axes: Axes, report: DistillationReport, quality: VectorQuality) -> None:
    axes.set_title(drawable(quality.data.title, 44))
    sizes = [size for of_model in quality.by_model.values() for size in of_model]
    for model, of_model in quality.by_model.items():
        ours = model == report.student
        colour = STUDENT if ours else TEACHER
        who = "This model" if ours else "Teacher"
        # Beside each other, or one whisker would hide the other.
        aside = 1.0 if len(quality.by_model) < 2 else 0.985 if ours else 1.015
        is_cut = any(size.dimensions < of_model[0].dimensions for size in of_model)
        marks = [
            ("float32", "o", "whole and cut" if is_cut else "whole"),
            ("int8", "s", "int8"),
            ("binary", "D", "binary"),
        ]
        for precision, marker, what in marks:
            shown = [size for size in of_model if size.precision == precision]
            x, y = [size.bytes * aside for size in shown], [size.measured.value for size in shown]
            if not shown:
                continue
            axes.plot(
                x, y, marker=marker, color=colour, markersize=6, linewidth=2.2 if ours else 1.6,
                linestyle="-" if precision == "float32" else "", label=f"{who}, {what}",
                markerfacecolor=colour if precision == "float32" else PAPER, markeredgewidth=1.8,
                zorder=3 if ours else 2,
            )  # fmt: skip
            for size in shown:
                if interval := size.measured.interval:
                    axes.vlines(size.bytes * aside, interval.low, interval.high, color=colour, linewidth=1.2)
    axes.set_xscale("log", base=2)
    # One tick a size: the widths are what a reader looks for.
    widths = {size.bytes: size for size in sorted(sizes, key=lambda size: size.precision != "float32")[::-1]}
    axes.set_xticks(
        list(widths),
        [
            f"{x:,.0f}\n{f'{size.dimensions} dims' if size.precision == 'float32' else size.precision}"
            for x, size in widths.items()
        ],
    )
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("Bytes of a vector (log scale), and its dimensions or precision")
    axes.set_ylabel(drawable(quality.title, 60))
    axes.grid()


def training(report: DistillationReport) -> Canvas:
    """Loss, cosine to the teacher, and where a checkpoint is chosen by it the neighbours shared, by step."""
    facts = known(report.training, "training")
    losses = [(line.step, line.loss) for line in facts.log if line.loss is not None]
    cosines = [(line.step, line.teacher_cosine) for line in facts.log if line.teacher_cosine is not None]
    shared = [(line.step, line.precision_at_10) for line in facts.log if line.precision_at_10 is not None]
    panels = [
        (points, title, label, colour)
        for points, title, label, colour in (
            (losses, "Training loss", drawable(facts.loss or "Loss", 44), STUDENT),
            (cosines, "Closeness to the teacher", "Mean cosine, held-out texts", GAIN),
            (shared, "Neighbours shared with the teacher", "Precision@10, held-out texts", GAIN),
        )
        if len(points) > 1
    ]
    figure = canvas(3.8 * len(panels) + 1.4, 3.4)
    grid = figure.subplots(1, len(panels), squeeze=False, sharex=True)[0]
    for axes, (points, title, label, colour) in zip(grid, panels, strict=True):
        steps, values = zip(*points, strict=True)
        axes.set_title(title)
        axes.plot(steps, values, color=colour, marker="o" if len(points) <= 25 else "", markersize=4)
        if facts.best_step is not None:
            _mark(axes, facts.best_step, dict(points))
        axes.set_xlabel("Step")
        axes.set_ylabel(label)
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.grid()
    return figure


def _mark(axes: Axes, best: int, values: dict[int, float]) -> None:
    """The step whose model is published, named where the curve is not."""
    axes.axvline(best, color=FAINT, linewidth=1.2, linestyle=(0, (2, 2)), zorder=1)
    if best in values:
        axes.plot([best], [values[best]], "o", color=FAINT, markersize=11, markerfacecolor="none")
    nearest = values[min(values, key=lambda step: abs(step - best))]
    low = nearest < (min(values.values()) + max(values.values())) / 2
    late = best > (min(values) + max(values)) / 2
    axes.annotate(
        f"published: step {count(best)}", (best, 0.95 if low else 0.05), xycoords=("data", "axes fraction"),
        xytext=(-5 if late else 5, 0), textcoords="offset points", ha="right" if late else "left",
        va="top" if low else "bottom", color=FAINT, fontsize=8.5,
    )  # fmt: skip
