"""A student's licence beside those of the models that it was made of."""

from __future__ import annotations

from typing import Any

import pytest
from sample_report import bge_m3_report, compared_report, other_model_report

from hubdistill.card import check_owner, render_card
from hubdistill.card.licenses import (
    NO_DERIVATIVES,
    NON_COMMERCIAL,
    PERMISSIVE,
    SHARE_ALIKE,
    license_conflict,
    license_remark,
)
from hubdistill.card.provenance import provenance_part
from hubdistill.card.vocabulary import LICENSES
from hubdistill.errors import CardError
from hubdistill.recipe import Card
from hubdistill.report import DistillationReport
from hubdistill.results import teacher_model


def licensed(own: str | None, teacher: str | None, **owner: Any) -> DistillationReport:
    report = bge_m3_report()
    model = teacher_model(report).model_copy(update={"license": teacher})
    return report.model_copy(
        update={
            "models": {**report.models, report.teacher: model},
            "owner": report.owner.model_copy(update={"license": own, **owner}),
        }
    )


def test_classes_are_of_the_hub_s_licences() -> None:
    assert PERMISSIVE | NON_COMMERCIAL | SHARE_ALIKE | NO_DERIVATIVES <= LICENSES
    assert not PERMISSIVE & (NON_COMMERCIAL | SHARE_ALIKE | NO_DERIVATIVES)


@pytest.mark.parametrize(
    ("own", "origin"),
    [
        ("apache-2.0", "cc-by-nc-4.0"),
        ("mit", "cc-by-nc-sa-4.0"),
        ("cc-by-sa-4.0", "cc-by-nc-4.0"),
        ("cc-by-nc-4.0", "cc-by-nc-sa-4.0"),
        ("mit", "agpl-3.0"),
        ("apache-2.0", "cc-by-sa-4.0"),
        ("cc-by-nc-4.0", "gpl-3.0"),
        ("cc-by-nd-4.0", "cc-by-nd-4.0"),
        ("other", "cc-by-nc-nd-4.0"),
    ],
)
def test_what_plainly_does_not_fit(own: str, origin: str) -> None:
    assert license_conflict(own, origin)


@pytest.mark.parametrize(
    ("own", "origin"),
    [
        ("mit", "mit"),
        ("cc-by-nc-4.0", "mit"),
        ("gpl-3.0", "apache-2.0"),
        ("cc-by-nc-4.0", "cc-by-nc-4.0"),
        ("cc-by-nc-sa-4.0", "cc-by-nc-4.0"),
        ("gpl-3.0", "cc-by-sa-4.0"),
        ("apache-2.0", "gemma"),
        ("other", "cc-by-nc-4.0"),
        ("mit", None),
    ],
)
def test_what_is_not_decided_is_no_conflict(own: str, origin: str | None) -> None:
    assert license_conflict(own, origin) is None


def test_a_licence_that_does_not_fit_is_told_before_anything_is_made() -> None:
    owner = Card(license="apache-2.0")
    check_owner(owner, {"org/teacher": "mit"})
    with pytest.raises(
        CardError, match=r"does not fit cc-by-nc-4.0.*org/teacher.*set card.license to cc-by-nc"
    ):
        check_owner(owner, {"org/other": "mit", "org/teacher": "cc-by-nc-4.0"})
    with pytest.raises(CardError, match=r"nobody share.*take another model.*card\.license_note"):
        check_owner(owner, {"org/teacher": "cc-by-nd-4.0"})


def test_the_owner_s_note_of_a_grant_is_printed() -> None:
    with pytest.raises(CardError, match="does not fit"):
        render_card(licensed("mit", "cc-by-nc-4.0"))
    note = "Granted by the *authors* on 2026-01-07."
    card = render_card(licensed("mit", "cc-by-nc-4.0", license_note=note))
    assert note in card.split("## Licence and provenance")[1]
    assert "allows no commercial use, which mit does: see the owner's note." in card
    assert render_card(licensed(None, "cc-by-nc-4.0"))


def test_the_licence_of_the_model_that_a_student_starts_from_counts_too() -> None:
    report = other_model_report()
    assert report.training is not None
    start = report.training.start.model_copy(update={"license": "agpl-3.0"})  # type: ignore[union-attr]
    training = report.training.model_copy(update={"start": start})
    with pytest.raises(CardError, match=r"does not fit agpl-3\.0.*all-MiniLM-L6-v2"):
        render_card(report.model_copy(update={"training": training}))


def test_a_model_that_was_not_made_of_the_teacher_is_not_compared_with_it() -> None:
    report = compared_report()
    teacher = teacher_model(report).model_copy(update={"license": "cc-by-nd-4.0"})
    models = {**report.models, report.teacher: teacher}
    assert "was not decided" not in render_card(report.model_copy(update={"models": models}))


@pytest.mark.parametrize(
    ("own", "origin", "said"),
    [
        ("mit", "mit", ""),
        ("mit", None, "The teacher declares no licence."),
        ("apache-2.0", "mit", "(mit), whose notices have to be kept"),
        (
            "apache-2.0",
            "gemma",
            "cannot tell whether it is compatible with gemma, the licence of the",
        ),
    ],
)
def test_readers_are_told_what_was_compared(own: str, origin: str | None, said: str) -> None:
    assert said in license_remark(own, origin, "the teacher")
    assert said in provenance_part([licensed(own, origin)])


def test_a_family_names_shared_parts_once() -> None:
    first = bge_m3_report()
    second = first.model_copy(update={"student": "bge-m3-6-layers"})
    text = provenance_part([first, second])
    assert text.count("| Teacher: ") == 1
    assert text.count("| bge-m3-") == 2
    assert text.count("example/english-texts](") == 1
