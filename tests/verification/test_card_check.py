"""Published cards against their reports: untouched ones, and ones changed by hand."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sample_report
import yaml

from hubdistill.card import render_card
from hubdistill.card.metadata import read_metadata
from hubdistill.eval_results import FOLDER, write_eval_results
from hubdistill.figures import planned_figures
from hubdistill.hub.card_on_hub import merge_card, read
from hubdistill.hub.local import from_bytes
from hubdistill.report import DistillationReport
from hubdistill.verification.card_check import CardCheck, check_card
from hubdistill.verification.card_lines import Comparison, compare_text

REPORT = sample_report.bge_m3_report()
REPO = f"example/{REPORT.student}"
CARD = render_card(REPORT, repo_id=REPO, figures=planned_figures(REPORT))
PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01"
"""The beginning of a picture of one pixel."""
MINUS = "\N{MINUS SIGN}"


def check(card: str, report: DistillationReport = REPORT, **options: Any) -> CardCheck:
    return check_card(card, report, repo_id=REPO, **options)


TEXT = read_metadata(CARD)[1]
FIRST_LINE = CARD.count("\n") - TEXT.count("\n") + 1


def compare(text: str, **options: Any) -> Comparison:
    """The text of the card, changed by hand, beside that of the report."""
    return compare_text(text, TEXT, first_line=FIRST_LINE, **options)


def edited(old: str, new: str) -> Comparison:
    """The same with one place changed."""
    assert TEXT.count(old) == 1
    return compare(TEXT.replace(old, new))


def line_of(text: str, card: str = CARD) -> int:
    return next(number for number, line in enumerate(card.splitlines(), 1) if text in line)


def row(label: str, under: str, card: str = CARD) -> str:
    """A row of the first table under a heading."""
    part = card.split(f"{under}\n", 1)[1]
    return next(line for line in part.splitlines() if line.startswith(f"| {label} |"))


def with_metadata(change: Callable[[dict[str, Any]], Any]) -> str:
    """The card with its metadata changed, and written as another tool would."""
    declared, text = read_metadata(CARD)
    change(declared)
    return f"---\n{yaml.safe_dump(declared, sort_keys=True)}---\n{text}"


def metrics(declared: dict[str, Any]) -> list[dict[str, Any]]:
    return [m for result in declared["model-index"][0]["results"] for m in result["metrics"]]


def clean(found: CardCheck) -> bool:
    return not found.problems and {claim.verdict for claim in found.claims} == {"same"}


@pytest.mark.parametrize(
    "make",
    [
        sample_report.bge_m3_report,
        sample_report.mxbai_report,
        sample_report.static_report,
        sample_report.trimmed_report,
        sample_report.other_model_report,
        sample_report.compared_report,
    ],
)
def test_an_untouched_card_is_clean(make: Callable[[], DistillationReport]) -> None:
    report = make()
    for repo_id, line_end in ((f"example/{report.student}", "\n"), (None, "\r\n")):
        card = render_card(report, repo_id=repo_id, figures=planned_figures(report))
        found = check_card(card.replace("\n", line_end), report, repo_id=repo_id)
        assert clean(found)
        assert not found.notes


def test_kept_sections_and_the_merge_of_a_push_change_nothing() -> None:
    words = (
        "## 99.9% of everything\n\n| Data set | This model |\n| :-- | --: |\n| mine | 0.9999 |\n\n```\nopen"
    )
    section = "<!-- hubdistill:keep {} -->\n"
    on_hub = CARD.replace(section.format("limitations"), f"{section.format('limitations')}{words}\n")
    on_hub += f"\n{section.format('mine')}All 42 of them.\n<!-- /hubdistill:keep -->\n"
    merged = merge_card(from_bytes("README.md", CARD.encode()), on_hub)
    for card in (on_hub, read(merged)):
        found = check(card)
        assert clean(found)
        assert found.notes == (
            "the author's own words are not judged: kept sections 'limitations' and 'mine'",
        )


def test_metadata_that_another_tool_has_written_is_compared_as_data() -> None:
    def change(declared: dict[str, Any]) -> None:
        declared["base_model"] = [declared["base_model"]]
        declared["tags"].append("my-tag")
        declared["widget"] = [{"text": "a"}]
        for metric in metrics(declared):
            metric["value"] = round(metric["value"], 3)

    card = with_metadata(change)
    assert card.splitlines()[1] == "base_model:"
    found = check(card)
    assert clean(found)
    assert not found.notes


def test_a_figure_of_the_metadata_that_was_changed() -> None:
    def change(declared: dict[str, Any]) -> None:
        metrics(declared)[0]["value"] = 0.9312

    found = check(with_metadata(change))
    (claim,) = [claim for claim in found.claims if claim.verdict != "same"]
    assert (claim.figure, claim.model, claim.data) == ("spearman_cosine", REPORT.student, "stsb")
    assert (claim.source, claim.claimed, claim.measured, claim.verdict) == ("card", 0.9312, 0.8391, "differs")
    assert claim.measured_interval == (0.8211, 0.8571)
    assert not found.problems


def test_two_figures_that_changed_places_are_both_wrong() -> None:
    def change(declared: dict[str, Any]) -> None:
        (k10, k50) = [m for m in metrics(declared) if m["type"] == "precision_at_k"][:5:4]
        k10["value"], k50["value"] = k50["value"], k10["value"]

    found = check(with_metadata(change))
    assert [c.figure for c in found.claims if c.verdict == "differs"] == [
        "precision_at_k[k=10]",
        "precision_at_k[k=50]",
    ]


def test_a_figure_that_the_report_does_not_have_was_not_measured() -> None:
    def change(declared: dict[str, Any]) -> None:
        results = declared["model-index"][0]["results"]
        results[0]["metrics"][0]["name"] = "Renamed, but the same"
        results[0]["metrics"].append({"type": "accuracy", "value": 99.9, "name": "Accuracy"})
        results[1]["metrics"].append({"type": "f1", "value": "high"})
        del results[2]

    found = check(with_metadata(change))
    (claim,) = [claim for claim in found.claims if claim.verdict != "same"]
    assert (claim.figure, claim.verdict, claim.why) == ("accuracy", "not run", "the report does not have it")
    (problem,) = found.problems
    assert problem.text == "f1 on Held-out texts: the value 'high' is not a number"
    renamed, lacking = found.notes
    assert renamed == (
        "the card's model-index has names of its own: 'Renamed, but the same' for 'Spearman (cosine)'"
    )
    assert re.fullmatch(r"the card's model-index lacks \d+ figures of the report", lacking)


def test_a_figure_of_the_metadata_may_not_have_the_name_of_another() -> None:
    def change(declared: dict[str, Any]) -> None:
        results = declared["model-index"][0]["results"]
        results[0]["dataset"]["name"] = "cranfield"
        results[1]["metrics"][0]["name"] = "nDCG@10"

    found = check(with_metadata(change))
    assert {claim.verdict for claim in found.claims} == {"same"}
    assert {problem.text for problem in found.problems} == {
        "spearman_cosine on sentence-transformers/stsb: is named 'cranfield', "
        "and 'STS Benchmark (test)' in the report",
        "pearson_cosine on sentence-transformers/stsb: is named 'cranfield', "
        "and 'STS Benchmark (test)' in the report",
        "teacher_cosine on held-out: is named 'nDCG@10', and 'Mean cosine to the teacher' in the report",
    }


def test_licence_and_base_model_are_those_of_the_report() -> None:
    def change(declared: dict[str, Any]) -> None:
        declared |= {"license": "apache-2.0", "base_model": "other/teacher", "language": ["en"]}

    found = check(with_metadata(change))
    assert {(p.place, p.text) for p in found.problems} == {
        ("README.md, metadata", "license is 'apache-2.0', and 'mit' in the report"),
        ("README.md, metadata", "base_model is 'other/teacher', and 'BAAI/bge-m3' in the report"),
    }
    assert found.notes == ("README.md, metadata: language lacks 'de' and 'tr', which the report calls for",)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("keeps 98.8% of", "keeps 99.8% of", "says '99.8%' where the report says '98.8%'"),
        ("It encodes 2.8x", "It encodes 8.2x", "says '8.2x' where the report says '2.8x'"),
        (
            "keeps 98.8% of the teacher's",
            "matches or beats 99.9% of the great teacher's",
            "says 'matches or beats 99.9%' where the report says 'keeps 98.8%'",
        ),
        (
            "366.2M parameters (teacher",
            "12M parameters (teacher",
            "says '12M' where the report says '366.2M'",
        ),
        ("What comes after 8,192", "What comes after 32,768", "says '32,768' where the report says '8,192'"),
        (
            "[0.7104, 1.0000, 0.3809]",
            "[0.7104, 1.0000, 0.9809]",
            "says '0.9809' where the report says '0.3809'",
        ),
        ("- Seed: 12", "- Seed: 99", "says '99' where the report says '12'"),
    ],
)
def test_a_figure_in_the_text_that_was_changed(old: str, new: str, said: str) -> None:
    found = edited(old, new)
    (problem,) = found.problems
    assert problem.place == f"README.md, line {line_of(old)}"
    assert said in problem.text
    assert not found.notes


def test_a_figure_of_a_table_is_named_by_its_row() -> None:
    old = row("STS Benchmark (test)", "### Semantic similarity")
    found = edited(old, old.replace("0.8391", "0.9312", 1))
    (problem,) = found.problems
    assert problem.place == f"README.md, line {line_of(old)}"
    assert problem.text == "STS Benchmark (test): says '0.9312' where the report says '0.8391'"


def test_rows_of_two_tables_that_changed_places_are_found() -> None:
    """One row of Spearman, the other of Pearson; each has the figures of the other."""
    spearman, pearson = (
        line for line in CARD.splitlines() if line.startswith("| STS Benchmark (test) | 1,379 |")
    )
    text = TEXT.replace(spearman, "@@").replace(pearson, spearman).replace("@@", pearson)
    places = {problem.place for problem in compare(text).problems}
    assert places == {f"README.md, line {line_of(line)}" for line in (spearman, pearson)}


def test_a_verdict_of_a_table_may_not_be_taken_away() -> None:
    card = render_card(sample_report.mxbai_report(), repo_id=REPO)
    report = sample_report.mxbai_report()
    place = card.index("<br>no measurable difference |")
    found = check(card[:place] + card[place + len("<br>no measurable difference") :], report)
    assert [problem.text for problem in found.problems] == [
        "STS Benchmark (test): leaves out '<br>no measurable difference'"
    ]


def test_rows_may_not_be_taken_out_of_a_table_or_put_into_it() -> None:
    old = row("Size on disk", "<!-- /hubdistill:keep -->")
    gone = compare(TEXT.replace(f"{old}\n", "", 1))
    (problem,) = gone.problems
    assert problem.text.startswith("the row '| Size on disk |")
    more = compare(TEXT.replace(old, f"{old}\n| My own set | 0.9999 | 0.1 | 999.9% |", 1))
    (problem,) = more.problems
    assert problem.place == f"README.md, line {line_of(old) + 1}"
    assert (
        problem.text
        == "the report does not have the row '| My own set | 0.9999 | 0.1 | 999.9% |' of this table"
    )


def test_limits_may_not_be_taken_away() -> None:
    limit = next(line for line in TEXT.splitlines() if line.startswith("- It is furthest from the teacher"))
    (problem,) = compare(TEXT.replace(f"{limit}\n", "")).problems
    assert problem.text.startswith("does not say what the report knows: '- It is furthest from the teacher")
    (problem,) = compare(
        TEXT.replace("- Social biases, in the student or in comparison with the teacher.\n", "")
    ).problems
    assert "Social biases" in problem.text


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("<!--", "-->"),
        ("Words <!-- and more", "and more --> words"),
        ("<details><summary>Boilerplate</summary>", "</details>"),
        ('<div style="display: none">', "</div>"),
        ("<section hidden>", "</section>"),
        ('<div title="a > b"  hidden>', "</div>"),
        ("<?", "?>"),
        ("```", "```"),
    ],
)
def test_limits_may_not_be_hidden(before: str, after: str) -> None:
    part = TEXT[TEXT.index("## Limitations") : TEXT.index("## Licence and provenance")]
    found = edited(part, f"{before}\n\n{part}\n{after}\n\n")
    first, last = line_of("## Limitations"), line_of("texts in Turkish (Mean")
    (problem,) = found.problems
    assert problem.place == f"README.md, lines {first + 2}-{last + 2}"
    assert "is hidden" in problem.text
    # The same somewhere else is a note.
    found = edited("## Licence and provenance", f"{before}\nMine.\n{after}\n\n## Licence and provenance")
    assert not found.problems


def test_a_kept_section_or_a_moved_line_hides_no_limits_either() -> None:
    kept = "<!-- hubdistill:keep intended use -->\n"
    assert edited(kept, f"{kept}<details>\n").problems
    summary = "<details><summary>recipe.yaml</summary>\n"
    recipe = TEXT[TEXT.index(summary) : TEXT.index("</details>", TEXT.index(summary))]
    moved = TEXT.replace(f"{recipe}</details>\n", recipe)
    moved = moved.replace("## Licence and provenance", "</details>\n\n## Licence and provenance")
    assert compare(moved).problems
    for opening in ("<p hidden>", '<div\nstyle="display: none">'):
        assert edited("## Limitations\n", f"{opening}\n## Limitations\n").problems


@pytest.mark.parametrize(
    "words",
    [
        '<img src="a.png" style="width:300px">',
        '<p style="color: red">Mine.',
        "See <https://example.org/docs/style-guide>.",
        "It takes a `<details>` or a List<object>.",
        '<div class="mine">Mine.</div>',
        '<a href="style.html">Mine</a>',
    ],
)
def test_what_an_author_writes_in_a_kept_section_hides_nothing(words: str) -> None:
    kept = "<!-- hubdistill:keep introduction -->\n"
    assert not edited(kept, f"{kept}{words}\n").problems


def test_a_line_of_the_limits_may_not_hide_its_own_words() -> None:
    line = next(line for line in TEXT.splitlines() if line.startswith("- What comes after"))
    (problem,) = edited(line, f"<!-- {line} -->").problems
    assert "'<!-" in problem.text


def test_what_a_person_added_outside_kept_sections_is_said_to_be_unchecked() -> None:
    found = edited("\n## Quick start\n", "\n## My results\n\nIt scores 0.9999 on my set.\n\n## Quick start\n")
    assert not found.problems
    first = line_of("## Quick start")
    assert found.notes == [
        f"README.md, lines {first}-{first + 2}: not from the report, and in no kept section; "
        "nothing there was checked",
    ]


def test_other_words_with_the_same_figures_are_a_note() -> None:
    found = edited(
        "Places where the teacher is too slow or too large;", "Places where the teacher is too costly;"
    )
    assert not found.problems
    (note,) = found.notes
    assert "says 'costly' where the report says 'slow or too large'" in note


def test_a_part_that_was_moved_or_removed_is_no_lie() -> None:
    head, rest = TEXT.split("## Intended use\n", 1)
    use, tail = rest.split("## Licence and provenance\n", 1)
    provenance, citation = tail.split("## Citation\n", 1)
    moved = f"{head}## Licence and provenance\n{provenance}## Intended use\n{use}## Citation\n{citation}"
    assert moved != TEXT
    found = compare(moved)
    assert found == Comparison(found.expected, found.expected)
    removed = compare(f"{head}## Intended use\n{use}## Citation\n{citation}")
    assert not removed.problems
    assert "under '## Licence and provenance'" in removed.notes[0]


def test_a_card_for_another_repository_is_said_to_be_one() -> None:
    found = check_card(CARD, REPORT, repo_id="somebody/copy")
    assert clean(found)
    assert found.notes == (f"the card's snippets load '{REPO}', not 'somebody/copy'",)
    local = render_card(REPORT, figures=planned_figures(REPORT))
    assert check_card(local, REPORT, repo_id=REPO).notes == (
        f"the card's snippets load '{REPORT.student}', not '{REPO}'",
    )


def test_a_snippet_that_loads_another_model_is_a_problem() -> None:
    found = check(CARD.replace(f'SentenceTransformer("{REPO}"', 'SentenceTransformer("somebody/else"', 1))
    assert [problem.text for problem in found.problems] == [
        "its snippets load 'somebody/else', another model than the one it is about"
    ]


def test_a_card_of_another_hubdistill_is_compared_where_its_words_are_the_same() -> None:
    older = REPORT.model_copy(update={"hubdistill_version": "0.0.9"})
    card = render_card(older, repo_id=REPO, figures=planned_figures(older))
    card = card.replace("Each cell is this model's score minus the sibling's", "Differences of 2 scores")
    card = card.replace("keeps 98.8% of", "keeps 98.9% of")  # rounded up, as it might have been
    found = check(card, older)
    assert clean(found)
    (note,) = found.notes
    assert note.startswith(
        "the card was made with another template or hubdistill than this one (0.1.0): of the "
    )
    (problem,) = check(card.replace("| 0.8391<br>", "| 0.9312<br>", 1), older).problems
    assert problem.text == "STS Benchmark (test): says '0.9312' where the report says '0.8391'"


def test_a_card_of_another_template_is_compared_where_its_words_are_the_same(tmp_path: Path) -> None:
    template = tmp_path / "card.md.j2"
    template.write_text(
        "---\n{{ metadata }}\n---\n# {{ name }}: 12 of 10\n\n{{ glance }}\n\n| a | b |\n| 1 | 2 |\n"
    )
    owner = REPORT.owner.model_copy(update={"template": "card.md.j2"})
    report = REPORT.model_copy(update={"owner": owner})
    card = render_card(report, repo_id=REPO, template=template)
    found = check(card, report)
    assert clean(found)
    assert any("another template" in note for note in found.notes)
    changed = card.replace("| Size on disk | 1.48 GB", "| Size on disk | 0.48 GB", 1)
    (problem,) = check(changed, report).problems
    assert "says '0.48'" in problem.text


def test_a_card_that_lacks_most_lines_is_no_other_template_unless_the_report_says_so() -> None:
    found = compare(TEXT[: TEXT.index("## Evaluation")] + TEXT[TEXT.index("## Limitations") :])
    assert not found.other_template
    assert any(re.match(r"lacks \d+ of the \d+ lines", problem.text) for problem in found.problems)


@pytest.mark.parametrize(
    ("card", "problem"),
    [
        (CARD.partition("---\n<!--")[2], "no front matter"),
        (CARD.replace("license: mit", "license: [mit"), "the front matter is not YAML"),
        (CARD.replace("<!-- /hubdistill:keep -->", "", 1), "kept section 'introduction' is not closed"),
        (
            CARD.replace("license: mit", "license: apache-2.0\nlicense: mit"),
            "the key 'license' stands there twice",
        ),
        ("", "no front matter"),
        ("---\nlicense: mit\nbase_model: BAAI/bge-m3\nmodel-index: 3\n---\n", ""),
    ],
)
def test_a_broken_card_is_a_problem_and_no_crash(card: str, problem: str) -> None:
    found = check(card)
    assert problem in "; ".join(one.text for one in found.problems)


def test_pictures_must_be_there(tmp_path: Path) -> None:
    planned = planned_figures(REPORT)
    (tmp_path / "figures").mkdir()
    for figure in planned[1:]:
        (tmp_path / figure.path).write_bytes(PNG)
    (problem,) = check(CARD, folder=tmp_path).problems
    assert problem.text == f"shows {planned[0].path}, which is not there"
    for content in (b"png", PNG[:20], PNG.replace(b"\x01", b"\x00"), b"GIF89a" + PNG):
        (tmp_path / planned[0].path).write_bytes(content)
        (problem,) = check(CARD, folder=tmp_path).problems
        assert problem.place == planned[0].path
        assert problem.text == "is no PNG picture, though the card shows it"


def test_scores_for_leaderboards_are_those_of_the_report(tmp_path: Path) -> None:
    cranfield = REPORT.data["cranfield"].model_copy(
        update={"hub_id": "example/cranfield", "split": "test", "benchmark_task": "cranfield-en"}
    )
    report = REPORT.model_copy(update={"data": {**REPORT.data, "cranfield": cranfield}})
    card = render_card(report, repo_id=REPO)
    (path,) = write_eval_results(tmp_path, report)
    untouched = check(card, report, folder=tmp_path)
    assert clean(untouched)
    assert len(untouched.claims) == len(check(card, report).claims) + 1

    (entry,) = yaml.safe_load(path.read_text())
    path.write_text(
        yaml.safe_dump([{**entry, "value": 0.9999}, {**entry, "dataset": {"id": "a/b", "task_id": "c"}}])
    )
    (tmp_path / FOLDER / "theirs.yaml").write_text("- 3\n")
    (tmp_path / FOLDER / "hubdistill-x.yml").write_text("- 3\n")
    (tmp_path / FOLDER / "hubdistill-broken.yaml").write_text("- 3\n")
    found = check(card, report, folder=tmp_path)
    wrong, unknown = [claim for claim in found.claims if claim.verdict != "same"]
    assert (wrong.claimed, wrong.verdict) == (0.9999, "differs")
    assert (unknown.data, unknown.verdict) == ("a/b, c", "not run")
    assert [problem.place for problem in found.problems] == [f"{FOLDER}/hubdistill-broken.yaml"]
    for name in ("theirs.yaml", "hubdistill-x.yml"):
        assert f"{FOLDER}/{name} is not hubdistill's, and was not checked" in found.notes


def test_torch_is_not_needed() -> None:
    code = "import sys, hubdistill.verification.card_check; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


def test_the_result_is_plain_data() -> None:
    json.dumps([claim.__dict__ for claim in check(CARD).claims])
