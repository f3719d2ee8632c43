"""The report: every fact about one student, typed, versioned and on disk as report.json.

It is the wall in the middle of hubdistill. What is before it may hold models; figures, card and hub
read only this. Facts that several measurements share (models, data, metric definitions, environment)
are stored once and referred to by name, so each `Measurement` has its whole witness in the report.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from hubdistill.atomic import write_text
from hubdistill.errors import ReportError
from hubdistill.recipe import Card, CorpusSource, Evaluation, Teacher
from hubdistill.unique_keys import unique_members

SCHEMA_VERSION: Final = 1
FILE_NAME = "report.json"
PLACEHOLDER: Final = "MODEL_ID"
"""What stands in snippets for the repository id."""

Value = str | int | float | bool | None

VARIANTS: Final = frozenset({"dimensions", "precision", "documents", "ef", "language", "source", "length"})
"""Parameters by which a measurement is not of a model's plain vectors on the whole of its data.

    dimensions   vectors cut to so many
    precision    vectors quantized: `int8` or `binary`
    documents    the model that embedded the documents, while the measured one embedded the queries
    ef           approximate search, so many candidates deep
    language, source, length   only the texts of one language, source, or range of tokens ("17-64")
"""


SMALLEST_SLICE: Final = 20
"""Texts, or queries, that a language, source or length needs to be measured; fewer say too little."""


class Fact(BaseModel):
    """Base of every fact: immutable, strict, and finite (NaN and infinity are refused)."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)


class Interval(Fact):
    """A confidence interval and how it was made."""

    low: float
    high: float
    level: float = 0.95
    method: str
    """For example: `percentile bootstrap over pairs, 1000 resamples`."""

    @property
    def ends(self) -> tuple[float, float]:
        """Low and high."""
        return self.low, self.high

    def excludes(self, value: float) -> bool:
        """Whether a value is below or above all of it."""
        return value < self.low or value > self.high


class Metric(Fact):
    """What a metric means."""

    title: str
    """As in a table heading: `Spearman (cosine)`."""
    definition: str
    higher_is_better: bool
    unit: str = ""
    reference: str | None = None
    """Where it is defined: paper, library and function."""


class EvaluationData(Fact):
    """Data that something was measured on."""

    kind: Literal["texts", "similarity", "retrieval", "benchmark", "speed"]
    """A benchmark is an MTEB task, measured by mteb."""
    title: str
    source: str
    """Hub id, or file name (never a path)."""
    hub_id: str | None = None
    config: str | None = None
    split: str | None = None
    revision: str | None = None
    n: int
    """Items: texts, pairs or queries."""
    documents: int | None = None
    own_documents: int | None = None
    """Queries that are documents as well, and are not to find themselves; None: there are none."""
    sha256: str
    """Of all texts, in order, newline-joined; for a benchmark, of task, data set,
    revision, splits and subsets."""
    labels_sha256: str | None = None
    """Of the scores, or of each query's judgements, in order; None: there are none, or nobody recorded it."""
    language: str | None = None
    made_queries: str | None = None
    """How the queries were made from the documents; None when people wrote them."""
    benchmark_task: str | None = None
    """The task's id, where the data set is a benchmark that the Hub has registered."""


class Architecture(Fact):
    """What a model is made of."""

    kind: Literal["transformer", "static"]
    family: str
    """The transformers model type (`bert`, `xlm-roberta`) or `static`."""
    layers: int
    kept_layers: tuple[int, ...] | None = None
    """The teacher's layers that a layer-reduced student keeps, counted from 0."""
    hidden_size: int
    attention_heads: int | None = None
    feed_forward: int | None = None
    vocabulary: int
    positions: int | None = None
    max_length: int | None = None
    """In tokens; None: no maximum."""
    dimensions: int
    """Of the embedding."""
    pooling: str
    normalized: bool
    similarity: str
    parameters: int
    embedding_parameters: int
    """Parameters of the input embeddings (tokens, positions, types)."""
    modules: tuple[str, ...] = ()
    """Class names, in order; empty in reports of before they were recorded."""
    prompts: dict[str, str] = {}
    """The model's own by name, without those that are empty."""
    default_prompt_name: str | None = None
    """Of the one that stands before a text where none is asked for."""
    dump: str
    """The module tree with widths, repeated blocks folded."""


class Model(Fact):
    """A model that was measured."""

    role: Literal["teacher", "student"]
    name: str
    """As on the card: the Hub id for a teacher, the student's name for a student."""
    hub_id: str | None = None
    revision: str
    """Commit on the Hub, or `sha256:` of the weights of a local folder."""
    architecture: Architecture
    bytes: int
    """Of all files that the model needs, on disk."""
    dtype: str
    """Precision in which it was measured."""
    license: str | None = None
    languages: tuple[str, ...] = ()
    trust_remote_code: bool = False
    citations: tuple[str, ...] = ()
    """BibTeX entries of a teacher's own card."""
    limitations: str | None = None
    """The heading under which a teacher's own card declares its limitations."""


class Measurement(Fact):
    """One number, with its witness: what, of which model, on what, how sure, and how to repeat it."""

    metric: str
    model: str
    value: float
    data: str
    n: int
    against: str | None = None
    """The model it was compared with, for measures of agreement."""
    parameters: dict[str, Value] = {}
    """For example {"k": 10} or {"tokens": 64, "batch_size": 32}. Those in `VARIANTS` say that something
    else than the model's plain vectors on the whole data was measured."""
    interval: Interval | None = None
    reproduce: str
    """The call that repeats it."""

    @property
    def plain(self) -> bool:
        """Whether it is of the model's plain vectors on the whole data: see `VARIANTS`."""
        return VARIANTS.isdisjoint(self.parameters)


class Comparison(Fact):
    """A student's quality against the teacher's or another student's, paired item by item."""

    metric: str
    model: str
    against: str
    data: str
    parameters: dict[str, Value] = {}
    difference: float
    """The model's value minus the other's."""
    interval: Interval
    """Of the difference, paired."""
    kept: float
    """The model's value over the other's."""
    kept_interval: Interval

    @property
    def decided(self) -> bool:
        """Whether the interval of the difference leaves out zero."""
        return self.interval.excludes(0)


class SimilarityPoints(Fact):
    """Reference score and predicted similarity of each pair (or of a sample), for the scatter."""

    data: str
    reference: tuple[float, ...]
    student: tuple[float, ...]
    teacher: tuple[float, ...]


class Environment(Fact):
    """Where and with what everything was measured."""

    device: str
    """`cpu` or the accelerator's name."""
    processor: str
    cores: int
    threads: int
    memory_bytes: int
    platform: str
    python: str
    libraries: dict[str, str]
    seed: int


class Source(Fact):
    """Where texts of the corpus came from."""

    name: str
    """Hub id, or file names (never paths)."""
    hub_id: str | None = None
    config: str | None = None
    split: str | None = None
    revision: str | None = None
    columns: tuple[str, ...]
    weight: float
    read: int
    """Texts seen."""
    kept: int
    """Texts used, held-out ones included."""
    language: str | None = None
    license: str | None = None
    """As the data set's card declares it; None: it declares none, or the texts are local files."""
    citations: tuple[str, ...] = ()
    """BibTeX entries of the data set's card."""


class TokenCounts(Fact):
    """Tokens in a text, as the teacher counts them; of training texts those that are read."""

    min: int
    mean: float
    max: int


class CorpusFacts(Fact):
    """The texts that the student was distilled on."""

    sources: tuple[Source, ...]
    texts: int
    """Training texts."""
    held_out: int
    duplicates: int
    too_short: int
    too_long: int
    sha256: str
    """Of the training texts' hashes, in order."""


class TrainingLog(Fact):
    """One line of the training log."""

    step: int
    epoch: float
    loss: float | None = None
    learning_rate: float | None = None
    teacher_cosine: float | None = None
    """Mean cosine to the teacher on held-out texts."""
    precision_at_10: float | None = None
    """Share of the teacher's ten nearest among held-out texts that the student finds, where that chooses."""


class Vocabulary(Fact):
    """The tokens that a student keeps, and what they cover."""

    tokens: int
    available: int
    """Tokens of the teacher."""
    texts: int
    """Training texts whose tokens were counted."""
    coverage: float
    """Share of these texts' tokens, repeats counted, that are kept."""
    held_out_texts: int
    held_out_coverage: float
    """The same share of held-out texts' tokens."""
    held_out_unchanged: float
    """Share of the held-out texts whose tokens are all kept."""


class Projection(Fact):
    """The linear map by which a student has fewer dimensions than its teacher."""

    dimensions: int
    available: int
    """Dimensions of the teacher."""
    texts: int
    """Texts whose teacher vectors it was fitted on."""
    kept: float
    """Share of these vectors' squared length that is left."""


class Start(Fact):
    """The model, other than the teacher, that a student starts from."""

    name: str
    """The Hub id, or the last part of a local folder's name."""
    hub_id: str | None = None
    revision: str
    """Commit on the Hub, or `sha256:` of the weights of a local folder."""
    license: str | None = None
    dimensions: int
    """Of its embeddings, before the projection."""


class Emissions(Fact):
    """What the training gave off, as codecarbon estimates it."""

    grams: float
    """Of CO2 equivalent."""
    kilowatt_hours: float


class Training(Fact):
    """How the student was made."""

    method: Literal["layers", "static", "trimmed", "model"]
    loss: str | None
    """Class name, or the objective in words; None when nothing was trained."""
    teacher_vectors: bool = True
    """Whether the loss compares with the teacher's vectors; if not, `texts` are rows of the script's data."""
    loss_parameters: dict[str, Value] = {}
    selection: str | None = None
    """Which layers were kept and by what rule."""
    vocabulary: Vocabulary | None = None
    """None: all of the teacher's tokens, or those of the model that the student starts from."""
    projection: Projection | None = None
    start: Start | None = None
    """None: the student starts as the teacher, or from nothing."""
    teacher_space: bool | None = None
    """For a student from another model: whether its vectors are of the teacher's space."""
    matryoshka: tuple[int, ...] = ()
    """Widths below the full one that its vectors can be cut to, because they were trained as well."""
    texts: int
    tokens: TokenCounts | None = None
    samples: tuple[str, ...] = ()
    """Training texts shown on the card; empty when the recipe allows none."""
    hyperparameters: dict[str, Value]
    """Those that differ from the library's defaults."""
    all_hyperparameters: dict[str, Value] = {}
    log: tuple[TrainingLog, ...] = ()
    best_step: int | None = None
    seconds: float
    teacher_seconds: float | None = None
    """Of the teacher pass; None when all vectors were already there, or a script made them."""
    emissions: Emissions | None = None
    """None where codecarbon did not run."""
    citations: tuple[str, ...] = ()
    """BibTeX of losses and methods."""

    @property
    def takes_prompt(self) -> bool:
        """Whether the student is given the teacher's prompt; others learn it as part of its vectors."""
        return self.method in ("layers", "trimmed")


class LowAgreement(Fact):
    """A held-out text on which student and teacher agree little."""

    text: str
    value: float
    metric: str
    """`teacher_cosine`, or `precision_at_k` where the two have no space in common."""


TextOrigin = Literal["corpus", "sources", "sets", "script"]
"""Where held-out texts came from: the corpus that the report's recipe describes, sources named for the
evaluation, the evaluation sets, or a training script that handed them over."""


class EvaluationPlan(Fact):
    """What was measured, in a recipe's own terms and without paths: enough to measure it again.

    The seed is that of the environment.
    """

    teacher: Teacher
    settings: Evaluation
    texts: TextOrigin
    sources: tuple[CorpusSource, ...] = ()
    """What the texts were read from, where their origin is `sources`."""


class ComparedSnippet(Fact):
    """A snippet without sentence-transformers, and how near its vectors came to theirs when it was run."""

    code: str
    """Python with the placeholder MODEL_ID for the repository id."""
    packages: tuple[str, ...]
    """What to install for it."""
    texts: int
    """That both embedded, the longest one cut where the model cuts."""
    largest_difference: float
    """Between two numbers of a vector, in float32."""


class QuickStart(Fact):
    """The card's first snippet and what it printed when it was run."""

    code: str
    """Python with the placeholder MODEL_ID for the repository id."""
    output: str
    sentences: tuple[str, ...] = ()
    """Those of the snippet; ours, never those of a data set."""
    prompt: str | None = None
    """What the snippet asks to be put before each of them; empty: nothing. None in reports of before it was
    recorded."""
    retrieval: bool = False
    """Whether it encodes the first as a query and the others as documents, with the model's own prompts."""
    plain: ComparedSnippet | None = None
    """None where the model has parts that transformers alone does not run."""


class DistillationReport(Fact):
    """Everything that is known about one student: the content of report.json."""

    schema_version: Literal[1] = SCHEMA_VERSION
    hubdistill_version: str
    created: datetime
    student: str
    """Key of the student in `models`."""
    teacher: str
    """Key of the teacher in `models`."""
    base_model: str | None
    """Hub id of the checkpoint that the student was initialised from."""
    models: dict[str, Model]
    """Student, teacher, and the siblings that were measured in the same run."""
    data: dict[str, EvaluationData]
    metrics: dict[str, Metric]
    measurements: tuple[Measurement, ...]
    comparisons: tuple[Comparison, ...] = ()
    points: SimilarityPoints | None = None
    lowest_agreement: tuple[LowAgreement, ...] = ()
    """Held-out texts, lowest first; empty unless the owner asks for them on the card."""
    seconds: dict[str, float] = {}
    """What the evaluation took, by part: `embedding`, `similarity`, ..."""
    environment: Environment
    plan: EvaluationPlan | None = None
    """How to measure it again; None in reports of before it was recorded."""
    corpus: CorpusFacts | None = None
    training: Training | None = None
    quick_start: QuickStart
    recipe: str | None = None
    """The recipe as YAML."""
    owner: Card
    """What the owner said in the recipe's `card:`; licence and languages are settled here."""

    @model_validator(mode="after")
    def _references_resolve(self) -> DistillationReport:
        for place, name in (("student", self.student), ("teacher", self.teacher)):
            if name not in self.models:
                raise ValueError(f"{place}: no model {name!r} in models")
        items: list[Measurement | Comparison] = [*self.measurements, *self.comparisons]
        for item in items:
            references: list[tuple[str, str | None, Mapping[str, Fact]]] = [
                ("metric", item.metric, self.metrics),
                ("model", item.model, self.models),
                ("model", item.against, self.models),
                ("data", item.data, self.data),
            ]
            for kind, key, known in references:
                if key is not None and key not in known:
                    raise ValueError(
                        f"a measurement names the {kind} {key!r}, which the report does not define"
                    )
        for low in self.lowest_agreement:
            if low.metric not in self.metrics:
                raise ValueError(f"lowest_agreement: no metric {low.metric!r} in metrics")
        return self

    @property
    def siblings(self) -> tuple[str, ...]:
        """Keys of the other students measured in the same run."""
        return tuple(key for key in self.models if key not in (self.student, self.teacher))

    def find(
        self, metric: str, *, model: str | None = None, data: str | None = None, **parameters: Value
    ) -> list[Measurement]:
        """Measurements of a metric, narrowed by model, data and parameters, in report order."""
        return [
            m
            for m in self.measurements
            if m.metric == metric
            and (model is None or m.model == model)
            and (data is None or m.data == data)
            and parameters.items() <= m.parameters.items()
        ]

    def save(self, folder: Path) -> Path:
        """Write report.json into a folder, at once or not at all."""
        path = folder / FILE_NAME
        write_text(path, self.model_dump_json(indent=2) + "\n")
        return path


def report_schema() -> dict[str, Any]:
    """The JSON Schema of report.json, which hubdistill/report.schema.json holds.

    What validates is what `load_report` reads, but for references: that a measurement's model is one of
    `models` is beyond a schema.
    """
    schema = DistillationReport.model_json_schema()
    schema["required"] = ["schema_version", *schema["required"]]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def load_report(path: str | os.PathLike[str]) -> DistillationReport:
    """Read a report from a file or from the folder that holds report.json.

    Raises:
        ReportError: there is none, it is not ours, or a newer hubdistill wrote it.
    """
    path = Path(path)
    if path.is_dir():
        path = path / FILE_NAME
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise ReportError(f"no report at {path}; `hubdistill evaluate` writes one") from None
    except OSError as error:
        raise ReportError(f"cannot read {path}: {error}") from error
    return parse_report(content, name=str(path))


def parse_report(content: bytes, *, name: str = FILE_NAME) -> DistillationReport:
    """Read a report from the content of its file.

    Args:
        content: UTF-8.
        name: what errors call it.

    Raises:
        ReportError: it is not ours, or a newer hubdistill wrote it.
    """
    try:
        data: Any = json.loads(content.decode("utf-8"), object_pairs_hook=unique_members)
    except (ValueError, RecursionError) as error:
        raise ReportError(f"cannot read {name}: {error}") from error
    version = data.get("schema_version") if isinstance(data, dict) else None
    if version != SCHEMA_VERSION:
        raise ReportError(f"{name}: schema_version is {version!r}, this hubdistill reads {SCHEMA_VERSION}")
    try:
        return DistillationReport.model_validate(data)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, p['loc'])) or 'report'}: {p['msg'].removeprefix('Value error, ')}"
            for p in error.errors()
        )
        raise ReportError(f"{name}: {problems}") from None
