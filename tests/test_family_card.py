"""The card of a family of students that were measured together."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml
from sample_report import bge_m3_report, static_report

from hubdistill.card import render_family_card, write_family_card
from hubdistill.errors import CardError
from hubdistill.figures import planned_figures
from hubdistill.report import DistillationReport

GOLDEN = Path(__file__).parent / "golden" / "family.md"
STUDENTS = ("bge-m3-8-layers", "bge-m3-6-layers", "bge-m3-4-layers")
REPO_IDS = {name: f"example/{name}" for name in STUDENTS}
FIGURES = ("quality_speed", "agreement_matrix", "precision_at_k")


def family() -> list[DistillationReport]:
    """A report for each student of the sample's family."""
    first = bge_m3_report()
    return [first.model_copy(update={"student": name}) for name in STUDENTS]


def test_family_card_is_as_reviewed() -> None:
    reports = family()
    figures = planned_figures(reports[0], FIGURES)
    card = render_family_card(reports, name="bge-m3-students", repo_ids=REPO_IDS, figures=figures)
    if os.environ.get("HUBDISTILL_UPDATE_GOLDEN"):
        GOLDEN.write_text(card, encoding="utf-8", newline="\n")
    assert card == GOLDEN.read_text(encoding="utf-8")


def test_every_student_is_linked_and_stands_in_every_table() -> None:
    card = render_family_card(family(), name="bge-m3-students", repo_ids=REPO_IDS)
    headings = [line for line in card.splitlines() if line.startswith(("| Data set |", "|  |"))]
    assert len(headings) == 3  # similarity, retrieval, cost
    for name in STUDENTS:
        assert f"| [example/{name}](https://huggingface.co/example/{name}) |" in card
        assert all(f" {name} |" in heading for heading in headings)


def test_a_student_behind_another_one_is_named() -> None:
    reports = family()
    slow = [
        m.model_copy(update={"value": m.value / 4, "interval": None})
        if m.metric == "speedup" and m.model == "bge-m3-4-layers"
        else m
        for m in reports[0].measurements
    ]
    reports = [report.model_copy(update={"measurements": tuple(slow)}) for report in reports]
    assert "bge-m3-4-layers is measurably behind another model" in render_family_card(reports, name="slow")


def test_nothing_is_said_of_all_where_one_was_not_compared() -> None:
    said = "None of the students is measurably behind"
    reports = family()
    assert said in render_family_card(reports, name="all")
    fewer = [
        m
        for m in reports[0].measurements
        if m.model != "bge-m3-4-layers" or m.metric not in ("speedup", "texts_per_second")
    ]
    reports = [report.model_copy(update={"measurements": tuple(fewer)}) for report in reports]
    assert said not in render_family_card(reports, name="fewer")


def test_nothing_is_said_of_all_where_two_were_not_compared_with_each_other() -> None:
    report = bge_m3_report()
    pair = {"bge-m3-6-layers", "bge-m3-4-layers"}
    without = tuple(c for c in report.comparisons if {c.model, c.against} != pair)
    assert without != report.comparisons
    reports = [one.model_copy(update={"comparisons": without}) for one in family()]
    assert "None of the students" not in render_family_card(reports, name="two apart")
    alt = {figure.name: figure.alt for figure in planned_figures(reports[0])}["quality_speed"]
    assert "behind" not in alt


def test_the_students_that_were_given_the_teachers_prompt_are_named() -> None:
    first = family()[0]
    assert first.plan
    assert first.training
    teacher = first.plan.teacher.model_copy(update={"prompt": "query: "})
    plan = first.plan.model_copy(update={"teacher": teacher})
    reports = [report.model_copy(update={"plan": plan}) for report in family()]
    assert "Teacher and students were given the prompt" in render_family_card(reports, name="all")
    learned = first.training.model_copy(update={"method": "model"})
    reports[1] = reports[1].model_copy(update={"training": learned})
    card = render_family_card(reports, name="two")
    assert "The teacher, bge-m3-8-layers and bge-m3-4-layers were given the prompt" in card


def test_the_snippet_encodes_queries_and_documents_where_a_student_has_prompts_for_them() -> None:
    reports = family()
    assert 'model.encode(["' in render_family_card(reports, name="all")
    start = reports[1].quick_start.model_copy(update={"retrieval": True})
    reports[1] = reports[1].model_copy(update={"quick_start": start})
    assert 'model.encode_query(["' in render_family_card(reports, name="all")


def test_metadata_names_the_teacher_as_base_and_no_single_model() -> None:
    card = render_family_card(family(), name="bge-m3-students")
    metadata = yaml.safe_load(card.split("---\n")[1])
    assert metadata["base_model"] == ["BAAI/bge-m3"]
    assert metadata["license"] == "mit"
    assert "model-index" not in metadata
    assert "pipeline_tag" not in metadata


def test_students_of_two_evaluations_make_no_family() -> None:
    stranger = static_report()
    with pytest.raises(CardError, match="were not measured together"):
        render_family_card([bge_m3_report(), stranger], name="mixed")


def test_a_student_without_its_report_is_missed() -> None:
    with pytest.raises(CardError, match="a student 'bge-m3-4-layers' as well"):
        render_family_card(family()[:2], name="bge-m3-students")


def test_one_student_is_no_family() -> None:
    with pytest.raises(CardError, match="at least two students"):
        render_family_card(family()[:1], name="bge-m3-students")


def test_two_licences_are_refused() -> None:
    reports = family()
    other = reports[1].owner.model_copy(update={"license": "apache-2.0"})
    reports[1] = reports[1].model_copy(update={"owner": other})
    with pytest.raises(CardError, match=r"different licences \(mit and apache-2\.0\)"):
        render_family_card(reports, name="bge-m3-students")


def test_written_words_stay(tmp_path: Path) -> None:
    folders = []
    for report in family():
        folder = tmp_path / report.student
        folder.mkdir()
        report.save(folder)
        folders.append(folder)
    path = write_family_card(folders, tmp_path / "family", name="bge-m3-students")
    ours = "<!-- hubdistill:keep choice -->\nTake the six layers.\n<!-- /hubdistill:keep -->\n"
    path.write_text(
        path.read_text(encoding="utf-8").replace(
            "<!-- hubdistill:keep choice -->\n<!-- /hubdistill:keep -->\n", ours
        ),
        encoding="utf-8",
    )
    written = path.read_text(encoding="utf-8")
    write_family_card(folders, tmp_path / "family", name="bge-m3-students")
    assert path.read_text(encoding="utf-8") == written
    assert ours in written
    for name in FIGURES:
        assert (tmp_path / "family" / "figures" / f"{name}.png").stat().st_size > 10_000
    assert not (tmp_path / "family" / "figures" / "summary.png").exists()
