"""The card's figures: which ones a report calls for, what they show in words, and their files.

Only drawing needs matplotlib; which figures there are and their alternative texts do not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hubdistill.atomic import write_bytes
from hubdistill.errors import MissingExtraError
from hubdistill.numbers import listed, rate, ratio, score, share, signed, size
from hubdistill.report import DistillationReport
from hubdistill.results import (
    headline_results,
    speed_ups,
    student_model,
    teacher_model,
    top_k_agreement,
)

FOLDER = "figures"
NAMES = ("summary", "precision_at_k", "training", "quality_speed")


@dataclass(frozen=True)
class Figure:
    """A picture on the card."""

    name: str
    """`summary`, `precision_at_k`, `training` or `quality_speed`."""
    title: str
    alt: str
    """What it shows, in words and with the report's numbers."""

    @property
    def path(self) -> str:
        """Where it lies in the model's folder, with forward slashes."""
        return f"{FOLDER}/{self.name}.png"


def planned_figures(report: DistillationReport) -> tuple[Figure, ...]:
    """The figures that this report has facts for, in the card's order."""
    texts = {
        "summary": ("Quality and speed beside the teacher", _summary(report)),
        "precision_at_k": ("Retrieval agreement", _agreement(report)),
        "training": ("Training", _training(report)),
        "quality_speed": ("Quality and speed of the family", _family(report)),
    }
    return tuple(Figure(name, *texts[name]) for name in NAMES if texts[name][1])


def draw_figures(report: DistillationReport, folder: Path) -> tuple[Figure, ...]:
    """Draw a report's figures into `folder`/figures; the same report gives the same bytes.

    Figures of an earlier report that this one has no facts for are removed.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    figures = planned_figures(report)
    if figures:
        painters = _painters()
        (folder / FOLDER).mkdir(parents=True, exist_ok=True)
        for figure in figures:
            write_bytes(folder / figure.path, painters[figure.name](report))
    for name in set(NAMES) - {figure.name for figure in figures}:
        (folder / FOLDER / f"{name}.png").unlink(missing_ok=True)
    return figures


def _painters() -> dict[str, Callable[[DistillationReport], bytes]]:
    try:
        from hubdistill.figures import curves
        from hubdistill.figures.style import render
        from hubdistill.figures.summary import summary
    except ModuleNotFoundError as error:
        if error.name != "matplotlib":
            raise
        raise MissingExtraError("figures", "Drawing the card's figures") from error
    return {
        "summary": lambda report: render(lambda: summary(report)),
        "precision_at_k": lambda report: render(lambda: curves.precision_at_k(report)),
        "training": lambda report: render(lambda: curves.training(report)),
        "quality_speed": lambda report: render(lambda: curves.quality_speed(report)),
    }


def _summary(report: DistillationReport) -> str:
    found, speeds = headline_results(report), speed_ups(report)
    if not found and not speeds:
        return ""
    parts = [f"{student_model(report).name} beside its teacher {teacher_model(report).name}."]
    for result in found:
        scores = f"{score(result.student.value)} against {score(result.teacher.value)}"
        difference = ""
        if result.comparison:
            verdict = "" if result.comparison.decided else ", no measurable difference"
            difference = f" ({signed(result.comparison.difference)}{verdict})"
        parts.append(f"{result.metric.title} on {result.data.title}: {scores}{difference}.")
    if speeds:
        rates = [
            f"{rate(s.student.value)} against {rate(s.teacher.value)} at {s.tokens} tokens" for s in speeds
        ]
        parts.append(f"Texts per second: {listed(rates)}.")
    return " ".join(parts)


def _agreement(report: DistillationReport) -> str:
    parts = []
    for agreement in top_k_agreement(report):
        for (model, other), values in agreement.pairs.items():
            ks = list(values)
            pair = f"{report.models[model].name} and {report.models[other].name}"
            ends = " to ".join(f"{score(values[k].value)} at k = {k}" for k in dict.fromkeys((ks[0], ks[-1])))
            parts.append(f"{pair}: {ends}")
    return f"Precision@k between top-k lists. {'; '.join(parts)}." if parts else ""


def _training(report: DistillationReport) -> str:
    log = report.training.log if report.training else ()
    losses = [line.loss for line in log if line.loss is not None]
    cosines = [line.teacher_cosine for line in log if line.teacher_cosine is not None]
    parts = []
    if len(losses) > 1:
        parts.append(f"The loss goes from {score(losses[0])} to {score(losses[-1])}.")
    if len(cosines) > 1:
        parts.append(f"The mean cosine to the teacher goes from {score(cosines[0])} to {score(cosines[-1])}.")
    return f"{log[-1].step} training steps. {' '.join(parts)}" if parts else ""


def _family(report: DistillationReport) -> str:
    if not report.siblings:
        return ""
    parts = []
    for key in (report.student, *report.siblings):
        found, speeds = headline_results(report, key), speed_ups(report, key)
        if found and found[0].comparison and speeds:
            kept = share(found[0].comparison.kept)
            speed_up = ratio(speeds[(len(speeds) - 1) // 2].ratio)
            model = report.models[key]
            parts.append(f"{model.name} keeps {kept} at {speed_up} speed and {size(model.bytes)}")
    return f"Quality kept against speed-up: {'; '.join(parts)}." if parts else ""
