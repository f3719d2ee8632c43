"""Text that is not ours comes out inert."""

from __future__ import annotations

import pytest
from markdown_it import MarkdownIt

from hubdistill.card.text import LONGEST, code, escape, fenced, plain, table, tidy

MARKDOWN = MarkdownIt("commonmark").enable("table")

HOSTILE = [
    "a | b || c \\| d \\\\| e",
    "<script>alert(1)</script><img src=x onerror=y>",
    "</details></code><!-- hubdistill:keep x -->",
    "<!-- /hubdistill:keep -->",
    "{{ 7 * 7 }} {% raw %} {# x #} {{ report }}",
    "[text](javascript:alert(1)) ![i](x) [a]: http://x.y",
    "``` ```` ` ``",
    "***bold*** __b__ ~~s~~ $x$ :smile: @someone mail@example.org www.example.org https://example.org",
    "line\nbreaks\r\nand\u2028more\x0b\x0c\x85 of them",
    "---\nlicense: mit\n---",
    "# heading",
    "- item",
    "1. item",
    "    indented",
    "\u202eesrever\u2066 \u200b \x00 \x1b[31m \ufeff",
    "no",
    "&lt;b&gt; &#124; &amp;",
    "\N{FAMILY}\N{ZERO WIDTH JOINER}\N{THUMBS UP SIGN}\N{VARIATION SELECTOR-16}",
    "x" * 100_000,
    "\\",
    "'\"",
    "=====",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_reader_sees_the_text_as_it_was(text: str) -> None:
    for escaped in (escape(text), code(text)):
        parsed = MARKDOWN.parse(f"| h |\n| - |\n| {escaped} |")
        cell = [token for token in parsed if token.type == "inline"][1]
        seen = "".join(child.content for child in cell.children or () if child.type != "html_inline")
        assert seen.strip() == plain(text, LONGEST).strip()


def test_direction_marks_become_visible() -> None:
    assert plain("a\u202eb\u2066c") == "a[U+202E]b[U+2066]c"


def test_emoji_sequences_stay() -> None:
    family = "\N{MAN}\N{ZERO WIDTH JOINER}\N{WOMAN}"
    assert plain(family) == family


def test_long_cell_is_cut_and_says_so() -> None:
    assert plain("x" * 1234, 10) == "xxxxxxxxxx… (1,234 characters)"


def test_fence_is_longer_than_any_inside() -> None:
    assert fenced("a\n````\nb").splitlines()[0] == "`````"


def test_table_cells_are_escaped_unless_they_are_markdown() -> None:
    assert table(("A", "B"), [("x|y", code("z"))], numbers_from=1).splitlines() == [
        "| A | B |",
        "| :-- | --: |",
        "| x&#124;y | `z` |",
    ]


def test_tidy_leaves_code_blocks_alone() -> None:
    assert tidy("a\n\n\n\nb\n```\n\n\n\n```\n\n\n") == "a\n\nb\n```\n\n\n\n```\n"
