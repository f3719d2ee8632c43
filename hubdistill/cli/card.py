"""`hubdistill card`: write model cards from reports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from hubdistill.cli.output import Sink, Table


def card(
    source: Annotated[
        Path | None,
        typer.Argument(metavar="RECIPE|FOLDER", help="A recipe, or a model's folder.", show_default=False),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            help="A report of the FOLDER's model that lies elsewhere; a copy goes into it.",
            show_default=False,
        ),
    ] = None,
    template: Annotated[
        Path | None,
        typer.Option(
            help="Your own Jinja template; it may extend model_card.md.j2. For a FOLDER.", show_default=False
        ),
    ] = None,
    repo_id: Annotated[
        str | None,
        typer.Option(help="Write the card for this repository. For a FOLDER.", show_default=False),
    ] = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Replace a README.md that hubdistill did not write; it is kept under another name.",
        ),
    ] = False,
    variables: Annotated[
        bool, typer.Option("--variables", help="Show the blocks and variables of our templates, and exit.")
    ] = False,
    *,
    sink: Sink,
) -> None:
    """Write README.md and its figures from report.json. Loads no model, measures nothing.

    For a FOLDER without a report the card says what the model's files say, with visible places for what is
    missing; the exit code is then 1.

    \b
    Examples:
      hubdistill card recipe.yaml
      hubdistill card runs/family/students/student --repo-id my-name/student
      hubdistill card runs/family/students/student --template my_card.md.j2
      hubdistill card my-model --report evaluation/my-model/report.json
      hubdistill card --variables
    """
    if variables:
        _show_variables(sink)
        return
    if source is None:
        raise typer.BadParameter("name a recipe or a model's folder")
    missing: Sequence[str] = ()
    if source.is_dir():
        from hubdistill.card import write_card
        from hubdistill.card.without_report import write_card_without_report
        from hubdistill.hub.access import check_repo_id
        from hubdistill.report import FILE_NAME

        if repo_id:
            check_repo_id(repo_id)
        if report or (source / FILE_NAME).exists():
            paths = [write_card(source, repo_id=repo_id, template=template, report_file=report, force=force)]
        elif template:
            raise typer.BadParameter(
                f"--template needs a report, and {source} has none; measure it with `hubdistill evaluate`"
            )
        else:
            made = write_card_without_report(source, repo_id=repo_id, force=force)
            paths, missing = [made.path], made.missing
    elif not source.exists():
        raise typer.BadParameter(f"there is neither a recipe nor a folder {source}")
    elif template or repo_id or report or force:
        raise typer.BadParameter(
            "--report, --template, --repo-id and --force go with a FOLDER; "
            "in a recipe they are card.template and publish.namespace"
        )
    else:
        from hubdistill.card import write_cards
        from hubdistill.recipe_file import load_recipe

        paths = write_cards(load_recipe(source))
    sink.show([str(path) for path in paths], human=["\n".join(map(str, paths))], quiet=paths)
    if missing:
        typer.echo(
            "\n".join(["The card is incomplete. Missing:", *(f"- {line}" for line in missing)]), err=True
        )
        raise typer.Exit(1)


def _show_variables(sink: Sink) -> None:
    from hubdistill.card.variables import FILTERS, template_contexts

    contexts = template_contexts()
    human: list[object] = []
    for one in contexts:
        human += [
            f'{{% extends "{one.template}" %}}',
            f"Blocks to override: {', '.join(one.blocks)}.",
            Table(("Variable", "Type", "What it is"), [(v.name, v.type, v.about) for v in one.variables]),
        ]
    human.append(Table(("Filter", "What it makes"), list(FILTERS.items())))
    sink.show(
        {"templates": [asdict(one) for one in contexts], "filters": FILTERS},
        human=human,
        quiet=[variable.name for one in contexts for variable in one.variables],
    )
