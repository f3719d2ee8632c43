from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from basic_report import basic_report
from cli.conftest import Invoke

from hubdistill.hub.files import LeftOut
from hubdistill.hub.gates import GateCheck, GateResult
from hubdistill.hub.outcome import PushOutcome
from hubdistill.hub.plan import FilePlan

HUB = "https://hub.test/acme/small_model"
COMMIT = "0123456789" * 4


def outcome(**changes: Any) -> dict[str, Any]:
    check = GateCheck("speedup", 2.8, None, 2.0, True, "speedup is 2.8, at least 2 | asked")
    pushed = PushOutcome(
        repo_id="acme/small_model",
        url=HUB,
        commit=COMMIT,
        commit_url=f"{HUB}/commit/{COMMIT}",
        pull_request_url=None,
        revision="main",
        tag="v1.0",
        files=(FilePlan("figures/summary.png", 10, "new"), FilePlan("model.safetensors", 10, "unchanged")),
        left_out=(LeftOut("notes.txt", "not part of the model"),),
        created=False,
        dry_run=False,
        gates=(GateResult("speedup >= 2", True, (check,)),),
    )
    return {**pushed.to_dict(), **changes}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    basic_report().save(tmp_path)
    return tmp_path


def summary(invoke: Invoke, folder: Path, **changes: Any) -> str:
    (folder / "push.json").write_text(json.dumps(outcome(**changes)), encoding="utf-8")
    result = invoke("report", "summary", folder, "--pushed", folder / "push.json")
    assert result.exit_code == 0, result.output
    return str(result.stdout)


def test_the_summary_of_a_report_is_its_claim_and_its_first_figures(invoke: Invoke, folder: Path) -> None:
    printed = invoke("report", "summary", folder).stdout
    assert printed.startswith("**bge-m3-8-layers** maps texts to vectors")
    assert "| Spearman (cosine), STS Benchmark (test) | 0.8391 | 0.8487 | 98.8% |" in printed
    assert "Figures" not in printed
    assert "Gates" not in printed


def test_after_a_push_it_links_commit_and_figures(invoke: Invoke, folder: Path) -> None:
    printed = summary(invoke, folder)
    assert printed.startswith(
        f"### [acme/small_model]({HUB}): [commit 0123456]({HUB}/commit/{COMMIT}), tag `v1.0`\n"
    )
    assert "**small_model** maps texts" in printed
    # Of the figures that the report calls for, one was pushed.
    assert printed.count("/blob/") == 1
    assert f"[Quality and speed beside the teacher]({HUB}/blob/{COMMIT}/figures/summary.png)" in printed
    assert "- `speedup >= 2` met: speedup is 2.8, at least 2 &#124; asked" in printed


def test_a_push_that_changed_nothing_links_the_branch(invoke: Invoke, folder: Path) -> None:
    printed = summary(invoke, folder, commit=None, commit_url=None, tag=None)
    assert printed.startswith(f"### [acme/small_model]({HUB}): nothing had changed\n")
    assert f"{HUB}/blob/main/figures/summary.png" in printed


def test_a_pull_request_is_what_is_linked(invoke: Invoke, folder: Path) -> None:
    page = f"{HUB}/discussions/3"
    printed = summary(invoke, folder, pull_request_url=page, revision="refs/pr/3", tag=None)
    assert printed.startswith(f"### [acme/small_model]({HUB}): [pull request 3]({page})\n")


def test_a_dry_run_links_nothing_that_is_not_there(invoke: Invoke, folder: Path) -> None:
    printed = summary(invoke, folder, dry_run=True, commit=None, commit_url=None)
    assert "a dry run, nothing was sent\n" in printed
    assert "/blob/" not in printed


@pytest.mark.parametrize("content", ["{", "[]", '{"other": 1}'])
def test_a_file_that_no_push_has_written_is_refused(invoke: Invoke, folder: Path, content: str) -> None:
    (folder / "push.json").write_text(content, encoding="utf-8")
    result = invoke("report", "summary", folder, "--pushed", folder / "push.json")
    assert result.exit_code == 2
    assert "--pushed" in result.stderr


def test_for_machines_it_is_a_field(invoke: Invoke, folder: Path) -> None:
    printed = json.loads(invoke("report", "summary", folder, "--format", "json").stdout)
    assert list(printed) == ["markdown"]
