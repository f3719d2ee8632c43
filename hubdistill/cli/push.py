"""`hubdistill push`: publish a model folder."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from hubdistill.cli.options import Token
from hubdistill.cli.output import Json, Quiet, Sink
from hubdistill.conditions import parse_condition
from hubdistill.git_names import describe_refusal, is_git_name


def push(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A student's folder.", show_default=False)],
    repo_id: Annotated[
        str, typer.Option(metavar="NAMESPACE/NAME", help="The repository on the Hub.", show_default=False)
    ],
    private: Annotated[
        bool, typer.Option("--private", help="Make the repository private if it is created.")
    ] = False,
    create_pr: Annotated[
        bool, typer.Option("--create-pr", help="Open a pull request instead of committing.")
    ] = False,
    revision: Annotated[
        str | None, typer.Option(help="Branch to commit to; main when left out.", show_default=False)
    ] = None,
    commit_message: Annotated[
        str | None,
        typer.Option(help="Summary of the commit; written for you when left out.", show_default=False),
    ] = None,
    tag: Annotated[str | None, typer.Option(help="Tag the commit.", show_default=False)] = None,
    gate: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CONDITION",
            help="Push only if report.json meets this, as `spearman_cosine@stsb-test >= 0.95*teacher` or "
            "`no_regression`; repeat it for more.",
            show_default=False,
        ),
    ] = None,
    include: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATTERN", help="Push only files that match; repeat it for more.", show_default=False
        ),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(metavar="PATTERN", help="Leave out files that match; repeat it.", show_default=False),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything and say what would be pushed.")
    ] = False,
    token: Token = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Publish a model folder in one commit.

    Model, tokenizer, card, figures and report travel, nothing else in the folder does. Where
    nothing has changed, no commit is made.

    \b
    Examples:
      hubdistill push runs/family/students/student --repo-id my-name/student
      hubdistill push runs/family/students/student --repo-id my-org/student --private --tag v1.0
      hubdistill push runs/family/students/student --repo-id my-org/student --create-pr --json
      hubdistill push FOLDER --repo-id my-org/student --gate "speedup >= 2" --gate no_regression
      hubdistill push FOLDER --repo-id my-org/student --exclude "onnx/*" --dry-run
    """
    sink = Sink(json=json, quiet=quiet)
    if revision and create_pr:
        raise typer.BadParameter("--create-pr opens its own branch; leave out --revision")
    for option, name in (("--revision", revision), ("--tag", tag)):
        if name and not is_git_name(name):
            raise typer.BadParameter(f"{option}: {describe_refusal(name)}")
    for text in gate or ():
        try:
            parse_condition(text)
        except ValueError as error:
            raise typer.BadParameter(f"--gate {text!r}: {error}") from None
    from hubdistill import hub

    outcome = hub.push(
        folder,
        repo_id,
        token=token,
        private=private,
        create_pr=create_pr,
        revision=revision,
        commit_message=commit_message,
        tag=tag,
        dry_run=dry_run,
        include=include or (),
        exclude=exclude or (),
        gates=gate or (),
        progress=logging.getLogger(__name__).info,
    )
    page = outcome.pull_request_url or outcome.commit_url or outcome.url
    sink.show(outcome.to_dict(), human=[outcome], quiet=[page])
    if outcome.refused:
        raise typer.Exit(1)
