"""`hubdistill report`: look at report.json."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hubdistill.cli.output import Sink, formatted

report = typer.Typer(help="Look at report.json.", no_args_is_help=True, rich_markup_mode=None)


@report.command()
@formatted
def show(
    source: Annotated[
        Path,
        typer.Argument(metavar="FOLDER|FILE", help="A report, or the folder with it.", show_default=False),
    ],
    *,
    sink: Sink,
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
    from hubdistill.cli.report_sections import sections
    from hubdistill.report import load_report

    found = load_report(source)
    sink.show(found.model_dump(mode="json"), human=sections(found), quiet=[found.student])


@report.command()
@formatted
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
    *,
    sink: Sink,
) -> None:
    """Compare two reports: what is higher or lower by more than chance, and which facts changed.

    A and B are report.json files or their folders. Students match each other whatever their
    names, and so do teachers. Where texts, revision, definition or machine differ, the two
    values are not compared and the reason is given. --quiet prints only what is higher or lower.

    \b
    Examples:
      hubdistill report compare runs/v1/students/student runs/v2/students/student
      hubdistill report compare old.json new.json --all
      hubdistill report compare old.json new.json --json
    """
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
@formatted
def summary(
    source: Annotated[
        Path,
        typer.Argument(metavar="FOLDER|FILE", help="A report, or the folder with it.", show_default=False),
    ],
    pushed: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="What `hubdistill push --format json` printed: tells commit and gates, links the figures.",
            show_default=False,
        ),
    ] = None,
    *,
    sink: Sink,
) -> None:
    """Print the claim and the first figures as Markdown, for the summary of a CI job.

    \b
    Examples:
      hubdistill report summary FOLDER >> "$GITHUB_STEP_SUMMARY"
      hubdistill report summary FOLDER --pushed push.json
    """
    from hubdistill.cli.report_summary import report_summary
    from hubdistill.report import load_report

    found = load_report(source)
    text = report_summary(found, pushed)
    sink.show({"markdown": text}, human=[text], quiet=[found.student])


@report.command()
@formatted
def schema(*, sink: Sink) -> None:
    """Print the JSON Schema of report.json.

    \b
    Example:
      hubdistill report schema > report.schema.json
    """
    from hubdistill.report import report_schema

    sink.show(report_schema())
