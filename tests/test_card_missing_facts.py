"""Without a fact there is no report, no card, or a card that does not pretend to know it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from sample_report import bge_m3_report

from hubdistill.card import render_card
from hubdistill.card.view import card_view
from hubdistill.errors import CardError, ReportError
from hubdistill.report import VARIANTS, parse_report, report_schema

SCHEMA = report_schema()

CARD_NEEDS = {
    "QuickStart.code": "quick_start.code",
    "QuickStart.output": "quick_start.output",
    "Architecture.attention_heads": "architecture.attention_heads",
    "Architecture.feed_forward": "architecture.feed_forward",
}
"""Facts that a report may have empty, but a card has not, and how the error calls them."""


def facts() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(bge_m3_report().model_dump_json())
    found["owner"]["license"] = "mit"
    return found


def objects(value: Any, schema: dict[str, Any], path: tuple[Any, ...] = ()) -> Iterator[tuple[str, Any]]:
    """The objects of a report, each with the name of its type and the way to it."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        yield name, path
        schema = SCHEMA["$defs"][name]
    for option in schema.get("anyOf", ()):
        if value is not None and ("$ref" in option or option.get("type") in ("object", "array")):
            yield from objects(value, option, path)
    if isinstance(value, dict):
        inner = schema.get("additionalProperties")
        for key, one in value.items():
            known = schema.get("properties", {}).get(key, inner)
            yield from objects(one, known, (*path, key)) if isinstance(known, dict) else ()
    elif isinstance(value, list):
        for place, one in enumerate(value):
            yield from objects(one, schema.get("items", {}), (*path, place))


FIRST = dict(reversed([*objects(facts(), SCHEMA)]))
"""The way to the first object of each type."""


IN_A_RECIPE = {"Teacher", "Evaluation", "Speed", "SimilaritySet", "RetrievalSet"}
"""Types of what was asked for, in `plan`."""


def fields(*, required: bool) -> list[tuple[str, tuple[Any, ...], str]]:
    """Every field of a type that the sample has, with the way to the first object of it."""
    found = [("DistillationReport", (), SCHEMA)]
    found += [(name, path, SCHEMA["$defs"][name]) for name, path in FIRST.items() if name not in IN_A_RECIPE]
    return [
        (f"{name}.{field}", path, field)
        for name, path, definition in found
        for field in definition["properties"]
        if (field in definition.get("required", ())) == required
    ]


def at(data: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        data = data[key]
    return data


@pytest.mark.parametrize(("fact", "path", "field"), fields(required=True), ids=lambda value: str(value))
def test_report_without_a_required_fact_is_refused_by_its_name(
    fact: str, path: tuple[Any, ...], field: str
) -> None:
    data = facts()
    del at(data, path)[field]
    with pytest.raises(ReportError, match=re.escape(field)):
        parse_report(json.dumps(data).encode())


@pytest.mark.parametrize(("fact", "path", "field"), fields(required=False), ids=lambda value: str(value))
def test_card_without_an_optional_fact_says_nothing_of_it(
    fact: str, path: tuple[Any, ...], field: str
) -> None:
    data = facts()
    if field not in at(data, path) or fact == "DistillationReport.schema_version":
        pytest.skip("the sample has none")
    del at(data, path)[field]
    report = parse_report(json.dumps(data).encode())
    if fact in CARD_NEEDS:
        with pytest.raises(CardError, match=re.escape(CARD_NEEDS[fact])):
            render_card(report)
    else:
        assert len(re.findall(r"\bNone\b", render_card(report))) == 0


@pytest.mark.parametrize("field", ["code", "output"])
def test_card_without_its_snippet_is_refused_by_name(field: str) -> None:
    data = facts()
    data["quick_start"][field] = " \n"
    with pytest.raises(CardError, match=CARD_NEEDS[f"QuickStart.{field}"]):
        card_view(parse_report(json.dumps(data).encode()))


def test_every_score_of_the_teacher_on_whole_data_is_needed() -> None:
    data = facts()
    alone = [m for m in data["measurements"] if m["model"] == data["teacher"] and m["against"] is None]
    theirs = [m for m in alone if VARIANTS.isdisjoint(m["parameters"])]
    assert len(theirs) > 10
    for m in theirs:
        less = {**data, "measurements": [one for one in data["measurements"] if one is not m]}
        with pytest.raises(
            CardError, match=rf"measurements: {m['metric']} of {data['teacher']} on {m['data']}"
        ):
            card_view(parse_report(json.dumps(less).encode()))
