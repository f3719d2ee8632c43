"""The recipe: one YAML file that describes a run; recipe_file.py reads and writes it.

Teacher, corpus, a family of students, training, evaluation, card and publishing. Every model here is
frozen and refuses unknown keys; relative paths are relative to the recipe's own folder.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    model_validator,
)

from hubdistill.conditions import parse_condition
from hubdistill.git_names import describe_refusal, is_git_name
from hubdistill.push_rules import contradiction

HELD_OUT, HELD_OUT_RETRIEVAL, SPEED = "held-out", "held-out-retrieval", "speed"
"""Names of the data that an evaluation makes of the held-out texts."""
RESERVED_NAMES = frozenset({HELD_OUT, HELD_OUT_RETRIEVAL, SPEED})


def _usable_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?", name) or re.search(
        r"--|\.\.", name
    ):
        raise ValueError(
            "a name is letters, digits, '-', '_' and '.', without '--' and '..', begins with a letter or "
            "digit, does not end with '-' or '.', and has at most 96 characters"
        )
    return name


Name = Annotated[str, AfterValidator(_usable_name)]
"""A name that can be a folder and the second half of a Hub repository id."""

Positive = Annotated[int, Field(ge=1)]


def _usable_index(index: str) -> str:
    if index not in ("exact", ":memory:") and not re.match(r"https?://", index):
        raise ValueError("expected exact, :memory: or the URL (http://...) of a Qdrant server")
    return index


def _usable_git_name(name: str) -> str:
    if not is_git_name(name):
        raise ValueError(describe_refusal(name))
    return name


GitName = Annotated[str, AfterValidator(_usable_git_name)]
"""A name that git takes for a branch or tag."""


def _usable_gate(gate: str) -> str:
    parse_condition(gate)
    return gate


Gate = Annotated[str, AfterValidator(_usable_gate)]
"""A condition on the report: see `hubdistill.conditions`."""


def _no_repeats(sizes: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(sizes)) < len(sizes):
        raise ValueError("names a size twice")
    return sizes


Sizes = Annotated[tuple[Positive, ...], AfterValidator(_no_repeats)]
"""Numbers of leading dimensions."""


class Settings(BaseModel):
    """Base of every part of a recipe: immutable, and strict about its keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Teacher(Settings):
    """The model that is distilled."""

    model: str
    """A Hub id (`BAAI/bge-m3`) or a local folder."""
    revision: str | None = None
    """Branch, tag or commit on the Hub; resolved to a commit and recorded."""
    hub_id: str | None = None
    """For a local folder: the Hub id of the same model, for the card's base_model and links."""
    prompt: str | None = None
    """Text put before every input, for teachers that were trained with one."""
    max_length: Annotated[int, Field(ge=8)] | None = None
    """Truncate to so many tokens; the teacher's own maximum when left out."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Precision of the teacher pass; auto is bfloat16 where the processor has it."""
    batch_tokens: Annotated[int, Field(ge=256)] | None = None
    """Tokens (padding included) in one batch of the teacher pass; chosen for the device when left out."""
    trust_remote_code: bool = False
    """Run the teacher's own Python code. The card then says so."""

    @classmethod
    def at(cls, address: str, **settings: Any) -> Teacher:
        """A model by its address: a local folder, `namespace/name` or `namespace/name@revision`."""
        if "@" not in address or Path(address).expanduser().is_dir():
            return cls(model=address, **settings)
        model, _, revision = address.rpartition("@")
        return cls(model=model, revision=revision, **settings)


class DataSource(Settings):
    """A table of texts: a Hub data set or local files, never both."""

    dataset: str | None = None
    """A Hub data set id."""
    config: str | None = None
    split: str = "train"
    revision: str | None = None
    streaming: bool = False
    """Read from the Hub row by row without downloading the whole data set."""
    files: tuple[str, ...] = ()
    """Local files or patterns: .txt .txt.gz .jsonl .csv .tsv .parquet (text files: one text a line)."""

    @model_validator(mode="after")
    def _one_origin(self) -> DataSource:
        if bool(self.dataset) == bool(self.files):
            raise ValueError("name either `dataset` (a Hub id) or `files` (local paths)")
        return self


class CorpusSource(DataSource):
    """One source of unlabelled texts to distil on."""

    columns: tuple[str, ...] = ()
    """Columns that hold texts, each value a text of its own; by default the first of text, sentence."""
    label: str | None = None
    """Column that already holds the teacher's vector for the (single) text column."""
    weight: Annotated[float, Field(gt=0)] = 1.0
    """Share of this source in the mix, relative to the other sources' weights."""
    texts: Annotated[int, Field(ge=1)] | None = None
    """Take at most so many texts."""
    language: str | None = None
    """ISO 639 code of the texts, for the card."""


class Corpus(Settings):
    """The texts to distil on."""

    sources: Annotated[tuple[CorpusSource, ...], Field(min_length=1)]
    texts: Annotated[int, Field(ge=1)] | None = None
    """Take at most so many texts over all sources, mixed by weight; all of them when left out."""
    min_characters: Annotated[int, Field(ge=1)] = 3
    max_characters: Annotated[int, Field(ge=1)] = 20_000
    unicode: Literal["NFC", "NFKC"] = "NFC"
    held_out: Annotated[float, Field(gt=0, lt=0.5)] = 0.03
    """Share kept out of training, chosen by each text's own hash. A quarter of it, 2,000 texts at most,
    serves choices while distilling; students are measured on the others."""


class Training(Settings):
    """How students with layers are trained."""

    loss: Literal["cosine", "mse"] = "cosine"
    epochs: Annotated[float, Field(gt=0)] = 1.0
    batch_size: Annotated[int, Field(ge=1)] = 32
    learning_rate: Annotated[float, Field(gt=0)] = 5e-4
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of the steps over which the learning rate rises."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    max_length: Annotated[int, Field(ge=8)] | None = None
    """Truncate training texts to so many tokens; the teacher's maximum when left out."""
    freeze_token_embeddings: bool = True
    matryoshka: Sizes = ()
    """Train prefixes of so many dimensions as well, so that the student's vectors can be cut."""
    evaluations: Annotated[int, Field(ge=1)] = 4
    """How often the student is compared with the teacher on held-out texts; the best one is kept."""
    arguments: dict[str, Any] = {}
    """Further SentenceTransformerTrainingArguments, by their own names."""


class Vocabulary(Settings):
    """Which tokens a student keeps: a number of them, or a share of what the corpus says."""

    tokens: Positive | None = None
    """Keep so many, the special tokens among them."""
    coverage: Annotated[float, Field(gt=0, le=1)] | None = None
    """Keep the fewest that make up this share of the corpus's tokens, repeats counted."""

    @model_validator(mode="after")
    def _one_measure(self) -> Vocabulary:
        if (self.tokens is None) == (self.coverage is None):
            raise ValueError("say either `tokens` (how many) or `coverage` (a share of the corpus)")
        return self


class LayerStudent(Settings):
    """A student that keeps some of the teacher's layers."""

    kind: Literal["layers"] = "layers"
    name: Name
    layers: Annotated[int, Field(ge=1)] | Annotated[tuple[int, ...], Field(min_length=1)]
    """How many layers to keep, or which ones (counted from 0)."""
    select: Literal["search", "ends", "even", "first", "last"] = "search"
    """Which layers to keep when `layers` is a number; search asks the teacher's vectors."""
    refit: bool = False
    """Before training, solve the kept layers for what the others did; pays when texts are few (thousands)."""
    vocabulary: Vocabulary | None = None
    """Keep only some of the teacher's tokens; all of them when left out."""
    dimensions: Positive | None = None
    """Width of the student's vectors; the teacher's when left out."""
    texts: Annotated[int, Field(ge=1)] | None = None
    """Train on so many texts of the corpus; all of them when left out."""
    training: Training | None = None
    """What differs from the family's training settings."""


class StaticStudent(Settings):
    """A student that is one table of token vectors, with or without a hidden layer: much the fastest."""

    kind: Literal["static"]
    name: Name
    texts: Annotated[int, Field(ge=1)] | None = None
    ridge: Annotated[float, Field(gt=0)] | Literal["auto"] = "auto"
    """Strength of the pull towards the prior; auto tries a few on held-out texts."""
    iterations: Annotated[int, Field(ge=1)] = 10
    """Conjugate-gradient iterations of each solve."""
    reweight: Annotated[int, Field(ge=0)] = 1
    """How often to solve again, at most, with weights that stand for the cosine objective."""
    dimensions: Positive | None = None
    """Width of the student's vectors; the teacher's when left out."""
    hidden_layer: bool = True
    """Train a hidden layer behind the tokens' mean, and the table with it, if held-out texts gain by it."""
    epochs: Annotated[float, Field(gt=0)] = 3.0
    """Of the training of the hidden layer."""
    matryoshka: Sizes | None = None
    """Prefixes that this trains as well; half and a quarter of the dimensions when left out, [] for none."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Type of the table; bfloat16 halves the student's size, and needs `hidden_layer: false`."""

    @model_validator(mode="after")
    def _one_precision(self) -> StaticStudent:
        if self.hidden_layer and self.dtype == "bfloat16":
            raise ValueError("`dtype: bfloat16` is for a table alone; set `hidden_layer: false` with it")
        if self.matryoshka and not self.hidden_layer:
            raise ValueError("`matryoshka` trains prefixes together with the hidden layer; leave one out")
        return self


class TrimmedStudent(Settings):
    """The whole teacher with fewer tokens, fewer dimensions or both; nothing is trained."""

    kind: Literal["trimmed"]
    name: Name
    vocabulary: Vocabulary | None = None
    """Keep only some of the teacher's tokens; all of them when left out."""
    dimensions: Positive | None = None
    """Width of the student's vectors; the teacher's when left out."""
    texts: Annotated[int, Field(ge=1)] | None = None
    """Count tokens on so many texts of the corpus; on all of them when left out."""

    @model_validator(mode="after")
    def _something_is_less(self) -> TrimmedStudent:
        if self.vocabulary is None and self.dimensions is None:
            raise ValueError("a trimmed student says `vocabulary`, `dimensions` or both")
        return self


class ModelStudent(Settings):
    """A student that starts from another model than the teacher, of any width and tokenizer."""

    kind: Literal["model"]
    name: Name
    model: str
    """A Hub id or a local folder."""
    revision: str | None = None
    """Branch, tag or commit on the Hub; resolved to a commit and recorded."""
    hub_id: str | None = None
    """For a local folder: the Hub id of the same model."""
    teacher_space: bool = True
    """Speak in the teacher's vectors, through a projection saved with the student; if not, the
    projection only serves training and the student keeps its own width."""
    texts: Annotated[int, Field(ge=1)] | None = None
    """Train on so many texts of the corpus; all of them when left out."""
    training: Training | None = None
    """What differs from the family's training settings."""


AnyStudent = LayerStudent | StaticStudent | TrimmedStudent | ModelStudent
Student = Annotated[AnyStudent, Field(discriminator="kind")]


class SimilaritySet(DataSource):
    """Sentence pairs with a human similarity score (STS)."""

    name: Name
    split: str = "test"
    sentence1: str = "sentence1"
    sentence2: str = "sentence2"
    score: str = "score"
    language: str | None = None
    benchmark_task: str | None = None
    """As for retrieval sets."""


class MadeQueries(Settings):
    """Queries made from documents, where nobody has written any.

    Each query knows the document that it was made from, which is its one relevant document.
    """

    method: Literal["title", "first-sentence", "crop", "model"]
    """The title, the first sentence or a span of words, each taken out of its document; or a question
    that a text2text model writes to the document."""
    count: Positive = 500
    """Of so many documents, chosen by the seed."""
    model: str | None = None
    """The text2text model: a Hub id (`doc2query/msmarco-t5-base-v1`) or a local folder."""
    revision: str | None = None
    """Of the model: branch, tag or commit on the Hub."""

    @model_validator(mode="after")
    def _a_model_where_one_writes(self) -> MadeQueries:
        if (self.method == "model") != (self.model is not None):
            raise ValueError("`model` names the text2text model of `method: model`, and of no other method")
        return self


class RetrievalSet(Settings):
    """Documents, queries and relevance judgements in BEIR form: a local folder or a Hub data set."""

    name: Name
    folder: str | None = None
    """Local folder with corpus.jsonl, queries.jsonl and qrels.tsv."""
    dataset: str | None = None
    """A Hub data set with the configurations corpus, queries and qrels (or default), as those of BEIR,
    NanoBEIR and MTEB have them."""
    split: str = "test"
    """Of the judgements; also of documents and queries where they have a split of that name."""
    revision: str | None = None
    make_queries: MadeQueries | None = None
    """Make the queries from the documents; the set then needs no queries and judgements of its own."""
    documents: Annotated[int, Field(ge=1)] | None = None
    """Use at most so many documents, judged ones first."""
    language: str | None = None
    benchmark_task: str | None = None
    """The task's id, where the data set is a benchmark that the Hub has registered: the figures are then
    written to .eval_results/ as well."""

    @model_validator(mode="after")
    def _one_origin(self) -> RetrievalSet:
        if bool(self.dataset) == bool(self.folder):
            raise ValueError("name either `folder` (a local one) or `dataset` (a Hub id)")
        return self


class Speed(Settings):
    """How cost is measured: throughput, latency, time to load and memory."""

    tokens: Annotated[tuple[Positive, ...], Field(min_length=1)] = (16, 64, 256)
    """Text lengths, in teacher tokens."""
    batch_sizes: Annotated[tuple[Positive, ...], Field(min_length=1)] = (32,)
    """Throughput is measured at each; the first stands for all where one figure is shown."""
    seconds: Annotated[float, Field(gt=0)] = 1.0
    """Aim for so long a measurement of one model at one length, per repeat."""
    repeats: Annotated[int, Field(ge=1)] = 5
    calls: Annotated[int, Field(ge=0)] = 50
    """Calls with a single text behind the latency, for each model and length; 0 leaves latency out."""
    footprint: bool = True
    """Time to load and peak memory, of each model in a process of its own."""


class Evaluation(Settings):
    """What is measured, on student, siblings and teacher alike."""

    similarity: tuple[SimilaritySet, ...] = ()
    retrieval: tuple[RetrievalSet, ...] = ()
    held_out_texts: Annotated[int, Field(ge=10)] = 2_000
    """Held-out texts on which agreement with the teacher is measured."""
    queries: Annotated[int, Field(ge=1)] = 500
    """Of these, so many serve as queries against the others for Precision@k."""
    k: Annotated[tuple[Positive, ...], Field(min_length=1)] = (10, 20, 30, 40, 50)
    index: Annotated[str, AfterValidator(_usable_index)] = "exact"
    """`exact` (matrix product), `:memory:` (embedded Qdrant) or the URL of a Qdrant server."""
    make_queries: MadeQueries | None = None
    """Make queries from held-out texts, instead of letting some of them look for the others."""
    hnsw_ef: tuple[Positive, ...] = ()
    """Also search Qdrant's HNSW graph at these depths, and report how much of exact search it finds: in the
    embedded engine, or on the server that `index` names."""
    truncate: tuple[Positive, ...] = ()
    """Also measure every model with its vectors cut to these widths."""
    quantize: tuple[Literal["int8", "binary"], ...] = ("int8", "binary")
    """Also measure every model with its vectors quantized."""
    asymmetric: bool = True
    """Also measure a student's queries against the teacher's documents, where both share a space."""
    mteb: tuple[str, ...] = ()
    """Names of MTEB tasks (STSBenchmark) to run as well; mteb's own result files are kept."""
    speed: Speed | None = Speed()
    bootstrap: Annotated[int, Field(ge=100)] = 1_000
    """Resamples behind every 95 % interval."""

    @model_validator(mode="after")
    def _names_differ(self) -> Evaluation:
        sets: list[SimilaritySet | RetrievalSet] = [*self.similarity, *self.retrieval]
        names = [*(one.name for one in sets), *self.mteb]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"the name {sorted(twice)[0]!r} is used twice among sets and tasks")
        if taken := RESERVED_NAMES.intersection(names):
            raise ValueError(f"the name {sorted(taken)[0]!r} is taken by what is measured on held-out texts")
        return self


class Card(Settings):
    """What a person says on the card, and how it looks."""

    license: str | None = None
    """A licence id of the Hub; the teacher's declared licence when left out."""
    license_note: str | None = None
    """Printed beside the licence; says what allows it where the teacher's own does not, such as a grant from
    its author."""
    language: tuple[str, ...] = ()
    """ISO 639 codes of the languages the students are meant for."""
    title: str | None = None
    summary: str | None = None
    motivation: str | None = None
    intended_use: str | None = None
    limitations: str | None = None
    tags: tuple[str, ...] = ()
    citation: str | None = None
    """BibTeX of your own work, put first."""
    samples: Annotated[int, Field(ge=0)] = 3
    """Training texts shown; 0 keeps every training text off the card."""
    lowest_agreement: Annotated[int, Field(ge=0, le=10)] = 0
    """Show so many of the held-out texts on which student and teacher agree least."""
    template: str | None = None
    """Your own Jinja template; it may extend model_card.md.j2."""


class Publish(Settings):
    """Where the students go."""

    namespace: str | None = None
    """Your user or organisation on the Hub; each student goes to namespace/name."""
    private: bool | None = None
    """Whether a repository that is made is private; by default as the namespace has it."""
    revision: GitName | None = None
    """Branch to commit to; made from main when it is missing."""
    create_pr: bool = False
    tag: GitName | None = None
    collection: str | None = None
    """Title or slug of the collection that all students go into; a title that there is none of is made."""
    collection_note: str | None = None
    """Stands beside each student in the collection."""
    commit_message: str | None = None
    gates: tuple[Gate, ...] = ()
    """Conditions on each student's report; one that does not meet all of them is not pushed."""

    @model_validator(mode="after")
    def _goes_together(self) -> Publish:
        if problem := contradiction(
            create_pr=self.create_pr,
            revision=self.revision,
            tag=self.tag,
            collection=self.collection,
            collection_note=self.collection_note,
        ):
            raise ValueError(problem)
        return self


class Recipe(Settings):
    """A whole run."""

    name: Name
    """The family's name."""
    output: str = "runs"
    """Everything is written to output/name."""
    seed: int = 12
    teacher: Teacher
    corpus: Corpus
    students: Annotated[tuple[Student, ...], Field(min_length=1)]
    training: Training = Training()
    evaluation: Evaluation = Evaluation()
    card: Card = Card()
    publish: Publish = Publish()

    _folder: Path = PrivateAttr(default_factory=Path)

    @model_validator(mode="before")
    @classmethod
    def _layers_is_the_usual_kind(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("students"), list):
            students = [{"kind": "layers", **s} if isinstance(s, dict) else s for s in data["students"]]
            return {**data, "students": students}
        return data

    @model_validator(mode="after")
    def _names_differ(self) -> Recipe:
        names = [student.name for student in self.students]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"students: the name {sorted(twice)[0]!r} is used twice")
        return self

    @property
    def folder(self) -> Path:
        """Folder that relative paths of the recipe start from."""
        return self._folder

    @property
    def output_folder(self) -> Path:
        """Folder that this run writes to."""
        return self._folder / self.output / self.name

    def student_folder(self, name: str) -> Path:
        """Folder of a student as it is published."""
        return self.output_folder / "students" / name

    def training_of(self, student: LayerStudent | ModelStudent) -> Training:
        """The family's training settings with the student's own changes."""
        changes = student.training.model_dump(exclude_unset=True) if student.training else {}
        return self.training.model_copy(update=changes)
