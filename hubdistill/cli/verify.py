"""`hubdistill verify`: measure again what a published model claims."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hubdistill.cli.options import Device
from hubdistill.cli.output import Sink


def verify(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A Hub id, ID@REVISION, or a student's folder.")
    ],
    revision: Annotated[
        str | None, typer.Option(help="Branch, tag or commit on the Hub.", show_default=False)
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Measure a sample, and only what a sample can tell.")
    ] = False,
    data: Annotated[
        list[Path],
        typer.Option(
            help="Folder of local files that were measured on. May be repeated.", show_default=False
        ),
    ] = [],  # noqa: B006 - typer makes a new list for each call
    teacher: Annotated[
        str | None,
        typer.Option(
            help="Folder or Hub id of the teacher, if not the one of the report.", show_default=False
        ),
    ] = None,
    texts: Annotated[
        list[Path],
        typer.Option(help="File of the held-out texts. May be repeated.", show_default=False),
    ] = [],  # noqa: B006
    no_speed: Annotated[bool, typer.Option("--no-speed", help="Do not measure cost again.")] = False,
    trust_remote_code: Annotated[
        bool, typer.Option("--trust-remote-code", help="Run the models' own Python code.")
    ] = False,
    device: Device = None,
    *,
    sink: Sink,
) -> None:
    """Measure again what a published model claims.

    Takes the report of the model, loads model and teacher at their recorded revisions, repeats every
    measurement that it can, and compares. Exit code 1: something is not as claimed.

    \b
    Examples:
      hubdistill verify org/student
      hubdistill verify org/student@v1 --quick
      hubdistill verify runs/a/students/small --teacher models/teacher --data texts --data sts
    """
    from hubdistill.cli.verify_tables import differing, printable, verification_parts
    from hubdistill.verification.verifying import verify as run

    found = run(
        model,
        revision=revision,
        quick=quick,
        data=data,
        teacher=teacher,
        texts=texts,
        speed=not no_speed,
        trust_remote_code=trust_remote_code,
        device=device,
    )
    shown = printable(found)
    sink.show(
        found.to_dict(),
        human=list(verification_parts(found)),
        quiet=[
            *(differing(claim) for claim in shown.claims if claim.verdict == "differs"),
            *(f"{problem.place}: {problem.text}" for problem in shown.problems),
        ],
    )
    if found.failed or found.empty:
        raise typer.Exit(1)
