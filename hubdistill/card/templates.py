"""The card's templates: where they are, and how they are filled in.

They run in Jinja's sandbox, a variable that does not exist is an error, and every value that is not
Markdown already is escaped.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import (
    FileSystemLoader,
    StrictUndefined,
    Template,
    TemplateError,
    TemplateSyntaxError,
    Undefined,
    UndefinedError,
)
from jinja2.sandbox import SandboxedEnvironment

from hubdistill.card.text import Markdown, code, escape, fenced, tidy
from hubdistill.errors import CardError

STUDENT = "model_card.md.j2"
FAMILY = "family_card.md.j2"
INCOMPLETE = "incomplete_card.md.j2"

_FAULTS = (
    TemplateError,
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)


def fill(template: str | Path, variables: Mapping[str, Any]) -> str:
    """Fill in a template.

    Args:
        template: one of ours by its name, or a file.
        variables: by name; what is not Markdown is escaped.

    Raises:
        CardError: the template is missing, is broken, or names what there is not.
    """
    try:
        return tidy(_template(template).render(variables))
    except _FAULTS as error:
        more = f" (line {error.lineno})" if isinstance(error, TemplateSyntaxError) else ""
        if isinstance(error, UndefinedError):
            more = "; `hubdistill card --variables` lists what there is"
        raise CardError(f"cannot render the card template {template}: {error}{more}") from error


def templates_folder() -> Path:
    """The folder of the templates: inside an installed package, beside it in a checkout.

    Raises:
        CardError: they are in neither place.
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "templates", package.parent / "templates"):
        if (folder / STUDENT).is_file():
            return folder
    raise CardError(f"the card templates are missing from {package}; install hubdistill again")


def _template(template: str | Path) -> Template:
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
    if isinstance(template, str):
        return environment.get_template(template)
    if not template.is_file():
        raise CardError(f"no card template at {template}; correct --template or the recipe's `card.template`")
    return environment.from_string(template.read_text(encoding="utf-8"))


def _finalize(value: Any) -> Any:
    """Escape for Markdown what is not Markdown already; autoescape alone would know HTML only."""
    return value if isinstance(value, Markdown | Undefined) else escape(str(value))
