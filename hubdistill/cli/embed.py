"""`hubdistill embed`: the teacher pass alone."""

from __future__ import annotations

from hubdistill.cli.options import Device, RecipePath, prepare
from hubdistill.cli.output import Sink


def embed(recipe: RecipePath, device: Device = None, *, sink: Sink) -> None:
    """Embed the corpus with the teacher, once for all students.

    Vectors are kept in a cache; only texts that are new to it are embedded.

    \b
    Example:
      hubdistill embed recipe.yaml
    """
    done = prepare(recipe, device).embed()
    sink.show(
        {
            "texts": done.texts,
            "held_out": done.held_out,
            "seconds": round(done.seconds, 1),
            "folder": done.folder,
        },
        human=[
            f"{done.texts:,} training texts and {done.held_out:,} held-out texts have their teacher vectors "
            f"({done.seconds:,.0f} s).\n{done.folder}"
        ],
        quiet=[done.folder],
    )
