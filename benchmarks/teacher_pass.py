"""The teacher pass against `SentenceTransformer.encode`: texts a second, and how close the vectors are.

    python benchmarks/teacher_pass.py MODEL_FOLDER TEXT_FILE... [--texts 4000] [--tokens 2048]

Both take turns on the same texts, so that other load on the machine meets both alike.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from hubdistill import recipe
from hubdistill.corpus import normalize, write_texts
from hubdistill.data_sources import mixed_rows
from hubdistill.encoding import encode, working_precision
from hubdistill.teacher import load_teacher

ROUNDS = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("files", nargs="+")
    parser.add_argument("--texts", type=int, default=4_000)
    parser.add_argument("--tokens", type=int)
    parser.add_argument("--precision", choices=["auto", "float32", "bfloat16"], default="auto")
    options = parser.parse_args()
    model = load_teacher(recipe.Teacher(model=options.model), base=Path()).model
    source = recipe.DataSource(files=tuple(options.files))
    rows = mixed_rows(source, ["text"], base=Path(), sample_seed=None)
    texts = [normalize(text) for (text,) in islice(rows, options.texts)]
    ours, theirs, cosines = 0.0, 0.0, []
    with tempfile.TemporaryDirectory() as name:
        table = write_texts(Path(name), texts)
        for positions in np.array_split(np.arange(len(texts)), ROUNDS):
            start = time.perf_counter()
            expected = model.encode([texts[i] for i in positions], show_progress_bar=False)
            theirs += time.perf_counter() - start
            got = np.empty_like(expected)
            start = time.perf_counter()
            for batch in encode(
                model, table, positions, precision=options.precision, batch_tokens=options.tokens
            ):
                got[batch.positions - positions[0]] = batch.vectors
            ours += time.perf_counter() - start
            norms = np.linalg.norm(got, axis=1) * np.linalg.norm(expected, axis=1)
            cosines.append((got * expected).sum(1) / norms)
    cosine = np.concatenate(cosines)
    print(f"{torch.get_num_threads()} threads, {model.device}, {working_precision(model, options.precision)}")
    print(f"encode        {len(texts) / theirs:8.0f} texts/s")
    print(f"teacher pass  {len(texts) / ours:8.0f} texts/s   ratio {theirs / ours:.2f}")
    print(f"cosine to float32: min {cosine.min():.5f}, mean {cosine.mean():.6f}")


if __name__ == "__main__":
    main()
