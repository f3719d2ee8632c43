"""The front matter, against the Hub's public rules."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from huggingface_hub import ModelCard
from sample_report import bge_m3_report, mxbai_report, static_report

from hubdistill.card import render_card
from hubdistill.card.metadata import check_metadata, check_owner, language_list, metadata
from hubdistill.errors import CardError
from hubdistill.recipe import Card
from hubdistill.report import DistillationReport, Emissions


def card_with(**fields: Any) -> str:
    """A card whose front matter is valid except for the given fields."""
    front = {"license": "mit", "language": ["en"], **fields}
    return f"---\n{yaml.safe_dump({k: v for k, v in front.items() if v != ''})}---\n\n# x\n"


def test_fields_of_a_layer_reduced_student() -> None:
    card = metadata(bge_m3_report(), "me/small")
    assert card["language"] == ["en", "de", "tr"]
    assert card["license"] == "mit"
    assert card["library_name"] == "sentence-transformers"
    assert card["pipeline_tag"] == "sentence-similarity"
    assert card["tags"][-3:] == ["distillation", "hubdistill", "multilingual"]
    assert card["base_model"] == "BAAI/bge-m3"
    assert "base_model_relation" not in card
    assert card["datasets"] == ["example/english-texts", "example/german-texts", "example/turkish-texts"]


def test_local_sources_and_local_teachers_are_no_hub_ids() -> None:
    report = mxbai_report().model_copy(update={"base_model": None})
    assert {"datasets", "base_model"}.isdisjoint(metadata(report))


def test_model_index_names_data_sets_as_the_hub_knows_them() -> None:
    (index,) = metadata(bge_m3_report(), "me/small")["model-index"]
    assert index["name"] == "small"
    stsb, *others = index["results"]
    assert stsb["task"] == {"type": "semantic-similarity", "name": "Semantic Similarity"}
    assert stsb["dataset"] == {
        "name": "STS Benchmark (test)",
        "type": "sentence-transformers/stsb",
        "split": "test",
        "revision": "ab7a5ac0e35aa22088bdcf23e7fd99b220e53308",
    }
    assert stsb["metrics"][0] == {"type": "spearman_cosine", "value": 0.8391, "name": "Spearman (cosine)"}
    cranfield = next(r for r in others if r["dataset"]["type"] == "cranfield")
    assert "revision" not in cranfield["dataset"]
    names = [metric["name"] for result in others for metric in result["metrics"]]
    assert "Precision@10 with BAAI/bge-m3" in names
    assert not any("bge-m3-6-layers" in name for name in names)


def test_two_local_sets_of_one_title_stay_apart() -> None:
    report = bge_m3_report(similarity_sets=3)
    data = {key: data.model_copy(update={"title": "STS"}) for key, data in report.data.items()}
    (index,) = metadata(report.model_copy(update={"data": data}))["model-index"]
    types = [result["dataset"]["type"] for result in index["results"]]
    assert len(types) == len(set(types)) == 6


@pytest.mark.parametrize("make", [bge_m3_report, mxbai_report, static_report])
def test_huggingface_hub_reads_the_card_back_unchanged(make: Any) -> None:
    report: DistillationReport = make()
    card = ModelCard(render_card(report))
    assert card.data.to_dict() == metadata(report)


def test_norwegian_stays_text() -> None:
    report = bge_m3_report().model_copy(update={"owner": Card(language=("no", "en"))})
    front = render_card(report).split("---\n")[1]
    assert yaml.safe_load(front)["language"] == ["no", "en"]


def test_languages_default_to_those_of_texts_and_teacher() -> None:
    report = static_report().model_copy(update={"owner": Card(license="mit")})
    assert metadata(report)["language"] == ["en"]


def test_a_valid_card_has_no_problems() -> None:
    assert check_metadata(card_with()) == []
    assert check_metadata(card_with(language="deu", base_model="org/model", datasets=["a/b", "squad"])) == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("# no front matter\n", "no front matter"),
        ("---\n[: :\n---\n", "not YAML"),
        ("---\n- a\n---\n", "not a mapping"),
        (card_with(license=""), "license: missing"),
        (card_with(license="Apache-2.0"), "did you mean `apache-2.0`"),
        (card_with(license="unknown"), "license: 'unknown'"),
        (card_with(license=["mit"]), "license: ['mit']"),
        ("---\nlicense: mit\nlanguage: no\n---\n", "in quotes: 'no'"),
        (card_with(language="english"), "language: 'english'"),
        (card_with(language=["xx"]), "language: 'xx'"),
        (card_with(base_model="/home/me/model"), "base_model: '/home/me/model'"),
        (card_with(base_model="a/b/c"), "base_model"),
        (card_with(datasets=["my data"]), "datasets: 'my data'"),
        (card_with(datasets=[7]), "datasets: 7"),
        (card_with(base_model_relation="distilled"), "base_model_relation"),
        (card_with(tags=[1.1]), "tags: 1.1"),
        (card_with(**{"model-index": [{"name": "x"}]}), "model-index"),
        (card_with(**{"model-index": "x"}), "model-index"),
        (
            card_with(
                **{
                    "model-index": [
                        {
                            "name": "x",
                            "results": [
                                {
                                    "task": {"type": "sts"},
                                    "dataset": {"type": "a/b", "name": "B"},
                                    "metrics": [{"type": "spearman", "value": True}],
                                }
                            ],
                        }
                    ]
                }
            ),
            "the value of spearman is True",
        ),
    ],
)
def test_each_problem_is_named(text: str, problem: str) -> None:
    assert any(problem in found for found in check_metadata(text)), check_metadata(text)


def test_languages_are_named() -> None:
    assert language_list(["en", "de", "deu"]) == "English, German and deu"


def test_a_language_that_is_no_code_is_refused_before_there_is_a_card() -> None:
    check_owner(Card(license="mit", language=("en", "deu", "multilingual")))
    with pytest.raises(CardError, match=r"'English' is not an ISO 639 code.*card\.language"):
        check_owner(Card(license="mit", language=("English",)))
    with pytest.raises(CardError, match=r"card\.license"):
        check_owner(Card(language=("en",)))


def test_the_widget_shows_the_sentences_of_the_quick_start() -> None:
    report = bge_m3_report()
    start = report.quick_start.model_copy(update={"sentences": ("One: *a*.", "Two.", "no")})
    card = render_card(report.model_copy(update={"quick_start": start}))
    assert check_metadata(card) == []
    front = yaml.safe_load(card.split("---\n")[1])
    assert front["widget"] == [{"source_sentence": "One: *a*.", "sentences": ["Two.", "no"]}]
    alone = start.model_copy(update={"sentences": ()})
    assert "widget" not in metadata(report.model_copy(update={"quick_start": alone}))


@pytest.mark.parametrize(
    "widget",
    [
        "text",
        ["text"],
        [{"text": "x"}],
        [{"source_sentence": "x", "sentences": []}],
        [{"source_sentence": 1}],
    ],
)
def test_a_widget_that_the_hub_cannot_show_is_a_problem(widget: Any) -> None:
    card = card_with(pipeline_tag="sentence-similarity", widget=widget)
    assert any(problem.startswith("widget:") for problem in check_metadata(card))
    assert check_metadata(card_with(widget=widget)) == []


def test_emissions_are_told_where_codecarbon_ran() -> None:
    report = bge_m3_report()
    assert "co2_eq_emissions" not in metadata(report)
    assert report.training is not None
    measured = report.training.model_copy(update={"emissions": Emissions(grams=12.5, kilowatt_hours=0.031)})
    card = render_card(report.model_copy(update={"training": measured}))
    assert yaml.safe_load(card.split("---\n")[1])["co2_eq_emissions"] == {
        "emissions": 12.5,
        "energy_consumed": 0.031,
        "source": "codecarbon",
        "training_type": "fine-tuning",
        "hardware_used": "AMD EPYC 9B14",
    }
    assert "codecarbon estimates 0.0310 kWh and 12.5 g of CO2 equivalent" in card
