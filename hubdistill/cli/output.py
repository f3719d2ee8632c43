"""The one place that prints results: for people, for machines (--json) or next to nothing (--quiet)."""

from __future__ import annotations

import json as json_format
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from hubdistill.cli.logs import only_warnings

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print paths or addresses only, one a line.")]


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


class Sink:
    """Prints a command's result in the form that was asked for."""

    def __init__(self, *, json: bool = False, quiet: bool = False) -> None:
        self.json, self.quiet = json, quiet
        if json or quiet:
            only_warnings()

    def show(self, data: Any, *, human: Sequence[object], quiet: Sequence[object] = ()) -> None:
        """Print a result.

        Args:
            data: for machines: anything that JSON can hold; paths become strings.
            human: for people: paragraphs and tables, an empty line between them.
            quiet: the bare essence, one a line.
        """
        if self.json:
            typer.echo(json_format.dumps(data, indent=2, ensure_ascii=False, default=_plain))
        elif self.quiet:
            for line in quiet:
                typer.echo(str(line))
        else:
            typer.echo("\n\n".join(str(part) for part in human if str(part)))


def _plain(value: Any) -> str:
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"cannot write {type(value).__name__} as JSON")
