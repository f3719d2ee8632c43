"""Cards that a person or a formatter has gone over: what they may write otherwise, and what they may not."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable

import pytest
import sample_report

from hubdistill.card import render_card
from hubdistill.card.metadata import read_metadata
from hubdistill.figures import planned_figures
from hubdistill.verification.card_lines import Comparison, compare_text

REPORT = sample_report.bge_m3_report()
TEXT = read_metadata(render_card(REPORT, figures=planned_figures(REPORT)))[1]
CLAIM = next(line for line in TEXT.splitlines() if line.startswith("**bge-m3-8-layers** maps"))
LIMIT = next(line for line in TEXT.splitlines() if line.startswith("- It is furthest from the teacher"))
GLANCE = TEXT[TEXT.index("|  | This model |") : TEXT.index("\n\n![")]
STS = next(line for line in TEXT.splitlines() if line.startswith("| STS Benchmark (test) |"))
MINUS = "\N{MINUS SIGN}"


def edited(*changes: tuple[str, str]) -> Comparison:
    """The card's text with places changed, beside the report's."""
    text = TEXT
    for old, new in changes:
        assert old in text
        assert old != new
        text = text.replace(old, new, 1)
    return compare_text(text, TEXT)


def outside_code(change: Callable[[str], str]) -> str:
    """The text with every line that is not code changed."""
    parts = re.split(r"(?ms)(^```.*?^```$)", TEXT)
    return "".join(
        part if number % 2 else "\n".join(map(change, part.split("\n"))) for number, part in enumerate(parts)
    )


def wrapped(line: str) -> str:
    return "\n".join(
        textwrap.wrap(line, 80, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
    )


@pytest.mark.parametrize(
    "row",
    [
        lambda row: row.replace("| ", "|    ").replace(" |", "   |").replace("--", "-------"),
        lambda row: f"  {row}  ",
        lambda row: row if row.startswith("|  |") or row.count("|") == 2 else row.strip("|"),
        lambda row: row.replace("<br>", "<br />").replace(MINUS, "-"),
        lambda row: re.sub(r"(?<= )(0\.\d{4})", r"**\1**", row),
        lambda row: re.sub(r"^\| (STS Benchmark \(test\)|Cranfield) ", r"| [\1](https://example.org) ", row),
    ],
    ids=["padded", "indented", "without outer pipes", "br and minus", "bold", "link"],
)
def test_tables_may_be_written_otherwise_but_say_the_same(row: Callable[[str], str]) -> None:
    text = outside_code(lambda line: row(line) if line.startswith("|") else line)
    assert text != TEXT
    found = compare_text(text, TEXT)
    assert not found.problems
    assert not found.notes
    changed = compare_text(text.replace("0.8391", "0.9391"), TEXT)
    assert any(problem.text.startswith("STS Benchmark (test): says '0.9391'") for problem in changed.problems)


def test_paragraphs_and_list_items_may_be_broken_anywhere() -> None:
    text = outside_code(
        lambda line: line if len(line) <= 80 or line.startswith(("|", "<", "!")) else wrapped(line)
    )
    assert wrapped(CLAIM) in text
    found = compare_text(text, TEXT)
    assert not found.problems
    assert not found.notes


def test_a_broken_claim_is_judged_like_any_other() -> None:
    better = CLAIM.replace("keeps 98.8%", "keeps 99.8%").replace("0.4691 against", "0.4891 against")
    (problem,) = edited((CLAIM, wrapped(better))).problems
    assert "says '99.8%' where the report says '98.8%'" in problem.text


def test_the_claim_may_not_be_left_out() -> None:
    (problem,) = edited((CLAIM, "")).problems
    assert problem.text.startswith("does not say what the report knows: 'bge-m3-8-layers maps texts")
    assert edited((CLAIM, "My own words about it.")).problems
    assert edited((GLANCE, "")).problems


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("there is no measurable difference to the teacher", "it is measurably better than the teacher"),
        ("It encodes 2.8x as many", "It encodes many times as many"),
        ("On Cranfield there", "On MS MARCO there"),
        ("It is furthest from the teacher on", "It is not far from the teacher on"),
        ("and inherits the teacher's mistakes and biases", "and has none of its mistakes and biases"),
    ],
)
def test_claim_and_limits_are_in_the_words_of_the_report(old: str, new: str) -> None:
    (problem,) = edited((old, new)).problems
    assert "says '" in problem.text


def test_data_sets_of_the_claim_may_not_change_places() -> None:
    swapped = CLAIM.replace("Cranfield", "@").replace("STS Benchmark (test)", "Cranfield")
    assert edited((CLAIM, swapped.replace("@", "STS Benchmark (test)"))).problems


@pytest.mark.parametrize(
    ("before", "after"), [("<!--", "-->"), ("<details hidden>", "</details>"), ("```", "```")]
)
@pytest.mark.parametrize("part", [CLAIM, GLANCE], ids=["claim", "table"])
def test_claim_and_its_table_may_not_be_hidden(part: str, before: str, after: str) -> None:
    for gap in ("\n", "\n\n"):
        assert edited((part, f"{before}{gap}{part}{gap}{after}")).problems


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("<!-- hubdistill:keep introduction -->\n", "<!-- hubdistill:keep introduction -->\n99.9% of all.\n"),
        ("## Quick start\n", "It serves us well.\n\n## Quick start\n"),
        ("## Limitations\n", "## Grenzen\n"),
        ("# bge-m3-8-layers\n", "# Unser Modell\n"),
    ],
)
def test_an_authors_own_words_beside_them_pass(old: str, new: str) -> None:
    assert not edited((f"\n{old}", f"\n{new}")).problems


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("| Data set | Pairs | Teacher | This model | Difference | Kept |", "Data set: says 'Teacher |'"),
        ("| Set | Number | Ours | Theirs | Loss | Share |", "'| STS Benchmark (test) | 1,379 | 0.8391<br>"),
    ],
)
def test_rows_may_not_stand_under_other_columns(header: str, said: str) -> None:
    found = edited(("| Data set | Pairs | This model | Teacher | Difference | Kept |", header))
    (problem,) = found.problems
    assert problem.text.startswith(said)


def test_tables_may_not_change_their_titles() -> None:
    """The table of Spearman under the title of Pearson, and the other way round."""
    first, second = "**Spearman (cosine)**\n", "<summary>Pearson (cosine)</summary>\n"
    found = edited(
        (first, first.replace("Spearman", "Pearson")), (second, second.replace("Pearson", "Spearman"))
    )
    assert [problem.text[:26] for problem in found.problems] == ["STS Benchmark (test): says"] * 2


def test_a_translated_title_of_a_table_is_a_note() -> None:
    assert not edited(("### Semantic similarity\n", "### Bedeutung\n")).problems


def test_what_goes_on_below_a_table_without_an_empty_line_is_a_row_of_it() -> None:
    (problem,) = edited((STS, f"{STS}\nMine | 9 | 0.9999 | 0.1 | 0.8 | 999%")).problems
    assert problem.text.startswith("the report does not have the row '| Mine | 9 |")
