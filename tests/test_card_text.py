"""Text that is not ours comes out inert."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token
from sample_report import bge_m3_report

from hubdistill.card import render_card
from hubdistill.card.metadata import check_metadata
from hubdistill.card.text import LONGEST, code, escape, fenced, plain, table, tidy
from hubdistill.figures import planned_figures
from hubdistill.report import DistillationReport

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


def texts() -> st.SearchStrategy[str]:
    pieces = st.sampled_from([text for text in HOSTILE if len(text) < 1000])
    return st.one_of(
        pieces,
        st.text(),
        st.lists(st.one_of(pieces, st.text(max_size=8)), max_size=4).map("".join),
    ).filter(plain)


def with_everywhere(text: str) -> DistillationReport:
    """A report with a text in every field that may hold any."""
    data: dict[str, Any] = bge_m3_report().model_dump(mode="json")
    data["training"]["samples"] = [text, "an ordinary text"]
    data["training"]["loss"] = text
    data["training"]["loss_parameters"] = {text: text}
    data["training"]["selection"] = text
    data["training"]["hyperparameters"] = {text: text, "learning_rate": 0.1}
    data["training"]["all_hyperparameters"] = {text: text}
    for item in data["data"].values():
        item |= {"title": text, "source": text, "config": text or None, "split": text or None, "hub_id": None}
        item["made_queries"] = text if item["kind"] == "retrieval" else None
    data["lowest_agreement"] = [{"text": text, "value": 0.1, "metric": "teacher_cosine"}]
    for metric in data["metrics"].values():
        metric |= {"title": text, "definition": text, "reference": text or None, "unit": text}
    for measurement in data["measurements"]:
        measurement["reproduce"] = text
        if measurement["parameters"].get("language") == "de":
            measurement["parameters"]["language"] = f"language {text}"
    for source in data["corpus"]["sources"]:
        source |= {"name": text, "hub_id": None, "columns": [text], "config": text or None}
    data["environment"] |= {"processor": text, "platform": text, "device": text, "libraries": {text: text}}
    data["models"]["bge-m3-8-layers"]["architecture"] |= {"dump": text, "family": text, "pooling": text}
    data["models"]["bge-m3-6-layers"]["name"] = text
    data["recipe"] = text
    data["quick_start"]["output"] = f"{text}."
    data["owner"]["title"] = text or None
    data["owner"]["tags"] = ["tag", f"tag {text}"]
    return DistillationReport.model_validate(data)


def shape(card: str) -> list[str]:
    """A card's structure: its blocks, its table cells, and the HTML in it, without any text."""
    tokens = MARKDOWN.parse(card.split("\n---\n", 1)[1])
    return [mark for token in tokens for mark in marks(token)]


def marks(token: Token) -> list[str]:
    if token.type == "html_block":
        return [f"html_block {re.findall('<[^>]*>', token.content)}"]
    found = [token.type]
    for child in token.children or ():
        if child.type == "html_inline" and child.content not in ("<code>", "</code>", "<br>"):
            found.append(f"html {child.content}")
        elif child.type in (
            "link_open",
            "image",
            "softbreak",
            "hardbreak",
            "em_open",
            "strong_open",
            "s_open",
        ):
            found.append(child.type)
    return found


def render(text: str) -> str:
    report = with_everywhere(text)
    return render_card(report, figures=planned_figures(report))


BENIGN = shape(render("benign"))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(texts())
def test_hostile_text_changes_no_structure(text: str) -> None:
    card = render(text)
    assert check_metadata(card) == []
    assert shape(card) == BENIGN
    assert "49" not in card if text == "{{ 7 * 7 }}" else True
    front = yaml.safe_load(card.split("---\n")[1]) if "---" not in plain(text) else None
    assert front is None or front["tags"][-1] == plain(f"tag {text}").strip()


@pytest.mark.parametrize("text", HOSTILE)
def test_each_hostile_text_changes_no_structure(text: str) -> None:
    assert shape(render(text)) == BENIGN


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
