"""Uploads under way: one unguessable address for each large file a client was told to send."""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass, field
from pathlib import Path

from hubdistill.localhub.lfs import Pointer
from hubdistill.localhub.refusal import Refusal
from hubdistill.localhub.storage import RepoId


@dataclass
class Upload:
    """A large file on its way in; `parts` maps part numbers to (ETag, file)."""

    repo: RepoId
    pointer: Pointer
    parts: dict[int, tuple[str, Path]] = field(default_factory=dict)


class Uploads:
    """Addresses given out so far. They end with the server; a client then asks for new ones."""

    def __init__(self) -> None:
        self._open: dict[str, Upload] = {}
        self._lock = threading.Lock()

    def begin(self, repo: RepoId, pointer: Pointer) -> str:
        """Give out an address. Whoever knows it may write that one file: no token goes with it."""
        key = secrets.token_urlsafe(24)
        with self._lock:
            self._open[key] = Upload(repo, pointer)
        return key

    def find(self, key: str) -> Upload:
        """The upload behind an address.

        Raises:
            Refusal: 403, the address is unknown or used up.
        """
        with self._lock:
            upload = self._open.get(key)
        if upload is None:
            raise Refusal(403, "this upload address has expired; ask the LFS batch endpoint for a new one")
        return upload

    def end(self, key: str) -> None:
        """Forget an address."""
        with self._lock:
            self._open.pop(key, None)
