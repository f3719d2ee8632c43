"""Tasks of the Massive Text Embedding Benchmark, run by mteb, with its own result files.

mteb (https://github.com/embeddings-benchmark/mteb, arXiv:2210.07316) prepares the data, embeds it and
scores. Each model is asked with its own prompts, chosen by mteb's rules, as on the leaderboard.
"""

from __future__ import annotations

import difflib
import hashlib
import inspect
import json
import logging
import math
import os
import random
import statistics
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from sentence_transformers import SentenceTransformer

from hubdistill.errors import EvaluationError, MissingExtraError
from hubdistill.evaluation.findings import Findings
from hubdistill.progress import track
from hubdistill.report import EvaluationData

if TYPE_CHECKING:
    from mteb.abstasks.abstask import AbsTask
    from mteb.abstasks.task_metadata import TaskMetadata
    from mteb.cache import ResultCache
    from mteb.models import SentenceTransformerEncoderWrapper
    from mteb.results import TaskResult

logger = logging.getLogger(__name__)

METRIC = "mteb_main_score"

_BATCH = 32
"""Texts embedded at once."""


def check_mteb(tasks: Iterable[str]) -> None:
    """Find out before any work whether mteb is there and knows the tasks; no data is loaded.

    Raises:
        MissingExtraError: mteb is not installed.
        EvaluationError: there is no such task, or it is not about text.
    """
    _task_classes(tasks)


def measure_mteb(
    findings: Findings,
    models: Sequence[tuple[str, SentenceTransformer]],
    tasks: Iterable[str],
    folder: Path,
    *,
    revisions: Mapping[str, str],
) -> None:
    """Measure all models on every task; what mteb gives has no interval, so there is no comparison.

    mteb's result files are kept under `folder/results/<model>/<revision>/experiments/<settings>/`. One that
    is of the same model, of the same revision of the data and of the installed mteb is not measured again,
    and one that an interrupted run left incomplete is completed.

    Args:
        findings: is added to; defines each task's data under the task's name.
        models: names and models, the teacher first.
        tasks: names of MTEB tasks.
        folder: for mteb's result files.
        revisions: of each model by name: the commit, or the digest of the weights.

    Raises:
        MissingExtraError: mteb is not installed.
        EvaluationError: there is no such task, its data cannot be loaded, or a score is undefined.
    """
    classes = _task_classes(tasks)
    mteb = _import_mteb()
    cache: ResultCache = mteb.ResultCache(folder)
    with _random_states_kept(), _warnings_of_mteb_ignored():
        encoders = [(name, _encoder(model, name, revisions[name])) for name, model in models]
        for task_class in classes:
            task = task_class()
            results = _run(mteb, task, encoders, cache)
            _report(findings, task, results)


def _run(
    mteb: ModuleType,
    task: AbsTask,
    encoders: Sequence[tuple[str, SentenceTransformerEncoderWrapper]],
    cache: ResultCache,
) -> list[tuple[str, TaskResult]]:
    """Every model's result file, after measuring what is missing; the data is loaded once for all."""
    name = task.metadata.name
    results = []
    parts: Sequence[AbsTask] = _parts(task.metadata) or [task]
    try:
        with track(len(encoders), f"MTEB {name}") as advance:
            for model, encoder in encoders:
                result = _kept(task, encoder, cache)
                if result is None or result.get_missing_evaluations(task):
                    logger.info("MTEB task %s: measuring %s", name, model)
                    for part in parts:
                        _load(part)
                    mteb.evaluate(
                        encoder,
                        task,
                        # Otherwise codecarbon, where installed, asks the network where this machine is.
                        co2_tracker=False,
                        encode_kwargs={"batch_size": _BATCH, "show_progress_bar": False},
                        cache=cache,
                        overwrite_strategy="only-missing" if result else "always",
                        show_progress_bar=False,
                        public_only=False,
                    )
                    # As it is in the file, rounded, so that a second run finds the very same.
                    result = cache.load_task_result(name, encoder.mteb_model_meta, raise_if_not_found=True)
                assert result is not None
                results.append((model, result))
                advance(1)
    finally:
        for part in parts:
            if part.data_loaded:
                part.unload_data()
    return results


def _kept(task: AbsTask, encoder: SentenceTransformerEncoderWrapper, cache: ResultCache) -> TaskResult | None:
    """The result of an earlier run; None when it is of other data or of another mteb.

    mteb itself would take a complete result whatever it is of.
    """
    name = task.metadata.name
    try:
        result = cache.load_task_result(name, encoder.mteb_model_meta)
    except ValueError as error:  # Also what pydantic and json raise: mteb does not write atomically.
        logger.warning("MTEB task %s: measured anew, its result file cannot be read: %s", name, error)
        return None
    if result and result.is_mergeable(task, criteria=["dataset_revision", "mteb_version"]):
        return result
    return None


def _load(task: AbsTask) -> None:
    """Load a task's data, unless it is loaded.

    Raises:
        EvaluationError: it cannot be loaded.
    """
    if task.data_loaded:
        return
    try:
        task.load_data()
    except Exception as error:  # Whatever datasets, the Hub's client or the task's own code raise.
        raise EvaluationError(
            f"the data of the MTEB task {task.metadata.name} ({task.metadata.dataset['path']}) cannot be "
            f"loaded: {str(error) or type(error).__name__}; it comes from the Hub: connect (and run "
            "`hf auth login` if it is private or gated), or take the task out of evaluation.mteb"
        ) from error


def _report(findings: Findings, task: AbsTask, results: Sequence[tuple[str, TaskResult]]) -> None:
    """Add a task's data and each model's main score, the mean over splits and subsets as mteb takes it.

    Raises:
        EvaluationError: a main score is undefined.
    """
    metadata = task.metadata
    _, first = results[0]
    measured = {split: [scores["hf_subset"] for scores in of] for split, of in sorted(first.scores.items())}
    subsets = {subset for of in measured.values() for subset in of}
    n, documents = _size(metadata) or (sum(map(len, measured.values())), None)
    aggregate = bool(_parts(metadata))
    findings.add_data(
        metadata.name,
        EvaluationData(
            kind="benchmark",
            title=metadata.name,
            source="mteb",
            hub_id=None if aggregate else metadata.dataset["path"],
            config=next(iter(subsets)) if len(subsets) == 1 and subsets != {"default"} else None,
            split=", ".join(measured),
            revision=None if aggregate else metadata.revision,
            n=n,
            documents=documents,
            sha256=hashlib.sha256(json.dumps(_identity(metadata, measured)).encode()).hexdigest(),
        ),
    )
    for model, result in results:
        every = [scores["main_score"] for of in result.scores.values() for scores in of]
        if any(score is None or not math.isfinite(score) for score in every):
            raise EvaluationError(
                f"MTEB task {metadata.name}: {metadata.main_score} of {model} is undefined (got {every}), as "
                "when a model gives every text the same vector; check its weights, or take the task out of "
                "evaluation.mteb"
            )
        findings.measure(
            METRIC,
            model,
            statistics.fmean(every),
            metadata.name,
            parameters={"main_score": metadata.main_score},
        )


def _identity(metadata: TaskMetadata, measured: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """What a score is of: texts themselves are not there when it comes from a result file."""
    return {
        "task": metadata.name,
        "data": [[m.dataset["path"], m.revision] for m in _metadata_of_parts(metadata)],
        "splits": {split: sorted(subsets) for split, subsets in measured.items()},
    }


def _size(metadata: TaskMetadata) -> tuple[int, int | None] | None:
    """Items and documents of the evaluated splits by mteb's own statistics; None where it has none.

    Items are queries in retrieval. In those reranking tasks of which mteb counts only all texts, they are
    queries and documents together.
    """
    items = documents = 0
    for part in _metadata_of_parts(metadata):
        known: Mapping[str, Any] = part.descriptive_stats or {}
        for split in part.eval_splits:
            if split not in known:
                return None
            items += known[split].get("num_queries", known[split]["num_samples"])
            documents += known[split].get("num_documents", 0)
    return items, documents or None


def _parts(metadata: TaskMetadata) -> list[AbsTask]:
    """The tasks that an aggregate (CQADupstackRetrieval) is made of; of any other task, none."""
    parts: list[AbsTask] = getattr(metadata, "tasks", [])
    return parts


def _metadata_of_parts(metadata: TaskMetadata) -> list[TaskMetadata]:
    return [part.metadata for part in _parts(metadata)] or [metadata]


def _encoder(model: SentenceTransformer, name: str, revision: str) -> SentenceTransformerEncoderWrapper:
    """A model as mteb sees it, under our name and revision.

    mteb files results by both; what else a model's vectors depend on goes into its "experiment", which
    names a folder below.
    """
    from mteb.models import SentenceTransformerEncoderWrapper

    settings: dict[str, str | int | float | None] = {
        "dtype": str(model.dtype).removeprefix("torch."),
        "max_seq_length": model.max_seq_length,
    }
    prompts = {key: prompt for key, prompt in model.prompts.items() if prompt}
    if prompts:
        said = json.dumps([prompts, model.default_prompt_name], sort_keys=True)
        settings["prompts"] = hashlib.sha256(said.encode()).hexdigest()[:8]
    encoder = SentenceTransformerEncoderWrapper(model)
    encoder.mteb_model_meta = encoder.mteb_model_meta.model_copy(
        # A colon cannot be in the name of a folder on every system.
        update={"name": name, "revision": revision.replace(":", "-"), "experiment_kwargs": settings}
    )
    return encoder


def _task_classes(names: Iterable[str]) -> list[type[AbsTask]]:
    """Look tasks up by name.

    Raises:
        MissingExtraError: mteb is not installed.
        EvaluationError: there is no such task, or it is not about text.
    """
    mteb = _import_mteb()
    from mteb.get_tasks import TASK_LIST

    known = {task.metadata.name: task for task in TASK_LIST}
    found = []
    for name in dict.fromkeys(names):
        if name not in known:
            if any(name == benchmark.name for benchmark in mteb.get_benchmarks()):
                raise EvaluationError(
                    f"evaluation.mteb: {name!r} is a whole benchmark; name those of its tasks that you want"
                )
            nearest = difflib.get_close_matches(name, known, n=3)
            did_you_mean = f"; did you mean {' or '.join(nearest)}?" if nearest else ""
            raise EvaluationError(f"evaluation.mteb: mteb has no task {name!r}{did_you_mean}")
        modalities = known[name].metadata.modalities
        if modalities != ["text"]:
            raise EvaluationError(
                f"evaluation.mteb: the task {name!r} is of {' and '.join(sorted(modalities))}, and only "
                "tasks of text can be measured; take it out"
            )
        found.append(known[name])
    return found


def _import_mteb() -> ModuleType:
    """Import mteb without leaving traces: it makes a folder in the user's home and seeds random generators.

    Raises:
        MissingExtraError: it is not installed.
    """
    before = os.environ.get("MTEB_CACHE")
    with tempfile.TemporaryDirectory() as elsewhere, _random_states_kept():
        os.environ["MTEB_CACHE"] = elsewhere
        try:
            import mteb
        except ModuleNotFoundError as error:
            if error.name != "mteb":
                raise
            raise MissingExtraError("mteb", "Running MTEB tasks") from None
        finally:
            del os.environ["MTEB_CACHE"]
            if before is not None:
                os.environ["MTEB_CACHE"] = before
        default = inspect.signature(mteb.evaluate).parameters["cache"].default
        if isinstance(default, mteb.ResultCache) and default.cache_path == Path(elsewhere):
            default.cache_path = default.default_cache_path
    return mteb


@contextmanager
def _random_states_kept() -> Iterator[None]:
    """Give random generators their states back: mteb seeds them for each task, also in a running training."""
    python, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)


@contextmanager
def _warnings_of_mteb_ignored() -> Iterator[None]:
    """Ignore the warnings of mteb: whatever it warns of it also logs."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"mteb\.")
        # Said where the model is wrapped, so it has our module's name.
        warnings.filterwarnings("ignore", message="SentenceTransformers that use prompts most often need")
        yield
