"""The teacher pass against `SentenceTransformer.encode`: texts a second, and how close the vectors are.

All take turns on the same texts, so that other load on the machine meets them alike; before that, each
encodes a few to warm up. `encode` runs with its default batch of 32 and with 128, and the faster one counts.
Where the processor computes in bfloat16, ours does so by default; `encode` is measured in both precisions
too, with a model loaded in bfloat16.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from comparison import add_texts, arguments, conclude, prepare, show
from sentence_transformers import SentenceTransformer

from hubdistill.encoding import Precision, encode, working_precision
from hubdistill.evaluation.fidelity import row_cosines
from hubdistill.text_table import TextTable

BATCHES = (32, 128)
ROUNDS = 4
WARM_UP = 64
"""Texts that each side encodes before anything is timed."""

Pass = Callable[[TextTable], np.ndarray]


def main() -> None:
    parser = arguments(__doc__ or "")
    add_texts(parser, 4_000, least=ROUNDS)
    options = parser.parse_args()
    setting = prepare(options)
    model = setting.teacher.model
    usual: Precision = working_precision(model, "auto")
    precisions: list[Precision] = list(dict.fromkeys(("float32", usual)))
    passes: dict[tuple[str, Precision], Pass] = {}
    for precision in precisions:
        loaded = SentenceTransformer(
            str(setting.teacher.folder), device=str(model.device), model_kwargs={"dtype": precision}
        )
        loaded.max_seq_length = model.max_seq_length
        for batch in BATCHES:
            passes[f"encode, batches of {batch}", precision] = _peer(loaded, batch)
        passes["teacher pass", precision] = _ours(model, precision)
    texts = setting.corpus.train.head(options.texts)
    seconds = dict.fromkeys(passes, 0.0)
    vectors: dict[tuple[str, Precision], list[np.ndarray]] = {name: [] for name in passes}
    for run in passes.values():
        run(texts.head(WARM_UP))
    for part in np.array_split(np.arange(len(texts)), ROUNDS):
        some = texts.select(part)
        for key, run in passes.items():
            started = time.perf_counter()
            vectors[key].append(run(some))
            seconds[key] += time.perf_counter() - started
    reference = np.concatenate(vectors["encode, batches of 32", "float32"])
    rows: list[dict[str, Any]] = []
    for (name, precision), parts in vectors.items():
        cosines = row_cosines(np.concatenate(parts), reference)
        rows.append(
            {
                "pass": name,
                "precision": precision,
                "texts_per_second": round(len(texts) / seconds[name, precision], 1),
                "cosine_min": round(float(cosines.min()), 6),
                "cosine_mean": round(float(cosines.mean()), 6),
            }
        )
    show(
        rows,
        {
            "pass": "pass",
            "precision": "precision",
            "texts_per_second": "texts/s",
            "cosine_min": "min cosine",
            "cosine_mean": "mean cosine",
        },
    )
    rates = {
        (side, precision): max(
            row["texts_per_second"]
            for row in rows
            if row["precision"] == precision and row["pass"].startswith(side)
        )
        for side in ("encode", "teacher pass")
        for precision in precisions
    }
    conclude(
        "teacher_pass",
        f"texts a second: ours as it comes ({usual}), encode as it comes (float32), its faster batch size",
        rates["teacher pass", usual],
        rates["encode", "float32"],
        better="higher",
        seed=options.seed,
        texts=options.texts,
        device=str(model.device),
        precision=usual,
        same_precision={
            precision: round(rates["teacher pass", precision] / rates["encode", precision], 3)
            for precision in precisions
        },
        results=rows,
    )


def _peer(model: SentenceTransformer, batch: int) -> Pass:
    def run(texts: TextTable) -> np.ndarray:
        found = model.encode(texts.texts(), batch_size=batch, show_progress_bar=False, convert_to_tensor=True)
        return np.asarray(found.to(torch.float32).cpu().numpy())

    return run


def _ours(model: SentenceTransformer, precision: Precision) -> Pass:
    def run(texts: TextTable) -> np.ndarray:
        vectors = np.empty((len(texts), model.get_embedding_dimension() or 0), np.float32)
        for batch in encode(model, texts, np.arange(len(texts)), precision=precision):
            vectors[batch.positions] = batch.vectors
        return vectors

    return run


if __name__ == "__main__":
    main()
