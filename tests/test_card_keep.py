"""Sections that a person wrote survive generation byte for byte."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubdistill.card.keep import kept_sections, merge_kept
from hubdistill.errors import CardError

CLOSE = "<!-- /hubdistill:keep -->"
CARD = f"""\
# small

Claim.

<!-- hubdistill:keep introduction -->
{CLOSE}

## Evaluation

Table.

## Citation

Entries.
"""


def keep(name: str, text: str = "") -> str:
    return f"<!-- hubdistill:keep {name} -->\n{text}{CLOSE}\n"


def test_text_between_markers_replaces_the_empty_section() -> None:
    mine = keep("introduction", "Mine,  with\ttabs \r\nand an *open\n\n\n")
    merged = merge_kept(CARD, CARD.replace(keep("introduction"), mine).replace("Table.", "Old table."))
    assert merged == CARD.replace(keep("introduction"), mine)


def test_section_of_one_s_own_stays_under_its_heading() -> None:
    mine = keep("my notes", "On the evaluation.\n")
    previous = CARD.replace("Table.\n", f"Old table.\n\n{mine}")
    merged = merge_kept(CARD, previous)
    assert merged == CARD.replace("Table.\n", f"Table.\n\n{mine}")
    assert merge_kept(CARD, merged) == merged


def test_section_whose_heading_is_gone_goes_to_the_end() -> None:
    mine = keep("more", "More.\n")
    merged = merge_kept(CARD, f"# small\n\n## Usage tips\n\n{mine}")
    assert merged == f"{CARD}\n{mine}"
    assert merge_kept(CARD, merged) == merged


def test_title_may_change() -> None:
    mine = keep("badge", "![badge](badge.png)\n")
    merged = merge_kept(CARD, f"# another name\n\n{mine}\n## Evaluation\n")
    assert merged.index("badge.png") < merged.index("## Evaluation")


def test_markers_in_code_blocks_are_text() -> None:
    card = f"# small\n\n````yaml\n```\n{keep('no')}````\n"
    assert kept_sections(card) == []


def test_open_code_block_inside_a_section_hides_nothing() -> None:
    mine = keep("introduction", "```python\nprint(1)\n")
    later = keep("later", "Later.\n")
    previous = CARD.replace(keep("introduction"), mine) + later
    assert [section.name for section in kept_sections(previous)] == ["introduction", "later"]


@pytest.mark.parametrize(
    ("card", "message"),
    [
        ("<!-- hubdistill:keep a -->\n", "'a' is not closed"),
        (f"<!-- hubdistill:keep a -->\n{keep('b')}{CLOSE}\n", "'a' is not closed"),
        (f"text\n{CLOSE}\n", "line 2"),
        ("<!-- hubdistill:keep -->\n", "opens or closes no section"),
        (keep("a") + keep("a"), "two kept sections named 'a'"),
    ],
)
def test_broken_markers_are_errors_that_say_where(card: str, message: str) -> None:
    with pytest.raises(CardError, match=message):
        merge_kept(CARD, card)


@given(st.text(st.characters(exclude_categories=["Cs"])).filter(lambda text: "hubdistill:keep" not in text))
def test_any_text_survives_any_number_of_generations(text: str) -> None:
    mine = keep("introduction", f"{text}\n")
    edited = CARD.replace(keep("introduction"), mine)
    once = merge_kept(CARD, edited)
    assert mine in once
    assert merge_kept(CARD, once) == once
