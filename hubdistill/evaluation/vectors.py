"""The vectors of one model: every text is embedded once, whatever the number of measures that use it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
from sentence_transformers import SentenceTransformer

from hubdistill.errors import EvaluationError
from hubdistill.progress import track

FloatArray = npt.NDArray[np.float32]
Task = Literal["query", "document"]

_TEXTS_AT_ONCE = 1024


class Vectors:
    """Embeds texts with one model and keeps what it has embedded.

    Args:
        name: the model's name, for messages.
        model: the model; in retrieval its own query and document prompts apply.
        prompt: put before every other text; the model's own default prompt when None.
    """

    def __init__(self, name: str, model: SentenceTransformer, prompt: str | None = None) -> None:
        self.name = name
        self.model = model
        self.prompt = prompt
        self._rows: dict[tuple[Task | None, str], FloatArray] = {}

    def of(self, texts: Sequence[str], task: Task | None = None) -> FloatArray:
        """The model's embeddings of texts, as it gives them (not normalised).

        Args:
            texts: at least one.
            task: `query` or `document` for models that treat them differently.

        Returns:
            Shape (n_texts, dim), float32.

        Raises:
            EvaluationError: no texts, or an embedding that is not finite.
        """
        if not len(texts):
            raise EvaluationError(f"{self.name}: there are no texts to embed")
        missing = [text for text in dict.fromkeys(texts) if (task, text) not in self._rows]
        # Longest first over all texts, so that a batch holds texts of like length.
        missing.sort(key=len, reverse=True)
        with track(len(missing), f"Embedding with {self.name}") as advance:
            for start in range(0, len(missing), _TEXTS_AT_ONCE):
                part = missing[start : start + _TEXTS_AT_ONCE]
                rows = self._encode(part, task)
                self._rows.update(zip(((task, text) for text in part), rows, strict=True))
                advance(len(part))
        found = np.stack([self._rows[task, text] for text in texts])
        bad = np.flatnonzero(~np.isfinite(found).all(axis=1))
        if len(bad):
            raise EvaluationError(
                f"{self.name} gives an embedding with NaN or infinity for text {bad[0]} of {len(texts)} "
                f"({len(bad)} such texts); check the model's weights and precision"
            )
        return found

    def _encode(self, texts: list[str], task: Task | None) -> FloatArray:
        if task == "query":
            embeddings = self.model.encode_query(texts, show_progress_bar=False)
        elif task == "document":
            embeddings = self.model.encode_document(texts, show_progress_bar=False)
        else:
            embeddings = self.model.encode(texts, prompt=self.prompt, show_progress_bar=False)
        return np.asarray(embeddings, dtype=np.float32)


def unit_rows(embeddings: FloatArray) -> FloatArray:
    """Embeddings scaled to length 1; one without length stays as it is.

    Args:
        embeddings: shape (n_texts, dim).
    """
    lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
    return np.asarray(embeddings / np.where(lengths == 0, 1, lengths), dtype=np.float32)
