"""Throughput: texts per second at several lengths, as a user of `encode` gets it."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

import numpy as np
from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer

from hubdistill.errors import EvaluationError
from hubdistill.evaluation.findings import Findings, texts_sha256
from hubdistill.evaluation.significance import Array
from hubdistill.progress import track
from hubdistill.recipe import Speed
from hubdistill.report import EvaluationData, Interval

logger = logging.getLogger(__name__)

TEXTS = 128
"""Different texts of each length; where a model needs more they are repeated."""
MOST_TEXTS = 20_000
"""In one measurement, however fast a model is."""


def measure_speed(
    findings: Findings,
    data: str,
    models: Sequence[tuple[str, SentenceTransformer]],
    texts: Sequence[str],
    settings: Speed,
) -> None:
    """Measure all models on the same texts, interleaved, and each student's ratio to the teacher.

    Args:
        findings: is added to; defines `data`.
        data: name of the data.
        models: names and models, the teacher first.
        texts: texts from which texts of each length are cut.
        settings: lengths in the teacher's tokens, batch size and repeats. Lengths beyond what the teacher
            takes are left out.

    Raises:
        EvaluationError: the teacher takes no text of any of the lengths.
    """
    lengths = _usable_lengths(models[0][1], settings.tokens)
    cut = {tokens: texts_of_length(models[0][1], texts, tokens, TEXTS) for tokens in lengths}
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
    for tokens, group in cut.items():
        rates = _rates([model for _, model in models], group, settings, tokens)
        parameters = {"tokens": tokens, "batch_size": settings.batch_size}
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
                    n=len(group),
                    against=against,
                    parameters=parameters,
                    interval=_spread(repeats),
                )


def texts_of_length(model: SentenceTransformer, texts: Sequence[str], tokens: int, count: int) -> list[str]:
    """Cut texts that have so many tokens for a model, special tokens included.

    Texts are joined and cut where the tokenizer says; a token at a cut may come out differently when it is
    tokenised again, so that a text can be a token or two off.

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
    # A copy: what is switched off here must stay on in the model.
    tokenizer = Tokenizer.from_str(getattr(model.tokenizer, "backend_tokenizer", model.tokenizer).to_str())
    length = max(1, tokens - _special_tokens(model))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    cut: list[str] = []
    while len(cut) < count:
        before = len(cut)
        pieces: list[str] = []
        found = 0
        for text in texts:
            pieces.append(text)
            found += len(tokenizer.encode(text, add_special_tokens=False))
            if found < length:
                continue
            joined = " ".join(pieces)
            offsets = tokenizer.encode(joined, add_special_tokens=False).offsets
            cut.append(joined[offsets[0][0] : offsets[min(length, len(offsets)) - 1][1]])
            pieces, found = [], 0
            if len(cut) == count:
                return cut
        if len(cut) == before:
            if not found:
                raise EvaluationError(
                    f"the held-out texts hold no tokens to make texts of {tokens} tokens of"
                )
            texts = [*texts, *texts]
    return cut


def _special_tokens(model: SentenceTransformer) -> int:
    # A static model adds none.
    count = getattr(model.tokenizer, "num_special_tokens_to_add", None)
    return int(count()) if count and hasattr(model.tokenizer, "backend_tokenizer") else 0


def _usable_lengths(teacher: SentenceTransformer, wanted: Sequence[int]) -> list[int]:
    most = teacher.max_seq_length
    usable = sorted({tokens for tokens in wanted if most is None or tokens <= most})
    if not usable:
        raise EvaluationError(
            f"evaluation.speed.tokens asks for {', '.join(map(str, wanted))}, "
            f"but the teacher takes at most {most}"
        )
    if left_out := sorted(set(wanted) - set(usable)):
        logger.warning(
            "the teacher takes at most %s tokens: throughput at %s is left out",
            most,
            ", ".join(map(str, left_out)),
        )
    return usable


def _rates(
    models: Sequence[SentenceTransformer], texts: Sequence[str], settings: Speed, tokens: int
) -> Array:
    """Texts per second, shape (n_models, repeats)."""
    batch = settings.batch_size
    rates = np.empty((len(models), settings.repeats))
    counts = []
    for model in models:
        # The first call pays for allocations and kernels; the second says how many texts make a second.
        _time(model, _repeated(texts, batch), batch)
        seconds = _time(model, _repeated(texts, batch), batch)
        batches = min(round(settings.seconds / seconds), MOST_TEXTS // batch)
        counts.append(max(1, batches) * batch)
    with track(len(models) * settings.repeats, f"Timing texts of {tokens} tokens") as advance:
        for repeat in range(settings.repeats):
            for row, (model, count) in enumerate(zip(models, counts, strict=True)):
                rates[row, repeat] = count / _time(model, _repeated(texts, count), batch)
                advance(1)
    return rates


def _repeated(texts: Sequence[str], count: int) -> list[str]:
    return [texts[place % len(texts)] for place in range(count)]


def _time(model: SentenceTransformer, texts: list[str], batch_size: int) -> float:
    start = time.perf_counter()
    # Vectors come back as an array in main memory, so an accelerator has finished by then.
    model.encode(texts, batch_size=batch_size, show_progress_bar=False)
    return time.perf_counter() - start


def _spread(repeats: Array) -> Interval:
    return Interval(
        low=float(repeats.min()),
        high=float(repeats.max()),
        level=1.0,
        method=f"lowest and highest of {len(repeats)} repeats",
    )
