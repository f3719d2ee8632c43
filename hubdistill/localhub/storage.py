"""The folder behind a local Hub: repositories, their settings and the collections.

folder/
  models/NAMESPACE/NAME.git/       a bare git repository (also datasets/, spaces/)
    lfs/objects/ab/cd/abcd...      its large files
    localhub.json                  what git has no place for: visibility, discussions
  collections.json
"""

from __future__ import annotations

import contextlib
import json
import secrets
import shutil
import threading
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

from hubdistill.atomic import write_text
from hubdistill.localhub.gitattributes import INITIAL_GITATTRIBUTES
from hubdistill.localhub.refusal import Refusal, RepoNotFound
from hubdistill.localhub.repository import MAIN, GitRepository

KINDS = {"model": "models", "dataset": "datasets", "space": "spaces"}


def now() -> str:
    """The time in the form the Hub writes it."""
    return timestamp(datetime.now(UTC).timestamp())


def timestamp(seconds: float) -> str:
    """Seconds since 1970 in the form the Hub writes it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def read_json(path: Path) -> Any:
    """Read a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file at once or not at all."""
    write_text(path, json.dumps(value, indent=1))


@dataclass(frozen=True)
class RepoId:
    """Which repository: `kind` is the plural in URLs, models, datasets or spaces."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"

    @property
    def url_path(self) -> str:
        """Its page below the endpoint; models have no prefix."""
        return f"/{self}" if self.kind == "models" else f"/{self.kind}/{self}"

    @property
    def type(self) -> str:
        """model, dataset or space."""
        return self.kind.removesuffix("s")


_STAGING = ".hubdistill-"
"""Begins the names of repositories that are being made or deleted."""


class Storage:
    """All that a local Hub keeps, on disk under one folder.

    One server per folder: locks are held in this process.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._locks: defaultdict[RepoId, threading.RLock] = defaultdict(threading.RLock)
        self.collections_lock = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True)
        self._tidy()

    def _tidy(self) -> None:
        """Remove what a killed server left: repositories half made or half deleted, uploads, locks."""
        for kind in KINDS.values():
            for leftover in self.folder.glob(f"{kind}/{_STAGING}*"):
                shutil.rmtree(leftover)
        for repo in self.all():
            path = self.path(repo)
            for lock in (path / "refs").rglob("*.lock"):
                lock.unlink()
            shutil.rmtree(path / "lfs" / "tmp", ignore_errors=True)

    def path(self, repo: RepoId) -> Path:
        """Where a repository lies, or would lie.

        Raises:
            RepoNotFound: the name is not one a repository can have.
        """
        try:
            validate_repo_id(str(repo))
        except HFValidationError:
            raise RepoNotFound from None
        return self.folder / repo.kind / repo.namespace / f"{repo.name}.git"

    def exists(self, repo: RepoId) -> bool:
        """Whether there is such a repository."""
        return self.path(repo).is_dir()

    def all(self, kind: str | None = None) -> list[RepoId]:
        """All repositories, or all of one kind, sorted by name."""
        found = []
        for each in KINDS.values() if kind is None else [kind]:
            for path in self.folder.glob(f"{each}/[!.]*/*.git"):
                found.append(RepoId(each, path.parent.name, path.name.removesuffix(".git")))
        return sorted(found, key=str)

    @contextlib.contextmanager
    def lock(self, repo: RepoId) -> Iterator[None]:
        """Hold a repository while reading and then writing it."""
        with self._locks[repo]:
            yield

    @contextlib.contextmanager
    def open(self, repo: RepoId) -> Iterator[GitRepository]:
        """Open a repository.

        Raises:
            RepoNotFound: there is none.
        """
        path = self.path(repo)
        if not path.is_dir():
            raise RepoNotFound
        with GitRepository(path) as opened:
            yield opened

    def create(self, repo: RepoId, *, private: bool, author: str) -> None:
        """Make a repository with its first commit, complete or not at all.

        Raises:
            Refusal: 409, it exists.
        """
        with self.lock(repo), self._staging(repo.kind) as staging:
            with GitRepository.create(staging) as made:
                blob = made.add_blob(INITIAL_GITATTRIBUTES.encode())
                first = made.write_commit(
                    {".gitattributes": blob}, parent=None, author="system", message="initial commit"
                )
                made.move(MAIN, first, expected=None)
            settings = {
                "private": private,
                "gated": False,
                "created_at": now(),
                "created_by": author,
                "discussions": [],
            }
            write_json(staging / "localhub.json", settings)
            self._place(staging, repo)

    def move(self, repo: RepoId, target: RepoId) -> None:
        """Rename a repository.

        Raises:
            Refusal: 409, the new name is taken.
        """
        with self.lock(repo), self.lock(target):
            self._place(self.path(repo), target)

    def delete(self, repo: RepoId) -> None:
        """Delete a repository; it vanishes at once."""
        with self.lock(repo), self._staging(repo.kind) as staging:
            self.path(repo).rename(staging)

    def _place(self, path: Path, repo: RepoId) -> None:
        target = self.path(repo)
        if target.exists():
            raise Refusal(409, f"You already created this {repo.type} repo: {repo}")
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)

    @contextlib.contextmanager
    def _staging(self, kind: str) -> Iterator[Path]:
        staging = self.folder / kind / f"{_STAGING}{secrets.token_hex(8)}"
        staging.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield staging
        finally:
            shutil.rmtree(staging, ignore_errors=True)

    def settings(self, repo: RepoId) -> dict[str, Any]:
        """Visibility, gate, time of creation and discussions of a repository."""
        try:
            settings: dict[str, Any] = read_json(self.path(repo) / "localhub.json")
        except (FileNotFoundError, NotADirectoryError):
            raise RepoNotFound from None
        return settings

    def save_settings(self, repo: RepoId, settings: dict[str, Any]) -> None:
        """Replace the settings; hold `lock` from before they were read."""
        write_json(self.path(repo) / "localhub.json", settings)

    def collections(self) -> dict[str, dict[str, Any]]:
        """All collections by slug."""
        path = self.folder / "collections.json"
        found: dict[str, dict[str, Any]] = read_json(path) if path.exists() else {}
        return found

    def save_collections(self, collections: dict[str, dict[str, Any]]) -> None:
        """Replace the collections; hold `collections_lock` from before they were read."""
        write_json(self.folder / "collections.json", collections)
