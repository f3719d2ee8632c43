"""Distil embedding models, prove what the student keeps, publish it with a card that can be re-run.

The names below are loaded when they are first used, so that `import hubdistill` costs nothing and never
imports torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hubdistill.callback import HubDistillCallback as HubDistillCallback
    from hubdistill.card import render_card as render_card
    from hubdistill.card import render_family_card as render_family_card
    from hubdistill.card import write_card as write_card
    from hubdistill.card import write_cards as write_cards
    from hubdistill.card import write_family_card as write_family_card
    from hubdistill.errors import HubDistillError as HubDistillError
    from hubdistill.hub import PushOutcome as PushOutcome
    from hubdistill.hub import check_loads_back as check_loads_back
    from hubdistill.hub import preflight as preflight
    from hubdistill.hub import push as push
    from hubdistill.localhub import LocalHub as LocalHub
    from hubdistill.model_evaluation import evaluate_models as evaluate_models
    from hubdistill.pipeline import Run as Run
    from hubdistill.recipe import Recipe as Recipe
    from hubdistill.recipe_file import load_recipe as load_recipe
    from hubdistill.report import DistillationReport as DistillationReport
    from hubdistill.report import load_report as load_report
    from hubdistill.report_comparison import compare_reports as compare_reports
    from hubdistill.verification.outcome import Verification as Verification
    from hubdistill.verification.verifying import verify as verify

__version__ = "0.1.0"

_HOME = {
    "DistillationReport": "hubdistill.report",
    "HubDistillCallback": "hubdistill.callback",
    "HubDistillError": "hubdistill.errors",
    "LocalHub": "hubdistill.localhub",
    "PushOutcome": "hubdistill.hub",
    "Recipe": "hubdistill.recipe",
    "Run": "hubdistill.pipeline",
    "Verification": "hubdistill.verification.outcome",
    "check_loads_back": "hubdistill.hub",
    "compare_reports": "hubdistill.report_comparison",
    "evaluate_models": "hubdistill.model_evaluation",
    "load_recipe": "hubdistill.recipe_file",
    "load_report": "hubdistill.report",
    "preflight": "hubdistill.hub",
    "push": "hubdistill.hub",
    "render_card": "hubdistill.card",
    "render_family_card": "hubdistill.card",
    "verify": "hubdistill.verification.verifying",
    "write_card": "hubdistill.card",
    "write_cards": "hubdistill.card",
    "write_family_card": "hubdistill.card",
}
"""Public name -> module that defines it."""

__all__ = ["__version__", *_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
