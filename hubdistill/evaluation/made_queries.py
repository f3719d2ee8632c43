"""Queries made from documents, where nobody has written any; each has its document as the one relevant.

    title            the title; of a text that begins with it, the rest stays
    first-sentence   the first sentence of the text
    crop             a span of 5 to 15 words of the text, at most half of it
    model            a question that a text2text model writes to the document; the document stays whole

What becomes a query is taken out of its document (a sentence or span wherever it stands), so that no model
finds a document by the very words of its query.

A sentence ends at a full stop, question or exclamation mark before a space, at those of scripts that put no
space there, or at a line's end; fewer than three words ("Dr. ") are no sentence. In scripts without spaces
between words (Chinese, Japanese, Thai, Lao, Burmese, Khmer) each character counts as a word.

Sources: Lee et al., Latent Retrieval for Weakly Supervised Open Domain Question Answering (2019),
arXiv:1906.00300 (a span of a text looks for the rest: the inverse cloze task); Nogueira et al., Document
Expansion by Query Prediction (2019), arXiv:1904.08375 (questions written by a model).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from sentence_transformers.util import get_device_name
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

from hubdistill.errors import EvaluationError
from hubdistill.evaluation.beir import Document
from hubdistill.models import locate
from hubdistill.progress import track
from hubdistill.recipe import MadeQueries

LEAST_WORDS = 3
"""In a first sentence, and in what is left of a document."""
SHORTEST_CROP, LONGEST_CROP = 5, 15

_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\s{_UNSPACED}]+")
_SENTENCE_END = re.compile(
    r"[.!?\u2026\u061f\u06d4\u0964\u0589\u1362]+[\"')\]\u201d\u2019]*(?=\s)"  # a space follows
    r"|[\u3002\uff01\uff1f\u17d4\u104b]+[\u300d\u300f\u201d]*"  # none needs to
    r"|\n"
)

_DOCUMENTS_AT_ONCE = 16
_DOCUMENT_TOKENS, _QUESTION_TOKENS = 384, 64


@dataclass(frozen=True)
class Made:
    """Documents, and the queries that were made from some of them.

    Attributes:
        documents: all of them, without what became a query.
        queries: in the order of their documents.
        sources: position of each query's document.
        how: the queries were made, in words for the report.
    """

    documents: list[str]
    queries: list[str]
    sources: list[int]
    how: str


def make_queries(
    name: str, documents: Sequence[Document], settings: MadeQueries, *, base: Path, seed: int
) -> Made:
    """Make queries from documents chosen at random; no two queries are the same.

    A document that is too short for the method is no source of a query but stays a document.

    Args:
        name: of the data, for messages.
        documents: the documents.
        settings: how, and of how many documents.
        base: the folder that the relative path of a model starts from.
        seed: of the choice of documents, and of spans.

    Raises:
        EvaluationError: no document yields a query, or the text2text model cannot be loaded.
        TeacherError: the text2text model cannot be found.
    """
    order = np.random.default_rng(seed).permutation(len(documents)).tolist()
    if settings.method == "model":
        candidates, how = _written(documents, order, settings, base)
    else:
        candidates, how = _split(documents, order, settings.method, seed), _HOW[settings.method]
    made: dict[str, tuple[int, str]] = {}
    for place, query, rest in candidates:
        if query:
            made.setdefault(query, (place, rest))
        if len(made) == settings.count:
            break
    if not made:
        raise EvaluationError(
            f"{name}: none of {len(documents)} documents yields a query by the method {settings.method!r} "
            f"({how}); set make_queries.method to another, or give longer documents"
        )
    left = [document.whole for document in documents]
    for place, rest in made.values():
        left[place] = rest
    queries = sorted(made, key=lambda query: made[query][0])
    return Made(left, queries, [made[query][0] for query in queries], how)


_HOW = {
    "title": "title, removed from its document",
    "first-sentence": "first sentence, removed from its document",
    "crop": f"span of {SHORTEST_CROP} to {LONGEST_CROP} words, removed from its document",
}


def _split(
    documents: Sequence[Document], order: Sequence[int], method: str, seed: int
) -> Iterator[tuple[int, str, str]]:
    """Documents that are long enough: position, query, and what is left."""
    generator = np.random.default_rng(seed)
    for place in order:
        title, text = (part.strip() for part in documents[place])
        if method == "title":
            query, rest = title, text.removeprefix(title).strip()
        else:
            query = first_sentence(text) if method == "first-sentence" else crop(text, generator)
            rest = _without(query, documents[place].whole)
        if query and _words(rest) >= LEAST_WORDS:
            yield place, query, rest


def first_sentence(text: str) -> str:
    """The first sentence of a text; nothing if it has no end, or is all of the text."""
    for end in _SENTENCE_END.finditer(text):
        sentence = text[: end.end()].strip()
        if _words(sentence) >= LEAST_WORDS:
            return sentence
    return ""


def crop(text: str, generator: np.random.Generator) -> str:
    """A random span of 5 to 15 words, at most half of the text; nothing if it has fewer than 10."""
    words = list(_WORD.finditer(text))
    longest = min(LONGEST_CROP, len(words) // 2)
    if longest < SHORTEST_CROP:
        return ""
    length = int(generator.integers(SHORTEST_CROP, longest + 1))
    start = int(generator.integers(len(words) - length + 1))
    return text[words[start].start() : words[start + length - 1].end()]


def _without(query: str, text: str) -> str:
    parts = text.split(query) if query else [text]
    return " ".join(part.strip() for part in parts if part.strip())


def _words(text: str) -> int:
    return sum(1 for _ in _WORD.finditer(text))


def _written(
    documents: Sequence[Document], order: Sequence[int], settings: MadeQueries, base: Path
) -> tuple[Iterator[tuple[int, str, str]], str]:
    """Documents that a model wrote to, as `_split` gives them, and who wrote."""
    found = locate(
        str(settings.model), base=base, revision=settings.revision, field="make_queries", encoder=True
    )
    places = [place for place in order if documents[place].whole][: settings.count]
    texts = tuple(documents[place].whole for place in places)
    questions = _questions(found.model, found.commit, texts)
    how = f"question that {found.name} ({found.revision}) writes to its document, by greedy search"
    return zip(places, questions, texts, strict=True), how


# An evaluation is checked before it is run; the model shall write only once.
@lru_cache(maxsize=4)
def _questions(model: str, commit: str | None, texts: tuple[str, ...]) -> list[str]:
    try:
        tokenizer = AutoTokenizer.from_pretrained(model, revision=commit)
        writer = AutoModelForSeq2SeqLM.from_pretrained(model, revision=commit).to(get_device_name()).eval()
    except (OSError, ValueError, ImportError) as error:
        raise EvaluationError(
            f"make_queries.model: {model!r} cannot be loaded as a text2text model: {error}; name one such as "
            "doc2query/msmarco-t5-base-v1"
        ) from error
    longest_first = sorted(range(len(texts)), key=lambda place: -len(texts[place]))
    questions = [""] * len(texts)
    with torch.inference_mode(), track(len(texts), "Writing queries") as advance:
        for start in range(0, len(texts), _DOCUMENTS_AT_ONCE):
            part = longest_first[start : start + _DOCUMENTS_AT_ONCE]
            tokens = tokenizer(
                [texts[place] for place in part],
                max_length=_DOCUMENT_TOKENS,
                truncation=True,
                padding=True,
                return_tensors="pt",
            ).to(writer.device)
            written = writer.generate(
                tokens["input_ids"],
                attention_mask=tokens["attention_mask"],
                max_new_tokens=_QUESTION_TOKENS,
                do_sample=False,
                num_beams=1,
            )
            for place, question in zip(
                part, tokenizer.batch_decode(written, skip_special_tokens=True), strict=True
            ):
                questions[place] = question.strip()
            advance(len(part))
    return questions
