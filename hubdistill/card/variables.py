"""What a template of one's own can use: blocks to override, variables to print, filters.

Read from the templates and from the types, so that it cannot say anything else than they do.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from jinja2 import Environment, nodes
from pydantic import BaseModel

from hubdistill.card.family import FamilyView
from hubdistill.card.templates import FAMILY, STUDENT, templates_folder
from hubdistill.card.text import Markdown
from hubdistill.card.view import CardView
from hubdistill.report import DistillationReport, Value

FILTERS: Mapping[str, str] = {
    "code": "Inline code: `{{ report.models[report.student].dtype | code }}`.",
    "fenced": "A code block: `{{ report.recipe | fenced('yaml') }}`.",
}

_PLAIN = {str: "text", int: "integer", float: "number", bool: "true or false", NoneType: "none"}


@dataclass(frozen=True)
class Variable:
    """Something that a template can print or walk through."""

    name: str
    """As a template writes it; `[*]` stands for any key or place."""
    type: str
    about: str
    """What it is, in a sentence; empty where the name says it."""


@dataclass(frozen=True)
class TemplateContext:
    """What there is for those who extend a template."""

    template: str
    """The name to extend."""
    blocks: tuple[str, ...]
    """In the order of the card."""
    variables: tuple[Variable, ...]


def template_contexts() -> list[TemplateContext]:
    """Describe what our templates have, the student's first.

    Raises:
        CardError: the templates are not installed.
    """
    whole = Variable("report", "object", "The whole report.json, as plain data.")
    student = [*variables_of(CardView), whole, *variables_of(DistillationReport, "report.")]
    return [
        TemplateContext(STUDENT, _blocks(STUDENT), tuple(student)),
        TemplateContext(FAMILY, _blocks(FAMILY), tuple(variables_of(FamilyView))),
    ]


def variables_of(made_of: type, prefix: str = "") -> Iterator[Variable]:
    """The fields of a type and, after each, those of its parts.

    Args:
        made_of: a dataclass or a pydantic model.
        prefix: how a template gets at the object.
    """
    for name, annotation, about in _fields(made_of):
        inner, path, kind = _unfold(annotation)
        about = about or (_summary(inner) if inner else "")
        yield Variable(f"{prefix}{name}", kind, about)
        if inner:
            yield from variables_of(inner, f"{prefix}{name}{path}.")


def _fields(made_of: type) -> Iterator[tuple[str, Any, str]]:
    """Name, type and docstring of each field."""
    if issubclass(made_of, BaseModel):
        for name, field in made_of.model_fields.items():
            yield name, field.annotation, _one_line(field.description or "")
    else:
        hints, texts = get_type_hints(made_of), _attribute_docstrings(made_of)
        assert is_dataclass(made_of)
        for part in fields(made_of):
            yield part.name, hints[part.name], texts.get(part.name, "")


def _attribute_docstrings(made_of: type) -> dict[str, str]:
    """The string below each field of a class."""
    body = ast.parse(textwrap.dedent(inspect.getsource(made_of))).body[0]
    assert isinstance(body, ast.ClassDef)
    found = {}
    for field, after in zip(body.body, body.body[1:], strict=False):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(after, ast.Expr)
            and isinstance(after.value, ast.Constant)
            and isinstance(after.value.value, str)
        ):
            found[field.target.id] = _one_line(after.value.value)
    return found


def _unfold(annotation: Any) -> tuple[type | None, str, str]:
    """The type that a field's parts have, how to get at one, and the field's type in words."""
    if get_origin(annotation) is Annotated:
        return _unfold(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        if annotation == Value:
            return None, "", "value"
        options = [_unfold(option) for option in get_args(annotation)]
        inner = next((option[0] for option in options if option[0]), None)
        path = next((option[1] for option in options if option[0]), "")
        return inner, path, " or ".join(dict.fromkeys(option[2] for option in options))
    if get_origin(annotation) is Literal:
        return None, "", " | ".join(map(str, get_args(annotation)))
    if get_origin(annotation) in (tuple, list, Sequence):
        inner, path, kind = _unfold(get_args(annotation)[0])
        return inner, f"[*]{path}", f"list of {kind}"
    if get_origin(annotation) in (dict, Mapping):
        inner, path, kind = _unfold(get_args(annotation)[1])
        return inner, f"[*]{path}", f"{kind} by name"
    if annotation is Markdown:
        return None, "", "Markdown"
    if isinstance(annotation, type) and (is_dataclass(annotation) or issubclass(annotation, BaseModel)):
        return annotation, "", "object"
    return None, "", _PLAIN.get(annotation, "text")


def _summary(made_of: type) -> str:
    return _one_line((made_of.__doc__ or "").partition("\n\n")[0])


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _blocks(template: str) -> tuple[str, ...]:
    parsed = Environment(autoescape=True).parse((templates_folder() / template).read_text(encoding="utf-8"))
    return tuple(block.name for block in parsed.find_all(nodes.Block))
