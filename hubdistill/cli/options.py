"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from hubdistill.pipeline import Run

RecipePath = Annotated[
    Path, typer.Argument(metavar="RECIPE", help="The recipe, a YAML file.", show_default=False)
]
Device = Annotated[
    str | None,
    typer.Option(help="cpu, cuda, mps, ...; the fastest available by default.", show_default=False),
]
Token = Annotated[
    str | None,
    typer.Option(
        help="Hub token. Others can see it on a command line: prefer HF_TOKEN or `hf auth login`.",
        show_default=False,
    ),
]


def prepare(
    recipe: Path, device: str | None, *, push: bool = False, token: str | None = None, force: bool = False
) -> Run:
    """Read a recipe and find out, before any work, what would go wrong later."""
    from hubdistill.recipe_file import load_recipe

    # The recipe first: its mistakes are told at once, importing torch takes seconds.
    settings = load_recipe(recipe)
    from hubdistill.pipeline import Run

    run = Run(settings, device=device)
    run.preflight(push=push, token=token, force=force)
    return run
