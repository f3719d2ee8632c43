"""`hubdistill card` for folders that hubdistill did not make, and `--variables`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sample_report import static_report
from typer.testing import Result

Invoke = Callable[..., Result]


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """A model that nobody measured."""
    folder = tmp_path / "foreign"
    folder.mkdir()
    (folder / "modules.json").write_text("[]")
    (folder / "config.json").write_text('{"model_type": "bert"}')
    return folder


def test_incomplete_card_is_written_and_said(invoke: Invoke, foreign: Path) -> None:
    done = invoke("card", foreign)
    assert done.exit_code == 1
    assert done.stdout == f"{foreign / 'README.md'}\n"
    assert done.stderr.startswith("The card is incomplete. Missing:\n- ")
    assert f"hubdistill evaluate {foreign} --teacher MODEL" in done.stderr
    assert "This card is incomplete." in (foreign / "README.md").read_text(encoding="utf-8")


def test_machines_get_its_path(invoke: Invoke, foreign: Path) -> None:
    done = invoke("card", foreign, "--json", "--repo-id", "me/small")
    assert done.exit_code == 1
    assert json.loads(done.stdout) == [str(foreign / "README.md")]
    assert "# small" in (foreign / "README.md").read_text(encoding="utf-8")


def test_readme_of_somebody_else_needs_force(invoke: Invoke, foreign: Path) -> None:
    readme = foreign / "README.md"
    readme.write_text("# Mine\n")
    refused = invoke("card", foreign)
    assert refused.exit_code == 1
    assert "README.md" in refused.stderr
    assert "--force" in refused.stderr
    assert readme.read_text() == "# Mine\n"
    done = invoke("card", foreign, "--force")
    assert "kept as README.old-1.md" in done.stderr
    assert (foreign / "README.old-1.md").read_text() == "# Mine\n"


def test_report_of_another_model_is_a_message(invoke: Invoke, foreign: Path, tmp_path: Path) -> None:
    (foreign / "model.safetensors").write_bytes(b"other")
    done = invoke("card", foreign, "--report", static_report().save(tmp_path))
    assert done.exit_code == 1
    assert "the report is of other weights" in done.stderr
    assert not (foreign / "README.md").exists()


def test_a_recipes_card_needs_neither_model_nor_torch(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(
        "name: family\nteacher: {model: nowhere}\ncorpus: {sources: [{files: [none.txt]}]}\n"
        "students: [{name: small, kind: static}]\npublish: {namespace: me}\n"
    )
    student = tmp_path / "runs/family/students/small"
    student.mkdir(parents=True)
    static_report().save(student)
    code = (
        "import sys; from hubdistill.cli import main; sys.argv[1:] = ['card', 'recipe.yaml']\n"
        "try: main()\nfinally: print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.split() == ["runs/family/students/small/README.md", "False"], done.stderr
    assert 'SentenceTransformer("me/small")' in (student / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "name a recipe or a model's folder"),
        (("nowhere",), "neither a recipe nor a folder"),
        (("recipe.yaml", "--force"), "go with a FOLDER"),
        (("recipe.yaml", "--report", "report.json"), "go with a FOLDER"),
        (("foreign", "--template", "mine.md.j2"), "needs a report"),
    ],
)
def test_wrong_call_says_what_is_right(
    invoke: Invoke, foreign: Path, arguments: tuple[str, ...], said: str
) -> None:
    (foreign.parent / "recipe.yaml").touch()
    done = invoke("card", *arguments)
    assert done.exit_code == 2
    assert said in " ".join(done.stderr.replace("│", " ").split())


def test_variables_are_a_table_for_people(invoke: Invoke) -> None:
    shown = invoke("card", "--variables").stdout
    assert '{% extends "model_card.md.j2" %}' in shown
    assert "Blocks to override: notice, title, claim" in shown
    line = next(line for line in shown.splitlines() if line.startswith("evaluation.similarity "))
    assert line.split("  ")[-1] == "Correlation with reference similarities, student beside teacher."


def test_variables_are_json_for_machines_and_names_for_scripts(invoke: Invoke) -> None:
    found = json.loads(invoke("card", "--variables", "--format", "json").stdout)
    names = [variable["name"] for one in found["templates"] for variable in one["variables"]]
    assert invoke("card", "--variables", "--quiet").stdout.splitlines() == names
    assert found["templates"][0]["blocks"][:3] == ["notice", "title", "claim"]
