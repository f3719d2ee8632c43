from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli.conftest import Invoke

EXAMPLES = sorted((Path(__file__).parents[2] / "recipes").glob("*.yaml"))


@pytest.mark.parametrize("recipe", EXAMPLES, ids=lambda path: path.stem)
def test_dry_run_says_every_step_and_does_none(invoke: Invoke, recipe: Path, tmp_path: Path) -> None:
    result = invoke("run", recipe, "--dry-run", "--json")
    assert result.exit_code == 0
    assert list(json.loads(result.stdout)) == ["embed", "distill", "evaluate", "card", "push"]
    assert list(tmp_path.iterdir()) == []


def test_dry_run_with_push_names_the_repositories(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(
        "name: n\nteacher: {model: t}\ncorpus: {sources: [{files: [a.txt]}]}\n"
        "students: [{name: small, layers: [0, 5]}]\n"
        "publish: {namespace: me, private: true, gates: [speedup >= 2, no_regression]}\n"
    )
    steps = json.loads(invoke("run", "r.yaml", "--dry-run", "--push", "--json").stdout)
    assert steps["push"] == "me/small (private), if speedup >= 2 and no_regression"
    assert steps["distill"] == "small (layers 0, 5)"
    assert steps["embed"] == "all texts from a.txt with t, 3% held out"


def test_dry_run_warns_of_a_push_without_a_namespace(invoke: Invoke) -> None:
    steps = json.loads(invoke("run", EXAMPLES[0], "--dry-run", "--push", "--json").stdout)
    assert "publish.namespace" in steps["push"]


@pytest.mark.parametrize("command", ["run", "embed", "distill", "evaluate"])
def test_a_mistake_in_the_recipe_is_told_before_anything_is_loaded(
    invoke: Invoke, tmp_path: Path, command: str
) -> None:
    (tmp_path / "r.yaml").write_text("name: n\nteachr: {model: t}\n")
    result = invoke(command, "r.yaml")
    assert result.exit_code == 2
    assert "teachr: unknown key; did you mean `teacher`?" in result.stderr
    assert "Traceback" not in result.output
