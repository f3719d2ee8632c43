"""Our layer-reduced student against another recipe's: equal texts, and equal seconds of training."""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from comparison import QUALITY, Judge, Setting, add_texts, at_least, conclude, show
from sentence_transformers import SentenceTransformer

from hubdistill import recipe
from hubdistill.training import trains_in_bf16

QUERIES = 500
EQUAL_TEXTS, EQUAL_SECONDS = "hubdistill, equal texts", "hubdistill, equal seconds"
SAME_STUDENT = "hubdistill, the peer's layers"
FIGURES = (*QUALITY, "texts", "seconds")


class Trained(NamedTuple):
    """What a recipe gives for some texts and a seed."""

    model: SentenceTransformer
    seconds: float
    """Of training, without the teacher's pass."""
    teacher_seconds: float
    layers: tuple[int, ...] = ()
    """The teacher's layers that the student has, where they are known."""


PeerRecipe = Callable[[Setting, int, int, int], Trained]
"""Takes setting, number of texts, number of layers and seed."""


def add_layers(parser: argparse.ArgumentParser) -> None:
    add_texts(parser, 20_000)
    parser.add_argument("--layers", type=at_least(1), default=3, help="that the student keeps (default 3)")
    parser.add_argument(
        "--seeds", type=at_least(0), nargs="+", help="of the training (default: --seed alone)"
    )


def compare(
    options: argparse.Namespace,
    benchmark: str,
    setting: Setting,
    peers: Mapping[str, PeerRecipe],
    *,
    versions: Mapping[str, str] | None = None,
) -> None:
    """Train both sides for every seed, score them, and print what came out.

    Args:
        options: of the command line.
        benchmark: its name.
        setting: teacher and texts.
        peers: the peer's recipe under its name, and variants of it; ours gets the seconds of the first.
        versions: of the peer's packages.
    """
    peer = next(iter(peers))
    judge = Judge(setting, queries=QUERIES)
    # Sets that cannot be read are found before anything is trained.
    teacher = {"student": "teacher", **judge.score_teacher()}
    runs: list[dict[str, Any]] = []
    seeds = options.seeds or [options.seed]
    for seed in seeds:
        runs += one_seed(setting, judge, options, peers, seed)
    names = list(dict.fromkeys(run["student"] for run in runs))
    rows = [teacher, *(summary([run for run in runs if run["student"] == name]) for name in names)]
    show(rows, {"student": "student", "texts": "texts", **QUALITY, "seconds": "training s"})
    print(f"means over the seeds {', '.join(map(str, seeds))}")
    of = {row["student"]: row for row in rows}
    same = of.get(SAME_STUDENT, of[EQUAL_TEXTS])
    conclude(
        benchmark,
        "overlap with the teacher's ten nearest, at equal seconds of training",
        of[EQUAL_SECONDS]["overlap"],
        of[peer]["overlap"],
        better="higher",
        seed=options.seed,
        texts=options.texts,
        device=str(setting.teacher.model.device),
        versions=versions,
        layers=options.layers,
        precision="bfloat16" if trains_in_bf16(setting.teacher.model) else "float32",
        seeds=seeds,
        seconds_ratio=round(of[peer]["seconds"] / same["seconds"], 3),
        results=rows,
        runs=runs,
        **judge.sizes,
    )


def one_seed(
    setting: Setting,
    judge: Judge,
    options: argparse.Namespace,
    peers: Mapping[str, PeerRecipe],
    seed: int,
) -> list[dict[str, Any]]:
    """Ours and the peers' on the same texts, then ours on as many as the first peer's seconds allow.

    Where the peer's layers are known, ours is trained with these as well: the same student, without a search.
    """
    ours = run_ours(setting, judge, EQUAL_TEXTS, options.texts, options.layers, seed)
    theirs = {name: train(setting, options.texts, options.layers, seed) for name, train in peers.items()}
    runs = [ours, *(scored(setting, judge, options.texts, name, made, seed) for name, made in theirs.items())]
    first = next(iter(theirs.values()))
    search, seconds = 0.0, ours["seconds"]
    if first.layers:
        same = run_ours(setting, judge, SAME_STUDENT, options.texts, first.layers, seed)
        search, seconds = max(0.0, ours["seconds"] - same["seconds"]), same["seconds"]
        runs.append(same)
    # The search alone may take longer than the peer; a batch is the least there is to train on.
    allowed = max(recipe.Training().batch_size, round(options.texts * (first.seconds - search) / seconds))
    texts = min(allowed, len(setting.corpus.train))
    if texts < allowed:
        print(f"the corpus has {texts:,} texts, the peer's seconds would allow {allowed:,}")
    return [*runs, run_ours(setting, judge, EQUAL_SECONDS, texts, options.layers, seed)]


def scored(setting: Setting, judge: Judge, texts: int, name: str, made: Trained, seed: int) -> dict[str, Any]:
    """What a peer's recipe gave, with its figures."""
    return {
        "student": name,
        "seed": seed,
        "texts": texts,
        "seconds": round(made.seconds, 1),
        "teacher_seconds": round(made.teacher_seconds, 1),
    } | judge.score(made.model, prompt=setting.teacher.prompt)


def run_ours(
    setting: Setting, judge: Judge, name: str, texts: int, layers: int | tuple[int, ...], seed: int
) -> dict[str, Any]:
    """With the recipe's defaults."""
    student = recipe.LayerStudent(name="hubdistill", layers=layers, texts=texts)
    model, seconds = setting.distil(student, seed=seed)
    made = Trained(model, seconds, setting.teacher_seconds(texts))
    return scored(setting, judge, texts, name, made, seed)


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over the seeds, and the lowest and highest of each figure."""
    mean = {key: round(statistics.mean(run[key] for run in runs), 4) for key in FIGURES}
    spread = {key: [min(run[key] for run in runs), max(run[key] for run in runs)] for key in FIGURES}
    return {"student": runs[0]["student"], **mean, "texts": round(mean["texts"]), "spread": spread}
