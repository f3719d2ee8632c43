"""`hubdistill report`: look at report.json."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hubdistill.cli.output import Json, Quiet, Sink

report = typer.Typer(help="Look at report.json.", no_args_is_help=True, rich_markup_mode=None)


@report.callback()
def _group() -> None:
    """Keeps `show` a command of its own: typer folds a group with one command into it."""


@report.command()
def show(
    source: Annotated[
        Path,
        typer.Argument(metavar="FOLDER|FILE", help="A report, or the folder with it.", show_default=False),
    ],
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show quality and cost, student and teacher.

    \b
    Examples:
      hubdistill report show runs/family/student
      hubdistill report show report.json --json
    """
    sink = Sink(json=json, quiet=quiet)
    from hubdistill.cli.tables import cost_table, quality_table
    from hubdistill.report import load_report

    found = load_report(source)
    sink.show(
        found.model_dump(mode="json"),
        human=[quality_table(found), cost_table(found)],
        quiet=[found.student],
    )
