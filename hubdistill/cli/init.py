"""`hubdistill init`: a first recipe, with comments."""

from __future__ import annotations

import os
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
        str, typer.Argument(help="Where to write the recipe; a folder gets recipe.yaml.")
    ] = "recipe.yaml",
    force: Annotated[bool, typer.Option("--force", help="Replace a recipe that is already there.")] = False,
    *,
    sink: Sink,
) -> None:
    """Write a starter recipe, every setting explained.

    \b
    Examples:
      hubdistill init
      hubdistill init experiments/bge-m3.yaml
      hubdistill init experiments/
    """
    # A Path forgets the slash at its end.
    is_folder = path.endswith(("/", os.sep)) or Path(path).is_dir()
    recipe = Path(path, "recipe.yaml") if is_folder else Path(path)
    if recipe.exists() and not force:
        raise RecipeError(f"{recipe} is already there; --force replaces it, or give another path")
    recipe.parent.mkdir(parents=True, exist_ok=True)
    write_text(recipe, resources.files("hubdistill.cli").joinpath(TEMPLATE).read_text(encoding="utf-8"))
    sink.show(
        {"recipe": recipe},
        human=[
            f"{recipe} is a working recipe: adapt teacher, corpus and students.\n"
            f"Then: hubdistill run {recipe} --dry-run"
        ],
        quiet=[recipe],
    )
