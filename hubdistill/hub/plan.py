"""What a commit would change: the local files against the tree of the repository."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from huggingface_hub import HfApi, get_session, hf_hub_url, hf_raise_for_status
from huggingface_hub.errors import EntryNotFoundError
from huggingface_hub.hf_api import RepoFile

from hubdistill.hub.access import authorization
from hubdistill.hub.files import is_chosen, is_replaceable
from hubdistill.hub.local import LocalFile

Status = Literal["new", "changed", "unchanged", "removed"]


@dataclass(frozen=True)
class FilePlan:
    """What happens to one file.

    Args:
        path: in the repository.
        size: in bytes; of the copy on the Hub for a file that is removed.
        status: against the copy on the Hub.
    """

    path: str
    size: int
    status: Status


@dataclass(frozen=True)
class Plan:
    """What a commit on top of `parent` would change.

    Args:
        parent: the commit that the plan was made against; None: an empty repository, or none at all.
        files: what happens to each file.
        changes: the files to add or replace.
        removals: paths to delete.
    """

    parent: str | None
    files: tuple[FilePlan, ...]
    changes: tuple[LocalFile, ...]
    removals: tuple[str, ...]

    @property
    def empty(self) -> bool:
        """Whether there is nothing to commit."""
        return not self.changes and not self.removals


def read_tree(api: HfApi, repo_id: str, revision: str) -> dict[str, RepoFile]:
    """List a commit's files, by path."""
    entries = api.list_repo_tree(repo_id, revision=revision, recursive=True)
    return {entry.path: entry for entry in entries if isinstance(entry, RepoFile)}


def read_content(api: HfApi, repo_id: str, path: str, commit: str) -> bytes | None:
    """Read a small file of a commit; None when the commit has no such file."""
    url = hf_hub_url(repo_id, path, revision=commit, endpoint=api.endpoint)
    response = get_session().get(url, headers=authorization(api))
    try:
        hf_raise_for_status(response)
    except EntryNotFoundError:
        return None
    return bytes(response.content)


def is_same(local: LocalFile, remote: RepoFile | None) -> bool:
    """Whether the Hub has this content: by sha256 where it is an LFS file, else by its id as a git blob."""
    if remote is None:
        return False
    if remote.lfs is not None:
        return remote.lfs.sha256 == local.sha256
    return remote.blob_id == local.git_sha1


def make_plan(
    parent: str | None,
    tree: Mapping[str, RepoFile],
    local: Mapping[str, LocalFile],
    *,
    present: Collection[str],
    module_folders: frozenset[str],
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
) -> Plan:
    """Compare, and decide what to add, replace and delete.

    Deleted is what an earlier push of the same model left behind and the folder no longer has: see
    `hubdistill.hub.files.is_replaceable`. --include and --exclude limit that as they limit what is added.

    Args:
        parent: the commit that the tree is of.
        tree: the repository's files.
        local: the files to publish.
        present: all paths that the folder has, whether they are to be published or not; never deleted.
        module_folders: as modules.json names them.
        include: patterns of --include.
        exclude: patterns of --exclude.
    """
    files: list[FilePlan] = []
    changes: list[LocalFile] = []
    for path, file in local.items():
        same = is_same(file, tree.get(path))
        files.append(FilePlan(path, file.size, "unchanged" if same else "changed" if path in tree else "new"))
        if not same:
            changes.append(file)
    removals = [
        path
        for path in tree
        if path not in local
        and path not in present
        and is_replaceable(path, module_folders)
        and is_chosen(path, include, exclude)
    ]
    files += [FilePlan(path, tree[path].size, "removed") for path in removals]
    return Plan(parent, tuple(sorted(files, key=lambda f: f.path)), tuple(changes), tuple(sorted(removals)))


def differences(plan: Plan, tree: Mapping[str, RepoFile]) -> list[str]:
    """Compare a commit with the plan that it was made from; gives the paths that differ."""
    wrong = [file.path for file in plan.changes if not is_same(file, tree.get(file.path))]
    missing = [file.path for file in plan.files if file.status == "unchanged" and file.path not in tree]
    return wrong + missing + [path for path in plan.removals if path in tree]
