"""`hubdistill distill`: make the students."""

from __future__ import annotations

from hubdistill.cli.options import Device, RecipePath, prepare
from hubdistill.cli.output import Sink, Table


def distill(recipe: RecipePath, device: Device = None, *, sink: Sink) -> None:
    """Make the students, after the teacher pass.

    A student that is there and whose settings have not changed is kept; an interrupted training goes
    on from its last checkpoint.

    \b
    Example:
      hubdistill distill recipe.yaml
    """
    job = prepare(recipe, device)
    job.embed()
    students = job.distill()
    sink.show(
        [
            {
                "name": student.name,
                "folder": student.folder,
                "parameters": student.parameters,
                "seconds": round(student.seconds, 1),
                "reused": student.reused,
            }
            for student in students
        ],
        human=[
            Table(
                ("student", "parameters", "time", "folder"),
                [
                    (
                        student.name,
                        f"{student.parameters:,}",
                        "was there" if student.reused else f"{student.seconds:,.0f} s",
                        str(student.folder),
                    )
                    for student in students
                ],
            )
        ],
        quiet=[student.folder for student in students],
    )
