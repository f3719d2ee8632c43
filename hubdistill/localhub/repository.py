"""One stored repository: a bare git repository with branches, tags, pull requests and large files."""

from __future__ import annotations

import contextlib
import io
import re
import stat
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from dulwich.index import commit_tree
from dulwich.object_store import iter_tree_contents
from dulwich.objects import Blob, Commit, ObjectID, Tag, Tree
from dulwich.patch import write_tree_diff
from dulwich.refs import Ref, check_ref_format
from dulwich.repo import Repo

from hubdistill.localhub.lfs import LfsStore, Pointer
from hubdistill.localhub.refusal import Refusal, RevisionNotFound

BRANCHES = "refs/heads/"
TAGS = "refs/tags/"
PULLS = "refs/pr/"
MAIN = BRANCHES + "main"
_FILE_MODE = 0o100644
_SHORT_SHA = re.compile(r"[0-9a-f]{5,40}")
_POINTER_MAX_BYTES = 256


@dataclass(frozen=True)
class File:
    """A file at one revision.

    Args:
        path: path in the repository.
        blob: git's SHA-1 of the stored blob (of the pointer, for a large file).
        blob_size: bytes of the stored blob.
        pointer: the large file behind it, None for a regular file.
    """

    path: str
    blob: str
    blob_size: int
    pointer: Pointer | None

    @property
    def size(self) -> int:
        """Bytes of the file as a reader gets it."""
        return self.blob_size if self.pointer is None else self.pointer.size


@dataclass(frozen=True)
class CommitRecord:
    """A commit, decoded."""

    oid: str
    parents: tuple[str, ...]
    author: str
    message: str
    time: int

    @property
    def title(self) -> str:
        """First line of the message."""
        return self.message.partition("\n")[0]

    @property
    def description(self) -> str:
        """The message without its first line."""
        return self.message.partition("\n")[2].strip()


class StaleParent(Exception):
    """The branch does not point where the writer thought."""


class GitRepository:
    """A bare repository on disk. Open it for one request and close it: it holds no lock of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lfs = LfsStore(path / "lfs")
        self._repo = Repo(str(path))

    @classmethod
    def create(cls, path: Path) -> Self:
        """Make an empty bare repository whose default branch is `main`."""
        path.mkdir(parents=True)
        Repo.init_bare(str(path), default_branch=b"main").close()
        return cls(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._repo.close()

    # Revisions

    def refs(self, prefix: str) -> dict[str, str]:
        """Names below the prefix and the commits they point to, annotated tags followed."""
        found = {}
        for name in sorted(self._repo.refs.keys()):
            if name.startswith(prefix.encode()):
                sha = self._repo.refs[name]
                found[name.decode()[len(prefix) :]] = self._peel(sha)
        return found

    def head(self, ref: str) -> str | None:
        """The commit a full ref name points to, None where there is no such ref."""
        if not check_ref_format(Ref(ref.encode())):
            return None
        try:
            return self._peel(self._repo.refs[Ref(ref.encode())])
        except KeyError:
            return None

    def resolve(self, revision: str) -> str:
        """Find the commit behind a branch, tag, `refs/...` name or (shortened) commit id.

        Raises:
            RevisionNotFound: there is none.
        """
        for name in [revision] if revision.startswith("refs/") else [BRANCHES + revision, TAGS + revision]:
            if (oid := self.head(name)) is not None:
                return oid
        if _SHORT_SHA.fullmatch(revision):
            found = [
                sha.decode()
                for sha in self._repo.object_store.iter_prefix(revision.encode())
                if isinstance(self._repo.object_store[sha], Commit)
            ]
            if len(found) == 1:
                return found[0]
        raise RevisionNotFound(revision)

    def writable_ref(self, revision: str) -> str:
        """The full name of the branch or pull request that a commit to `revision` moves.

        Raises:
            RevisionNotFound: no such branch or pull request; tags and commit ids cannot move.
        """
        name = revision if revision.startswith("refs/") else BRANCHES + revision
        if name.startswith((BRANCHES, PULLS)) and self.head(name) is not None:
            return name
        raise RevisionNotFound(revision)

    def _peel(self, sha: ObjectID) -> str:
        found = self._repo.object_store[sha]
        while isinstance(found, Tag):
            found = self._repo.object_store[found.object[1]]
        return found.id.decode()

    # Reading

    def commit(self, oid: str) -> CommitRecord:
        """Decode a commit."""
        found = self._commit(oid)
        return CommitRecord(
            oid=oid,
            parents=tuple(parent.decode() for parent in found.parents),
            author=found.author.decode().partition(" <")[0],
            message=found.message.decode(),
            time=found.commit_time,
        )

    def history(self, oid: str) -> Iterator[CommitRecord]:
        """The commit and its ancestors, newest first. History is linear: merges here are squashed."""
        following: str | None = oid
        while following is not None:
            record = self.commit(following)
            yield record
            following = record.parents[0] if record.parents else None

    def entries(self, oid: str) -> dict[str, str]:
        """All files of a commit: path -> git blob id."""
        tree = self._commit(oid).tree
        return {
            entry.path.decode(): entry.sha.decode()
            for entry in iter_tree_contents(self._repo.object_store, tree)
            if entry.path is not None and entry.sha is not None
        }

    def folders(self, oid: str) -> dict[str, str]:
        """All folders of a commit: path -> git tree id; the root has the path ''."""
        return {
            entry.path.decode(): entry.sha.decode()
            for entry in iter_tree_contents(
                self._repo.object_store, self._commit(oid).tree, include_trees=True
            )
            if entry.path is not None and entry.sha is not None and stat.S_ISDIR(entry.mode or 0)
        }

    def file(self, path: str, blob: str) -> File:
        """Describe a file of which path and blob id are known."""
        found = self._blob(blob)
        size = found.raw_length()
        pointer = Pointer.parse(found.data) if size <= _POINTER_MAX_BYTES else None
        return File(path, blob, size, pointer)

    def files(self, oid: str) -> list[File]:
        """Describe all files of a commit, sorted by path."""
        return [self.file(path, blob) for path, blob in sorted(self.entries(oid).items())]

    def read(self, blob: str) -> bytes:
        """The bytes that git stores (for a large file: the pointer)."""
        return self._blob(blob).data

    def text(self, oid: str, path: str) -> str | None:
        """A file of a commit as text, None where it is missing, large or not UTF-8."""
        blob = self.entries(oid).get(path)
        if blob is None:
            return None
        with contextlib.suppress(UnicodeDecodeError):
            return self.read(blob).decode()
        return None

    def last_commits(self, oid: str, paths: list[str]) -> dict[str, CommitRecord]:
        """The newest commit that changed each file or folder."""
        found: dict[str, CommitRecord] = {}
        for record in self.history(oid):
            now = self.entries(record.oid) | self.folders(record.oid)
            before: dict[str, str] = {}
            if record.parents:
                before = self.entries(record.parents[0]) | self.folders(record.parents[0])
            for path in paths:
                if path not in found and now.get(path) != before.get(path):
                    found[path] = record
            if len(found) == len(paths):
                break
        return found

    def _commit(self, oid: str) -> Commit:
        found = self._repo.object_store[ObjectID(oid.encode())]
        assert isinstance(found, Commit)
        return found

    def _blob(self, oid: str) -> Blob:
        found = self._repo.object_store[ObjectID(oid.encode())]
        assert isinstance(found, Blob)
        return found

    # Writing

    def add_blob(self, data: bytes) -> str:
        """Store bytes, return their git id. Nothing refers to them yet."""
        blob = Blob.from_string(data)
        self._repo.object_store.add_object(blob)
        return blob.id.decode()

    def write_commit(
        self, entries: Mapping[str, str], *, parent: str | None, author: str, message: str
    ) -> str:
        """Store a commit of exactly these files and return its id. No ref moves yet.

        Args:
            entries: path -> blob id of every file of the new commit.
            parent: the commit before it.
            author: name of the account.
            message: title, blank line, description.
        """
        blobs = [(path.encode(), ObjectID(blob.encode()), _FILE_MODE) for path, blob in entries.items()]
        commit = Commit()
        commit.tree = commit_tree(self._repo.object_store, blobs)
        if not blobs:
            self._repo.object_store.add_object(Tree())
        commit.parents = [ObjectID(parent.encode())] if parent else []
        commit.author = commit.committer = f"{author} <{author}@users.noreply.localhub>".encode()
        commit.author_time = commit.commit_time = int(time.time())
        commit.author_timezone = commit.commit_timezone = 0
        commit.encoding = b"UTF-8"
        commit.message = message.encode()
        self._repo.object_store.add_object(commit)
        return commit.id.decode()

    def move(self, ref: str, oid: str, *, expected: str | None) -> None:
        """Point a ref at another commit, at once or not at all.

        Args:
            expected: where it must point before; None for a ref that must not exist yet.

        Raises:
            StaleParent: it points elsewhere.
            Refusal: 409, its name collides with another one (`a` and `a/b`).
        """
        name, new = Ref(ref.encode()), ObjectID(oid.encode())
        try:
            if expected is None:
                done = self._repo.refs.add_if_new(name, new)
            else:
                done = self._repo.refs.set_if_equals(name, ObjectID(expected.encode()), new)
        except (NotADirectoryError, IsADirectoryError, FileExistsError):
            raise Refusal(409, f"'{ref}' collides with the name of another reference") from None
        if not done:
            raise StaleParent

    def annotate(self, tag: str, oid: str, *, author: str, message: str) -> None:
        """Create an annotated tag.

        Raises:
            StaleParent: the tag exists.
        """
        made = Tag()
        made.tagger = f"{author} <{author}@users.noreply.localhub>".encode()
        made.name = tag.encode()
        made.message = message.encode()
        made.object = (Commit, ObjectID(oid.encode()))
        made.tag_time = int(time.time())
        made.tag_timezone = 0
        self._repo.object_store.add_object(made)
        self.move(TAGS + tag, made.id.decode(), expected=None)

    def remove_ref(self, ref: str) -> None:
        """Delete a branch or tag."""
        self._repo.refs.remove_if_equals(Ref(ref.encode()), None)

    def diff(self, old: str, new: str) -> str:
        """Unified diff between two commits."""
        out = io.BytesIO()
        write_tree_diff(out, self._repo.object_store, self._commit(old).tree, self._commit(new).tree)
        return out.getvalue().decode(errors="replace")


def is_ref_name(ref: str) -> bool:
    """Whether git allows the name."""
    return check_ref_format(Ref(ref.encode()))
