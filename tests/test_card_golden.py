"""Whole cards, reviewed as Markdown. After a wanted change write them anew and read the difference:

HUBDISTILL_UPDATE_GOLDEN=1 pytest tests/test_card_golden.py
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from sample_report import (
    bge_m3_report,
    compared_report,
    mxbai_report,
    other_model_report,
    static_report,
    trimmed_report,
)

from hubdistill.card import render_card
from hubdistill.figures import planned_figures
from hubdistill.report import DistillationReport

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("bge_m3_layers", bge_m3_report),
        ("mxbai_layers", mxbai_report),
        ("static", static_report),
        ("trimmed", trimmed_report),
        ("other_model", other_model_report),
        ("compared", compared_report),
    ],
)
def test_card_is_as_reviewed(name: str, make: Callable[[], DistillationReport]) -> None:
    report = make()
    card = render_card(report, repo_id=f"example/{report.student}", figures=planned_figures(report))
    path = GOLDEN / f"{name}.md"
    if os.environ.get("HUBDISTILL_UPDATE_GOLDEN"):
        path.write_text(card, encoding="utf-8", newline="\n")
    assert card == path.read_text(encoding="utf-8")
