from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from hubdistill.cli.output import Sink, Table

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
    Sink(json=True).show({"folder": Path("a"), "n": 1}, human=["words"], quiet=["q"])
    assert json.loads(capsys.readouterr().out) == {"folder": "a", "n": 1}


def test_quiet_prints_the_essence_one_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    Sink(quiet=True).show({}, human=["words"], quiet=["a", Path("b")])
    assert capsys.readouterr().out == "a\nb\n"


def test_what_json_cannot_hold_is_a_mistake_of_ours() -> None:
    with pytest.raises(TypeError, match="set"):
        Sink(json=True).show({1, 2}, human=[])


def test_quiet_leaves_out_remarks_but_not_warnings() -> None:
    Sink(quiet=True)
    assert not logging.getLogger("hubdistill.x").isEnabledFor(logging.INFO)
    assert logging.getLogger("hubdistill.x").isEnabledFor(logging.WARNING)
