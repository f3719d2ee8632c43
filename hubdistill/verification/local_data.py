"""Files of this machine that a published report may speak of: those below folders that the reader names.

A report is written by a stranger. The paths in it say what a file was called, not what may be read.
"""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from hubdistill.errors import CorpusError


class LocalData:
    """Finds files and folders by the names that a report has for them.

    Args:
        folders: where they may be; also single files.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self.folders = [folder.expanduser().absolute() for folder in folders]

    def files(self, named: str) -> str:
        """Where a file, or the files of a pattern, are.

        Args:
            named: a name, relative path or pattern.

        Returns:
            An absolute path or pattern.

        Raises:
            CorpusError: it is nowhere, or in several places.
        """
        place, name = self._place(named, folder=False)
        return str(Path(glob.escape(str(place))) / name)

    def all_files(self, named: str) -> list[str]:
        """As `files`, of all places where there are such files, the likeliest first.

        Raises:
            CorpusError: it is nowhere.
        """
        relative = _inner(named)
        name = PurePosixPath(relative).name
        found = {
            str(Path(glob.escape(str(one))) / relative): None
            for one in self.folders
            if any(path.is_file() for path in one.glob(relative))
        }
        if not found:
            places = {path.parent: None for one in self.folders for path in sorted(one.rglob(name))}
            found = {
                str(Path(glob.escape(str(place))) / name): None
                for place in places
                if any(path.is_file() for path in place.glob(name))
            }
        return list(found) if len(found) > 1 else [self.files(named)]

    def folder(self, named: str) -> str:
        """Where a folder is, as `files`."""
        place, name = self._place(named, folder=True)
        return str(place / name)

    def _place(self, named: str, *, folder: bool) -> tuple[Path, str]:
        relative = _inner(named)
        if not self.folders:
            raise CorpusError(f"{relative} was a local file; --data names the folder that has it here")

        def fits(path: Path) -> bool:
            return path.is_dir() if folder else path.is_file()

        for one in self.folders:
            if any(fits(path) for path in one.glob(relative)):
                return one, relative
        name = PurePosixPath(relative).name
        found = {path.parent for one in self.folders for path in one.rglob(name) if fits(path)}
        found |= {one.parent for one in self.folders if one.name == name and fits(one)}
        if not found:
            raise CorpusError(
                f"{name} is not in {', '.join(map(str, self.folders))}; --data names its folder"
            )
        if len(found) > 1:
            places = ", ".join(sorted(str(place / name) for place in found))
            raise CorpusError(
                f"{name} is there several times ({places}); let --data name one of their folders"
            )
        return found.pop(), name


def _inner(named: str) -> str:
    """A path that stays inside the folder that it is looked up in."""
    parts = [part for part in named.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    if not parts or parts[-1] == "**":
        raise CorpusError(f"{named!r} names no file")
    return "/".join(parts)
