"""`hubdistill push`: publish a model folder."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from hubdistill.cli.options import Token
from hubdistill.cli.output import Sink
from hubdistill.conditions import parse_condition
from hubdistill.git_names import describe_refusal, is_git_name
from hubdistill.push_rules import contradiction


def push(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A student's folder.", show_default=False)],
    repo_id: Annotated[
        str, typer.Option(metavar="NAMESPACE/NAME", help="The repository on the Hub.", show_default=False)
    ],
    private: Annotated[
        bool | None,
        typer.Option(
            "--private/--no-private",
            help="Whether the repository is private if it is created; else the namespace's default holds.",
            show_default=False,
        ),
    ] = None,
    create_pr: Annotated[
        bool, typer.Option("--create-pr", help="Open a pull request instead of committing.")
    ] = False,
    revision: Annotated[
        str | None, typer.Option(help="Branch to commit to (default: main).", show_default=False)
    ] = None,
    commit_message: Annotated[
        str | None,
        typer.Option(help="Title of the commit (default: written for you).", show_default=False),
    ] = None,
    commit_description: Annotated[
        str | None, typer.Option(help="Text of the commit, below its title.", show_default=False)
    ] = None,
    tag: Annotated[str | None, typer.Option(help="Tag the commit.", show_default=False)] = None,
    collection: Annotated[
        str | None,
        typer.Option(
            metavar="TITLE|SLUG",
            help="Put the model into this collection; created if you have no collection with this title.",
            show_default=False,
        ),
    ] = None,
    collection_note: Annotated[
        str | None, typer.Option(help="Note shown beside the model in the collection.", show_default=False)
    ] = None,
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
        typer.Option(
            metavar="PATTERN", help="Leave out files that match; repeat it for more.", show_default=False
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Check everything, and say what would be pushed and change."),
    ] = False,
    load_back: Annotated[
        bool,
        typer.Option(
            "--load-back/--no-load-back",
            help="Load the pushed model from the Hub and compare its vectors with the folder's.",
        ),
    ] = True,
    force: Annotated[
        bool, typer.Option("--force", help="Replace what was edited on the Hub's card by the folder's.")
    ] = False,
    token: Token = None,
    *,
    sink: Sink,
) -> None:
    """Publish a model folder in one commit.

    Model, tokenizer, card, figures and report are uploaded, nothing else in the folder. Where
    nothing has changed, no commit is made. A model that changed is loaded back from the Hub at
    the end, with an empty cache: its vectors must be those of the folder's.

    The token is that of HF_TOKEN, `hf auth login` or a trusted publisher (HF_OIDC_RESOURCE), the
    Hub that of HF_ENDPOINT.

    \b
    Examples:
      hubdistill push runs/family/students/student --repo-id my-name/student
      hubdistill push runs/family/students/student --repo-id my-org/student --private --tag v1.0
      hubdistill push runs/family/students/student --repo-id my-org/student --create-pr --json
      hubdistill push FOLDER --repo-id my-org/student --gate "speedup >= 2" --gate no_regression
      hubdistill push FOLDER --repo-id my-org/student --collection "Small models"
      hubdistill push FOLDER --repo-id my-org/student --exclude "onnx/*" --dry-run
    """
    if problem := contradiction(
        create_pr=create_pr,
        revision=revision,
        tag=tag,
        collection=collection,
        collection_note=collection_note,
    ):
        raise typer.BadParameter(problem)
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
        commit_description=commit_description,
        tag=tag,
        collection=collection,
        collection_note=collection_note,
        dry_run=dry_run,
        include=include or (),
        exclude=exclude or (),
        gates=gate or (),
        load_back=load_back,
        force=force,
        progress=logging.getLogger(__name__).info,
    )
    page = outcome.pull_request_url or outcome.commit_url or outcome.url
    sink.show(outcome.to_dict(), human=[outcome], quiet=[page])
    if outcome.refused:
        raise typer.Exit(1)
