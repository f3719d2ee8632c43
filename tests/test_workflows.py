from __future__ import annotations

import os
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
if not WORKFLOWS:
    pytest.skip("an sdist has no workflows", allow_module_level=True)


def read(path: Path) -> dict[str, Any]:
    # YAML 1.1 reads the key `on` as true.
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {"on" if key is True else key: value for key, value in data.items()}


def steps(path: Path) -> list[dict[str, Any]]:
    return [step for job in read(path)["jobs"].values() for step in job.get("steps", [])]


def readme_commands() -> list[str]:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return re.findall(r"^python3 -m venv .*$", text, flags=re.MULTILINE)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_nothing_may_more_than_it_needs(path: Path) -> None:
    workflow = read(path)
    assert workflow["permissions"] == {"contents": "read"}
    assert "concurrency" in workflow
    for name, job in workflow["jobs"].items():
        assert set(job.get("permissions", {})) <= {"contents", "id-token"}, name
        assert job.get("permissions", {}).get("contents", "read") == "read", name


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_checkouts_keep_no_credentials_and_actions_are_pinned(path: Path) -> None:
    for step in steps(path):
        if "uses" in step:
            assert re.search(r"@(release/)?v\d+$", step["uses"])
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_no_expression_is_pasted_into_a_script(path: Path) -> None:
    assert not [step["run"] for step in steps(path) if "${{" in step.get("run", "")]


def test_every_promised_python_is_tested() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    promised = [c.rpartition(" ")[2] for c in project["classifiers"] if re.search(r":: 3\.\d+$", c)]
    matrix = read(ROOT / ".github/workflows/ci.yml")["jobs"]["test"]["strategy"]["matrix"]
    assert matrix["python-version"] == promised
    assert project["requires-python"] == f">={promised[0]}"


def test_a_tag_tests_and_builds_before_anything_is_published() -> None:
    release = read(ROOT / ".github/workflows/release.yml")
    assert release["on"] == {"push": {"tags": ["v*"]}}
    jobs = release["jobs"]
    assert jobs["test"]["uses"] == "./.github/workflows/ci.yml"
    assert jobs["version"]["needs"] == "test"
    assert jobs["package"]["needs"] == jobs["model"]["needs"] == "version"
    assert jobs["package"]["permissions"] == {"id-token": "write"}


def test_the_hub_is_asked_by_trusted_publisher_or_token_never_both() -> None:
    push = read(ROOT / ".github/workflows/release.yml")["jobs"]["model"]["steps"][-1]
    assert push["env"]["HF_OIDC_RESOURCE"].startswith("${{ vars.HF_TRUSTED_PUBLISHER == 'true' &&")
    assert push["env"]["HF_TOKEN"].startswith("${{ vars.HF_TRUSTED_PUBLISHER != 'true' &&")


def test_the_pushed_options_exist() -> None:
    from typer.main import get_command

    from hubdistill.cli import app

    push = read(ROOT / ".github/workflows/release.yml")["jobs"]["model"]["steps"][-1]["run"]
    command = get_command(app).commands["push"]  # type: ignore[attr-defined]
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in shlex.split(push) if word.startswith("--")} <= known


def test_readme_has_exactly_two_set_up_commands_near_the_top() -> None:
    first, second = readme_commands()
    assert first.endswith("&& .venv/bin/hubdistill demo")
    assert second.endswith("&& .venv/bin/pytest -n auto --dist loadfile")
    top = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()[:40]
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
        for step in read(ROOT / ".github/workflows/ci.yml")["jobs"]["lint"]["steps"]
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
