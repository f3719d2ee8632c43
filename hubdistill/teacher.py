"""The teacher: loading it, and having it embed a corpus once."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from accelerate import PartialState
from httpx2 import ConnectError, TimeoutException
from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize

from hubdistill import progress, recipe
from hubdistill.corpus import LabelColumn
from hubdistill.embedding_cache import CachedRows, CacheKey, EmbeddingCache
from hubdistill.encoding import encode, working_precision
from hubdistill.errors import TeacherError
from hubdistill.text_table import Hashes, TextTable

_WEIGHTS = ("*.safetensors", "pytorch_model*.bin")


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
    return PartialState(cpu=several and not torch.accelerator.is_available())


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
    _check_device(device)
    who = "the teacher" if field == "teacher" else "the model"
    needed = ("modules.json",) if field == "teacher" else ("modules.json", "config.json")
    folder = base / Path(settings.model).expanduser()
    local = folder.is_dir()
    if folder.is_file():
        raise TeacherError(f"{folder} is a file; {field}.model names a folder or a Hub id")
    if local:
        if not any((folder / name).is_file() for name in needed):
            raise TeacherError(f"{folder} {_not_ours(needed)}")
        location, commit = str(folder), None
        weights, content = _digests(folder)
        readme: Path | None = folder / "README.md"
    else:
        snapshot = _snapshot(settings, folder, needed, who, field)
        location, commit = settings.model, snapshot.name
        weights = content = commit
        readme = _hub_readme(settings.model, commit)
    state = processes()
    if device is None and state.num_processes > 1:
        device = str(state.device)
    try:
        model = SentenceTransformer(
            location,
            revision=commit,
            device=device,
            trust_remote_code=settings.trust_remote_code,
            model_kwargs={"dtype": "bfloat16" if settings.dtype == "bfloat16" else "float32"},
        )
    except Exception as error:  # A model folder can be wrong in as many ways as there are loaders.
        remedy = ""
        if "trust_remote_code" in str(error) and field != "teacher":
            remedy = "; it brings its own code, and a student must load without any: choose another model"
        elif "trust_remote_code" in str(error) and not settings.trust_remote_code:
            remedy = "; it brings its own code: read it, then set teacher.trust_remote_code: true"
        raise TeacherError(f"{who} {settings.model!r} cannot be loaded: {error}{remedy}") from error
    if settings.max_length:
        _set_max_length(model, settings)
    limit = model.max_seq_length
    declared = _front_matter(readme)
    languages = declared.get("language") or []
    return Teacher(
        model=model.eval(),
        folder=folder if local else snapshot,
        name=(settings.hub_id or folder.resolve().name) if local else settings.model,
        revision=weights,
        content=content,
        settings=settings,
        max_length=None if limit is None or math.isinf(limit) else int(limit),
        prompt=model._resolve_prompt(settings.prompt, None) or None,
        license=declared.get("license"),
        languages=tuple([languages] if isinstance(languages, str) else languages),
        base_model_id=settings.hub_id if local else settings.model,
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


def _not_ours(needed: tuple[str, ...]) -> str:
    if len(needed) > 1:
        return f"has neither {' nor '.join(needed)}, so it is not a model that can be loaded"
    return (
        "has no modules.json, so it is not a sentence-transformers model and its pooling is unknown; "
        "load it with SentenceTransformer(modules=[...]), save it to a folder, and name that folder"
    )


def _check_device(device: str | None) -> None:
    """Tell a wrong --device from a wrong teacher."""
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0]
        raise TeacherError(
            f"the device {device!r} cannot be used: {reason}; name another, or none for the fastest"
        ) from error


def _cached_file(name: str, file: str, revision: str | None) -> Path:
    """A file of a Hub model, from the local cache where the Hub cannot be reached.

    The Hub is asked before the download, which would go on trying an unreachable one for half a minute.
    """
    try:
        get_hf_file_metadata(hf_hub_url(name, file, revision=revision))
    except (ConnectError, TimeoutException, OfflineModeIsEnabled):
        return Path(hf_hub_download(name, file, revision=revision, local_files_only=True))
    except HfHubHTTPError:
        pass  # The download tells the reasons apart, and knows what is in the cache.
    return Path(hf_hub_download(name, file, revision=revision))


def _first_file(name: str, files: tuple[str, ...], revision: str | None) -> Path:
    """The first of some files that a Hub model has."""
    for file in files[:-1]:
        try:
            return _cached_file(name, file, revision)
        except EntryNotFoundError:  # Also what is not in the cache of a machine without a network.
            continue
    return _cached_file(name, files[-1], revision)


def _snapshot(settings: recipe.Teacher, folder: Path, needed: tuple[str, ...], who: str, field: str) -> Path:
    """The folder of a Hub model in the local cache; its name is the commit."""
    name = settings.model
    try:
        found = _first_file(name, needed, settings.revision)
    except GatedRepoError as error:
        raise TeacherError(
            f"{who} {name!r} is gated: ask for access on its page, then run `hf auth login`"
        ) from error
    except RepositoryNotFoundError as error:
        raise TeacherError(
            f"there is no model {name!r} on the Hub (nor a folder {folder}); check {field}.model, "
            "or run `hf auth login` if it is private"
        ) from error
    except RevisionNotFoundError as error:
        raise TeacherError(
            f"{name!r} has no revision {settings.revision!r}; check {field}.revision"
        ) from error
    except (LocalEntryNotFoundError, OfflineModeIsEnabled) as error:
        raise TeacherError(
            f"{who} {name!r} is neither in the local cache nor a folder ({folder}), and "
            f"the Hub cannot be reached; connect, or name a folder in {field}.model"
        ) from error
    except EntryNotFoundError as error:
        raise TeacherError(f"{name} {_not_ours(needed)}") from error
    except HFValidationError as error:
        raise TeacherError(
            f"there is no folder {folder}, and {name!r} is no Hub id; check {field}.model"
        ) from error
    except (HfHubHTTPError, OSError) as error:
        raise TeacherError(f"{who} {name!r} cannot be fetched: {error}") from error
    # The Hub's cache keeps files under snapshots/<commit>/.
    return found.parent


def _hub_readme(name: str, commit: str) -> Path | None:
    try:
        return Path(hf_hub_download(name, "README.md", revision=commit))
    except (EntryNotFoundError, HfHubHTTPError, OfflineModeIsEnabled, OSError):
        return None


def _front_matter(readme: Path | None) -> dict[str, Any]:
    """The metadata at the top of a card; empty when there is none."""
    if readme is None or not readme.is_file():
        return {}
    block = re.match(r"\ufeff?---\s*\n(.*?)\n---\s*(\n|$)", readme.read_text("utf-8", "replace"), re.DOTALL)
    try:
        # BaseLoader leaves every value a string: the language `no` is Norwegian, not false.
        found = yaml.load(block[1], yaml.BaseLoader) if block else {}
    except yaml.YAMLError:
        return {}
    return found if isinstance(found, dict) else {}


def weights_digest(folder: Path) -> str:
    """`sha256:` of a model folder's weights; of a single file, the checksum that the Hub shows."""
    return _digests(folder)[0]


def _digests(folder: Path) -> tuple[str, str]:
    """`sha256:` of a folder's weights, and a digest of all that its vectors can depend on."""
    weights = {path for pattern in _WEIGHTS for path in folder.rglob(pattern)}
    if not weights:
        raise TeacherError(f"{folder} holds no weights ({' or '.join(_WEIGHTS)}); it is not a whole model")
    parts = [
        path for path in folder.rglob("*") if path.is_file() and path.suffix in (".json", ".txt", ".model")
    ]
    sums = {path: _sha256(path) for path in sorted(weights | set(parts))}
    of_weights = [sums[path] for path in sorted(weights)]
    # One file: its own checksum, which can be compared with the one that the Hub shows.
    whole = (
        of_weights[0] if len(of_weights) == 1 else hashlib.sha256("\n".join(of_weights).encode()).hexdigest()
    )
    lines = "".join(f"{path.relative_to(folder).as_posix()} {digest}\n" for path, digest in sums.items())
    return f"sha256:{whole}", hashlib.sha256(lines.encode()).hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _set_max_length(model: SentenceTransformer, settings: recipe.Teacher) -> None:
    positions = getattr(model.config, "max_position_embeddings", None) if model.config else None
    if positions and positions > 0 and settings.max_length and settings.max_length > positions:
        raise TeacherError(
            f"teacher.max_length is {settings.max_length}, {settings.model} has {positions} positions"
        )
    model.max_seq_length = settings.max_length
