"""`hubdistill evaluate` with models instead of a recipe."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from cli.conftest import Invoke

from hubdistill.report import load_report


@pytest.fixture
def models(tmp_path: Path, tiny_teacher_folder: Path) -> Path:
    """A teacher, the same once more under another name, texts, and a file of settings."""
    for name in ("teacher", "copy"):
        shutil.copytree(tiny_teacher_folder, tmp_path / name)
    (tmp_path / "texts").mkdir()
    lines = [f"the text of {number} and {number * 7 % 60}" for number in range(60)]
    (tmp_path / "texts" / "some.txt").write_text("\n".join(lines), encoding="utf-8")
    (tmp_path / "settings.yaml").write_text("evaluation:\n  bootstrap: 100\n  k: [5]\n", encoding="utf-8")
    return tmp_path


def test_a_model_gets_report_and_figures(models: Path, invoke: Invoke) -> None:
    result = invoke(
        "evaluate", models / "copy", "--teacher", models / "teacher", "--texts", models / "texts" / "*.txt",
        "--settings", "settings.yaml", "--no-speed", "--json",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    (found,) = json.loads(result.stdout)
    report = load_report(models / found["where"])
    assert report.student == found["student"]
    assert {m.value for m in report.find("precision_at_k", model=report.student) if m.plain} == {1.0}
    assert not report.find("texts_per_second")
    assert (models / found["where"] / "figures" / "precision_at_k.png").is_file()
    call = report.measurements[0].reproduce
    assert call.startswith("hubdistill evaluate copy --teacher teacher --texts '*.txt' --settings")
    assert str(models) not in (models / found["where"] / "report.json").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["copy"], "--teacher MODEL"),
        (["recipe.yaml", "--teacher", "teacher"], "these options go with models"),
        (["copy", "--teacher", "teacher", "--settings", "no.yaml"], "cannot read no.yaml"),
        (["copy", "--teacher", "teacher", "--settings", "wrong.yaml"], "did you mean `bootstrap`?"),
        (["copy", "--teacher", "teacher", "--similarity", "no.tsv"], "no.tsv"),
        (["copy", "--teacher", "teacher", "--retrieval", "no"], "corpus.jsonl"),
        (["copy", "--teacher", "teacher"], "there are no texts to measure on"),
    ],
)
def test_mistakes_are_messages(models: Path, invoke: Invoke, arguments: list[str], words: str) -> None:
    (models / "wrong.yaml").write_text("evaluation:\n  bootstraps: 100\n", encoding="utf-8")
    result = invoke("evaluate", *arguments)
    assert result.exit_code in (1, 2)
    assert words in " ".join(result.output.replace("│", " ").split())
    assert "Traceback" not in result.output
