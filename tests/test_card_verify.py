"""The card's line on how to measure its figures again."""

from __future__ import annotations

from typing import Any

from sample_report import bge_m3_report, mxbai_report

from hubdistill.card import render_card
from hubdistill.card.verify import verify_part
from hubdistill.recipe import CorpusSource, Evaluation
from hubdistill.report import DistillationReport, EvaluationPlan

REPORT = bge_m3_report()
assert REPORT.plan is not None
PLAN = REPORT.plan


def command(report: DistillationReport, **plan: Any) -> str:
    planned = report.model_copy(update={"plan": PLAN.model_copy(update=plan)})
    return verify_part(planned, "me/small").split("```")[1].splitlines()[2]


def test_the_card_says_how_to_verify_it() -> None:
    card = render_card(REPORT, repo_id="me/small")
    assert "\nhubdistill verify me/small --data FOLDER\n" in card
    assert "data that is not on the Hub: `cranfield`." in card
    assert f"\nhubdistill verify {REPORT.student} --data FOLDER\n" in render_card(REPORT)


def test_a_report_of_before_does_not_promise_it() -> None:
    assert REPORT.model_copy(update={"plan": None}).plan is None
    assert "hubdistill verify" not in render_card(REPORT.model_copy(update={"plan": None}))


def test_only_what_the_reader_must_bring_is_asked_for() -> None:
    on_hub = Evaluation(similarity=PLAN.settings.similarity)
    assert command(REPORT, settings=on_hub) == "hubdistill verify me/small"
    assert command(REPORT, settings=on_hub, texts="script").endswith("small --texts FILE")
    files = (CorpusSource(files=("held/out.txt", "more/*.txt")),)
    planned = EvaluationPlan(teacher=PLAN.teacher, settings=on_hub, texts="sources", sources=files)
    said = verify_part(REPORT.model_copy(update={"plan": planned}), "me/small")
    assert "not on the Hub: `out.txt` and `*.txt`." in said
    teacher = REPORT.models[REPORT.teacher].model_copy(update={"hub_id": None})
    local = REPORT.model_copy(update={"models": {**REPORT.models, REPORT.teacher: teacher}})
    assert command(local, settings=on_hub).endswith("small --teacher MODEL")


def test_a_corpus_of_local_files_is_named() -> None:
    report = mxbai_report().model_copy(update={"plan": PLAN.model_copy(update={"settings": Evaluation()})})
    assert "not on the Hub: `texts-*.txt.gz`." in verify_part(report, "me/small")
