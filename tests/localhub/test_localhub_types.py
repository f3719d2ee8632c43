"""The client's typed objects, made of what this Hub answers: every member that it can fill is filled."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime
from typing import Any, get_args

import numpy as np
import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, get_hf_file_metadata, hf_api
from huggingface_hub.community import (
    Discussion,
    DiscussionComment,
    DiscussionCommit,
    DiscussionEvent,
    DiscussionStatusChange,
    DiscussionTitleChange,
    DiscussionWithDetails,
)
from safetensors.numpy import save

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

CARD = b"""---
license: apache-2.0
library_name: sentence-transformers
pipeline_tag: sentence-similarity
base_model: acme/teacher
model-index:
- name: student
  results:
  - task: {type: semantic-similarity}
    dataset: {type: acme/sts, name: STS}
    metrics: [{type: spearman_cosine, value: 0.78}]
---
"""
RESULTS = b"""- dataset: {id: mteb/stsbenchmark-sts, task_id: STSBenchmark}
  value: 0.78
  date: 2026-01-02
"""
WEIGHTS = save({"a": np.zeros((3, 4), np.float32), "b": np.zeros(5, np.float16)})

# Read from other sources than files and settings, or about things that there are none of here.
UNKNOWN_OF_MODELS = {
    "gguf",
    "inference",
    "inference_provider_mapping",
    "mask_token",
    "resource_group",
    "security_repo_status",
    "transformers_info",
    "widget_data",
}


@pytest.fixture
def published(api: HfApi, repo: str) -> str:
    api.create_commit(
        repo,
        [
            CommitOperationAdd("README.md", CARD),
            CommitOperationAdd("config.json", b'{"model_type": "bert", "architectures": ["BertModel"]}'),
            CommitOperationAdd("model.safetensors", WEIGHTS),
            CommitOperationAdd("1_Pooling/config.json", b"{}"),
            CommitOperationAdd(".eval_results/sts.yaml", RESULTS),
        ],
        commit_message="Publish",
        commit_description="All of it",
    )
    return repo


def members(found: object) -> dict[str, Any]:
    """The public members that a typed object declares, by their values."""
    assert dataclasses.is_dataclass(found)
    return {
        field.name: getattr(found, field.name)
        for field in dataclasses.fields(found)
        if not field.name.startswith("_")
    }


def absent(found: object) -> set[str]:
    """The members without a value."""
    return {name for name, value in members(found).items() if value is None}


def is_recent(moment: datetime | None) -> bool:
    return moment is not None and 0 <= (datetime.now(UTC) - moment).total_seconds() < 60


def test_model_info_is_complete(api: HfApi, published: str) -> None:
    info = api.model_info(published, files_metadata=True)
    assert absent(info) == UNKNOWN_OF_MODELS
    assert (info.id, info.author, info.private, info.gated, info.disabled) == (
        published, "demo", False, False, False,
    )  # fmt: skip
    assert is_recent(info.created_at)
    assert is_recent(info.last_modified)
    assert info.base_models == ["acme/teacher"]
    assert info.config == {"architectures": ["BertModel"], "model_type": "bert"}
    assert info.safetensors is not None
    assert (info.safetensors.parameters, info.safetensors.total) == ({"F32": 12, "F16": 5}, 17)
    assert info.eval_results is not None
    [result] = info.eval_results
    assert (result.dataset_id, result.task_id, result.value, result.date) == (
        "mteb/stsbenchmark-sts", "STSBenchmark", 0.78, "2026-01-02",
    )  # fmt: skip
    assert info.card_data is not None
    assert info.card_data.to_dict()["license"] == "apache-2.0"
    assert info.siblings is not None
    siblings = {sibling.rfilename: sibling for sibling in info.siblings}
    assert absent(siblings["model.safetensors"]) == set()
    assert absent(siblings["README.md"]) == {"lfs"}
    assert info.used_storage == sum(sibling.size or 0 for sibling in info.siblings)


def test_every_property_of_a_model_may_be_expanded(api: HfApi, published: str) -> None:
    everything = list(get_args(hf_api.ExpandModelProperty_T))
    info = api.model_info(published, expand=everything)
    assert absent(info) == UNKNOWN_OF_MODELS
    [listed] = api.list_models(author="demo", search=published, expand=everything)
    assert absent(listed) == UNKNOWN_OF_MODELS


def test_files_that_are_not_what_they_are_called_do_no_harm(api: HfApi, published: str) -> None:
    api.create_commit(
        published,
        [
            CommitOperationAdd("model.safetensors", b"\xff" * 100),
            CommitOperationAdd("config.json", b"[1]"),
            CommitOperationAdd(".eval_results/sts.yaml", b"- value: {"),
            CommitOperationAdd(".eval_results/more.yaml", b"- value: 1"),
        ],
        commit_message="Break",
    )
    info = api.model_info(published)
    assert (info.config, info.safetensors, info.eval_results) == (None, None, [])


def test_the_answer_to_a_commit_is_complete(api: HfApi, published: str) -> None:
    pushed = api.create_commit(
        published, [CommitOperationAdd("a.txt", b"a")], commit_message="A", commit_description="Why"
    )
    assert absent(pushed) == {"pr_url", "pr_revision", "pr_num"}
    assert pushed.commit_url == f"{api.endpoint}/{published}/commit/{pushed.oid}"
    assert pushed.repo_url.repo_id == published
    proposed = api.create_commit(
        published, [CommitOperationAdd("a.txt", b"b")], commit_message="B", create_pr=True
    )
    assert absent(proposed) == set()
    assert (proposed.pr_num, proposed.pr_revision) == (1, "refs/pr/1")


def test_a_created_repository_names_itself(api: HfApi, repo: str) -> None:
    url = api.create_repo(repo, exist_ok=True)
    assert (url.repo_id, url.namespace, url.repo_name, url.repo_type, url.endpoint) == (
        repo, "demo", repo.removeprefix("demo/"), "model", api.endpoint,
    )  # fmt: skip


def test_files_and_folders_are_complete(api: HfApi, published: str) -> None:
    items = {item.path: item for item in api.list_repo_tree(published, recursive=True, expand=True)}
    # Nothing is scanned here, and there is no Xet.
    assert absent(items["model.safetensors"]) == {"xet_hash", "security"}
    assert absent(items["README.md"]) == {"xet_hash", "security", "lfs"}
    assert absent(items["1_Pooling"]) == set()
    assert items["1_Pooling"].last_commit is not None
    assert items["1_Pooling"].last_commit.title == "Publish"
    assert is_recent(items["1_Pooling"].last_commit.date)
    [asked] = api.get_paths_info(published, "model.safetensors", expand=True)
    assert members(asked) == members(items["model.safetensors"])


def test_the_metadata_of_a_file_is_complete(api: HfApi, published: str) -> None:
    url = f"{api.endpoint}/{published}/resolve/main/model.safetensors"
    found = get_hf_file_metadata(url, token="hf_demo")
    assert absent(found) == {"xet_file_data"}
    assert (found.size, found.commit_hash) == (len(WEIGHTS), api.model_info(published).sha)


def test_references_and_commits_are_complete(api: HfApi, published: str) -> None:
    api.create_tag(published, tag="v1", tag_message="First")
    api.create_branch(published, branch="next")
    api.create_pull_request(published, title="Draft")
    refs = api.list_repo_refs(published, include_pull_requests=True)
    assert absent(refs) == set()
    assert refs.pull_requests is not None
    for ref in (*refs.branches, *refs.tags, *refs.pull_requests):
        assert absent(ref) == set()
    newest = api.list_repo_commits(published, formatted=True)[0]
    assert absent(newest) == set()
    assert (newest.title, newest.message, newest.authors) == ("Publish", "All of it", ["demo"])
    assert is_recent(newest.created_at)


def test_discussions_are_complete(api: HfApi, published: str) -> None:
    pull = api.create_commit(
        published,
        [CommitOperationAdd("a.txt", b"a"), CommitOperationDelete("config.json")],
        commit_message="Propose",
        commit_description="Because",
        create_pr=True,
    )
    number = pull.pr_num
    assert number is not None
    api.comment_discussion(published, number, comment="Good")
    api.rename_discussion(published, number, new_title="Propose it")
    api.change_discussion_status(published, number, new_status="closed")
    api.change_discussion_status(published, number, new_status="open")
    [listed] = api.get_repo_discussions(published)
    assert isinstance(listed, Discussion)
    assert absent(listed) == set()
    assert listed.url == f"{api.endpoint}/{published}/discussions/{number}"
    assert absent(api.get_discussion_details(published, number)) == {"merge_commit_oid"}
    api.merge_pull_request(published, number)
    found = api.get_discussion_details(published, number)
    assert isinstance(found, DiscussionWithDetails)
    assert absent(found) == set()
    assert (found.target_branch, found.conflicting_files) == ("refs/heads/main", [])
    kinds = {type(event) for event in found.events}
    assert kinds == {DiscussionComment, DiscussionCommit, DiscussionStatusChange, DiscussionTitleChange}
    for event in found.events:
        assert isinstance(event, DiscussionEvent)
        assert absent(event) == set()
        if isinstance(event, DiscussionComment):
            assert event.rendered is not None
            assert event.last_edited_by == "demo"
            assert is_recent(event.last_edited_at)
            assert event.number_of_edits == len(event.edit_history)


def test_collections_are_complete(api: HfApi, published: str) -> None:
    made = api.create_collection(f"Family of {published}", namespace="demo", description="Students")
    assert absent(made) == set()
    full = api.add_collection_item(made.slug, item_id=published, item_type="model", note="The first")
    assert absent(full) == set()
    assert (full.items[0].item_id, full.items[0].item_type, full.items[0].note) == (
        published, "model", "The first",
    )  # fmt: skip
    [listed] = [each for each in api.list_collections(owner="demo") if each.slug == made.slug]
    assert absent(listed) - {"position"} == set()
    assert api.get_collection(made.slug).items[0].item_id == published


def test_whoami_has_what_the_commands_of_the_client_read(api: HfApi) -> None:
    me = api.whoami()
    assert {"type", "id", "name", "fullname", "isPro", "orgs", "auth"} <= me.keys()
    assert {"name", "fullname", "roleInOrg"} <= me["orgs"][0].keys()
    assert me["auth"]["accessToken"].keys() == {"displayName", "role"}
    json.dumps(me)
