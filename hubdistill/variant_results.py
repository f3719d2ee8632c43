"""What the report measured of variants: cut or quantized vectors, slices, mixed and approximate search.

These are the measurements with one of the parameters in `hubdistill.report.VARIANTS`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

from hubdistill.errors import CardError
from hubdistill.report import DistillationReport, Measurement, Value
from hubdistill.results import Result, beside, known

SliceBy = Literal["length", "language", "source"]

SLICES: Mapping[SliceBy, str] = {"length": "length in tokens", "language": "language", "source": "source"}
"""Kinds of slices in the order shown, in words."""

BITS: Mapping[str, int] = {"float32": 32, "int8": 8, "binary": 1}
"""Of one dimension, by the precision of the vectors."""


def vector_bytes(dimensions: int, precision: str) -> int:
    """Bytes of one vector; bits fill whole bytes.

    Raises:
        CardError: a precision that hubdistill does not measure.
    """
    if precision not in BITS:
        raise CardError(
            f"measurements: the precision {precision!r} of vectors is not one of {', '.join(BITS)}; correct "
            "report.json"
        )
    return math.ceil(dimensions * BITS[precision] / 8)


def asymmetric_results(report: DistillationReport) -> list[Result]:
    """A student's queries against the teacher's documents, beside the teacher's own queries."""
    found = []
    for ours in _with_parameter(report, report.student, "documents"):
        if ours.against is None:
            theirs = whole(report, ours, "documents", report.teacher)
            place = f"{ours.metric} of the teacher on {ours.data}"
            found.append(beside(report, ours, known(theirs, place)))
    return found


def asymmetric_agreement(report: DistillationReport) -> dict[str, list[Measurement]]:
    """Precision@k of a student's queries on the teacher's documents with the teacher's search, by data."""
    found: dict[str, list[Measurement]] = {}
    for m in _with_parameter(report, report.student, "documents"):
        if m.against == report.teacher and "k" in m.parameters:
            found.setdefault(m.data, []).append(m)
    return found


def truncations(report: DistillationReport, model: str | None = None) -> dict[int, list[Measurement]]:
    """What was measured of a model at each number of dimensions, falling; the full one is first.

    Every list has the same measures in the same order, except that the whole vectors' agreement with
    themselves may be missing; empty when no vectors were cut. Of the teacher, which is cut as each of the
    run's students is, only what stands beside this report's student.
    """
    model = model or report.student
    full = report.models[model].architecture.dimensions
    found = _variants(report, model, "dimensions", full)
    if model == report.teacher:
        cut = {m.parameters["dimensions"] for m in _with_parameter(report, report.student, "dimensions")}
        found = {width: measured for width, measured in found.items() if width in {full, *cut}} if cut else {}
    return {int(width or 0): found[width] for width in sorted(found, key=lambda w: -int(w or 0))}


def quantizations(report: DistillationReport, model: str | None = None) -> dict[str, list[Measurement]]:
    """What was measured of a model at each precision of its vectors, the model's own (`float32`) first.

    Lists are as those of `truncations`; empty when no vectors were quantized.
    """
    found = _variants(report, model or report.student, "precision", "float32")
    return {str(precision): measured for precision, measured in found.items()}


def slices(report: DistillationReport, by: SliceBy) -> dict[str, list[Measurement]]:
    """What was measured of a student on the texts of one language, source or range of lengths, by name."""
    found: dict[str, list[Measurement]] = {}
    for m in _with_parameter(report, report.student, by):
        found.setdefault(str(m.parameters[by]), []).append(m)
    return found


def ann_recall(report: DistillationReport) -> list[Measurement]:
    """How much of exact search a search of the HNSW graph finds, in report order."""
    return report.find("ann_recall_at_k", model=report.student)


def whole(
    report: DistillationReport, variant: Measurement, parameter: str, model: str | None = None
) -> Measurement | None:
    """The same measurement of the plain vectors on all of the data; None where it is not in the report.

    Args:
        parameter: the one of `VARIANTS` that the variant has.
        model: another one than the variant's.
    """
    plain = (variant.against, without(variant, parameter))
    found = report.find(variant.metric, model=model or variant.model, data=variant.data)
    return next((m for m in found if (m.against, m.parameters) == plain), None)


def without(m: Measurement, parameter: str) -> dict[str, Value]:
    """A measurement's parameters but for one."""
    return {name: value for name, value in m.parameters.items() if name != parameter}


def _variants(
    report: DistillationReport, model: str, parameter: str, full: Value
) -> dict[Value, list[Measurement]]:
    """Measurements with a parameter by its value, and first, under `full`, the same ones without it."""
    found: dict[Value, list[Measurement]] = {}
    for m in _with_parameter(report, model, parameter):
        found.setdefault(m.parameters[parameter], []).append(m)
    if not found:
        return {}
    plain = []
    for m in next(iter(found.values())):
        one = whole(report, m, parameter)
        # Agreement of the whole vectors with themselves may be left out.
        if one is None and m.against != m.model:
            known(one, f"measurements: {m.metric} of {m.model} on {m.data} without {parameter}")
        plain += [one] if one else []
    return {full: plain, **found}


def _with_parameter(report: DistillationReport, model: str, parameter: str) -> list[Measurement]:
    return [m for m in report.measurements if m.model == model and parameter in m.parameters]
