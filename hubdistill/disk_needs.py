"""How much a run will write at least, so that a full disk is told before the work and not after it."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from sentence_transformers import SentenceTransformer
from torch import nn

from hubdistill.distilling import vectors_needed
from hubdistill.recipe import AnyStudent, LayerStudent, ModelStudent, Recipe, StaticStudent
from hubdistill.students import hidden_layer
from hubdistill.students.layers import encoder_blocks

_CHECKPOINTS = 2
"""The Trainer removes the last checkpoint when the next one is whole."""


def disk_needed(
    recipe: Recipe,
    teacher: SentenceTransformer,
    *,
    starts: Mapping[str, SentenceTransformer],
    cached_bytes: int,
    made: Collection[str],
) -> dict[str, int]:
    """Count what is known before the work: rather too little than too much.

    Args:
        recipe: the run.
        teacher: its teacher.
        starts: the models that students of the kind `model` begin from, by the student's name.
        cached_bytes: size of the teacher's vectors that are there already.
        made: names of students that are there already.

    Returns:
        What is written -> bytes: the teacher's vectors in half precision (where `corpus.texts` says how many
        texts there are), the students' weights, and the checkpoints of the largest one that is trained:
        weights and AdamW's two moments of what is trained.
    """
    missing = [student for student in recipe.students if student.name not in made]
    texts = max((vectors_needed(student, recipe.corpus.texts or 0) for student in missing), default=0)
    vectors = texts * (teacher.get_embedding_dimension() or 0) * 2
    weights, checkpoints = 0, 0
    for student in missing:
        saved, trained = _sizes(student, teacher, starts)
        weights += saved
        if trained is not None:
            checkpoints = max(checkpoints, _CHECKPOINTS * (saved + 2 * trained))
    return {
        f"the teacher's vectors of {texts:,} texts": max(0, vectors - cached_bytes),
        "the students": weights,
        "checkpoints": checkpoints,
    }


def _sizes(
    student: AnyStudent, teacher: SentenceTransformer, starts: Mapping[str, SentenceTransformer]
) -> tuple[int, int | None]:
    """Bytes of a student's weights, and of those among them that are trained; both at least.

    Token embeddings may be frozen and vocabularies are cut to what is found in the texts, so that neither is
    counted there. None: the student is solved, not trained.
    """
    match student:
        case StaticStudent():
            rows = len(teacher.tokenizer)
            columns = student.dimensions or teacher.get_embedding_dimension() or 0
            if not student.hidden_layer:
                return rows * columns * (4 if student.dtype == "float32" else 2), None
            weights = 4 * (rows * columns + 2 * hidden_layer.UNITS * columns**2)
            return weights, weights
        case ModelStudent():
            return _bytes(starts[student.name]), 0
        case LayerStudent():
            blocks = encoder_blocks(teacher)
            kept = student.layers if isinstance(student.layers, int) else len(student.layers)
            in_blocks = _in_float32(blocks)
            trained = in_blocks * kept // len(blocks)
            return trained + (0 if student.vocabulary else _in_float32(teacher) - in_blocks), trained
        case _:
            return (0 if student.vocabulary else _bytes(teacher)), None


def _in_float32(module: nn.Module) -> int:
    return 4 * sum(parameter.numel() for parameter in module.parameters())


def _bytes(module: nn.Module) -> int:
    return sum(parameter.numel() * parameter.element_size() for parameter in module.parameters())
