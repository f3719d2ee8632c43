from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from hubdistill.cli.output import Format, Sink, Table, formatted

TABLE = Table(("name", "size"), [("a", "1.5 MB"), ("long name", "10.2 MB")])


def test_numbers_are_flush_right_and_words_flush_left() -> None:
    assert str(TABLE).splitlines() == [
        "name          size",
        "─────────  ───────",
        "a           1.5 MB",
        "long name  10.2 MB",
    ]


def test_a_table_without_rows_is_its_headings() -> None:
    assert str(Table(("a", "b"), [])).splitlines() == ["a  b", "─  ─"]


def test_a_title_stands_above() -> None:
    assert str(Table(("a",), [], title="All")).startswith("All\n\na")


def test_people_get_paragraphs(capsys: pytest.CaptureFixture[str]) -> None:
    Sink().show({"x": 1}, human=["one", "", "two"], quiet=["q"])
    assert capsys.readouterr().out == "one\n\ntwo\n"


def test_machines_get_json_with_paths_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    Sink(Format.json).show({"folder": Path("a"), "n": 1}, human=["words"], quiet=["q"])
    assert json.loads(capsys.readouterr().out) == {"folder": "a", "n": 1}


def test_quiet_prints_the_essence_one_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    Sink(Format.quiet).show({}, human=["words"], quiet=["a", Path("b")])
    assert capsys.readouterr().out == "a\nb\n"


def test_what_json_cannot_hold_is_a_mistake_of_ours() -> None:
    with pytest.raises(TypeError, match="set"):
        Sink(Format.json).show({1, 2}, human=[])


def test_quiet_leaves_out_remarks_but_not_warnings() -> None:
    Sink(Format.quiet)
    assert not logging.getLogger("hubdistill.x").isEnabledFor(logging.INFO)
    assert logging.getLogger("hubdistill.x").isEnabledFor(logging.WARNING)


def test_a_document_is_json_for_everyone(capsys: pytest.CaptureFixture[str]) -> None:
    for format in Format:
        Sink(format).show({"n": 1})
        assert json.loads(capsys.readouterr().out) == {"n": 1}


@formatted
def say(word: str, *, sink: Sink) -> None:
    """Say a word."""
    sink.show({"word": word}, human=[f"The word is {word}."], quiet=[word])


app = typer.Typer(rich_markup_mode=None)
app.command()(say)


@pytest.mark.parametrize(
    ("options", "printed"),
    [
        ([], "The word is a.\n"),
        (["--format", "human"], "The word is a.\n"),
        (["--format", "json"], '{\n  "word": "a"\n}\n'),
        (["--json"], '{\n  "word": "a"\n}\n'),
        (["--json", "--format=json"], '{\n  "word": "a"\n}\n'),
        (["--format=quiet"], "a\n"),
        (["-q"], "a\n"),
    ],
)
def test_a_command_prints_in_the_format_that_is_asked_for(options: list[str], printed: str) -> None:
    for arguments in (["a", *options], [*options, "a"]):
        result = CliRunner().invoke(app, arguments)
        assert (result.exit_code, result.output) == (0, printed)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--json", "-q"], "--json and --quiet contradict each other"),
        (["--format=human", "--json"], "--format human and --json contradict each other"),
        (["--format=quiet", "--json"], "--format quiet and --json contradict each other"),
        (["--format=yaml"], "'yaml' is not one of 'human', 'json', 'quiet'"),
    ],
)
def test_contradictions_are_told(options: list[str], message: str) -> None:
    result = CliRunner().invoke(app, ["a", *options])
    assert result.exit_code == 2
    assert message in result.output
