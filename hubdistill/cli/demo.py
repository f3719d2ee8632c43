"""`hubdistill demo`: the whole way, once, on this machine alone."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hubdistill.cli.localhub import environment_lines
from hubdistill.cli.output import Sink

if TYPE_CHECKING:
    from hubdistill.demo import Demonstration


def demo(
    folder: Annotated[Path, typer.Option(help="Where everything is written.")] = Path("hubdistill-demo"),
    serve: Annotated[
        bool, typer.Option("--serve", help="Keep the local Hub running at the end, until Ctrl-C.")
    ] = False,
    *,
    sink: Sink,
) -> None:
    """Run the whole pipeline on this machine alone.

    Distils a real teacher, measures, writes cards, pushes to a local Hub and loads back from it: no
    account, no network. Takes a few minutes on two cores; a repeat uses what is there.

    \b
    Examples:
      hubdistill demo
      hubdistill demo --serve
    """
    from hubdistill.demo import demonstrate

    with demonstrate(folder) as shown:
        _show(shown, sink, serve=serve)
        if serve:
            sys.stdout.flush()
            try:
                threading.Event().wait()
            except KeyboardInterrupt:
                typer.echo("Stopped.", err=True)


def _show(shown: Demonstration, sink: Sink, *, serve: bool) -> None:
    from hubdistill.cli.tables import students_summary, students_table

    cards = [folder / "README.md" for folder in shown.folders.values()]
    figures = [folder / "figures" for folder in shown.folders.values()]
    where = [
        *(f"card     {card}" for card in cards),
        *(f"figures  {folder}" for folder in figures if folder.is_dir()),
        f"recipe   {shown.folder / 'recipe.yaml'}",
        f"verify   hubdistill verify {next(iter(shown.folders.values()))} "
        f"--data {shown.folder / 'corpus'} --teacher {shown.folder / 'teacher'}",
        f"Hub      {shown.hub_folder}",
    ]
    worst = max(shown.apart.values())
    again = f"Serve this Hub again: hubdistill localhub --folder {shown.hub_folder}"
    running = f"This Hub is listening until Ctrl-C:\n{environment_lines(shown.endpoint, shown.token)}"
    sink.show(
        {
            "students": students_summary(shown.reports, shown.urls),
            "loaded_back_difference": shown.apart,
            "cards": cards,
            "hub": shown.hub_folder,
            "seconds": round(shown.seconds, 1),
        },
        human=[
            students_table(shown.reports, shown.urls),
            "Both were pushed to the local Hub and loaded back from it with SentenceTransformer: their "
            f"vectors differ from those here by at most {worst:.1e}. All took {shown.seconds:,.0f} s.",
            "\n".join(where),
            running if serve else again,
        ],
        quiet=cards,
    )
