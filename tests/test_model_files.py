"""Digests of a model's folder: they change with what its vectors depend on, and with nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from hubdistill.model_files import folder_digests, model_bytes


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    (tmp_path / "config.json").write_text("{}")
    return tmp_path


@pytest.mark.parametrize(
    "name", ["config.json", "1_Pooling/config.json", "vocab.txt", "modeling_own.py", "chat_template.jinja"]
)
def test_what_vectors_depend_on_changes_the_content(folder: Path, name: str) -> None:
    weights, content = folder_digests(folder)
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("something else")
    assert folder_digests(folder)[0] == weights
    assert folder_digests(folder)[1] != content


@pytest.mark.parametrize(
    "name", ["README.md", "report.json", "figures/summary.png", "checkpoint-5/config.json", "onnx/model.json"]
)
def test_cards_reports_and_exports_do_not(folder: Path, name: str) -> None:
    before = folder_digests(folder)
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("something else")
    assert folder_digests(folder) == before


def test_a_whole_model_in_a_subfolder_does_not_count(folder: Path) -> None:
    before = folder_digests(folder), model_bytes(folder)
    other = folder / "final"
    (other / "1_Pooling").mkdir(parents=True)
    for name in ("modules.json", "config.json", "model.safetensors", "1_Pooling/config.json"):
        (other / name).write_text("[]")
    assert (folder_digests(folder), model_bytes(folder)) == before


def test_a_module_counts_even_if_it_has_modules_of_its_own(folder: Path) -> None:
    (folder / "modules.json").write_text('[{"path": ""}, {"path": "1_Inner"}]')
    before = model_bytes(folder)
    (folder / "1_Inner").mkdir()
    (folder / "1_Inner" / "modules.json").write_text("[]")
    assert model_bytes(folder) > before
