"""Sending the content of files, so that the commit that follows only names them.

`create_commit` makes one commit whatever the storage; `upload_folder` would split large pushes. On the
Hub, large files go to Xet. Other servers may have git LFS only; they are asked first, since the client
would fail there.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote, urlsplit

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, constants, get_session

from hubdistill.errors import PublishError
from hubdistill.hub.access import authorization
from hubdistill.hub.local import LocalFile
from hubdistill.hub.plan import Plan

Operation = CommitOperationAdd | CommitOperationDelete


@contextmanager
def upload(
    api: HfApi, repo_id: str, plan: Plan, *, revision: str, create_pr: bool
) -> Iterator[list[Operation]]:
    """Send what the plan changes; inside the block the operations can be committed, once.

    Raises:
        PublishError: the repository's .gitignore keeps one of the files out.
    """
    removals = [CommitOperationDelete(path) for path in plan.removals]
    if not plan.changes:
        yield [*removals]
        return
    plain = not constants.HF_HUB_DISABLE_XET and not _has_xet(api, repo_id, revision)
    with ExitStack() as stack:
        additions = [stack.enter_context(_addition(file, plain)) for file in plan.changes]
        if plain:
            stack.enter_context(_without_xet_advice())
        api.preupload_lfs_files(repo_id, additions, revision=revision, create_pr=create_pr, free_memory=False)
        if ignored := [addition.path_in_repo for addition in additions if addition._should_ignore]:
            raise PublishError(
                f"the .gitignore of {repo_id} keeps out {', '.join(ignored)}; remove those lines from it, or "
                "leave the files out with --exclude"
            )
        yield [*additions, *removals]


@contextmanager
def _addition(file: LocalFile, plain: bool) -> Iterator[CommitOperationAdd]:
    with ExitStack() as stack:
        content = file.source if isinstance(file.source, bytes) else None
        source: str | bytes | BinaryIO
        if plain:
            # What is given as a stream, the client sends by git LFS; this is how it is told for one push.
            source = io.BytesIO(content) if content is not None else stack.enter_context(_open(file))
        else:
            source = content if content is not None else str(file.source)
        addition = CommitOperationAdd(file.path, source)
        if not addition.upload_info.is_hashed:
            addition.upload_info.sha256 = bytes.fromhex(file.sha256)
        if (addition.upload_info.size, addition.upload_info.sha256.hex()) != (file.size, file.sha256):
            raise PublishError(
                f"{file.path} changed while it was pushed; push again when nothing writes to it"
            )
        yield addition


def _open(file: LocalFile) -> BinaryIO:
    assert isinstance(file.source, Path)
    return file.source.open("rb")


def _has_xet(api: HfApi, repo_id: str, revision: str) -> bool:
    """Whether the server stores large files in Xet. The Hub does; others are asked for an upload token."""
    if urlsplit(api.endpoint).hostname == "huggingface.co":
        return True
    url = f"{api.endpoint}/api/models/{repo_id}/xet-write-token/{quote(revision, safe='')}"
    return bool(get_session().get(url, headers=authorization(api)).is_success)


@contextmanager
def _without_xet_advice() -> Iterator[None]:
    """Keep the client from warning that a stream does not go to Xet, which is what is wanted here."""
    logger = logging.getLogger("huggingface_hub._commit_api")

    def other(record: logging.LogRecord) -> bool:
        return "Xet Storage" not in record.getMessage()

    logger.addFilter(other)
    try:
        yield
    finally:
        logger.removeFilter(other)
