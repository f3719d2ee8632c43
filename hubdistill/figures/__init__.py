"""The card's figures: which ones a report calls for, what they show in words, and their files.

Only drawing needs matplotlib; which figures there are and their alternative texts do not.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from hubdistill.atomic import write_bytes
from hubdistill.errors import MissingExtraError
from hubdistill.figures import alt_texts
from hubdistill.report import DistillationReport

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

FOLDER = "figures"

TITLES = {
    "summary": "Quality and speed beside the teacher",
    "precision_at_k": "Retrieval agreement",
    "agreement_matrix": "Retrieval agreement of the family",
    "slices": "Agreement by length, language and source",
    "vector_size": "Quality of cut and quantized vectors",
    "training": "Training",
    "quality_speed": "Quality and speed of the family",
}
NAMES = tuple(TITLES)


@dataclass(frozen=True)
class Figure:
    """A picture on the card."""

    name: str
    """A key of `TITLES`."""
    title: str
    alt: str
    """What it shows, in words and with the report's numbers."""

    @property
    def path(self) -> str:
        """Where it lies in the model's folder, with forward slashes."""
        return f"{FOLDER}/{self.name}.png"


def planned_figures(report: DistillationReport, names: Collection[str] = NAMES) -> tuple[Figure, ...]:
    """The figures that this report has facts for, in the card's order.

    Args:
        names: of these only.
    """
    texts = {
        "summary": alt_texts.summary,
        "precision_at_k": alt_texts.precision_at_k,
        "agreement_matrix": alt_texts.agreement_matrix,
        "slices": alt_texts.slices,
        "vector_size": alt_texts.vector_size,
        "training": alt_texts.training,
        "quality_speed": alt_texts.quality_speed,
    }
    figures = (Figure(name, title, texts[name](report)) for name, title in TITLES.items() if name in names)
    return tuple(figure for figure in figures if figure.alt)


def draw_figures(
    report: DistillationReport, folder: Path, names: Collection[str] = NAMES, *, of_family: bool = False
) -> tuple[Figure, ...]:
    """Draw a report's figures into `folder`/figures; the same report gives the same bytes.

    Figures of an earlier report that this one has no facts for are removed.

    Args:
        names: of these only.
        of_family: for a card of all students, where none stands out.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    figures = planned_figures(report, names)
    if figures:
        painters = _painters(of_family=of_family)
        (folder / FOLDER).mkdir(parents=True, exist_ok=True)
        for figure in figures:
            write_bytes(folder / figure.path, painters[figure.name](report))
    for name in set(NAMES) - {figure.name for figure in figures}:
        (folder / FOLDER / f"{name}.png").unlink(missing_ok=True)
    return figures


def _painters(*, of_family: bool) -> dict[str, Callable[[DistillationReport], bytes]]:
    try:
        from hubdistill.figures import curves, family, slices
        from hubdistill.figures.style import render
        from hubdistill.figures.summary import summary
    except ModuleNotFoundError as error:
        if error.name != "matplotlib":
            raise
        raise MissingExtraError("figures", "Drawing the card's figures") from error
    painters: dict[str, Callable[[DistillationReport], Canvas]] = {
        "summary": summary,
        "precision_at_k": partial(curves.precision_at_k, of_family=of_family),
        "agreement_matrix": partial(family.agreement_matrix, of_family=of_family),
        "slices": slices.slices,
        "vector_size": curves.vector_size,
        "training": curves.training,
        "quality_speed": partial(family.quality_speed, of_family=of_family),
    }
    return {name: partial(render, painter) for name, painter in painters.items()}
