"""The card's first snippet, run on the model as it was saved, in another process."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from hubdistill.errors import EvaluationError
from hubdistill.evaluation.child_process import quiet_environment
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


_ONE_AFTER_ANOTHER = """\
import contextlib, io, json, sys, traceback

outputs = []
for code in json.load(sys.stdin):
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            exec(compile(code, "quick start", "exec"), {"__name__": "__main__"})
    except Exception:
        traceback.print_exc()
        break
    outputs.append(printed.getvalue())
print(json.dumps(outputs))
"""


def run_quick_starts(
    models: Sequence[tuple[str, Path, bool]], language: str | None = None
) -> list[QuickStart]:
    """Run the snippet that each model's card begins with, and keep what it prints.

    They run without a network, from an empty folder, with this Python: all in one process of their own, for
    the libraries take seconds to import.

    Args:
        models: name, folder, and whether the model's own Python code is run: the snippet then says so.
        language: ISO 639 code of the sentences; English where there are none in the language.

    Raises:
        EvaluationError: a model cannot be loaded or used as its card will say.
    """
    sentences = SENTENCES.get(language or "en", SENTENCES["en"])
    listed = "\n".join(f'    "{sentence}",' for sentence in sentences)
    code = _CODE.replace("{sentences}", listed).rstrip()
    trusting = code.replace(f'"{PLACEHOLDER}"', f'"{PLACEHOLDER}", trust_remote_code=True')
    shown = [trusting if trusted else code for _, _, trusted in models]
    codes = [
        code.replace(f'"{PLACEHOLDER}"', repr(str(folder.resolve())))
        for code, (_, folder, _) in zip(shown, models, strict=True)
    ]
    names = ", ".join(name for name, _, _ in models)
    with tempfile.TemporaryDirectory() as empty:
        try:
            done = subprocess.run(
                [sys.executable, "-c", _ONE_AFTER_ANOTHER],
                input=json.dumps(codes),
                cwd=empty,
                env=quiet_environment(),
                capture_output=True,
                encoding="utf-8",
                timeout=SECONDS * len(models),
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise EvaluationError(
                f"the quick start of {names} did not end in {SECONDS * len(models)} s"
            ) from None
    # The last line: a library may have printed before, past Python's own stdout.
    outputs = json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else []
    if len(outputs) < len(models):
        name, folder, _ = models[len(outputs)]
        raise EvaluationError(
            f"the quick start of {name} fails, so its readers' would too: {_last_line(done.stderr)}; "
            f"try SentenceTransformer({str(folder)!r})"
        )
    return [
        QuickStart(code=code, output=output.rstrip()) for code, output in zip(shown, outputs, strict=True)
    ]


def _last_line(text: str) -> str:
    return next((line for line in reversed(text.splitlines()) if line.strip()), "no message")
