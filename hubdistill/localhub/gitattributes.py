"""Which files git keeps as large files, and which it ignores."""

from __future__ import annotations

import io
import re

from dulwich.attrs import compile_gitattributes_patterns, match_path, parse_git_attributes
from dulwich.ignore import IgnoreFilter, read_ignore_patterns

# A regular file is part of the commit request; the client relies on at most 5 MB.
REGULAR_MAX_BYTES = 5 * 1000 * 1000

_LARGE = "filter=lfs diff=lfs merge=lfs -text"

# What the Hub puts into a new repository.
_INITIAL_PATTERNS = """
    *.7z *.arrow *.bin *.bz2 *.ckpt *.ftz *.gz *.h5 *.joblib *.lfs.* *.mlmodel *.model *.msgpack *.npy *.npz
    *.onnx *.ot *.parquet *.pb *.pickle *.pkl *.pt *.pth *.rar *.safetensors saved_model/**/* *.tar.* *.tar
    *.tflite *.tgz *.wasm *.xz *.zip *.zst *tfevents*
"""
INITIAL_GITATTRIBUTES = "".join(f"{pattern} {_LARGE}\n" for pattern in _INITIAL_PATTERNS.split())


def is_large(gitattributes: str, path: str) -> bool:
    """Whether .gitattributes sends the file to git-lfs."""
    entries = parse_git_attributes(io.BytesIO(gitattributes.encode()))
    return match_path(compile_gitattributes_patterns(entries), path.encode()).get(b"filter") == b"lfs"


def upload_mode(gitattributes: str, path: str, size: int, sample: bytes) -> str:
    """How the client is to send a file: `lfs` or `regular`.

    Args:
        gitattributes: the repository's .gitattributes.
        path: path in the repository.
        size: bytes of the file.
        sample: its first bytes; a NUL among them means that it is not text.
    """
    if size == 0:
        return "regular"
    if is_large(gitattributes, path) or size > REGULAR_MAX_BYTES or b"\0" in sample:
        return "lfs"
    return "regular"


def with_large(gitattributes: str, path: str) -> str:
    """Add a line for one large file that no pattern names yet, as the Hub does."""
    if is_large(gitattributes, path):
        return gitattributes
    # .gitattributes has no quoting that all readers share: blanks become a class, wildcards are escaped.
    pattern = re.sub(r"\s", "[[:space:]]", re.sub(r"([*?\[\]\\])", r"\\\1", path))
    if "/" not in pattern:
        pattern = f"/{pattern}" if pattern.startswith(("#", "!")) else pattern
    newline = "" if not gitattributes or gitattributes.endswith("\n") else "\n"
    return f"{gitattributes}{newline}{pattern} {_LARGE}\n"


def is_ignored(gitignore: str, path: str) -> bool:
    """Whether .gitignore keeps the file out."""
    patterns = read_ignore_patterns(io.BytesIO(gitignore.encode()))
    return bool(IgnoreFilter(patterns).is_ignored(path))
