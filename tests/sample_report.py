"""Whole reports for tests, with the geometry of published models and invented scores.

from sample_report import bge_m3_report, compared_report, mxbai_report, other_model_report, static_report, \
    trimmed_report
"""

from __future__ import annotations

import hashlib
import random
from datetime import UTC, datetime

from sample_evidence import family_evidence, static_evidence

from hubdistill.recipe import Card, Evaluation, RetrievalSet, SimilaritySet, Teacher
from hubdistill.report import (
    Architecture,
    ComparedSnippet,
    Comparison,
    CorpusFacts,
    DistillationReport,
    Environment,
    EvaluationData,
    EvaluationPlan,
    Interval,
    Measurement,
    Metric,
    Model,
    Projection,
    QuickStart,
    SimilarityPoints,
    Source,
    Start,
    TokenCounts,
    Training,
    TrainingLog,
    Value,
    Vocabulary,
)

METRICS = {
    "spearman_cosine": Metric(
        title="Spearman (cosine)",
        definition="Rank correlation between cosine similarity and reference score of sentence pairs.",
        higher_is_better=True,
        reference="sentence-transformers, EmbeddingSimilarityEvaluator",
    ),
    "pearson_cosine": Metric(
        title="Pearson (cosine)",
        definition="Linear correlation between cosine similarity and reference score of sentence pairs.",
        higher_is_better=True,
        reference="sentence-transformers, EmbeddingSimilarityEvaluator",
    ),
    "teacher_cosine": Metric(
        title="Mean cosine to the teacher",
        definition="Cosine between the student's and the teacher's vector of a text, mean over texts.",
        higher_is_better=True,
    ),
    "negative_mse": Metric(
        title="Negative MSE",
        definition="Mean squared difference to the teacher's vectors, times 100 and negated.",
        higher_is_better=True,
        reference="sentence-transformers, MSEEvaluator",
    ),
    "precision_at_k": Metric(
        title="Precision@k",
        definition="Share of one model's k nearest texts that are also among the other model's.",
        higher_is_better=True,
    ),
    "ndcg_at_10": Metric(
        title="nDCG@10",
        definition="Normalised discounted cumulative gain of the first ten documents.",
        higher_is_better=True,
        reference="ir-measures, nDCG@10",
    ),
    "texts_per_second": Metric(
        title="Throughput",
        definition="Texts encoded in a second, warm, median of 5 repeats.",
        higher_is_better=True,
        unit="texts/s",
    ),
    "speedup": Metric(
        title="Speed-up",
        definition="Texts per second over the teacher's in the same repeat, median of the repeats.",
        higher_is_better=True,
        unit="x",
    ),
}

CPU = Environment(
    device="cpu",
    processor="AMD EPYC 9B14",
    cores=8,
    threads=8,
    memory_bytes=32 * 2**30,
    platform="Linux 6.8 x86_64",
    python="3.11.9",
    libraries={
        "sentence-transformers": "6.2.0",
        "transformers": "5.23.0",
        "torch": "2.13.0",
        "accelerate": "1.14.0",
        "datasets": "5.2.0",
        "tokenizers": "0.23.1",
    },
    seed=12,
)

STSB = EvaluationData(
    kind="similarity",
    title="STS Benchmark (test)",
    source="sentence-transformers/stsb",
    hub_id="sentence-transformers/stsb",
    split="test",
    revision="ab7a5ac0e35aa22088bdcf23e7fd99b220e53308",
    n=1379,
    sha256="5b" * 32,
    language="en",
)
HELD_OUT = EvaluationData(
    kind="texts", title="Held-out texts", source="held-out part of the corpus", n=2000, sha256="2f" * 32
)
NEIGHBOURS = EvaluationData(
    kind="retrieval",
    title="Held-out texts as queries and documents",
    source="held-out part of the corpus",
    n=500,
    documents=1500,
    sha256="4e" * 32,
)
SPEED = EvaluationData(kind="speed", title="Texts of a set length", source="corpus", n=512, sha256="77" * 32)
CRANFIELD = EvaluationData(
    kind="retrieval",
    title="Cranfield",
    source="cranfield",
    n=225,
    documents=1400,
    sha256="c1" * 32,
    language="en",
)

SELECTION = "layers 0-3 and 20-23 of the teacher's 24, counted from 0 (ends)"

QUICK_START = QuickStart(
    code="""\
from sentence_transformers import SentenceTransformer

model = SentenceTransformer("MODEL_ID")
sentences = [
    "The weather is lovely today.",
    "It is so sunny outside!",
    "He drove to the stadium.",
]
embeddings = model.encode(sentences)
print(embeddings.shape)
print(model.similarity(embeddings, embeddings))
""",
    output="""\
(3, 1024)
tensor([[1.0000, 0.7104, 0.3517],
        [0.7104, 1.0000, 0.3809],
        [0.3517, 0.3809, 1.0000]])
""",
    sentences=("The weather is lovely today.", "It is so sunny outside!", "He drove to the stadium."),
    prompt="",
)

MSE_CITATION = """\
@inproceedings{reimers-2020-multilingual-sentence-bert,
    title = "Making Monolingual Sentence Embeddings Multilingual using Knowledge Distillation",
    author = "Reimers, Nils and Gurevych, Iryna",
    booktitle = "Proceedings of the 2020 Conference on Empirical Methods in Natural Language Processing",
    month = "11",
    year = "2020",
    publisher = "Association for Computational Linguistics",
    url = "https://arxiv.org/abs/2004.09813",
}"""


def bge_m3_report(*, similarity_sets: int = 1) -> DistillationReport:
    """An 8-layer student of BAAI/bge-m3, with its 6- and 4-layer siblings.

    Args:
        similarity_sets: on how many STS sets everything was measured.
    """
    teacher = _model("teacher", "BAAI/bge-m3", _xlm_roberta_large(24), license="mit", languages=())
    students = {
        f"bge-m3-{n}-layers": _model("student", f"bge-m3-{n}-layers", _xlm_roberta_large(n, kept))
        for n, kept in (
            (8, (0, 1, 2, 3, 20, 21, 22, 23)),
            (6, (0, 1, 2, 21, 22, 23)),
            (4, (0, 1, 22, 23)),
        )
    }
    sets = {"stsb": STSB}
    further = [
        ("de", "STS Benchmark, German"),
        ("tr", "STS Benchmark, Turkish"),
        ("en", "SICK Relatedness"),
        ("ja", "JSTS, Japanese"),
        ("en", "A set of sentence pairs with a remarkably long name (validation)"),
    ]
    for number, (language, title) in enumerate(further, start=2):
        if number <= similarity_sets:
            sets[f"sts-{number}"] = STSB.model_copy(
                update={
                    "title": title,
                    "hub_id": None,
                    "source": f"sts-{number}.tsv",
                    "split": None,
                    "revision": None,
                    "language": language,
                    "n": 1200 + number,
                }
            )
    qualities = {"BAAI/bge-m3": 0.8487, **dict(zip(students, (0.8391, 0.8262, 0.7904), strict=True))}
    rates = {"BAAI/bge-m3": 31.4, **dict(zip(students, (88.2, 114.7, 163.9), strict=True))}
    agreement = {
        ("bge-m3-8-layers", "BAAI/bge-m3"): 0.811,
        ("bge-m3-6-layers", "BAAI/bge-m3"): 0.768,
        ("bge-m3-4-layers", "BAAI/bge-m3"): 0.689,
        ("bge-m3-8-layers", "bge-m3-6-layers"): 0.842,
        ("bge-m3-8-layers", "bge-m3-4-layers"): 0.741,
        ("bge-m3-6-layers", "bge-m3-4-layers"): 0.773,
    }
    report = family_evidence(
        _report(
            models={**students, teacher.name: teacher},
            base_model="BAAI/bge-m3",
            sets=sets,
            qualities=qualities,
            closeness=dict(zip(students, (0.9688, 0.9551, 0.9247), strict=True)),
            rates=rates,
            agreement=agreement,
            training=_layer_training(SELECTION, texts=150_000),
            corpus=_corpus("en", "de", "tr"),
            owner=Card(
                language=("en", "de", "tr"),
                motivation="Search over *our* support tickets, on machines without a GPU.",
                tags=("multilingual",),
            ),
        )
    )
    return report.model_copy(update={"plan": _plan(report)})


def mxbai_report() -> DistillationReport:
    """An 8-layer student of mixedbread-ai/mxbai-embed-large-v1 without siblings, its texts local files."""
    teacher = _model(
        "teacher",
        "mixedbread-ai/mxbai-embed-large-v1",
        _bert_large(24),
        license="apache-2.0",
        languages=("en",),
    )
    student = _model(
        "student",
        "mxbai-embed-large-8-layers",
        _bert_large(8, (0, 1, 2, 3, 20, 21, 22, 23)),
        dtype="bfloat16",
    )
    return _report(
        models={student.name: student, teacher.name: teacher.model_copy(update={"dtype": "bfloat16"})},
        base_model=teacher.name,
        sets={"stsb": STSB},
        qualities={teacher.name: 0.8929, student.name: 0.8903},
        closeness={student.name: 0.9712},
        rates={teacher.name: 2104.0, student.name: 5886.0},
        agreement={(student.name, teacher.name): 0.824},
        training=_layer_training(SELECTION, texts=510_500),
        corpus=_corpus(),
        owner=Card(
            license="apache-2.0",
            language=("en",),
            summary="The student that our documentation search runs on.",
            citation="@misc{example2026,\n  title = {An example},\n  author = {Doe, Jane},\n}",
        ),
        environment=CPU.model_copy(update={"device": "NVIDIA H100 80GB HBM3"}),
        retrieval=None,
    )


def compared_report() -> DistillationReport:
    """The student of `mxbai_report` as a model that somebody else made: measured, and no more known of it."""
    report = mxbai_report()
    theirs = report.models[report.student]
    architecture = theirs.architecture.model_copy(update={"kept_layers": None})
    return report.model_copy(
        update={
            "models": {
                **report.models,
                report.student: theirs.model_copy(update={"architecture": architecture, "license": "mit"}),
            },
            "base_model": None,
            "training": None,
            "corpus": None,
            "recipe": None,
            "owner": Card(license="mit", language=("en",)),
        }
    )


def static_report() -> DistillationReport:
    """A static student of all-MiniLM-L6-v2."""
    teacher = _model(
        "teacher",
        "sentence-transformers/all-MiniLM-L6-v2",
        Architecture(
            kind="transformer",
            family="bert",
            layers=6,
            hidden_size=384,
            attention_heads=12,
            feed_forward=1536,
            vocabulary=30_522,
            positions=512,
            max_length=256,
            dimensions=384,
            pooling="mean",
            normalized=True,
            similarity="cosine",
            parameters=22_713_216,
            embedding_parameters=11_917_824,
            modules=("Transformer", "Pooling", "Normalize"),
            dump=_dump("BertModel", 6, 30_522, 384, 1536),
        ),
        license="apache-2.0",
        languages=("en",),
    )
    student = _model(
        "student",
        "minilm-static",
        Architecture(
            kind="static",
            family="static",
            layers=0,
            hidden_size=384,
            vocabulary=30_522,
            dimensions=384,
            pooling="mean",
            normalized=True,
            similarity="cosine",
            parameters=11_720_448,
            embedding_parameters=11_720_448,
            modules=("StaticEmbedding", "Normalize"),
            dump="SentenceTransformer(\n  (0): StaticEmbedding(\n    (embedding): EmbeddingBag(30522, 384)\n"
            "  )\n  (1): Normalize()\n)",
        ),
    )
    training = Training(
        method="static",
        loss="least squares to the teacher's vectors, then cosine to the teacher",
        loss_parameters={"ridge": 0.1, "prior": "teacher's token vectors"},
        texts=47_000,
        tokens=TokenCounts(min=3, mean=27.4, max=512),
        samples=("A man is playing a guitar.", "How do I sort a list in Python?", "Water boils at 100 °C."),
        hyperparameters={"iterations": 20, "reweight": 2, "learning_rate": 0.01},
        all_hyperparameters={"iterations": 20, "reweight": 2, "learning_rate": 0.01, "batch_size": 1024},
        seconds=48.2,
        teacher_seconds=431.0,
    )
    return static_evidence(
        _report(
            models={student.name: student, teacher.name: teacher},
            base_model=teacher.name,
            sets={"stsb": STSB},
            qualities={teacher.name: 0.8203, student.name: 0.7894},
            closeness={student.name: 0.8672},
            rates={teacher.name: 412.0, student.name: 128_400.0},
            agreement={(student.name, teacher.name): 0.583},
            training=training,
            corpus=_corpus("en"),
            owner=Card(license="apache-2.0", language=("en",)),
        )
    )


def trimmed_report() -> DistillationReport:
    """BAAI/bge-m3 with a quarter of its tokens and dimensions, untrained."""
    teacher = _model("teacher", "BAAI/bge-m3", _xlm_roberta_large(24), license="mit", languages=())
    whole = _xlm_roberta_large(24)
    removed = (250_002 - 60_000) * 1024
    student = _model(
        "student",
        "bge-m3-trimmed",
        whole.model_copy(
            update={
                "vocabulary": 60_000,
                "dimensions": 256,
                "parameters": whole.parameters - removed + 1024 * 256,
                "embedding_parameters": whole.embedding_parameters - removed,
                "dump": _dump("XLMRobertaModel", 24, 60_000, 1024, 4096, projected=256),
            }
        ),
    )
    training = Training(
        method="trimmed",
        loss=None,
        texts=98_500,
        samples=("A man is playing a guitar.", "Wasser kocht bei 100 °C."),
        hyperparameters={},
        vocabulary=Vocabulary(
            tokens=60_000,
            available=250_002,
            texts=98_500,
            coverage=0.9987,
            held_out_texts=2_000,
            held_out_coverage=0.9962,
            held_out_unchanged=0.9415,
        ),
        projection=Projection(dimensions=256, available=1024, texts=98_500, kept=0.9312),
        seconds=31.4,
        teacher_seconds=2740.0,
    )
    return _report(
        models={student.name: student, teacher.name: teacher},
        base_model=teacher.name,
        sets={"stsb": STSB},
        qualities={teacher.name: 0.8487, student.name: 0.8431},
        closeness={},
        rates={teacher.name: 31.4, student.name: 31.9},
        agreement={(student.name, teacher.name): 0.871},
        training=training,
        corpus=_corpus("en", "de"),
        owner=Card(language=("en", "de")),
    )


def other_model_report() -> DistillationReport:
    """A MiniLM that learned to speak the space of BAAI/bge-m3, in prefixes as well."""
    teacher = _model("teacher", "BAAI/bge-m3", _xlm_roberta_large(24), license="mit", languages=())
    student = _model(
        "student",
        "minilm-bge-m3",
        Architecture(
            kind="transformer",
            family="bert",
            layers=6,
            hidden_size=384,
            attention_heads=12,
            feed_forward=1536,
            vocabulary=30_522,
            positions=512,
            max_length=256,
            dimensions=1024,
            pooling="mean",
            normalized=True,
            similarity="cosine",
            parameters=22_713_216 + 384 * 1024,
            embedding_parameters=11_917_824,
            modules=("Transformer", "Pooling", "Dense", "Normalize"),
            dump=_dump("BertModel", 6, 30_522, 384, 1536, projected=1024),
        ),
    )
    training = _layer_training(SELECTION, texts=150_000).model_copy(
        update={
            "method": "model",
            "loss": "MatryoshkaLoss",
            "loss_parameters": {"loss": "EmbedDistillLoss", "matryoshka_dims": "(1024, 256, 128)"},
            "selection": None,
            "start": Start(
                name="sentence-transformers/all-MiniLM-L6-v2",
                hub_id="sentence-transformers/all-MiniLM-L6-v2",
                revision="c9745ed1d9f207416be6d2e6f8de32d1f16199bf",
                license="apache-2.0",
                dimensions=384,
            ),
            "teacher_space": True,
            "matryoshka": (128, 256),
        }
    )
    report = _report(
        models={student.name: student, teacher.name: teacher},
        base_model=teacher.name,
        sets={"stsb": STSB},
        qualities={teacher.name: 0.8487, student.name: 0.8112},
        closeness={student.name: 0.8934},
        rates={teacher.name: 31.4, student.name: 402.0},
        agreement={(student.name, teacher.name): 0.612},
        training=training,
        corpus=_corpus("en"),
        owner=Card(license="apache-2.0", language=("en",)),
    )
    cut = [
        m.model_copy(update={"value": round(m.value - lower, 4), "parameters": {**m.parameters, **width}})
        for width, lower in (({"dimensions": 128}, 0.031), ({"dimensions": 256}, 0.012))
        for m in report.measurements
        if m.model == student.name
        and (m.metric == "spearman_cosine" or (m.metric == "precision_at_k" and m.parameters["k"] == 10))
    ]
    return report.model_copy(
        update={"base_model": training.start.hub_id, "measurements": (*report.measurements, *cut)}
    )


def _model(
    role: str,
    name: str,
    architecture: Architecture,
    *,
    license: str | None = None,
    languages: tuple[str, ...] = (),
    dtype: str = "float32",
) -> Model:
    return Model.model_validate(
        {
            "role": role,
            "name": name,
            "hub_id": name if role == "teacher" else None,
            "revision": "5617a9f61b028005a4858fdac845db406aefb181"
            if role == "teacher"
            else f"sha256:{hashlib.sha256(name.encode()).hexdigest()}",
            "architecture": architecture,
            "bytes": architecture.parameters * 4 + 17_500_000,
            "dtype": dtype,
            "license": license,
            "languages": languages,
        }
    )


def _xlm_roberta_large(layers: int, kept: tuple[int, ...] | None = None) -> Architecture:
    return Architecture(
        kind="transformer",
        family="xlm-roberta",
        layers=layers,
        kept_layers=kept,
        hidden_size=1024,
        attention_heads=16,
        feed_forward=4096,
        vocabulary=250_002,
        positions=8194,
        max_length=8192,
        dimensions=1024,
        pooling="cls",
        normalized=True,
        similarity="cosine",
        parameters=264_395_776 + layers * 12_596_224 + 1_049_600,
        embedding_parameters=264_393_728,
        modules=("Transformer", "Pooling", "Normalize"),
        dump=_dump("XLMRobertaModel", layers, 250_002, 1024, 4096),
    )


def _bert_large(layers: int, kept: tuple[int, ...] | None = None) -> Architecture:
    return Architecture(
        kind="transformer",
        family="bert",
        layers=layers,
        kept_layers=kept,
        hidden_size=1024,
        attention_heads=16,
        feed_forward=4096,
        vocabulary=30_522,
        positions=512,
        max_length=512,
        dimensions=1024,
        pooling="cls",
        normalized=False,
        similarity="cosine",
        parameters=31_782_912 + layers * 12_596_224 + 1_049_600,
        embedding_parameters=31_780_864,
        modules=("Transformer", "Pooling"),
        prompts={"query": "Represent this sentence for searching relevant passages: "},
        dump=_dump("BertModel", layers, 30_522, 1024, 4096, normalized=False),
    )


def _dump(
    encoder: str,
    layers: int,
    vocabulary: int,
    width: int,
    feed_forward: int,
    *,
    projected: int | None = None,
    normalized: bool = True,
) -> str:
    last = [f"Dense({width}, {projected})"] * (projected is not None) + ["Normalize()"] * normalized
    after = "".join(f"  ({place}): {module}\n" for place, module in enumerate(last, 2))
    return (
        f"SentenceTransformer(\n  (0): Transformer({encoder})\n"
        f"    (embeddings): Embedding({vocabulary}, {width})\n"
        f"    (layer): {layers} x Layer(\n"
        f"      (attention): Attention({width})\n"
        f"      (intermediate): Linear({width}, {feed_forward})\n"
        f"      (output): Linear({feed_forward}, {width})\n    )\n  (1): Pooling({width})\n{after})"
    )


def _layer_training(selection: str, *, texts: int) -> Training:
    steps = texts // 64
    log = tuple(
        TrainingLog(
            step=steps * i // 20,
            epoch=round(i / 20, 2),
            loss=round(0.02 + 0.18 / (1 + i), 4),
            learning_rate=5e-4 * (i / 2 if i < 2 else (20 - i) / 18),
            teacher_cosine=round(0.97 - 0.25 / (1 + i), 4) if i % 5 == 0 else None,
        )
        for i in range(1, 21)
    )
    return Training(
        method="layers",
        loss="EmbedDistillLoss",
        loss_parameters={"distance_metric": "cosine"},
        selection=selection,
        texts=texts,
        tokens=TokenCounts(min=3, mean=31.2, max=512),
        samples=(
            "A man is playing a guitar | and singing.",
            "How do I sort a list in Python?",
            "<b>Wasser</b> kocht bei 100 °C.",
        ),
        hyperparameters={
            "per_device_train_batch_size": 64,
            "learning_rate": 5e-4,
            "num_train_epochs": 1.0,
            "warmup_steps": 0.1,
            "batch_sampler": "LengthBucketSampler",
        },
        all_hyperparameters={
            "per_device_train_batch_size": 64,
            "learning_rate": 5e-4,
            "num_train_epochs": 1.0,
            "warmup_steps": 0.1,
            "weight_decay": 0.0,
            "max_grad_norm": 1.0,
            "lr_scheduler_type": "linear",
            "batch_sampler": "LengthBucketSampler",
        },
        log=log,
        best_step=log[-1].step,
        seconds=5312.0,
        teacher_seconds=2740.0,
        citations=(MSE_CITATION,),
    )


def _corpus(*languages: str) -> CorpusFacts:
    """The corpus of a Hub data set a language, or of local files without a declared language."""
    names = {"en": "example/english-texts", "de": "example/german-texts", "tr": "example/turkish-texts"}
    sources = tuple(
        Source(
            name=names[language],
            hub_id=names[language],
            config="pair",
            split="train",
            revision="d482672c8e74ce18da116f430137434ba2e52fab",
            columns=("anchor", "positive"),
            weight=1.0,
            read=90_000,
            kept=51_500,
            language=language,
        )
        for language in languages
    ) or (Source(name="texts-*.txt.gz", columns=("text",), weight=1.0, read=560_000, kept=515_000),)
    texts = sum(source.kept for source in sources)
    return CorpusFacts(
        sources=sources,
        texts=texts - 4_500,
        held_out=4_500,
        duplicates=1_204,
        too_short=37,
        too_long=2,
        sha256="e0" * 32,
    )


def _interval(value: float, width: float) -> Interval:
    return Interval(
        low=round(value - width, 4),
        high=round(value + width, 4),
        method="percentile bootstrap, 1000 resamples",
    )


def _report(
    *,
    models: dict[str, Model],
    base_model: str,
    sets: dict[str, EvaluationData],
    qualities: dict[str, float],
    closeness: dict[str, float],
    rates: dict[str, float],
    agreement: dict[tuple[str, str], float],
    training: Training,
    corpus: CorpusFacts,
    owner: Card,
    environment: Environment = CPU,
    retrieval: EvaluationData | None = CRANFIELD,
) -> DistillationReport:
    student, teacher = next(iter(models)), base_model
    data = {
        **sets,
        "held-out": HELD_OUT,
        "neighbours": NEIGHBOURS,
        "speed": SPEED,
        **({"cranfield": retrieval} if retrieval else {}),
    }
    measurements: list[Measurement] = []
    comparisons: list[Comparison] = []

    def measure(
        metric: str,
        model: str,
        value: float,
        on: str,
        *,
        against: str | None = None,
        width: float = 0.0,
        **p: Value,
    ) -> None:
        measurements.append(
            Measurement(
                metric=metric,
                model=model,
                value=round(value, 4),
                data=on,
                n=data[on].n,
                against=against,
                parameters=p,
                interval=_interval(value, width) if width else None,
                reproduce="hubdistill evaluate recipe.yaml",
            )
        )

    def compare(metric: str, model: str, on: str, values: dict[str, float], width: float) -> None:
        ours, theirs = values[model], values[teacher]
        comparisons.append(
            Comparison(
                metric=metric,
                model=model,
                against=teacher,
                data=on,
                difference=round(ours - theirs, 4),
                interval=_interval(ours - theirs, width),
                kept=round(ours / theirs, 4),
                kept_interval=_interval(ours / theirs, width / theirs),
            )
        )

    scored = [("spearman_cosine", name, index * 0.013, 0.0043) for index, name in enumerate(sets)]
    scored += [("pearson_cosine", name, index * 0.013 - 0.004, 0.0041) for index, name in enumerate(sets)]
    if retrieval:
        scored.append(("ndcg_at_10", "cranfield", 0.37, 0.0142))
    for metric, on, lower, width in scored:
        values = {model: quality - lower for model, quality in qualities.items()}
        for model, value in values.items():
            measure(metric, model, value, on, width=0.018)
            if model != teacher:
                compare(metric, model, on, values, width)
    for model, cosine in closeness.items():
        measure("teacher_cosine", model, cosine, "held-out", against=teacher, width=0.0011)
        dimensions = models[model].architecture.dimensions
        measure("negative_mse", model, -200 * (1 - cosine) / dimensions, "held-out", against=teacher)
    for (model, other), value in agreement.items():
        for step, k in enumerate((10, 20, 30, 40, 50)):
            measure(
                "precision_at_k", model, value + 0.006 * step, "neighbours", against=other, width=0.009, k=k
            )
    for model, texts_per_second in rates.items():
        for tokens, factor in ((16, 2.9), (64, 1.0), (256, 0.24)):
            measure(
                "texts_per_second",
                model,
                texts_per_second * factor,
                "speed",
                width=texts_per_second * factor * 0.01,
                tokens=tokens,
                batch_size=32,
            )
            if model != teacher:
                measure(
                    "speedup",
                    model,
                    texts_per_second / rates[teacher],
                    "speed",
                    against=teacher,
                    width=0.01 * texts_per_second / rates[teacher],
                    tokens=tokens,
                    batch_size=32,
                )
    return DistillationReport(
        hubdistill_version="0.1.0",
        created=datetime(2026, 3, 14, 15, 9, 26, tzinfo=UTC),
        student=student,
        teacher=teacher,
        base_model=base_model,
        models=models,
        data=data,
        metrics={name: METRICS[name] for name in METRICS if any(m.metric == name for m in measurements)},
        measurements=tuple(measurements),
        comparisons=tuple(comparisons),
        points=_points(qualities[student]),
        environment=environment,
        corpus=corpus,
        training=training,
        quick_start=QUICK_START.model_copy(
            update={
                "output": QUICK_START.output.replace("1024", str(models[student].architecture.dimensions)),
                "plain": _plain(models[student]),
            }
        ),
        recipe=f"name: example\nteacher:\n  model: {teacher}\nstudents:\n"
        + "".join(f"- name: {name}\n" for name, model in models.items() if model.role == "student"),
        owner=owner,
    )


def _plain(model: Model) -> ComparedSnippet:
    """The snippet as `plain_snippet` writes it for such a model."""
    made = model.architecture
    if made.kind == "static":
        lines = [
            "import numpy as np",
            "from huggingface_hub import hf_hub_download",
            "from safetensors.numpy import load_file",
            "from tokenizers import Tokenizer",
            "",
            'tokenizer = Tokenizer.from_file(hf_hub_download("MODEL_ID", "tokenizer.json"))',
            'table = load_file(hf_hub_download("MODEL_ID", "model.safetensors"))["embedding.weight"]',
            "",
            "",
            "def embed(texts):",
            "    encodings = tokenizer.encode_batch(texts, add_special_tokens=False)",
            "    vectors = np.stack([table[encoding.ids].mean(axis=0) for encoding in encodings])",
            "    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)",
        ]
        packages: tuple[str, ...] = ("huggingface_hub", "numpy", "safetensors", "tokenizers")
    else:
        mean = made.pooling == "mean"
        steps = ["(tokens * mask).sum(dim=1) / mask.sum(dim=1)" if mean else "tokens[:, 0]"]
        projected = made.dimensions != made.hidden_size
        steps += ['vectors @ dense_1["linear.weight"].T'] * projected
        steps += ["torch.nn.functional.normalize(vectors)"] * made.normalized
        weights = 'dense_1 = load_file(hf_hub_download("MODEL_ID", "2_Dense/model.safetensors"))'
        reading = ["from huggingface_hub import hf_hub_download", "from safetensors.torch import load_file"]
        dtype = "" if model.dtype == "float32" else ', dtype="float32"'
        lines = [
            "import torch",
            *reading * projected,
            "from transformers import AutoModel, AutoTokenizer",
            "",
            'tokenizer = AutoTokenizer.from_pretrained("MODEL_ID")',
            f'model = AutoModel.from_pretrained("MODEL_ID"{dtype})',
            *[weights] * projected,
            "",
            "",
            "def embed(texts):",
            "    inputs = tokenizer(texts, padding=True, truncation=True, "
            f'max_length={made.max_length}, return_tensors="pt")',
            "    with torch.no_grad():",
            "        tokens = model(**inputs).last_hidden_state",
            *['    mask = inputs["attention_mask"].unsqueeze(-1)'] * mean,
            *(f"    vectors = {step}" for step in steps[:-1]),
            f"    return {steps[-1]}",
        ]
        packages = ("torch", "transformers")
    lines += ["", "", 'print(embed(["The weather is lovely today."]).shape)']
    return ComparedSnippet(code="\n".join(lines), packages=packages, texts=6, largest_difference=2.9e-8)


def _plan(report: DistillationReport) -> EvaluationPlan:
    """How to measure a report's sets again: those of the Hub from there, the others from local files."""
    sets = {name: data for name, data in report.data.items() if data.kind in ("similarity", "retrieval")}
    similarity = tuple(
        SimilaritySet(
            name=name,
            dataset=data.hub_id,
            split=data.split or "train",
            files=() if data.hub_id else (data.source,),
            language=data.language,
        )
        for name, data in sets.items()
        if data.kind == "similarity"
    )
    retrieval = (RetrievalSet(name="cranfield", folder="cranfield", language="en"),)
    return EvaluationPlan(
        teacher=Teacher(model=report.teacher),
        settings=Evaluation(similarity=similarity, retrieval=retrieval),
        texts="corpus",
    )


def _points(quality: float) -> SimilarityPoints:
    rng = random.Random(12)
    reference = [round(rng.uniform(0, 5) * 5) / 5 for _ in range(1379)]
    noise = 0.35 * (1 - quality)
    teacher = [0.1 + 0.16 * score + rng.gauss(0, 0.07) for score in reference]
    student = [similarity + rng.gauss(0, 0.05 + noise) for similarity in teacher]
    return SimilarityPoints(
        data="stsb",
        reference=tuple(reference),
        student=tuple(round(min(value, 1.0), 4) for value in student),
        teacher=tuple(round(min(value, 1.0), 4) for value in teacher),
    )
