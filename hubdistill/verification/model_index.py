"""The model-index of a card, measured again: for repositories that have no report.

sentence-transformers and mteb write such cards. An entry can be measured where it names a data set of the Hub
in a form that we read: pairs of sentences with a score, or documents, queries and judgements.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal, NamedTuple

import scipy.stats
from httpx2 import HTTPError
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled
from sentence_transformers import SentenceTransformer

from hubdistill.card.metadata import read_metadata
from hubdistill.data_sources import available_columns
from hubdistill.errors import CardError, HubDistillError
from hubdistill.evaluation.beir import read_beir
from hubdistill.evaluation.retrieval import quality_of_queries, rank
from hubdistill.evaluation.retrieval_set import read_retrieval_set
from hubdistill.evaluation.significance import Bootstrap, Statistic, mean, pearson, spearman
from hubdistill.evaluation.similarity import predict, read_similarity_set
from hubdistill.evaluation.vectors import Vectors
from hubdistill.numbers import listed, size
from hubdistill.recipe import RetrievalSet, SimilaritySet
from hubdistill.verification.figures import Ends, interval_ends
from hubdistill.verification.index_entries import Entry, read_entries, rounding
from hubdistill.verification.outcome import CheckedClaim, Verdict

SLACK: Final = 1e-3
"""By how much a figure may be off, beside its rounding: other hardware, other versions."""
MOST_BYTES: Final = 2_000_000_000
"""Of a data set's repository: larger ones are not fetched."""
MOST_DOCUMENTS: Final = 200_000

_SIMILARITY: Final = {"sts", "semanticsimilarity", "semantictextualsimilarity", "sentencesimilarity"}
_RETRIEVAL: Final = {"retrieval", "informationretrieval"}
_SCORES: Final = ("score", "label", "similarity_score", "labels", "similarity")
_IR_MEASURES: Final = {
    "ndcg": "nDCG",
    "map": "AP",
    "mrr": "RR",
    "recall": "R",
    "precision": "P",
    "accuracy": "Success",
}
_CORRELATION = re.compile(
    r"(pearson|spearman)_(cosine|dot|euclidean|manhattan)"
    r"|(cosine|cos_sim|dot|euclidean|manhattan)_(pearson|spearman)"
    r"|(pearson|spearman)"
)
_RANKED = re.compile(rf"(cosine_)?({'|'.join(_IR_MEASURES)})(_at_|@)([1-9]\d{{0,3}})")
_NANO = re.compile(r"Nano[A-Za-z0-9]+")
NANOBEIR: Final = "sentence-transformers/NanoBEIR-en"
"""The data set of which sentence-transformers names only the split."""

_AMBIGUOUS: Final = (
    "average precision is defined in two ways where more documents are relevant than are looked at"
)


class _Set(NamedTuple):
    """What is read and embedded once, for all figures on it."""

    kind: Literal["similarity", "retrieval"]
    dataset: str
    config: str | None
    split: str
    revision: str | None


class _NotRunError(Exception):
    """Why an entry cannot be measured again."""


@dataclass(frozen=True)
class _Figure:
    """What an entry claims, in our terms.

    Args:
        metric: `spearman_cosine`, or ir-measures' name.
        binary: grades count as relevant or not, as sentence-transformers has it; mteb takes them as they are.
    """

    metric: str
    binary: bool = False


Measured = dict[_Figure, tuple[float, Ends | None]]


def rerun_model_index(
    card: str,
    model: SentenceTransformer,
    *,
    name: str,
    seed: int = 12,
    resamples: int = 1_000,
    quick: bool = False,
) -> tuple[list[CheckedClaim], list[str]]:
    """Measure the entries of a card's model-index again, those that can be.

    The model's own prompts apply: its default prompt to pairs, those for queries and documents in retrieval.

    Args:
        card: the whole README.md.
        model: the model that it is the card of.
        name: the model's name in the claims.
        seed: of the resamples.
        resamples: behind the intervals of what is measured.
        quick: measure one data set of each kind only.

    Returns:
        A claim for each entry, and notes. What is claimed in percent is measured in percent.
    """
    try:
        declared, _ = read_metadata(card)
    except CardError as error:
        return [], [f"README.md: {error}"]
    entries, notes = read_entries(declared)
    if not entries:
        return [], [*notes, "the card has no model-index, so it claims nothing that could be measured again"]
    vectors = Vectors(name, model)
    outcomes: dict[int, CheckedClaim] = {}
    sets: dict[_Set, dict[int, _Figure]] = {}
    for place, entry in enumerate(entries):
        try:
            found, figure = _understand(entry, model)
        except _NotRunError as reason:
            outcomes[place] = _not_run(entry, name, reason)
        else:
            sets.setdefault(found, {})[place] = figure
    percent = {_block(entry) for entry in entries if abs(entry.value) > 1}
    begun: set[str] = set()
    for found, figures in sets.items():
        try:
            if quick and found.kind in begun:
                raise _NotRunError("left out of a quick check")
            begun.add(found.kind)
            measured = _measure(found, vectors, set(figures.values()), seed, resamples, notes)
        except (_NotRunError, HubDistillError) as reason:
            outcomes |= {place: _not_run(entries[place], name, reason) for place in figures}
            continue
        for place, figure in figures.items():
            entry = entries[place]
            if figure in measured:
                scale = 100.0 if _block(entry) in percent else 1.0
                outcomes[place] = _judged(entry, name, *measured[figure], scale, _prompts(model))
            else:
                outcomes[place] = _not_run(entry, name, _AMBIGUOUS)
    return [outcomes[place] for place in range(len(entries))], notes


def _understand(entry: Entry, model: SentenceTransformer) -> tuple[_Set, _Figure]:
    """Which data set an entry is of, and which figure.

    Raises:
        _NotRunError: it is of a task, metric or data set that is not known here.
    """
    task = re.sub("[^a-z]", "", entry.task.lower())
    if task not in _SIMILARITY | _RETRIEVAL:
        raise _NotRunError(f"tasks of the type {entry.task!r} are not known here")
    found = _CORRELATION.fullmatch(entry.metric) if task in _SIMILARITY else _RANKED.fullmatch(entry.metric)
    if found is None:
        raise _NotRunError(f"the metric {entry.metric!r} is not known here")
    dataset, split = entry.dataset, entry.split or "test"
    if task in _RETRIEVAL and _NANO.fullmatch(dataset):
        dataset, split = NANOBEIR, dataset
    if "/" not in dataset:
        raise _NotRunError(f"{dataset!r} is no data set on the Hub")
    if task in _RETRIEVAL:
        _, measure, form, k = found.groups()
        return (
            _Set("retrieval", dataset, None, split, entry.revision),
            _Figure(f"{_IR_MEASURES[measure]}@{k}", binary=form == "@"),
        )
    ours, how, theirs, kind, alone = found.groups()
    similarity = how or (theirs or str(model.similarity_fn_name)).replace("cos_sim", "cosine")
    figure = _Figure(f"{ours or kind or alone}_{similarity}")
    return _Set("similarity", dataset, entry.config, split, entry.revision), figure


def _measure(
    found: _Set,
    vectors: Vectors,
    figures: set[_Figure],
    seed: int,
    resamples: int,
    notes: list[str],
) -> Measured:
    """Measure the figures on one data set.

    Raises:
        _NotRunError, HubDistillError: it cannot be read, or not in this way.
    """
    commit = _look_up(found)
    if found.revision is None:
        notes.append(f"{found.dataset}: the card names no revision; it was read at {commit[:12]}, of today")
    settings = {
        "name": re.sub("[^A-Za-z0-9]+", "-", f"{found.dataset}-{found.split}")[-90:].strip("-"),
        "dataset": found.dataset,
        "split": found.split,
        "revision": commit,
    }
    if found.kind == "similarity":
        source = SimilaritySet.model_validate({**settings, "config": found.config})
        return _correlations(source, vectors, figures, seed, resamples)
    return _ranked(RetrievalSet.model_validate(settings), vectors, figures, seed, resamples)


def _look_up(found: _Set) -> str:
    """The commit of a data set.

    Raises:
        _NotRunError: it is not there, cannot be reached, or is too large.
    """
    where = (
        f"{found.dataset!r} at the revision {found.revision!r}" if found.revision else f"{found.dataset!r}"
    )
    try:
        info = HfApi().dataset_info(found.dataset, revision=found.revision, files_metadata=True)
    except HFValidationError:
        raise _NotRunError(f"{found.dataset!r} is no data set on the Hub") from None
    except HfHubHTTPError as error:
        if error.response.status_code in (401, 403, 404):
            raise _NotRunError(f"{where} is no data set on the Hub, or a private one") from None
        raise _NotRunError(f"the Hub cannot be asked for {where}: {error}") from None
    except (HTTPError, OfflineModeIsEnabled, OSError) as error:
        raise _NotRunError(f"the Hub cannot be asked for {where}: {error}") from None
    total = sum(file.size or 0 for file in info.siblings or ())
    if total > MOST_BYTES:
        raise _NotRunError(f"{where} is of {size(total)}, and more than {size(MOST_BYTES)} are not fetched")
    return str(info.sha)


def _correlations(
    source: SimilaritySet, vectors: Vectors, figures: set[_Figure], seed: int, resamples: int
) -> Measured:
    columns = available_columns(source, base=Path())
    score = next((column for column in _SCORES if column in columns), None)
    if score is None or not {"sentence1", "sentence2"} <= set(columns):
        raise _NotRunError(
            f"{source.dataset} has the columns {listed(columns)}, and not sentence1, sentence2 and a score"
        )
    pairs = read_similarity_set(source.model_copy(update={"score": score}), Path())
    bootstrap = Bootstrap(len(pairs.scores), "pairs", resamples=resamples, seed=seed)
    measured: Measured = {}
    for figure in figures:
        correlation, similarity = figure.metric.split("_")
        predicted = predict(vectors, pairs, similarity)
        if correlation == "spearman":
            value, statistic = scipy.stats.spearmanr, spearman
        else:
            value, statistic = scipy.stats.pearsonr, pearson
        whole = float(value(pairs.scores, predicted).statistic)
        measured[figure] = whole, _interval(bootstrap, statistic(pairs.scores, predicted))
    return measured


def _ranked(
    source: RetrievalSet, vectors: Vectors, figures: set[_Figure], seed: int, resamples: int
) -> Measured:
    found = read_beir(source, Path())
    if len(found.documents) > MOST_DOCUMENTS:
        raise _NotRunError(
            f"it has {len(found.documents):,} documents, and more than {MOST_DOCUMENTS:,} are not embedded"
        )
    if found.shared:
        raise _NotRunError(
            "queries are among the documents, and whether they may find themselves is not said"
        )
    task = read_retrieval_set(source, Path())
    if task.judgements is None:
        raise _NotRunError(f"{source.dataset} has no judgements")
    depth = max(int(figure.metric.rpartition("@")[2]) for figure in figures)
    ranking = rank(vectors, task, min(depth, len(task.documents)), "exact")
    bootstrap = Bootstrap(len(task.queries), "queries", resamples=resamples, seed=seed)
    measured: Measured = {}
    for binary in (False, True):
        wanted = {figure.metric: figure.metric for figure in figures if figure.binary == binary}
        if not wanted:
            continue
        judgements = _binary(task.judgements) if binary else task.judgements
        most = max(sum(grade > 0 for grade in judged.values()) for judged in judgements)
        for metric, of_queries in quality_of_queries(ranking, judgements, wanted).items():
            # sentence-transformers divides by k where more than k documents are relevant.
            if binary and metric.startswith("AP@") and most > int(metric.rpartition("@")[2]):
                continue
            interval = _interval(bootstrap, mean(of_queries))
            measured[_Figure(metric, binary)] = float(of_queries.mean()), interval
    return measured


def _binary(judgements: Sequence[Mapping[int, int]]) -> list[dict[int, int]]:
    return [{place: int(grade > 0) for place, grade in judged.items()} for judged in judgements]


def _interval(bootstrap: Bootstrap, statistic: Statistic) -> Ends | None:
    return interval_ends(bootstrap.interval(bootstrap.distribution(statistic)))


def _judged(
    entry: Entry, model: str, value: float, interval: Ends | None, scale: float, prompts: str
) -> CheckedClaim:
    """Hold a claim against what was measured, on the card's own scale."""
    measured = scale * value
    ends = (scale * interval[0], scale * interval[1]) if interval else None
    off = abs(entry.value - measured)
    verdict: Verdict
    if off <= rounding(entry.value) + SLACK * scale:
        verdict, why = "same", ""
    elif ends and ends[0] <= entry.value <= ends[1]:
        verdict, why = "holds", f"inside the interval of what was measured, and off by {off:.2g}"
    else:
        verdict, why = "differs", f"off by {off:.2g}; measured with {prompts}"
    return replace(_not_run(entry, model, why), measured=measured, measured_interval=ends, verdict=verdict)


def _prompts(model: SentenceTransformer) -> str:
    """Whoever claims other figures may have put prompts before the texts that the model does not name."""
    named: Iterable[str] = (f"{name!r}" for name, prompt in model.prompts.items() if prompt)
    words = listed(named)
    return f"the model's prompts {words}" if words else "no prompt, for the model names none"


def _not_run(entry: Entry, model: str, why: object) -> CheckedClaim:
    return CheckedClaim(
        figure=entry.metric,
        model=model,
        data=_called(entry),
        source="model-index",
        claimed=entry.value,
        interval=None,
        measured=None,
        measured_interval=None,
        verdict="not run",
        why=str(why),
    )


def _block(entry: Entry) -> tuple[str, str, str]:
    """Entries that were written together, and so on one scale."""
    return entry.task, entry.dataset, entry.title


def _called(entry: Entry) -> str:
    return entry.title or entry.dataset
