"""`hubdistill preview`: a card as the Hub will show it."""

from __future__ import annotations

import sys
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hubdistill.cli.output import Sink

if TYPE_CHECKING:
    from hubdistill.preview import Problem


def preview(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="A student's folder, or its README.md.")
    ] = Path(),
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1; 0 takes a free one.", min=0, max=65535)] = 0,
    open_browser: Annotated[bool, typer.Option("--open/--no-open", help="Open it in the browser.")] = False,
    *,
    sink: Sink,
) -> None:
    """Show a card as the Hub will show it, and what is wrong with it.

    Serves README.md on 127.0.0.1 until Ctrl-C, with its metadata, figures and files beside it. Pages
    show changes as they are saved, and the problems are printed again. README.md is shown as it is:
    after a change of report.json or of a template, `hubdistill card` rewrites it. Images of other
    sites are not loaded. --json prints a document at the start and one after each change.

    \b
    Examples:
      hubdistill preview runs/family/students/student
      hubdistill preview --open
    """
    from hubdistill.preview import CardPreview

    def show(problems: Sequence[Problem], *human: str, quiet: Sequence[str] = ()) -> None:
        sink.show(
            {
                "address": shown.address,
                "problems": [{"line": problem.line, "text": problem.text} for problem in problems],
            },
            human=[*human, "\n".join(map(str, problems)) or "No problems."],
            quiet=[*quiet, *problems],
        )
        sys.stdout.flush()

    def changed(problems: Sequence[Problem]) -> None:
        show(problems, "Changed:")

    shown = CardPreview(folder, port=port, on_change=changed)
    try:
        with shown:
            address = shown.address
            show(shown.problems, f"The card is shown at {address}; Ctrl-C ends it.", quiet=[address])
            if open_browser:
                webbrowser.open(address)
            shown.wait()
    except KeyboardInterrupt:
        # The way to end it, at whatever moment.
        return
