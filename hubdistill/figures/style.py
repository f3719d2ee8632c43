"""How figures look, and how they become files: matplotlib without pyplot's global state."""

from __future__ import annotations

import io
import unicodedata
from collections.abc import Callable
from functools import cache
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib import font_manager
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Canvas
from matplotlib.ft2font import FT2Font
from matplotlib.layout_engine import ConstrainedLayoutEngine
from PIL import Image

from hubdistill.report import DistillationReport

Numbers = npt.NDArray[np.int64]

# Okabe and Ito's palette, told apart by all common forms of colour blindness.
STUDENT, TEACHER = "#0072B2", "#E69F00"
LOSS, GAIN = "#D55E00", "#009E73"
OTHERS = ("#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000")
INK, FAINT, PAPER = "#22262B", "#6B7280", "#FFFFFF"

BEHIND = {"facecolor": PAPER, "edgecolor": "none", "alpha": 1, "pad": 1.2}

DPI = 200
"""Twice the 100 dots per inch at which the sizes below look right."""

COLOURS = 64
"""In a file."""

_STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "text.color": INK,
    "text.parse_math": False,
    "axes.edgecolor": "#B8BDC6",
    "axes.labelcolor": INK,
    "axes.labelsize": 9,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 12,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": "#E3E6EA",
    "grid.linewidth": 0.8,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 2.0,
    "figure.facecolor": PAPER,
    "axes.facecolor": PAPER,
}


def render(paint: Callable[[DistillationReport], Canvas], report: DistillationReport) -> bytes:
    """Paint a figure in our style, whatever the user's own settings; the same report gives the same bytes.

    Returns:
        A PNG without date or software version.
    """
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        return _png(paint(report))


def canvas(width: float, height: float, title: str = "") -> Canvas:
    """An empty figure.

    Args:
        width: in inches, at 100 dots an inch of the page that shows it.
        height: likewise.
    """
    figure = Canvas(figsize=(width, height), dpi=DPI, layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.12))
    if title:
        figure.suptitle(
            drawable(title, round(8 * width)), x=0.012, ha="left", fontsize=12.5, fontweight="bold"
        )
    return figure


def drawable(text: str, limit: int) -> str:
    """Text cut to `limit`, without characters that the font does not have."""
    text = "".join(
        c if c == "\n" or ord(c) in _characters() else "?" for c in unicodedata.normalize("NFC", text)
    )
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def short(name: str, limit: int) -> str:
    """A model's name without its organisation, cut in the middle: names of a family begin alike."""
    name = drawable(name.rpartition("/")[2], len(name))
    left = limit // 2 - 1
    return name if len(name) <= limit else f"{name[:left]}…{name[left + 1 - limit :]}"


@cache
def _characters() -> frozenset[int]:
    return frozenset(FT2Font(font_manager.findfont("DejaVu Sans")).get_charmap())


def _png(figure: Canvas) -> bytes:
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[..., :3].astype(np.uint32)
    # A palette makes the file a quarter of the size; it carries neither date nor software version.
    numbers = pixels @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    colours, places, counts = np.unique(numbers, return_inverse=True, return_counts=True)
    present = colours.astype(np.int64)
    palette = _palette(present, counts)
    distance = ((_channels(present)[:, None] - _channels(palette)) ** 2).sum(-1)
    nearest = distance.argmin(1).astype(np.uint8)
    image = Image.fromarray(nearest[places].reshape(numbers.shape), "P")
    image.putpalette(_channels(palette).astype(np.uint8).tobytes())
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True, dpi=(DPI, DPI))
    return file.getvalue()


def _palette(present: Numbers, counts: Numbers) -> Numbers:
    """Colours of a file: those that mean something, unchanged, and the most frequent of the others.

    Args:
        present: the colours of a picture, rising.
        counts: pixels of each.
    """
    named = [int(name[1:], 16) for name in (STUDENT, TEACHER, LOSS, GAIN, *OTHERS, INK, FAINT, PAPER)]
    frequent = present[np.argsort(-counts, kind="stable")]
    return np.array(list(dict.fromkeys([*named, *frequent.tolist()]))[:COLOURS])


def _channels(colours: Numbers) -> Numbers:
    """Red, green and blue, shape (colours, 3)."""
    return np.stack([colours >> 16, colours >> 8 & 255, colours & 255], axis=-1)
