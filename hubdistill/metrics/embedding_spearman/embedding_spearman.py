"""Spearman correlation between the similarities that two models give to the same pairs of texts."""

from __future__ import annotations

import datasets
import evaluate
import numpy as np
import scipy.stats

_DESCRIPTION = """\
Whether two models order pairs of texts alike: the Spearman correlation between the cosine similarities
that each of them gives to the same pairs. The models may have different dimensions. All pairs count where
there are few texts; otherwise a seeded sample of them, drawn with replacement.
"""

_INPUTS = """
Args:
    predictions: the student's embeddings, one list of floats for each text.
    references: the teacher's embeddings of the same texts; the dimension may differ.
    pairs: at most so many pairs of texts. Default 5000.
    seed: of the sample of pairs. Default 12.

Returns:
    embedding_spearman: between -1 and 1.

Examples:
    >>> from hubdistill import metrics
    >>> metric = metrics.load("embedding_spearman")
    >>> teacher = [[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [-1.0, 0.1]]
    >>> result = metric.compute(predictions=teacher, references=teacher)
    >>> round(result["embedding_spearman"], 4)
    1.0
"""

_CITATION = """\
@article{spearman1904proof,
  title = {The Proof and Measurement of Association between Two Things},
  author = {Spearman, Charles},
  journal = {The American Journal of Psychology},
  volume = {15},
  number = {1},
  pages = {72--101},
  year = {1904}
}
"""


def sample_pairs(texts: int, pairs: int, seed: int) -> np.ndarray:
    """Pairs of different texts: all of them where they are few enough, else a sample.

    Args:
        texts: how many texts there are.
        pairs: at most so many pairs.
        seed: of the sample, which is drawn with replacement.

    Returns:
        Indices, shape (n_pairs, 2).
    """
    if texts * (texts - 1) // 2 <= pairs:
        return np.column_stack(np.triu_indices(texts, k=1))
    generator = np.random.default_rng(seed)
    first = generator.integers(texts, size=pairs)
    second = (first + generator.integers(1, texts, size=pairs)) % texts
    return np.column_stack([first, second])


def pair_cosines(embeddings: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Cosine similarity of the texts of each pair; 0 where an embedding has no length.

    Args:
        embeddings: shape (n_texts, dim).
        pairs: indices, shape (n_pairs, 2).

    Returns:
        Shape (n_pairs,).
    """
    embeddings = np.asarray(embeddings, dtype=np.float64)
    lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
    unit = embeddings / np.where(lengths == 0, 1, lengths)
    cosines: np.ndarray = np.einsum("pd,pd->p", unit[pairs[:, 0]], unit[pairs[:, 1]])
    return cosines


class EmbeddingSpearman(evaluate.Metric):  # type: ignore[misc]
    """Spearman correlation of `pair_cosines`, as an `evaluate` metric."""

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

    def _compute(
        self, predictions: np.ndarray, references: np.ndarray, pairs: int = 5000, seed: int = 12
    ) -> dict[str, float]:
        chosen = sample_pairs(len(predictions), pairs, seed)
        ours, theirs = pair_cosines(predictions, chosen), pair_cosines(references, chosen)
        for name, cosines in (("predictions", ours), ("references", theirs)):
            if len(cosines) < 2 or np.ptp(cosines) == 0:
                raise ValueError(
                    f"Spearman is undefined: the {len(cosines)} similarities of the {name} are all equal"
                )
        return {"embedding_spearman": float(scipy.stats.spearmanr(ours, theirs).statistic)}
