"""Everything that is wrong with a card, found before anybody else reads it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from hubdistill.card.metadata import check_metadata
from hubdistill.card.text import plain
from hubdistill.front_matter import split_front_matter
from hubdistill.hub.files import CARD
from hubdistill.localhub.card_metadata import check_card
from hubdistill.localhub.card_metadata import read_metadata as read_any
from hubdistill.preview.body import body_problems
from hubdistill.preview.folder import Folder, find_folder, read_folder
from hubdistill.preview.metadata import read_metadata, refusal
from hubdistill.preview.problem import Problem

_PLACEHOLDER = re.compile(
    r"\[More Information Needed\]|\b(?:TODO|FIXME|TBD)\b|\bMODEL_ID\b|\bsentence_transformers_model_id\b"
    r"|Model Card for Model ID|\{MODEL_NAME\}|\{\{[^{}]*\}\}|<your[^<>]*>"
    r"|(?<![\w/.-])(?:your[-_])?(?:user-?name|org-?name|organization)/[\w.-]+|\byour[-_](?:model|repo)\b",
    re.IGNORECASE,
)
_MOST_OF_METADATA = 50
_SNIPPET = re.compile(r"""(?:SentenceTransformer|from_pretrained)\(\s*["']([^"'/]+)["']""")


def card_problems(folder: Path | str) -> list[Problem]:
    """Find what is wrong with the card of a student's folder, in the order of its lines.

    Links and images that lead nowhere, images without alt text, sections with nothing in them,
    placeholders, tables that break, HTML that would be left out, and metadata that the Hub refuses or warns
    about.

    Args:
        folder: the folder of a model, or the README.md in it.

    Raises:
        CardError: there is no such folder.
    """
    found = read_folder(find_folder(Path(folder)))
    return find_problems(found.card(), found)


def find_problems(card: bytes, folder: Folder) -> list[Problem]:
    """Find what is wrong with a card.

    Args:
        card: its bytes; empty where there is none.
        folder: what would be published with it.
    """
    if CARD not in folder.files:
        return [Problem(None, f"there is none; write it with: hubdistill card {folder.path}")]
    problems = [Problem(None, f"a push would be refused: {folder.incomplete}")] if folder.incomplete else []
    try:
        text = card.decode("utf-8")
    except UnicodeDecodeError as error:
        line = card.count(b"\n", 0, error.start) + 1
        problems.append(Problem(line, "this is not UTF-8; save the file as UTF-8"))
        text = card.decode("utf-8", errors="replace")
    body = split_front_matter(text)[1]
    above = text[: len(text) - len(body)].count("\n")
    # Empty lines in place of the front matter: the lines of the text are those of the file.
    problems += body_problems("\n" * above + body, folder)
    problems += _metadata_problems(text)
    problems += _line_problems(text, _local_names(text, folder))
    return sorted(problems, key=lambda problem: problem.line or 0)


def _metadata_problems(text: str) -> Iterator[Problem]:
    if why := refusal(text):
        yield Problem(1, f"metadata: {why}")
        return
    metadata = split_front_matter(text)[0]
    ours = check_metadata(text)
    fields = {_field(problem) for problem in ours}
    errors, warnings = check_card(text) if read_any(text) is not None else ([], [])
    # The Hub's rules and ours overlap; ours say what mends it.
    said = [*ours, *(problem for problem in (*errors, *warnings) if _field(problem) not in fields)]
    for problem in said[:_MOST_OF_METADATA]:
        yield Problem(_metadata_line(metadata, problem), f"metadata: {plain(problem, 300)}")
    if len(said) > _MOST_OF_METADATA:
        yield Problem(1, f"metadata: {len(said) - _MOST_OF_METADATA} more problems; mend these first")


def _metadata_line(metadata: str, problem: str) -> int:
    """The line of README.md that a problem of its metadata is about; the first where that is unknown."""
    if found := re.search(r"\bline (\d+)", problem):
        return int(found[1]) + 1
    words = problem.lower().replace("_", " ")
    named, told = [], []
    for number, line in enumerate(metadata.split("\n"), 2):
        if found := re.match(r"""["']?([\w-]+)["']?\s*:""", line):
            named += [number] * (found[1] == _field(problem))
            told += [number] * (found[1].replace("_", " ") in words)
    return next(iter((*named, *told)), 1)


def _field(problem: str) -> str:
    """The field of the metadata that a problem is about."""
    found = re.match(r'"?([A-Za-z_]+(?:-[A-Za-z_]+)*)', problem)
    return found[1] if found else ""


def _line_problems(text: str, local_names: set[str]) -> Iterator[Problem]:
    for number, line in enumerate(text.split("\n"), 1):
        for found in dict.fromkeys(_PLACEHOLDER.findall(line)):
            yield Problem(number, f"'{plain(found, 80)}' is a placeholder; write what belongs here")
        if (shown := plain(line)) != " ".join(line.split()):
            hidden = ", ".join(dict.fromkeys(re.findall(r"\[(U\+[0-9A-F]{4,6})\]", shown)))
            yield Problem(
                number, f"this line has characters that hide or reorder text ({hidden}); delete them"
            )
        for name in _SNIPPET.findall(line):
            if name in local_names:
                yield Problem(
                    number,
                    f"readers cannot load '{plain(name, 80)}', which has no namespace; write the card for "
                    "its repository: hubdistill card FOLDER --repo-id NAMESPACE/NAME",
                )


def _local_names(text: str, folder: Folder) -> set[str]:
    """Names of the model that are no ids of the Hub."""
    index = read_metadata(text).get("model-index")
    models = index if isinstance(index, list) else []
    return {folder.path.resolve().name, *(str(m.get("name")) for m in models if isinstance(m, dict))}
