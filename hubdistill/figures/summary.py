"""The figure of four panels: similarity, scores, speed, and quality kept or lost."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from functools import partial

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from hubdistill.figures.content import scores
from hubdistill.figures.style import BEHIND, FAINT, GAIN, INK, LOSS, PAPER, STUDENT, TEACHER, canvas, drawable
from hubdistill.numbers import MINUS, rate, ratio, score, signed
from hubdistill.report import DistillationReport, Interval, Measurement, SimilarityPoints
from hubdistill.results import (
    Result,
    SpeedUp,
    speed_ups,
    student_model,
    teacher_model,
    where_measured,
)


def summary(report: DistillationReport) -> Canvas:
    """Student beside teacher; a panel for each thing that was measured."""
    found = scores(report)
    compared = [result for result in found if result.comparison]
    speeds = speed_ups(report)
    painters: list[Callable[[Axes], None]] = []
    if report.points:
        painters.append(partial(_scatter, report=report, points=report.points))
    if found:
        painters.append(partial(_quality_bars, found=found))
    if speeds:
        painters.append(partial(_speed_bars, report=report, speeds=speeds))
    if compared:
        painters.append(partial(_differences, compared=compared))
    rows = (len(painters) + 1) // 2
    columns = min(2, len(painters))
    names = f"{student_model(report).name} beside {teacher_model(report).name}"
    heights = [3.35 + 0.22 * max(0, len(found) - 3)] * rows
    if compared and len(painters) == 3:
        heights[-1] = 1.3 + 0.45 * len(compared)
    figure = canvas(5 * columns, 0.9 + sum(heights), names)
    grid = figure.add_gridspec(rows, columns, height_ratios=heights)
    for place, paint in enumerate(painters):
        row, column = divmod(place, columns)
        alone = column == 0 and place == len(painters) - 1
        paint(figure.add_subplot(grid[row, :] if alone else grid[row, column]))
    handles = [Patch(color=STUDENT, label="This model"), Patch(color=TEACHER, label="Teacher")]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, fontsize=9.5)
    return figure


def _scatter(axes: Axes, report: DistillationReport, points: SimilarityPoints) -> None:
    axes.set_title("Predicted against reference similarity")
    measured = report.find(_spearman(report), data=points.data)
    correlation = {m.model: m.value for m in measured if m.plain}
    shown: list[tuple[str, str, Sequence[float], float, float]] = [
        (report.teacher, TEACHER, points.teacher, 30, 0.2),
        (report.student, STUDENT, points.student, 6, 0.5),
    ]
    for _, colour, predicted, area, alpha in shown:
        axes.scatter(points.reference, predicted, s=area, color=colour, alpha=alpha, linewidths=0)
    entries = [
        Line2D([], [], marker="o", linestyle="", color=colour, label=f"Spearman {score(correlation[model])}")
        for model, colour, *_ in reversed(shown)
        if model in correlation
    ]
    if entries:
        axes.legend(
            handles=entries, loc="lower right", frameon=True, edgecolor="none", framealpha=1, borderpad=0.2
        )
    axes.set_xlabel(drawable(f"Reference score, {report.data[points.data].title}", 60))
    axes.set_ylabel("Cosine similarity")
    axes.grid()


def _quality_bars(axes: Axes, found: Sequence[Result]) -> None:
    axes.set_title("Score by data set")
    for place, result in enumerate(found):
        for offset, m, colour in ((-0.19, result.student, STUDENT), (0.19, result.teacher, TEACHER)):
            axes.barh(place + offset, m.value, height=0.36, color=colour)
            if m.interval:
                _whisker(axes, m.interval, place + offset)
            axes.annotate(
                score(m.value), (max(0.0, _high(m)), place + offset), xytext=(4, 0),
                textcoords="offset points", va="center", fontsize=8.5,
            )  # fmt: skip
    _set_names(axes, found)
    both = [m for result in found for m in (result.student, result.teacher)]
    # Room for the numbers, wherever the bars end, and for bars of no length.
    lowest, highest = min(0.0, *map(_low, both)), max(0.0, *map(_high, both))
    axes.set_xlim(lowest, highest + 0.24 * max(highest, -lowest, 0.01))
    axes.set_xlabel(_metric_names(found))
    axes.grid(axis="x")


def _speed_bars(axes: Axes, report: DistillationReport, speeds: Sequence[SpeedUp]) -> None:
    axes.set_title("Texts per second")
    values = [m.value for speed in speeds for m in (speed.student, speed.teacher)]
    highest = max(_high(m) for speed in speeds for m in (speed.student, speed.teacher))
    logarithmic = max(values) / min(values) > 40
    if logarithmic:
        axes.set_yscale("log")
        axes.set_ylim(min(values) / 4, highest * 6)
        axes.yaxis.set_minor_formatter(NullFormatter())
    else:
        axes.set_ylim(0, 1.25 * highest)
    for place, speed in enumerate(speeds):
        for offset, m, colour in ((-0.2, speed.student, STUDENT), (0.2, speed.teacher, TEACHER)):
            axes.bar(place + offset, m.value, width=0.38, color=colour)
            if m.interval:
                axes.plot([place + offset] * 2, [m.interval.low, m.interval.high], color=INK, linewidth=1.3)
            text = rate(m.value)
            if m is speed.student:
                text += f"\n({ratio(speed.ratio)})"
            axes.annotate(
                text, (place + offset, _high(m)), xytext=(0, 3), textcoords="offset points", ha="center",
                fontsize=8.5,
            )  # fmt: skip
    axes.set_xticks(range(len(speeds)), [f"{speed.tokens}" for speed in speeds])
    axes.set_xlabel(drawable(f"Tokens per text; {where_measured(report)}", 62))
    axes.set_ylabel("Texts per second (log scale)" if logarithmic else "Texts per second")
    axes.yaxis.set_major_formatter(
        FuncFormatter(lambda value, _: f"{value:,.0f}" if value >= 1 else f"{value:g}")
    )
    axes.grid(axis="y")


def _differences(axes: Axes, compared: Sequence[Result]) -> None:
    axes.set_title("Quality kept or lost")
    for place, result in enumerate(compared):
        comparison = result.comparison
        assert comparison is not None
        decided = comparison.decided
        colour = (GAIN if comparison.difference > 0 else LOSS) if decided else FAINT
        _whisker(axes, comparison.interval, place, colour=colour, width=2.2)
        axes.plot(
            comparison.difference, place, "o", color=colour, markersize=8, markeredgewidth=1.8,
            markerfacecolor=colour if decided else PAPER,
        )  # fmt: skip
        note = signed(comparison.difference)
        if not decided:
            note += ", no measurable difference"
        axes.annotate(
            note, (comparison.difference, place), xytext=(0, 9), textcoords="offset points", ha="center",
            fontsize=8.5, bbox=BEHIND,
        )  # fmt: skip
    axes.axvline(0, color=INK, linewidth=1.2)
    reach = max(
        max(abs(r.comparison.interval.low), abs(r.comparison.interval.high)) for r in compared if r.comparison
    )
    gains = any(r.comparison and r.comparison.interval.high > 0 for r in compared)
    axes.set_xlim(-1.25 * reach, 1.25 * reach if gains else 0.35 * reach)
    _set_names(axes, compared)
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _tick(value)))
    axes.set_xlabel("This model minus teacher, with its paired interval")
    axes.grid(axis="x")


def _whisker(axes: Axes, interval: Interval, y: float, *, colour: str = INK, width: float = 1.3) -> None:
    axes.plot([interval.low, interval.high], [y, y], color=colour, linewidth=width, solid_capstyle="butt")


def _set_names(axes: Axes, found: Sequence[Result]) -> None:
    several = len({result.metric.title for result in found}) > 1
    labels = []
    for result in found:
        title = drawable(result.data.title, 90)
        if several:
            labels.append(f"{drawable(title, 26)}\n{drawable(result.metric.title, 26)}")
        else:
            labels.append(textwrap.fill(title, 24, max_lines=2, placeholder="…"))
    axes.set_yticks(range(len(found)), labels)
    room = 0.6 if len(found) > 2 else 0.9
    axes.set_ylim(len(found) - 1 + room, -room)
    axes.tick_params(axis="y", length=0)


def _metric_names(found: Sequence[Result]) -> str:
    names = dict.fromkeys(result.metric.title for result in found)
    return drawable(next(iter(names)), 60) if len(names) == 1 else "Score, with its interval"


def _high(m: Measurement) -> float:
    return m.interval.high if m.interval else m.value


def _low(m: Measurement) -> float:
    return m.interval.low if m.interval else m.value


def _spearman(report: DistillationReport) -> str:
    return next((name for name in report.metrics if name.startswith("spearman")), "spearman_cosine")


def _tick(value: float) -> str:
    return "0" if abs(value) < 1e-9 else f"{value:+.3g}".replace("-", MINUS)
