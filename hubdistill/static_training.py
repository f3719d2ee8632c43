"""Train a static student's hidden layer, and its token table with it, from the solved table on."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from datasets import Dataset
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.model import BaseModel
from sklearn.cluster import MiniBatchKMeans

from hubdistill import recipe, report
from hubdistill.objectives import NeighbourhoodDistillLoss
from hubdistill.samplers import GROUP, NeighbourSampler
from hubdistill.students import hidden_layer
from hubdistill.students.dimensions import Vectors
from hubdistill.teacher import processes
from hubdistill.trainer import (
    CachedLabelCollator,
    TeacherAgreement,
    Texts,
    hyperparameters,
    plain,
    run_trainer,
    training_arguments,
    training_log,
)

logger = logging.getLogger(__name__)

BATCH = 1_024
"""Texts of a batch, at most."""
STEPS = 16
"""Batches of an epoch, at least."""
CLUSTER = 1_000
"""Texts of a cluster, on average."""

# The table is several times the size of the layers, and each batch touches little of it.
_LEARNING_RATES = {r"^model\.0\.": 5e-3}
_LEARNING_RATE = 5e-4
_CLUSTERED_ON = 50_000
_SAMPLE = 2_000
_ROWS = 16_384


class NeighbourAgreement(TeacherAgreement):
    """Share of each held-out text's ten nearest others that are the teacher's ten, beside the mean cosine.

    What a hidden layer gains is in the order of neighbours; the cosine alone hardly shows it.
    """

    def __init__(self, texts: Sequence[str], vectors: np.ndarray) -> None:
        super().__init__(texts, vectors)
        self.primary_metric = "precision_at_10"
        self.near = self._nearest(self.vectors)

    def __call__(self, model: BaseModel, *given: Any, **named: Any) -> dict[str, float]:
        embeddings = self.embed(model)
        return {
            "teacher_cosine": self.cosine(embeddings),
            self.primary_metric: self.found(embeddings).mean().item(),
        }

    def found(self, embeddings: torch.Tensor) -> torch.Tensor:
        """Each text's share of the teacher's ten that a student's vectors find, shape (n_texts,)."""
        hits = (self._nearest(embeddings)[:, :, None] == self.near[:, None, :]).any(dim=2)
        return hits.float().mean(dim=1)

    def gains(self, embeddings: torch.Tensor, before: torch.Tensor) -> bool:
        """Whether a student finds more than before by over two standard errors of the paired difference."""
        gain = self.found(embeddings) - self.found(before)
        return bool(gain.mean() > 2 * gain.std() / len(gain) ** 0.5)

    @staticmethod
    def _nearest(vectors: torch.Tensor) -> torch.Tensor:
        """The ten nearest others of each vector, shape (n_texts, 10); all where there are fewer."""
        unit = torch.nn.functional.normalize(vectors)
        scores = (unit @ unit.T).fill_diagonal_(-torch.inf)
        return scores.topk(min(10, len(vectors) - 1)).indices


def train_hidden_layer(
    solved: SentenceTransformer,
    facts: report.Training,
    texts: Texts,
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
        The student and how it was made; what was given where the hidden layer does not find measurably more
        of the teacher's neighbours among held-out texts, as happens with few texts.
    """
    started = time.perf_counter()
    sample = [texts[row] for row in range(min(_SAMPLE, len(texts)))]
    student = hidden_layer.add_hidden_layer(solved, sample, seed=seed)
    width = student.get_embedding_dimension() or 0
    prefixes = settings.matryoshka
    if prefixes is None:
        prefixes = tuple(size for size in (width // 2, width // 4) if size)
    batch = max(1, min(BATCH, len(texts) // (STEPS * processes().num_processes)))
    if batch > GROUP:
        batch -= batch % GROUP
    loss = NeighbourhoodDistillLoss(student, group=min(GROUP, batch), prefixes=prefixes)
    arguments = training_arguments(
        recipe.Training(
            epochs=settings.epochs,
            batch_size=batch,
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
        device=_training_device(),
    )
    evaluator = NeighbourAgreement(held_out_texts, held_out_vectors)
    trainer = run_trainer(
        student,
        arguments,
        Dataset.from_dict({"row": np.arange(len(texts)), "cluster": cluster(vectors, seed=seed)}),
        loss,
        evaluator,
        CachedLabelCollator(student.preprocess, texts=texts, vectors=vectors),
        folder=folder,
    )
    student.to(solved.device)
    before = evaluator.embed(solved)
    if not evaluator.gains(evaluator.embed(student), before):
        logger.info("The hidden layer gained too little on held-out texts: the student goes without")
        if settings.matryoshka:
            logger.warning(
                "%s goes without a hidden layer, which more texts would have needed, and so without trained "
                "prefixes (`matryoshka`): its vectors can be cut, at a greater loss",
                settings.name,
            )
        return solved, facts
    start = report.TrainingLog(
        step=0,
        epoch=0.0,
        teacher_cosine=evaluator.cosine(before),
        precision_at_10=evaluator.found(before).mean().item(),
    )
    changed, everything = hyperparameters(arguments)
    ours: dict[str, report.Value] = {"batch_sampler": NeighbourSampler.__name__}
    return student, facts.model_copy(
        update={
            "loss": type(loss).__name__,
            "loss_parameters": plain(loss.get_config_dict()),
            "matryoshka": tuple(sorted(prefixes)),
            "hyperparameters": facts.hyperparameters | facts.loss_parameters | changed | ours,
            "all_hyperparameters": facts.hyperparameters | facts.loss_parameters | everything | ours,
            "log": (start, *training_log(trainer.state.log_history)),
            "best_step": trainer.state.best_global_step,
            "seconds": facts.seconds + time.perf_counter() - started,
            "citations": (*facts.citations, hidden_layer.CITATION, loss.citation),
        }
    )


def _training_device() -> torch.device:
    """A GPU where every process has its own; the CPU otherwise.

    One process with several GPUs would divide a batch by its tokens, which are in one row, not by its texts.
    """
    here = processes()
    own = here.num_processes > 1 or torch.cuda.device_count() == 1
    return here.device if here.device.type == "cuda" and own else torch.device("cpu")


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
