"""`hubdistill card`: write model cards from reports."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hubdistill.cli.output import Json, Quiet, Sink


def card(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="RECIPE|FOLDER", help="A recipe, or a folder with report.json.", show_default=False
        ),
    ],
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
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write README.md and its figures from report.json. Holds no model, measures nothing.

    \b
    Examples:
      hubdistill card recipe.yaml
      hubdistill card runs/family/students/student --repo-id my-name/student
      hubdistill card runs/family/students/student --template my_card.md.j2
    """
    sink = Sink(json=json, quiet=quiet)
    if source.is_dir():
        from hubdistill.card import write_card
        from hubdistill.hub.access import check_repo_id

        if repo_id:
            check_repo_id(repo_id)
        paths = [write_card(source, repo_id=repo_id, template=template)]
    elif not source.exists():
        raise typer.BadParameter(f"there is neither a recipe nor a folder {source}")
    elif template or repo_id:
        raise typer.BadParameter(
            "--template and --repo-id go with a FOLDER; "
            "in a recipe they are card.template and publish.namespace"
        )
    else:
        from hubdistill.pipeline import Run
        from hubdistill.recipe_file import load_recipe

        paths = Run(load_recipe(source)).write_cards()
    sink.show([str(path) for path in paths], human=["\n".join(map(str, paths))], quiet=paths)
