"""Negative mean squared error between a student's and a teacher's embeddings."""

from __future__ import annotations

import datasets
import evaluate
import numpy as np

_DESCRIPTION = """\
Mean squared error between the embeddings that two models give to the same texts, in the sign and scale of
sentence-transformers' MSEEvaluator: multiplied by 100 and negated, so that higher is better and 0 is
perfect. It depends on the length and the number of dimensions of the embeddings: compare it only between
students of one teacher.
"""

_INPUTS = """
Args:
    predictions: the student's embeddings, one list of floats for each text.
    references: the teacher's embeddings of the same texts, of the same dimension.

Returns:
    negative_mse: -100 x the mean over all texts and dimensions of the squared difference; at most 0.

Examples:
    >>> from hubdistill import metrics
    >>> metric = metrics.load("negative_mse")
    >>> metric.compute(predictions=[[1.0, 0.0], [0.0, 1.0]], references=[[1.0, 0.0], [0.0, 0.5]])
    {'negative_mse': -6.25}
"""

_CITATION = """\
@inproceedings{reimers-2020-multilingual-sentence-bert,
  title = {Making Monolingual Sentence Embeddings Multilingual using Knowledge Distillation},
  author = {Reimers, Nils and Gurevych, Iryna},
  booktitle = {Proceedings of the 2020 Conference on Empirical Methods in Natural Language Processing},
  year = {2020},
  publisher = {Association for Computational Linguistics},
  url = {https://arxiv.org/abs/2004.09813}
}
"""


def squared_errors(predictions: np.ndarray, references: np.ndarray) -> np.ndarray:
    """Mean over dimensions of the squared difference, for each text.

    Args:
        predictions: shape (n_texts, dim).
        references: shape (n_texts, dim).

    Returns:
        Shape (n_texts,), float64.

    Raises:
        ValueError: no texts, or shapes that differ.
    """
    predictions = np.asarray(predictions, dtype=np.float64)
    references = np.asarray(references, dtype=np.float64)
    if predictions.shape != references.shape or predictions.ndim != 2 or not len(predictions):
        raise ValueError(
            f"expected embeddings of one shape (n_texts, dim), got {predictions.shape} and {references.shape}"
        )
    errors: np.ndarray = ((predictions - references) ** 2).mean(axis=1)
    return errors


class NegativeMse(evaluate.Metric):  # type: ignore[misc]
    """-100 x the mean of `squared_errors`, as an `evaluate` metric."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_INPUTS,
            features=datasets.Features(
                {
                    "predictions": datasets.List(datasets.Value("float32")),
                    "references": datasets.List(datasets.Value("float32")),
                }
            ),
        )

    def _compute(self, predictions: np.ndarray, references: np.ndarray) -> dict[str, float]:
        return {"negative_mse": float(-100 * squared_errors(predictions, references).mean())}
