"""What travels: the files of a folder that a model needs, and what stays behind and why.

The rule is an allow-list. A file travels when it is

- at the top of the folder or in a module folder (one that modules.json names) and is a configuration, a
  tokenizer file or weights as safetensors;
- the card, a licence, report.json, recipe.yaml, figures/*.png or .eval_results/*.yaml;
- an export in onnx/ or openvino/.

The same rule read backwards says which files of a repository a push may delete: see `is_replaceable`.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Literal, NamedTuple

from hubdistill.errors import PublishError
from hubdistill.private_text import redact

Role = Literal["config", "tokenizer", "weights", "card", "licence", "facts", "figure", "export"]

CARD = "README.md"
MODULES = "modules.json"

_MODEL_FILES: tuple[tuple[Role, tuple[str, ...]], ...] = (
    ("weights", ("*.safetensors", "*.safetensors.index.json")),
    (
        "tokenizer",
        (
            "tokenizer.json",
            "tokenizer_config.json",
            "whitespacetokenizer_config.json",
            "special_tokens_map.json",
            "added_tokens.json",
            "vocab.txt",
            "vocab.json",
            "merges.txt",
            "*.model",
            "chat_template.jinja",
        ),
    ),
    (
        "config",
        (
            MODULES,
            "config*.json",
            "sentence_*_config.json",
            "router_config.json",
            "wordembedding_config.json",
            "adapter_config.json",
            "generation_config.json",
            "*processor_config.json",
        ),
    ),
)
_TOP_FILES: tuple[tuple[Role, tuple[str, ...]], ...] = (
    ("card", (CARD,)),
    (
        "licence",
        tuple(
            f"{name}{suffix}"
            for name in ("LICENSE", "LICENCE", "NOTICE")
            for suffix in ("", ".md", ".txt", ".rst")
        ),
    ),
    ("facts", ("report.json", "recipe.yaml")),
)
_FOLDERS: tuple[tuple[str, Role, tuple[str, ...]], ...] = (
    ("figures", "figure", ("*.png",)),
    (".eval_results", "facts", ("*.yaml",)),
    ("onnx", "export", ("*.onnx", "*.onnx_data", "*.onnx.data", "*.json")),
    ("openvino", "export", ("*.xml", "*.bin", "*.json")),
)
# sentence-transformers numbers module folders in order (`1_Pooling`); the numbering tells the module
# folders of an earlier version of the model, which the new modules.json no longer names.
_NUMBERED_MODULE = re.compile(r"\d+_[A-Z]\w*/")

# Weights of earlier pushes in another format, and what the Trainer leaves in a repository that it pushed
# to itself. These never travel, so they are deletable only; training_args.bin holds the Hub token.
TRAINING_ARGUMENTS = "training_args.bin"
_LEFTOVERS = (
    "pytorch_model.bin",
    "pytorch_model-*-of-*.bin",
    "pytorch_model.bin.index.json",
    TRAINING_ARGUMENTS,
)

_PICKLE = (
    "a pickle can run code when it is loaded; save the weights as safetensors (model.save_pretrained does)"
)
_TRAINING_STATE = "state of the training run, not part of the model"
_REASONS: tuple[tuple[str, str], ...] = (
    (TRAINING_ARGUMENTS, "the Trainer's arguments, which hold the Hub token in plain text"),
    ("optimizer.*", _TRAINING_STATE),
    ("scheduler.*", _TRAINING_STATE),
    ("scaler.*", _TRAINING_STATE),
    ("rng_state*", _TRAINING_STATE),
    ("trainer_state.json", _TRAINING_STATE),
    ("checkpoint-*/", "a checkpoint of the training run"),
    ("__pycache__/", "a cache"),
    (".cache/", "a cache"),
    (".git/", "a git repository of its own"),
    (".gitattributes", "the Hub keeps its own"),
    (".env*", "environment files hold secrets"),
    (".*", "a hidden file"),
    *((f"*.{suffix}", _PICKLE) for suffix in ("bin", "pt", "pth", "pkl", "pickle", "ckpt", "joblib")),
    ("*.log", "a log"),
    ("events.out.tfevents.*", "a log"),
    ("runs/", "logs of the training run"),
    ("logs/", "logs of the training run"),
    ("wandb/", "logs of the training run"),
    ("*.py", "code; the models published here load without code of their own"),
)
_OTHER = "not part of a model; `hf upload` can add it"


class LeftOut(NamedTuple):
    """A file (or a whole folder, with a slash at the end) that does not travel."""

    path: str
    why: str


@dataclass(frozen=True)
class Selection:
    """What of a folder travels.

    Args:
        files: path in the repository -> file on disk, sorted by path.
        left_out: what stays behind, and why.
        present: all paths of the folder that a copy on the Hub may stand for.
        module_folders: folders that modules.json names.
    """

    files: dict[str, Path]
    left_out: tuple[LeftOut, ...]
    present: frozenset[str]
    module_folders: frozenset[str]


def role_of(path: str, module_folders: Iterable[str] = ()) -> Role | None:
    """Say what a file is to a model, by its path in the repository; None when it does not travel."""
    folder, _, name = path.rpartition("/")
    in_module = any(folder == module or folder.startswith(f"{module}/") for module in module_folders)
    if folder == "" or in_module:
        for role, patterns in (*_MODEL_FILES, *(_TOP_FILES if folder == "" else ())):
            if any(fnmatchcase(name, pattern) for pattern in patterns) and not name.startswith("."):
                return role
    for known, role, patterns in _FOLDERS:
        if folder == known and any(fnmatchcase(name, pattern) for pattern in patterns):
            return role
    return None


def is_replaceable(path: str, module_folders: Iterable[str] = ()) -> bool:
    """Whether a push may delete this file of the repository when the local folder no longer has it.

    Only what sentence-transformers or hubdistill wrote for an earlier version of the same model: weights,
    configurations and tokenizer files at the top and in module folders, figures, report.json,
    recipe.yaml and our own evaluation results, and the Trainer's leftovers. Never the card, a licence,
    .gitattributes, evaluation results of others, exports, or anything else.
    """
    numbered = _NUMBERED_MODULE.match(path)
    folders = [*module_folders, numbered[0].rstrip("/")] if numbered else module_folders
    ours = path in ("report.json", "recipe.yaml") or fnmatchcase(path, ".eval_results/hubdistill-*.yaml")
    if ours or any(fnmatchcase(path, pattern) for pattern in _LEFTOVERS):
        return True
    return role_of(path, folders) in ("config", "tokenizer", "weights", "figure")


def select(folder: Path, *, include: Sequence[str] = (), exclude: Sequence[str] = ()) -> Selection:
    """Choose what of a model folder travels.

    Args:
        folder: a model saved by sentence-transformers, with its card.
        include: glob patterns as of `hf upload`; only what matches one of them travels.
        exclude: glob patterns; what matches one of them stays behind.

    Raises:
        PublishError: the folder is not a complete model: no modules.json, no weights or no card.
    """
    if not folder.is_dir():
        raise PublishError(f"no such folder: {folder}; give the folder that the model was saved to")
    module_folders = read_module_folders(folder)
    files: dict[str, Path] = {}
    left_out: list[LeftOut] = []
    for path, file in _walk(folder, module_folders, left_out):
        role = role_of(path, module_folders)
        if role is None or (role == "export" and _is_stray_bin(file)):
            left_out.append(LeftOut(path, _why(path)))
        elif file.is_symlink() and not file.resolve().is_relative_to(folder.resolve()):
            left_out.append(LeftOut(path, "a link that leads out of the folder; copy the file itself in"))
        elif not file.is_file():
            left_out.append(LeftOut(path, "not a regular file"))
        else:
            files[path] = file
    _refuse_incomplete(folder, files, module_folders, left_out)
    chosen = {path: file for path, file in files.items() if is_chosen(path, include, exclude)}
    left_out += [LeftOut(path, "left out by --include/--exclude") for path in files if path not in chosen]
    if not chosen:
        raise PublishError(f"--include/--exclude leave nothing of {folder} to push")
    present = frozenset((*files, *(path for path, _ in left_out))) - {TRAINING_ARGUMENTS}
    named = tuple(sorted(LeftOut(redact(path), why) for path, why in left_out))
    return Selection(dict(sorted(chosen.items())), named, present, module_folders)


def is_chosen(path: str, include: Sequence[str], exclude: Sequence[str]) -> bool:
    """Whether a path passes --include and --exclude. A pattern that ends in a slash means the folder."""

    def matches(pattern: str) -> bool:
        return fnmatchcase(path, f"{pattern}*" if pattern.endswith("/") else pattern)

    return (not include or any(map(matches, include))) and not any(map(matches, exclude))


def read_module_folders(folder: Path) -> frozenset[str]:
    """Read which folders modules.json names.

    Raises:
        PublishError: there is no modules.json, or it is not one.
    """
    try:
        modules = json.loads((folder / MODULES).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PublishError(
            f"{folder} has no {MODULES}, so it is not a sentence-transformers model; "
            "give the folder that model.save_pretrained wrote"
        ) from None
    except (OSError, ValueError) as error:
        raise PublishError(f"cannot read {folder / MODULES}: {error}") from error
    if not isinstance(modules, list) or not all(
        isinstance(m, dict) and isinstance(m.get("path"), str) for m in modules
    ):
        raise PublishError(f"{folder / MODULES} is not a list of modules with a path each")
    paths = frozenset(PurePosixPath(module["path"]).as_posix() for module in modules) - {"."}
    for path in paths:
        if (
            PurePosixPath(path).is_absolute()
            or ".." in PurePosixPath(path).parts
            or "\\" in path
            or ":" in path
        ):
            raise PublishError(
                f"{folder / MODULES} names the folder {path!r}; module folders are relative, inside {folder}"
            )
    # A Router keeps the modules of its routes in folders of its own, at the top.
    try:
        router = json.loads((folder / "router_config.json").read_text(encoding="utf-8"))
        paths |= {name for name in router.get("types", {}) if re.fullmatch(r"[\w-]+", name)}
    except (OSError, ValueError):
        pass
    return paths


def _walk(
    folder: Path, module_folders: frozenset[str], left_out: list[LeftOut]
) -> Iterator[tuple[str, Path]]:
    """Yield (path in the repository, file) below a folder; folders that cannot travel are left out whole."""
    known = {PurePosixPath(path).parts[0] for path in module_folders} | {name for name, _, _ in _FOLDERS}
    for root, directories, names in os.walk(folder):
        here = Path(root).relative_to(folder).as_posix()
        for name in sorted(directories):
            path = name if here == "." else f"{here}/{name}"
            if (Path(root) / name).is_symlink():
                why = "a link to a folder; copy the folder itself in"
            elif (here == "." and name not in known) or (name.startswith((".", "__")) and name not in known):
                why = _why(f"{path}/")
            else:
                continue
            left_out.append(LeftOut(f"{path}/", why))
            directories.remove(name)
        for name in sorted(names):
            yield (name if here == "." else f"{here}/{name}"), Path(root) / name


def _why(path: str) -> str:
    name = f"{PurePosixPath(path).name}{'/' if path.endswith('/') else ''}"
    return next((why for pattern, why in _REASONS if fnmatchcase(name, pattern)), _OTHER)


def _is_stray_bin(file: Path) -> bool:
    """OpenVINO weights are a .bin beside an .xml; any other .bin may be a pickle."""
    return file.suffix == ".bin" and not file.with_suffix(".xml").is_file()


def _refuse_incomplete(
    folder: Path, files: dict[str, Path], module_folders: frozenset[str], left_out: list[LeftOut]
) -> None:
    if MODULES not in files:
        raise PublishError(f"{folder / MODULES} cannot travel: {dict(left_out)[MODULES]}")
    if not any(role_of(path, module_folders) == "weights" for path in files):
        pickles = [path for path, why in left_out if why == _PICKLE]
        found = f"; found {', '.join(pickles)}: {_PICKLE}" if pickles else "; save the model there first"
        raise PublishError(f"{folder} has no weights (*.safetensors){found}")
    if CARD not in files:
        raise PublishError(f"{folder} has no {CARD}; write the card with: hubdistill card {folder}")
