"""The application: its commands and its global options."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from hubdistill import __version__
from hubdistill.cli.card import card
from hubdistill.cli.demo import demo
from hubdistill.cli.distill import distill
from hubdistill.cli.embed import embed
from hubdistill.cli.errors import ErrorsExplained
from hubdistill.cli.evaluate import evaluate
from hubdistill.cli.init import init
from hubdistill.cli.localhub import localhub
from hubdistill.cli.logs import set_up_logs
from hubdistill.cli.output import formatted
from hubdistill.cli.preview import preview
from hubdistill.cli.push import push
from hubdistill.cli.report import report
from hubdistill.cli.run import run
from hubdistill.cli.verify import verify

app = typer.Typer(
    cls=ErrorsExplained,
    help="Distil embedding models, prove what the student keeps, and publish it to the Hugging Face Hub.",
    epilog="Begin with `hubdistill demo` (no account, no network) or `hubdistill init`.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"hubdistill {__version__}")
        raise typer.Exit()


@app.callback()
def options(
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show what the libraries underneath log and warn about.")
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    set_up_logs(verbose=verbose)


for command in (run, embed, distill, evaluate, card, preview, push, verify, init, localhub, demo):
    app.command()(formatted(command))
app.add_typer(report, name="report")


def main() -> None:
    """Run the command line. The console scripts `hubdistill` and `hf-distill` call this.

    The latter is what the extension of `hf` runs, so it goes by the name that people type there.
    """
    app(prog_name="hf distill" if Path(sys.argv[0]).stem == "hf-distill" else None)
