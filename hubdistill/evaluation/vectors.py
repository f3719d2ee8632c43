"""The vectors of one model: every text is embedded once, whatever the number of measures that use it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from sentence_transformers import SentenceTransformer

from hubdistill.errors import EvaluationError
from hubdistill.progress import track

FloatArray = npt.NDArray[np.float32]
Task = Literal["query", "document"]

_Treatment = tuple[str, Task | None]
"""The prompt before the text, and the task of models that are told it."""

PROMPT_NAMES: dict[Task, tuple[str, ...]] = {
    "query": ("query",),
    "document": ("document", "passage", "corpus"),
}
"""Prompts that a model may have for a task; the first of them applies."""

_TEXTS_AT_ONCE = 1024


class Vectors:
    """Embeds texts with one model and keeps what it has embedded.

    Args:
        name: the model's name, for messages.
        model: the model; in retrieval its own query and document prompts apply.
        prompt: put before every other text; the model's own default prompt when None.

    Attributes:
        seconds: what embedding has taken so far.
    """

    def __init__(self, name: str, model: SentenceTransformer, prompt: str | None = None) -> None:
        self.name = name
        self.model = model
        self.prompt = prompt
        self.seconds = 0.0
        self._rows: dict[tuple[_Treatment, str], FloatArray] = {}

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
        treatment = self._treatment(task)
        missing = [text for text in dict.fromkeys(texts) if (treatment, text) not in self._rows]
        # Longest first over all texts, so that a batch holds texts of like length.
        missing.sort(key=len, reverse=True)
        with track(len(missing), f"Embedding with {self.name}") as advance:
            for start in range(0, len(missing), _TEXTS_AT_ONCE):
                part = missing[start : start + _TEXTS_AT_ONCE]
                began = time.perf_counter()
                rows = self._encode(part, treatment)
                self.seconds += time.perf_counter() - began
                self._rows.update(zip(((treatment, text) for text in part), rows, strict=True))
                advance(len(part))
        found = np.stack([self._rows[treatment, text] for text in texts])
        bad = np.flatnonzero(~np.isfinite(found).all(axis=1))
        if len(bad):
            raise EvaluationError(
                f"{self.name} gives an embedding with NaN or infinity for text {bad[0]} of {len(texts)} "
                f"({len(bad)} such texts); check the model's weights and precision"
            )
        return found

    def _treatment(self, task: Task | None) -> _Treatment:
        """What the model is given beside the text: texts treated alike share their embedding.

        The rules are those of `SentenceTransformer.encode_query`, `encode_document` and `encode`.
        """
        names = PROMPT_NAMES[task] if task else ()
        prompts: dict[str, str | None] = self.model.prompts
        prompt = self.prompt if task is None else None
        if prompt is None:
            name = next((name for name in names if name in prompts), self.model.default_prompt_name)
            prompt = prompts.get(name) if name else None
        return prompt or "", task if "task" in self.model.get_model_kwargs() else None

    def _encode(self, texts: list[str], treatment: _Treatment) -> FloatArray:
        prompt, task = treatment
        chosen: dict[str, Any] = {"task": task} if task else {}
        embeddings = self.model.encode(texts, prompt=prompt, show_progress_bar=False, **chosen)
        return np.asarray(embeddings, dtype=np.float32)
