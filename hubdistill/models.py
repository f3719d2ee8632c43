"""Models on disk and on the Hub: finding them, what can be said of them, and loading them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
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

from hubdistill.errors import TeacherError
from hubdistill.front_matter import split_front_matter
from hubdistill.model_files import folder_digests


@dataclass(frozen=True)
class Located:
    """A model that was found, in a local folder or on the Hub, and what can be said of it unloaded."""

    model: str
    """What sentence-transformers loads: the folder, or the Hub id."""
    commit: str | None
    """On the Hub; None for a local folder."""
    folder: Path
    """Where its files are: the local folder, or the Hub's snapshot in the cache."""
    name: str
    """The Hub id, or the last part of a local folder's name."""
    revision: str
    """Commit on the Hub, or `sha256:` of a local folder's weights."""
    content: str
    """What the vectors depend on: the commit, or a digest of all the folder's files."""
    hub_id: str | None
    license: str | None
    """As its card declares it; so are the languages."""
    languages: tuple[str, ...]


def locate(
    model: str,
    *,
    base: Path = Path(),
    revision: str | None = None,
    hub_id: str | None = None,
    field: str | None = None,
    encoder: bool = False,
) -> Located:
    """Find a model in a local folder or on the Hub.

    Args:
        model: a folder or a Hub id.
        base: the folder that a relative path starts from.
        revision: on the Hub: branch, tag or commit.
        hub_id: for a folder: the Hub id of the same model.
        field: where the recipe names the model (`teacher`), for messages.
        encoder: also take a plain encoder, which says nothing about pooling.

    Raises:
        TeacherError: it cannot be found or reached, or is not a sentence-transformers model.
    """
    needed = ("modules.json", "config.json") if encoder else ("modules.json",)
    folder = base / Path(model).expanduser()
    if folder.is_file():
        raise TeacherError(f"{folder} is a file; {_named(field)} names a folder or a Hub id")
    if folder.is_dir():
        if not any((folder / name).is_file() for name in needed):
            raise TeacherError(f"{folder} {_not_ours(needed)}")
        weights, content = folder_digests(folder)
        declared = _front_matter(folder / "README.md")
        name = hub_id or folder.resolve().name
        return Located(str(folder), None, folder, name, weights, content, hub_id, **_said(declared))
    snapshot = _snapshot(model, revision, folder, needed, field)
    commit = snapshot.name
    declared = _front_matter(hub_file(model, "README.md", commit))
    return Located(model, commit, snapshot, model, commit, commit, model, **_said(declared))


def load_model(
    found: Located,
    *,
    device: str | None = None,
    dtype: str | None = None,
    trust_remote_code: bool = False,
    field: str | None = None,
) -> SentenceTransformer:
    """Load a model, ready to embed.

    Args:
        found: which model.
        device: where to put it; the best one there is when None.
        dtype: `float32` or `bfloat16`; when None as it was saved, but never float16 on a CPU.
        trust_remote_code: run the model's own Python code.
        field: as for `locate`.

    Raises:
        TeacherError: it cannot be loaded, or the device cannot be used.
    """
    check_device(device)
    try:
        model = SentenceTransformer(
            found.model,
            revision=found.commit,
            device=device,
            trust_remote_code=trust_remote_code,
            # A folder has all its files, but for code that it may name on the Hub.
            local_files_only=found.commit is None and not trust_remote_code,
            model_kwargs={"dtype": dtype} if dtype else None,
        )
    except Exception as error:  # A model folder can be wrong in as many ways as there are loaders.
        remedy = ""
        if "trust_remote_code" in str(error) and field and field.startswith("students"):
            remedy = "; it brings its own code, and a student must load without any: choose another model"
        elif "trust_remote_code" in str(error) and not trust_remote_code:
            how = f"set {field}.trust_remote_code: true" if field else "add --trust-remote-code"
            remedy = f"; it brings its own code: read it, then {how}"
        raise TeacherError(f"{_who(field)} {found.name!r} cannot be loaded: {error}{remedy}") from error
    if dtype is None and model.device.type == "cpu" and model.dtype == torch.float16:
        model = model.float()
    return model.eval()


def hub_file(name: str, file: str, commit: str) -> Path | None:
    """A file of a Hub model, where it has it and can be reached."""
    try:
        return Path(hf_hub_download(name, file, revision=commit))
    except (EntryNotFoundError, HfHubHTTPError, OfflineModeIsEnabled, OSError):
        return None


def check_device(device: str | None) -> None:
    """Tell a wrong --device from a wrong teacher."""
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0]
        raise TeacherError(
            f"the device {device!r} cannot be used: {reason}; name another, or none for the fastest"
        ) from error


def _who(field: str | None) -> str:
    return "the teacher" if field == "teacher" else "the model"


def _named(field: str | None, what: str = "model") -> str:
    """Where a model is named, for messages."""
    return f"{field}.{what}" if field else f"its {'name' if what == 'model' else what}"


def _said(declared: dict[str, Any]) -> dict[str, Any]:
    """Licence and languages of a card's metadata."""
    licence, languages = declared.get("license"), declared.get("language") or []
    return {
        "license": licence if isinstance(licence, str) else None,
        "languages": tuple([languages] if isinstance(languages, str) else languages),
    }


def _not_ours(needed: tuple[str, ...]) -> str:
    if len(needed) > 1:
        return f"has neither {' nor '.join(needed)}, so it is not a model that can be loaded"
    return (
        "has no modules.json, so it is not a sentence-transformers model and its pooling is unknown; "
        "load it with SentenceTransformer(modules=[...]), save it to a folder, and name that folder"
    )


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


def _snapshot(
    name: str, revision: str | None, folder: Path, needed: tuple[str, ...], field: str | None
) -> Path:
    """The folder of a Hub model in the local cache; its name is the commit."""
    who = _who(field)
    try:
        found = _first_file(name, needed, revision)
    except GatedRepoError as error:
        raise TeacherError(
            f"{who} {name!r} is gated: ask for access on its page, then run `hf auth login`"
        ) from error
    except RepositoryNotFoundError as error:
        raise TeacherError(
            f"there is no model {name!r} on the Hub (nor a folder {folder}); check {_named(field)}, "
            "or run `hf auth login` if it is private"
        ) from error
    except RevisionNotFoundError as error:
        raise TeacherError(
            f"{name!r} has no revision {revision!r}; check {_named(field, 'revision')}"
        ) from error
    except (LocalEntryNotFoundError, OfflineModeIsEnabled) as error:
        raise TeacherError(
            f"{who} {name!r} is neither in the local cache nor a folder ({folder}), and "
            f"the Hub cannot be reached; connect, or name a folder in {_named(field)}"
        ) from error
    except EntryNotFoundError as error:
        raise TeacherError(f"{name} {_not_ours(needed)}") from error
    except HFValidationError as error:
        raise TeacherError(
            f"there is no folder {folder}, and {name!r} is no Hub id; check {_named(field)}"
        ) from error
    except (HfHubHTTPError, OSError) as error:
        raise TeacherError(f"{who} {name!r} cannot be fetched: {error}") from error
    # The Hub's cache keeps files under snapshots/<commit>/.
    return found.parent


def _front_matter(readme: Path | None) -> dict[str, Any]:
    """The metadata at the top of a card; empty when there is none."""
    if readme is None or not readme.is_file():
        return {}
    text, _ = split_front_matter(readme.read_text("utf-8", "replace"))
    try:
        # BaseLoader leaves every value a string: the language `no` is Norwegian, not false.
        found = yaml.load(text, yaml.BaseLoader)
    except (yaml.YAMLError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
