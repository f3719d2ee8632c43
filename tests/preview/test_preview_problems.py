"""What is found on a card before anybody reads it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from preview.conftest import CARD, Folder

from hubdistill.errors import CardError
from hubdistill.preview import Problem, card_problems
from hubdistill.preview.folder import read_folder
from hubdistill.preview.page import build_page

FRONT_MATTER, _, BODY = CARD.partition("---\n# Student\n")
FIRST = CARD.count("\n", 0, CARD.index("# Student")) + 1
"""The line of the title."""

Find = Callable[[str], list[tuple[int | None, str]]]


@pytest.fixture
def found(write: Folder) -> Find:
    """Find the problems of a text below the card's own front matter and title."""

    def found(text: str) -> list[tuple[int | None, str]]:
        problems = card_problems(write(f"{FRONT_MATTER}---\n# Student\n{text}\n"))
        return [(problem.line and problem.line - FIRST, problem.text) for problem in problems]

    return found


def test_a_good_card_has_none(folder: Path) -> None:
    assert card_problems(folder) == []


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("[x](figures/none.png)", 1, "the link figures/none.png leads to no file"),
        ("a\n\nb\n[x](none.md) c", 4, "the link none.md leads to no file"),
        ("- a\n- b ![x](none.png)", 2, "the image none.png leads to no file"),
        ("| a |\n|---|\n| x |\n| ![x](no.png) |", 4, "the image no.png leads to no file"),
        ("[x](Figures/Quality.png)", 1, "differs in upper and lower case from the file figures/quality.png"),
        ("[x](../other/README.md)", 1, "leads out of the repository"),
        ("[x](/report.json)", 1, "begins with a slash"),
        ("<p>\n<a href='none.txt'>x</a></p>", 2, "the link none.txt leads to no file"),
        ("[x](javascript:alert(1))", 1, "a link to javascript:alert(1) does not work"),
        ("[x](#nowhere)", 1, "no heading has the anchor #nowhere"),
        ("![](figures/quality.png)", 1, "has no alt text"),
        ("<img src='figures/quality.png'>", 1, "has no alt text"),
        ("<img alt='x'>", 1, "an image has no address"),
        ("![x](data:image/png;base64,AA==)", 1, "is not shown; put it in figures/"),
        ("x\n## Empty", 2, "nothing stands below the heading 'Empty'"),
        ("x\n## A\n<!-- c -->\n\n## B\nx", 2, "nothing stands below the heading 'A'"),
        ("x\n### A\n\n## B\nx", 2, "nothing stands below the heading 'A'"),
        ("## A\nx\n## A\nx", 3, f"the heading 'A' is also on line {FIRST + 1}"),
        ("| a | b |\n|---|---|\n| 1 |", 3, "has 2 columns and this row 1"),
        ("| a | b |\n|---|---|\n| 1 | 2 | 3 |", 3, "has 2 columns and this row 3"),
        ("| a | b |\n|---|\n| 1 | 2 |", 1, "not shown as a table: its header has 2 columns"),
        ("x\n<details><summary>s</summary>\n\nx", 2, "this <details> is never closed"),
        ("x\n\n</details>", 3, "this </details> closes nothing"),
        ("<details><summary>s</summary>\n**x**\n\n</details>", 2, "leave an empty line after </summary>"),
        ("x <script>x</script>", 1, "the tag <script> is left out"),
        ("<div style='color:red'>x</div>", 1, "the attribute style of <div> is left out"),
        ("<img src='figures/quality.png' alt='x' onerror='x'>", 1, "the attribute onerror of <img>"),
        ("[More Information Needed]", 1, "'[More Information Needed]' is a placeholder"),
        ("x\nTODO: more", 2, "'TODO' is a placeholder"),
        ('```python\nSentenceTransformer("your-username/x")\n```', 2, "'your-username/x' is a placeholder"),
        ('```python\nSentenceTransformer("student")\n```', 2, "readers cannot load 'student'"),
        ("in\u202evisible", 1, "characters that hide or reorder text (U+202E)"),
    ],
)
def test_a_problem_is_told_with_its_line(found: Find, text: str, line: int, said: str) -> None:
    problems = found(text)
    assert [place for place, _ in problems] == [line], problems
    assert said in problems[0][1]


@pytest.mark.parametrize(
    "text",
    [
        "[x](https://example.com) <https://example.com> me@example.com [y](#student) [z](figures/)",
        "## A\n\n### B\nx",
        "## A\n<details><summary>s</summary>\n\nx\n\n</details>",
        "| a | b |\n|---|---|\n| `1 \\| 2` | 3 |\n\n> | a | b |\n> |---|---|\n> | 1 | 2 |",
        '<a id="here"></a>\n\n[x](#here)',
        "x[^1]\n\n[^1]: note\n\n```html\n<script></script>\n```\n`<script>`",
        "| a |\n|---|\n| ~~x~~ |\n\nA line | with a bar\n\n--- \n",
        'SentenceTransformer("example/student")',
        "family: 👩\u200d👩\u200d👧",
    ],
)
def test_what_is_right_is_not_told(found: Find, text: str) -> None:
    assert found(text) == []


def test_a_file_that_stays_behind_is_told_as_such(write: Folder) -> None:
    folder = write(CARD + "\n[log](train.log) [here](runs/notes.txt)\n")
    (folder / "train.log").write_text("x")
    (folder / "runs").mkdir()
    (folder / "runs" / "notes.txt").write_text("x")
    texts = [problem.text for problem in card_problems(folder)]
    assert "the link train.log leads to a file that would not be published (a log)" in texts
    assert (
        "the link runs/notes.txt leads to a file that would not be published (logs of the training run)"
        in texts
    )


@pytest.mark.parametrize(
    ("before", "after", "line", "said"),
    [
        ("license: apache-2.0", "license: apache", 3, "license: 'apache' is not a licence id"),
        ("language: en", "language: no", 2, "language: YAML reads this as False"),
        ("pipeline_tag: sentence-similarity", "pipeline_tag: similar", 5, 'The pipeline tag "similar"'),
        ("base_model: example/teacher", "base_model: /home/x/teacher", 9, "base_model: '/home/x/teacher'"),
        ("- distillation", "- [distillation", 8, "not YAML"),
    ],
)
def test_metadata_is_checked_by_the_hubs_rules(
    write: Folder, before: str, after: str, line: int, said: str
) -> None:
    problems = card_problems(write(CARD.replace(before, after)))
    assert [problem.line for problem in problems] == [line], problems
    assert said in problems[0].text
    assert problems[0].text.startswith("metadata: ")


def test_missing_metadata_is_told(write: Folder) -> None:
    (problem,) = card_problems(write("# Student\n\nx\n"))
    assert (problem.line, problem.text[:28]) == (1, "metadata: no front matter: t")


def test_a_folder_that_is_no_complete_model_still_has_a_card(folder: Path) -> None:
    (folder / "modules.json").unlink()
    (problem,) = card_problems(folder / "README.md")
    assert problem.line is None
    assert problem.text.startswith("a push would be refused: ")


def test_a_folder_without_a_card(tmp_path: Path) -> None:
    (problem,) = card_problems(tmp_path)
    assert str(problem) == f"README.md: there is none; write it with: hubdistill card {tmp_path}"


def test_a_card_that_is_not_utf_8(folder: Path) -> None:
    (folder / "README.md").write_bytes(CARD.encode() + "\nEl niño\n".encode("latin-1"))
    (problem,) = card_problems(folder)
    assert (problem.line, problem.text) == (CARD.count("\n") + 2, "this is not UTF-8; save the file as UTF-8")


def test_no_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CardError, match="there is no folder"):
        card_problems(tmp_path / "none")


def test_windows_line_ends_keep_the_lines(write: Folder) -> None:
    folder = write()
    (folder / "README.md").write_bytes((CARD + "\nTODO\n\n[x](no.md)\n").replace("\n", "\r\n").encode())
    last = CARD.count("\n")
    assert [problem.line for problem in card_problems(folder)] == [last + 2, last + 4]


def test_a_problem_reads_as_editors_expect_it() -> None:
    assert str(Problem(3, "x; do y")) == "README.md:3: x; do y"


def test_no_text_of_the_card_gets_raw_into_a_message(found: Find) -> None:
    problems = found(
        "[x](a\u202eb%00.md) <\x1bx>\n\n## \u202eA\n" + "![" + "x" * 500 + "](" + "y" * 500 + ")"
    )
    assert problems
    for _, text in problems:
        assert not re.search("[\x00-\x1f\u202e]", text)
        assert len(text) < 400


@pytest.mark.parametrize(
    "golden", sorted((Path(__file__).parents[1] / "golden").glob("*.md")), ids=lambda path: path.stem
)
def test_our_own_cards_have_only_what_is_missing_beside_them(golden: Path, tmp_path: Path) -> None:
    if golden.stem == "foreign":
        pytest.skip("it is incomplete, and says so in its empty places")
    (tmp_path / "README.md").write_bytes(golden.read_bytes())
    rest = [p for p in card_problems(tmp_path) if "leads to no file that would be published" not in p.text]
    assert [problem.text.partition(":")[0] for problem in rest] == ["a push would be refused"]


BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]\n" for level in range(1, 8)
)
"""Ten million values in as many lines as there are levels."""


@pytest.mark.parametrize(
    "text",
    [
        "{{" * 30_000,
        "{{ x " * 30_000,
        "<!--" * 30_000,
        "# a\n<!--\n" * 10_000,
        "<your" * 30_000,
        "| a |\n|---|\n" + "1" * 30_000 + "|",
    ],
    ids=["braces", "spaced", "comments", "headings", "your", "digits"],
)
def test_long_runs_of_beginnings_without_an_end_are_read_once(write: Folder, text: str) -> None:
    found = card_problems(write(f"{FRONT_MATTER}---\n# Student\n{text}\n"))
    assert len(found) < 5
    assert sum(len(problem.text) for problem in found) < 1_000


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        (BOMB + "license: *a7\nlanguage: *a7\n", "its aliases"),
        (f"x: &x {'y' * 100_000}\ntags: [{', '.join(['*x'] * 1_000)}]\n", "its aliases"),
        ("tags: &tags [*tags]\n", "nested more than 50 levels"),
        (f"tags: {'[' * 60}{']' * 60}\n", "nested more than 50 levels"),
        (f"tags: {'[' * 30_000}{']' * 30_000}\n", "nested more than 50 levels"),
        (
            "b0: &b0 x\n" + "".join(f"b{level}: &b{level} [*b{level - 1}]\n" for level in range(1, 60)),
            "nested more than 50 levels",
        ),
    ],
    ids=["values", "text", "itself", "deep", "deeper", "by aliases"],
)
def test_metadata_that_would_explode_is_told_and_not_read(write: Folder, metadata: str, said: str) -> None:
    folder = write(f"---\n{metadata}---\n# Student\nx\n")
    (problem,) = [one for one in card_problems(folder) if one.text.startswith("metadata: ")]
    assert problem.line == 1
    assert said in problem.text
    assert len(build_page(read_folder(folder)).html) < 10_000


def test_an_alias_is_fine_where_it_says_little(write: Folder) -> None:
    card = CARD.replace("base_model: example/teacher", "base_model: &base example/teacher\nx: [*base, *base]")
    assert card_problems(write(card)) == []


def test_of_many_problems_of_the_metadata_the_first_are_told(write: Folder) -> None:
    card = CARD.replace("tags:\n", "tags:\n" + "- 1\n" * 10_000)
    found = card_problems(write(card))
    assert len(found) == 51
    assert any("more problems; mend these first" in problem.text for problem in found)


def test_long_values_are_cut(write: Folder) -> None:
    card = CARD.replace("name: STS Benchmark", f"name: {'x' * 5_000}")
    assert len(build_page(read_folder(write(card))).html) < 20_000
