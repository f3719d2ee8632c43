"""Latency: single calls, interleaved, and their percentiles."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from evaluation.word_models import word_model
from sentence_transformers import SentenceTransformer

from hubdistill.evaluation import latency
from hubdistill.evaluation.findings import Findings
from hubdistill.evaluation.latency import WARM_UP, measure_latency
from hubdistill.evaluation.speed import cut_texts
from hubdistill.recipe import Speed

TEXTS = ["sun moon moon sun sun", "moon sun moon"]


def findings() -> Findings:
    return Findings(resamples=100, seed=12, reproduce="call")


def model() -> SentenceTransformer:
    return word_model({"sun": [1.0, 0.0], "moon": [0.0, 1.0]})


def test_each_model_gets_both_percentiles_at_each_length() -> None:
    found, settings = findings(), Speed(tokens=(2, 5), calls=20)
    models = [("teacher", model()), ("student", model())]
    cut = cut_texts(found, "speed", models, TEXTS, settings)
    measure_latency(found, "speed", models, cut, settings)
    assert set(found.metrics) == {"latency_p50", "latency_p95"}
    figures = {(m.metric, m.model, m.parameters["tokens"]): m for m in found.measurements}
    assert len(figures) == len(found.measurements) == 8
    for measurement in found.measurements:
        assert measurement.parameters["batch_size"] == 1
        assert (measurement.n, measurement.against) == (20, None)
        assert measurement.interval is not None
        assert measurement.interval.method == "percentile bootstrap over calls, 100 resamples"
        assert 0 < measurement.interval.low <= measurement.value <= measurement.interval.high
    for name in ("teacher", "student"):
        for tokens in (2, 5):
            typical, slow = (figures[metric, name, tokens].value for metric in latency.PERCENTILES)
            assert typical <= slow


def test_percentiles_are_of_the_calls_that_count(monkeypatch: pytest.MonkeyPatch) -> None:
    models = [("teacher", model()), ("student", model())]
    calls: list[tuple[int, str]] = []

    def timed(one: SentenceTransformer, texts: Sequence[str], batch_size: int) -> float:
        assert (len(texts), batch_size) == (1, 1)
        calls.append((0 if one is models[0][1] else 1, texts[0]))
        # A text says how many milliseconds it takes; the student needs half of them.
        return float(texts[0]) / 1000 / (1 + calls[-1][0])

    monkeypatch.setattr(latency, "seconds_to_encode", timed)
    texts = {1: ["999"], 2: [str(i) for i in range(1, 22)]}
    settings = Speed(calls=21)
    found = findings()
    cut_texts(found, "speed", models, TEXTS, Speed(tokens=(2,)))
    measure_latency(found, "speed", models, texts, settings)
    figures = {(m.metric, m.model): m.value for m in found.measurements if m.parameters["tokens"] == 2}
    assert figures == pytest.approx(
        {
            ("latency_p50", "teacher"): 11,
            ("latency_p95", "teacher"): 20,
            ("latency_p50", "student"): 5.5,
            ("latency_p95", "student"): 10,
        }
    )
    # All models on a text, each after a short text of its own, then all on the next one.
    of_length_2 = calls[-(2 * WARM_UP + 4 * 21) :]
    assert of_length_2[: 2 * WARM_UP] == [(row, text) for row in (0, 1) for text in ("1", "2", "3")]
    assert of_length_2[2 * WARM_UP :][:8] == [
        *((0, "999"), (0, "1"), (1, "999"), (1, "1")),
        *((0, "999"), (0, "2"), (1, "999"), (1, "2")),
    ]


def test_no_calls_leave_latency_out() -> None:
    found = findings()
    measure_latency(found, "speed", [("teacher", model())], {2: ["sun moon"]}, Speed(calls=0))
    assert not found.measurements
