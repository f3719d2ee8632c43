"""`hubdistill evaluate`: measure models and their teacher side by side."""

from __future__ import annotations

import logging
import re
import shlex
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hubdistill.cli.options import Device, prepare
from hubdistill.cli.output import Sink

if TYPE_CHECKING:
    from hubdistill.recipe import Evaluation

logger = logging.getLogger(__name__)

_RECIPES = (".yaml", ".yml")


def evaluate(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="RECIPE|MODEL...",
            help="A recipe, or models: folders or Hub ids, with @REVISION where it matters.",
            show_default=False,
        ),
    ],
    teacher: Annotated[
        str | None,
        typer.Option(help="Compare the models with this one, a folder or a Hub id.", show_default=False),
    ] = None,
    texts: Annotated[
        list[str],
        typer.Option(
            help="File or pattern of texts that no model was trained on. May be repeated.", show_default=False
        ),
    ] = [],  # noqa: B006 - typer makes a new list for each call
    similarity: Annotated[
        list[Path],
        typer.Option(
            help="File of sentence pairs: columns sentence1, sentence2, score. May be repeated.",
            show_default=False,
        ),
    ] = [],  # noqa: B006
    retrieval: Annotated[
        list[Path],
        typer.Option(
            help="Folder of a retrieval set: corpus.jsonl, queries.jsonl, qrels.tsv. May be repeated.",
            show_default=False,
        ),
    ] = [],  # noqa: B006
    settings: Annotated[
        Path | None,
        typer.Option(
            help="YAML with more to measure, under `evaluation` as in a recipe; a recipe will do.",
            show_default=False,
        ),
    ] = None,
    prompt: Annotated[
        str | None,
        typer.Option(help="Text put before every input, for teachers trained with one.", show_default=False),
    ] = None,
    max_length: Annotated[
        int | None, typer.Option(help="Truncate the teacher's input to so many tokens.", show_default=False)
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Where the models' reports go; default: `evaluation`.")
    ] = None,
    no_speed: Annotated[
        bool, typer.Option("--no-speed", help="Do not measure what the models cost.")
    ] = False,
    seed: Annotated[
        int | None,
        typer.Option(help="Random seed of samples and bootstrap (default: 12).", show_default=False),
    ] = None,
    trust_remote_code: Annotated[
        bool, typer.Option("--trust-remote-code", help="Run the models' own Python code.")
    ] = False,
    device: Device = None,
    *,
    sink: Sink,
) -> None:
    """Measure students and teacher side by side.

    All in one run on the same inputs. With a recipe, report.json goes into each student's folder. With
    models (any of sentence-transformers), reports and figures go below --output.

    \b
    Examples:
      hubdistill evaluate recipe.yaml
      hubdistill evaluate my-student --teacher BAAI/bge-m3 --similarity stsb.tsv
      hubdistill evaluate runs/a/students/* org/model@v2 --teacher BAAI/bge-m3 \\
        --texts "texts/*.txt" --retrieval cranfield
    """
    if len(sources) == 1 and sources[0].endswith(_RECIPES):
        options = [teacher, texts, similarity, retrieval, settings, prompt, max_length, output, seed]
        if any(options) or no_speed or trust_remote_code:
            raise typer.BadParameter(
                "these options go with models; in a recipe they are set under `evaluation`"
            )
        job = prepare(Path(sources[0]), device)
        reports = job.evaluate()
        if not reports:  # of several processes, only the first measures
            return
        places = {name: str(job.student_folder(name)) for name in reports}
    else:
        if teacher is None:
            raise typer.BadParameter(
                "name the model to compare with: --teacher MODEL (or give a recipe, a .yaml file)"
            )
        # Settings first: their mistakes are told at once, importing torch takes seconds.
        wanted = _settings(settings, similarity, retrieval, no_speed=no_speed)
        from hubdistill.model_evaluation import evaluate_models
        from hubdistill.recipe import CorpusSource, Teacher

        output = output or Path("evaluation")
        reports = evaluate_models(
            sources,
            Teacher.at(teacher, prompt=prompt, max_length=max_length, trust_remote_code=trust_remote_code),
            wanted,
            output,
            texts=[CorpusSource(files=(str(Path(pattern).absolute()),)) for pattern in texts],
            base=settings.parent if settings else Path(),
            seed=12 if seed is None else seed,
            trust_remote_code=trust_remote_code,
            device=device,
            reproduce=_call(
                sources,
                {
                    "--teacher": [teacher],
                    "--texts": texts,
                    "--similarity": [str(path) for path in similarity],
                    "--retrieval": [str(path) for path in retrieval],
                    "--settings": [str(settings)] if settings else [],
                },
                {"--prompt": prompt, "--max-length": max_length, "--seed": seed},
                {"--no-speed": no_speed, "--trust-remote-code": trust_remote_code},
            ),
        )
        places = {name: str(output / name) for name in reports}
        if find_spec("matplotlib"):
            from hubdistill.figures import draw_figures

            for name, report in reports.items():
                draw_figures(report, output / name)
        else:
            logger.warning("No figures were drawn: they need the extra 'figures'")

    from hubdistill.cli.tables import students_summary, students_table

    sink.show(
        students_summary(reports, places),
        human=[students_table(reports, places), "`hubdistill report show FOLDER` shows one in full."],
        quiet=list(places.values()),
    )


def _settings(
    file: Path | None, similarity: list[Path], retrieval: list[Path], *, no_speed: bool
) -> Evaluation:
    """What the file says, with the sets of the command line beside its own."""
    from hubdistill.recipe_file import load_evaluation, parse_evaluation

    said = load_evaluation(file).model_dump(mode="json", exclude_unset=True) if file else {}
    names = _set_names([*similarity, *retrieval])
    pairs = [{"name": next(names), "files": [str(path.absolute())]} for path in similarity]
    tasks = [{"name": next(names), "folder": str(path.absolute())} for path in retrieval]
    said["similarity"] = [*said.get("similarity", []), *pairs]
    said["retrieval"] = [*said.get("retrieval", []), *tasks]
    if no_speed:
        said["speed"] = None
    return parse_evaluation(said, name="the sets to evaluate on")


def _set_names(paths: list[Path]) -> Iterator[str]:
    """Names of files and folders as sets may be called, numbered where two are the same."""
    seen: list[str] = []
    for path in paths:
        stem = path.absolute().name.removesuffix(".gz")
        stem = stem.removesuffix(path.suffix) if path.suffix else stem
        name = re.sub(r"[^A-Za-z0-9]+", "-", stem).strip("-") or "set"
        seen.append(name)
        yield name if seen.count(name) == 1 else f"{name}-{seen.count(name)}"


def _call(
    models: list[str],
    places: dict[str, list[str]],
    values: dict[str, str | int | None],
    flags: dict[str, bool],
) -> str:
    """The call, without the paths of this machine: of what lies here, only the last part is named."""
    words = ["hubdistill", "evaluate", *map(_last_part, models)]
    for option, named in places.items():
        for place in named:
            words += [option, _last_part(place)]
    for option, value in values.items():
        words += [option, str(value)] if value is not None else []
    return shlex.join([*words, *(flag for flag, given in flags.items() if given)])


def _last_part(text: str) -> str:
    """Of a path its last part; a Hub id, with its one slash, stays."""
    path = Path(text).expanduser()
    is_hub_id = text.count("/") == 1 and not path.is_absolute() and not path.parent.exists()
    return text if is_hub_id else path.name
