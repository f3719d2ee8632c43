"""What every metric of an evaluation means, in words that go on a card."""

from __future__ import annotations

from hubdistill.report import Metric

_EVALUATOR = "sentence-transformers, EmbeddingSimilarityEvaluator"
_SIMILARITIES = {
    "cosine": "cosine similarities",
    "dot": "dot products",
    "euclidean": "negative Euclidean distances",
    "manhattan": "negative Manhattan distances",
}
_CORRELATIONS = {"pearson": "Pearson", "spearman": "Spearman"}

_STS = {
    f"{correlation}_{similarity}": Metric(
        title=f"{title} ({similarity})",
        definition=f"{title} correlation between {words} of two sentences' embeddings and the human scores.",
        higher_is_better=True,
        reference=_EVALUATOR,
    )
    for similarity, words in _SIMILARITIES.items()
    for correlation, title in _CORRELATIONS.items()
}

_FIDELITY = {
    "teacher_cosine": Metric(
        title="Cosine to the teacher (mean)",
        definition="Mean cosine similarity between the student's and the teacher's embedding of a text.",
        higher_is_better=True,
    ),
    "teacher_cosine_p5": Metric(
        title="Cosine to the teacher (5th percentile)",
        definition="Cosine similarity to the teacher's embedding that 95 % of the texts exceed.",
        higher_is_better=True,
    ),
    "mse": Metric(
        title="MSE to the teacher",
        definition="Mean squared error to the teacher's embeddings, over texts and dimensions.",
        higher_is_better=False,
    ),
    "negative_mse": Metric(
        title="Negative MSE (x100)",
        definition="The MSE to the teacher times 100, negated so that higher is better and 0 is perfect.",
        higher_is_better=True,
        reference="sentence-transformers, MSEEvaluator",
    ),
    "embedding_spearman": Metric(
        title="Spearman to the teacher's similarities",
        definition="Spearman correlation between student's and teacher's cosine similarities of sampled "
        "pairs of texts.",
        higher_is_better=True,
    ),
    "linear_cka": Metric(
        title="Linear CKA to the teacher",
        definition="Linear centred kernel alignment of the student's and the teacher's embeddings of at most "
        "2,000 texts, with the unbiased estimate of HSIC: 1 for equal spaces up to rotation and scale, about "
        "0 for unrelated ones.",
        higher_is_better=True,
        reference="Kornblith et al. 2019 (arXiv:1905.00414); Song et al. 2012, JMLR 13, equation 5",
    ),
}

_RETRIEVAL = {
    "precision_at_k": Metric(
        title="Precision@k overlap",
        definition="Share of the k documents nearest to a query by cosine that two models have in common, "
        "mean over queries.",
        higher_is_better=True,
    ),
    "ndcg_at_10": Metric(
        title="nDCG@10",
        definition="Normalised discounted cumulative gain of the first 10 documents by cosine; the gain is "
        "the judged grade.",
        higher_is_better=True,
        reference="trec_eval, ndcg_cut.10",
    ),
    "mrr_at_10": Metric(
        title="MRR@10",
        definition="One over the rank of the first relevant document within the first 10, mean over queries.",
        higher_is_better=True,
        reference="ir-measures, RR@10",
    ),
    "recall_at_100": Metric(
        title="Recall@100",
        definition="Share of a query's relevant documents among the first 100, mean over queries.",
        higher_is_better=True,
        reference="trec_eval, recall.100",
    ),
    "map_at_100": Metric(
        title="MAP@100",
        definition="Mean over queries of the average precision within the first 100 documents.",
        higher_is_better=True,
        reference="trec_eval, map_cut.100",
    ),
    "ann_recall_at_k": Metric(
        title="Recall of HNSW at k",
        definition="Share of the k documents that exact search finds which a search of Qdrant's HNSW graph, "
        "ef candidates deep, finds too; mean over queries.",
        higher_is_better=True,
    ),
}

_BENCHMARK = {
    "mteb_main_score": Metric(
        title="MTEB main score",
        definition="The task's main score as mteb computes it; the data names the task.",
        higher_is_better=True,
        reference="mteb",
    ),
}

_SPEED = {
    "texts_per_second": Metric(
        title="Texts per second",
        definition="Texts embedded per second by SentenceTransformer.encode, tokenisation included; models "
        "interleaved in one process after a warm-up, median of the repeats.",
        higher_is_better=True,
        unit="texts/s",
    ),
    "speedup": Metric(
        title="Speed-up",
        definition="Texts per second over the teacher's in the same repeat, median of the repeats.",
        higher_is_better=True,
        unit="x",
    ),
    "latency_p50": Metric(
        title="Latency (median)",
        definition="Time from one text to its embedding, tokenisation included, one text a call; models "
        "interleaved in one process after a warm-up.",
        higher_is_better=False,
        unit="ms",
    ),
    "latency_p95": Metric(
        title="Latency (95th percentile)",
        definition="Time from one text to its embedding that 95 % of the calls stay below.",
        higher_is_better=False,
        unit="ms",
    ),
    "load_seconds": Metric(
        title="Time to load",
        definition="From the model's folder to a model that can embed, in a process of its own with the "
        "libraries imported and the files in the system's cache; median of the repeats.",
        higher_is_better=False,
        unit="s",
    ),
    "peak_memory": Metric(
        title="Peak memory",
        definition="Largest resident memory of a process that loads the model and embeds one batch, the "
        "libraries included.",
        higher_is_better=False,
        unit="bytes",
    ),
    "peak_device_memory": Metric(
        title="Peak device memory",
        definition="Largest memory allocated on the accelerator by a process that loads the model and embeds "
        "one batch.",
        higher_is_better=False,
        unit="bytes",
    ),
}

METRICS: dict[str, Metric] = {**_FIDELITY, **_STS, **_RETRIEVAL, **_BENCHMARK, **_SPEED}
"""Every metric that an evaluation can report, by name."""
