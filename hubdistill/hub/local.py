"""The files of a folder as they will be committed: read once, hashed, scanned, and never read differently."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from hubdistill.errors import PublishError
from hubdistill.hub.contents import PRINTABLE
from hubdistill.hub.files import Role, Selection, role_of
from hubdistill.hub.leaks import Known, refuse_leaks

_CHUNK = 1 << 22
_OVERLAP = 256
_LARGEST_HEADER = 100_000_000
"""safetensors' own limit on its header, in bytes."""


@dataclass(frozen=True)
class LocalFile:
    """One file to commit.

    Args:
        path: in the repository.
        source: the file on disk, or its content. Everything but weights and exports is held in memory, so
            that what was scanned is what is sent.
        size: in bytes.
        git_sha1: object id of the content as a git blob.
        sha256: of the content, as git LFS names it.
    """

    path: str
    source: Path | bytes
    size: int
    git_sha1: str
    sha256: str


def read_files(selection: Selection, *, message: str = "", known: Iterable[str] = ()) -> dict[str, LocalFile]:
    """Read, hash and scan what travels.

    Args:
        selection: what travels.
        message: the commit message, scanned as well.
        known: secrets known by value.

    Returns:
        Path in the repository -> file.

    Raises:
        LeakError: a secret or a private path would travel.
        PublishError: a file cannot be read, or its weights are not safetensors.
    """
    files: dict[str, LocalFile] = {}
    texts: list[tuple[str, Role, bytes]] = []
    for path, file in selection.files.items():
        role = role_of(path, selection.module_folders)
        assert role is not None
        try:
            if role in ("weights", "export") and not path.endswith((".json", ".xml")):
                files[path], text = _read_large(path, file)
            else:
                text = file.read_bytes()
                files[path] = from_bytes(path, text)
        except OSError as error:
            raise PublishError(f"cannot read {file}: {error.strerror or error}") from error
        texts.append((path, role, text))
    folders = {file.parents[path.count("/")] for path, file in selection.files.items()}
    refuse_leaks(texts, message=message, known=Known.of(known, folders))
    return files


def from_bytes(path: str, content: bytes) -> LocalFile:
    """Make a file to commit from its content."""
    sha1 = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    return LocalFile(path, content, len(content), sha1, hashlib.sha256(content).hexdigest())


def _read_large(path: str, file: Path) -> tuple[LocalFile, bytes]:
    """Hash a file that stays on disk, and return the text in it: a safetensors header, or printable runs."""
    size = file.stat().st_size
    sha1, sha256 = hashlib.sha1(b"blob %d\0" % size), hashlib.sha256()
    text, rest = bytearray(), b""
    with file.open("rb") as stream:
        if path.endswith(".safetensors"):
            text += _safetensors_header(file, stream.read(8), size)
            stream.seek(0)
        read = 0
        while chunk := stream.read(_CHUNK):
            sha1.update(chunk)
            sha256.update(chunk)
            read += len(chunk)
            if not path.endswith(".safetensors"):
                # A run may go on in the next chunk, so its end is looked at twice.
                text += b"\n".join(PRINTABLE.findall(rest + chunk)) + b"\n"
                rest = chunk[-_OVERLAP:]
    if read != size:
        raise PublishError(f"{file} changed while it was read; push again when nothing writes to it")
    return LocalFile(path, file, size, sha1.hexdigest(), sha256.hexdigest()), bytes(text)


def _safetensors_header(file: Path, start: bytes, size: int) -> bytes:
    """The JSON header of a safetensors file: 8 bytes of length (little endian), then so much JSON.

    The tensors it names fill the rest without a gap, as the format has it: nothing lies hidden between or
    after them.
    """
    length = int.from_bytes(start, "little") if len(start) == 8 else 0
    if 2 <= length <= min(_LARGEST_HEADER, size - 8):
        with file.open("rb") as stream:
            stream.seek(8)
            header = stream.read(length)
        try:
            tensors = dict(json.loads(header))
            tensors.pop("__metadata__", None)
            spans = sorted(tuple(tensor["data_offsets"]) for tensor in tensors.values())
            ends = [(0, 0), *spans, (size - 8 - length,)]
            if all(before[-1] == after[0] for before, after in pairwise(ends)):
                return header
        except (ValueError, TypeError, KeyError):
            pass
    raise PublishError(f"{file} is not a safetensors file (its header cannot be read); save the model again")
