"""Static students: one vector for each token, solved for instead of trained.

The table comes from `token_table`; here are the tokenizer that it belongs to, the teacher's vectors of
single tokens that it starts from, and the model that it becomes.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator, Sized
from itertools import islice
from typing import Protocol

import numpy as np
import numpy.typing as npt
import scipy.sparse
import torch
from sentence_transformers import SentenceTransformer, SentenceTransformerModelCardData
from sentence_transformers.sentence_transformer.modules import Normalize, StaticEmbedding
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from hubdistill import recipe, report
from hubdistill.encoding import working_precision
from hubdistill.errors import StudentError
from hubdistill.progress import track
from hubdistill.students.dimensions import Vectors
from hubdistill.students.token_table import (
    Counts,
    Table,
    blocks_of,
    check_size,
    fit_static,
    length_weights,
)

TOKEN_FREQUENCY = 1e-3
"""Tokens more frequent than this weigh less in the prior (smooth inverse frequency)."""

_TEXTS = 8_192
_TOKENS = 1_024


class Texts(Sized, Protocol):
    """Texts that can be counted and gone through."""

    def __iter__(self) -> Iterator[str]: ...


def build_static_student(
    teacher: SentenceTransformer,
    texts: Texts,
    targets: Vectors,
    *,
    held_out_texts: Texts,
    held_out_targets: Vectors,
    settings: recipe.StaticStudent,
) -> tuple[SentenceTransformer, report.Training]:
    """Make a static student of a teacher whose vectors are known.

    The student is a StaticEmbedding and a Normalize, on the CPU, with the teacher's tokenizer. It takes
    no prompts: the teacher's are part of the vectors that it learned. It is as wide as the targets.

    Args:
        teacher: asked for its vectors of single tokens only.
        texts: training texts.
        targets: the teacher's unit vectors of them, shape (texts, dim).
        held_out_texts: texts to choose by.
        held_out_targets: the teacher's unit vectors of these, shape (held-out texts, dim).
        settings: the student as the recipe has it.

    Raises:
        CorpusTooSmallError: fewer texts than output dimensions.
        StudentError: the teacher has no fast tokenizer.
    """
    started = time.perf_counter()
    tokenizer = static_tokenizer(teacher)
    counts = token_counts(tokenizer, texts)
    check_size(counts, targets)
    table, fit = fit_static(
        counts,
        targets,
        prior=token_prior(teacher, tokenizer, counts, targets),
        held_out_counts=token_counts(tokenizer, held_out_texts),
        held_out_targets=held_out_targets,
        ridge=settings.ridge,
        iterations=settings.iterations,
        reweight=settings.reweight,
    )
    weights = torch.from_numpy(table).to(getattr(torch, settings.dtype))
    student = SentenceTransformer(
        modules=[StaticEmbedding(tokenizer, embedding_weights=weights), Normalize()],
        similarity_fn_name=teacher.similarity_fn_name,
        device="cpu",
        model_card_data=SentenceTransformerModelCardData(local_files_only=True),
    )
    lengths = counts.sum(axis=1)
    solves = fit.held_out_cosine[1:]
    return student, report.Training(
        method="static",
        loss="squared distance to the teacher's vectors, reweighted towards the cosine",
        loss_parameters={"ridge": fit.ridge},
        texts=len(texts),
        tokens=report.TokenCounts(min=int(lengths.min()), mean=float(lengths.mean()), max=int(lengths.max())),
        hyperparameters={"ridge": settings.ridge, "iterations": fit.iterations, "solves": len(solves)},
        log=tuple(
            report.TrainingLog(step=solve * fit.iterations, epoch=float(solve), teacher_cosine=cosine)
            for solve, cosine in enumerate(fit.held_out_cosine)
        ),
        best_step=(1 + int(np.argmax(solves))) * fit.iterations,
        seconds=time.perf_counter() - started,
    )


def static_tokenizer(teacher: SentenceTransformer) -> Tokenizer:
    """The teacher's tokenizer as a static student uses it: whole texts, no padding.

    Raises:
        StudentError: the teacher's tokenizer is not a fast one.
    """
    tokenizer = teacher.tokenizer
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise StudentError(
            f"a static student needs the fast tokenizer of a transformer, this teacher's is a "
            f"{type(tokenizer).__name__}; use another teacher, or a student of kind 'layers'"
        )
    copied = copy.deepcopy(tokenizer.backend_tokenizer)
    copied.no_padding()
    copied.no_truncation()
    return copied


def token_counts(tokenizer: Tokenizer, texts: Texts) -> Counts:
    """Count each text's tokens, as StaticEmbedding makes them: no special tokens, no truncation."""
    # Not get_vocab_size(): the ids of some tokenizers have gaps.
    vocabulary = max(tokenizer.get_vocab(with_added_tokens=True).values()) + 1
    tokens: list[npt.NDArray[np.int32]] = []
    ends: list[int] = []
    remaining = iter(texts)
    with track(len(texts), "Counting tokens") as advance:
        while batch := list(islice(remaining, _TEXTS)):
            for encoding in tokenizer.encode_batch_fast(batch, add_special_tokens=False):
                tokens.append(np.array(encoding.ids, np.int32))
                ends.append(len(encoding.ids))
            advance(len(batch))
    indices = np.concatenate([*tokens, np.zeros(0, np.int32)])
    starts = np.cumsum([0, *ends], dtype=np.int64)
    counts = scipy.sparse.csr_array(
        (np.ones(len(indices), np.float32), indices, starts), shape=(len(ends), vocabulary)
    )
    counts.sum_duplicates()
    return counts


def token_prior(
    teacher: SentenceTransformer, tokenizer: Tokenizer, counts: Counts, targets: Vectors
) -> Table:
    """A first token table: the teacher's vector of each token alone, mapped to fit whole texts.

    The vectors are normalised, weighted by TOKEN_FREQUENCY / (TOKEN_FREQUENCY + frequency), and
    multiplied by the (dim, dim) matrix that fits the texts' means to the targets best.
    """
    alone = single_token_vectors(teacher, tokenizer, counts.shape[1])
    frequency = counts.sum(axis=0)
    frequency /= max(1.0, frequency.sum())
    alone *= (TOKEN_FREQUENCY / (TOKEN_FREQUENCY + frequency)).astype(np.float32)[:, None]
    width = alone.shape[1]
    gram = np.zeros((width, width))
    cross = np.zeros((width, targets[:1].shape[1]))
    weights = length_weights(counts)
    for rows in blocks_of(counts.shape[0]):
        sums = (counts[rows] @ alone) * weights[rows, None]
        gram += sums.T @ sums
        cross += sums.T @ np.asarray(targets[rows], np.float32)
    gram += np.eye(width) * (1e-3 * np.trace(gram) / width)
    return alone @ np.linalg.solve(gram, cross).astype(np.float32)


@torch.inference_mode()
def single_token_vectors(teacher: SentenceTransformer, tokenizer: Tokenizer, tokens: int) -> Table:
    """The teacher's unit vector of each token alone, between the special tokens that it puts around."""
    sample = tokenizer.encode("a")
    special = np.array(sample.special_tokens_mask, bool)
    first, last = np.flatnonzero(~special)[[0, -1]]
    before, after = sample.ids[:first], sample.ids[last + 1 :]
    precision = working_precision(teacher.eval(), "auto")
    vectors = np.zeros((tokens, teacher.get_embedding_dimension() or 0), np.float32)
    # Some tokenizers have added tokens beyond the teacher's table; their vectors stay zero.
    if (encoder := teacher.transformers_model) is not None:
        tokens = min(tokens, len(next(encoder.get_input_embeddings().parameters())))
    with (
        torch.autocast(teacher.device.type, torch.bfloat16, enabled=precision == "bfloat16"),
        track(tokens, "Embedding single tokens") as advance,
    ):
        for rows in blocks_of(tokens, _TOKENS):
            ids = range(tokens)[rows]
            inputs = torch.tensor([[*before, token, *after] for token in ids], device=teacher.device)
            features = {"input_ids": inputs, "attention_mask": torch.ones_like(inputs)}
            found = teacher(features)["sentence_embedding"].float()
            vectors[rows] = torch.nn.functional.normalize(found, dim=1).cpu().numpy()
            advance(len(ids))
    return vectors
