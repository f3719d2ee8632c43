"""Throughput: texts per second at several lengths and batch sizes, as a user of `encode` gets it."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping, Sequence
from itertools import cycle

import numpy as np
from sentence_transformers import SentenceTransformer

from hubdistill.errors import EvaluationError
from hubdistill.evaluation.findings import Findings, texts_sha256
from hubdistill.evaluation.significance import Array
from hubdistill.evaluation.token_counts import token_counts
from hubdistill.progress import track
from hubdistill.recipe import Speed
from hubdistill.report import EvaluationData, Interval

logger = logging.getLogger(__name__)

TEXTS = 128
"""Different texts of each length, unless latency asks for more; throughput repeats them if it needs to."""
MOST_TEXTS = 20_000
"""In one measurement, however fast a model is."""


def cut_texts(
    findings: Findings,
    data: str,
    models: Sequence[tuple[str, SentenceTransformer]],
    texts: Sequence[str],
    settings: Speed,
) -> dict[int, list[str]]:
    """Cut the texts on which every cost is measured, and define them as data.

    Args:
        findings: is added to; defines `data`.
        data: name of the data.
        models: names and models, the teacher first: its tokenizer counts.
        texts: to cut from.
        settings: lengths in the teacher's tokens. Lengths beyond what any of the models reads are left out,
            for a model that reads only the beginning would seem fast.

    Returns:
        Texts by their length, short ones first.

    Raises:
        EvaluationError: a model reads no text of any of the lengths, or the texts hold no tokens.
    """
    lengths = _usable_lengths(models, settings.tokens)
    teacher = models[0][1]
    cut = {tokens: texts_of_length(teacher, texts, tokens, max(TEXTS, settings.calls)) for tokens in lengths}
    every = [text for group in cut.values() for text in group]
    findings.add_data(
        data,
        EvaluationData(
            kind="speed",
            title=f"Texts of {', '.join(map(str, lengths))} tokens",
            source="cut from held-out texts",
            n=len(every),
            sha256=texts_sha256(every),
        ),
    )
    return cut


def measure_speed(
    findings: Findings,
    data: str,
    models: Sequence[tuple[str, SentenceTransformer]],
    texts_by_length: Mapping[int, Sequence[str]],
    settings: Speed,
) -> None:
    """Measure all models on the same texts, interleaved, and each student's ratio to the teacher.

    Args:
        findings: is added to.
        data: name of the data.
        models: names and models, the teacher first.
        texts_by_length: what `cut_texts` made.
        settings: batch sizes and repeats.
    """
    for batch_size in dict.fromkeys(settings.batch_sizes):
        for tokens, texts in texts_by_length.items():
            rates = _rates([model for _, model in models], texts, settings, tokens, batch_size)
            for row, (name, _) in enumerate(models):
                figures: list[tuple[str, Array, str | None]] = [("texts_per_second", rates[row], None)]
                if row:
                    figures.append(("speedup", rates[row] / rates[0], models[0][0]))
                for metric, repeats, against in figures:
                    findings.measure(
                        metric,
                        name,
                        float(np.median(repeats)),
                        data,
                        n=len(texts),
                        against=against,
                        parameters={"tokens": tokens, "batch_size": batch_size},
                        interval=spread(repeats),
                    )


def texts_of_length(model: SentenceTransformer, texts: Sequence[str], tokens: int, count: int) -> list[str]:
    """Cut texts that have so many tokens for a model, special tokens included.

    Texts are joined, and cut after the last character up to which there are no more tokens. Where two tokens
    begin at one character, a text is a token short.

    Args:
        model: whose tokenizer counts.
        texts: to cut from; used again from the start when they are too short.
        tokens: length of every text.
        count: how many texts.

    Returns:
        `count` texts.

    Raises:
        EvaluationError: the texts hold no tokens.
    """
    special = token_counts(model, [""])[0]
    tokens = max(tokens, special + 1)
    of_texts = [counted - special for counted in token_counts(model, texts)]
    if not any(of_texts):
        raise EvaluationError(f"the held-out texts hold no tokens to make texts of {tokens} tokens of")
    joined: list[str] = []
    pieces: list[str] = []
    found = 0
    for text, counted in cycle(zip(texts, of_texts, strict=True)):
        pieces.append(text)
        found += counted
        if found >= tokens - special:
            joined.append(" ".join(pieces))
            pieces, found = [], 0
            if len(joined) == count:
                break
    # All texts are bisected together, for a tokenizer is fastest with many at once.
    low, high = np.zeros(count, dtype=int), np.array([len(text) for text in joined])
    while (low < high).any():
        middle = (low + high + 1) // 2
        counts = token_counts(model, [text[:end] for text, end in zip(joined, middle, strict=True)])
        fits = np.array(counts) <= tokens
        low, high = np.where(fits, middle, low), np.where(fits, high, middle - 1)
    return [text[:end].strip() for text, end in zip(joined, low, strict=True)]


def _usable_lengths(models: Sequence[tuple[str, SentenceTransformer]], wanted: Sequence[int]) -> list[int]:
    # Static models have no maximum.
    limits = [(model.max_seq_length or math.inf, name) for name, model in models]
    most, shortest = min(limits, key=lambda limit: limit[0])
    usable = sorted({tokens for tokens in wanted if tokens <= most})
    if not usable:
        raise EvaluationError(
            f"evaluation.speed.tokens asks for {', '.join(map(str, wanted))}, "
            f"but {shortest} reads at most {most} tokens"
        )
    if left_out := sorted(set(wanted) - set(usable)):
        logger.warning(
            "%s reads at most %s tokens: cost at %s is left out for all models",
            shortest,
            most,
            ", ".join(map(str, left_out)),
        )
    return usable


def _rates(
    models: Sequence[SentenceTransformer], texts: Sequence[str], settings: Speed, tokens: int, batch: int
) -> Array:
    """Texts per second, shape (n_models, repeats)."""
    rates = np.empty((len(models), settings.repeats))
    counts = []
    for model in models:
        # The first call pays for allocations and kernels; the second says how many texts make a second.
        seconds_to_encode(model, _repeated(texts, batch), batch)
        seconds = seconds_to_encode(model, _repeated(texts, batch), batch)
        batches = min(round(settings.seconds / seconds), MOST_TEXTS // batch)
        counts.append(max(1, batches) * batch)
    with track(
        len(models) * settings.repeats, f"Timing texts of {tokens} tokens, {batch} at once"
    ) as advance:
        for repeat in range(settings.repeats):
            for row, (model, count) in enumerate(zip(models, counts, strict=True)):
                rates[row, repeat] = count / seconds_to_encode(model, _repeated(texts, count), batch)
                advance(1)
    return rates


def _repeated(texts: Sequence[str], count: int) -> list[str]:
    return [texts[place % len(texts)] for place in range(count)]


def seconds_to_encode(model: SentenceTransformer, texts: list[str], batch_size: int) -> float:
    """Time of one call of `encode`."""
    start = time.perf_counter()
    # Vectors come back as an array in main memory, so an accelerator has finished by then.
    model.encode(texts, batch_size=batch_size, show_progress_bar=False)
    return time.perf_counter() - start


def spread(repeats: Array) -> Interval:
    """The lowest and highest of a few repeats of one timing."""
    return Interval(
        low=float(repeats.min()),
        high=float(repeats.max()),
        level=1.0,
        method=f"lowest and highest of {len(repeats)} repeats",
    )
