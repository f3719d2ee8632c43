"""`hubdistill evaluate`: measure students and teacher side by side."""

from __future__ import annotations

from hubdistill.cli.options import Device, RecipePath, prepare
from hubdistill.cli.output import Json, Quiet, Sink


def evaluate(recipe: RecipePath, device: Device = None, json: Json = False, quiet: Quiet = False) -> None:
    """Measure students and teacher side by side.

    Both in one run on the same inputs. Writes report.json into each student's folder.

    \b
    Example:
      hubdistill evaluate recipe.yaml
    """
    sink = Sink(json=json, quiet=quiet)
    job = prepare(recipe, device)
    reports = job.evaluate()
    places = {name: str(job.student_folder(name)) for name in reports}

    from hubdistill.cli.tables import students_summary, students_table

    sink.show(
        students_summary(reports, places),
        human=[students_table(reports, places), "`hubdistill report show FOLDER` shows one in full."],
        quiet=list(places.values()),
    )
