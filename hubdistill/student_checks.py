"""What is refused before any work: students that cannot be made of this teacher."""

from __future__ import annotations

from hubdistill import recipe
from hubdistill.errors import CardError, StudentError, TeacherError
from hubdistill.students import dimensions, other_model
from hubdistill.students.copying import refuse_adapter, refuse_router
from hubdistill.students.layer_refit import can_refit
from hubdistill.students.layers import count_layers, reduce_layers, select_layers
from hubdistill.teacher import Teacher, check_max_length


def check_student(family: recipe.Recipe, teacher: Teacher, index: int, student: recipe.AnyStudent) -> None:
    """Find out before any work whether a student can be made of this teacher.

    Raises:
        StudentError: it cannot; the message names the field that mends it.
    """
    field = f"students[{index}]"
    _refuse_cut(teacher, "teacher")
    width = teacher.model.get_embedding_dimension() or 0
    if isinstance(student, recipe.LayerStudent | recipe.TrimmedStudent):
        refuse_adapter(teacher.model)
    if isinstance(student, recipe.LayerStudent):
        rule = "ends" if student.select == "search" else student.select
        layers = select_layers(
            count_layers(teacher.model),
            student.layers,
            rule,
            student=student.name,
            teacher=teacher.name,
            index=index,
        )
        if student.select != "search" or isinstance(student.layers, tuple):
            reduce_layers(teacher.model, layers)
        if student.refit and not can_refit(teacher.model):
            raise StudentError(
                f"the layers of {teacher.name} do not end in a linear map that could be solved for; take "
                f"{field}.refit out of the recipe"
            )
        _check_max_length(family, teacher, student, field)
    if isinstance(student, recipe.LayerStudent | recipe.TrimmedStudent):
        _check_vocabulary(teacher, student, field)
    if not isinstance(student, recipe.ModelStudent) and student.dimensions:
        dimensions.check_dimensions(
            student.dimensions,
            width,
            student=student.name,
            teacher=teacher.name,
            field=f"{field}.dimensions",
        )
        width = student.dimensions
    if isinstance(student, recipe.StaticStudent):
        place = f"{field}.matryoshka"
        dimensions.check_matryoshka(student.matryoshka or (), width, student=student.name, field=place)
    if isinstance(student, recipe.LayerStudent | recipe.ModelStudent):
        sizes = family.training_of(student).matryoshka
        place = _training_field("matryoshka", student, field)
        dimensions.check_matryoshka(sizes, width, student=student.name, field=place)
        if sizes and isinstance(student, recipe.ModelStudent) and not student.teacher_space:
            raise StudentError(
                f"student '{student.name}' trains {place}, prefixes of the teacher's dimensions, but keeps "
                f"its own; set {field}.teacher_space: true, or {field}.training.matryoshka: []"
            )


def load_start(family: recipe.Recipe, teacher: Teacher, index: int, student: recipe.ModelStudent) -> Teacher:
    """Load the model that a student starts from, on the teacher's device.

    Raises:
        StudentError: as `other_model.load_start`.
    """
    field = f"students[{index}]"
    start = other_model.load_start(student, base=family.folder, device=str(teacher.model.device), field=field)
    _refuse_cut(start, field)
    _check_max_length(family, start, student, field)
    return start


def _training_field(setting: str, student: recipe.LayerStudent | recipe.ModelStudent, field: str) -> str:
    """Where the recipe has a setting of a student's training: with the student, or for the family."""
    own = student.training is not None and setting in student.training.model_fields_set
    return f"{field}.training.{setting}" if own else f"training.{setting}"


def _check_max_length(
    family: recipe.Recipe, model: Teacher, student: recipe.LayerStudent | recipe.ModelStudent, field: str
) -> None:
    if length := family.training_of(student).max_length:
        try:
            check_max_length(model.model, length, field=_training_field("max_length", student, field))
        except TeacherError as error:
            raise StudentError(f"student '{student.name}': {error}") from error


def _refuse_cut(model: Teacher, field: str) -> None:
    """Students learn from what a model's modules give, and `encode` cuts that afterwards."""
    if model.model.truncate_dim is not None:
        raise StudentError(
            f"{model.name} cuts its vectors to {model.model.truncate_dim} dimensions; save it with "
            f"`truncate_dim` null in config_sentence_transformers.json, name that in {field}.model, and give "
            "students fewer `dimensions`"
        )


def check_start(family: recipe.Recipe, teacher: Teacher, start: Teacher, name: str) -> None:
    """Make sure that somebody has said what licence holds for a student of two models.

    Raises:
        CardError: teacher and start have different licences, and the recipe names none.
    """
    if family.card.license is None and start.license != teacher.license:
        licences = [f"{one.name} (licence: {one.license or 'not declared'})" for one in (start, teacher)]
        raise CardError(
            f"student '{name}' starts from {licences[0]} and learns from {licences[1]}; set card.license to "
            "the one that holds for the student"
        )


def _check_vocabulary(
    teacher: Teacher, student: recipe.LayerStudent | recipe.TrimmedStudent, field: str
) -> None:
    if student.vocabulary is None:
        return
    refuse_router(teacher.model)
    if student.vocabulary.tokens is None:
        return
    wanted, available = student.vocabulary.tokens, len(teacher.model.tokenizer.get_vocab())
    if wanted > available:
        raise StudentError(
            f"student '{student.name}' asks for {wanted} tokens, but {teacher.name} has {available}; set "
            f"{field}.vocabulary.tokens to at most {available}"
        )
