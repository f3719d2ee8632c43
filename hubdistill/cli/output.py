"""The one place that prints results: for people, for machines (--json) or next to nothing (--quiet).

A command takes `sink: Sink` as its last argument and is registered through `formatted`, which gives it the
options --format, --json and --quiet as the commands of `hf` have them.
"""

from __future__ import annotations

import functools
import inspect
import json as json_format
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from hubdistill.cli.logs import only_warnings

SIGNS = "+-\N{MINUS SIGN}"


@dataclass(frozen=True)
class Table:
    """Rows of text under headings; numbers are set flush right.

    Args:
        headings: one a column.
        rows: cells as they are printed.
        title: a line above.
    """

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    title: str = ""

    def __str__(self) -> str:
        widths = [max(map(len, column)) for column in zip(self.headings, *self.rows, strict=True)]
        right = [
            all(cell[:1].isdigit() or cell[:1] in SIGNS for cell in column)
            for column in zip(*self.rows, strict=True)
        ] or [False] * len(widths)

        def line(cells: Sequence[str]) -> str:
            padded = (
                cell.rjust(width) if flush_right else cell.ljust(width)
                for cell, width, flush_right in zip(cells, widths, right, strict=True)
            )
            return "  ".join(padded).rstrip()

        rule = "  ".join("─" * width for width in widths)
        lines = [line(self.headings), rule, *(line(row) for row in self.rows)]
        return "\n".join(([self.title, ""] if self.title else []) + lines)


class Format(StrEnum):
    """What a result is printed for."""

    human = "human"
    json = "json"
    quiet = "quiet"


class Sink:
    """Prints a command's result in the form that was asked for."""

    def __init__(self, format: Format = Format.human) -> None:
        self.format = format
        if format is not Format.human:
            only_warnings()

    def show(self, data: Any, *, human: Sequence[object] | None = None, quiet: Sequence[object] = ()) -> None:
        """Print a result.

        Args:
            data: for machines: anything that JSON can hold; paths become strings.
            human: for people: paragraphs and tables, an empty line between them. Left out by commands whose
                result is a JSON document for everyone.
            quiet: the essentials, one per line.
        """
        if human is None or self.format is Format.json:
            typer.echo(json_format.dumps(data, indent=2, ensure_ascii=False, default=_plain))
        elif self.format is Format.quiet:
            for line in quiet:
                typer.echo(str(line))
        else:
            typer.echo("\n\n".join(str(part) for part in human if str(part)))


def formatted(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options --format, --json and --quiet; it gets the sink that they ask for.

    Args:
        command: a function with an argument `sink`.
    """
    signature = inspect.signature(command, eval_str=True)

    @functools.wraps(command)
    def with_options(*, format: Format | None, json: bool, quiet: bool, **arguments: Any) -> None:
        command(**arguments, sink=Sink(_chosen(format, json=json, quiet=quiet)))

    own = [parameter for name, parameter in signature.parameters.items() if name != "sink"]
    options = inspect.signature(_chosen, eval_str=True).parameters.values()
    # By name only: their defaults may stand before the others', which Python allows by name alone.
    every = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in (*own, *options)]
    with_options.__signature__ = signature.replace(parameters=every)  # type: ignore[attr-defined]
    return with_options


def _chosen(
    format: Annotated[
        Format | None,
        typer.Option("--format", help="How to print the result (default: human).", show_default=False),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="The same as --format quiet: the essentials, one per line.")
    ] = False,
) -> Format:
    """The one format that the options ask for."""
    asked = {f"--format {format}": format} if format else {}
    asked |= {"--json": Format.json} if json else {}
    asked |= {"--quiet": Format.quiet} if quiet else {}
    if len({*asked.values()}) > 1:
        raise typer.BadParameter(f"{' and '.join(asked)} contradict each other; give one of them")
    return next(iter(asked.values()), Format.human)


def _plain(value: Any) -> str:
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"cannot write {type(value).__name__} as JSON")
