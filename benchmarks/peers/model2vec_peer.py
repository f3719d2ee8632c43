"""model2vec's distillation and tokenlearn's training, in an environment that has them.

pip install "model2vec[distill]==0.10.0" tokenlearn==0.2.1
"""

from __future__ import annotations

import json
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from answering import answer
from model2vec import StaticModel
from model2vec.distill import distill as distill_with_model2vec

MODELS: dict[str, StaticModel] = {}


def versions() -> dict[str, Any]:
    names = ["model2vec", "tokenlearn", "transformers"]
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except ModuleNotFoundError:
            found[name] = "not installed"
    return {f"peer {name}": number for name, number in found.items()}


def distill(name: str, teacher: str, dimensions: int | str) -> dict[str, Any]:
    """model2vec's defaults, apart from the number of dimensions."""
    started = time.perf_counter()
    MODELS[name] = distill_with_model2vec(teacher, pca_dims=dimensions)
    return _made(name, time.perf_counter() - started)


def tokenlearn(name: str, teacher: str, texts: str, folder: str) -> dict[str, Any]:
    """Both of tokenlearn's commands with their defaults; features of an earlier call are used again."""
    import tokenlearn.train
    from sentence_transformers import SentenceTransformer
    from tokenlearn.featurize import featurize

    features, record = Path(folder) / "features", Path(folder) / "featurize.json"
    if not record.exists():
        features.mkdir(parents=True, exist_ok=True)
        for stale in features.iterdir():
            stale.unlink()
        rows = [{"text": text} for text in json.loads(Path(texts).read_text(encoding="utf-8"))]
        started = time.perf_counter()
        model = SentenceTransformer(teacher)
        featurize(iter(rows), model, str(features), len(rows), 32, "text")
        record.write_text(json.dumps({"seconds": time.perf_counter() - started}))
    sys.argv = [
        "tokenlearn-train",
        *("--model-name", teacher, "--data-path", str(features), "--save-path", f"{folder}/model"),
    ]
    started = time.perf_counter()
    tokenlearn.train.main()
    seconds = time.perf_counter() - started
    MODELS[name] = StaticModel.from_pretrained(f"{folder}/model")
    return _made(name, seconds) | {"teacher_seconds": json.loads(record.read_text())["seconds"]}


def encode(name: str, texts: str, output: str | None = None) -> dict[str, Any]:
    """Encode as a user would; the time is that of the call alone."""
    sentences = json.loads(Path(texts).read_text(encoding="utf-8"))
    started = time.perf_counter()
    vectors = MODELS[name].encode(sentences)
    seconds = time.perf_counter() - started
    if output:
        np.save(output, vectors.astype(np.float32))
    return {"seconds": seconds}


def _made(name: str, seconds: float) -> dict[str, Any]:
    table = MODELS[name].embedding
    return {"seconds": seconds, "dimensions": table.shape[1], "parameters": int(table.size)}


if __name__ == "__main__":
    answer(versions, distill, tokenlearn, encode)
