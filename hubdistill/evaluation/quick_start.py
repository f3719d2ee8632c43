"""The card's snippets, run on the model as it was saved, in another process."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hubdistill.errors import EvaluationError
from hubdistill.evaluation import Candidate, run_snippets
from hubdistill.evaluation.child_process import quiet_environment
from hubdistill.evaluation.plain_snippet import PlainSnippet, plain_snippet
from hubdistill.evaluation.run_snippets import Answer, Wish
from hubdistill.evaluation.vectors import PROMPT_NAMES
from hubdistill.report import PLACEHOLDER, ComparedSnippet, QuickStart

logger = logging.getLogger(__name__)

SECONDS = 600
TOLERANCE = 1e-5
"""Vectors of a snippet without sentence-transformers differ by at most so much, or it is not shown."""

SENTENCES = {
    "en": (
        "The train to the coast leaves at nine in the morning.",
        "There is a morning train that goes to the sea.",
        "She planted tomatoes and beans in the garden.",
    ),
    "de": (
        "Der Zug an die Küste fährt um neun Uhr morgens ab.",
        "Am Morgen gibt es einen Zug, der ans Meer fährt.",
        "Sie hat im Garten Tomaten und Bohnen gepflanzt.",
    ),
    "fr": (
        "Le train pour la côte part à neuf heures du matin.",
        "Il y a un train le matin qui va à la mer.",
        "Elle a planté des tomates et des haricots dans le jardin.",
    ),
    "es": (
        "El tren a la costa sale a las nueve de la mañana.",
        "Por la mañana hay un tren que va al mar.",
        "Ella plantó tomates y frijoles en el jardín.",
    ),
    "tr": (
        "Sahile giden tren saat dokuzda hareket eder.",
        "Saat dokuzda denize giden bir tren var.",
        "Annem bahçeye domates ve fasulye dikti.",
    ),
}
"""Three sentences for each language, the first two alike."""

_CODE = """\
from sentence_transformers import SentenceTransformer

model = SentenceTransformer({model})
sentences = [
{sentences}
]
{encoding}"""
_ALIKE = """\
embeddings = model.encode({texts})
print(embeddings.shape)

similarities = model.similarity(embeddings, embeddings)
print(similarities)"""
_RETRIEVAL = """\
queries = model.encode_query(sentences[:1])
documents = model.encode_document(sentences[1:])
print(queries.shape, documents.shape)

similarities = model.similarity(queries, documents)
print(similarities)"""


@dataclass(frozen=True)
class _Use:
    """How a model's snippets encode."""

    retrieval: bool
    """The first sentence as a query, the others as documents, with the model's own prompts."""
    prompt: str | None
    """Put before every text otherwise; the model's own default prompt when None."""
    asked: str
    """The prompt that the first snippet has to ask for; empty where the model puts it there unasked."""


def run_quick_starts(
    students: Sequence[Candidate], language: str | None = None, *, retrieval: bool = False
) -> list[QuickStart]:
    """Run the snippets that each student's card begins with, and keep what they print.

    They run without a network, from an empty folder, with this Python: all in one process of their own, for
    the libraries take seconds to import. The second snippet, without sentence-transformers, is kept where its
    vectors are those of sentence-transformers.

    Args:
        students: saved in their folders.
        language: ISO 639 code of the sentences; English where there are none in the language.
        retrieval: the cards will report it on judged queries: models that have prompts for it are shown with
            them, and the second snippet is then without any.

    Raises:
        EvaluationError: a model cannot be loaded or used as its card will say.
    """
    sentences = SENTENCES.get(language or "en", SENTENCES["en"])
    uses = [_use(student, retrieval=retrieval) for student in students]
    codes = [_quick_start(*one, sentences) for one in zip(students, uses, strict=True)]
    plain = [
        plain_snippet(
            student.model,
            _folder(student),
            sentences,
            prompt=use.prompt,
            trust_remote_code=student.facts.trust_remote_code,
        )
        for student, use in zip(students, uses, strict=True)
    ]
    wishes = [
        Wish(
            quick_start=_located(code, student),
            plain=_located(other.code, student) if other else None,
            max_length=other.max_length if other else None,
            prompt=use.prompt,
        )
        for student, use, code, other in zip(students, uses, codes, plain, strict=True)
    ]
    answers = _run([student.name for student in students], wishes)
    return [
        QuickStart(
            code=code,
            output=answer["output"].rstrip(),
            sentences=sentences,
            prompt=use.asked,
            retrieval=use.retrieval,
            plain=_compared(student.name, other, answer) if other else None,
        )
        for student, use, code, other, answer in zip(students, uses, codes, plain, answers, strict=True)
    ]


def _use(student: Candidate, *, retrieval: bool) -> _Use:
    names = (name for names in PROMPT_NAMES.values() for name in names)
    if retrieval and any(student.facts.architecture.prompts.get(name) for name in names):
        return _Use(retrieval=True, prompt="", asked="")
    own = student.model._resolve_prompt(None, None)
    asked = student.prompt if student.prompt and student.prompt != own else ""
    return _Use(retrieval=False, prompt=student.prompt, asked=asked)


def _quick_start(student: Candidate, use: _Use, sentences: Sequence[str]) -> str:
    model, texts = f'"{PLACEHOLDER}"', "sentences"
    if student.facts.trust_remote_code:
        model += ", trust_remote_code=True"
    if use.asked:
        texts += f", prompt={json.dumps(use.asked, ensure_ascii=False)}"
    listed = "\n".join(f'    "{sentence}",' for sentence in sentences)
    encoding = _RETRIEVAL if use.retrieval else _ALIKE.format(texts=texts)
    return _CODE.format(model=model, sentences=listed, encoding=encoding)


def _folder(student: Candidate) -> Path:
    if student.folder is None:
        raise EvaluationError(f"the snippets of {student.name} need the folder that it is saved in")
    return student.folder


def _located(code: str, student: Candidate) -> str:
    return code.replace(f'"{PLACEHOLDER}"', repr(str(_folder(student).resolve())))


def _run(names: Sequence[str], wishes: Sequence[Wish]) -> list[Answer]:
    seconds = SECONDS * len(wishes)
    with tempfile.TemporaryDirectory() as empty:
        try:
            done = subprocess.run(
                [sys.executable, str(Path(run_snippets.__file__).resolve())],
                input=json.dumps(wishes),
                cwd=empty,
                env=quiet_environment(),
                capture_output=True,
                encoding="utf-8",
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise EvaluationError(
                f"the quick start of {', '.join(names)} did not end in {seconds} s"
            ) from None
    # The last line: a library may have printed before, past Python's own stdout.
    answers: list[Answer] = json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else []
    if len(answers) < len(wishes):
        raise EvaluationError(
            f"the quick start of {names[len(answers)]} fails, so its readers' would too: "
            f"{_last_line(done.stderr)}\n{wishes[len(answers)]['quick_start']}"
        )
    return answers


def _compared(name: str, snippet: PlainSnippet, answer: Answer) -> ComparedSnippet | None:
    """The snippet, if its vectors are those of sentence-transformers."""
    difference = answer["difference"]
    if difference is None or not difference <= TOLERANCE:
        found = answer["problem"] or f"its vectors differ by {difference:.1g}"
        logger.warning("%s: the card has no snippet without sentence-transformers: %s", name, found)
        return None
    return ComparedSnippet(
        code=snippet.code, packages=snippet.packages, texts=answer["texts"], largest_difference=difference
    )


def _last_line(text: str) -> str:
    return next((line for line in reversed(text.splitlines()) if line.strip()), "no message")
