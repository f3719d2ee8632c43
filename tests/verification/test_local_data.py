"""What a report's paths find on this machine: only what is below the folders that its reader names."""

from __future__ import annotations

from pathlib import Path

import pytest

from hubdistill.data_sources import local_files
from hubdistill.errors import CorpusError
from hubdistill.recipe import DataSource
from hubdistill.verification.local_data import LocalData


@pytest.fixture
def here(tmp_path: Path) -> Path:
    for name in ("mine/a/one.txt", "mine/b/one.txt", "mine/b/two.txt", "mine/set/corpus.jsonl", "secret.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


def found(here: Path, named: str, *folders: str) -> list[str]:
    """What a source with these files reads."""
    pattern = LocalData([here / folder for folder in folders]).files(named)
    files = local_files(DataSource(files=(pattern,)), Path("/nowhere"))
    return [path.relative_to(here).as_posix() for path in files]


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ("b/one.txt", ["mine/b/one.txt"]),
        ("two.txt", ["mine/b/two.txt"]),
        ("elsewhere/two.txt", ["mine/b/two.txt"]),
        ("b/*.txt", ["mine/b/one.txt", "mine/b/two.txt"]),
        ("/home/someone/two.txt", ["mine/b/two.txt"]),
        ("C:\\data\\two.txt", ["mine/b/two.txt"]),
        ("../two.txt", ["mine/b/two.txt"]),
    ],
)
def test_a_file_is_found_by_its_path_or_its_name(here: Path, named: str, expected: list[str]) -> None:
    assert found(here, named, "mine") == expected


def test_a_single_file_can_be_named(here: Path) -> None:
    assert found(here, "data/two.txt", "mine/b/two.txt") == ["mine/b/two.txt"]


def test_a_folder_is_found_as_files_are(here: Path) -> None:
    for folder in ("mine", "mine/set"):
        assert LocalData([here / folder]).folder("ir/set") == str(here / "mine" / "set")


def test_a_name_with_brackets_is_a_name(tmp_path: Path) -> None:
    (tmp_path / "a[1]").mkdir()
    (tmp_path / "a[1]" / "one.txt").touch()
    assert found(tmp_path, "one.txt", "a[1]") == ["a[1]/one.txt"]


@pytest.mark.parametrize(
    "named",
    ["../secret.txt", "a/../../secret.txt", "/etc/passwd", "..\\secret.txt", "~/secret.txt", "**", "/"],
)
def test_nothing_else_is_read(here: Path, named: str) -> None:
    with pytest.raises(CorpusError):
        LocalData([here / "mine"]).files(named)
    with pytest.raises(CorpusError):
        LocalData([here / "mine"]).folder(named)


def test_two_files_of_one_name_are_told_apart_by_nobody(here: Path) -> None:
    with pytest.raises(CorpusError, match=r"several times .*a/one\.txt.*b/one\.txt.*--data"):
        LocalData([here / "mine"]).files("one.txt")


def test_all_files_of_one_name(here: Path) -> None:
    def all_found(named: str, *folders: str) -> list[str]:
        found = LocalData([here / folder for folder in folders]).all_files(named)
        return [Path(one).relative_to(here).as_posix() for one in found]

    both = ["mine/a/one.txt", "mine/b/one.txt"]
    assert all_found("elsewhere/one.txt", "mine") == both
    assert all_found("one.txt", "mine/a", "mine/b") == both
    assert all_found("b/one.txt", "mine") == ["mine/b/one.txt"]
    with pytest.raises(CorpusError, match="is not in"):
        all_found("../secret.txt", "mine")


def test_without_folders_nothing_is_read(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(here)
    with pytest.raises(CorpusError, match=r"secret\.txt was a local file; --data"):
        LocalData([]).files("secret.txt")
