"""The folded snippets of the card: each where it is true, and what they do when they are run."""

from __future__ import annotations

import contextlib
import io
import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sample_report import bge_m3_report, compared_report, mxbai_report, other_model_report, static_report

from hubdistill.card.quick_start import qdrant_code, quick_start_part
from hubdistill.report import ComparedSnippet, DistillationReport
from hubdistill.results import student_model

PLAIN = ComparedSnippet(
    code='model = AutoModel.from_pretrained("MODEL_ID")',
    packages=("torch", "transformers"),
    texts=6,
    largest_difference=1.49e-8,
)


def with_plain(report: DistillationReport, **changes: Any) -> DistillationReport:
    start = report.quick_start.model_copy(update={"plain": PLAIN.model_copy(update=changes)})
    return report.model_copy(update={"quick_start": start})


def with_architecture(report: DistillationReport, **changes: Any) -> DistillationReport:
    student = student_model(report)
    made = student.architecture.model_copy(update=changes)
    models = {**report.models, report.student: student.model_copy(update={"architecture": made})}
    return report.model_copy(update={"models": models})


def test_the_snippet_without_sentence_transformers_says_how_near_it_came() -> None:
    text = quick_start_part(with_plain(bge_m3_report()), "me/small").plain
    assert "<summary>transformers, without sentence-transformers</summary>" in text
    assert "pip install -U torch transformers" in text
    assert 'AutoModel.from_pretrained("me/small")' in text
    assert "differences of at most 2e-08 on 6 texts" in text
    none = bge_m3_report().quick_start.model_copy(update={"plain": None})
    report = bge_m3_report().model_copy(update={"quick_start": none})
    assert quick_start_part(report, "me/small").plain == ""


@pytest.mark.parametrize(("difference", "shown"), [(0.0, "0"), (9.2e-8, "1e-07"), (3e-8, "3e-08")])
def test_differences_are_rounded_up(difference: float, shown: str) -> None:
    report = with_plain(bge_m3_report(), largest_difference=difference)
    assert f"at most {shown} on" in quick_start_part(report, "me/small").plain


def test_a_static_model_needs_no_transformers() -> None:
    text = quick_start_part(with_plain(static_report(), packages=("numpy", "tokenizers")), "me/small").plain
    assert "<summary>NumPy and tokenizers only</summary>" in text


def test_mixed_use_is_shown_where_it_was_measured() -> None:
    text = quick_start_part(bge_m3_report(), "me/small").asymmetric
    assert 'SentenceTransformer("BAAI/bge-m3", revision="5617a9f61b028005a4858fdac845db406aefb181")' in text
    assert "teacher.encode_document(sentences)" in text
    assert "nDCG@10 on Cranfield: 0." in text
    assert quick_start_part(mxbai_report(), "me/small").asymmetric == ""


def test_truncation_is_folded() -> None:
    text = quick_start_part(other_model_report(), "me/small").truncation
    assert text.startswith("<details><summary>Shorter vectors</summary>")
    assert "truncate_dim=128" in text


def with_prompt(report: DistillationReport, prompt: str | None) -> DistillationReport:
    start = report.quick_start.model_copy(update={"prompt": prompt})
    return report.model_copy(update={"quick_start": start})


def test_truncation_gives_what_the_first_snippet_gives() -> None:
    report = with_prompt(other_model_report(), "it's: ")
    student = student_model(report).model_copy(update={"trust_remote_code": True})
    report = report.model_copy(update={"models": {**report.models, report.student: student}})
    text = quick_start_part(report, "me/small").truncation
    assert 'SentenceTransformer("me/small", truncate_dim=128, trust_remote_code=True)' in text
    assert 'model.encode(sentences, prompt="it\'s: ")' in text


def test_snippets_go_on_from_queries_and_documents() -> None:
    for report in (other_model_report(), with_architecture(with_plain(bge_m3_report()), prompts=OWN)):
        start = report.quick_start.model_copy(update={"retrieval": True})
        part = quick_start_part(report.model_copy(update={"quick_start": start}), "me/small")
        assert "zip(sentences[1:], documents)" in part.qdrant
        assert "query=queries[0].tolist()" in part.qdrant
        assert "do so with those under Prompts" in part.plain
        if report.training and report.training.matryoshka:
            assert "documents = model.encode_document(sentences[1:])  # 128 dimensions" in part.truncation
        else:
            assert '"prompt_name": "query"' in part.serving


OWN = {"query": "query: ", "passage": "passage: "}


def test_a_prompt_that_no_report_recorded_is_not_guessed_at() -> None:
    assert quick_start_part(other_model_report(), "me/small").truncation
    assert quick_start_part(with_prompt(other_model_report(), None), "me/small").truncation == ""
    assert quick_start_part(bge_m3_report(), "me/small").serving
    assert quick_start_part(with_prompt(bge_m3_report(), None), "me/small").serving == ""


def test_text_embeddings_inference_is_given_the_prompt() -> None:
    asked = with_prompt(bge_m3_report(), "it's: ")
    own = with_architecture(bge_m3_report(), prompts={"all": "it's: "}, default_prompt_name="all")
    for report in (asked, own):
        text = quick_start_part(report, "me/small").serving
        command = text.split("```bash\n")[1].split("\n\n")[0]
        assert shlex.split(command)[-2:] == ["--default-prompt", "it's: "]
    assert "--default-prompt" not in quick_start_part(bge_m3_report(), "me/small").serving


def test_text_embeddings_inference_is_asked_for_the_vectors_of_this_model() -> None:
    text = quick_start_part(bge_m3_report(), "me/small").serving
    assert "--model-id me/small --pooling cls" in text
    assert "Not run when this card was made" in text
    command = next(line for line in text.splitlines() if line.lstrip().startswith("-d "))
    assert json.loads(shlex.split(command)[1])["truncate"] is True
    assert '"normalize": false' not in text
    unnormalised = with_architecture(bge_m3_report(), normalized=False)
    assert '"normalize": false' in quick_start_part(unnormalised, "me/small").serving


@pytest.mark.parametrize(
    "changes",
    [
        {"family": "albert"},
        {"pooling": "max"},
        {"dimensions": 256},
        {"family": "modernbert"},  # Its kept layers would be taken for others.
        {"modules": ("Transformer", "Pooling", "Dense")},
        {"modules": ()},  # A report of before they were recorded.
    ],
)
def test_what_is_not_served_has_no_such_snippet(changes: dict[str, Any]) -> None:
    assert quick_start_part(bge_m3_report(), "me/small").serving
    assert quick_start_part(with_architecture(bge_m3_report(), **changes), "me/small").serving == ""
    assert quick_start_part(static_report(), "me/small").serving == ""


def test_the_text_of_a_request_survives_the_shell() -> None:
    start = bge_m3_report().quick_start.model_copy(update={"sentences": ('It\'s "so".',)})
    report = bge_m3_report().model_copy(update={"quick_start": start})
    text = quick_start_part(report, "me/small").serving
    command = next(line for line in text.splitlines() if line.lstrip().startswith("-d "))
    assert json.loads(shlex.split(command)[1])["inputs"] == ['It\'s "so".']


@pytest.mark.parametrize("similarity", ["cosine", "dot", "euclidean", "manhattan"])
def test_the_qdrant_snippet_finds_the_sentence_itself_first(similarity: str, tmp_path: Path) -> None:
    pytest.importorskip("qdrant_client")
    sentences = ["one", "two", "three"]
    vectors = np.eye(3, 4, dtype=np.float32)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(qdrant_code(4, similarity), {"sentences": sentences, "embeddings": vectors})
    first, second = printed.getvalue().splitlines()
    assert first.endswith(" one")
    assert first.startswith("1.0000" if similarity in ("cosine", "dot") else "0.0000")
    assert not second.endswith(" one")


def test_the_qdrant_snippet_looks_for_the_query(tmp_path: Path) -> None:
    pytest.importorskip("qdrant_client")
    vectors = np.eye(3, 4, dtype=np.float32)
    names = {"sentences": ["one", "two", "three"], "queries": vectors[2:], "documents": vectors[1:]}
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(qdrant_code(4, "cosine", retrieval=True), names)
    assert printed.getvalue().splitlines() == ["1.0000 three", "0.0000 two"]


def test_qdrant_gets_the_width_and_similarity_of_this_model() -> None:
    text = quick_start_part(bge_m3_report(), "me/small").qdrant
    assert "VectorParams(size=1024, distance=models.Distance.COSINE)" in text
    report = with_architecture(compared_report(), similarity="dot", dimensions=256)
    assert "VectorParams(size=256, distance=models.Distance.DOT)" in quick_start_part(report, "x").qdrant
