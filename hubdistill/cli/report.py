"""`hubdistill report`: look at report.json."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hubdistill.cli.output import Json, Quiet, Sink

report = typer.Typer(help="Look at report.json.", no_args_is_help=True, rich_markup_mode=None)


@report.command()
def show(
    source: Annotated[
        Path,
        typer.Argument(metavar="FOLDER|FILE", help="A report, or the folder with it.", show_default=False),
    ],
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show what was measured: quality, agreement and cost, student beside teacher.

    What people ask first comes first; what was not measured is left out. Intervals are at 95 %.
    `higher` and `lower` stand where the paired interval of the difference leaves out zero,
    `unclear` where it does not.

    \b
    Examples:
      hubdistill report show runs/family/students/student
      hubdistill report show report.json --json
    """
    sink = Sink(json=json, quiet=quiet)
    from hubdistill.cli.report_sections import sections
    from hubdistill.report import load_report

    found = load_report(source)
    sink.show(found.model_dump(mode="json"), human=sections(found), quiet=[found.student])


@report.command()
def compare(
    before: Annotated[
        Path, typer.Argument(metavar="A", help="The older report or the baseline.", show_default=False)
    ],
    after: Annotated[Path, typer.Argument(metavar="B", help="The newer report.", show_default=False)],
    everything: Annotated[
        bool,
        typer.Option(
            "--all", help="Every measure: of teacher and siblings, of cut and quantized vectors, of slices."
        ),
    ] = False,
    json: Json = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print only what is higher or lower, one a line.")
    ] = False,
) -> None:
    """Compare two reports: what is higher or lower by more than chance, and which facts changed.

    A and B are report.json files or their folders. Students match each other whatever their
    names, and so do teachers. Where texts, revision, definition or machine differ, the two
    values are not compared and the reason is given.

    \b
    Examples:
      hubdistill report compare runs/v1/students/student runs/v2/students/student
      hubdistill report compare old.json new.json --all
      hubdistill report compare old.json new.json --json
    """
    sink = Sink(json=json, quiet=quiet)
    from hubdistill.cli.report_differences import decided, difference_parts
    from hubdistill.report import load_report
    from hubdistill.report_comparison import compare_reports

    older, newer = load_report(before), load_report(after)
    found = compare_reports(older, newer)
    sink.show(
        found.model_dump(mode="json"),
        human=difference_parts(older, newer, found, everything=everything),
        quiet=decided(found),
    )


@report.command()
def schema() -> None:
    """Print the JSON Schema of report.json.

    \b
    Example:
      hubdistill report schema > report.schema.json
    """
    from hubdistill.report import report_schema

    Sink(json=True).show(report_schema(), human=[])
