"""The teacher: loading it, and having it embed a corpus once."""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize

from hubdistill import progress, recipe
from hubdistill.corpus import LabelColumn
from hubdistill.embedding_cache import CachedRows, CacheKey, EmbeddingCache
from hubdistill.encoding import encode, working_precision
from hubdistill.errors import TeacherError
from hubdistill.models import check_device, load_model, locate
from hubdistill.text_table import Hashes, TextTable


@dataclass(frozen=True, eq=False)
class Teacher:
    """A loaded teacher and what is known about it."""

    model: SentenceTransformer
    folder: Path
    """Where its files are: the local folder, or the Hub's snapshot in the cache."""
    name: str
    """The Hub id, or the last part of a local folder's name."""
    revision: str
    """Commit on the Hub, or `sha256:` of a local folder's weights."""
    content: str
    """What the vectors depend on: the commit, or a digest of all the folder's files."""
    settings: recipe.Teacher
    max_length: int | None
    """In tokens; None when texts are never truncated."""
    prompt: str | None
    """Put before every text."""
    license: str | None
    """As its card declares it; so are the languages."""
    languages: tuple[str, ...]
    base_model_id: str | None
    """Hub id for a card's `base_model`; None for a folder that nobody gave one."""

    def cache_key(self, labels: LabelColumn | None = None) -> CacheKey:
        """The key of this teacher's vectors in the embedding cache."""
        after_encoder: list[Any] = [
            [type(module).__name__, getattr(module, "get_config_dict", dict)()]
            for module in list(self.model.children())[1:]
        ]
        return CacheKey(
            teacher=self.name,
            revision=self.content,
            prompt=self.prompt,
            max_length=self.max_length,
            pooling=json.dumps(after_encoder, sort_keys=True, default=str),
            normalize=any(isinstance(module, Normalize) for module in self.model.children()),
            dtype=working_precision(self.model, self.settings.dtype),
            labels=labels.digest if labels else None,
        )


def processes() -> PartialState:
    """The processes of this run: one, unless `accelerate launch` or `torchrun` started several."""
    several = int(os.environ.get("WORLD_SIZE", "1")) > 1
    # Without an accelerator, accelerate must be told that several processes on CPUs are meant.
    cpu = several and not torch.accelerator.is_available()
    # One process reads the corpus while the others wait, which may take longer than torch's ten minutes.
    return PartialState(cpu=cpu, timeout=timedelta(days=1)) if several else PartialState()


def load_teacher(
    settings: recipe.Teacher, *, base: Path, device: str | None = None, field: str = "teacher"
) -> Teacher:
    """Load a teacher from a local folder or the Hub.

    Weights come in float32, the precision of reference, unless the recipe says bfloat16.

    Args:
        settings: the recipe's `teacher`.
        base: the folder that a relative path starts from.
        device: where to put the model; the best one there is when None.
        field: where the recipe has the settings. A model that is no teacher may be a plain encoder: it is
            to be trained, and gets mean pooling.

    Raises:
        TeacherError: it cannot be found, reached or loaded, or is not a sentence-transformers model.
    """
    check_device(device)
    found = locate(
        settings.model,
        base=base,
        revision=settings.revision,
        hub_id=settings.hub_id,
        field=field,
        encoder=field != "teacher",
    )
    state = processes()
    if device is None and state.num_processes > 1:
        device = str(state.device)
    model = load_model(
        found,
        device=device,
        dtype="bfloat16" if settings.dtype == "bfloat16" else "float32",
        trust_remote_code=settings.trust_remote_code,
        field=field,
    )
    if settings.max_length:
        check_max_length(model, settings.max_length, field=f"{field}.max_length")
        model.max_seq_length = settings.max_length
    if settings.prompt == "" and (default := model._resolve_prompt(None, None)):
        raise TeacherError(
            f"{field}.prompt is empty, but {found.name} puts {default!r} before every text by itself; leave "
            "out the prompt, or name a copy of the model that has no default_prompt_name"
        )
    limit = model.max_seq_length
    return Teacher(
        model=model,
        folder=found.folder,
        name=found.name,
        revision=found.revision,
        content=found.content,
        settings=settings,
        max_length=None if limit is None or math.isinf(limit) else int(limit),
        prompt=model._resolve_prompt(settings.prompt, None) or None,
        license=found.license,
        languages=found.languages,
        base_model_id=found.hub_id,
    )


def embed(
    teacher: Teacher, table: TextTable, cache_folder: Path, *, labels: LabelColumn | None = None
) -> CachedRows:
    """Have the teacher embed the texts that have no vector yet.

    Under `accelerate launch` or `torchrun` every process embeds its part, and all return together. An
    interrupted run keeps what it has; the next one goes on from there.

    Args:
        teacher: who embeds.
        table: the texts.
        cache_folder: the folder of the embedding cache.
        labels: vectors that came with the texts; those are not embedded.

    Returns:
        The vectors in the order of the table, float16, on disk.

    Raises:
        CacheError: the disk is full, or the teacher gave NaN or infinity.
        TeacherError: the labels have other dimensions than the teacher.
    """
    state = processes()
    key = teacher.cache_key(labels)
    hashes = table.hashes
    if state.is_main_process:
        cache = EmbeddingCache.open(cache_folder, key)
        cache.verify()
        if labels:
            _take_labels(teacher, labels, cache)
    state.wait_for_everyone()
    cache = EmbeddingCache.open(cache_folder, key)
    missing = cache.missing(hashes)
    mine = missing[hashes[missing, -1] % state.num_processes == state.process_index]
    if len(mine):
        cache.require_space(len(mine), teacher.model.get_embedding_dimension() or 0)
        _embed_missing(teacher, table, hashes, mine, cache, show=None if state.is_main_process else False)
    state.wait_for_everyone()
    cache.reload()
    return cache.view(hashes)


def _embed_missing(
    teacher: Teacher, table: TextTable, hashes: Hashes, mine: Any, cache: EmbeddingCache, *, show: bool | None
) -> None:
    batches = encode(
        teacher.model,
        table,
        mine,
        prompt=teacher.prompt,
        precision=teacher.settings.dtype,
        batch_tokens=teacher.settings.batch_tokens,
    )
    with progress.track(len(mine), f"Embedding with {teacher.name}", show=show) as advance:
        try:
            for batch in batches:
                cache.append(hashes[batch.positions], batch.vectors)
                advance(len(batch.positions))
        finally:
            # Also after Ctrl-C: what was computed is kept.
            batches.close()
            cache.flush()


def _take_labels(teacher: Teacher, labels: LabelColumn, cache: EmbeddingCache) -> None:
    if labels.dimension != (expected := teacher.model.get_embedding_dimension()):
        raise TeacherError(
            f"the corpus brings vectors of {labels.dimension} dimensions, {teacher.name} gives {expected}: "
            "they are not this teacher's; check `label` under corpus.sources"
        )
    absent = cache.missing(labels.hashes)
    for start in range(0, len(absent), 100_000):
        chosen = absent[start : start + 100_000]
        cache.append(labels.hashes[chosen], labels.vectors[chosen])
    cache.flush()


def check_max_length(model: SentenceTransformer, length: int, *, field: str) -> None:
    """Refuse to read more tokens than a model has positions for.

    Raises:
        TeacherError: the model has fewer.
    """
    positions = getattr(model.config, "max_position_embeddings", None) if model.config else None
    if positions and 0 < positions < length:
        raise TeacherError(f"{field} is {length}, but the model has {positions} positions")
