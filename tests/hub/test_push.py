"""A push against the local Hub, with the real client."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import huggingface_hub
import pytest
from hub.model_folder import CARD, STRANGER, WRITE, png, push, safetensors, write_model
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, constants

from hubdistill.errors import CardError, PublishError, ReportError, StaleParentError
from hubdistill.hub import PushOutcome
from hubdistill.localhub.server import LocalHub
from hubdistill.model_files import folder_digests

# The client's own LFS upload uses a deprecated argument of its HTTP library.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>':DeprecationWarning")

Push = Callable[..., PushOutcome]


@pytest.fixture
def send(hub: LocalHub, model: Path, repo_id: str) -> Push:
    """Push the model folder to a repository of its own."""

    def send(folder: Path = model, to: str = repo_id, token: str = WRITE, **options: object) -> PushOutcome:
        return push(folder, to, token=token, endpoint=hub.endpoint, **options)  # type: ignore[arg-type]

    return send


@pytest.fixture
def api(hub: LocalHub) -> HfApi:
    return HfApi(endpoint=hub.endpoint, token=WRITE)


def commits(api: HfApi, repo_id: str, revision: str | None = None) -> list[str]:
    """Titles of all commits but the first, which makes the repository; newest first."""
    return [commit.title for commit in api.list_repo_commits(repo_id, revision=revision)][:-1]


def read(api: HfApi, repo_id: str, path: str, revision: str = "main") -> str:
    url = f"{api.endpoint}/{repo_id}/resolve/{revision}/{path}"
    return httpx2.get(url, headers={"authorization": f"Bearer {WRITE}"}, follow_redirects=True).text


def status(outcome: PushOutcome, *wanted: str) -> dict[str, str]:
    return {file.path: file.status for file in outcome.files if file.status in wanted}


def test_first_push_makes_the_repository_and_one_commit(
    send: Push, api: HfApi, repo_id: str, model: Path
) -> None:
    outcome = send()
    assert outcome.created
    assert commits(api, repo_id) == [f"Publish {repo_id.partition('/')[2]} with hubdistill"]
    assert outcome.commit == api.model_info(repo_id).sha
    local = {file.relative_to(model).as_posix() for file in model.rglob("*") if file.is_file()}
    assert set(api.list_repo_files(repo_id)) == local | {".gitattributes"}
    assert status(outcome, "new").keys() == local
    assert outcome.left_out == ()


def test_weights_go_to_lfs_and_come_back_byte_for_byte(
    send: Push, api: HfApi, repo_id: str, model: Path
) -> None:
    send()
    (weights,) = api.get_paths_info(repo_id, ["model.safetensors"])
    assert weights.lfs is not None  # type: ignore[union-attr]
    url = f"{api.endpoint}/{repo_id}/resolve/main/model.safetensors"
    assert httpx2.get(url, follow_redirects=True).content == (model / "model.safetensors").read_bytes()


def test_nothing_changed_makes_no_commit(send: Push, api: HfApi, repo_id: str) -> None:
    send()
    again = send()
    assert again.commit is None
    assert again.commit_url is None
    assert not again.created
    assert set(status(again, "new", "changed", "removed")) == set()
    assert len(commits(api, repo_id)) == 1


def test_one_changed_file_is_the_only_one_in_the_commit(
    send: Push, api: HfApi, repo_id: str, model: Path
) -> None:
    (model / "report.json").unlink()
    send()
    (model / "model.safetensors").write_bytes(safetensors(fill=1))
    outcome = send(commit_message="Better weights\n\nTrained longer.", commit_description="By hand.")
    assert status(outcome, "new", "changed", "removed") == {"model.safetensors": "changed"}
    newest = api.list_repo_commits(repo_id)[0]
    assert (newest.commit_id, newest.title) == (outcome.commit, "Better weights")
    assert newest.message == "Trained longer.\n\nBy hand."


def test_stale_files_of_the_model_go_and_those_of_the_owner_stay(
    send: Push, api: HfApi, repo_id: str, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    send()
    theirs = {
        "LICENSE": b"mine",
        "NOTES.txt": b"mine",
        "onnx/model.onnx": b"mine",
        ".eval_results/x.yaml": b"a: 1",
        "training_args.bin": b"token",
        "pytorch_model.bin": b"old",
        "2_Dense/model.safetensors": safetensors(),
        "data/config.json": b"{}",
    }
    with monkeypatch.context() as plain:
        plain.setattr(constants, "HF_HUB_DISABLE_XET", True)
        additions = [CommitOperationAdd(path, content) for path, content in theirs.items()]
        api.create_commit(repo_id, additions, commit_message="Mine")
    (model / "figures/quality.png").unlink()
    (model / "vocab.txt").unlink()
    outcome = send()
    assert set(status(outcome, "removed")) == {
        "figures/quality.png",
        "vocab.txt",
        "training_args.bin",
        "pytorch_model.bin",
        "2_Dense/model.safetensors",
    }
    left = set(api.list_repo_files(repo_id))
    assert {"LICENSE", "NOTES.txt", "onnx/model.onnx", ".eval_results/x.yaml", "data/config.json"} <= left
    assert not left & set(status(outcome, "removed"))
    assert len(commits(api, repo_id)) == 3


def test_include_limits_what_is_sent_and_what_is_deleted(
    send: Push, api: HfApi, repo_id: str, model: Path
) -> None:
    send()
    (model / "README.md").write_text(CARD + "\nMore.\n")
    (model / "config.json").write_text("{}")
    (model / "figures/quality.png").unlink()
    outcome = send(include=("README.md", "config*.json"), exclude=("config.json",))
    assert status(outcome, "new", "changed", "removed") == {"README.md": "changed"}
    assert "figures/quality.png" in api.list_repo_files(repo_id)


def test_dry_run_tells_everything_and_makes_nothing(
    send: Push, api: HfApi, repo_id: str, model: Path
) -> None:
    outcome = send(dry_run=True)
    assert outcome.dry_run
    assert outcome.created
    assert outcome.commit is None
    assert {"README.md", "model.safetensors"} <= status(outcome, "new").keys()
    assert not api.repo_exists(repo_id)
    send()
    (model / "config.json").write_text("{}")
    assert status(send(dry_run=True, revision="next"), "changed") == {"config.json": "changed"}
    assert len(commits(api, repo_id)) == 1
    assert [branch.name for branch in api.list_repo_refs(repo_id).branches] == ["main"]


def test_outcome_is_json(send: Push) -> None:
    outcome = json.loads(json.dumps(send(dry_run=True).to_dict()))
    assert outcome["files"][0] == {"path": "1_Pooling/config.json", "size": 24, "status": "new"}


def test_outcome_tells_people_what_happened(send: Push, repo_id: str, model: Path) -> None:
    (model / "training_args.bin").write_bytes(b"x")
    lines = str(send(dry_run=True)).splitlines()
    assert lines[0] == f"A push to {repo_id} would commit (13 new)"
    assert "  new        24 bytes  1_Pooling/config.json" in lines
    assert "The repository does not exist yet and would be made." in lines
    assert lines[-1].startswith("  training_args.bin: the Trainer's arguments")
    pushed = send()
    assert str(pushed).startswith(f"Pushed to {repo_id} (13 new)\n  {pushed.commit_url}\n")
    assert str(send()).startswith(f"{repo_id} is up to date: nothing changed, so there is no commit")


def test_warnings_of_the_hub_about_the_card_are_told(send: Push, model: Path) -> None:
    (model / "README.md").write_text(CARD.replace("sentence-similarity", "mind-reading"))
    (note,) = send().notes
    assert note.startswith('the Hub on the card\'s metadata: The pipeline tag "mind-reading" is not in')


def test_private_repository_is_hidden_from_others(send: Push, hub: LocalHub, repo_id: str) -> None:
    send(private=True)
    assert not HfApi(endpoint=hub.endpoint, token=STRANGER).repo_exists(repo_id)
    assert send(private=True).commit is None


def test_private_is_refused_where_the_repository_is_public(send: Push) -> None:
    send()
    with pytest.raises(PublishError, match="exists and is public"):
        send(private=True)


def test_pull_request_holds_one_commit_and_leaves_main_alone(
    send: Push, api: HfApi, repo_id: str, model: Path
) -> None:
    first = send()
    (model / "config.json").write_text("{}")
    outcome = send(create_pr=True, commit_message="Propose")
    assert outcome.revision == "refs/pr/1"
    assert outcome.pull_request_url == f"{api.endpoint}/{repo_id}/discussions/1"
    assert api.model_info(repo_id).sha == first.commit
    assert commits(api, repo_id, "refs/pr/1")[0] == "Propose"
    assert read(api, repo_id, "config.json", "refs%2Fpr%2F1") == "{}"
    api.merge_pull_request(repo_id, 1)
    assert send().commit is None


def test_stranger_may_propose_but_not_push(send: Push, api: HfApi, repo_id: str, model: Path) -> None:
    send()
    (model / "config.json").write_text("{}")
    outcome = send(token=STRANGER, create_pr=True)
    assert outcome.revision == "refs/pr/1"


def test_missing_branch_is_made_from_main(send: Push, api: HfApi, repo_id: str, model: Path) -> None:
    first = send()
    (model / "config.json").write_text("{}")
    outcome = send(revision="next")
    assert outcome.revision == "next"
    assert status(outcome, "new", "changed", "removed") == {"config.json": "changed"}
    assert api.model_info(repo_id).sha == first.commit
    assert api.model_info(repo_id, revision="next").sha == outcome.commit
    assert "The branch next is new, made from main." in str(outcome)
    assert not send(revision="next").branch_created


def test_missing_branch_is_told_where_no_file_differs(send: Push, api: HfApi, repo_id: str) -> None:
    first = send()
    dry = send(revision="next", dry_run=True)
    assert dry.branch_created
    assert str(dry).startswith(f"{repo_id} would get the new branch next; no file differs from main")
    assert [branch.name for branch in api.list_repo_refs(repo_id).branches] == ["main"]
    outcome = send(revision="next")
    assert outcome.branch_created
    assert outcome.commit is None
    assert str(outcome).startswith(f"{repo_id} has the new branch next; no file differs from main")
    assert api.model_info(repo_id, revision="next").sha == first.commit


@pytest.mark.parametrize("dry_run", [True, False])
def test_tag_or_commit_is_no_branch_to_push_to(send: Push, dry_run: bool) -> None:
    commit = send(tag="v1").commit
    for revision in ("v1", commit):
        with pytest.raises(PublishError, match=f"'{revision}' is a tag or a commit .* one of main, or a new"):
            send(revision=revision, dry_run=dry_run)


def test_tag_is_put_on_the_commit_and_may_be_there_already(send: Push, api: HfApi, repo_id: str) -> None:
    outcome = send(tag="v1")
    assert {t.name: t.target_commit for t in api.list_repo_refs(repo_id).tags} == {"v1": outcome.commit}
    assert send(tag="v1").commit is None
    send(tag="v1.0")
    assert {t.target_commit for t in api.list_repo_refs(repo_id).tags} == {outcome.commit}


@pytest.mark.parametrize("dry_run", [False, True])
def test_tag_on_another_commit_is_refused_before_the_upload(
    send: Push, api: HfApi, repo_id: str, model: Path, dry_run: bool
) -> None:
    send(tag="v1")
    (model / "config.json").write_text("{}")
    with pytest.raises(PublishError, match=r"has a tag 'v1' on commit .*choose another --tag"):
        send(tag="v1", dry_run=dry_run)
    assert len(commits(api, repo_id)) == 1


def test_kept_section_written_on_the_hub_survives(send: Push, api: HfApi, repo_id: str, model: Path) -> None:
    send()
    edited = CARD.replace("keep notes -->\n", "keep notes -->\nTested on our tickets.\n")
    api.upload_file(path_or_fileobj=edited.encode(), path_in_repo="README.md", repo_id=repo_id)
    (model / "README.md").write_text(CARD.replace("A small model.", "A smaller model."))
    outcome = send()
    card = read(api, repo_id, "README.md")
    assert "A smaller model." in card
    assert "<!-- hubdistill:keep notes -->\nTested on our tickets.\n<!-- /hubdistill:keep -->" in card
    assert outcome.notes == ()
    assert send().commit is None


def test_local_text_is_published_where_the_hub_has_an_empty_section(
    send: Push, api: HfApi, repo_id: str, model: Path
) -> None:
    send()
    (model / "README.md").write_text(CARD.replace("keep notes -->\n", "keep notes -->\nWritten here.\n"))
    send()
    assert "Written here." in read(api, repo_id, "README.md")
    (model / "README.md").write_text(CARD.replace("keep notes -->\n", "keep notes -->\nWritten anew.\n"))
    send()
    assert "Written anew." in read(api, repo_id, "README.md")


def test_invalid_metadata_is_refused_before_anything_is_made(
    send: Push, api: HfApi, repo_id: str, model: Path
) -> None:
    (model / "README.md").write_text("---\nlicense: my own\n---\n# x\n")
    with pytest.raises(CardError, match="license"):
        send()
    assert not api.repo_exists(repo_id)


def test_gitignore_of_the_repository_is_told_and_nothing_committed(
    send: Push, api: HfApi, repo_id: str, model: Path
) -> None:
    send()
    api.upload_file(path_or_fileobj=b"figures/\n", path_in_repo=".gitignore", repo_id=repo_id)
    (model / "figures/quality.png").write_bytes(png((b"tEXt", b"Software\0other")))
    with pytest.raises(PublishError, match=r"\.gitignore of .* keeps out figures/quality\.png"):
        send()
    assert len(commits(api, repo_id)) == 2


class Unreliable(httpx2.HTTPTransport):
    """A network on which something happens before or after a commit request."""

    before: Callable[[], None] | None = None
    lose_answers = 0
    lose_answers_of = "/commit/"
    status = 0
    """Answer with this status instead, without asking the server."""

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        commit = request.method == "POST" and self.lose_answers_of in request.url.path
        if commit and self.before is not None:
            what, self.before = self.before, None
            what()
        if commit and self.status:
            return httpx2.Response(self.status, json={"error": "try later"}, request=request)
        response = super().handle_request(request)
        if commit and self.lose_answers:
            self.lose_answers -= 1
            response.read()
            raise httpx2.ReadError("connection lost", request=request)
        return response


@pytest.fixture
def network() -> Iterator[Unreliable]:
    transport = Unreliable()
    huggingface_hub.set_client_factory(lambda: httpx2.Client(transport=transport, follow_redirects=True))
    yield transport
    huggingface_hub.set_client_factory(lambda: httpx2.Client(follow_redirects=True))


def commit_elsewhere(api: HfApi, repo_id: str, path: str, content: bytes) -> None:
    """Commit without the client's shared connection, as another machine would."""
    header = {"key": "header", "value": {"summary": f"Edit {path}", "description": ""}}
    file = {"key": "file", "value": {"path": path, "content": content.decode(), "encoding": "utf-8"}}
    httpx2.post(
        f"{api.endpoint}/api/models/{repo_id}/commit/main",
        content="\n".join(map(json.dumps, (header, file))).encode(),
        headers={"authorization": f"Bearer {WRITE}", "content-type": "application/x-ndjson"},
    ).raise_for_status()


def test_moved_head_is_read_again_and_merged(
    send: Push, api: HfApi, repo_id: str, model: Path, network: Unreliable
) -> None:
    send()
    (model / "config.json").write_text("{}")
    (model / "README.md").write_text(CARD.replace("A small model.", "A smaller model."))
    edited = CARD.replace("keep notes -->\n", "keep notes -->\nEdited meanwhile.\n").encode()
    network.before = lambda: commit_elsewhere(api, repo_id, "README.md", edited)
    outcome = send(commit_message="Second")
    assert commits(api, repo_id)[:2] == ["Second", "Edit README.md"]
    assert outcome.commit == api.model_info(repo_id).sha
    card = read(api, repo_id, "README.md")
    assert "Edited meanwhile." in card
    assert "A smaller model." in card


def test_head_that_keeps_moving_ends_in_an_error(
    send: Push, api: HfApi, repo_id: str, model: Path, network: Unreliable
) -> None:
    send()
    (model / "config.json").write_text("{}")
    moves = 0

    def move() -> None:
        nonlocal moves
        moves += 1
        commit_elsewhere(api, repo_id, "NOTES.txt", b"%d" % moves)
        network.before = move

    network.before = move
    with pytest.raises(StaleParentError, match="nothing was committed"):
        send()
    assert moves == 5
    assert read(api, repo_id, "config.json") != "{}"


def test_commit_whose_answer_was_lost_is_recognised(
    send: Push, api: HfApi, repo_id: str, model: Path, network: Unreliable
) -> None:
    send()
    (model / "config.json").write_text("{}")
    (model / "vocab.txt").unlink()
    network.lose_answers = 1
    outcome = send(commit_message="Second")
    assert commits(api, repo_id)[0] == "Second"
    assert len(commits(api, repo_id)) == 2
    assert outcome.commit == api.model_info(repo_id).sha
    assert status(outcome, "changed", "removed") == {"config.json": "changed", "vocab.txt": "removed"}


def test_lost_answer_is_recognised_below_a_later_commit(
    send: Push, api: HfApi, repo_id: str, model: Path, network: Unreliable, monkeypatch: pytest.MonkeyPatch
) -> None:
    send()
    (model / "config.json").write_text("{}")
    network.lose_answers = 1
    monkeypatch.setattr(
        "hubdistill.hub.landing.wait", lambda *_: commit_elsewhere(api, repo_id, "config.json", b"[]")
    )
    outcome = send(commit_message="Second")
    assert commits(api, repo_id)[:2] == ["Edit config.json", "Second"]
    assert outcome.commit == api.list_repo_commits(repo_id)[1].commit_id


def test_pull_request_whose_answer_was_lost_is_not_opened_twice(
    send: Push, api: HfApi, repo_id: str, model: Path, network: Unreliable
) -> None:
    send()
    (model / "config.json").write_text("{}")
    network.lose_answers = 1
    outcome = send(create_pr=True)
    refs = api.list_repo_refs(repo_id, include_pull_requests=True)
    assert [ref.ref for ref in refs.pull_requests or ()] == ["refs/pr/1"] == [outcome.revision]
    assert outcome.pull_request_url == f"{api.endpoint}/{repo_id}/discussions/1"


def test_repository_whose_making_was_not_answered_is_used(
    send: Push, api: HfApi, repo_id: str, network: Unreliable
) -> None:
    network.lose_answers, network.lose_answers_of = 1, "/repos/create"
    outcome = send()
    assert api.model_info(repo_id).sha == outcome.commit
    assert len(commits(api, repo_id)) == 1


def test_hub_that_stays_down_is_told_and_a_later_push_lands(
    send: Push, api: HfApi, repo_id: str, model: Path, network: Unreliable
) -> None:
    send()
    (model / "config.json").write_text("{}")
    network.status = 503
    with pytest.raises(PublishError, match=f"pushing to {repo_id}: .* answered 503 .*try later"):
        send()
    network.status = 0
    assert send().commit == api.model_info(repo_id).sha
    assert len(commits(api, repo_id)) == 2


def test_failure_after_the_commit_says_that_it_was_made(
    send: Push, api: HfApi, repo_id: str, network: Unreliable
) -> None:
    network.status, network.lose_answers_of = 500, "/tag/"
    with pytest.raises(PublishError, match=r"is at commit [0-9a-f]{40}, but .*tagging it failed"):
        send(tag="v1")
    network.status = 0
    assert send(tag="v1").commit is None
    assert [tag.name for tag in api.list_repo_refs(repo_id).tags] == ["v1"]


def test_two_pushers_at_once_both_land(
    hub: LocalHub, api: HfApi, repo_id: str, tmp_path: Path, send: Push
) -> None:
    send()
    folders = [write_model(tmp_path / name, fill=fill) for fill, name in ((7, "one"), (8, "two"))]
    for folder in folders:
        (folder / "figures/quality.png").rename(folder / f"figures/{folder.name}.png")
    outcomes: list[PushOutcome] = []
    threads = [
        threading.Thread(target=lambda f=folder: outcomes.append(send(f, commit_message=f.name)))
        for folder in folders
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(commits(api, repo_id)[:2]) == ["one", "two"]
    last = commits(api, repo_id)[0]
    assert {o.commit for o in outcomes} == {c.commit_id for c in api.list_repo_commits(repo_id)[:2]}
    # Each push is a whole: the last one's files, and none of the other's.
    assert [f for f in api.list_repo_files(repo_id) if f.startswith("figures/")] == [f"figures/{last}.png"]


def test_deleting_what_is_gone_already_is_not_asked_for(
    send: Push, api: HfApi, repo_id: str, model: Path
) -> None:
    send()
    api.create_commit(repo_id, [CommitOperationDelete("vocab.txt")], commit_message="Delete")
    (model / "vocab.txt").unlink()
    assert send().commit is None


def test_report_of_other_weights_is_refused(hub: LocalHub, model: Path, repo_id: str) -> None:
    (model / "model.safetensors").write_bytes(safetensors(fill=1))
    with pytest.raises(ReportError, match=r"of other weights.*hubdistill evaluate"):
        push(model, repo_id, token=WRITE, endpoint=hub.endpoint)
    assert not HfApi(endpoint=hub.endpoint, token=WRITE).repo_exists(repo_id)
    assert push(model, repo_id, token=WRITE, endpoint=hub.endpoint, include=["README.md"]).commit


def test_checkpoints_beside_a_model_are_none_of_its_weights(hub: LocalHub, model: Path, repo_id: str) -> None:
    before = folder_digests(model)
    write_model(model / "checkpoint-10", fill=1)
    assert folder_digests(model) == before
    assert push(model, repo_id, token=WRITE, endpoint=hub.endpoint).commit
