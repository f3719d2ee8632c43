from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from github_runner import ROOT, load

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
ACTIONS = sorted((ROOT / ".github" / "actions").glob("*/action.yml"))
if not WORKFLOWS:
    pytest.skip("an sdist has no workflows", allow_module_level=True)


def steps(path: Path) -> list[dict[str, Any]]:
    content = load(path)
    if "runs" in content:
        return list(content["runs"]["steps"])
    return [step for job in content["jobs"].values() for step in job.get("steps", [])]


def readme() -> str:
    return (ROOT / "README.md").read_text(encoding="utf-8")


def readme_commands() -> list[str]:
    return re.findall(r"^python3 -m venv .*$", readme(), flags=re.MULTILINE)


def checks() -> list[list[str]]:
    """The commands of .ci/run that look at the workflows."""
    lines = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    commands = [line.removeprefix(".ci/venv/bin/") for line in lines if line.startswith(".ci/venv/bin/")]
    return [command.split() for command in commands if command.startswith(("zizmor", "check-jsonschema"))]


def run_check(command: list[str], root: Path) -> subprocess.CompletedProcess[str]:
    """Run a check that is installed beside this Python, as a shell in `root` would."""
    tool, *arguments = command
    found = [sorted(map(str, root.glob(one))) if "*" in one else [one] for one in arguments]
    path = shutil.which(tool, path=str(Path(sys.executable).parent)) or shutil.which(tool)
    assert path, f"{tool} is not installed"
    return subprocess.run(
        [path, *(word for words in found for word in words)],
        capture_output=True,
        text=True,
        cwd=root,
        env={**os.environ, "NO_COLOR": "1"},
    )


@pytest.mark.parametrize("command", checks(), ids=lambda command: Path(command[-1]).parent.name or "all")
def test_workflows_pass_their_checks(command: list[str]) -> None:
    done = run_check(command, ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("checked", "file", "good", "bad"),
    [
        ("zizmor", "workflows/ci.yml", "persist-credentials: false", "fetch-depth: 1"),
        (
            "zizmor",
            "workflows/release.yml",
            "artifact@3e5f45b2cfb9172054b4087a40e8e0b5a5461e7c",
            "artifact@v8",
        ),
        ("zizmor", "actions/publish-model/action.yml", "rm -f", 'echo "${{ inputs.check }}"; rm -f'),
        ("vendor.github-workflows", "workflows/publish-model.yml", "type: number", "type: numbre"),
        ("vendor.github-actions", "actions/publish-model/action.yml", "using: composite", "using: composed"),
    ],
)
def test_the_checks_find_what_is_wrong(tmp_path: Path, checked: str, file: str, good: str, bad: str) -> None:
    shutil.copytree(ROOT / ".github", tmp_path / ".github")
    path = tmp_path / ".github" / file
    content = path.read_text(encoding="utf-8")
    assert good in content
    path.write_text(content.replace(good, bad), encoding="utf-8")
    (command,) = (command for command in checks() if checked in command)
    assert run_check(command, tmp_path).returncode


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_nothing_may_more_than_it_needs(path: Path) -> None:
    workflow = load(path)
    assert workflow["permissions"] == {}
    assert "concurrency" in workflow
    for name, job in workflow["jobs"].items():
        assert set(job["permissions"]) <= {"contents", "id-token"}, name
        assert job["permissions"].get("contents", "read") == "read", name


@pytest.mark.parametrize("path", [*WORKFLOWS, *ACTIONS], ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_checkouts_keep_no_credentials_and_actions_are_pinned(path: Path) -> None:
    for step in steps(path):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False
    uses = re.findall(r"uses: (?!\$/)(.+)", path.read_text(encoding="utf-8"))
    assert not [one for one in uses if not re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", one)]


def test_each_action_has_one_pin() -> None:
    content = "".join(path.read_text(encoding="utf-8") for path in [*WORKFLOWS, *ACTIONS])
    pins = set(re.findall(r"uses: ([\w/-]+)@(.+)", content))
    assert len(pins) == len({action for action, _ in pins})


@pytest.mark.parametrize("path", [*WORKFLOWS, *ACTIONS], ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_no_expression_is_pasted_into_a_script(path: Path) -> None:
    assert not [step["run"] for step in steps(path) if "${{" in step.get("run", "")]


def test_nothing_that_is_published_comes_out_of_a_cache() -> None:
    jobs = load(ROOT / ".github/workflows/ci.yml")["jobs"]
    assert "upload-artifact" in str(jobs["wheel"])
    assert "cache" not in str(jobs["wheel"])
    for name in ("release", "publish-model"):
        assert "cache" not in (ROOT / f".github/workflows/{name}.yml").read_text(encoding="utf-8")
    assert "cache" not in ACTIONS[0].read_text(encoding="utf-8")


def test_action_and_workflow_take_the_same() -> None:
    """The workflow passes on every input of the action, with the action's default and words."""
    action = load(ACTIONS[0])
    workflow = load(ROOT / ".github/workflows/publish-model.yml")
    called = workflow["on"]["workflow_call"]
    (step,) = [step for step in workflow["jobs"]["publish"]["steps"] if step.get("id") == "publish"]
    assert set(step["with"]) == set(action["inputs"])
    assert set(action["inputs"]) - {"token"} <= set(called["inputs"])
    for name in set(action["inputs"]) - {"token"}:
        ours, theirs = action["inputs"][name], called["inputs"][name]
        assert step["with"][name] == f"${{{{ inputs.{name} }}}}"
        assert str(theirs.get("default", "")).lower() == ours.get("default", "")
        assert theirs.get("required", False) == ours.get("required", False)
    assert set(called["outputs"]) == set(action["outputs"])


def test_every_promised_python_is_tested() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    promised = [c.rpartition(" ")[2] for c in project["classifiers"] if re.search(r":: 3\.\d+$", c)]
    matrix = load(ROOT / ".github/workflows/ci.yml")["jobs"]["test"]["strategy"]["matrix"]
    assert matrix["python-version"] == promised
    assert project["requires-python"] == f">={promised[0]}"


def test_a_tag_tests_and_builds_before_anything_is_published() -> None:
    release = load(ROOT / ".github/workflows/release.yml")
    assert release["on"] == {"push": {"tags": ["v*"]}}
    jobs = release["jobs"]
    assert jobs["test"]["uses"] == "$/.github/workflows/ci.yml"
    assert jobs["version"]["needs"] == "test"
    assert jobs["package"]["needs"] == jobs["model"]["needs"] == "version"
    assert jobs["package"]["permissions"] == {"id-token": "write"}
    for name in ("package", "model"):
        assert "pip install" not in str(jobs[name]), "what is published was built and tested before"


def test_publishing_jobs_have_environments() -> None:
    jobs = load(ROOT / ".github/workflows/release.yml")["jobs"]
    assert (jobs["package"]["environment"], jobs["model"]["environment"]) == ("pypi", "hub")


def test_the_commands_of_the_action_exist() -> None:
    from typer.main import get_command

    from hubdistill.cli import app

    scripts = "\n".join(step.get("run", "") for step in load(ACTIONS[0])["runs"]["steps"])
    commands: Any = get_command(app)
    called = re.findall(r'"\$(?:environment/)?hubdistill" (report summary|\w+)', scripts)
    assert set(called) == {"verify", "evaluate", "card", "push", "report summary"}
    known = set()
    for name in called:
        command = commands
        for word in name.split():
            command = command.commands[word]
        known |= {option for parameter in command.params for option in parameter.opts}
    own = {"--"}
    asked = {word.strip("()") for word in shlex.split(scripts, comments=True) if word.startswith("--")}
    assert asked - own <= known


def test_readme_has_exactly_two_set_up_commands_near_the_top() -> None:
    first, second = readme_commands()
    assert first.endswith("&& .venv/bin/hubdistill demo")
    assert second.endswith("&& .venv/bin/pytest -n auto --dist loadfile")
    top = readme().splitlines()[:40]
    assert first in top
    assert second in top


def test_ci_run_is_the_second_command_in_an_environment_of_its_own() -> None:
    script = ROOT / ".ci" / "run"
    text = script.read_text(encoding="utf-8")
    wanted = readme_commands()[1].replace(".venv", ".ci/venv").replace("python3 ", '"${PYTHON:-python3}" ', 1)
    assert wanted in text.splitlines()
    assert text.index("rm -rf .ci/venv") < text.index(wanted)
    assert "set -euo pipefail" in text
    assert os.access(script, os.X_OK)


def test_ci_run_and_the_workflow_check_the_same() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    checks = [line.removeprefix(".ci/venv/bin/") for line in script if line.startswith(".ci/venv/bin/")]
    lint = [
        step["run"]
        for step in load(ROOT / ".github/workflows/ci.yml")["jobs"]["lint"]["steps"]
        if "run" in step
    ]
    assert lint[1:] == checks


def test_every_dependency_is_pinned() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = [
        *project["dependencies"],
        *(r for extra in project["optional-dependencies"].values() for r in extra),
    ]
    names = {re.split(r"[\[<>=]", requirement)[0].lower() for requirement in asked} - {"hubdistill"}
    assert names <= set(pins)
    assert list(pins) == sorted(pins)
