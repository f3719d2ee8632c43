"""Train a static student's hidden layer, and its token table with it, from the solved table on."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from datasets import Dataset
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.model import BaseModel
from sentence_transformers.base.sampler import DefaultBatchSampler
from sklearn.cluster import MiniBatchKMeans

from hubdistill import recipe, report, training
from hubdistill.objectives import NeighbourhoodDistillLoss
from hubdistill.students import hidden_layer
from hubdistill.students.dimensions import Vectors
from hubdistill.teacher import processes

logger = logging.getLogger(__name__)

BATCH = 1_024
"""Texts of a batch, at most."""
STEPS = 16
"""Batches of an epoch, at least."""
GROUP = 128
"""Texts of a batch that are of one cluster."""
CLUSTER = 1_000
"""Texts of a cluster, on average."""

# The table is a hundred times the size of the layers, and each batch touches little of it.
_LEARNING_RATES = {r"^model\.0\.": 5e-3}
_LEARNING_RATE = 5e-4
_CLUSTERED_ON = 50_000
_SAMPLE = 2_000
_ROWS = 16_384


class NeighbourSampler(DefaultBatchSampler):
    """Batches of groups of like texts, each group of one `cluster`, in random order.

    A text meets others of its cluster, whose differences are what a search depends on, and seven groups of
    others. In every epoch the groups are drawn anew.
    """

    def __init__(self, dataset: Dataset, batch_size: int, drop_last: bool, **kwargs: Any) -> None:
        super().__init__(dataset, batch_size=batch_size, drop_last=drop_last, **kwargs)
        self.clusters = np.asarray(dataset.with_format("numpy")["cluster"][:])

    def __iter__(self) -> Iterator[list[int]]:
        rng = np.random.default_rng((self.seed, self.epoch))
        order = rng.permutation(len(self.clusters))
        order = order[np.argsort(self.clusters[order], kind="stable")]
        groups = np.split(order, np.arange(GROUP, len(order), GROUP))
        order = np.concatenate([groups[index] for index in rng.permutation(len(groups))])
        for start in range(0, len(self) * self.batch_size, self.batch_size):
            yield order[start : start + self.batch_size].tolist()

    def __len__(self) -> int:
        rows = len(self.clusters)
        return rows // self.batch_size if self.drop_last else -(-rows // self.batch_size)


class NeighbourAgreement(training.TeacherAgreement):
    """Share of each held-out text's ten nearest others that are the teacher's ten, beside the mean cosine.

    What a hidden layer gains is in the order of neighbours; the cosine alone hardly shows it.
    """

    def __init__(self, texts: Sequence[str], vectors: np.ndarray) -> None:
        super().__init__(texts, vectors)
        self.primary_metric = "precision_at_10"
        self.near = self._nearest(self.vectors)

    def __call__(self, model: BaseModel, *given: Any, **named: Any) -> dict[str, float]:
        embeddings = self.embed(model)
        found = (self._nearest(embeddings)[:, :, None] == self.near[:, None, :]).any(dim=2)
        return {"teacher_cosine": self.cosine(embeddings), self.primary_metric: found.float().mean().item()}

    @staticmethod
    def _nearest(vectors: torch.Tensor) -> torch.Tensor:
        """The ten nearest others of each vector, shape (n_texts, 10); all where there are fewer."""
        unit = torch.nn.functional.normalize(vectors)
        scores = (unit @ unit.T).fill_diagonal_(-torch.inf)
        return scores.topk(min(10, len(vectors) - 1)).indices


def train_hidden_layer(
    solved: SentenceTransformer,
    facts: report.Training,
    texts: training.Texts,
    vectors: Vectors,
    *,
    held_out_texts: list[str],
    held_out_vectors: np.ndarray,
    settings: recipe.StaticStudent,
    folder: Path,
    seed: int,
) -> tuple[SentenceTransformer, report.Training]:
    """Give a solved static student a hidden layer and train it; the best checkpoint is kept.

    Checkpoints go to `folder`; a run that finds one there goes on from it.

    Args:
        solved: a StaticEmbedding and a Normalize.
        facts: how it was solved.
        texts: training texts, n_texts of them.
        vectors: the teacher's vectors, shape (n_texts, dim), as wide as the student.
        held_out_texts: texts for the comparison during training.
        held_out_vectors: the teacher's vectors of these, shape (n_held_out, dim).

    Returns:
        The student and how it was made; what was given where the hidden layer finds no more of the teacher's
        neighbours among held-out texts, as happens with few texts.
    """
    started = time.perf_counter()
    sample = [texts[row] for row in range(min(_SAMPLE, len(texts)))]
    student = hidden_layer.add_hidden_layer(solved, sample, seed=seed)
    width = student.get_embedding_dimension() or 0
    prefixes = settings.matryoshka
    if prefixes is None:
        prefixes = tuple(size for size in (width // 2, width // 4) if size)
    loss = NeighbourhoodDistillLoss(student, prefixes=prefixes)
    arguments = training.training_arguments(
        recipe.Training(
            epochs=settings.epochs,
            batch_size=max(1, min(BATCH, len(texts) // (STEPS * processes().num_processes))),
            learning_rate=_LEARNING_RATE,
            arguments={
                "learning_rate_mapping": _LEARNING_RATES,
                "adam_beta2": 0.99,
                "max_grad_norm": 0.0,
                "batch_sampler": NeighbourSampler,
                "metric_for_best_model": "precision_at_10",
            },
        ),
        len(texts),
        folder=folder,
        seed=seed,
        device=student.device,
    )
    evaluator = NeighbourAgreement(held_out_texts, held_out_vectors)
    at_start = evaluator(solved)
    trainer = training.run_trainer(
        student,
        arguments,
        Dataset.from_dict({"row": np.arange(len(texts)), "cluster": cluster(vectors, seed=seed)}),
        loss,
        evaluator,
        training.CachedLabelCollator(student.preprocess, texts=texts, vectors=vectors),
        folder=folder,
    )
    log = training.training_log(trainer.state.log_history)
    if not (trainer.state.best_metric or 0.0) > at_start["precision_at_10"]:
        logger.info("The hidden layer gained nothing on held-out texts: the student goes without")
        return solved, facts
    changed, everything = training.hyperparameters(arguments)
    ours: dict[str, report.Value] = {
        "batch_sampler": NeighbourSampler.__name__,
        "learning_rate_mapping": str(_LEARNING_RATES),
    }
    return student, facts.model_copy(
        update={
            "loss": type(loss).__name__,
            "loss_parameters": training.plain(loss.get_config_dict()),
            "matryoshka": tuple(sorted(prefixes)),
            "hyperparameters": facts.hyperparameters | facts.loss_parameters | changed | ours,
            "all_hyperparameters": facts.hyperparameters | facts.loss_parameters | everything | ours,
            "log": (report.TrainingLog(step=0, epoch=0.0, teacher_cosine=at_start["teacher_cosine"]), *log),
            "best_step": trainer.state.best_global_step,
            "seconds": facts.seconds + time.perf_counter() - started,
            "citations": (*facts.citations, hidden_layer.CITATION, loss.citation),
        }
    )


def cluster(vectors: Vectors, *, seed: int) -> npt.NDArray[np.int32]:
    """Divide vectors into groups of neighbours, CLUSTER of them in each on average; shape (n_texts,)."""
    clusters = max(1, len(vectors) // CLUSTER)
    # A prefix of the texts is a fair sample: the corpus mixes its sources.
    found = MiniBatchKMeans(clusters, random_state=seed, batch_size=4_096, n_init=1, max_iter=10)
    found.fit(np.asarray(vectors[:_CLUSTERED_ON], np.float32))
    parts = [
        found.predict(np.asarray(vectors[start : start + _ROWS], np.float32))
        for start in range(0, len(vectors), _ROWS)
    ]
    return np.concatenate(parts).astype(np.int32)
