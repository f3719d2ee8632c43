"""A folder's card as one page."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateError
from markupsafe import Markup
from yaml import YAMLError

from hubdistill.card.text import plain
from hubdistill.errors import HubDistillError
from hubdistill.front_matter import split_front_matter
from hubdistill.hub.files import CARD
from hubdistill.preview.folder import Folder
from hubdistill.preview.markdown import FILES, render
from hubdistill.preview.metadata import read_metadata
from hubdistill.preview.panel import read_panel
from hubdistill.preview.problem import Problem
from hubdistill.preview.problems import find_problems

logger = logging.getLogger(__name__)

FAULTS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    HubDistillError,
    LookupError,
    MemoryError,
    RuntimeError,
    TemplateError,
    TypeError,
    ValueError,
    YAMLError,
)
"""What rendering a card may raise where the card is stranger than this package knows. Among the RuntimeErrors
is RecursionError; OSError is none of them: the folder changed, and can be read again."""

_HERE = Path(__file__).parent
ASSETS = _HERE / "assets"
"""The page's style, script and icon."""


@dataclass(frozen=True)
class Page:
    """A rendered card.

    Args:
        html: the whole page.
        version: changes when anything that is shown does.
        files: path in the repository -> file on disk, of what the page may ask for.
        problems: what is wrong with the card.
    """

    html: str
    version: str
    files: Mapping[str, Path]
    problems: tuple[Problem, ...]


def build_page(folder: Folder) -> Page:
    """Render a folder's card; one that cannot be rendered gives a page that says so.

    Raises:
        OSError: a file went away since the folder was read.
    """
    content = folder.card()
    try:
        text = content.decode("utf-8", errors="replace")
        problems = tuple(find_problems(content, folder))
        return _page(folder, content, split_front_matter(text)[1], read_metadata(text), problems)
    except FAULTS as error:
        logger.warning("%s cannot be rendered", folder.path / CARD, exc_info=True)
        why = plain(f"{type(error).__name__}: {error}", 200)
        problem = Problem(
            None, f"this card cannot be rendered ({why}); take back the last change, or report it"
        )
        return _page(folder, content, "This card cannot be rendered.", {}, (problem,))


def _page(
    folder: Folder, content: bytes, body: str, metadata: Mapping[str, Any], problems: tuple[Problem, ...]
) -> Page:
    # With the time of the last change in its address, an image that was drawn anew is asked for again.
    addresses = {
        path: f"{FILES}{quote(path)}?v={file.stat().st_mtime_ns:x}" for path, file in folder.files.items()
    }
    seen = repr((content, addresses, folder.left_out, problems))
    version = hashlib.sha256(seen.encode("utf-8", "backslashreplace")).hexdigest()[:16]
    html = _TEMPLATE.render(
        name=folder.path.resolve().name,
        folder=str(folder.path),
        card=Markup(render(body, addresses)),
        missing=CARD not in folder.files,
        panel=read_panel(metadata, folder),
        left_out=folder.left_out,
        problems=problems,
        version=version,
    )
    return Page(html, version, folder.files, problems)


_TEMPLATE = Environment(
    loader=FileSystemLoader(_HERE),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
).get_template("page.html")
