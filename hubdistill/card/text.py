"""Markdown made of text that must not be trusted.

Texts of data sets, file names and module dumps reach the card through this module only. What comes out
of it is of the type `Markdown`; the card's environment escapes every value that is not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final
from urllib.parse import quote

from markupsafe import Markup

Markdown = Markup
"""Text that is safe to put on a card as it is."""

LONGEST: Final = 1000
"""Characters of one text on the card, code blocks aside."""

HUB: Final = "https://huggingface.co"

# Characters that reorder or hide text, or that cannot be written as UTF-8.
_UNSEEN = re.compile(
    "[\\x00-\\x08\\x0e-\\x1f\\x7f-\\x84\\x86-\\x9f\\u00ad\\u061c\\u180e\\u200b\\u200e\\u200f"
    "\\u202a-\\u202e\\u2060-\\u206f\\ufeff\\ufff9-\\ufffb\\ufffe\\uffff\\ud800-\\udfff\\U000e0000-\\U000e007f]"
)

# Written as entities, which never make Markdown structure (CommonMark 0.31, section 2.5); backslashes
# would, because table parsers disagree about a backslash before a pipe.
_ACTIVE = re.compile(
    r"[\\`*\[\]<>&|~${}]"
    r"|(?<![^\W_])_|_(?![^\W_])"  # an underscore inside a word is literal
    r"|:(?=\S)|(?<=[Ww]{3})\."  # links and emoji codes
    r"|(?<!\w)@|@(?=[\w-]+\.\w)"  # mentions and mail
    r"|\A[#+=-](?![\w.])|\A\d+(?=[.)](?:\s|\Z))"  # headings, lists and rules
)
_PLAIN_CODE = re.compile(r"[\w .,:/@+=<>()\[\]{}'\"#%&*~^;!?-]+")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)")


def plain(text: str, limit: int | None = None) -> str:
    """One line of visible characters; what is cut off is said.

    Args:
        limit: at most so many characters of the text.
    """
    text = _UNSEEN.sub(lambda match: f"[U+{ord(match[0]):04X}]", " ".join(text.split()))
    if limit is not None and len(text) > limit:
        text = f"{text[:limit].rstrip()}… ({len(text):,} characters)"
    return text


def escape(text: str, limit: int = LONGEST) -> Markdown:
    """Text in a paragraph, a list item, a table cell or an HTML element, without any effect there."""
    if isinstance(text, Markup):
        return text
    return _entities(plain(text, limit))


def code(text: str) -> Markdown:
    """Inline code, also in a table cell."""
    text = plain(text, LONGEST)
    if _PLAIN_CODE.fullmatch(text) and text == text.strip():
        return Markdown(f"`{text}`")
    return Markdown(f"<code>{_entities(text)}</code>")


def fenced(text: str, language: str = "") -> Markdown:
    """A code block that its own content cannot close."""
    lines = [_UNSEEN.sub(lambda m: f"[U+{ord(m[0]):04X}]", line) for line in text.strip("\r\n").splitlines()]
    body = "\n".join(line.rstrip() for line in lines)
    longest = max((len(run) for run in re.findall("`+", body)), default=0)
    fence = "`" * max(3, longest + 1)
    return Markdown(f"{fence}{language}\n{body}\n{fence}")


def link(text: str, url: str) -> Markdown:
    """A link; the address is quoted."""
    return Markdown(f"[{escape(text)}]({quote(plain(url), safe=':/?=&#-._~')})")


def model_link(hub_id: str) -> Markdown:
    """A model on the Hub."""
    return link(hub_id, f"{HUB}/{hub_id}")


def dataset_link(hub_id: str) -> Markdown:
    """A data set on the Hub."""
    return link(hub_id, f"{HUB}/datasets/{hub_id}")


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], *, numbers_from: int = 99) -> Markdown:
    """A table whose cells are escaped unless they are Markdown.

    Args:
        numbers_from: the first of the columns that hold numbers and are right-aligned.
    """
    marks = [Markdown("--:" if column >= numbers_from else ":--") for column in range(len(headings))]
    return Markdown("\n".join(_row(cells) for cells in (headings, marks, *rows)))


def bullets(items: Iterable[str]) -> Markdown:
    """A list, one item a line."""
    return Markdown("\n".join(f"- {escape(item)}" for item in items))


def folded(summary: str, body: Markdown) -> Markdown:
    """A part that a reader opens."""
    return Markdown(f"<details><summary>{escape(summary)}</summary>\n\n{body}\n\n</details>")


def outside_fences(lines: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Number and text of the lines that are not part of a code block."""
    fence = ""
    for number, line in enumerate(lines):
        mark = _FENCE.match(line)
        if fence:
            if mark and mark[1].startswith(fence) and not mark[2].strip():
                fence = ""
        elif mark and not (mark[1][0] == "`" and "`" in mark[2]):
            fence = mark[1]
        else:
            yield number, line


def tidy(text: str) -> str:
    """Drop repeated empty lines outside code blocks."""
    lines = text.split("\n")
    free = dict(outside_fences(lines))
    kept: list[str] = []
    for number, line in enumerate(lines):
        if number in free and not line.strip():
            if kept and not kept[-1]:
                continue
            line = ""
        kept.append(line)
    return "\n".join(kept).strip("\n") + "\n"


def _entities(text: str) -> Markdown:
    return Markdown(_ACTIVE.sub(lambda match: "".join(f"&#{ord(c)};" for c in match[0]), text))


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(escape(cell) for cell in cells)} |"
