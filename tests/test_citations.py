"""BibTeX: complete, valid, without repeats."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample_report import bge_m3_report, mxbai_report, static_report

from hubdistill.bibtex import card_citations, parse_bibtex
from hubdistill.citations import (
    LAYER_DROPPING,
    METHODS,
    SENTENCE_TRANSFORMERS,
    TEACHERS,
    citations,
)
from hubdistill.errors import CardError


def keys(report: object) -> list[str]:
    return [entry.key for entry in citations(report)]  # type: ignore[arg-type]


def test_library_losses_method_and_teacher_are_cited_in_this_order() -> None:
    assert keys(bge_m3_report()) == [
        "reimers-2019-sentence-bert",
        "reimers-2020-multilingual-sentence-bert",
        "hinton2015distilling",
        "sajjad2023effect",
        "bge-m3",
    ]


def test_leaving_out_layers_is_cited_where_it_was_done() -> None:
    report = bge_m3_report()
    student = report.models[report.student]
    whole = student.architecture.model_copy(update={"kept_layers": None})
    models = {**report.models, report.student: student.model_copy(update={"architecture": whole})}
    assert "sajjad2023effect" not in keys(report.model_copy(update={"models": models}))


def test_owner_s_own_work_comes_first() -> None:
    assert keys(mxbai_report())[0] == "example2026"
    assert keys(mxbai_report())[-2:] == ["emb2024mxbai", "li2023angle"]


def test_static_student_cites_its_solver() -> None:
    assert keys(static_report())[-2:] == ["hestenes1952methods", "wang2020minilm"]


def test_a_key_is_cited_once_whatever_its_case() -> None:
    report = bge_m3_report()
    assert report.training is not None
    again = SENTENCE_TRANSFORMERS.replace("reimers-2019-sentence-bert", "Reimers-2019-Sentence-BERT")
    training = report.training.model_copy(update={"citations": (again, again)})
    found = [key.lower() for key in keys(report.model_copy(update={"training": training}))]
    assert found.count("reimers-2019-sentence-bert") == 1


def test_entries_of_the_teacher_s_own_card_are_taken_over_once() -> None:
    own = "@misc{theirs, title = {Their teacher}, year = {2024}}"
    (known,) = TEACHERS["baai/bge-m3"]
    card = f"# Teacher\n\n```bibtex\n{own}\n```\n\n```\n{known}\n```\n\n```python\n@decorated\n```\n"
    found = card_citations(card)
    assert found == (own, known)
    report = bge_m3_report()
    teacher = report.models[report.teacher].model_copy(update={"citations": found})
    again = report.model_copy(update={"models": {**report.models, report.teacher: teacher}})
    assert keys(again)[-2:] == ["theirs", "bge-m3"]
    assert card_citations(f"```\n@misc{{long, note = {{{'x' * 6000}}}}}\n```\n") == ()


def test_every_entry_we_ship_is_valid() -> None:
    shipped = [SENTENCE_TRANSFORMERS, LAYER_DROPPING]
    shipped += [text for texts in (*METHODS.values(), *TEACHERS.values()) for text in texts]
    for text in shipped:
        (entry,) = parse_bibtex(text)
        assert entry.text == text
        assert {"title", "author", "year"} <= {line.split("=")[0].strip() for line in text.splitlines()}


def test_several_entries_in_one_text() -> None:
    text = '@misc{a, title = "A {B} c", year = 2020}\n\n@Article{b,\n month = jan,\n note = {x \\} y},\n}'
    assert [(entry.kind, entry.key) for entry in parse_bibtex(text)] == [("misc", "a"), ("article", "b")]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("not BibTeX", "expected an entry"),
        ("@misc{}", "expected an entry"),
        ("@misc{a, title}", "expected a field"),
        ("@misc{a, title = {never closed", "never closed"),
        ('@misc{a, title = "never closed}', "never closed"),
        ('@misc{a, title = "un}balanced"}', "never closed"),
        ("@misc{a, title = {x} year = 2020}", "expected a comma"),
        ("@misc{a, title = }", "expected a value"),
        ("@misc{a, title = {x}", "expected a comma"),
        ("@misc{a, title = {x}} trailing", "expected an entry"),
    ],
)
def test_broken_bibtex_is_an_error_that_says_where(text: str, problem: str) -> None:
    with pytest.raises(CardError, match=problem) as caught:
        parse_bibtex(text, "card.citation")
    assert "card.citation" in str(caught.value)


@given(st.text(alphabet='@{}=,"\\ab1 \n', max_size=40))
def test_any_text_is_read_whole_or_refused(text: str) -> None:
    try:
        entries = parse_bibtex(text)
    except CardError:
        return
    assert "".join("".join(entry.text for entry in entries).split()) == "".join(text.split())
