"""Folders that appear whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from hubdistill import atomic


def replace(path: Path, text: str, *, interrupted: bool = False) -> None:
    with atomic.new_folder(path) as beside:
        (beside / "a.txt").write_text(text)
        if interrupted:
            raise KeyboardInterrupt


def test_new_folder_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    for text in ("old", "new"):
        replace(tmp_path / "model", text)
        assert (tmp_path / "model/a.txt").read_text() == text
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("interrupted", ["filling it", "its last step"])
def test_old_folder_stays_when_the_new_one_is_not_finished(
    interrupted: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace(tmp_path / "model", "old")
    real = Path.rename

    def rename(self: Path, target: Path) -> Path:
        if (self / "a.txt").read_text() == "new":
            raise KeyboardInterrupt
        return real(self, target)

    if interrupted == "its last step":
        monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(KeyboardInterrupt):
        replace(tmp_path / "model", "new", interrupted=interrupted == "filling it")
    assert (tmp_path / "model/a.txt").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_link_to_a_folder_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "model").symlink_to(tmp_path / "elsewhere")
    replace(tmp_path / "model", "new")
    assert (tmp_path / "model").is_symlink()
    assert (tmp_path / "elsewhere/a.txt").read_text() == "new"
