"""A card's Markdown as HTML that is safe to show.

The Hub's own list of tags is not public. The one here is GitHub's for README files (github/html-pipeline),
with `<center>`, which cards use; what it leaves out may or may not be seen on the Hub.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping
from functools import cache, partial
from urllib.parse import quote, unquote, urlsplit

import nh3
from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore
from markdown_it.token import Token
from mdit_py_plugins.anchors import anchors_plugin
from mdit_py_plugins.gfm import gfm_plugin
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.token import STANDARD_TYPES
from pygments.util import ClassNotFound

FILES = "/files/"
"""Where the files of the folder are served."""

REMOTE_IMAGE = "/remote-image?address="
"""Where a picture stands in for an image of another site, which is not asked for."""

_TAGS = """
    a abbr b blockquote br caption center cite code dd del details dfn div dl dt em figcaption figure h1 h2 h3
    h4 h5 h6 hr i img input ins kbd li mark ol p picture pre q s samp section small span strike strong sub
    summary sup table tbody td tfoot th thead tr tt ul var wbr
"""
TAGS = frozenset(_TAGS.split())
"""Tags that a card may use."""

SCHEMES = frozenset({"http", "https", "mailto"})
"""Schemes that an address may have."""

_NOT_TEXT = "script style iframe template svg math title textarea xmp noembed noframes plaintext"
_WITH_CONTENT = frozenset(_NOT_TEXT.split())
"""Tags that go together with what is in them."""

_EVERYWHERE = {"align", "dir", "id", "lang", "title"}
_ATTRIBUTES: dict[str, set[str]] = {
    "*": _EVERYWHERE,
    "a": {"href", "name"},
    "details": {"open"},
    "img": {"alt", "height", "src", "width"},
    "input": {"checked"},
    "ol": {"start"},
    "table": {"border", "cellpadding", "cellspacing", "width"},
    "td": {"colspan", "height", "rowspan", "valign", "width"},
    "th": {"colspan", "height", "rowspan", "scope", "valign", "width"},
}
_ALERTS = {f"markdown-alert-{kind}" for kind in ("note", "tip", "important", "warning", "caution")}
# Only what the renderer itself writes: colours of code, task lists, footnotes and alerts.
_CLASSES: dict[str, set[str]] = {
    "a": {"footnote-backref", "header-anchor"},
    "div": {"markdown-alert", *_ALERTS},
    "hr": {"footnotes-sep"},
    "li": {"footnote-item", "task-list-item"},
    "ol": {"footnotes-list"},
    "p": {"markdown-alert-title"},
    "section": {"footnotes"},
    "span": {name for name in STANDARD_TYPES.values() if name},
    "sup": {"footnote-ref"},
    "ul": {"contains-task-list"},
}
_LONGEST_COLOURED = 100_000
_ALIGNED = re.compile(r"text-align:(left|right|center)")


def parse(text: str) -> list[Token]:
    """Parse GitHub-flavoured Markdown; headings get their anchors."""
    return _parser().parse(text)


def render(text: str, files: Mapping[str, str]) -> str:
    """Render Markdown as HTML without anything that acts: no script, style, form, or foreign address.

    Args:
        text: the card without its front matter.
        files: path in the repository -> address that the file is served at.
    """
    return _cleaner(partial(_attribute, files)).clean(_parser().render(text))


def path_in_repository(address: str) -> str | None:
    """The file that a relative address means; None for an address of another kind.

    `..` at the beginning stays where it leads out of the repository. An address with a slash at its
    beginning is not relative: on the Hub it begins at the site's root.
    """
    try:
        parts = urlsplit(address)
    except ValueError:
        return None
    if parts.scheme or parts.netloc or not parts.path or parts.path.startswith("/"):
        return None
    return posixpath.normpath(unquote(parts.path))


def scheme_of(address: str) -> str | None:
    """The scheme of an address: '' for a relative one, None for one that cannot be read."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return None
    return parts.scheme or ("https" if parts.netloc else "")


@cache
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": True, "highlight": _coloured}).use(gfm_plugin)
    parser.use(anchors_plugin, max_level=6, permalink=True, permalinkSymbol="#")
    parser.core.ruler.push("align", _align)
    # Addresses are judged when the HTML is cleaned; here they would turn into plain text unseen.
    parser.validateLink = lambda url: True  # type: ignore[method-assign]
    return parser


def _align(state: StateCore) -> None:
    """Align cells by attribute: styles are left out."""
    for token in state.tokens:
        if token.type in ("td_open", "th_open") and (found := _ALIGNED.match(str(token.attrGet("style")))):
            token.attrs = {"align": found[1]}


def _coloured(code: str, language: str, attributes: str) -> str:
    if not language or len(code) > _LONGEST_COLOURED:
        return ""
    try:
        lexer = get_lexer_by_name(language)
    except ClassNotFound:
        return ""
    return str(highlight(code, lexer, HtmlFormatter(nowrap=True)))


def _cleaner(attribute: Callable[[str, str, str], str | None]) -> nh3.Cleaner:
    return nh3.Cleaner(
        tags=TAGS,
        clean_content_tags=_WITH_CONTENT,
        attributes=_ATTRIBUTES,
        attribute_filter=attribute,
        allowed_classes=_CLASSES,
        set_tag_attribute_values={"input": {"type": "checkbox", "disabled": ""}},
        url_schemes=SCHEMES,
        link_rel="noopener noreferrer nofollow",
    )


def _attribute(files: Mapping[str, str], tag: str, name: str, value: str) -> str | None:
    """The value that an attribute gets; None leaves it out."""
    if (tag, name) == ("img", "src"):
        return _image_address(files, value)
    if (tag, name) == ("a", "href"):
        return _link_address(files, value)
    return value


def _image_address(files: Mapping[str, str], address: str) -> str | None:
    path = path_in_repository(address)
    if path is not None:
        return _file_address(files, path)
    return f"{REMOTE_IMAGE}{quote(address, safe='')}" if scheme_of(address) in ("http", "https") else None


def _link_address(files: Mapping[str, str], address: str) -> str | None:
    path = path_in_repository(address)
    if path is not None:
        return _file_address(files, path)
    if address.startswith("/") and scheme_of(address) == "":
        return f"https://huggingface.co{address}"
    return address if scheme_of(address) in SCHEMES or address.startswith("#") else None


def _file_address(files: Mapping[str, str], path: str) -> str | None:
    return None if path.startswith("..") else files.get(path, f"{FILES}{quote(path)}")
