"""Our static student against model2vec's distillation and tokenlearn's training of the same teacher.

Ours comes with the recipe's defaults, cut to a quarter of its dimensions, and as the solved table alone.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

from comparison import NEEDS, QUALITY, Judge, Setting, add_texts, arguments, conclude, prepare, show
from peer import Peer, PeerModel, add_peer_python

from hubdistill import recipe

BATCH = 1_024
"""model2vec's default, and more than ours; both sides encode with it."""
SPEED_TEXTS = 8_000
"""Fewer than the 10,000 from which model2vec encodes several batches at once."""
ROUNDS = 5
TABLE, CUT = "hubdistill, table alone", "hubdistill, a quarter of it"
OURS = {"hubdistill", TABLE, CUT}

PEER_NEEDS = (
    NEEDS
    + """\
  --peer-python  an interpreter with model2vec and tokenlearn, which want an older transformers:
                   python -m venv peer && peer/bin/pip install torch==2.13.0
                   peer/bin/pip install "model2vec[distill]==0.10.0" tokenlearn==0.2.1
"""
)


def main() -> None:
    parser = arguments(__doc__ or "", needs=PEER_NEEDS)
    add_texts(parser, 150_000)
    add_peer_python(parser)
    parser.add_argument("--without-tokenlearn", action="store_true", help="leave out the slowest peer")
    options = parser.parse_args()
    setting = prepare(options)
    judge = Judge(setting, queries=1_000)
    with Peer(options.peer_python, "model2vec_peer.py", setting.work) as peer:
        versions = peer.call("versions")
        rows: list[dict[str, Any]] = [{"student": "teacher", **judge.score_teacher()}]
        models: dict[str, Any] = {}
        for name, settings in (("hubdistill", {}), (TABLE, {"hidden_layer": False})):
            models[name], row = distil_ours(setting, options, name, settings)
            rows.append(row)
        for row in distil_peers(peer, setting, options):
            models[row["student"]] = PeerModel(peer, row["student"])
            rows.append(row)
        for row in rows[1:]:
            row |= judge.score(models[row["student"]])
        rows.insert(2, cut(models["hubdistill"], judge))
        for name, rate in encode_rates(setting, models).items():
            next(row for row in rows if row["student"] == name)["texts_per_second"] = rate
    columns = {
        "student": "student",
        "dimensions": "dim",
        **QUALITY,
        "teacher_seconds": "teacher s",
        "seconds": "student s",
        "texts_per_second": "encode texts/s",
    }
    show(rows, columns)
    mine = rows[1]
    best = max((row for row in rows[1:] if row["student"] not in OURS), key=lambda row: row["stsb_test"])
    conclude(
        "static_vs_model2vec",
        "STS-B test, Spearman; the peer's best variant",
        mine["stsb_test"],
        best["stsb_test"],
        better="higher",
        seed=options.seed,
        texts=options.texts,
        device=str(setting.teacher.model.device),
        versions=versions,
        teacher_estimate=setting.teacher_estimate(options.texts),
        results=rows,
        **judge.sizes,
    )


def distil_ours(
    setting: Setting, options: argparse.Namespace, name: str, settings: dict[str, Any]
) -> tuple[Any, dict[str, Any]]:
    """With the recipe's defaults, but for some settings."""
    student = recipe.StaticStudent(kind="static", name="hubdistill", texts=options.texts, **settings)
    model, seconds = setting.distil(student, seed=options.seed)
    row = {
        "student": name,
        "dimensions": model.get_embedding_dimension(),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "texts": options.texts,
        "teacher_seconds": round(setting.teacher_seconds(options.texts), 1),
        "seconds": round(seconds, 1),
    }
    return model, row


def cut(model: Any, judge: Judge) -> dict[str, Any]:
    """The figures of a quarter of a model's dimensions."""
    width = model.get_embedding_dimension() // 4
    model.truncate_dim = width
    try:
        return {"student": CUT, "dimensions": width} | judge.score(model)
    finally:
        model.truncate_dim = None


def distil_peers(peer: Peer, setting: Setting, options: argparse.Namespace) -> list[dict[str, Any]]:
    """model2vec at its default width and at the teacher's, and tokenlearn; seconds by the peer's clock."""
    teacher = str(setting.teacher.folder)
    rows: list[dict[str, Any]] = [
        {"student": name, "texts": 0, "teacher_seconds": 0.0}
        | peer.call("distill", name=name, teacher=teacher, dimensions=dimensions)
        for name, dimensions in (("model2vec", 256), ("model2vec, full width", "auto"))
    ]
    if not options.without_tokenlearn:
        teacher_and_texts = f"{setting.teacher.cache_key().digest[:16]}-{setting.corpus.facts.sha256[:16]}"
        folder = setting.work / f"tokenlearn-{teacher_and_texts}-{options.texts}"
        folder.mkdir(exist_ok=True)
        texts = peer.give("train_texts", setting.corpus.train.texts(0, options.texts))
        made = peer.call("tokenlearn", name="tokenlearn", teacher=teacher, texts=texts, folder=str(folder))
        rows.append({"student": "tokenlearn", "texts": options.texts} | made)
    for row in rows:
        row |= {key: round(row[key], 1) for key in ("seconds", "teacher_seconds") if key in row}
    return rows


def encode_rates(setting: Setting, models: dict[str, Any]) -> dict[str, float]:
    """Texts a second through each `encode`, the models taking turns; the median of the rounds."""
    texts = setting.corpus.train.texts(0, SPEED_TEXTS)
    rates: dict[str, list[float]] = {name: [] for name in models}
    for _ in range(1 + ROUNDS):
        for name, model in models.items():
            if isinstance(model, PeerModel):
                given = model.peer.give("speed_texts", texts)
                seconds = model.peer.call("encode", name=name, texts=given)["seconds"]
            else:
                started = time.perf_counter()
                model.encode(texts, batch_size=BATCH, show_progress_bar=False)
                seconds = time.perf_counter() - started
            rates[name].append(len(texts) / seconds)
    # The first round pays for allocations.
    return {name: round(statistics.median(of_model[1:])) for name, of_model in rates.items()}


if __name__ == "__main__":
    main()
