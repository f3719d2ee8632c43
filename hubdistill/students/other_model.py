"""Students that start from another model than the teacher, of any width and with any tokenizer.

Their vectors meet the teacher's through a linear projection, which is trained with the rest. It is a
module of the student while that lasts, so that checkpoints hold it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, Normalize
from transformers import PreTrainedTokenizerBase

from hubdistill import recipe
from hubdistill.errors import StudentError, TeacherError
from hubdistill.students.copying import refuse_adapter, refuse_router
from hubdistill.students.dimensions import FloatArray, Vectors, add_projection
from hubdistill.teacher import Teacher, load_teacher

FIT_TEXTS = 10_000
"""Texts that the projection is started on, at most."""

RIDGE = 1e-3
"""Of the first fit, relative to the mean variance of the student's dimensions."""


def load_start(
    settings: recipe.ModelStudent, *, base: Path, device: str | None = None, field: str = "students[0]"
) -> Teacher:
    """Load the model that a student starts from, with the care that a teacher gets.

    A sentence-transformers model comes as it is, prompts included; a plain encoder gets mean pooling.

    Args:
        settings: the student as the recipe has it.
        base: the folder that a relative path starts from.
        device: where to put the model; the best one there is when None.
        field: the student's place in the recipe, for error messages.

    Raises:
        StudentError: it cannot be found, reached or loaded, has no tokenizer, or is no transformer.
    """
    asked = recipe.Teacher(
        model=settings.model, revision=settings.revision, hub_id=settings.hub_id, dtype="float32"
    )
    try:
        start = load_teacher(asked, base=base, device=device, field=field)
    except TeacherError as error:
        raise StudentError(f"student '{settings.name}': {error}") from error
    try:
        refuse_router(start.model)
        refuse_adapter(start.model)
    except StudentError as error:
        raise StudentError(f"student '{settings.name}' starts from {settings.model!r}: {error}") from error
    encoder = start.model.transformers_model
    if encoder is None:
        raise StudentError(
            f"student '{settings.name}' starts from {settings.model!r}, which has no transformer to train; "
            f"name another in {field}.model"
        )
    tokenizer = start.model.tokenizer
    # Where there are no files of one, transformers makes up a tokenizer that knows no words.
    if not isinstance(tokenizer, PreTrainedTokenizerBase) or len(tokenizer) <= len(tokenizer.all_special_ids):
        raise StudentError(
            f"student '{settings.name}' starts from {settings.model!r}, which brings no tokenizer that "
            f"can be used; add its tokenizer.json and tokenizer_config.json, or name another in {field}.model"
        )
    if tokenizer.pad_token is None:
        raise StudentError(
            f"student '{settings.name}' starts from {settings.model!r}, whose tokenizer has no padding "
            "token; set one (tokenizer.pad_token = tokenizer.eos_token), save the model and name that"
        )
    # A student is a model of its own, and the name may be a folder on this machine.
    encoder.config.name_or_path = ""
    return start


def add_fitted_projection(
    student: SentenceTransformer,
    texts: Sequence[str],
    vectors: Vectors,
    *,
    teacher: SentenceTransformer,
) -> Dense:
    """Put a projection to the teacher's space behind a student, fitted by least squares.

    The student then has the teacher's width and similarity function, and gives unit vectors if the teacher
    does.

    Args:
        student: is changed.
        texts: texts whose teacher vectors are known; the first `FIT_TEXTS` are used.
        vectors: the teacher's vectors, shape (n_texts, the teacher's dim).
        teacher: the teacher.

    Returns:
        The new module.
    """
    texts = list(texts[:FIT_TEXTS])
    given = student.encode(texts, normalize_embeddings=True, show_progress_bar=False)
    weight = fit_linear(np.asarray(given, np.float32), np.asarray(vectors[: len(texts)], np.float32))
    student.similarity_fn_name = teacher.similarity_fn_name
    if isinstance(student[-1], Normalize):
        student.pop(-1)
    return add_projection(student, weight, normalize=isinstance(teacher[-1], Normalize))


def fit_linear(given: FloatArray, wanted: FloatArray) -> FloatArray:
    """Find the linear map that brings one set of vectors nearest to another, by ridge regression.

    Args:
        given: shape (n, width).
        wanted: shape (n, dim).

    Returns:
        Shape (dim, width).
    """
    x, y = given.astype(np.float64), wanted.astype(np.float64)
    moments = x.T @ x
    ridge = RIDGE * np.trace(moments) / len(moments) + np.finfo(np.float64).tiny
    solved = np.linalg.solve(moments + ridge * np.eye(len(moments)), x.T @ y)
    return np.asarray(solved.T, np.float32)


def keep_own_width(student: SentenceTransformer, projection: Dense) -> None:
    """Take a trained projection out of the teacher's space again, back to the student's own width.

    A projection W turns, stretches and embeds the student's vectors. Only the stretching, (W'W)^(1/2),
    changes their inner products (polar decomposition), so that alone stays: the similarities of the narrow
    vectors are exactly those of the projected ones.

    Args:
        student: is changed.
        projection: as `add_fitted_projection` gave it.
    """
    weight = projection.linear.weight.detach()
    _, stretches, directions = torch.linalg.svd(weight.double(), full_matrices=False)
    last = student.pop(-1) if isinstance(student[-1], Normalize) else None
    student.pop(-1)
    stretch = (directions.T * stretches) @ directions
    add_projection(student, stretch.float().cpu().numpy(), normalize=last is not None)
