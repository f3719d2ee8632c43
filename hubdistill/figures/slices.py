"""Agreement with the teacher by length, language and source of the texts."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import MaxNLocator

from hubdistill.figures.content import SliceColumn, SliceGroup, slice_groups
from hubdistill.figures.style import FAINT, LOSS, STUDENT, canvas, drawable, short
from hubdistill.numbers import count, score
from hubdistill.report import DistillationReport
from hubdistill.results import student_model
from hubdistill.variant_results import SLICES


def slices(report: DistillationReport) -> Canvas:
    """A row for each kind of slice, a column for each measure; the lowest slice stands out."""
    groups = slice_groups(report)
    columns = max(len(group.columns) for group in groups)
    heights = [1.4 + 0.27 * len(group.names) for group in groups]
    name = student_model(report).name
    figure = canvas(
        7.6 if columns == 1 else 10.4, 0.5 + sum(heights), f"Where {name} agrees with the teacher"
    )
    grid = figure.subplots(len(groups), columns, squeeze=False, sharex="col", height_ratios=heights)
    for row, group in zip(grid, groups, strict=True):
        for axes, column in zip(row, group.columns, strict=False):
            _dots(axes, group, column)
        for axes in row[len(group.columns) :]:
            axes.remove()
    return figure


def _dots(axes: Axes, group: SliceGroup, column: SliceColumn) -> None:
    first = column is group.columns[0]
    axes.set_title(_title(group) if first else "")
    if column.whole is not None:
        axes.axvline(column.whole, color=FAINT, linewidth=1.2, linestyle=(0, (4, 2)), zorder=1)
    for place, name in enumerate(group.names):
        m = column.by_slice.get(name)
        if m is None:
            continue
        lowest = name == column.lowest
        colour = LOSS if lowest else STUDENT
        if m.interval:
            axes.plot([m.interval.low, m.interval.high], [place] * 2, color=colour, linewidth=2)
        axes.plot(m.value, place, "D" if lowest else "o", color=colour, markersize=7)
        axes.annotate(
            f"{score(m.value)}  n = {count(m.n)}", (1.01, place), xycoords=("axes fraction", "data"),
            va="center", fontsize=8.5, fontweight="bold" if lowest else "normal",
        )  # fmt: skip
    names = [short(name, 26) if group.by == "source" else drawable(name, 26) for name in group.names]
    axes.set_yticks(range(len(names)), names if first else [""] * len(names))
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    # One scale for all rows of a column, written below each.
    axes.tick_params(axis="x", labelbottom=True)
    whole = f"\nDashed: all texts, {score(column.whole)}" if column.whole is not None else ""
    axes.set_xlabel(f"{drawable(f'{column.title}, {column.data.title}', 56)}{whole}")
    axes.grid()


def _title(group: SliceGroup) -> str:
    title = f"By {SLICES[group.by]}"
    if len(group.names) < group.total:
        title += f": the {len(group.names)} lowest of {group.total}"
    return title
