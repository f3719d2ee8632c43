"""The texts that no student was trained on, and where they came from."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from hubdistill import corpus, recipe
from hubdistill.data_sources import read_rows, source_name
from hubdistill.errors import EvaluationError
from hubdistill.evaluation.retrieval_set import read_retrieval_set
from hubdistill.evaluation.similarity import read_similarity_set
from hubdistill.report import TextOrigin

ORIGINS: Final[dict[TextOrigin, str]] = {
    "corpus": "held-out part of the corpus",
    "sources": "files of texts",
    "sets": "texts of the evaluation sets",
    "script": "held-out texts of the training script",
}
"""Where texts came from, in words."""


@dataclass(frozen=True)
class HeldOut:
    """Held-out texts and what is known about each.

    Attributes:
        sources: title of each text's source; empty where it is unknown.
        languages: of each text; empty where it is unknown.
        origin: where all of them came from.
        read_from: what was read, where the origin is `sources`.
    """

    texts: list[str]
    sources: list[str] = field(default_factory=list)
    languages: list[str | None] = field(default_factory=list)
    origin: TextOrigin = "script"
    read_from: tuple[recipe.CorpusSource, ...] = ()

    def head(self, n: int) -> HeldOut:
        """The first `n` texts."""
        return replace(self, texts=self.texts[:n], sources=self.sources[:n], languages=self.languages[:n])


def of_corpus(found: corpus.Corpus, n: int) -> HeldOut:
    """The first `n` held-out texts of a corpus that nothing was chosen by."""
    table = found.measured.head(n)
    sources = [found.facts.sources[index] for index in table.source_index]
    return HeldOut(
        texts=table.texts(),
        sources=[" ".join(filter(None, (source.name, source.config))) for source in sources],
        languages=[source.language for source in sources],
        origin="corpus",
    )


def of_sources(
    sources: Sequence[recipe.CorpusSource], settings: recipe.Evaluation, *, base: Path, seed: int
) -> HeldOut:
    """Texts of files and data sets; those of the evaluation sets where no sources are named.

    Without repeats, as many as the settings say, in an order of the seed.

    Raises:
        EvaluationError: there are none.
        CorpusError: a source or a set cannot be read.
    """
    rows = _texts_of(sources, base) if sources else _texts_of_sets(settings, base, seed)
    found: dict[str, tuple[str, str | None]] = {}
    for text, source, language in rows:
        found.setdefault(text, (source, language))
    if not found:
        raise EvaluationError(
            "there are no texts to measure on; name files of texts (--texts), a similarity set "
            "(--similarity) or a retrieval set (--retrieval)"
        )
    texts = random.Random(seed).sample(list(found), min(len(found), settings.held_out_texts))
    return HeldOut(
        texts=texts,
        sources=[found[text][0] for text in texts],
        languages=[found[text][1] for text in texts],
        origin="sources" if sources else "sets",
        read_from=tuple(sources),
    )


def _texts_of(sources: Sequence[recipe.CorpusSource], base: Path) -> Iterator[tuple[str, str, str | None]]:
    for source in sources:
        name = source_name(source)
        for row in read_rows(source, corpus.text_columns(source, base), base=base):
            for text in row:
                if isinstance(text, str) and (clean := corpus.normalize(text)):
                    yield clean, name, source.language


def _texts_of_sets(
    settings: recipe.Evaluation, base: Path, seed: int
) -> Iterator[tuple[str, str, str | None]]:
    for one in settings.similarity:
        pairs = read_similarity_set(one, base)
        for text in (*pairs.first, *pairs.second):
            yield text, one.name, one.language
    for other in settings.retrieval:
        for text in read_retrieval_set(other, base, seed=seed).documents:
            yield text, other.name, other.language
