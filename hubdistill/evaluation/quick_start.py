"""The card's first snippet, run in a process of its own on the model as it was saved."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from hubdistill.errors import EvaluationError
from hubdistill.report import QuickStart

PLACEHOLDER = "MODEL_ID"
SECONDS = 600

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

model = SentenceTransformer("MODEL_ID")
sentences = [
{sentences}
]
embeddings = model.encode(sentences)
print(embeddings.shape)

similarities = model.similarity(embeddings, embeddings)
print(similarities)
"""


def run_quick_start(folder: Path, language: str | None = None) -> QuickStart:
    """Run the snippet that a card begins with, and keep what it prints.

    It runs without a network, from an empty folder, with this Python.

    Args:
        folder: the saved model.
        language: ISO 639 code of the sentences; English where there are none in the language.

    Raises:
        EvaluationError: the model cannot be loaded or used as its card will say.
    """
    sentences = SENTENCES.get(language or "en", SENTENCES["en"])
    listed = "\n".join(f'    "{sentence}",' for sentence in sentences)
    code = _CODE.replace("{sentences}", listed)
    quiet = {
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "TRANSFORMERS_VERBOSITY": "error",
        "PYTHONIOENCODING": "utf-8",
    }
    with tempfile.TemporaryDirectory() as empty:
        try:
            done = subprocess.run(
                [sys.executable, "-c", code.replace(f'"{PLACEHOLDER}"', repr(str(folder.resolve())))],
                cwd=empty,
                env={**os.environ, **quiet},
                capture_output=True,
                encoding="utf-8",
                timeout=SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise EvaluationError(f"the quick start of {folder.name} did not end in {SECONDS} s") from None
    if done.returncode:
        raise EvaluationError(
            f"the quick start of {folder.name} fails, so its readers' would too: {_last_line(done.stderr)}; "
            f"try SentenceTransformer({str(folder)!r})"
        )
    return QuickStart(code=code.rstrip(), output=done.stdout.rstrip())


def _last_line(text: str) -> str:
    return next((line for line in reversed(text.splitlines()) if line.strip()), "no message")
