"""How many tokens texts have for a model, whatever kind of tokenizer it has."""

from __future__ import annotations

from collections.abc import Sequence

from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer


def token_counts(model: SentenceTransformer, texts: Sequence[str]) -> list[int]:
    """Each text's tokens as the model reads them, special tokens included and before truncation."""
    tokenizer = model.tokenizer
    if isinstance(tokenizer, Tokenizer):  # A static model's: it adds no special tokens, and no padding.
        if tokenizer.truncation is not None:
            # A copy: what is switched off here must stay on in the model.
            tokenizer = Tokenizer.from_str(tokenizer.to_str())
            tokenizer.no_truncation()
        return [len(found) for found in tokenizer.encode_batch(list(texts), add_special_tokens=False)]
    # Also tokenizers written in Python are called like this; whether to truncate is said at every call.
    encoded = tokenizer(list(texts), truncation=False, padding=False, verbose=False)
    return [len(ids) for ids in encoded["input_ids"]]
