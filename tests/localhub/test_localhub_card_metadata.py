"""The checks that a README passes before it is accepted."""

from __future__ import annotations

import pytest
import yaml
from huggingface_hub import EvalResult, ModelCardData
from huggingface_hub.repocard_data import eval_results_to_model_index

from hubdistill.localhub.card_metadata import check_card, read_metadata

GOOD = """
license: apache-2.0
language: [en, "no", code, deu]
library_name: sentence-transformers
pipeline_tag: sentence-similarity
tags: [sentence-transformers]
base_model: [BAAI/bge-m3, all-MiniLM-L6-v2]
base_model_relation: finetune
datasets: [sentence-transformers/all-nli]
metrics: [spearman_cosine]
"""


def errors(metadata: str) -> list[str]:
    return check_card(f"---\n{metadata}\n---\n# Card\n")[0]


def warnings(metadata: str) -> list[str]:
    return check_card(f"---\n{metadata}\n---\n# Card\n")[1]


def test_good_metadata_passes_in_silence() -> None:
    assert check_card(f"---{GOOD}---\n# Card\n") == ([], [])


def test_what_the_client_writes_passes() -> None:
    result = EvalResult(
        task_type="semantic-similarity",
        dataset_type="acme/sts",
        dataset_name="STS",
        metric_type="spearman_cosine",
        metric_value=0.78,
        source_url="https://example.org",
    )
    data = ModelCardData(license="mit", language=["en", "no"], model_name="student", eval_results=[result])
    assert errors(data.to_yaml()) == []


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ("license: Apache-2.0", '"license" must be one of'),
        ("license: [mit, mine]", "not 'mine'"),
        ("license: 2.0", '"license" must be one of'),
        ("language: english", '"language" with value "english" is not valid'),
        ("language: EN", '"language" must only contain lowercase'),
        ("language: [en, false]", '"language[1]" must be a string, not the boolean'),
        ("language: [en, 1]", '"language[1]" must be a string, not a number'),
        ("language: xx", '"language" with value "xx" is not valid'),
        ("tags: sentence-transformers", '"tags" must be an array'),
        ("tags: [a, 1]", '"tags[1]" must be a string'),
        ("base_model: /home/me/teacher", '"base_model" with value "/home/me/teacher" is not valid'),
        ("base_model: [a/b, ./c]", '"base_model[1]" with value "./c" is not valid'),
        ("base_model: a/b/c", "Use a model id"),
        ("datasets: [my data]", "Use a dataset id"),
        ("base_model_relation: distillation", '"base_model_relation" must be one of [adapter, finetune'),
        ("base_model_relation: [finetune]", '"base_model_relation" must be one of'),
        ("library_name: [a]", '"library_name" must be a string, not a list'),
        ("pipeline_tag: 1", '"pipeline_tag" must be a string'),
        ("license: mit\nlicense: mit", "duplicated mapping key 'license'"),
        ("license: 'mit", "YAML metadata cannot be read"),
        ("date: 2024-13-45", "YAML metadata cannot be read"),
        ("- a\n- b", "must be a mapping of names to values, not a list"),
        ("? [a]\n: b", "a key must be a scalar"),
    ],
)
def test_bad_metadata_is_refused_with_its_place(metadata: str, expected: str) -> None:
    [error] = errors(metadata)
    assert expected in error


def test_a_bare_no_is_norwegian_to_the_hub_and_false_to_python() -> None:
    assert errors("language: no") == []
    assert read_metadata("---\nlanguage: no\n---\n") == {"language": "no"}
    assert warnings("language: no") == [
        '"language" is a bare no, which Python reads as False; quote it: "no"'
    ]
    assert warnings('language: "no"') == []


def test_unknown_task_and_unnamed_licence_are_warnings() -> None:
    assert "not in the official list" in warnings("pipeline_tag: sentence-distillation")[0]
    assert "license_name" in warnings("license: other")[0]
    assert warnings("license: other\nlicense_name: my-licence") == []


@pytest.mark.parametrize(
    "readme", ["", "# Card", "---\n---\n# Card", "---\n\n---\n# Card", "---\n# x\n---\n"]
)
def test_missing_metadata_is_a_warning(readme: str) -> None:
    found, [warning] = check_card(readme)
    assert found == []
    assert warning.startswith("empty or missing yaml metadata")


def model_index() -> list[dict[str, object]]:
    result = EvalResult(
        task_type="t", dataset_type="d", dataset_name="D", metric_type="m", metric_value=0.5, task_name="T"
    )
    index: list[dict[str, object]] = eval_results_to_model_index("student", [result])
    return index


def test_a_model_index_as_the_client_reads_it_passes() -> None:
    assert errors(yaml.safe_dump({"model-index": model_index()})) == []


@pytest.mark.parametrize(
    ("path", "error"),
    [
        (["name"], '"model-index[0].name" is required'),
        (["results"], '"model-index[0].results" is required'),
        (["results", 0, "task"], '"model-index[0].results[0].task" is required'),
        (["results", 0, "task", "type"], '"model-index[0].results[0].task.type" is required'),
        (["results", 0, "dataset", "name"], '"model-index[0].results[0].dataset.name" is required'),
        (["results", 0, "dataset", "type"], '"model-index[0].results[0].dataset.type" is required'),
        (["results", 0, "metrics", 0, "type"], '"model-index[0].results[0].metrics[0].type" is required'),
        (["results", 0, "metrics", 0, "value"], '"model-index[0].results[0].metrics[0].value" is required'),
    ],
)
def test_every_member_that_the_reader_needs_is_required(path: list[str | int], error: str) -> None:
    index = model_index()
    holder: object = index[0]
    for step in path[:-1]:
        holder = holder[step]  # type: ignore[index]
    del holder[path[-1]]  # type: ignore[attr-defined]
    assert errors(yaml.safe_dump({"model-index": index})) == [error]


@pytest.mark.parametrize("value", ["[]", "text", "{}"])
def test_an_empty_model_index_is_refused(value: str) -> None:
    assert errors(f"model-index: {value}") == ['"model-index" must be an array with at least one item']


def test_a_metric_must_be_finite() -> None:
    text = yaml.safe_dump({"model-index": model_index()}).replace("0.5", ".nan")
    assert errors(text) == ['"model-index[0].results[0].metrics[0].value" must be a finite number, not nan']


def test_metadata_reads_as_json() -> None:
    assert read_metadata("---\nwhen: 2026-01-02\nnot: .nan\n1: a\n---\n") == {
        "when": "2026-01-02",
        "not": None,
        "1": "a",
    }
