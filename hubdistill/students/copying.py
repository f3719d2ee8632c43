"""A model's copy, as every student that starts as its teacher begins."""

from __future__ import annotations

import copy
from typing import Any

from sentence_transformers import SentenceTransformer, SentenceTransformerModelCardData
from sentence_transformers.sentence_transformer.modules import Router

from hubdistill.errors import StudentError


def refuse_router(model: SentenceTransformer) -> None:
    """Insist on one way for all texts, where a part of the encoder is to be taken.

    Raises:
        StudentError: queries and documents go through modules of their own.
    """
    if any(isinstance(module, Router) for module in model):
        raise StudentError(
            "this model sends texts through a Router, each kind to modules of its own, and only one of them "
            "would be cut; save the route that you need as a model of its own and name that"
        )


def refuse_adapter(model: SentenceTransformer) -> None:
    """Insist on weights that can be saved whole.

    Raises:
        StudentError: the model has an adapter (LoRA) beside its weights.
    """
    if getattr(model.transformers_model, "_hf_peft_config_loaded", False):
        raise StudentError(
            "this model has an adapter (LoRA) beside its weights; merge it into them (merge_and_unload of "
            "peft), save the model and name that"
        )


def copy_model(model: SentenceTransformer, instead: dict[int, Any] | None = None) -> SentenceTransformer:
    """Copy a model with storage of its own, but with an empty model card and no name.

    Args:
        model: stays as it is.
        instead: by the `id` of a part of the model, what takes its place in the copy.
    """
    card = SentenceTransformerModelCardData(local_files_only=True)
    # deepcopy takes what is in the memo as already copied.
    memo: dict[int, Any] = {
        id(model.model_card_data): card,
        id(model._model_card_text): None,
        id(model._model_card_vars): {},
        **(instead or {}),
    }
    copied = copy.deepcopy(model, memo)
    card.register_model(copied)
    if (encoder := copied.transformers_model) is not None:
        # A student is a model of its own, and the name may be a folder on this machine.
        encoder.config.name_or_path = ""
    return copied
