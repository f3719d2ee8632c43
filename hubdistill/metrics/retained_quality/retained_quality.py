"""The share of a teacher's quality that a student keeps."""

from __future__ import annotations

from collections.abc import Sequence

import datasets
import evaluate
import numpy as np

_DESCRIPTION = """\
What a student keeps of its teacher's quality: the student's mean score over the teacher's, and their
difference. Scores may be of one benchmark, of several, or of its items (say the nDCG@10 of each query);
they must be such that 0 means nothing and higher is better.
"""

_INPUTS = """
Args:
    predictions: the student's scores.
    references: the teacher's scores on the same items.

Returns:
    retained_quality: mean of the student's scores over mean of the teacher's; 1 means all of it.
    difference: mean of the student's scores minus mean of the teacher's.

Examples:
    >>> from hubdistill import metrics
    >>> metric = metrics.load("retained_quality")
    >>> result = metric.compute(predictions=[0.75, 0.6], references=[0.8, 0.7])
    >>> round(result["retained_quality"], 4), round(result["difference"], 4)
    (0.9, -0.075)
"""

_CITATION = """\
@article{sanh2019distilbert,
  title = {DistilBERT, a distilled version of BERT: smaller, faster, cheaper and lighter},
  author = {Sanh, Victor and Debut, Lysandre and Chaumond, Julien and Wolf, Thomas},
  journal = {arXiv preprint arXiv:1910.01108},
  year = {2019}
}
"""


def retained_quality(student: Sequence[float], teacher: Sequence[float]) -> float:
    """The student's mean score over the teacher's.

    Raises:
        ValueError: no scores, or the teacher's mean is not above 0: a share of it means nothing.
    """
    reference = float(np.mean(teacher)) if len(teacher) else 0.0
    if not reference > 0:
        raise ValueError(f"the teacher's mean score is {reference}; a share of it means nothing")
    return float(np.mean(student)) / reference


class RetainedQuality(evaluate.Metric):  # type: ignore[misc]
    """`retained_quality` and the difference, as an `evaluate` metric."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_INPUTS,
            features=datasets.Features(
                {"predictions": datasets.Value("float64"), "references": datasets.Value("float64")}
            ),
        )

    def _compute(self, predictions: Sequence[float], references: Sequence[float]) -> dict[str, float]:
        return {
            "retained_quality": retained_quality(predictions, references),
            "difference": float(np.mean(predictions) - np.mean(references)),
        }
