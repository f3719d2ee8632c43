"""A student's folder as a push would take it along."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hubdistill.errors import CardError, PublishError
from hubdistill.hub.files import CARD, LeftOut, role_of, select


@dataclass(frozen=True)
class Folder:
    """What of a folder would be published.

    Args:
        path: the folder.
        files: path in the repository -> file on disk.
        left_out: what would stay behind, and why.
        incomplete: why a push would refuse the folder; '' for a complete model.
    """

    path: Path
    files: dict[str, Path]
    left_out: tuple[LeftOut, ...] = ()
    incomplete: str = ""

    def card(self) -> bytes:
        """README.md; empty where there is none."""
        return self.files[CARD].read_bytes() if CARD in self.files else b""


def read_folder(path: Path) -> Folder:
    """Read which files of a folder would be published; a folder that is no complete model has some, too."""
    try:
        selection = select(path)
    except PublishError as error:
        found = (*path.glob("*"), *path.glob("*/*"))
        inside = {
            file.relative_to(path).as_posix(): file
            for file in sorted(found)
            if file.is_file() and file.resolve().is_relative_to(path.resolve())
        }
        return Folder(path, {name: file for name, file in inside.items() if role_of(name)}, (), str(error))
    return Folder(path, selection.files, selection.left_out)


def find_folder(source: Path) -> Path:
    """The folder of a card, from the folder or the card itself.

    Raises:
        CardError: there is neither.
    """
    if source.is_dir():
        return source
    if source.is_file() and source.name == CARD:
        return source.parent
    raise CardError(f"there is no folder {source}; give a student's folder, or the {CARD} in it")
