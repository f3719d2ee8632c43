"""A folder's card as one page."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from hubdistill.hub.files import CARD
from hubdistill.localhub.card_metadata import front_matter, read_metadata
from hubdistill.preview.folder import Folder
from hubdistill.preview.markdown import FILES, render
from hubdistill.preview.panel import read_panel
from hubdistill.preview.problem import Problem
from hubdistill.preview.problems import find_problems

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
    """Render a folder's card."""
    content = folder.card()
    text = content.decode("utf-8", errors="replace")
    problems = tuple(find_problems(content, folder))
    # With the time of the last change in its address, an image that was drawn anew is asked for again.
    addresses = {
        path: f"{FILES}{quote(path)}?v={file.stat().st_mtime_ns:x}" for path, file in folder.files.items()
    }
    seen = repr((content, addresses, folder.left_out, problems))
    version = hashlib.sha256(seen.encode("utf-8", "backslashreplace")).hexdigest()[:16]
    html = _TEMPLATE.render(
        name=folder.path.resolve().name,
        folder=str(folder.path),
        card=Markup(render(front_matter(text)[1], addresses)),
        missing=CARD not in folder.files,
        panel=read_panel(read_metadata(text) or {}, folder),
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
