"""Latency: what one call with one text takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from sentence_transformers import SentenceTransformer

from hubdistill.evaluation.findings import Findings
from hubdistill.evaluation.significance import Array, percentile
from hubdistill.evaluation.speed import seconds_to_encode
from hubdistill.progress import track
from hubdistill.recipe import Speed

PERCENTILES = {"latency_p50": 50, "latency_p95": 95}
WARM_UP = 3
"""Calls of each model at each length that do not count."""


def measure_latency(
    findings: Findings,
    data: str,
    models: Sequence[tuple[str, SentenceTransformer]],
    texts_by_length: Mapping[int, Sequence[str]],
    settings: Speed,
) -> None:
    """Measure the time of single calls in milliseconds: all models on a text, then all on the next one.

    Before each call the model embeds a short text that does not count. Otherwise a small model would find
    the processor's caches full of its predecessor's weights, and its latency would depend on its company.

    Args:
        findings: is added to.
        data: name of the data.
        models: names and models.
        texts_by_length: what `cut_texts` made.
        settings: how many calls of each model at each length; 0 leaves latency out.
    """
    if not settings.calls:
        return
    short = texts_by_length[min(texts_by_length)][0]
    for tokens, texts in texts_by_length.items():
        times = _times([model for _, model in models], texts[: settings.calls], short, tokens)
        bootstrap = findings.bootstrap(times.shape[1], "calls")
        for (name, _), of_model in zip(models, times, strict=True):
            for metric, percent in PERCENTILES.items():
                findings.measure(
                    metric,
                    name,
                    float(np.percentile(of_model, percent)),
                    data,
                    n=len(of_model),
                    parameters={"tokens": tokens, "batch_size": 1},
                    interval=bootstrap.interval(bootstrap.distribution(percentile(of_model, percent))),
                )


def _times(models: Sequence[SentenceTransformer], texts: Sequence[str], short: str, tokens: int) -> Array:
    """Milliseconds of each call, shape (n_models, n_texts)."""
    times = np.empty((len(models), len(texts)))
    for model in models:
        for text in texts[:WARM_UP]:
            seconds_to_encode(model, [text], 1)
    with track(times.size, f"Timing single texts of {tokens} tokens") as advance:
        for column, text in enumerate(texts):
            for row, model in enumerate(models):
                seconds_to_encode(model, [short], 1)
                times[row, column] = 1000 * seconds_to_encode(model, [text], 1)
                advance(1)
    return times
