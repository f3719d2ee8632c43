"""The model card: report and template in, README.md out.

The card is a function of the report, the template and what a person wrote on the card before. Templates
run in Jinja's sandbox, a variable that does not exist is an error, and every value that is not Markdown
already is escaped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from jinja2 import (
    FileSystemLoader,
    StrictUndefined,
    Template,
    TemplateError,
    TemplateSyntaxError,
    Undefined,
)
from jinja2.sandbox import SandboxedEnvironment

from hubdistill.atomic import write_text
from hubdistill.card.keep import merge_kept
from hubdistill.card.metadata import check_metadata, check_owner
from hubdistill.card.text import Markdown, code, escape, fenced, tidy
from hubdistill.card.view import CardView, card_view
from hubdistill.errors import CardError, MissingExtraError
from hubdistill.eval_results import write_eval_results
from hubdistill.figures import Figure, draw_figures, planned_figures
from hubdistill.report import DistillationReport, load_report

FILE_NAME = "README.md"
TEMPLATE = "model_card.md.j2"

_TEMPLATE_FAULTS = (
    TemplateError,
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)

__all__ = ["check_metadata", "check_owner", "render_card", "templates_folder", "write_card"]


def render_card(
    report: DistillationReport,
    *,
    repo_id: str | None = None,
    template: Path | None = None,
    previous: str | None = None,
    figures: Sequence[Figure] = (),
) -> str:
    """Render the card of a report's student.

    Args:
        repo_id: where the student is published (`org/name`), for snippet, title and metadata.
        template: a Jinja template to use instead of model_card.md.j2, which it may extend; its variables
            are the fields of `CardView` and `report`.
        previous: the card so far; its kept sections go into the new one.
        figures: pictures to show.

    Raises:
        CardError: the report lacks a fact that the card needs, the Hub would refuse the metadata, the
            template is broken, or the previous card's kept sections are.
    """
    view = card_view(report, repo_id=repo_id, figures=figures)
    variables: dict[str, Any] = {field.name: getattr(view, field.name) for field in fields(CardView)}
    try:
        page = _template(template)
        # Plain data: a template must not reach the report's methods.
        text = page.render(variables, report=report.model_dump(mode="json"))
    except _TEMPLATE_FAULTS as error:
        line = f" (line {error.lineno})" if isinstance(error, TemplateSyntaxError) else ""
        raise CardError(f"cannot render the card template {template or TEMPLATE}: {error}{line}") from error
    card = tidy(text)
    if problems := check_metadata(card):
        raise CardError("the card's metadata is not valid:\n" + "\n".join(f"  {line}" for line in problems))
    return merge_kept(card, previous or "")


def write_card(folder: Path, *, repo_id: str | None = None, template: Path | None = None) -> Path:
    """Write README.md, its figures and .eval_results into a student's folder, from its report.json.

    Kept sections of a README.md that is there stay.

    Args:
        template: as for `render_card`; the recipe's `card.template` when left out.

    Raises:
        CardError: as `render_card`.
        ReportError: there is no report.json that can be read.
        MissingExtraError: the figures are not there and matplotlib is not installed.
    """
    report = load_report(folder)
    path = folder / FILE_NAME
    previous = _read(path) if path.exists() else None
    if template is None and report.owner.template:
        template = Path(report.owner.template)
    card = render_card(
        report, repo_id=repo_id, template=template, previous=previous, figures=_figures(report, folder)
    )
    write_text(path, card)
    write_eval_results(folder, report)
    return path


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise CardError(
            f"{path} is not UTF-8 ({error.reason} at byte {error.start}), so its kept sections cannot be "
            "read; save it as UTF-8, or move it away for a new card"
        ) from None


def templates_folder() -> Path:
    """The folder of the templates: inside an installed package, beside it in a checkout.

    Raises:
        CardError: they are in neither place.
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "templates", package.parent / "templates"):
        if (folder / TEMPLATE).is_file():
            return folder
    raise CardError(f"the card templates are missing from {package}; install hubdistill again")


def _figures(report: DistillationReport, folder: Path) -> Sequence[Figure]:
    """Draw the figures, or take those that are there where they cannot be drawn."""
    try:
        return draw_figures(report, folder)
    except MissingExtraError:
        planned = planned_figures(report)
        if all((folder / figure.path).is_file() for figure in planned):
            return planned
        raise


def _template(path: Path | None) -> Template:
    environment = SandboxedEnvironment(
        loader=FileSystemLoader(templates_folder()),
        undefined=StrictUndefined,
        autoescape=True,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"code": code, "fenced": fenced}
    if path is None:
        return environment.get_template(TEMPLATE)
    if not path.is_file():
        raise CardError(f"no card template at {path}; correct --template or the recipe's `card.template`")
    return environment.from_string(path.read_text(encoding="utf-8"))


def _finalize(value: Any) -> Any:
    """Escape for Markdown what is not Markdown already; autoescape alone would know HTML only."""
    return value if isinstance(value, Markdown | Undefined) else escape(str(value))
