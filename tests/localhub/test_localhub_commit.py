"""Files on their way in: create, commit, upload, delete, races."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationCopy, CommitOperationDelete, HfApi
from huggingface_hub.errors import BadRequestError, EntryNotFoundError, HfHubHTTPError, RevisionNotFoundError

from hubdistill.localhub import LocalHub, transfer

# huggingface_hub sends large files with an argument that its own HTTP library has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

CARD = b"---\nlicense: mit\n---\n# Student\n"


def git(hub: LocalHub, repo: str, *arguments: str) -> str:
    path = hub.folder / "models" / f"{repo}.git"
    try:
        done = subprocess.run(["git", "-C", path, *arguments], capture_output=True, text=True, check=True)
    except FileNotFoundError:
        pytest.skip("git is not installed")
    return done.stdout


def test_a_new_repository_holds_gitattributes_only(api: HfApi, repo: str) -> None:
    assert api.list_repo_files(repo) == [".gitattributes"]


def test_creating_twice_needs_exist_ok(api: HfApi, repo: str) -> None:
    with pytest.raises(HfHubHTTPError, match="409"):
        api.create_repo(repo)
    assert api.create_repo(repo, exist_ok=True).repo_id == repo


def test_a_name_without_namespace_is_the_users_own(api: HfApi) -> None:
    assert api.create_repo("bare-name").repo_id == "demo/bare-name"
    api.delete_repo("bare-name")


def test_one_commit_holds_regular_and_large_files(api: HfApi, repo: str, hub: LocalHub) -> None:
    weights = bytes(range(256)) * 40
    operations = [
        CommitOperationAdd("README.md", CARD),
        CommitOperationAdd("model.safetensors", weights),
        CommitOperationAdd("1_Pooling/config.json", b"{}"),
    ]
    done = api.create_commit(repo, operations, commit_message="Publish", commit_description="All of it.")
    files = {file.path: file for file in api.list_repo_tree(repo, recursive=True)}
    assert set(files) == {
        ".gitattributes",
        "README.md",
        "1_Pooling",
        "1_Pooling/config.json",
        "model.safetensors",
    }
    assert files["README.md"].lfs is None
    assert files["model.safetensors"].lfs.size == files["model.safetensors"].size == len(weights)
    assert [commit.title for commit in api.list_repo_commits(repo)] == ["Publish", "initial commit"]
    assert api.model_info(repo).sha == done.oid
    assert done.commit_url == f"{hub.endpoint}/{repo}/commit/{done.oid}"


def test_plain_git_reads_the_stored_repository(api: HfApi, repo: str, hub: LocalHub) -> None:
    operations = [CommitOperationAdd("README.md", CARD), CommitOperationAdd("weights.bin", b"\0" * 3000)]
    done = api.create_commit(repo, operations, commit_message="Publish")
    assert git(hub, repo, "log", "-1", "--format=%H %an %s").strip() == f"{done.oid} demo Publish"
    assert git(hub, repo, "show", "main:README.md") == CARD.decode()
    pointer = git(hub, repo, "show", "main:weights.bin").splitlines()
    assert pointer[0] == "version https://git-lfs.github.com/spec/v1"
    assert pointer[2] == "size 3000"
    oid = pointer[1].removeprefix("oid sha256:")
    stored = hub.folder / "models" / f"{repo}.git" / "lfs" / "objects" / oid[:2] / oid[2:4] / oid
    assert stored.read_bytes() == b"\0" * 3000
    git(hub, repo, "fsck", "--strict")


def test_a_large_file_without_pattern_gets_a_line_in_gitattributes(
    api: HfApi, repo: str, hub: LocalHub, tmp_path: Path
) -> None:
    paths = ["figures/a plot.png", "[x]*.json"]
    api.create_commit(repo, [CommitOperationAdd(path, b"\x89\0\1") for path in paths], commit_message="Plots")
    attributes = Path(api.hf_hub_download(repo, ".gitattributes", cache_dir=tmp_path)).read_text()
    assert attributes.endswith(
        "figures/a[[:space:]]plot.png filter=lfs diff=lfs merge=lfs -text\n"
        "\\[x\\]\\*.json filter=lfs diff=lfs merge=lfs -text\n"
    )
    said = (
        git(hub, repo, "--attr-source=main", "check-attr", "filter", "--", *paths)
        if _git_has_attr_source()
        else None
    )
    assert said is None or said.count("filter: lfs") == 2


def _git_has_attr_source() -> bool:
    try:
        version = subprocess.run(["git", "--version"], capture_output=True, text=True, check=True).stdout
    except FileNotFoundError:
        return False
    return tuple(int(part) for part in version.split()[2].split(".")[:2]) >= (2, 41)


def test_a_file_above_the_regular_limit_is_large_whatever_its_name(api: HfApi, repo: str) -> None:
    api.upload_file(path_or_fileobj=b"x" * 5_000_001, path_in_repo="vocab.txt", repo_id=repo)
    [file] = api.get_paths_info(repo, "vocab.txt")
    assert file.lfs is not None


def test_a_file_in_parts_arrives_whole(
    api: HfApi, repo: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(transfer, "PART_BYTES", 1000)
    content = bytes(range(250)) * 14
    api.upload_file(path_or_fileobj=content, path_in_repo="model.bin", repo_id=repo)
    assert Path(api.hf_hub_download(repo, "model.bin", cache_dir=tmp_path)).read_bytes() == content


def test_the_same_content_is_not_sent_twice(api: HfApi, repo: str) -> None:
    first = api.upload_file(path_or_fileobj=b"\0same", path_in_repo="a.bin", repo_id=repo)
    again = api.upload_file(path_or_fileobj=b"\0same", path_in_repo="a.bin", repo_id=repo)
    assert again.oid == first.oid
    assert len(api.list_repo_commits(repo)) == 2


def test_a_folder_uploaded_again_unchanged_makes_no_commit(api: HfApi, repo: str, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_bytes(CARD)
    (tmp_path / "model.safetensors").write_bytes(b"\0" * 2000)
    first = api.upload_folder(repo_id=repo, folder_path=tmp_path)
    assert api.upload_folder(repo_id=repo, folder_path=tmp_path).oid == first.oid
    (tmp_path / "model.safetensors").write_bytes(b"\1" * 2000)
    assert api.upload_folder(repo_id=repo, folder_path=tmp_path).oid != first.oid


def test_gitignore_keeps_files_out(api: HfApi, repo: str, tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("*.log\ncheckpoint-*/\n")
    (tmp_path / "train.log").write_text("x")
    (tmp_path / "checkpoint-1").mkdir()
    (tmp_path / "checkpoint-1" / "optimizer.pt").write_bytes(b"\0x")
    (tmp_path / "config.json").write_text("{}")
    api.upload_folder(repo_id=repo, folder_path=tmp_path)
    assert api.list_repo_files(repo) == [".gitattributes", ".gitignore", "config.json"]


def test_a_stale_parent_is_refused_with_412(api: HfApi, repo: str) -> None:
    parent = api.model_info(repo).sha
    add = [CommitOperationAdd("a.txt", b"a")]
    done = api.create_commit(repo, add, commit_message="First", parent_commit=parent)
    with pytest.raises(HfHubHTTPError, match="A commit has happened since") as caught:
        api.create_commit(
            repo, [CommitOperationAdd("b.txt", b"b")], commit_message="Late", parent_commit=parent
        )
    assert caught.value.response.status_code == 412
    assert api.model_info(repo).sha == done.oid


def test_a_shortened_parent_is_enough(api: HfApi, repo: str) -> None:
    head = api.model_info(repo).sha
    assert head is not None
    api.create_commit(repo, [CommitOperationAdd("a.txt", b"a")], commit_message="A", parent_commit=head[:7])


def test_of_racing_commits_exactly_one_wins(api: HfApi, repo: str) -> None:
    parent = api.model_info(repo).sha
    outcomes: list[object] = []
    start = threading.Barrier(6)

    def race(number: int) -> None:
        start.wait()
        try:
            add = [CommitOperationAdd(f"{number}.txt", b"x")]
            outcomes.append(api.create_commit(repo, add, commit_message=f"By {number}", parent_commit=parent))
        except HfHubHTTPError as error:
            outcomes.append(error.response.status_code)

    threads = [threading.Thread(target=race, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count(412) == 5
    assert len(api.list_repo_commits(repo)) == 2


def test_commits_without_parent_all_land(api: HfApi, repo: str) -> None:
    def upload(number: int) -> None:
        api.upload_file(path_or_fileobj=b"x%d" % number, path_in_repo=f"{number}.txt", repo_id=repo)

    threads = [threading.Thread(target=upload, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(api.list_repo_files(repo)) == 6


def test_files_and_folders_can_be_deleted(api: HfApi, repo: str) -> None:
    paths = ["a.txt", "old/b.txt", "old/deep/c.txt", "older.txt"]
    api.create_commit(repo, [CommitOperationAdd(path, path.encode()) for path in paths], commit_message="Add")
    api.delete_file("a.txt", repo)
    api.delete_folder("old", repo)
    assert api.list_repo_files(repo) == [".gitattributes", "older.txt"]


def test_deleting_what_is_not_there_is_said(api: HfApi, repo: str) -> None:
    with pytest.raises(EntryNotFoundError, match="A file with this name doesn't exist"):
        api.delete_file("missing.txt", repo)
    with pytest.raises(EntryNotFoundError, match="A folder with this name doesn't exist"):
        api.delete_folder("missing", repo)


def test_replacing_a_folder_in_one_commit(api: HfApi, repo: str) -> None:
    api.create_commit(repo, [CommitOperationAdd("onnx/old.txt", b"1")], commit_message="Old")
    operations = [CommitOperationDelete("onnx/"), CommitOperationAdd("onnx/new.txt", b"2")]
    api.create_commit(repo, operations, commit_message="New")
    assert api.list_repo_files(repo) == [".gitattributes", "onnx/new.txt"]


def test_a_file_can_be_copied(api: HfApi, repo: str) -> None:
    api.create_commit(
        repo, [CommitOperationAdd("a.bin", b"\0a"), CommitOperationAdd("a.txt", b"a")], commit_message="A"
    )
    operations = [CommitOperationCopy("a.bin", "b.bin"), CommitOperationCopy("a.txt", "b.txt")]
    api.create_commit(repo, operations, commit_message="B")
    first, second = api.get_paths_info(repo, ["a.bin", "b.bin"])
    assert first.lfs == second.lfs
    assert api.file_exists(repo, "b.txt")


@pytest.mark.parametrize("path", ["../up.txt", "a//b.txt", "a/./b.txt", "back\\slash"])
def test_paths_that_no_checkout_can_hold_are_refused(api: HfApi, repo: str, path: str) -> None:
    operation = CommitOperationAdd("ok.txt", b"x")
    operation.path_in_repo = path
    with pytest.raises(BadRequestError, match="not a path a repository can hold"):
        api.create_commit(repo, [operation], commit_message="Bad")


def test_a_file_cannot_also_be_a_folder(api: HfApi, repo: str) -> None:
    operations = [CommitOperationAdd("a", b"x"), CommitOperationAdd("a/b", b"x")]
    with pytest.raises(BadRequestError, match="cannot be a file and hold"):
        api.create_commit(repo, operations, commit_message="Bad")


def test_a_commit_to_a_missing_branch_is_refused(api: HfApi, repo: str) -> None:
    with pytest.raises(RevisionNotFoundError):
        api.upload_file(path_or_fileobj=b"x", path_in_repo="a.txt", repo_id=repo, revision="nowhere")


def test_a_large_file_that_never_arrived_cannot_be_committed(
    api: HfApi, repo: str, client: Callable[[str | bool], HfApi]
) -> None:
    operation = CommitOperationAdd("model.bin", b"\0lost")
    operation._upload_mode = "lfs"
    operation._is_uploaded = True
    with pytest.raises(BadRequestError, match="was not uploaded"):
        api.create_commit(repo, [operation], commit_message="Lost")


def test_an_invalid_card_stops_the_upload(api: HfApi, repo: str) -> None:
    with pytest.raises(ValueError, match='"license" must be one of'):
        api.upload_file(path_or_fileobj=b"---\nlicense: mine\n---\n", path_in_repo="README.md", repo_id=repo)


@pytest.mark.filterwarnings("ignore:Warnings while validating")
def test_the_commit_itself_checks_the_card_too(
    api: HfApi, repo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(HfApi, "_validate_yaml", lambda *_, **__: None)
    with pytest.raises(BadRequestError, match='"license" must be one of'):
        api.upload_file(path_or_fileobj=b"---\nlicense: mine\n---\n", path_in_repo="README.md", repo_id=repo)


def test_a_card_without_metadata_warns(api: HfApi, repo: str) -> None:
    with pytest.warns(UserWarning, match="empty or missing yaml metadata"):
        api.upload_file(path_or_fileobj=b"# Hi\n", path_in_repo="README.md", repo_id=repo)
