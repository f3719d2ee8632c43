"""The card's snippets: the one that was run, and folded ones for other ways to use the model.

Each stands there only where it is true of the model.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import Any, Final

from hubdistill.card.text import Markdown, escape, fenced, folded, link
from hubdistill.card.vocabulary import words
from hubdistill.numbers import count, listed, score
from hubdistill.report import PLACEHOLDER, DistillationReport
from hubdistill.results import known, student_model, teacher_model
from hubdistill.variant_results import asymmetric_results, whole

_TEI: Final = "https://huggingface.co/docs/text-embeddings-inference"
_IMAGE: Final = "ghcr.io/huggingface/text-embeddings-inference:cpu-latest"
_SERVED = words("bert camembert distilbert modernbert mpnet qwen3 roberta xlm-roberta")
"""Model types that Text Embeddings Inference serves on a CPU: its documentation, Supported models."""
_SERVED_POOLING = {"cls": "cls", "mean": "mean", "lasttoken": "last-token"}

_ALIKE = ("embeddings", "sentences", "embeddings")
_DISTANCES = {"cosine": "COSINE", "dot": "DOT", "euclidean": "EUCLID", "manhattan": "MANHATTAN"}


@dataclass(frozen=True)
class QuickStartPart:
    """The snippet that was run and what it printed; the others are empty where they are not true."""

    install: Markdown
    """The command that installs what the code needs."""
    code: Markdown
    """The snippet, with the id of the published model."""
    output: Markdown
    """What the snippet printed."""
    plain: Markdown
    """Without sentence-transformers; its vectors were compared."""
    truncation: Markdown
    """How to cut the vectors to widths that were trained."""
    asymmetric: Markdown
    """This model's queries on the teacher's documents, where that was measured."""
    serving: Markdown
    """Text Embeddings Inference."""
    qdrant: Markdown
    """The sentences of the code in a Qdrant collection."""


def quick_start_part(report: DistillationReport, model_id: str) -> QuickStartPart:
    """Make the snippets.

    Args:
        model_id: stands in them for the model.

    Raises:
        CardError: the report has no quick start.
    """
    snippet = known(report.quick_start.code.strip(), "quick_start.code")
    literal = quoted(model_id)
    output = known(report.quick_start.output.strip(), "quick_start.output")
    return QuickStartPart(
        install=fenced("pip install -U sentence-transformers", "bash"),
        code=fenced(snippet.replace(PLACEHOLDER, literal), "python"),
        output=fenced(output, "text"),
        plain=_plain(report, literal),
        truncation=_truncation(report, literal),
        asymmetric=_asymmetric(report),
        serving=_serving(report, model_id),
        qdrant=_qdrant(report),
    )


def quoted(text: str) -> str:
    """Text between double quotes in Python code, where a report's names must not end the string."""
    return json.dumps(text)[1:-1]


def qdrant_code(dimensions: int, similarity: str, *, retrieval: bool = False) -> str:
    """A snippet that goes on from the quick start: its sentences in Qdrant, the first one looked for.

    Args:
        similarity: the model's similarity function, as sentence-transformers names it.
        retrieval: the quick start encodes the first sentence as a query, the others as documents.
    """
    query, texts, vectors = ("queries", "sentences[1:]", "documents") if retrieval else _ALIKE
    return f"""\
from qdrant_client import QdrantClient, models

client = QdrantClient(":memory:")  # or a server: QdrantClient("http://localhost:6333")
client.create_collection(
    "sentences",
    vectors_config=models.VectorParams(size={dimensions}, distance=models.Distance.{_DISTANCES[similarity]}),
)
client.upsert(
    "sentences",
    points=[
        models.PointStruct(id=number, vector=vector.tolist(), payload={{"text": sentence}})
        for number, (sentence, vector) in enumerate(zip({texts}, {vectors}))
    ],
)
found = client.query_points("sentences", query={query}[0].tolist(), limit=2)
for point in found.points:
    print(f"{{point.score:.4f}}", point.payload["text"])"""


def _plain(report: DistillationReport, model_id: str) -> Markdown:
    plain = report.quick_start.plain
    if plain is None:
        return Markdown()
    transformers = "transformers" in plain.packages
    title = "transformers, without sentence-transformers" if transformers else "NumPy and tokenizers only"
    said = f"differences of at most {_rounded_up(plain.largest_difference)}"
    body = (
        f"{fenced('pip install -U ' + shlex.join(plain.packages), 'bash')}\n\n"
        f"{fenced(plain.code.replace(PLACEHOLDER, model_id), 'python')}\n\n"
        f"Gives the same vectors as sentence-transformers ({said} on {count(plain.texts)} texts when this "
        "card was made)."
    )
    if report.quick_start.retrieval:
        body += " It puts no prompt before the texts: do so with those under Prompts."
    return folded(title, Markdown(body))


def _rounded_up(value: float) -> str:
    """With one significant digit: `3e-08`."""
    if not value:
        return "0"
    number = Decimal(repr(value))
    digit = Decimal(1).scaleb(number.adjusted())
    return f"{float(number.quantize(digit, rounding=ROUND_CEILING)):.0e}"


def _truncation(report: DistillationReport, model_id: str) -> Markdown:
    sizes = report.training.matryoshka if report.training else ()
    prompt = report.quick_start.prompt
    if not sizes or prompt is None:
        return Markdown()
    student = student_model(report)
    made = student.architecture
    cut = f"  # {sizes[0]} dimensions"
    trusting = ", trust_remote_code=True" if student.trust_remote_code else ""
    asking = f", prompt={json.dumps(prompt, ensure_ascii=False)}" if prompt else ""
    encoding = f"embeddings = model.encode(sentences{asking}){cut}"
    if report.quick_start.retrieval:
        encoding = (
            f"queries = model.encode_query(sentences[:1]){cut}\n"
            f"documents = model.encode_document(sentences[1:]){cut}"
        )
    snippet = f'model = SentenceTransformer("{model_id}", truncate_dim={sizes[0]}{trusting})\n{encoding}'
    words = " or ".join(map(count, sizes))
    note = "Cut vectors no longer have length 1; compare them by cosine"
    if made.similarity == "cosine":
        note += ", as `model.similarity` does"
    body = (
        f"Vectors of {words} instead of {count(made.dimensions)} dimensions, for a smaller and quicker "
        f"index:\n\n{fenced(snippet, 'python')}\n\n{note}."
    )
    return folded("Shorter vectors", Markdown(body))


def _asymmetric(report: DistillationReport) -> Markdown:
    teacher = teacher_model(report)
    measured = asymmetric_results(report)
    if not measured or not teacher.hub_id:
        return Markdown()
    arguments = [f'"{quoted(teacher.hub_id)}"']
    if not teacher.revision.startswith("sha256:"):
        arguments.append(f'revision="{quoted(teacher.revision)}"')
    if teacher.trust_remote_code:
        arguments.append("trust_remote_code=True")
    snippet = f"""\
teacher = SentenceTransformer({", ".join(arguments)})
documents = teacher.encode_document(sentences)  # once, where there is time for it
queries = model.encode_query(sentences[:1])
print(model.similarity(queries, documents))"""
    first = measured[0]
    alone = whole(report, first.student, "documents")
    compared = [f"{score(alone.value)} when this model embeds both"] if alone else []
    compared.append(f"{score(first.teacher.value)} when the teacher does")
    return folded(
        "Documents with the teacher, queries with this model",
        Markdown(
            f"After the first snippet:\n\n{fenced(snippet, 'python')}\n\n"
            f"{escape(first.metric.title)} on {escape(first.data.title)}: {score(first.student.value)} this "
            f"way, {listed(compared)}; intervals and other measures are under Evaluation."
        ),
    )


def _serving(report: DistillationReport, model_id: str) -> Markdown:
    made = student_model(report).architecture
    pooling = _SERVED_POOLING.get(made.pooling)
    # It tells a ModernBERT's global layers by their places; among those that were kept, they have others.
    moved = made.family == "modernbert" and made.kept_layers is not None
    asked = report.quick_start.prompt
    if (
        made.family not in _SERVED
        or pooling is None
        or moved
        or made.dimensions != made.hidden_size
        or not made.modules
        or set(made.modules) - {"Transformer", "Pooling", "Normalize"}
        or student_model(report).trust_remote_code
        or asked is None
    ):
        return Markdown()
    text = next(iter(report.quick_start.sentences), "A sentence.")
    request: dict[str, Any] = {"inputs": [text], "truncate": True}
    if not made.normalized:
        request["normalize"] = False
    prompt = asked or made.prompts.get(made.default_prompt_name or "", "")
    if report.quick_start.retrieval and "query" in made.prompts:
        request["prompt_name"], prompt = "query", ""
    default = f" --default-prompt {shlex.quote(prompt)}" if prompt else ""
    body = json.dumps(request, ensure_ascii=False).replace("'", "'\\''")
    shell = (
        f'docker run -p 8080:80 -v "$PWD/data:/data" --pull always {_IMAGE} \\\n'
        f"    --model-id {shlex.quote(model_id)} --pooling {pooling}{default}\n\n"
        "curl 127.0.0.1:8080/embed -X POST -H 'Content-Type: application/json' \\\n"
        f"    -d '{body}'"
    )
    note = (
        "Not run when this card was made. It needs a version that reads the files of sentence-transformers "
        f"5.4 and later; images for GPUs: {link('documentation', f'{_TEI}/supported_models')}."
    )
    return folded("Text Embeddings Inference", Markdown(f"{fenced(shell, 'bash')}\n\n{note}"))


def _qdrant(report: DistillationReport) -> Markdown:
    made = student_model(report).architecture
    if made.similarity not in _DISTANCES:
        return Markdown()
    code = qdrant_code(made.dimensions, made.similarity, retrieval=report.quick_start.retrieval)
    body = f"After the first snippet and `pip install qdrant-client`:\n\n{fenced(code, 'python')}"
    return folded("Qdrant", Markdown(body))
