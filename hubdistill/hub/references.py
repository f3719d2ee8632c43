"""Branches and tags of the repository that a push goes to."""

from __future__ import annotations

from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, RevisionNotFoundError

from hubdistill.errors import PublishError
from hubdistill.hub.access import Preflight
from hubdistill.hub.plan import Plan
from hubdistill.push_rules import MAIN


def find_head(api: HfApi, place: Preflight) -> tuple[str | None, bool]:
    """The commit that the branch is at, or will begin at (that of main), and whether the branch is there.

    Raises:
        PublishError: a tag or a commit has this name, and neither takes commits.
    """
    try:
        head = api.model_info(place.repo_id, revision=place.revision).sha
    except RevisionNotFoundError:
        if place.revision == MAIN:
            return None, True
        return api.model_info(place.repo_id, revision=MAIN).sha, False
    if place.revision != MAIN and not place.revision.startswith("refs/"):
        branches = [branch.name for branch in api.list_repo_refs(place.repo_id).branches]
        if place.revision not in branches:
            raise PublishError(
                f"'{place.revision}' is a tag or a commit of {place.repo_id}, and a push goes to a branch; "
                f"give --revision one of {', '.join(branches)}, or a new name"
            )
    return head, True


def refuse_taken_tag(api: HfApi, place: Preflight, tag: str | None, plan: Plan) -> None:
    """Refuse a tag that is on another commit, before anything is sent.

    Raises:
        PublishError: it is.
    """
    if tag is None or plan.parent is None:
        return
    tags = {ref.name: ref.target_commit for ref in api.list_repo_refs(place.repo_id).tags}
    if tag in tags and not (plan.empty and tags[tag] == plan.parent):
        raise PublishError(
            f"{place.repo_id} has a tag '{tag}' on commit {tags[tag][:12]}, which is not the one "
            "that this push makes; choose another --tag"
        )


def put_tag(api: HfApi, place: Preflight, tag: str, commit: str) -> None:
    """Tag a commit; a tag that is there already is fine.

    Raises:
        PublishError: meanwhile it was put on another commit.
    """
    try:
        api.create_tag(place.repo_id, tag=tag, revision=commit)
    except HfHubHTTPError as error:
        if error.response.status_code != 409:
            raise
        tags = {ref.name: ref.target_commit for ref in api.list_repo_refs(place.repo_id).tags}
        if tags.get(tag) != commit:
            raise PublishError(
                f"{place.repo_id} is at commit {commit}, but meanwhile the tag '{tag}' was put on another; "
                "choose another --tag and push again"
            ) from error
