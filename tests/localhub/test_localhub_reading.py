"""What clients read: info, trees, files, ranges, errors."""

from __future__ import annotations

import http.client
from pathlib import Path

import httpx2
import pytest
from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from hubdistill.localhub import LocalHub

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

CARD = b"""---
license: apache-2.0
language:
- en
- "no"
library_name: sentence-transformers
pipeline_tag: sentence-similarity
tags:
- sentence-transformers
base_model: acme/teacher
base_model_relation: finetune
datasets:
- acme/texts
model-index:
- name: student
  results:
  - task:
      type: semantic-similarity
    dataset:
      type: acme/sts
      name: STS
    metrics:
    - type: spearman_cosine
      value: 0.78
---
# Student
"""


@pytest.fixture
def filled(api: HfApi, repo: str) -> str:
    operations = [
        CommitOperationAdd("README.md", CARD),
        CommitOperationAdd("1_Pooling/config.json", b'{"pooling": "mean"}'),
        CommitOperationAdd("model.safetensors", bytes(range(100)) * 30),
    ]
    api.create_commit(repo, operations, commit_message="Publish")
    return repo


def test_info_carries_the_cards_metadata(api: HfApi, filled: str) -> None:
    info = api.model_info(filled)
    assert info.author == "demo"
    assert info.card_data is not None
    assert info.card_data.language == ["en", "no"]
    assert info.card_data.base_model == "acme/teacher"
    [result] = info.card_data.eval_results
    assert (result.metric_type, result.metric_value, result.dataset_name) == ("spearman_cosine", 0.78, "STS")
    assert info.pipeline_tag == "sentence-similarity"
    assert info.library_name == "sentence-transformers"
    assert {
        "safetensors",
        "license:apache-2.0",
        "dataset:acme/texts",
        "base_model:acme/teacher",
        "base_model:finetune:acme/teacher",
        "no",
    } <= set(info.tags or [])


def test_info_lists_files_with_sizes_on_request(api: HfApi, filled: str) -> None:
    plain = {sibling.rfilename: sibling for sibling in api.model_info(filled).siblings or []}
    assert plain["model.safetensors"].size is None
    full = {
        sibling.rfilename: sibling for sibling in api.model_info(filled, files_metadata=True).siblings or []
    }
    assert full["model.safetensors"].size == 3000
    assert full["model.safetensors"].lfs is not None
    assert full["README.md"].lfs is None


def test_info_expands_only_what_is_asked(api: HfApi, filled: str) -> None:
    info = api.model_info(filled, expand=["sha", "tags"])
    assert info.sha is not None
    assert info.siblings is None
    with pytest.raises(HfHubHTTPError, match="cannot expand nonsense"):
        api.model_info(filled, expand=["nonsense"])  # type: ignore[list-item]


def test_info_at_a_revision(api: HfApi, filled: str) -> None:
    first = api.list_repo_commits(filled)[-1].commit_id
    info = api.model_info(filled, revision=first)
    assert info.sha == first
    assert [sibling.rfilename for sibling in info.siblings or []] == [".gitattributes"]
    assert api.model_info(filled, revision=first[:8]).sha == first


def test_a_tree_is_one_folder_unless_recursive(api: HfApi, filled: str) -> None:
    top = [item.path for item in api.list_repo_tree(filled)]
    assert top == [".gitattributes", "1_Pooling", "README.md", "model.safetensors"]
    assert [item.path for item in api.list_repo_tree(filled, "1_Pooling")] == ["1_Pooling/config.json"]
    assert "1_Pooling/config.json" in [item.path for item in api.list_repo_tree(filled, recursive=True)]


def test_a_tree_names_the_last_commit_of_each_entry(api: HfApi, filled: str) -> None:
    api.upload_file(
        path_or_fileobj=b"{}", path_in_repo="1_Pooling/config.json", repo_id=filled, commit_message="Fix"
    )
    items = api.list_repo_tree(filled, recursive=True, expand=True)
    titles = {item.path: item.last_commit.title for item in items}
    assert titles == {
        ".gitattributes": "initial commit",
        "1_Pooling": "Fix",
        "1_Pooling/config.json": "Fix",
        "README.md": "Publish",
        "model.safetensors": "Publish",
    }


def test_a_missing_folder_is_an_entry_not_found(api: HfApi, filled: str) -> None:
    with pytest.raises(EntryNotFoundError):
        list(api.list_repo_tree(filled, "nowhere"))


def test_paths_info_leaves_out_what_is_missing(api: HfApi, filled: str) -> None:
    found = api.get_paths_info(filled, ["1_Pooling", "README.md", "nope.txt"], expand=True)
    assert [item.path for item in found] == ["1_Pooling", "README.md"]
    assert found[1].last_commit.title == "Publish"


def test_files_download_and_are_cached_by_content(api: HfApi, filled: str, tmp_path: Path) -> None:
    path = Path(api.hf_hub_download(filled, "model.safetensors", cache_dir=tmp_path))
    assert path.read_bytes() == bytes(range(100)) * 30
    [file] = api.get_paths_info(filled, "model.safetensors")
    assert path.resolve().name == file.lfs.sha256


def test_a_missing_file_is_remembered_as_missing(api: HfApi, filled: str, tmp_path: Path) -> None:
    with pytest.raises(EntryNotFoundError):
        api.hf_hub_download(filled, "modules.json", cache_dir=tmp_path)
    assert len(list(tmp_path.glob("*/.no_exist/*/modules.json"))) == 1
    assert not api.file_exists(filled, "modules.json")


def test_a_snapshot_of_a_tag_is_that_revision(api: HfApi, filled: str, tmp_path: Path) -> None:
    api.create_tag(filled, tag="v1.0", tag_message="First release")
    api.upload_file(path_or_fileobj=b"later", path_in_repo="later.txt", repo_id=filled)
    folder = Path(api.snapshot_download(filled, revision="v1.0", cache_dir=tmp_path))
    assert (folder / "README.md").read_bytes() == CARD
    assert not (folder / "later.txt").exists()
    assert (Path(api.snapshot_download(filled, cache_dir=tmp_path)) / "later.txt").exists()


def test_errors_tell_repository_from_revision(api: HfApi, filled: str) -> None:
    with pytest.raises(RepositoryNotFoundError):
        api.model_info("demo/nothing")
    with pytest.raises(RepositoryNotFoundError):
        api.model_info("no-namespace")
    with pytest.raises(RevisionNotFoundError):
        api.model_info(filled, revision="nowhere")
    assert not api.repo_exists("demo/nothing")
    assert not api.revision_exists(filled, "nowhere")


@pytest.mark.parametrize("name", ["README.md", "model.safetensors"])
@pytest.mark.parametrize(
    ("asked", "first", "last"), [("bytes=0-9", 0, 9), ("bytes=20-", 20, None), ("bytes=-5", -5, None)]
)
def test_parts_of_files_are_served(
    api: HfApi, filled: str, hub: LocalHub, name: str, asked: str, first: int, last: int | None
) -> None:
    url = f"{hub.endpoint}/{filled}/resolve/main/{name}"
    whole = httpx2.get(url)
    part = httpx2.get(url, headers={"Range": asked})
    assert part.status_code == 206
    assert part.content == whole.content[first : None if last is None else last + 1]
    assert part.headers["content-range"].endswith(f"/{len(whole.content)}")


def test_a_range_outside_of_the_file_is_refused(filled: str, hub: LocalHub) -> None:
    url = f"{hub.endpoint}/{filled}/resolve/main/model.safetensors"
    answer = httpx2.get(url, headers={"Range": "bytes=3000-"})
    assert answer.status_code == 416
    assert answer.headers["content-range"] == "bytes */3000"


def test_head_tells_size_content_and_commit(api: HfApi, filled: str, hub: LocalHub) -> None:
    answer = httpx2.head(f"{hub.endpoint}/{filled}/resolve/main/model.safetensors")
    [file] = api.get_paths_info(filled, "model.safetensors")
    assert answer.headers["content-length"] == answer.headers["x-linked-size"] == "3000"
    assert answer.headers["x-linked-etag"] == f'"{file.lfs.sha256}"'
    assert answer.headers["x-repo-commit"] == api.model_info(filled).sha


def test_pages_cannot_run_what_was_uploaded(api: HfApi, repo: str, hub: LocalHub) -> None:
    api.upload_file(path_or_fileobj=b"<script>alert(1)</script>", path_in_repo="x.html", repo_id=repo)
    answer = httpx2.get(f"{hub.endpoint}/{repo}/resolve/main/x.html")
    assert answer.headers["content-type"].startswith("text/plain")
    assert "sandbox" in answer.headers["content-security-policy"]


def test_models_are_listed_by_author_and_filter(api: HfApi, filled: str) -> None:
    assert filled in [model.id for model in api.list_models(author="demo")]
    assert filled in [model.id for model in api.list_models(filter="base_model:acme/teacher")]
    assert list(api.list_models(author="nobody")) == []
    assert len(list(api.list_models(author="demo", limit=1))) == 1
    [found] = [model for model in api.list_models(author="demo", cardData=True) if model.id == filled]
    assert found.card_data is not None
    assert found.card_data.license == "apache-2.0"


def test_data_sets_are_kept_apart_from_models(api: HfApi, repo: str) -> None:
    api.create_repo(repo, repo_type="dataset")
    api.upload_file(path_or_fileobj=b"a\n", path_in_repo="a.csv", repo_id=repo, repo_type="dataset")
    assert "a.csv" in api.list_repo_files(repo, repo_type="dataset")
    assert "a.csv" not in api.list_repo_files(repo)
    assert api.dataset_info(repo).id == repo


@pytest.mark.parametrize(
    "path",
    [
        "/api/..%2Fmodels/demo/x",
        "/api/../demo/x",
        "/api/..",
        "/api/models/../x",
        "/api/models/..%2F..%2Fetc/passwd",
        "/../../etc/passwd",
        "/..%2Fa/b/c",
    ],
)
def test_names_cannot_leave_the_folder(hub: LocalHub, path: str) -> None:
    connection = http.client.HTTPConnection(hub.endpoint.removeprefix("http://"))
    connection.request("GET", path)
    assert connection.getresponse().status == 404
    connection.close()
