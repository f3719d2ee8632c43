"""The model card: report and template in, README.md out.

The card is a function of the report, the template and what a person wrote on the card before.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from hubdistill.atomic import write_text
from hubdistill.card.family import FIGURES as FAMILY_FIGURES
from hubdistill.card.family import family_view
from hubdistill.card.foreign import is_ours, read_card, refuse_other_weights, refuse_to_replace, set_aside
from hubdistill.card.keep import merge_kept
from hubdistill.card.metadata import check_metadata, check_owner
from hubdistill.card.templates import FAMILY, STUDENT, fill, templates_folder
from hubdistill.card.view import card_view
from hubdistill.errors import CardError, MissingExtraError
from hubdistill.eval_results import write_eval_results
from hubdistill.figures import NAMES as FIGURE_NAMES
from hubdistill.figures import Figure, draw_figures, planned_figures
from hubdistill.recipe import Recipe
from hubdistill.report import FILE_NAME as REPORT
from hubdistill.report import DistillationReport, load_report

FILE_NAME = "README.md"

__all__ = [
    "check_metadata",
    "check_owner",
    "render_card",
    "render_family_card",
    "templates_folder",
    "write_card",
    "write_cards",
    "write_family_card",
]


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
    # Plain data: a template must not reach the report's methods.
    return _render(template or STUDENT, view, previous, report=report.model_dump(mode="json"))


def render_family_card(
    reports: Sequence[DistillationReport],
    *,
    name: str,
    repo_ids: Mapping[str, str] | None = None,
    previous: str | None = None,
    figures: Sequence[Figure] = (),
) -> str:
    """Render one card for all students of a family.

    Args:
        reports: one for each student, all of one evaluation.
        name: the family's.
        repo_ids: where the students are published (`org/name`), by their names.
        previous: the card so far; its kept sections go into the new one.
        figures: pictures to show.

    Raises:
        CardError: the reports are not of one evaluation, or as `render_card`.
    """
    view = family_view(reports, name=name, repo_ids=repo_ids, figures=figures)
    return _render(FAMILY, view, previous)


def _render(template: str | Path, view: Any, previous: str | None, **more: Any) -> str:
    variables: dict[str, Any] = {field.name: getattr(view, field.name) for field in fields(view)}
    card = fill(template, {**variables, **more})
    if problems := check_metadata(card):
        raise CardError("the card's metadata is not valid:\n" + "\n".join(f"  {line}" for line in problems))
    return merge_kept(card, previous or "")


def write_card(
    folder: Path,
    *,
    repo_id: str | None = None,
    template: Path | None = None,
    report_file: Path | None = None,
    force: bool = False,
) -> Path:
    """Write README.md, its figures and .eval_results into a student's folder, from its report.json.

    Kept sections of a README.md that is there stay.

    Args:
        template: as for `render_card`; the recipe's `card.template` when left out.
        report_file: a report of this folder's model that lies elsewhere; a copy goes into the folder.
        force: with a report from elsewhere, take the place of a README.md that hubdistill did not write and
            of another report.json; both stay under other names.

    Raises:
        CardError: as `render_card`; or README.md was not written by hubdistill.
        ReportError: there is no report.json that can be read, or it is of another model.
        MissingExtraError: the figures are not there and matplotlib is not installed.
    """
    report = load_report(report_file or folder)
    path = folder / FILE_NAME
    previous = read_card(path)
    replaced: list[Path] = []
    if report_file is not None:
        refuse_other_weights(report, folder)
        replaced = _others(folder, report_file, previous)
        refuse_to_replace(replaced, force=force)
    if template is None and report.owner.template:
        template = Path(report.owner.template)
    card = render_card(
        report, repo_id=repo_id, template=template, previous=previous, figures=_figures(report, folder)
    )
    set_aside(replaced)
    if report_file is not None:
        report.save(folder)
    write_text(path, card)
    write_eval_results(folder, report)
    return path


def write_family_card(
    folders: Sequence[Path], folder: Path, *, name: str, repo_ids: Mapping[str, str] | None = None
) -> Path:
    """Write the card of a family, and its figures, into a folder of its own.

    Kept sections of a README.md that is there stay.

    Args:
        folders: the students'.
        folder: where the card goes.
        name: as for `render_family_card`; so are the repository ids.

    Raises:
        CardError: as `render_family_card`.
        ReportError: a student has no report.json that can be read.
        MissingExtraError: the figures are not there and matplotlib is not installed.
    """
    reports = [load_report(one) for one in folders]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILE_NAME
    previous = read_card(path)
    figures = _figures(reports[0], folder, FAMILY_FIGURES, of_family=True)
    card = render_family_card(reports, name=name, repo_ids=repo_ids, previous=previous, figures=figures)
    write_text(path, card)
    return path


def write_cards(recipe: Recipe) -> list[Path]:
    """Write the card of each of a recipe's students, and that of the family where there are several.

    Raises:
        CardError, ReportError, MissingExtraError: as `write_card` and `write_family_card`.
    """
    names = [student.name for student in recipe.students]
    namespace, template = recipe.publish.namespace, recipe.card.template
    repo_ids = {name: f"{namespace}/{name}" for name in names} if namespace else {}
    cards = [
        write_card(
            recipe.student_folder(name),
            repo_id=repo_ids.get(name),
            template=recipe.folder / template if template else None,
        )
        for name in names
    ]
    if len(cards) > 1:
        folders = [card.parent for card in cards]
        family = recipe.output_folder / "family"
        cards.append(write_family_card(folders, family, name=recipe.name, repo_ids=repo_ids))
    return cards


def _others(folder: Path, report_file: Path, card: str | None) -> list[Path]:
    """What hubdistill did not write from a report, and a card of it would replace."""
    found = [folder / FILE_NAME] if card and not is_ours(card) else []
    own, other = folder / REPORT, report_file / REPORT if report_file.is_dir() else report_file
    return [*found, own] if own.exists() and own.read_bytes() != other.read_bytes() else found


def _figures(
    report: DistillationReport,
    folder: Path,
    names: Collection[str] = FIGURE_NAMES,
    *,
    of_family: bool = False,
) -> Sequence[Figure]:
    """Draw the figures of some names, or take those that are there where they cannot be drawn."""
    try:
        return draw_figures(report, folder, names, of_family=of_family)
    except MissingExtraError:
        planned = planned_figures(report, names)
        if all((folder / figure.path).is_file() for figure in planned):
            return planned
        raise
