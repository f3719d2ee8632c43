"""The card: claims, missing facts, templates, and the folder it is written into."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sample_report import bge_m3_report, compared_report, mxbai_report, static_report

from hubdistill.card import render_card, templates_folder, write_card
from hubdistill.card.metadata import metadata
from hubdistill.errors import CardError, MissingExtraError, ReportError
from hubdistill.figures import NAMES
from hubdistill.numbers import duration, layer_list, rate, ratio, score, share, short_count, signed, size
from hubdistill.report import DistillationReport, Interval
from hubdistill.reporting import limitations_heading
from hubdistill.results import teacher_model


def change(report: DistillationReport, place: str, value: Any) -> DistillationReport:
    """The report with one fact replaced; `place` is a path of field names and keys."""
    data = report.model_dump(mode="json")
    *parents, last = place.split("/")
    target: Any = data
    for part in parents:
        target = target[int(part)] if isinstance(target, list) else target[part]
    target[last] = value
    return DistillationReport.model_validate(data)


def without(report: DistillationReport, *metrics: str, model: str | None = None) -> DistillationReport:
    """The report without some measurements, of one model or of all."""
    gone = [m for m in report.measurements if m.metric in metrics and model in (None, m.model)]
    return report.model_copy(
        update={
            "measurements": tuple(m for m in report.measurements if m not in gone),
            "comparisons": tuple(c for c in report.comparisons if model or c.metric not in metrics),
        }
    )


def section(card: str, heading: str) -> str:
    """The part of a card under a heading."""
    return card.split(f"{heading}\n", 1)[1].split("\n## ", 1)[0]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (score(0.81342), "0.8134"),
        (score(-0.0061), "\N{MINUS SIGN}0.0061"),
        (score(0.000031), "0.000031"),
        (score(-0.000004), "\N{MINUS SIGN}0.0000040"),
        (score(0.0), "0.0000"),
        (signed(0.0041), "+0.0041"),
        (signed(0.0), "0.0000"),
        (share(0.969), "96.9%"),
        (share(0.9699), "96.9%"),
        (share(0.99999), "99.9%"),
        (ratio(2.19), "2.1x"),
        (ratio(348.9), "348x"),
        (ratio(0.879), "0.87x"),
        (rate(0.00738), "0.00738"),
        (rate(0.5), "0.500"),
        (rate(0.9999), "1.00"),
        (rate(7.538), "7.54"),
        (rate(92.0), "92.0"),
        (rate(1234.5), "1,230"),
        (short_count(22_713_216), "22.7M"),
        (short_count(999), "999"),
        (size(999), "999 bytes"),
        (size(1500), "1.50 kB"),
        (size(999_960), "1.00 MB"),
        (size(86_600_000), "86.6 MB"),
        (size(1_474_000_000), "1.47 GB"),
        (duration(48.2), "48 s"),
        (duration(200), "3 min 20 s"),
        (duration(7500), "2 h 5 min"),
        (layer_list((0, 1, 2, 3, 20, 21, 22, 23)), "0-3 and 20-23"),
        (layer_list((0, 1, 5)), "0, 1 and 5"),
    ],
)
def test_numbers_have_sensible_digits_and_never_flatter(written: str, expected: str) -> None:
    assert written == expected


def test_claim_states_origin_quality_speed_and_size() -> None:
    claim = section(render_card(bge_m3_report()), "# bge-m3-8-layers")
    assert "It has 8 of the teacher's 24 layers (0-3 and 20-23, counted from 0)" in claim
    assert "366.2M parameters (teacher: 567.8M)" in claim
    assert "keeps 98.8% of the teacher's Spearman (cosine): 0.8391 against 0.8487" in claim
    assert "2.8x as many texts per second" in claim
    assert "AMD EPYC 9B14, 8 threads" in claim


def test_difference_whose_interval_holds_zero_is_neither_loss_nor_win() -> None:
    card = render_card(mxbai_report())
    claim = card.split("# mxbai-embed-large-8-layers\n", 1)[1].split("<!--", 1)[0]
    assert "no measurable difference to the teacher in Spearman (cosine)" in claim
    assert "keeps" not in claim
    assert "<br>no measurable difference |" in section(card, "### Semantic similarity")


def test_claim_over_several_sets_names_the_worst_and_the_best() -> None:
    report = change(bge_m3_report(similarity_sets=3), "comparisons/3/kept", 0.9012)
    worst = report.comparisons[3]
    claim = section(render_card(report), "# bge-m3-8-layers")
    assert f"between 90.1% [98.3%, 99.3%] ({report.data[worst.data].title})" in claim
    assert "Over 3 data sets" in claim


def test_speed_whose_interval_holds_one_is_no_gain() -> None:
    report = bge_m3_report()
    even = Interval(low=0.98, high=1.03, method="spread of 5 repeats")
    report = report.model_copy(
        update={
            "measurements": tuple(
                m.model_copy(update={"value": 1.01, "interval": even}) if m.metric == "speedup" else m
                for m in report.measurements
            )
        }
    )
    claim = section(render_card(report), "# bge-m3-8-layers")
    assert "no measurable difference to the teacher's on texts of 16 to 256 tokens" in claim


def test_static_card_talks_of_no_layers_and_no_maximum_length() -> None:
    card = render_card(static_report())
    claim = section(card, "# minilm-static")
    assert "static embedding model: 30,522 token vectors" in claim
    assert "layer" not in claim.split("## Quick start")[0]
    description = section(card, "## Model description")
    assert "Layers" not in description
    assert "Maximum length" not in description
    assert "word order" in section(card, "## Limitations")


def test_what_was_not_measured_is_said() -> None:
    report = without(bge_m3_report(), "spearman_cosine", "pearson_cosine", "ndcg_at_10", "texts_per_second")
    report = without(report, "precision_at_k", "speedup")
    card = render_card(report)
    gaps = section(card, "### What was not measured").split("###")[0]
    for gap in ("human judgements", "relevance judgements", "the same texts", "in a second"):
        assert gap in gaps
    assert "Mean cosine to the teacher: 0.9688 on 2,000 held-out texts." in card
    assert "Its speed was not measured." in card


def test_snippet_names_the_repository() -> None:
    report = bge_m3_report()
    assert 'SentenceTransformer("me/small")' in render_card(report, repo_id="me/small")
    assert 'SentenceTransformer("bge-m3-8-layers")' in render_card(report)


def test_negative_mse_is_explained() -> None:
    assert "100 times the MSE, negated" in render_card(bge_m3_report())


def test_owner_s_words_stand_in_their_sections() -> None:
    report = change(mxbai_report(), "owner/intended_use", "Search *our* documentation.")
    report = change(report, "owner/limitations", "Not for legal texts.")
    card = render_card(report)
    assert "The student that our documentation search runs on." in section(
        card, "# mxbai-embed-large-8-layers"
    )
    assert "Search *our* documentation." in section(card, "## Intended use")
    assert "Not for legal texts." in section(card, "## Limitations")
    assert card.index("@misc{example2026") < card.index("@inproceedings{reimers-2019")


def test_no_samples_leaves_no_training_text() -> None:
    report = change(bge_m3_report(), "training/samples", [])
    card = render_card(report)
    assert "Some training texts" not in card
    assert "playing a guitar" not in card


def test_trust_remote_code_is_said() -> None:
    data = bge_m3_report().model_dump(mode="json")
    data["models"]["BAAI/bge-m3"]["trust_remote_code"] = True
    assert "(trust_remote_code)" in render_card(DistillationReport.model_validate(data))


def test_long_log_is_thinned_and_says_so() -> None:
    report = bge_m3_report()
    assert report.training is not None
    lines = [line.model_dump() | {"step": n} for n, line in enumerate(report.training.log * 20, start=1)]
    card = render_card(change(report, "training/log", lines))
    assert "Shown: 60 of 400 lines" in card


def test_report_without_training_renders() -> None:
    report = compared_report()
    card = render_card(report)
    assert "does not say how this student was trained" in card
    for word in (
        "Repeat the run",
        "distilled from",
        "learned from",
        "Made with",
        "istillation",
        "inherits",
    ):
        assert word not in card
    assert "is compared here with [mixedbread-ai/mxbai-embed-large-v1]" in card


def test_model_that_was_not_made_of_the_teacher_does_not_take_its_licence() -> None:
    report = compared_report()
    assert teacher_model(report).license == "apache-2.0"
    assert metadata(report)["license"] == "mit"
    with pytest.raises(CardError, match=r"card\.license"):
        render_card(change(report, "owner/license", None))


def test_card_of_a_model_that_was_not_made_here_is_written(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    compared_report().save(tmp_path)
    card = write_card(tmp_path).read_text(encoding="utf-8")
    assert "figures/summary.png" in card
    assert "figures/training.png" not in card


@pytest.mark.parametrize(
    ("place", "value", "named"),
    [
        ("owner/license", None, "card.license"),
        ("owner/license", "unknown", "card.license"),
        ("owner/license", "Apache 2.0", "apache-2.0"),
        ("owner/language", ["deutsch"], "language"),
        ("models/minilm-static/license", None, None),
        ("quick_start/code", " ", "quick_start.code"),
        ("quick_start/output", "", "quick_start.output"),
        ("owner/citation", "@misc{broken, title = {never closed", "card.citation"),
    ],
)
def test_missing_or_wrong_fact_is_an_error_that_names_it(place: str, value: Any, named: str | None) -> None:
    data = static_report().model_dump(mode="json")
    data["models"]["sentence-transformers/all-MiniLM-L6-v2"]["license"] = None
    report = change(DistillationReport.model_validate(data), place, value)
    if named is None:
        render_card(report)
        return
    with pytest.raises(CardError, match=named):
        render_card(report)


def test_teacher_that_was_not_measured_beside_the_student_is_an_error() -> None:
    report = without(bge_m3_report(), "spearman_cosine", model="BAAI/bge-m3")
    with pytest.raises(CardError, match="spearman_cosine of BAAI/bge-m3 on stsb"):
        render_card(report)


def test_encoder_without_heads_is_an_error() -> None:
    report = change(bge_m3_report(), "models/bge-m3-8-layers/architecture/attention_heads", None)
    with pytest.raises(CardError, match=r"architecture\.attention_heads"):
        render_card(report)


def test_user_template_overrides_one_block_and_is_escaped(tmp_path: Path) -> None:
    template = tmp_path / "mine.md.j2"
    template.write_text(
        '{% extends "model_card.md.j2" %}\n'
        "{% block title %}{{ super() }}\nBy *us*: {{ report.training.samples[2] }}{% endblock %}\n"
    )
    card = render_card(bge_m3_report(), template=template)
    assert "# bge-m3-8-layers\n\nBy *us*: &#60;b&#62;Wasser" in card
    assert "## Architecture" in card


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("{% block title %}{{ nonsense }}{% endblock %}", "nonsense"),
        ("{% block title %}", "line 1"),
        ("{% block title %}{{ ''.__class__.__mro__ }}{% endblock %}", "unsafe"),
        ("{% block title %}{{ 1 / 0 }}{% endblock %}", "division"),
        ("{% block title %}{% include 'nowhere' %}{% endblock %}", "nowhere"),
    ],
)
def test_broken_template_is_an_error_that_names_it(tmp_path: Path, body: str, expected: str) -> None:
    template = tmp_path / "mine.md.j2"
    template.write_text('{% extends "model_card.md.j2" %}' + body)
    with pytest.raises(CardError, match=expected) as caught:
        render_card(bge_m3_report(), template=template)
    assert "mine.md.j2" in str(caught.value)


def test_missing_template_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CardError, match="no card template"):
        render_card(bge_m3_report(), template=tmp_path / "none.j2")


def test_template_cannot_reach_the_report_s_methods(tmp_path: Path) -> None:
    template = tmp_path / "mine.md.j2"
    template.write_text("{{ report.save('.') }}")
    with pytest.raises(CardError):
        render_card(bge_m3_report(), template=template)


def test_templates_are_found() -> None:
    assert (templates_folder() / "partials" / "evaluation.md.j2").is_file()


def test_written_card_embeds_its_figures_and_keeps_what_a_person_wrote(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    static_report().save(tmp_path)
    path = write_card(tmp_path, repo_id="me/small")
    first = path.read_bytes()
    for name in ("summary", "precision_at_k"):
        assert f"](figures/{name}.png)".encode() in first
        assert (tmp_path / "figures" / f"{name}.png").is_file()
    empty = b"<!-- hubdistill:keep notes -->\n<!-- /hubdistill:keep -->"
    mine = b"<!-- hubdistill:keep notes -->\n\n Mine,  byte for byte \t\n\n\n<!-- /hubdistill:keep -->"
    path.write_bytes(first.replace(empty, mine).replace(b"96.2%", b"100%"))
    write_card(tmp_path, repo_id="me/small")
    second = path.read_bytes()
    assert second == first.replace(empty, mine)
    write_card(tmp_path, repo_id="me/small")
    assert path.read_bytes() == second


def test_figures_that_are_there_serve_without_matplotlib(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bge_m3_report().save(tmp_path)

    def refuse(*_: object, **how: object) -> None:
        raise MissingExtraError("figures", "Drawing the card's figures")

    monkeypatch.setattr("hubdistill.card.draw_figures", refuse)
    with pytest.raises(MissingExtraError, match=r"hubdistill\[figures\]"):
        write_card(tmp_path)
    assert not (tmp_path / "README.md").exists()
    (tmp_path / "figures").mkdir()
    for name in NAMES:
        (tmp_path / "figures" / f"{name}.png").touch()
    assert "figures/summary.png" in write_card(tmp_path).read_text()


def test_folder_without_a_report_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="no report"):
        write_card(tmp_path)


def test_card_room_imports_no_torch() -> None:
    code = "import sys, hubdistill.card, hubdistill.figures; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("card", "heading"),
    [
        ("# Model\n\n## Limitations and bias\n\nNone.\n", "Limitations and bias"),
        ("### Out-of-scope use ##\r\n", "Out-of-scope use"),
        ("# Unbiased estimates\n\nIts limitation is\n", None),
        ("", None),
    ],
)
def test_limitations_of_a_teacher_are_found_under_their_heading(card: str, heading: str | None) -> None:
    assert limitations_heading(card) == heading


def test_reader_is_sent_to_the_limitations_that_the_teacher_declares() -> None:
    report = bge_m3_report()
    teacher = report.models[report.teacher].model_copy(update={"limitations": "Limitations & *bias*"})
    card = render_card(report.model_copy(update={"models": {**report.models, report.teacher: teacher}}))
    link = "[Limitations &#38; &#42;bias&#42;](https://huggingface.co/BAAI/bge-m3)"
    assert f"See {link} on the teacher's own card." in card


def test_a_loss_that_sees_no_teacher_vectors_is_named_instead_of_them() -> None:
    report = bge_m3_report()
    assert report.training is not None
    other = {"loss": "CoSENTLoss", "teacher_vectors": False, "texts": 50}
    training = report.training.model_copy(update=other)
    card = render_card(report.model_copy(update={"training": training}))
    assert "is trained with CoSENTLoss on 50 rows of the training script's data." in card
    assert "- Training rows: 50\n" in card
    assert "No labels are used" not in card
    assert "teacher's vectors:" not in card
