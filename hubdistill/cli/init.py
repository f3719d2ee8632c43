"""`hubdistill init`: a first recipe, with comments."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Annotated

import typer

from hubdistill.atomic import write_text
from hubdistill.cli.output import Sink
from hubdistill.errors import RecipeError

TEMPLATE = "recipe_template.yaml"


def init(
    path: Annotated[
        Path, typer.Argument(help="Where to write the recipe; a folder gets recipe.yaml.")
    ] = Path("recipe.yaml"),
    force: Annotated[bool, typer.Option("--force", help="Replace a recipe that is already there.")] = False,
    *,
    sink: Sink,
) -> None:
    """Write a starter recipe, every setting explained.

    \b
    Examples:
      hubdistill init
      hubdistill init experiments/bge-m3.yaml
    """
    path = path / "recipe.yaml" if path.is_dir() else path
    if path.exists() and not force:
        raise RecipeError(f"{path} is already there; --force replaces it, or give another path")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, resources.files("hubdistill.cli").joinpath(TEMPLATE).read_text(encoding="utf-8"))
    sink.show(
        {"recipe": path},
        human=[
            f"{path} is a working recipe: adapt teacher, corpus and students.\n"
            f"Then: hubdistill run {path} --dry-run"
        ],
        quiet=[path],
    )
