"""Hostile text in every field of a report: the cards keep their structure, and their metadata its types.

A text stands at many places at once, and other texts at the others; the same card with harmless texts says
what the structure is.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token
from sample_report import bge_m3_report

from hubdistill.bibtex import parse_bibtex
from hubdistill.card import render_card, render_family_card
from hubdistill.card.keep import kept_sections
from hubdistill.card.metadata import check_metadata, metadata
from hubdistill.card.text import plain
from hubdistill.errors import CardError, ReportError
from hubdistill.figures import planned_figures
from hubdistill.report import DistillationReport, parse_report

MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])

HOSTILE = [
    "a | b || c \\| d \\\\| e",
    "<script>alert(1)</script><img src=x onerror=y>",
    "</details></code><!-- hubdistill:keep x -->",
    "<!-- hubdistill:keep x -->\n<!-- /hubdistill:keep -->",
    "<!-- /hubdistill:keep -->",
    "--> -- <!--",
    "{{ 7 * 7 }} {% raw %} {# x #} {{ report }}",
    "[text](javascript:alert(1)) ![i](x) [a]: http://x.y",
    "``` ```` ` ``",
    "```\n~~~\n````\n",
    "***bold*** __b__ ~~s~~ $x$ :smile: @someone mail@example.org www.example.org https://example.org",
    "line\nbreaks\r\nand\u2028more\x0b\x0c\x85 of\tthem\r",
    "---\nlicense: mit\n---",
    "\n---\n",
    "\n\n# heading\n\n| a |\n| - |\n| b |\n\n",
    "# heading",
    "- item",
    "1. item",
    "    indented",
    "> quote",
    "\u202eesrever\u2066 \u200b \x00 \x1b[31m \ufeff",
    "no",
    "~",
    "1e3",
    "2026-01-01",
    "!!python/object:os.system [&a, *a]",
    "&lt;b&gt; &#124; &amp;",
    "\N{FAMILY}\N{ZERO WIDTH JOINER}\N{THUMBS UP SIGN}\N{VARIATION SELECTOR-16}\U000e0041\U0010ffff",
    "|x" * 50_000,
    "\\",
    "'\"",
    '"); import os; os.system("x") #',
    "'; rm -rf x; '",
    "}{\\}",
    "@misc{x, title = {",
    "=====",
]

OWNERS = ("summary", "motivation", "intended_use", "limitations", "license_note")
"""Markdown that the owner writes, which stands on the card as it is."""

REFUSED = {
    "owner.license": "license",
    "owner.language[*]": "language",
    "owner.citation": "citation",
    "base_model": "base_model",
    "corpus.sources[*].hub_id": "datasets",
    "training.citations[*]": "citations",
    "training.method": "training.method",
    "models[*].role": "role",
    "models[*].architecture.kind": "architecture.kind",
    "data[*].kind": "kind",
    "created": "created",
    "student": "student",
    "teacher": "teacher",
    "measurements[*].metric": "metric",
    "measurements[*].model": "model",
    "measurements[*].data": "data",
    "measurements[*].against": "model",
    "measurements[*].parameters.precision": "precision",
    "comparisons[*].metric": "metric",
    "comparisons[*].model": "model",
    "comparisons[*].data": "data",
    "comparisons[*].against": "model",
    "lowest_agreement[*].metric": "lowest_agreement",
}
"""Fields that hold names of other things, or what the Hub knows, and how an error calls them; None where any
text may stand, but changes what the report says."""

NAMED = {"models", "data", "metrics"}
FREE_KEYS = ("libraries", "hyperparameters", "all_hyperparameters", "loss_parameters", "prompts")
RENAMED = ("bge-m3-6-layers", "minilm-256", "pearson_cosine", "stsb", "neighbours", "held-out", "cranfield")
"""Keys to which a program gives no meaning."""

SIZE = 5
"""Texts that take turns."""


def leaves(
    value: Any, path: str = "", name: str = ""
) -> Iterator[tuple[str, dict[str, Any] | list[Any], Any]]:
    """Where each text of a report is: its kind of place, what holds it, and under which key."""
    for key, inner in list(value.items() if isinstance(value, dict) else enumerate(value)):
        any_key = isinstance(value, list) or (name in NAMED and "." not in path)
        here = f"{path}[*]" if any_key else f"{path}.{key}".lstrip(".")
        if isinstance(inner, str):
            yield here, value, key
        elif isinstance(inner, dict | list):
            yield from leaves(inner, here, str(key))


def whole() -> dict[str, Any]:
    """A report as plain data, with all that a card may show."""
    data: dict[str, Any] = json.loads(bge_m3_report().model_dump_json())
    low = {"text": "A text.", "value": 0.1, "metric": "teacher_cosine"}
    data["owner"] |= {"license": "mit", "title": "Small", "tags": ["one", "two"]}
    data["models"][data["student"]]["architecture"]["prompts"] = {"query": "query: ", "document": "text: "}
    data["corpus"]["sources"].append({**data["corpus"]["sources"][0], "hub_id": None, "config": "all"})
    return data | {"lowest_agreement": [low]}


def hostile(texts: Sequence[str], turn: int = 0) -> DistillationReport:
    """A report with the texts, in turn, at every place that takes any text, and as keys."""
    data = whole()
    number = turn
    for place, holder, key in leaves(data):
        skipped = place in REFUSED or place.startswith("plan.") or place.removeprefix("owner.") in OWNERS
        # A text of ours: what a snippet prints is looked for by its placeholder, and empty is missing.
        if not skipped:
            number += 1
            text = texts[number % len(texts)]
            holder[key] = f"{text}." if place.startswith("quick_start.") else text
    for name, free in free_dictionaries(data):
        values = list(free.values())
        free.clear()
        free |= {f"{texts[(turn + i) % len(texts)]} {name} {i}": value for i, value in enumerate(values)}
    plan = data.pop("plan")
    for index, old in enumerate(RENAMED):
        data = renamed(data, old, f"{texts[(turn + index) % len(texts)]} {index}")
    return parse_report(json.dumps({**data, "plan": plan}).encode())


def free_dictionaries(value: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, inner in value.items() if isinstance(value, dict) else ():
        if name in FREE_KEYS:
            yield name, inner
        else:
            yield from free_dictionaries(inner)


def renamed(value: Any, old: str, new: str) -> Any:
    """Plain data with one name replaced, as a key and as a reference."""
    if isinstance(value, dict):
        return {new if key == old else key: renamed(inner, old, new) for key, inner in value.items()}
    if isinstance(value, list):
        return [renamed(inner, old, new) for inner in value]
    return new if value == old else value


def structure(card: str) -> list[str]:
    """A card's blocks, the HTML in it and the targets of its links, without any text of its own."""
    body = card.split("\n---\n", 1)[1]
    notice, comment = body.split("\n", 1)[0], r"<!-- Written by hubdistill [^<>]* -->"
    assert re.fullmatch(comment, notice)
    return [mark for token in MARKDOWN.parse(body) for mark in marks(token)]


def marks(token: Token) -> list[str]:
    if token.type == "html_block":
        return [f"html {re.findall('<(?!!-- Written)[^>]*>', token.content)}"]
    found = [f"{token.type} {token.info}"]
    for child in token.children or ():
        if child.type == "html_inline" and child.content not in ("<code>", "</code>"):
            found.append(f"html {child.content}")
        elif child.type in ("link_open", "image"):
            target = str(child.attrGet("href") or child.attrGet("src"))
            assert target.startswith(("https://huggingface.co/", "figures/", "report.json")), target
            found.append(child.type)
        elif child.type not in ("text", "text_special", "html_inline", "code_inline", "link_close"):
            found.append(child.type)
    return found


KEPT = '<!-- hubdistill:keep notes -->\n"Mine" | <b>and</b>\n```\n<!-- /hubdistill:keep -->\n'


def cards(report: DistillationReport) -> tuple[str, str]:
    """The student's card and that of its family."""
    figures = planned_figures(report)
    students = [report.model_copy(update={"student": key}) for key in (report.student, *report.siblings)]
    family = render_family_card(students, name="family", previous=KEPT, figures=figures)
    return render_card(report, repo_id="example/small", previous=KEPT, figures=figures), family


@functools.cache
def harmless(turn: int) -> list[list[str]]:
    return [structure(c) for c in cards(hostile([f"harmless{n}" for n in range(SIZE)], turn))]


def check(texts: Sequence[str], turn: int) -> None:
    """Render with hostile texts and read everything again."""
    report = hostile(texts, turn)
    student, family = cards(report)
    assert [structure(student), structure(family)] == harmless(turn)
    for card in (student, family):
        assert check_metadata(card) == []
        sections = {section.name: section for section in kept_sections(card)}
        assert sections.pop("notes").text == KEPT
        assert all(section.empty for section in sections.values())
        assert "\r" not in card
        bibtex = card.rpartition("```bibtex\n")[2].partition("\n```")[0]
        assert {"reimers-2019-sentence-bert", "sajjad2023effect"} <= {
            entry.key for entry in parse_bibtex(bibtex)
        }
    front = yaml.safe_load(student[4:].split("\n---\n", 1)[0])
    assert front == metadata(report, "example/small")
    assert front["tags"][-2:] == [plain(tag) for tag in report.owner.tags]
    assert front["language"] == ["en", "de", "tr"]


def texts() -> st.SearchStrategy[str]:
    known = st.sampled_from([text for text in HOSTILE if len(text) < 1000])
    anything = st.text(st.characters(exclude_categories=["Cs"]))
    mixed = st.lists(known | anything, min_size=1, max_size=3).map("".join)
    return (known | anything | mixed).filter(lambda text: plain(text).strip())


@settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(st.lists(texts(), min_size=SIZE, max_size=SIZE, unique_by=plain), st.integers(0, SIZE - 1))
def test_hostile_text_changes_nothing_but_text(texts: list[str], turn: int) -> None:
    check(texts, turn)


@pytest.mark.parametrize("start", range(0, len(HOSTILE), SIZE))
def test_each_hostile_text_changes_nothing_but_text(start: int) -> None:
    check([HOSTILE[(start + n) % len(HOSTILE)] for n in range(SIZE)], start % SIZE)


@pytest.mark.parametrize("place", REFUSED)
def test_what_no_text_may_stand_for_is_refused_by_name(place: str) -> None:
    data = whole()
    data["owner"] |= {"citation": "@misc{a, year = 2024}", "template": "mine.md.j2"}
    data["training"]["citations"] = ["@misc{b, year = 2024}"]
    found = [(holder, key) for where, holder, key in leaves(data) if where == place]
    assert found
    for holder, key in found[:1]:
        for text in ("<b>|\n---\n# a", "\u202e{{ 1 }}", "\ud800"):
            holder[key] = text
            with pytest.raises((CardError, ReportError)) as caught:
                cards(parse_report(json.dumps(data).encode()))
            assert REFUSED[place] in str(caught.value)
