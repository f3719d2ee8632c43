"""The publishing workflows, run step by step against the local Hub.

Everything is real but two things, which take minutes: pip, and the measuring of models. Both leave behind
how they were called, and the tests look at that.
"""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest
from github_runner import (
    ROOT,
    Job,
    NotSupportedError,
    RefusedError,
    evaluate,
    expand,
    load,
    own_path,
    parse,
)
from hub.model_folder import CARD, png, report_of
from huggingface_hub import HfApi
from localhub.github_id_tokens import GitHubIdTokens

from hubdistill import __version__
from hubdistill.localhub import Account, LocalHub

WORKFLOWS = ROOT / ".github" / "workflows"
if not WORKFLOWS.is_dir():
    pytest.skip("an sdist has no workflows", allow_module_level=True)

REPO, TAG, TOKEN = "my-name/my-model", "v1.2.3", "hf_owner_of_the_model"
README = parse(
    next(
        block
        for block in re.findall(
            r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.DOTALL
        )
        if "publish-model.yml" in block
    )
)
"""The workflow that the README gives to paste."""


@dataclass
class Machine:
    """A runner's disk: what its Python and hubdistill were called with is in files beside the jobs.

    Args:
        folder: everything is in here.
        model: the folder that a checkout brings, as `model/`.
        measuring: what `hubdistill verify` and `evaluate` do, in shell.
        pushing: what the other commands do; by default, they are run.
    """

    folder: Path
    model: Path | None = None
    measuring: str = "echo 'spearman_cosine  0.8391  0.8390  holds'"
    pushing: str = f'exec "{sys.executable}" -m hubdistill "$@"'
    jobs: list[Job] = field(default_factory=list)

    def job(self, hub: LocalHub | None = None, **more: Any) -> Job:
        """A job on this machine, of the workflow run that a tag started."""
        place = {"HF_ENDPOINT": hub.endpoint, "HF_HUB_DISABLE_XET": "1"} if hub else {}
        job = Job(
            self.folder / f"job-{len(self.jobs)}",
            {"PATH": own_path(), "LANG": "C.UTF-8", "OMP_NUM_THREADS": "1", **place},
            {
                "actions/checkout": self.check_out,
                "actions/setup-python": self.set_up_python,
                "actions/download-artifact": self.download,
            },
            **{"github": {"ref_name": TAG, "ref_type": "tag", "ref": f"refs/tags/{TAG}"}, **more},
        )
        self.jobs.append(job)
        return job

    def calls(self, program: str) -> list[list[str]]:
        """The arguments that a program was called with, in order."""
        path = self.folder / f"{program}-calls"
        return [shlex.split(line) for line in path.read_text().splitlines()] if path.exists() else []

    def check_out(self, job: Job, given: Mapping[str, str]) -> dict[str, str]:
        """Stands in for actions/checkout."""
        assert given == {"persist-credentials": "false", "lfs": "true"}
        if self.model:
            shutil.copytree(self.model, job.workspace / "model")
        return {}

    def download(self, job: Job, given: Mapping[str, str]) -> dict[str, str]:
        """Stands in for actions/download-artifact: the wheel is an empty file."""
        assert given == {"name": "dist", "path": "dist/"}
        (job.workspace / "dist").mkdir()
        (job.workspace / "dist" / "hubdistill-1.2.3-py3-none-any.whl").touch()
        return {}

    def set_up_python(self, job: Job, given: Mapping[str, str]) -> dict[str, str]:
        """Stands in for actions/setup-python: a Python that makes environments at once."""
        assert given == {"python-version": "3.13"}
        record = f"printf '%q ' \"$@\" >> {self.folder}/NAME-calls; echo >> {self.folder}/NAME-calls"
        pip = f'if [[ "$1 $2" = "-m pip" ]]; then {record.replace("NAME", "pip")}; exit 0; fi'
        kept = self._script("inner-python", pip, f'exec "{sys.executable}" "$@"')
        measuring = f"case $1 in verify|evaluate|card) {self.measuring}; exit;; esac"
        command = self._script("hubdistill", record.replace("NAME", "hubdistill"), measuring, self.pushing)
        make = f'mkdir -p "$3/bin"; ln -s "{kept}" "$3/bin/python"; ln -s "{command}" "$3/bin/hubdistill"'
        return {"python-path": str(self._script("python", '[[ "$1 $2" = "-m venv" ]]', make))}

    def _script(self, name: str, *lines: str) -> Path:
        path = self.folder / name
        path.write_text("\n".join(("#!/bin/bash", "set -e", *lines, "")))
        path.chmod(0o755)
        return path


@pytest.fixture(autouse=True, scope="module")
def _no_calls_home() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_TELEMETRY", True)
        yield


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalHub]:
    with LocalHub(tmp_path_factory.mktemp("hub"), tokens={TOKEN: Account("my-name")}) as running:
        yield running


@pytest.fixture(scope="module")
def github() -> Iterator[GitHubIdTokens]:
    """What a job of publish.yml that a tag has started finds."""
    with GitHubIdTokens("me/my-model-code", "publish.yml") as running:
        file = "me/my-model-code/.github/workflows/publish.yml"
        running.claims |= {"ref": f"refs/tags/{TAG}", "workflow_ref": f"{file}@refs/tags/{TAG}"}
        yield running


@pytest.fixture(scope="module")
def id_token(github: GitHubIdTokens) -> tuple[str, str]:
    given = github.environment
    return given["ACTIONS_ID_TOKEN_REQUEST_URL"], given["ACTIONS_ID_TOKEN_REQUEST_TOKEN"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, tiny_teacher_folder: Path) -> Path:
    """A small model that loads, with report, card and figure."""
    folder = tmp_path_factory.mktemp("repository") / "model"
    shutil.copytree(tiny_teacher_folder, folder)
    (folder / "README.md").write_text(CARD, encoding="utf-8")
    weights = (folder / "model.safetensors").read_bytes()
    report = report_of(weights).model_dump_json().replace('"stsb"', '"stsb-test"')
    (folder / "report.json").write_text(report, encoding="utf-8")
    (folder / "figures").mkdir()
    (folder / "figures" / "summary.png").write_bytes(png())
    return folder


@pytest.fixture
def machine(tmp_path: Path, model: Path) -> Machine:
    return Machine(tmp_path, model)


@dataclass(frozen=True)
class Published:
    """What the README's workflow left behind."""

    job: Job
    machine: Machine
    api: HfApi


@pytest.fixture(scope="module")
def published(
    hub: LocalHub,
    github: GitHubIdTokens,
    id_token: tuple[str, str],
    model: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Published:
    """A repository that trusts the workflow, after the workflow has run there."""
    api = HfApi(endpoint=hub.endpoint, token=TOKEN)
    api.create_repo(REPO)
    hub.trust(REPO, repository="me/my-model-code", workflow="publish.yml", issuer=github.issuer)
    machine = Machine(tmp_path_factory.mktemp("machine"), model)
    hub.clear_requests()
    job = machine.job(hub, id_token=id_token).run(README, "publish")
    assert not job.failed, job.log
    return Published(job, machine, api)


def with_inputs(**inputs: Any) -> dict[str, Any]:
    """The README's workflow with other inputs."""
    job = README["jobs"]["publish"]
    return {**README, "jobs": {"publish": {**job, "with": {**job["with"], **inputs}}}}


def head(api: HfApi) -> str | None:
    return api.model_info(REPO).sha


def tags(api: HfApi) -> dict[str, str]:
    return {tag.name: tag.target_commit for tag in api.list_repo_refs(REPO).tags}


def test_the_workflow_of_the_readme_publishes_without_a_secret(published: Published, hub: LocalHub) -> None:
    job, api = published.job, published.api
    commit = head(api)
    assert job.outputs == {"commit": commit, "url": f"{hub.endpoint}/{REPO}/commit/{commit}"}
    assert tags(api) == {TAG: commit}
    assert {"model.safetensors", "report.json", "README.md"} <= set(api.list_repo_files(REPO))
    # The Hub knows who it was: a trusted publisher, not the owner.
    assert {request.account for request in hub.requests if request.route == "commit"} == {"[OIDC]"}
    assert not job.secrets


def test_the_summary_tells_what_was_published(published: Published, hub: LocalHub) -> None:
    summary, commit = published.job.summary, published.job.outputs["commit"]
    assert summary.startswith(f"### [{REPO}]({hub.endpoint}/{REPO}): [commit {commit[:7]}](")
    assert f"tag `{TAG}`" in summary
    assert "| Spearman (cosine), STS Benchmark (test) | 0.8391 | 0.8487 | 98.8% |" in summary
    page = f"{hub.endpoint}/{REPO}/blob/{commit}/figures/summary.png"
    assert f"[Quality and speed beside the teacher]({page})" in summary
    assert "- `spearman_cosine@stsb-test >= 0.95*teacher` met: " in summary
    assert "    spearman_cosine  0.8391  0.8390  holds\n" in summary


def test_no_token_is_written_anywhere(published: Published, id_token: tuple[str, str]) -> None:
    written = published.job.everything_written()
    assert f"Pushing model to {REPO}\ncommit=" in written
    # A token that was exchanged, one that the owner has, an id token, and what buys an id token.
    for secret in ("hf_jwt_", TOKEN, "eyJ", id_token[1]):
        assert secret not in written


def test_what_is_installed_is_the_release_of_the_workflow_with_its_pins(published: Published) -> None:
    (call,) = published.machine.calls("pip")
    assert call[:4] == ["-m", "pip", "install", "-c"]
    assert Path(call[4]).resolve() == ROOT / "constraints.txt"
    assert call[5:] == [f"hubdistill[figures]=={__version__}"]


def test_the_model_is_verified_before_it_is_pushed(published: Published) -> None:
    verified, pushed, _summary = published.machine.calls("hubdistill")
    assert verified == ["verify", "model", "--quick"]
    assert pushed[0] == "push"


@pytest.mark.parametrize(
    ("inputs", "measuring", "said"),
    [
        ({"gates": "speedup >= 2\n\n  speedup >= 100  \n"}, "true", "does not meet 1 of 2 gates"),
        ({}, "echo 'spearman_cosine  0.8391  0.7000  differs'; exit 1", "0.7000  differs"),
    ],
    ids=["a gate is not met", "a claim does not hold"],
)
def test_what_falls_short_is_not_published(
    published: Published,
    hub: LocalHub,
    machine: Machine,
    id_token: tuple[str, str],
    inputs: dict[str, str],
    measuring: str,
    said: str,
) -> None:
    machine.measuring = measuring
    before, changed = head(published.api), machine.folder / "changed"
    shutil.copytree(machine.model or Path(), changed)
    machine.model = changed
    (changed / "README.md").write_text(CARD + "\nOther words.\n", encoding="utf-8")
    job = machine.job(hub, id_token=id_token).run(with_inputs(tag="v2", **inputs), "publish")
    assert job.failed
    assert job.outputs == {"commit": "", "url": ""}
    assert head(published.api) == before
    assert "v2" not in tags(published.api)
    assert job.summary.startswith(f"### Publishing {REPO} failed\n")
    assert said in job.summary
    assert "| Spearman (cosine), STS Benchmark (test) |" in job.summary
    assert job.steps[-1].outcome == "success"


def test_a_repository_that_does_not_trust_the_workflow_gets_nothing(
    published: Published, hub: LocalHub, machine: Machine, id_token: tuple[str, str]
) -> None:
    name = "my-name/another-model"
    published.api.create_repo(name)
    job = machine.job(hub, id_token=id_token).run(with_inputs(**{"repo-id": name}), "publish")
    assert job.failed
    assert "not one that this repository trusts" in job.summary
    assert not published.api.list_repo_commits(name)[0].title.startswith("Publish")


def test_a_release_pushes_its_model_with_the_wheel_that_it_tested(
    published: Published, hub: LocalHub, machine: Machine
) -> None:
    release = load(WORKFLOWS / "release.yml")
    variables = {"HF_REPO_ID": REPO, "MODEL_FOLDER": "model", "MODEL_GATES": "speedup >= 2"}
    built = machine.job().run(release, "version")
    before = head(published.api)
    needs = {"version": {"outputs": built.outputs}}
    job = machine.job(hub, variables=variables, secrets={"HF_TOKEN": TOKEN}).run(
        release, "model", needs=needs
    )
    assert not job.failed, job.log
    # Nothing has changed since, so there is no commit; the tag is there already.
    assert head(published.api) == before
    assert ": nothing had changed, tag" in job.summary
    assert machine.calls("pip")[0][-1] == "dist/hubdistill-1.2.3-py3-none-any.whl"
    assert TOKEN not in job.everything_written()


def test_a_release_without_a_model_pushes_none(machine: Machine) -> None:
    with pytest.raises(NotSupportedError, match="skipped"):
        machine.job().run(load(WORKFLOWS / "release.yml"), "model", needs={})


def test_a_tag_that_is_not_the_packages_version_stops_a_release(machine: Machine) -> None:
    job = machine.job(github={"ref_name": "v1.2.4"}).run(load(WORKFLOWS / "release.yml"), "version")
    assert job.failed


OUTCOME = """echo '{"repo_id": "a/b", "url": "u", "commit": null, "commit_url": null,
"pull_request_url": "u/discussions/1", "revision": "refs/pr/1", "files": [], "gates": [], "tag": null,
"dry_run": false}'"""
PUSH = ["push", "model", "--repo-id", REPO, "--format", "json"]
GATES = ["--gate", "spearman_cosine@stsb-test >= 0.95*teacher", "--gate", "no_regression"]


@pytest.mark.parametrize(
    ("inputs", "github", "calls"),
    [
        (
            {"check": "none", "gates": "a >= 1\n  b >= '2' * \"x\"; $(touch broken)\n", "tag": "v7"},
            {},
            [[*PUSH, "--gate", "a >= 1", "--gate", "b >= '2' * \"x\"; $(touch broken)", "--tag", "v7"]],
        ),
        ({"check": "none", "gates": ""}, {"ref_type": "branch", "ref_name": "main"}, [PUSH]),
        ({"check": "none", "create-pr": True}, {}, [[*PUSH, *GATES, "--create-pr"]]),
        ({"check": "none", "force": True, "gates": ""}, {}, [[*PUSH, "--tag", TAG, "--force"]]),
        (
            {"quick": False, "data": "my data", "teacher": "a/b"},
            {},
            [["verify", "model", "--data", "my data", "--teacher", "a/b"], [*PUSH, *GATES, "--tag", TAG]],
        ),
        (
            {"check": "evaluate", "recipe": "recipe.yaml", "gates": ""},
            {},
            [
                ["evaluate", "recipe.yaml"],
                ["card", "model", "--repo-id", REPO],
                [*PUSH, "--tag", TAG],
            ],
        ),
        (
            {"check": "evaluate", "teacher": "BAAI/bge-m3", "settings": "a b.yaml", "gates": ""},
            {},
            [
                ["evaluate", "model", "--teacher", "BAAI/bge-m3", "--output", ".", "--settings", "a b.yaml"],
                ["card", "model", "--repo-id", REPO],
                [*PUSH, "--tag", TAG],
            ],
        ),
    ],
    ids=["gates", "branch", "pull request", "force", "verify all", "recipe", "teacher"],
)
def test_inputs_become_options(
    tmp_path: Path, inputs: dict[str, Any], github: dict[str, str], calls: list[list[str]]
) -> None:
    machine = Machine(tmp_path, pushing=OUTCOME)
    job = machine.job(github={"ref_type": "tag", "ref_name": TAG, **github})
    job.run(with_inputs(**inputs), "publish")
    assert not job.failed, job.log
    here = str(job.workspace.resolve())
    assert [[word.replace(here, ".") for word in call] for call in machine.calls("hubdistill")] == calls
    assert job.outputs["url"] == "u/discussions/1"


def test_a_model_without_a_report_is_published_and_said_to_be(tmp_path: Path) -> None:
    job = Machine(tmp_path, pushing=OUTCOME).job().run(with_inputs(gates="", check="none"), "publish")
    assert not job.failed, job.log
    assert job.summary == f"### [{REPO}](u/discussions/1)\n"


@pytest.mark.parametrize(("given", "seen"), [({"HF_TOKEN": TOKEN}, TOKEN), ({}, "hf_of_the_job")])
def test_the_token_can_read_what_is_measured(tmp_path: Path, given: dict[str, str], seen: str) -> None:
    machine = Machine(tmp_path, measuring='printf "$HF_TOKEN" > read-with', pushing=OUTCOME)
    caller = with_inputs(gates="")
    caller["jobs"]["publish"]["secrets"] = given
    job = machine.job()
    job.environment = {**job.environment, "HF_TOKEN": "hf_of_the_job"}
    job.run(caller, "publish")
    assert not job.failed, job.log
    assert (job.workspace / "read-with").read_text() == seen


@pytest.mark.parametrize("inputs", [{"check": "evaluate"}, {"check": "verfiy"}], ids=["nothing", "typo"])
def test_a_check_that_cannot_be_made_is_an_error(tmp_path: Path, inputs: dict[str, str]) -> None:
    machine = Machine(tmp_path, pushing=OUTCOME)
    job = machine.job().run(with_inputs(**inputs), "publish")
    assert job.failed
    assert "::error::" in job.log
    assert not machine.calls("hubdistill")


def test_a_job_that_may_not_ask_for_an_id_token_is_refused(machine: Machine) -> None:
    job = {**README["jobs"]["publish"], "permissions": {"contents": "read"}}
    with pytest.raises(RefusedError, match="id-token"):
        machine.job().run({**README, "jobs": {"publish": job}}, "publish")


def test_a_job_without_id_token_permission_cannot_reach_the_service(tmp_path: Path) -> None:
    step = {"run": "env", "shell": "bash"}
    job = Machine(tmp_path).job(id_token=("http://127.0.0.1/idtoken", "asks"))
    job.run({"jobs": {"a": {"permissions": {"contents": "read"}, "steps": [step]}}}, "a")
    assert "ACTIONS_ID_TOKEN" not in job.log


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("inputs.token == '' && inputs.repo || ''", "a/b"),
        ("inputs.repo == 'A/B'", True),
        ("!vars.unset && vars.unset != 'x'", True),
        ("'it''s'", "it's"),
        ("steps.push.outputs.commit", None),
    ],
)
def test_expressions(expression: str, value: object) -> None:
    contexts = {"inputs": {"token": "", "repo": "a/b"}, "vars": {}, "steps": {"push": {"outputs": {}}}}
    assert evaluate(expression, contexts) == value


@pytest.mark.parametrize("expression", ["inputs.typo", "format('{0}', 1)", "github.sha", "1 <", "'a' 'b'"])
def test_expressions_that_are_not_understood_are_errors(expression: str) -> None:
    with pytest.raises(NotSupportedError):
        expand(f"x ${{{{ {expression} }}}}", {"inputs": {}, "github": {}})
