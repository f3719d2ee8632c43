"""The metric modules: hand-worked cases, and the ways in which `evaluate` loads them."""

from __future__ import annotations

import doctest
import importlib
from collections.abc import Iterator
from pathlib import Path

import evaluate
import numpy as np
import pytest

from hubdistill import metrics
from hubdistill.metrics.embedding_spearman.embedding_spearman import pair_cosines, sample_pairs
from hubdistill.metrics.negative_mse.negative_mse import squared_errors
from hubdistill.metrics.precision_at_k.precision_at_k import overlap_at_k
from hubdistill.metrics.retained_quality.retained_quality import retained_quality


def test_overlap_counts_shared_documents_whatever_their_order() -> None:
    shared = overlap_at_k([[3, 1, 2], [9, 8, 7]], [[2, 3, 5], [7, 8, 9]], k=3)
    assert shared == pytest.approx([2 / 3, 1])


def test_only_the_first_k_count() -> None:
    assert overlap_at_k([[1, 2, 3]], [[1, 3, 2]], k=2) == pytest.approx([1 / 2])


def test_a_list_shorter_than_k_is_refused() -> None:
    with pytest.raises(ValueError, match="query 1: 2 and 3 ids, fewer than k = 3"):
        overlap_at_k([[1, 2, 3], [1, 2]], [[1, 2, 3], [1, 2, 3]], k=3)


def test_document_ids_may_be_strings() -> None:
    metric = metrics.load("precision_at_k")
    result = metric.compute(predictions=[["a", "b"]], references=[["b", "c"]], k=2)
    assert result == {"precision_at_k": 0.5}


def test_negative_mse_has_the_sign_and_scale_of_sentence_transformers() -> None:
    student, teacher = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[1.0, 1.0], [3.0, 2.0]])
    assert squared_errors(student, teacher) == pytest.approx([0.5, 2.0])
    result = metrics.load("negative_mse").compute(predictions=student, references=teacher)
    assert result == {"negative_mse": pytest.approx(-125.0)}


def test_embedding_spearman_compares_the_order_of_pairs() -> None:
    teacher = np.array([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]])  # cosines 0.8, 0.0, 0.6
    student = np.array([[1.0, 0.0, 0.0], [0.6, 0.8, 0.0], [0.0, 0.6, 0.8]])  # cosines 0.6, 0.0, 0.48
    result = metrics.load("embedding_spearman").compute(predictions=student, references=teacher)
    assert result == {"embedding_spearman": pytest.approx(1.0)}
    turned = np.array([[1.0, 0.0], [0.0, 1.0], [0.8, 0.6]])  # cosines 0.0, 0.8, 0.6
    result = metrics.load("embedding_spearman").compute(predictions=turned, references=teacher)
    assert result == {"embedding_spearman": pytest.approx(-1.0)}


def test_embedding_spearman_of_equal_similarities_is_undefined() -> None:
    same = np.ones((4, 2))
    with pytest.raises(ValueError, match="Spearman is undefined"):
        metrics.load("embedding_spearman").compute(predictions=same, references=np.eye(4))


def test_few_texts_give_all_pairs_and_many_a_repeatable_sample() -> None:
    assert sample_pairs(3, 10, seed=1).tolist() == [[0, 1], [0, 2], [1, 2]]
    sample = sample_pairs(1000, 50, seed=1)
    assert sample.shape == (50, 2)
    assert (sample[:, 0] != sample[:, 1]).all()
    assert (sample == sample_pairs(1000, 50, seed=1)).all()


def test_an_embedding_without_length_is_similar_to_nothing() -> None:
    assert pair_cosines(np.array([[0.0, 0.0], [1.0, 0.0]]), np.array([[0, 1]])) == [0.0]


def test_retained_quality_is_a_ratio_of_means() -> None:
    assert retained_quality([0.4, 0.6], [0.5, 0.75]) == pytest.approx(0.8)
    with pytest.raises(ValueError, match="means nothing"):
        retained_quality([0.4], [-0.1])


@pytest.mark.parametrize("name", metrics.NAMES)
def test_examples_run(name: str) -> None:
    module = importlib.import_module(f"hubdistill.metrics.{name}.{name}")
    examples = doctest.DocTestFinder().find(module)
    inputs = doctest.DocTestParser().get_doctest(module._INPUTS, {}, name, None, None)
    assert inputs.examples
    for test in [*examples, inputs]:
        assert doctest.DocTestRunner().run(test).failed == 0


@pytest.fixture(scope="module")
def modules_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("modules")
        patch.setattr(evaluate.config, "HF_MODULES_CACHE", str(folder))
        yield folder


@pytest.mark.parametrize("name", metrics.NAMES)
@pytest.mark.usefixtures("modules_cache")
def test_evaluate_loads_the_module_from_its_folder(name: str) -> None:
    metric = evaluate.load(str(metrics.path(name)), keep_in_memory=True)
    assert metric.name == name
    assert metric.description
    assert "@" in metric.citation


@pytest.mark.usefixtures("modules_cache")
def test_a_module_loaded_by_path_computes(tmp_path: Path) -> None:
    metric = evaluate.load(str(metrics.path("precision_at_k")), cache_dir=str(tmp_path))
    result = metric.compute(predictions=[[3, 1, 2]], references=[[2, 3, 5]], k=3)
    assert result == {"precision_at_k": pytest.approx(2 / 3)}


def test_metrics_of_embeddings_combine() -> None:
    both = evaluate.combine([metrics.load("negative_mse"), metrics.load("embedding_spearman")])
    vectors = np.random.default_rng(3).normal(size=(20, 4)).astype(np.float32)
    result = both.compute(predictions=vectors, references=vectors)
    assert result == {"negative_mse": 0.0, "embedding_spearman": pytest.approx(1.0)}


def test_an_unknown_metric_is_refused() -> None:
    with pytest.raises(ValueError, match="no metric 'bleu'"):
        metrics.load("bleu")
