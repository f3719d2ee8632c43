"""A family of students beside their teacher: who agrees with whom, and quality against speed."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure as Canvas
from matplotlib.patheffects import withStroke
from matplotlib.text import Annotation
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from matplotlib.transforms import Bbox

from hubdistill.figures.content import Family, Matrix, Member, family, matrices, pareto_front
from hubdistill.figures.style import INK, PAPER, STUDENT, TEACHER, canvas, drawable, short
from hubdistill.numbers import count, short_count, size
from hubdistill.report import DistillationReport
from hubdistill.results import known

Point = tuple[float, float]
Line = tuple[Point, Point]
Place = tuple[float, float, Literal["left", "center", "right"]]
"""Offset from a bubble's middle in points, and which part of the text stands there."""

SIBLING = "#8A93A3"
LARGEST = 900
"""Area of the teacher's bubble in square points."""


def agreement_matrix(report: DistillationReport, *, of_family: bool = False) -> Canvas:
    """Precision@k between every two models, one panel for each data set.

    Args:
        of_family: no student stands out.
    """
    found = matrices(report)
    models = max(len(matrix.models) for matrix in found)
    # Beside each other while five numbers have room in half the width.
    columns = min(2, len(found)) if models <= 5 else 1
    rows = math.ceil(len(found) / columns)
    width = (5.2 * columns if len(found) > 1 else 6.4) if models <= 5 else max(7.6, 2 + 0.75 * models)
    figure = canvas(width, rows * (2.1 + (0.52 if models <= 5 else 0.5) * models))
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes, matrix in zip(panels, found, strict=False):
        _heat_map(axes, report, matrix, None if of_family else report.student)
    for axes in panels[len(found) :]:
        axes.remove()
    return figure


def _heat_map(axes: Axes, report: DistillationReport, matrix: Matrix, own: str | None) -> None:
    models = matrix.models
    values = np.array([[matrix.value(a, b) for b in models] for a in models], dtype=float)
    # A wide scale, or small differences would look like large ones.
    room = max(0.0, 0.2 - (np.nanmax(values) - np.nanmin(values))) / 2
    scale = Normalize(np.nanmin(values) - room, np.nanmax(values) + room)
    # Perceptually uniform, and made for readers with colour blindness.
    colours = colormaps["cividis"]
    axes.imshow(np.ma.masked_invalid(values), cmap=colours, norm=scale, aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        if not math.isnan(value):
            axes.text(
                column, row, f"{value:.3f}", ha="center", va="center",
                color=readable_on(colours(float(scale(value)))), fontsize=9 if len(models) <= 8 else 8,
            )  # fmt: skip
    names = [
        f"{short(report.models[key].name, 22)}{' (teacher)' if key == report.teacher else ''}"
        for key in models
    ]
    places = range(len(models))
    axes.set_xticks(places, names, rotation=35, ha="right", rotation_mode="anchor")
    axes.set_yticks(places, names)
    if own:
        for labels in (axes.get_xticklabels(), axes.get_yticklabels()):
            labels[models.index(own)].set_fontweight("bold")
    axes.set_xticks(np.arange(len(models) - 1) + 0.5, minor=True)
    axes.set_yticks(np.arange(len(models) - 1) + 0.5, minor=True)
    axes.grid(which="minor", color=PAPER, linewidth=2)
    axes.set_axisbelow(False)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)
    title = f"Precision@{matrix.k}, {count(matrix.data.n)} queries"
    axes.set_title(f"{title}\n{drawable(matrix.data.title, 40)}", fontsize=9.5)


def readable_on(colour: Sequence[float]) -> str:
    """Black or white, whichever has the higher contrast: always more than 4.5 to 1.

    Source: Web Content Accessibility Guidelines 2.2, relative luminance and contrast ratio.
    """
    red, green, blue = (
        channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4
        for channel in colour[:3]
    )
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return "#000000" if luminance + 0.05 > math.sqrt(1.05 * 0.05) else "#FFFFFF"


def quality_speed(report: DistillationReport, *, of_family: bool = False) -> Canvas:
    """Share of quality kept over speed-up; the area of a bubble is the size on disk.

    Args:
        of_family: no student stands out.
    """
    own = None if of_family else report.student
    found = known(family(report), "family")
    members = found.members
    figure = canvas(7.6, 5.0)
    axes = figure.subplots()
    _set_scales(axes, members)
    front = _draw_front(axes, members)
    for member in members:
        _bubble(axes, report, member, own)
    _describe(axes, found)
    names = [_name(axes, report, member, own) for member in members]
    areas = [_area(report, member) for member in members]
    _place_names(figure, axes, names, areas, front, [line for m in members for line in _lines(m)])
    return figure


def _set_scales(axes: Axes, members: Sequence[Member]) -> None:
    slowest = min(m.speed_up_interval.low if m.speed_up_interval else m.speed_up for m in members)
    fastest = max(m.speed_up_interval.high if m.speed_up_interval else m.speed_up for m in members)
    if fastest > 20:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlim(0.6 * slowest, fastest * 6)
    else:
        axes.set_xlim(0, fastest * 1.5)
    lowest = min(m.kept_interval.low if m.kept_interval else m.kept for m in members)
    highest = max(m.kept_interval.high if m.kept_interval else m.kept for m in members)
    room = 0.22 * (highest - lowest) + 0.004
    axes.set_ylim(lowest - room, highest + room)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g}%"))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}x"))


def _draw_front(axes: Axes, members: Sequence[Member]) -> list[Line]:
    """Draw the edge of what some model reaches: steps from the best to the fastest."""
    left, right = axes.get_xlim()
    bottom, _ = axes.get_ylim()
    corners = [(left, bottom)]
    points = [(m.speed_up, m.kept) for m in members]
    on_front = {point for point, is_on in zip(points, pareto_front(points), strict=True) if is_on}
    for speed, kept in sorted(on_front):
        corners += [(corners[-1][0], kept), (speed, kept)]
    corners.append((corners[-1][0], bottom))
    speeds, kepts = zip(*corners[1:], strict=True)
    axes.fill_between(speeds, kepts, bottom, color=STUDENT, alpha=0.06, linewidth=0, zorder=0.5)
    axes.plot(
        speeds, kepts, color=STUDENT, alpha=0.55, linewidth=1.4, linestyle=(0, (4, 2)),
        label="Pareto front: no other model's values are higher in both", zorder=1.5,
    )  # fmt: skip
    axes.set_xlim(left, right)
    return list(itertools.pairwise(corners[1:]))


def _bubble(axes: Axes, report: DistillationReport, member: Member, own: str | None) -> None:
    student = STUDENT if own in (None, member.model) else SIBLING
    colour = TEACHER if member.model == report.teacher else student
    axes.scatter(
        [member.speed_up], [member.kept], s=_area(report, member), alpha=0.85, zorder=2,
        facecolor=PAPER if member.beaten else colour, edgecolor=colour, linewidths=1.6,
    )  # fmt: skip
    for (x, y), (to_x, to_y) in _lines(member):
        axes.plot([x, to_x], [y, to_y], color=INK, linewidth=1.2, solid_capstyle="butt", zorder=3)


def _lines(member: Member) -> list[Line]:
    """Both ends of the line of each interval."""
    lines = []
    if kept := member.kept_interval:
        lines.append(((member.speed_up, kept.low), (member.speed_up, kept.high)))
    if speed := member.speed_up_interval:
        lines.append(((speed.low, member.kept), (speed.high, member.kept)))
    return lines


def _describe(axes: Axes, found: Family) -> None:
    metric = drawable(f"Share of the teacher's {found.result.metric.title}", 50)
    axes.set_ylabel(f"{metric},\n{drawable(found.result.data.title, 50)}")
    axes.set_xlabel(
        f"Texts per second over the teacher's, {found.tokens} tokens per text\n"
        "Area: size on disk. Lines: intervals of quality and of speed."
        + (" Hollow: measurably behind the front." if any(m.beaten for m in found.members) else "")
    )
    axes.grid()
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0, handlelength=2.6)
    axes.set_title("Quality kept and speed gained", pad=26)


def _area(report: DistillationReport, member: Member) -> float:
    return max(40, LARGEST * report.models[member.model].bytes / report.models[report.teacher].bytes)


def _name(axes: Axes, report: DistillationReport, member: Member, own: str | None) -> Annotation:
    model = report.models[member.model]
    text = f"{short(model.name, 30)}\n{short_count(model.architecture.parameters)}, {size(model.bytes)}"
    name = axes.annotate(
        text, (member.speed_up, member.kept), xytext=(0, 0), textcoords="offset points", va="center",
        fontsize=8.5, fontweight="bold" if member.model == own else "normal", zorder=4,
    )  # fmt: skip
    name.set_path_effects([withStroke(linewidth=2.5, foreground=PAPER)])
    return name


def _place_names(
    figure: Canvas,
    axes: Axes,
    names: Sequence[Annotation],
    areas: Sequence[float],
    front: Sequence[Line],
    intervals: Sequence[Line],
) -> None:
    """Put each name where it covers no bubble, interval or other name, and if it can not the front either."""
    figure.draw_without_rendering()
    edge = [Bbox(axes.transData.transform(line)).padded(1) for line in front]
    taken = [Bbox(axes.transData.transform(line)).padded(1) for line in intervals]
    for name, area in zip(names, areas, strict=True):
        x, y = axes.transData.transform(name.xy)
        reach = math.sqrt(area) / 2 * figure.dpi / 72
        taken.append(Bbox([[x - reach, y - reach], [x + reach, y + reach]]))
    for name, area in zip(names, areas, strict=True):
        side = math.sqrt(area) / 2 + 5
        beside: list[Place] = [(side, 0, "left"), (-side, 0, "right")]
        beside += [(0, side + 12, "center"), (0, -side - 12, "center")]
        # Of many like models, the last one's name is far away.
        away: list[Place] = [
            (side, 14 * step * sign, "left") for step in range(1, 2 * len(names)) for sign in (1, -1)
        ]
        tries = [([*taken, *edge], beside), (taken, beside), (taken, away)]
        for obstacles, place in ((obstacles, place) for obstacles, places in tries for place in places):
            name.xyann = place[:2]
            name.set_horizontalalignment(place[2])
            box = name.get_window_extent()
            inside = axes.bbox.x0 <= box.x0 and box.x1 <= axes.bbox.x1
            if inside and not any(box.overlaps(other) for other in obstacles):
                break
        taken.append(box)
