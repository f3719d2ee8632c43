"""The sample report with its basic measures only, for tests that add what they are about.

from basic_report import basic_report
"""

from __future__ import annotations

from sample_report import bge_m3_report

from hubdistill.report import DistillationReport

BASIC = {
    "spearman_cosine",
    "pearson_cosine",
    "ndcg_at_10",
    "teacher_cosine",
    "negative_mse",
    "precision_at_k",
    "texts_per_second",
    "speedup",
}


def basic_report() -> DistillationReport:
    """An 8-layer student of BAAI/bge-m3 with two siblings: whole vectors, whole data, one batch size."""
    report = bge_m3_report()
    return report.model_copy(
        update={
            "metrics": {name: metric for name, metric in report.metrics.items() if name in BASIC},
            "measurements": tuple(
                m
                for m in report.measurements
                if m.metric in BASIC and m.plain and m.parameters.get("batch_size") in (None, 32)
            ),
            "comparisons": tuple(
                c for c in report.comparisons if not c.parameters and c.against == report.teacher
            ),
            "seconds": {},
            "lowest_agreement": (),
        }
    )
