"""A model's files on disk: what they weigh, and the digests by which models are told apart."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from hubdistill.errors import TeacherError

_WEIGHTS = ("*.safetensors", "pytorch_model*.bin")
_SIDE_FOLDERS = ("onnx", "openvino", "figures")
_MODEL_FILES = (".safetensors", ".json", ".txt", ".model", ".py", ".bin", ".pt", ".jinja")
_OTHER_FILES = (
    "report.json",
    "training_args.bin",
    "optimizer.pt",
    "scheduler.pt",
    "scaler.pt",
    "trainer_state.json",
)


def model_bytes(folder: Path) -> int:
    """Bytes of the files that `SentenceTransformer(folder)` can need.

    Weights are counted once: as safetensors where there are any. Cards, figures, reports, checkpoints,
    exports and what a trainer leaves behind are not counted.
    """
    files = list(_model_files(folder))
    in_safetensors = {path.parent for path in files if path.suffix == ".safetensors"}
    return sum(
        path.stat().st_size for path in files if not (path.suffix == ".bin" and path.parent in in_safetensors)
    )


def weight_files(folder: Path) -> list[Path]:
    """The files that hold a model's weights, sorted; a training run's checkpoints are not the model.

    Raises:
        TeacherError: there are none.
    """
    weights = [path for path in all_files(folder) if any(map(path.match, _WEIGHTS))]
    if not weights:
        raise TeacherError(f"{folder} holds no weights ({' or '.join(_WEIGHTS)}); it is not a whole model")
    return weights


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def weights_digest(sums: Sequence[str]) -> str:
    """`sha256:` of weights, by the SHA-256 of each of their files, in the order of their paths."""
    # One file: its own checksum, which can be compared with the one that the Hub shows.
    whole = sums[0] if len(sums) == 1 else hashlib.sha256("\n".join(sums).encode()).hexdigest()
    return f"sha256:{whole}"


def folder_digests(folder: Path) -> tuple[str, str]:
    """`sha256:` of a folder's weights, and a digest of all that its vectors can depend on.

    Raises:
        TeacherError: there are no weights.
    """
    weights = weight_files(folder)
    sums = {path: sha256_of(path) for path in sorted({*weights, *_model_files(folder)})}
    of_weights = [sums[path] for path in weights]
    lines = "".join(f"{path.relative_to(folder).as_posix()} {digest}\n" for path, digest in sums.items())
    return weights_digest(of_weights), hashlib.sha256(lines.encode()).hexdigest()


def _model_files(folder: Path) -> Iterator[Path]:
    for path in all_files(folder):
        aside = any(part in _SIDE_FOLDERS for part in path.relative_to(folder).parts[:-1])
        if not aside and path.suffix in _MODEL_FILES and path.name not in _OTHER_FILES:
            yield path


def all_files(folder: Path) -> Iterator[Path]:
    """All files, sorted, but hidden ones, those of checkpoints, and those of other models below."""
    modules = set(module_folders(folder))
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        aside = path.name.startswith(".") or any(part.startswith((".", "checkpoint-")) for part in parts[:-1])
        if path.is_file() and not aside and not _of_other_model(path, folder, modules):
            yield path


def module_folders(folder: Path) -> list[Path]:
    """The folders below that modules.json names; none where it cannot be read."""
    try:
        modules = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return []
    names = [one.get("path") for one in modules if isinstance(one, dict)] if isinstance(modules, list) else []
    return [folder / str(name) for name in names if is_inside(name)]


def is_inside(name: object) -> bool:
    """Whether a stranger's name stays below its folder."""
    return isinstance(name, str) and not name.startswith("/") and ".." not in name.split("/")


def _of_other_model(path: Path, folder: Path, modules: Collection[Path]) -> bool:
    """Whether a folder in between is a whole model of its own, and no module of this one."""
    between = [folder / one for one in path.relative_to(folder).parents[:-1]]
    return any((one / "modules.json").is_file() and one not in modules for one in between)
