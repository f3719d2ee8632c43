"""Branches, tags, pull requests, discussions, collections."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import BadRequestError, HfHubHTTPError, RevisionNotFoundError

Client = Callable[[str | bool], HfApi]


def add(path: str, content: bytes = b"x") -> list[CommitOperationAdd | CommitOperationDelete]:
    return [CommitOperationAdd(path, content)]


def test_tags_point_to_their_revision(api: HfApi, repo: str) -> None:
    first = api.model_info(repo).sha
    api.create_commit(repo, add("a.txt"), commit_message="A")
    api.create_tag(repo, tag="v0", revision=first)
    api.create_tag(repo, tag="v1", tag_message="Release")
    tags = {tag.name: (tag.ref, tag.target_commit) for tag in api.list_repo_refs(repo).tags}
    assert tags == {"v0": ("refs/tags/v0", first), "v1": ("refs/tags/v1", api.model_info(repo).sha)}
    with pytest.raises(HfHubHTTPError, match="409"):
        api.create_tag(repo, tag="v1")
    api.create_tag(repo, tag="v1", exist_ok=True)
    api.delete_tag(repo, tag="v1")
    assert [tag.name for tag in api.list_repo_refs(repo).tags] == ["v0"]
    with pytest.raises(RevisionNotFoundError):
        api.delete_tag(repo, tag="v1")


def test_a_tag_needs_an_existing_revision_and_a_git_name(api: HfApi, repo: str) -> None:
    with pytest.raises(RevisionNotFoundError):
        api.create_tag(repo, tag="v1", revision="nowhere")
    with pytest.raises(BadRequestError):
        api.create_tag(repo, tag="not a name")


def test_branches_grow_apart(api: HfApi, repo: str) -> None:
    api.create_branch(repo, branch="dev/next")
    api.create_commit(repo, add("dev.txt"), commit_message="Dev", revision="dev/next")
    assert "dev.txt" in api.list_repo_files(repo, revision="dev/next")
    assert "dev.txt" not in api.list_repo_files(repo)
    assert {branch.name for branch in api.list_repo_refs(repo).branches} == {"main", "dev/next"}
    with pytest.raises(HfHubHTTPError, match="409"):
        api.create_branch(repo, branch="dev/next")
    api.create_branch(repo, branch="dev/next", exist_ok=True)
    api.delete_branch(repo, branch="dev/next")
    assert [branch.name for branch in api.list_repo_refs(repo).branches] == ["main"]


def test_a_branch_name_that_collides_with_a_folder_of_branches(api: HfApi, repo: str) -> None:
    api.create_branch(repo, branch="dev")
    with pytest.raises(HfHubHTTPError, match="409"):
        api.create_branch(repo, branch="dev/next")


@pytest.mark.parametrize(
    "revision", ["dev", "refs/heads", "refs/heads/main/x", "main/x", "refs/pr/x", "a b", "é"]
)
def test_odd_revisions_are_not_found(api: HfApi, repo: str, revision: str) -> None:
    api.create_branch(repo, branch="dev/next")
    with pytest.raises(RevisionNotFoundError):
        api.model_info(repo, revision=revision)


def test_main_stays_and_other_references_are_not_branches(api: HfApi, repo: str) -> None:
    with pytest.raises(HfHubHTTPError, match="protected"):
        api.delete_branch(repo, branch="main")
    with pytest.raises(BadRequestError):
        api.create_branch(repo, branch="refs/pr/5")
    with pytest.raises(RevisionNotFoundError):
        api.delete_branch(repo, branch="nowhere")


def test_a_pull_request_is_made_grown_and_merged(api: HfApi, repo: str) -> None:
    before = api.model_info(repo).sha
    done = api.create_commit(repo, add("a.txt"), commit_message="Add a", create_pr=True)
    assert (done.pr_num, done.pr_revision) == (1, "refs/pr/1")
    assert api.model_info(repo).sha == before
    api.create_commit(repo, add("b.txt"), commit_message="Add b", revision="refs/pr/1")
    assert {"a.txt", "b.txt"} <= set(api.list_repo_files(repo, revision="refs/pr/1"))
    [pull] = api.list_repo_refs(repo, include_pull_requests=True).pull_requests or []
    assert (pull.name, pull.ref) == ("pr/1", "refs/pr/1")

    details = api.get_discussion_details(repo, 1)
    assert (details.status, details.target_branch, details.conflicting_files) == (
        "open",
        "refs/heads/main",
        [],
    )
    assert [event.summary for event in details.events if event.type == "commit"] == ["Add a", "Add b"]
    assert "+++ b/a.txt" in (details.diff or "")

    api.merge_pull_request(repo, 1, comment="Thanks")
    merged = api.get_discussion_details(repo, 1)
    assert merged.status == "merged"
    assert merged.merge_commit_oid == api.model_info(repo).sha
    assert [commit.title for commit in api.list_repo_commits(repo)] == ["Add a (#1)", "initial commit"]
    assert {"a.txt", "b.txt"} <= set(api.list_repo_files(repo))


def test_merging_keeps_what_main_gained_meanwhile(api: HfApi, repo: str) -> None:
    api.create_commit(repo, [*add("old.txt"), *add("kept.txt")], commit_message="Start")
    operations = [*add("new.txt"), CommitOperationDelete("old.txt")]
    api.create_commit(repo, operations, commit_message="Change", create_pr=True)
    api.create_commit(repo, add("meanwhile.txt"), commit_message="Meanwhile")
    api.merge_pull_request(repo, 1)
    assert set(api.list_repo_files(repo)) == {".gitattributes", "kept.txt", "meanwhile.txt", "new.txt"}


def test_a_conflict_is_named_and_refused(api: HfApi, repo: str) -> None:
    api.create_commit(repo, add("a.txt", b"theirs"), commit_message="Theirs", create_pr=True)
    api.create_commit(repo, add("a.txt", b"ours"), commit_message="Ours")
    assert api.get_discussion_details(repo, 1).conflicting_files == ["a.txt"]
    with pytest.raises(HfHubHTTPError, match=r"same files since: a\.txt"):
        api.merge_pull_request(repo, 1)


def test_a_draft_waits_for_commits_and_must_be_opened(api: HfApi, repo: str) -> None:
    draft = api.create_pull_request(repo, title="A new student", description="Soon.")
    assert (draft.status, draft.git_reference) == ("draft", "refs/pr/1")
    with pytest.raises(BadRequestError, match="'draft'"):
        api.merge_pull_request(repo, draft.num)
    api.create_commit(repo, add("a.txt"), commit_message="A", revision=draft.git_reference)
    api.change_discussion_status(repo, draft.num, "open")
    api.merge_pull_request(repo, draft.num)
    assert "a.txt" in api.list_repo_files(repo)


def test_a_stranger_may_propose_but_not_merge(api: HfApi, client: Client, repo: str) -> None:
    stranger = client("hf_stranger")
    done = stranger.create_commit(repo, add("a.txt"), commit_message="Please", create_pr=True)
    stranger.create_commit(repo, add("b.txt"), commit_message="And", revision=done.pr_revision)
    with pytest.raises(HfHubHTTPError, match="403"):
        stranger.merge_pull_request(repo, 1)
    api.merge_pull_request(repo, 1)
    assert {"a.txt", "b.txt"} <= set(api.list_repo_files(repo))


def test_a_pull_request_starts_from_its_parent_commit(api: HfApi, repo: str) -> None:
    parent = api.model_info(repo).sha
    api.create_commit(repo, add("later.txt"), commit_message="Later")
    api.create_commit(repo, add("a.txt"), commit_message="A", create_pr=True, parent_commit=parent)
    assert "later.txt" not in api.list_repo_files(repo, revision="refs/pr/1")


def test_discussions_are_talked_renamed_and_closed(api: HfApi, client: Client, repo: str) -> None:
    made = api.create_discussion(repo, title="A question", description="Why?")
    client("hf_stranger").comment_discussion(repo, made.num, comment="Because.")
    api.rename_discussion(repo, made.num, new_title="An answer")
    api.change_discussion_status(repo, made.num, "closed", comment="Done")
    details = api.get_discussion_details(repo, made.num)
    assert (details.title, details.status, details.is_pull_request) == ("An answer", "closed", False)
    assert [event.type for event in details.events] == [
        "comment",
        "comment",
        "title-change",
        "comment",
        "status-change",
    ]
    assert [event.author for event in details.events][:2] == ["demo", "stranger"]
    assert details.events[1].content == "Because."


def test_discussions_are_listed_by_kind_and_status(api: HfApi, repo: str) -> None:
    api.create_discussion(repo, title="Question")
    api.create_pull_request(repo, title="Proposal")
    api.change_discussion_status(repo, 1, "closed")
    assert [each.num for each in api.get_repo_discussions(repo)] == [2, 1]
    assert [each.num for each in api.get_repo_discussions(repo, discussion_type="pull_request")] == [2]
    assert [each.num for each in api.get_repo_discussions(repo, discussion_status="closed")] == [1]
    with pytest.raises(HfHubHTTPError, match="404"):
        api.get_discussion_details(repo, 9)


def test_a_collection_gathers_models(api: HfApi, client: Client, repo: str) -> None:
    made = api.create_collection(title=f"Students of {repo}", namespace="demo", description="All of them.")
    again = api.create_collection(title=f"Students of {repo}", namespace="demo", exists_ok=True)
    assert again.slug == made.slug
    added = api.add_collection_item(made.slug, repo, "model", note="4 layers")
    assert [(item.item_id, item.note) for item in added.items] == [(repo, "4 layers")]
    api.add_collection_item(made.slug, repo, "model", exists_ok=True)
    assert len(api.get_collection(made.slug).items) == 1
    assert made.slug in [each.slug for each in api.list_collections(owner="demo", item=f"models/{repo}")]
    with pytest.raises(HfHubHTTPError, match="404"):
        api.add_collection_item(made.slug, "demo/nothing", "model")
    with pytest.raises(HfHubHTTPError, match="403"):
        client("hf_stranger").add_collection_item(made.slug, repo, "model")
    api.delete_collection(made.slug)
    api.delete_collection(made.slug, missing_ok=True)
