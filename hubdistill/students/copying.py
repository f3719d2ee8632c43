"""A model's copy, as every student that starts as its teacher begins."""

from __future__ import annotations

import copy
from typing import Any

from sentence_transformers import SentenceTransformer, SentenceTransformerModelCardData


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
