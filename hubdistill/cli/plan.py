"""What a recipe would do, in words. Loads no model and reads no data."""

from __future__ import annotations

from hubdistill.data_sources import source_name
from hubdistill.recipe import (
    AnyStudent,
    CorpusSource,
    LayerStudent,
    ModelStudent,
    Recipe,
    StaticStudent,
    TrimmedStudent,
)


def plan(recipe: Recipe, *, push: bool) -> dict[str, str]:
    """Each step of a run and what it would do, in order."""
    corpus, evaluation = recipe.corpus, recipe.evaluation
    sets = [s.name for s in evaluation.similarity] + [r.name for r in evaluation.retrieval]
    texts = f"{corpus.texts:,} texts" if corpus.texts else "all texts"
    measures = [*sets, "agreement with the teacher", *(["speed"] if evaluation.speed else [])]
    return {
        "embed": f"{texts} from {', '.join(_source(source) for source in corpus.sources)} "
        f"with {recipe.teacher.model}, {corpus.held_out:.0%} held out",
        "distill": "; ".join(_student(student) for student in recipe.students),
        "evaluate": f"students and teacher on {', '.join(measures)}",
        "card": f"README.md and figures in {recipe.output_folder}",
        "push": _target(recipe) if push else "nothing (no --push)",
    }


def _source(source: CorpusSource) -> str:
    config = f" ({source.config})" if source.config else ""
    return f"{source_name(source)}{config}"


def _student(student: AnyStudent) -> str:
    match student:
        case StaticStudent():
            parts = ["static"]
            parts += [] if student.hidden_layer else ["table only"]
            parts += [f"{student.dimensions} dimensions"] if student.dimensions else []
            parts += [student.dtype] if student.dtype != "float32" else []
        case ModelStudent():
            parts = [f"from {student.model}"]
            parts += [] if student.teacher_space else ["own width"]
        case TrimmedStudent():
            parts = ["all layers", *_less(student)]
        case LayerStudent(layers=tuple() as layers):
            parts = [f"layers {', '.join(map(str, layers))}", *_less(student)]
        case LayerStudent():
            parts = [f"{student.layers} layers", student.select, *_less(student)]
    return f"{student.name} ({', '.join(parts)})"


def _less(student: LayerStudent | TrimmedStudent) -> list[str]:
    """What else a student has less of than its teacher."""
    parts = []
    if student.vocabulary and student.vocabulary.tokens is not None:
        parts.append(f"{student.vocabulary.tokens:,} tokens")
    elif student.vocabulary:
        parts.append(f"tokens for {student.vocabulary.coverage:.1%} of the corpus")
    if student.dimensions:
        parts.append(f"{student.dimensions} dimensions")
    return parts


def _target(recipe: Recipe) -> str:
    if recipe.publish.namespace is None:
        return "would be refused: the recipe names no publish.namespace"
    names = ", ".join(f"{recipe.publish.namespace}/{student.name}" for student in recipe.students)
    gates = f", if {' and '.join(recipe.publish.gates)}" if recipe.publish.gates else ""
    collection = f", into the collection '{recipe.publish.collection}'" if recipe.publish.collection else ""
    return f"{names}{' (private)' if recipe.publish.private else ''}{collection}{gates}"
