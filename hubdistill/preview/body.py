"""Problems of a card's text: its links, images, headings, tables and HTML."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from itertools import pairwise
from typing import NamedTuple
from urllib.parse import unquote

from markdown_it.rules_block.table import escapedSplit
from markdown_it.token import Token
from mdit_py_plugins.anchors.index import slugify

from hubdistill.card.text import plain
from hubdistill.preview.folder import Folder
from hubdistill.preview.markdown import SCHEMES, TAGS, parse, path_in_repository, scheme_of
from hubdistill.preview.problem import Problem

_CLOSING_TAG = re.compile(r"</\w+>")
_DELIMITER_ROW = re.compile(r"\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)+\|?|\|\s*:?-+:?\s*\|")
_CONTAINERS = re.compile(r"(?:\s|>|[-*+]\s|\d{1,9}[.)]\s)*")
_TEXT_AFTER_SUMMARY = re.compile(r"</summary>[ \t]*\n[ \t]*[^<\s]")


class _Tag(NamedTuple):
    """A tag of raw HTML, with the line that it begins on."""

    name: str
    attributes: dict[str, str | None]
    closes: bool
    line: int


class _Heading(NamedTuple):
    rank: int
    title: str
    line: int


def body_problems(text: str, folder: Folder) -> Iterator[Problem]:
    """Find what is wrong in a card's text.

    Args:
        text: the card with empty lines in place of its front matter.
        folder: where its links and images lead.
    """
    tokens = parse(text)
    leaves = list(_leaves(tokens))
    tags = [tag for token, line in leaves if "html" in token.type for tag in _tags(token.content, line)]
    lines = re.split(r"\r\n?|\n", text)
    anchors = {str(token.attrGet("id")) for token in tokens if token.type == "heading_open"}
    anchors |= {value for tag in tags for name in ("id", "name") if (value := tag.attributes.get(name))}
    for address, line in _links(leaves, tags):
        yield from _link_problems(address, line, folder, anchors)
    for address, alt, line in _images(leaves, tags):
        yield from _image_problems(address, alt, line, folder)
    headings = _headings(tokens)
    yield from _empty_sections(tokens, headings)
    yield from _equal_headings(headings)
    yield from _table_problems(tokens, lines)
    yield from _html_problems(tags)
    yield from _details_problems(tags)
    for token, line in leaves:
        if token.type == "html_block" and (found := _TEXT_AFTER_SUMMARY.search(token.content)):
            at = line + token.content.count("\n", 0, found.end())
            yield Problem(at, "leave an empty line after </summary>; Markdown right below it is not rendered")


def _leaves(tokens: list[Token]) -> Iterator[tuple[Token, int]]:
    """The tokens with a content of their own, and their lines, counted from 1."""
    line = 1
    for token in tokens:
        line = token.map[0] + 1 if token.map else line
        if token.type != "inline":
            yield token, line
            continue
        at = line
        for child in token.children or ():
            yield child, at
            at += child.content.count("\n") + (child.type in ("softbreak", "hardbreak"))


def _tags(html: str, line: int) -> list[_Tag]:
    found: list[_Tag] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.append(_Tag(tag, dict(attrs), False, line + self.getpos()[0] - 1))

        def handle_endtag(self, tag: str) -> None:
            found.append(_Tag(tag, {}, True, line + self.getpos()[0] - 1))

    Reader().feed(html)
    return found


def _links(leaves: list[tuple[Token, int]], tags: list[_Tag]) -> Iterator[tuple[str, int]]:
    for token, line in leaves:
        if token.type == "link_open" and token.attrGet("class") != "header-anchor":
            yield str(token.attrGet("href")), line
    for tag in tags:
        if tag.name == "a" and not tag.closes and (address := tag.attributes.get("href")):
            yield address, tag.line


def _images(leaves: list[tuple[Token, int]], tags: list[_Tag]) -> Iterator[tuple[str, str | None, int]]:
    for token, line in leaves:
        if token.type == "image":
            yield str(token.attrGet("src")), token.content, line
    for tag in tags:
        if tag.name == "img" and not tag.closes:
            yield tag.attributes.get("src") or "", tag.attributes.get("alt"), tag.line


def _link_problems(address: str, line: int, folder: Folder, anchors: set[str]) -> Iterator[Problem]:
    scheme = scheme_of(address)
    if address.startswith("#"):
        if (anchor := unquote(address[1:])) and anchor not in anchors:
            yield Problem(line, f"no heading has the anchor {address}; correct the link or the heading")
    elif scheme is None or (scheme and scheme not in SCHEMES):
        yield Problem(line, f"a link to {_short(address)} does not work on the Hub; use an https address")
    else:
        yield from _path_problems(address, line, folder, "the link")


def _image_problems(address: str, alt: str | None, line: int, folder: Folder) -> Iterator[Problem]:
    if not (alt or "").strip():
        yield Problem(
            line, f"the image {_short(address)} has no alt text; say between ![ and ] what it shows"
        )
    if not address:
        yield Problem(line, "an image has no address; give the path of a file in figures/")
    elif scheme_of(address) in ("http", "https", ""):
        yield from _path_problems(address, line, folder, "the image")
    else:
        yield Problem(line, f"the image {_short(address)} is not shown; put it in figures/ and give its path")


def _path_problems(address: str, line: int, folder: Folder, what: str) -> Iterator[Problem]:
    """Of an address that should lead to a file of the repository."""
    path = path_in_repository(address)
    if path is None:
        if address.startswith("/") and scheme_of(address) == "":
            yield Problem(
                line,
                f"{what} {_short(address)} begins with a slash, which is the Hub's root, not the repository; "
                "take the slash away",
            )
        return
    if path in (".", *folder.files) or any(file.startswith(f"{path}/") for file in folder.files):
        return
    other_case = next((file for file in folder.files if file.lower() == path.lower()), None)
    left_out = next(
        (why for name, why in folder.left_out if f"{path}/".startswith(f"{name.rstrip('/')}/")), None
    )
    if path.startswith(".."):
        why = "leads out of the repository; use an https address"
    elif other_case:
        why = f"differs in upper and lower case from the file {other_case}; write it like that"
    elif left_out:
        why = f"leads to a file that would not be published ({left_out})"
    else:
        why = "leads to no file that would be published; correct the path, or add the file"
    yield Problem(line, f"{what} {_short(address)} {why}")


def _headings(tokens: list[Token]) -> list[_Heading]:
    return [
        _Heading(int(token.tag[1]), tokens[place + 1].content, (token.map or [0])[0] + 1)
        for place, token in enumerate(tokens)
        if token.type == "heading_open"
    ]


def _empty_sections(tokens: list[Token], headings: list[_Heading]) -> Iterator[Problem]:
    """Headings with nothing below them but comments until another of the same or a higher rank."""
    lines = [(token.map or [0])[0] + 1 for token in tokens if not token.level and _is_content(token)]
    for place, heading in enumerate(headings):
        following = headings[place + 1] if place + 1 < len(headings) else None
        if following and following.rank > heading.rank:
            continue
        if not any(heading.line < line and (not following or line < following.line) for line in lines):
            yield Problem(
                heading.line,
                f"nothing stands below the heading '{_short(heading.title)}'; write it, or take it out",
            )


def _is_content(token: Token) -> bool:
    if token.type == "html_block":
        return bool(_CLOSING_TAG.sub("", _without_comments(token.content)).strip())
    return token.nesting >= 0 and token.type != "heading_open"


def _without_comments(html: str) -> str:
    # Not by a pattern, which would look for the end of the last comment from each `<!--` anew.
    parts, at = [], 0
    while (start := html.find("<!--", at)) >= 0 and (end := html.find("-->", start + 4)) >= 0:
        parts.append(html[at:start])
        at = end + 3
    return "".join([*parts, html[at:]])


def _equal_headings(headings: list[_Heading]) -> Iterator[Problem]:
    seen: dict[str, int] = {}
    for heading in headings:
        first = seen.setdefault(slugify(heading.title), heading.line)
        if first != heading.line:
            yield Problem(
                heading.line,
                f"the heading '{_short(heading.title)}' is also on line {first}, so that links to it lead "
                "there; give it another title",
            )


def _table_problems(tokens: list[Token], lines: list[str]) -> Iterator[Problem]:
    columns = 0
    for before, token in pairwise(tokens):
        if token.type == "paragraph_open" and token.map:
            yield from _no_table(lines, token.map[0])
        elif token.type == "tr_open" and token.map:
            cells = _cells(lines[token.map[0]])
            if before.type == "thead_open":
                columns = cells
            elif cells != columns:
                yield Problem(
                    token.map[0] + 1,
                    f"the header of this table has {columns} columns and this row {cells}; make them as many "
                    "(a | inside a cell is written \\|)",
                )


def _no_table(lines: list[str], line: int) -> Iterator[Problem]:
    """Of a paragraph that was to be a table."""
    below = lines[line + 1].strip() if line + 1 < len(lines) else ""
    if "|" in lines[line] and _DELIMITER_ROW.fullmatch(below):
        yield Problem(
            line + 1,
            f"this is not shown as a table: its header has {_cells(lines[line])} columns and the line below "
            f"it {_cells(below)}; make them as many",
        )


def _cells(line: str) -> int:
    cells = escapedSplit(_CONTAINERS.sub("", line).strip())
    return len(cells) - (cells[0] == "") - (len(cells) > 1 and cells[-1] == "")


def _html_problems(tags: list[_Tag]) -> Iterator[Problem]:
    for tag in tags:
        name = _short(tag.name)
        if tag.name not in TAGS and not tag.closes:
            text = f"the tag <{name}> is left out; use Markdown, or `<{name}>` where it is meant as text"
            yield Problem(tag.line, text)
        for attribute in tag.attributes:
            if attribute == "style" or attribute.startswith("on"):
                text = (
                    f"the attribute {_short(attribute)} of <{name}> is left out; use Markdown, align or width"
                )
                yield Problem(tag.line, text)


def _details_problems(tags: list[_Tag]) -> Iterator[Problem]:
    opened: list[_Tag] = []
    for tag in tags:
        if tag.name == "details" and not tag.closes:
            opened.append(tag)
        elif tag.name == "details" and opened:
            opened.pop()
        elif tag.name == "details":
            yield Problem(tag.line, "this </details> closes nothing; take it out, or add <details> above")
    for tag in opened:
        yield Problem(tag.line, "this <details> is never closed and folds all that follows; add </details>")


def _short(text: str) -> str:
    """Text of the card as a message can hold it: one line, nothing unseen."""
    return plain(text, 80)
