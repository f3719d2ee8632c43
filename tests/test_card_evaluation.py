"""The card's evaluation part: what stands in which table, and what is never claimed."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest
from sample_report import bge_m3_report, mxbai_report, other_model_report, static_report

from hubdistill.card import render_card
from hubdistill.card.agreement import slice_tables, weakest_slices
from hubdistill.card.claim import claim
from hubdistill.card.cost import cost_table
from hubdistill.card.evaluation import evaluation_part, not_measured
from hubdistill.card.metadata import metadata
from hubdistill.errors import CardError
from hubdistill.numbers import cost_share
from hubdistill.report import DistillationReport, Interval, Measurement
from hubdistill.results import headline_results, sibling_difference
from hubdistill.variant_results import quantizations, truncations, vector_bytes

STUDENT, TEACHER = "bge-m3-8-layers", "BAAI/bge-m3"


def changed(
    report: DistillationReport, chosen: Callable[[Measurement], bool], **update: object
) -> DistillationReport:
    """The report with some measurements changed; without them when there is nothing to change."""
    measurements: Iterable[Measurement] = (
        m.model_copy(update=update) if chosen(m) else m
        for m in report.measurements
        if update or not chosen(m)
    )
    return report.model_copy(update={"measurements": tuple(measurements)})


def rows(text: str, beginning: str) -> list[list[str]]:
    """The cells of the table rows that begin with some words."""
    lines = [line for line in text.splitlines() if line.startswith(f"| {beginning}")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def with_teacher(report: DistillationReport, **settings: object) -> DistillationReport:
    assert report.plan
    teacher = report.plan.teacher.model_copy(update=settings)
    return report.model_copy(update={"plan": report.plan.model_copy(update={"teacher": teacher})})


def test_a_prompt_of_the_recipe_is_said_with_those_that_were_given_it() -> None:
    report = with_teacher(bge_m3_report(), prompt="query: ")
    said = 'Teacher and student were given the prompt `"query: "`, but for judged'
    assert evaluation_part(report).inputs.startswith(said)
    assert said in render_card(report)
    assert report.training
    learned = report.training.model_copy(update={"method": "static"})
    alone = evaluation_part(report.model_copy(update={"training": learned})).inputs
    assert alone.startswith("The teacher was given the prompt")
    assert evaluation_part(bge_m3_report()).inputs == ""


def with_own_prompts(report: DistillationReport, key: str) -> DistillationReport:
    model = report.models[key]
    made = model.architecture.model_copy(update={"prompts": {"query": "query: ", "passage": "passage: "}})
    changed_model = model.model_copy(update={"architecture": made})
    return report.model_copy(update={"models": {**report.models, key: changed_model}})


def test_the_models_own_prompts_are_said_and_where_they_apply() -> None:
    said = "Judged retrieval was measured with `encode_query` and `encode_document`"
    card = render_card(with_own_prompts(bge_m3_report(), STUDENT))
    assert '### Prompts\n\n| Name | Put before the text |\n| :-- | :-- |\n| `query` | `"query: "` |\n' in card
    assert said in card
    of_teacher = render_card(with_own_prompts(bge_m3_report(), TEACHER))
    assert said in of_teacher
    assert "### Prompts" not in of_teacher
    assert said not in render_card(mxbai_report())  # It has a prompt, and no judged retrieval.
    assert said not in render_card(bge_m3_report())


def test_a_maximum_length_of_the_recipe_is_said_with_those_that_it_cuts() -> None:
    report = with_teacher(bge_m3_report(), max_length=256)
    assert evaluation_part(report).inputs == "The teacher was given the first 256 tokens of longer texts."
    report = with_teacher(bge_m3_report(), max_length=8192)
    said = "Teacher and student were given the first 8,192 tokens of longer texts."
    assert evaluation_part(report).inputs == said


def interval(low: float, high: float) -> Interval:
    return Interval(low=low, high=high, method="bootstrap")


def test_queries_on_the_teachers_documents_stand_between_both_models_alone() -> None:
    found = rows(evaluation_part(bge_m3_report()).asymmetric, "Cranfield")
    assert [row[1:3] for row in found] == [
        ["this model", "this model"],
        ["this model", "teacher"],
        ["teacher", "teacher"],
    ]
    assert [row[3].split("<br>")[0] for row in found] == ["0.4691", "0.4746", "0.4787"]
    assert found[1][4].endswith("no measurable difference")


def test_mixed_use_is_a_gap_only_where_it_was_not_measured() -> None:
    def is_said(report: DistillationReport) -> bool:
        return any("Mixed use" in gap for gap in not_measured(report))

    measured = bge_m3_report()
    assert not is_said(measured)
    assert is_said(changed(measured, lambda m: "documents" in m.parameters))
    only_agreement = changed(measured, lambda m: "documents" in m.parameters and m.against is None)
    assert not is_said(only_agreement)
    assert rows(evaluation_part(only_agreement).asymmetric, "teacher")[0][1].startswith("0.8420")


def test_difference_to_a_sibling_is_turned_round_where_the_report_has_it_the_other_way() -> None:
    report = bge_m3_report()
    first = next(c for c in report.comparisons if c.against == STUDENT and c.model == "bge-m3-6-layers")
    assert (first.metric, first.difference) == ("spearman_cosine", -0.0129)
    turned = sibling_difference(report, headline_results(report)[0], "bge-m3-6-layers")
    assert turned is not None
    assert turned.value == 0.0129
    assert (turned.interval.low, turned.interval.high) == (0.0084, 0.0174)
    (row,) = rows(evaluation_part(report).siblings, "bge-m3-6-layers")
    assert row[1] == "+0.0129<br>[+0.0084, +0.0174]"
    assert row[2].endswith("<br>no measurable difference")


def test_sibling_that_was_not_compared_is_left_out() -> None:
    report = bge_m3_report()
    kept = tuple(c for c in report.comparisons if c.model != "bge-m3-4-layers")
    part = evaluation_part(report.model_copy(update={"comparisons": kept}))
    assert not rows(part.siblings, "bge-m3-4-layers")
    assert rows(part.family, "bge-m3-4-layers")


def test_slices_stand_worst_first_and_those_without_interval_are_left_out() -> None:
    report = bge_m3_report()
    names = [row[0] for row in rows(slice_tables(report), "")]
    assert names[2:6] == ["1-16", "17-64", "65-256", "**all**"]
    assert names[8:12] == ["Turkish", "German", "English", "**all**"]
    unsure = changed(report, lambda m: m.parameters.get("language") == "tr", interval=None)
    assert not rows(slice_tables(unsure), "Turkish")


def test_a_slice_that_is_everything_is_no_slice() -> None:
    report = changed(bge_m3_report(), lambda m: m.parameters.get("language") in ("de", "tr"))
    report = changed(report, lambda m: "language" in m.parameters, n=report.data["held-out"].n)
    assert "Language" not in slice_tables(report)
    assert "Length in tokens" in slice_tables(report)


def test_many_slices_are_cut_and_it_is_said() -> None:
    report = bge_m3_report()
    model = next(m for m in report.measurements if m.parameters.get("language") == "de")
    more = [
        model.model_copy(update={"parameters": {"source": f"{n}.txt"}, "value": n / 100}) for n in range(12)
    ]
    text = slice_tables(report.model_copy(update={"measurements": (*report.measurements, *more)}))
    assert rows(text, "9.txt")
    assert not rows(text, "10.txt")
    assert "2 more are in report.json." in text


def test_only_a_slice_that_is_surely_lower_is_called_the_weakest() -> None:
    report = bge_m3_report()
    assert [sentence.partition(" (")[0] for sentence in weakest_slices(report)] == [
        "It is furthest from the teacher on texts of 1-16 tokens",
        "It is furthest from the teacher on texts in Turkish",
    ]
    unsure = changed(report, lambda m: m.parameters.get("language") == "tr", interval=interval(0.90, 0.99))
    assert not any("Turkish" in sentence for sentence in weakest_slices(unsure))


def test_cost_rows_name_length_batch_and_unit() -> None:
    text = cost_table(bge_m3_report())
    names = [row[0] for row in rows(text, "")]
    for name in (
        "Texts per second, 64 tokens each",
        "Latency (median), 16 tokens, ms",
        "Time to load, s",
        "Peak memory, 32 texts of 256 tokens",
        "Parameters outside the embeddings",
    ):
        assert name in names
    assert rows(text, "Peak memory")[0][1:] == ["2.49 GB", "3.46 GB", "72.1%"]
    assert text.index("<details>") < text.index("| 4 | 64 |")


def test_costs_whose_intervals_overlap_are_not_told_apart() -> None:
    report = changed(
        bge_m3_report(),
        lambda m: m.metric == "load_seconds" and m.model == STUDENT,
        interval=interval(1.0, 2.5),
    )
    assert rows(cost_table(report), "Time to load")[0][-1] == "no measurable difference"


def test_a_speed_up_with_an_interval_is_as_exact_as_its_ends() -> None:
    chosen = {"value": 1.8976, "interval": interval(1.8712, 1.9231)}
    report = changed(bge_m3_report(), lambda m: m.metric == "speedup" and m.model == STUDENT, **chosen)
    assert rows(cost_table(report), "Texts per second")[0][-1] == "1.90x<br>[1.87, 1.92]"
    alone = changed(
        report, lambda m: m.metric == "speedup" and m.model == STUDENT, value=1.8976, interval=None
    )
    assert rows(cost_table(alone), "Texts per second")[0][-1].startswith("1.8x")
    assert "speed-ups without brackets are\nrounded down" in render_card(report)


def test_share_of_a_cost_is_rounded_up() -> None:
    assert cost_share(0.64501) == "64.6%"
    assert cost_share(0.5) == "50.0%"


def test_layers_are_set_against_the_speed_only_where_they_are_alike() -> None:
    assert "With 8 of 24 layers it would be 3.0x as fast" in cost_table(mxbai_report())
    assert "it would be" not in cost_table(other_model_report())  # six layers of another width
    assert "it would be" not in cost_table(static_report())


def test_costs_that_were_not_measured_are_gaps() -> None:
    gaps = not_measured(mxbai_report())
    assert "How long a single text takes." in gaps
    assert "Memory in use, and the time to load." in gaps
    assert {"How long a single text takes.", "Memory in use, and the time to load."}.isdisjoint(
        not_measured(bge_m3_report())
    )


def test_quantized_and_cut_vectors_have_their_bytes() -> None:
    part = evaluation_part(static_report())
    assert [row[1:3] for row in rows(part.quantization, "Teacher")] == [
        ["float32", "1,536"],
        ["int8", "384"],
        ["binary", "48"],
    ]
    assert [row[1:3] for row in rows(part.truncation, "This model")] == [
        ["384", "1,536"],
        ["192", "768"],
        ["96", "384"],
        ["48", "192"],
    ]


def test_teacher_is_shown_cut_only_as_the_student_is() -> None:
    report = static_report()
    (m,) = (m for m in report.find("spearman_cosine", model=report.teacher, dimensions=96))
    for_a_sibling = m.model_copy(update={"parameters": {"dimensions": 32}})
    report = report.model_copy(update={"measurements": (*report.measurements, for_a_sibling)})
    assert list(truncations(report, report.teacher)) == [384, 192, 96, 48]
    whole = changed(report, lambda m: m.model == report.student and "dimensions" in m.parameters)
    assert truncations(whole, report.teacher) == {}
    assert evaluation_part(whole).truncation == ""


def test_bits_of_a_vector_fill_whole_bytes() -> None:
    sizes = [vector_bytes(100, precision) for precision in ("float32", "int8", "binary")]
    assert sizes == [400, 100, 13]


def test_whole_vectors_agreement_with_themselves_is_shown_where_it_was_written_down() -> None:
    report = static_report()
    teacher = report.teacher
    assert len(quantizations(report, teacher)["float32"]) == 1
    m = next(m for m in report.find("precision_at_k", model=teacher) if m.parameters.get("precision"))
    itself = m.model_copy(update={"parameters": {"k": 10}, "value": 1.0})
    report = report.model_copy(update={"measurements": (*report.measurements, itself)})
    assert quantizations(report, teacher)["float32"][1].value == 1.0
    assert truncations(report, teacher)[384][1].value == 1.0


def test_recall_of_approximate_search_stands_beside_the_teachers() -> None:
    report = bge_m3_report()
    text = evaluation_part(report).ann_recall
    assert [row[0] for row in rows(text, "") if row[0].isdigit()] == ["16", "64", "256"]
    alone = changed(report, lambda m: m.metric == "ann_recall_at_k" and m.model == TEACHER)
    assert rows(evaluation_part(alone).ann_recall, "64")[0][2] == "\N{EM DASH}"


def test_mteb_scores_have_no_verdict_and_stay_out_of_the_metadata() -> None:
    report = static_report()
    assert rows(evaluation_part(report).benchmark, "SciFact") == [
        ["SciFact", "`ndcg_at_10`", "0.5562", "0.6451"]
    ]
    assert "so there are no intervals" in render_card(report)
    assert "mteb" not in str(metadata(report))


def test_made_queries_are_said_to_be_made() -> None:
    report = static_report()
    part = evaluation_part(report)
    assert "made from its documents, not written by people (first sentence" in part.retrieval
    assert "500 queries made from the documents" in part.agreement
    only_made = changed(report, lambda m: m.data == "cranfield")
    assert "Retrieval with queries that people wrote, the MTEB tasks aside." in not_measured(only_made)
    assert "500 made queries" in render_card(only_made)


def test_made_queries_stay_out_of_claim_and_metadata_beside_those_of_people() -> None:
    report = static_report()
    made = report.data["neighbours"].model_copy(update={"hub_id": "example/set"})
    report = report.model_copy(update={"data": {**report.data, "neighbours": made}})
    assert "example/set" not in str(metadata(report))
    text = claim(report, "x")
    assert "On Cranfield it keeps 93.1%" in text
    assert made.title not in text


def test_texts_of_low_agreement_are_shown_only_when_the_report_has_them() -> None:
    report = static_report()
    assert "| Not bad &#124; not good. | 0.3127 |" in render_card(report)
    assert "agree least" not in render_card(report.model_copy(update={"lowest_agreement": ()}))


def test_only_the_smallest_k_stands_for_slices_and_variants() -> None:
    report = static_report()
    cut = [m for m in report.measurements if m.metric == "precision_at_k" and not m.plain]
    more = [m.model_copy(update={"parameters": {**m.parameters, "k": 50}}) for m in cut]
    part = evaluation_part(report.model_copy(update={"measurements": (*report.measurements, *more)}))
    assert part.slices == evaluation_part(report).slices
    assert "P@50" not in part.quantization


@pytest.mark.parametrize(
    ("chosen", "named"),
    [
        (lambda m: m.metric == "latency_p50" and m.model == TEACHER, r"latency_p50 of BAAI/bge-m3 on speed"),
        (
            lambda m: m.metric == "ndcg_at_10" and m.model == STUDENT and m.plain,
            r"ndcg_at_10 of bge-m3-8-layers on cranfield without documents",
        ),
        (
            lambda m: m.metric == "spearman_cosine" and m.model == STUDENT and m.plain,
            r"spearman_cosine of bge-m3-8-layers on stsb without precision",
        ),
    ],
)
def test_figure_without_the_one_beside_it_is_an_error_that_names_it(
    chosen: Callable[[Measurement], bool], named: str
) -> None:
    with pytest.raises(CardError, match=named):
        render_card(changed(bge_m3_report(), chosen))
