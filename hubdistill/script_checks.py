"""What a training script hands to HubDistillCallback, and what of it is refused before the first step."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sentence_transformers import SentenceTransformer

from hubdistill import recipe
from hubdistill.errors import TeacherError, TrainingError
from hubdistill.models import locate
from hubdistill.saving import check_saved, save_student


def held_out_texts(held_out: Any) -> list[str]:
    """Held-out texts as a list.

    Raises:
        TrainingError: they are one string, or one of them is no text.
    """
    if isinstance(held_out, str):
        raise TrainingError("held_out is one string; give a list of texts that the student is not trained on")
    texts = list(held_out)
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            raise TrainingError(f"held_out[{number}] is {text!r:.60}, not a text; leave such rows out")
    return texts


def teacher_settings(teacher: Any) -> recipe.Teacher:
    """What is said of a teacher: its Hub id, its folder, or more.

    Raises:
        TrainingError: it is something else, such as a loaded model.
    """
    if isinstance(teacher, recipe.Teacher):
        return teacher
    if not isinstance(teacher, str | os.PathLike):
        raise TrainingError(
            f"the teacher is a {type(teacher).__name__}; name it by its Hub id or its folder, or give "
            "hubdistill.recipe.Teacher: the card says which model it is, and others load it to measure again"
        )
    return recipe.Teacher(model=os.fspath(teacher))


def refuse_other_kinds(model: Any) -> None:
    """Insist on a model that gives one dense vector for a text.

    Raises:
        TrainingError: it is of another kind.
    """
    if not isinstance(model, SentenceTransformer):
        raise TrainingError(
            f"HubDistillCallback compares a SentenceTransformer with its teacher, and the Trainer has a "
            f"{type(model).__name__}; leave the callback out"
        )


def refuse_other_layers(
    layers: Sequence[int], student: SentenceTransformer, teacher: SentenceTransformer
) -> None:
    """Insist that the layers that a student is said to keep can be those that it has.

    Raises:
        TrainingError: there are more or fewer, one comes twice, or the teacher has no such layer.
    """
    kept, available = depth(student), depth(teacher)
    if len(layers) != kept:
        raise TrainingError(
            f"layers names {len(layers)} layers, and the student has {kept}; name those of the teacher's "
            f"that it keeps, counted from 0"
        )
    if len(set(layers)) != len(layers) or not all(0 <= layer < available for layer in layers):
        raise TrainingError(
            f"layers is {list(layers)}, and the teacher's {available} layers are counted from 0 to "
            f"{available - 1}; name each that the student keeps once"
        )


def depth(model: SentenceTransformer) -> int:
    """Layers of a model's encoder; 0 where it has none."""
    config = model.config
    return int(config.get_text_config().num_hidden_layers) if config is not None else 0


def refuse_lost_base(model: SentenceTransformer, texts: Sequence[str], *, prompt: str | None) -> None:
    """Insist that a student with an adapter can be loaded from its files, which only name the base.

    Raises:
        TrainingError: the base is a folder, cannot be loaded, or is another than the student's.
    """
    adapters = getattr(model.transformers_model, "peft_config", None)
    if not adapters:
        return
    base = next(iter(adapters.values())).base_model_name_or_path
    remedy = (
        "publish the base and load it by its Hub id before the adapter is added; or train without this "
        "callback, merge the adapter (peft's `merge_and_unload()`), and run hubdistill evaluate, card and "
        "push"
    )
    if not base or Path(base).exists():
        where = "is a local folder" if base else "has no name"
        raise TrainingError(
            f"the student has an adapter, of which only the adapter is saved, and its base {where}, so that "
            f"nobody else can load it; {remedy}"
        )
    with TemporaryDirectory() as place:
        try:
            save_student(model, Path(place))
            check_saved(model, locate(place), texts, prompt=prompt)
        except (TeacherError, TrainingError) as error:
            raise TrainingError(
                f"the student has an adapter, of which only the adapter is saved, and on {base} it cannot be "
                f"loaded as it is here: {error}; {remedy}"
            ) from error
