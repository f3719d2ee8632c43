"""`hubdistill run`: the whole way from a recipe to (published) students."""

from __future__ import annotations

from typing import Annotated

import typer

from hubdistill.cli.options import Device, RecipePath, Token, prepare
from hubdistill.cli.output import Sink


def run(
    recipe: RecipePath,
    push: Annotated[bool, typer.Option("--push/--no-push", help="Publish the students at the end.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="With --push, replace what was edited on the Hub's cards.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    device: Device = None,
    token: Token = None,
    *,
    sink: Sink,
) -> None:
    """Distil, measure and describe every student.

    What is already there is reused: after an interruption, or a change in the recipe, the same
    command continues from it.

    \b
    Examples:
      hubdistill run recipe.yaml
      hubdistill run recipe.yaml --dry-run
      hubdistill run recipe.yaml --push
    """
    if dry_run:
        from hubdistill.cli.plan import plan
        from hubdistill.recipe_file import load_recipe

        steps = plan(load_recipe(recipe), push=push)
        sink.show(steps, human=["\n".join(f"{step}: {what}" for step, what in steps.items())])
        return
    job = prepare(recipe, device, push=push, token=token, force=force)
    job.embed()
    job.distill()
    reports = job.evaluate()
    if not reports:  # one of several processes, and not the first
        return
    job.write_cards()
    places = {name: str(job.student_folder(name)) for name in reports}
    outcomes = job.push(token=token, force=force) if push else []
    places |= {name: outcome.url for name, outcome in zip(reports, outcomes, strict=False)}

    from hubdistill.cli.tables import students_summary, students_table

    sink.show(
        students_summary(reports, places),
        human=[
            students_table(reports, places),
            ""
            if push
            else "Each folder holds the model, its card (README.md) and report.json. "
            "`hubdistill push FOLDER --repo-id namespace/name` publishes one.",
        ],
        quiet=list(places.values()),
    )
