"""A fault at a request of a push, a killed push, two pushes at once: what the repository is like afterwards.

The faults are those of a real server (see `hubdistill.localhub.faults`), the client is the real one; only
the waits between its attempts are left out. After each case the repository must be at its old head or at one
complete new commit, and after a push that nothing disturbs at exactly one. `benchmarks/push_faults.py` runs
all cases, tests/hub/test_push_faults.py a part of them.
"""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import random
import shutil
import signal
import struct
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from hub.model_folder import WRITE, write_model
from huggingface_hub import HfApi

from hubdistill.errors import HubDistillError, StaleParentError
from hubdistill.hub import PushOutcome, push
from hubdistill.localhub import Account, Fault, FaultPlan, LocalHub

FIRST, SECOND = "First", "Second"
TITLE = "Small models"
STATUSES = (408, 429, 500, 502, 503, 504)
CONNECTIONS = ("reset before", "reset after", "slow", "truncated", "corrupt")
PART_BYTES = 8_192
"""Of a multipart upload; the weights have three such parts."""


@dataclass(frozen=True)
class Kind:
    """A kind of fault."""

    name: str
    fault: Callable[[int], Fault]


def _kinds() -> dict[str, Kind]:
    def status(code: int) -> Callable[[int], Fault]:
        return lambda index: Fault(code, index=index, retry_after=1 if code == 429 else None)

    def connection(what: Any, times: int | None = 1) -> Callable[[int], Fault]:
        return lambda index: Fault(what, index=index, times=times, seconds=0.02)

    found = {str(code): status(code) for code in STATUSES}
    found["504, but done"] = lambda index: Fault(504, index=index, acted=True)
    found |= {str(what): connection(what) for what in CONNECTIONS}
    found["503 from then on"] = lambda index: Fault(503, index=index, times=None)
    found["reset before from then on"] = connection("reset before", None)
    found["reset after from then on"] = connection("reset after", None)
    return {name: Kind(name, fault) for name, fault in found.items()}


KINDS = _kinds()


@dataclass(frozen=True)
class Scenario:
    """A push onto a repository in some state."""

    name: str
    exists: bool
    options: dict[str, Any]


SCENARIOS = {
    each.name: each
    for each in (
        Scenario("new repository", False, {"tag": "v2", "collection": TITLE}),
        Scenario("second push", True, {"tag": "v2"}),
        Scenario("new branch", True, {"revision": "next"}),
        Scenario("pull request", True, {"create_pr": True}),
    )
}


@dataclass
class Tally:
    """What became of the cases of one kind."""

    at_once: int = 0
    after_retry: int = 0
    refusals: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)

    @property
    def cases(self) -> int:
        """How many there were."""
        return self.at_once + self.after_retry + len(self.refusals)


Tree = dict[str, str]
"""Path -> id of its content."""


def big_weights(fill: int) -> bytes:
    """A safetensors file in three parts."""
    size = 2 * PART_BYTES
    header = {"weight": {"dtype": "F32", "shape": [size // 4], "data_offsets": [0, size]}}
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes([fill]) * size


class Records(logging.Handler):
    """Keeps what every library logs."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


class Campaign:
    """A local Hub, two versions of a model, and pushes of them that are disturbed.

    Args:
        folder: for the Hub and the models.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.hub = LocalHub(folder / "hub", {WRITE: Account("demo")})
        self.names = iter(range(1_000_000))
        self.old = write_model(folder / "old")
        (self.old / "report.json").unlink()  # nothing reads it here, and to search it for secrets takes time
        (self.old / "model.safetensors").write_bytes(big_weights(1))
        self.new = Path(shutil.copytree(self.old, folder / "new"))
        (self.new / "model.safetensors").write_bytes(big_weights(2))
        (self.new / "config.json").write_text("{}")
        (self.new / "vocab.txt").unlink()
        self.trees: dict[str, Tree] = {}
        self.tally: dict[str, Tally] = {}
        self.records = Records()

    @contextmanager
    def running(self) -> Iterator[Campaign]:
        """Serve, without waiting and with all logs in sight."""
        clock = SimpleNamespace(sleep=lambda _: None)
        with ExitStack() as stack:
            for name in ("", "huggingface_hub"):  # which has a handler of its own and passes nothing on
                logger = logging.getLogger(name)
                stack.enter_context(patch.object(logger, "handlers", [self.records]))
                stack.enter_context(patch.object(logger, "level", logging.DEBUG))
            stack.enter_context(patch("hubdistill.hub.retry.time", clock))
            stack.enter_context(patch("huggingface_hub.utils._http.time", clock))
            stack.enter_context(patch("hubdistill.localhub.transfer.PART_BYTES", PART_BYTES))
            stack.enter_context(patch("huggingface_hub.constants.HF_HUB_DISABLE_XET", True))
            stack.enter_context(patch("huggingface_hub.constants.HF_HUB_DISABLE_TELEMETRY", True))
            stack.enter_context(self.hub)
            self.api = HfApi(endpoint=self.hub.endpoint, token=WRITE)
            for folder in (self.old, self.new):
                repo_id = self.new_repo()
                self.send(folder, repo_id)
                self.trees[folder.name] = self.tree(repo_id, "main")
            yield self

    def new_repo(self) -> str:
        """An id that no case has had."""
        return f"demo/student-{next(self.names)}"

    def send(self, folder: Path, repo_id: str, **options: Any) -> PushOutcome:
        """Push."""
        return push(folder, repo_id, **{**self.settings, **options})

    @property
    def settings(self) -> dict[str, Any]:
        """What all pushes have in common."""
        return {"token": WRITE, "endpoint": self.hub.endpoint, "load_back": False}

    def tree(self, repo_id: str, revision: str) -> Tree:
        """A commit's files."""
        entries = self.api.list_repo_tree(repo_id, revision=revision, recursive=True)
        return {entry.path: entry.blob_id for entry in entries if hasattr(entry, "blob_id")}

    def begin(self, scenario: Scenario) -> str:
        """A repository in the state that a scenario starts from."""
        repo_id = self.new_repo()
        if scenario.exists:
            self.send(self.old, repo_id, commit_message=FIRST)
        return repo_id

    def count_requests(self, scenario: Scenario) -> int:
        """How many requests a push makes that nothing disturbs."""
        repo_id = self.begin(scenario)
        self.hub.clear_requests()
        self.send(self.new, repo_id, commit_message=SECOND, **scenario.options)
        return len(self.hub.requests)

    def disturb(self, scenario: Scenario, kind: Kind, index: int) -> None:
        """Push with a fault at one request; look; push again; look."""
        repo_id = self.begin(scenario)
        tally = self.tally.setdefault(kind.name, Tally())
        case = f"{scenario.name}, {kind.name}, request {index}"
        self.hub.clear_requests()
        self.hub.faults = FaultPlan(kind.fault(index))
        told: list[str] = []
        try:
            self.send(self.new, repo_id, commit_message=SECOND, progress=told.append, **scenario.options)
        except HubDistillError as error:
            tally.refusals.append(f"{case}: {error}")
            self._no_token(case, error)
        else:
            retried = any("trying again" in line for line in told)
            retried |= any("Retrying" in line or "Rate limit" in line for line in self.records.lines)
            tally.after_retry += retried
            tally.at_once += not retried
        finally:
            self.hub.faults = FaultPlan()
        self.settle(scenario, repo_id, case, tally)

    def settle(self, scenario: Scenario, repo_id: str, case: str, tally: Tally) -> None:
        """Check the invariants now and after a push that nothing disturbs."""
        violations = self.problems(scenario, repo_id, done=False)
        try:
            self.send(self.new, repo_id, commit_message=SECOND, **scenario.options)
        except HubDistillError as error:
            violations.append(f"the next push fails: {error}")
        violations += self.problems(scenario, repo_id, done=True)
        if any(WRITE in repr(request) for request in self.hub.requests):
            violations.append("a token in the request log")
        if any(WRITE in line for line in self.records.lines):
            violations.append("a token in a log")
        self.records.lines.clear()
        tally.violations += [f"{case}: {violation}" for violation in violations]

    def problems(self, scenario: Scenario, repo_id: str, *, done: bool) -> list[str]:
        """What is wrong with a repository.

        Args:
            scenario: what was pushed.
            repo_id: where.
            done: a push has been answered, so that its commit must be there.
        """
        if not self.api.repo_exists(repo_id):
            return ["no repository after a push"] if done or scenario.exists else []
        refs = self.api.list_repo_refs(repo_id, include_pull_requests=True)
        pulls = [ref.ref for ref in refs.pull_requests or ()]
        branches = [ref.name for ref in refs.branches]
        found = []
        seconds: dict[str, str] = {}
        for revision in (*branches, *pulls):
            commits = self.api.list_repo_commits(repo_id, revision=revision)
            ours = [commit.commit_id for commit in commits if commit.title == SECOND]
            if len(ours) > 1:
                found.append(f"{len(ours)} commits on {revision}")
            if ours and ours[0] != commits[0].commit_id:
                found.append(f"a commit on top of ours on {revision}")
            # Of that commit: the server may still be at the request of a push that was killed.
            tree = self.tree(repo_id, commits[0].commit_id)
            old = self.trees["old"] if scenario.exists else {".gitattributes": tree.get(".gitattributes")}
            if tree != (self.trees["new"] if ours else old):
                found.append(f"a mixture on {revision}: {sorted(tree)}")
            seconds |= dict.fromkeys(ours, revision)
        target = {"pull request": "refs/pr/1", "new branch": "next"}.get(scenario.name, "main")
        if len(seconds) > 1 or not {*seconds.values()} <= {target}:
            found.append(f"new commits on {sorted(seconds.values())}")
        if done and not seconds:
            found.append("no new commit")
        if len(pulls) > (scenario.name == "pull request"):
            found.append(f"{len(pulls)} pull requests")
        tags = {ref.name: ref.target_commit for ref in refs.tags}
        wanted = {"v2": next(iter(seconds), "")} if "tag" in scenario.options else {}
        if tags != wanted and (done or tags):
            found.append(f"tags {tags}")
        if "collection" in scenario.options:
            found += self._collection_problems(repo_id, done=done)
        return found

    def _collection_problems(self, repo_id: str, *, done: bool) -> list[str]:
        slugs = [each.slug for each in self.api.list_collections(owner="demo") if each.title == TITLE]
        inside = [item.item_id for slug in slugs for item in self.api.get_collection(slug).items]
        if len(slugs) > 1 or inside.count(repo_id) > 1 or (done and repo_id not in inside):
            return [f"{len(slugs)} collections, {inside.count(repo_id)} times in them"]
        if done:
            self.api.delete_collection(slugs[0])
        return []

    def _no_token(self, case: str, error: BaseException) -> None:
        if WRITE in "".join(traceback.format_exception(error)):
            self.tally[case.split(", ")[1]].violations.append(f"{case}: a token in an exception")

    def kill(self, scenario: Scenario, rng: random.Random, requests: int) -> None:
        """Kill a push in a process of its own (SIGKILL) at some moment; look; push again; look."""
        repo_id = self.begin(scenario)
        tally = self.tally.setdefault("kill -9", Tally())
        after, late = rng.randrange(requests), rng.uniform(0, 0.02)
        case = f"{scenario.name}, kill -9 {late * 1000:.0f} ms after request {after}"
        self.hub.clear_requests()
        settings = {
            "token": WRITE,
            "endpoint": self.hub.endpoint,
            "load_back": False,
            "commit_message": SECOND,
        }
        process = _processes().Process(
            target=push, args=(self.new, repo_id), kwargs={**settings, **scenario.options}
        )
        process.start()
        while len(self.hub.requests) <= after and process.is_alive():
            time.sleep(0.001)
        time.sleep(late)
        process.kill()
        process.join()
        assert process.exitcode in (0, -signal.SIGKILL), f"{case}: ended by itself, {process.exitcode}"
        if process.exitcode == 0:
            tally.at_once += 1
        else:
            tally.refusals.append(case)
        self.settle(scenario, repo_id, case, tally)

    def race(self, number: int, *, same_files: bool) -> None:
        """Two pushers on one repository: both land, or one is told; nothing of what landed is lost."""
        repo_id = self.new_repo()
        tally = self.tally.setdefault(f"race for {'the same' if same_files else 'different'} files", Tally())
        self.send(self.old, repo_id, commit_message=FIRST)
        folders = []
        for who in (1, 2):
            folder = self.folder / f"racer-{who}"
            shutil.copytree(self.old, folder, dirs_exist_ok=True)
            changed = "config.json" if same_files or who == 1 else "tokenizer_config.json"
            (folder / changed).write_text(json.dumps({"round": number, "pusher": who}))
            (folder / "model.safetensors").write_bytes(big_weights(2 + who) if same_files else big_weights(1))
            folders.append((folder, changed))
        landed: dict[str, str] = {}
        refused: list[HubDistillError] = []
        told: list[str] = []
        start = threading.Barrier(2)

        def go(folder: Path, changed: str) -> None:
            include = () if same_files else (changed,)
            start.wait()
            try:
                outcome = self.send(
                    folder, repo_id, commit_message=folder.name, include=include, progress=told.append
                )
                landed[folder.name] = str(outcome.commit)
            except HubDistillError as error:
                refused.append(error)

        threads = [threading.Thread(target=go, args=arguments) for arguments in folders]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        case = f"race {number}"
        commits = [
            commit for commit in self.api.list_repo_commits(repo_id) if commit.title.startswith("racer")
        ]
        if len(commits) != len(landed) or {c.title: c.commit_id for c in commits} != landed:
            tally.violations.append(f"{case}: {len(landed)} landed, history {[c.title for c in commits]}")
        if any(not isinstance(error, StaleParentError) for error in refused):
            tally.violations.append(f"{case}: {refused}")
        if not landed:
            tally.violations.append(f"{case}: none landed")
        tree = self.tree(repo_id, "main")
        last = commits[0].title
        for folder, changed in folders:
            if folder.name in landed and (folder.name == last or not same_files):
                outcome = self.send(folder, repo_id, include=(changed,), dry_run=True)
                if any(file.status != "unchanged" for file in outcome.files):
                    tally.violations.append(f"{case}: the files of {folder.name} are not there")
        if sorted(tree) != sorted(self.trees["old"]):
            tally.violations.append(f"{case}: files {sorted(tree)}")
        retried = any("has moved" in line for line in told)
        tally.refusals += [f"{case}: {error}" for error in refused[:1]]
        tally.after_retry += retried and not refused
        tally.at_once += not retried and not refused


def _processes() -> Any:
    """Processes that start at once: the client is imported before they are."""
    os.environ.update({"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1"})
    os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["hubdistill.hub"])
    return context
