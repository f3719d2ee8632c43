"""Large files: git-lfs pointers, and the folder that holds what they point to.

Objects lie where git-lfs itself would put them in a bare repository, `lfs/objects/ab/cd/abcd...`, so
that plain git tools understand a stored repository.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

_POINTER = re.compile(
    rb"version https://git-lfs\.github\.com/spec/v1\noid sha256:([0-9a-f]{64})\nsize ([0-9]+)\n?"
)
_OID = re.compile(r"[0-9a-f]{64}")
_COPY_BYTES = 1 << 20


@dataclass(frozen=True)
class Pointer:
    """What git stores in place of a large file.

    Args:
        oid: SHA-256 of the content, hexadecimal.
        size: bytes of the content.
    """

    oid: str
    size: int

    def to_bytes(self) -> bytes:
        """Render as the pointer file of git-lfs, https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md."""
        text = f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.oid}\nsize {self.size}\n"
        return text.encode()

    @staticmethod
    def parse(data: bytes) -> Pointer | None:
        """Read a pointer file; None where the bytes are not one."""
        match = _POINTER.fullmatch(data)
        return Pointer(match[1].decode(), int(match[2])) if match else None


def is_oid(text: object) -> bool:
    """Whether the value is a SHA-256 in hexadecimal."""
    return isinstance(text, str) and _OID.fullmatch(text) is not None


class ChecksumError(Exception):
    """Content whose SHA-256 or size is not the one that was announced."""


class LfsStore:
    """The large files of one repository, each under the SHA-256 of its content."""

    def __init__(self, folder: Path) -> None:
        self._objects = folder / "objects"
        self._incoming = folder / "tmp"

    def path(self, oid: str) -> Path:
        """Where the content lies, or would lie."""
        return self._objects / oid[:2] / oid[2:4] / oid

    def size(self, oid: str) -> int | None:
        """Bytes of the stored content, None where it is not stored."""
        try:
            return self.path(oid).stat().st_size
        except FileNotFoundError:
            return None

    @contextlib.contextmanager
    def incoming(self) -> Iterator[Path]:
        """A path for content on its way in, gone at the end unless it was stored."""
        self._incoming.mkdir(parents=True, exist_ok=True)
        path = self._incoming / secrets.token_hex(8)
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)

    def adopt(self, incoming: Path, pointer: Pointer) -> None:
        """Check the content against its pointer and move it into place, all or nothing.

        Raises:
            ChecksumError: it is not the announced content.
        """
        with incoming.open("rb") as file:
            oid = hashlib.file_digest(file, "sha256").hexdigest()
        size = incoming.stat().st_size
        if (oid, size) != (pointer.oid, pointer.size):
            raise ChecksumError(
                f"expected {pointer.size} bytes with SHA-256 {pointer.oid}, got {size} with {oid}"
            )
        target = self.path(pointer.oid)
        target.parent.mkdir(parents=True, exist_ok=True)
        incoming.replace(target)

    def join(self, parts: Iterable[Path], pointer: Pointer) -> None:
        """Store content that came in parts; the parts stay where they are.

        Raises:
            ChecksumError: together they are not the announced content.
        """
        with self.incoming() as whole:
            with whole.open("wb") as out:
                for part in parts:
                    with part.open("rb") as file:
                        while block := file.read(_COPY_BYTES):
                            out.write(block)
            self.adopt(whole, pointer)
