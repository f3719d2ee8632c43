"""Folders that hubdistill did not make: what lies in them stays, and a report must be of their weights."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from itertools import count
from pathlib import Path

from hubdistill.atomic import write_bytes
from hubdistill.errors import CardError, ReportError
from hubdistill.model_files import folder_digests, sha256_of, weight_files
from hubdistill.report import DistillationReport
from hubdistill.results import student_model

logger = logging.getLogger(__name__)

_OURS = re.compile(r"<!-- (?:Written by hubdistill|hubdistill:keep)\b")
_DOWNLOADS = Path(".cache", "huggingface", "download")
"""Where `hf download --local-dir` notes commit and digest of each file."""


def read_card(path: Path) -> str | None:
    """The card at a place, None where there is none.

    Raises:
        CardError: it is not UTF-8.
    """
    try:
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as error:
        raise CardError(
            f"{path} is not UTF-8 ({error.reason} at byte {error.start}), so its kept sections cannot be "
            "read; save it as UTF-8, or move it away for a new card"
        ) from None


def is_ours(card: str) -> bool:
    """Whether hubdistill wrote a card, so that what is to stay on it stands in kept sections."""
    return _OURS.search(card) is not None


def refuse_to_replace(files: Sequence[Path], *, force: bool) -> None:
    """Insist on --force before files that somebody else wrote make way.

    Raises:
        CardError: there are some.
    """
    if files and not force:
        names = " and ".join(file.name for file in files)
        kept = " and ".join(_free_name(file).name for file in files)
        raise CardError(
            f"there is already {names} in {files[0].parent}, not written by hubdistill for this card; add "
            f"--force to replace, and the old stays as {kept}"
        )


def set_aside(files: Sequence[Path]) -> None:
    """Copy files to names that are free, before others take their places."""
    for file in files:
        kept = _free_name(file)
        write_bytes(kept, file.read_bytes())
        logger.warning("%s that was there is kept as %s", file.name, kept.name)


def refuse_other_weights(report: DistillationReport, folder: Path) -> None:
    """Insist that a report is of the model in a folder.

    Raises:
        ReportError: it is of other weights, or that cannot be told.
        TeacherError: there are no weights.
    """
    recorded = student_model(report).revision
    here, _ = folder_digests(folder)
    if recorded in (here, _downloaded_commit(folder)):
        return
    measure = f"hubdistill evaluate {folder} --teacher {report.teacher}"
    if recorded.startswith("sha256:"):
        raise ReportError(
            f"the report is of other weights: models.{report.student}.revision is {recorded[:19]}..., and "
            f"those in {folder} are {here[:19]}...; measure these: {measure}"
        )
    raise ReportError(
        f"the report is of commit {recorded[:12]} on the Hub, and {folder} does not say that it was "
        f"downloaded at it (hf download --revision {recorded[:12]} --local-dir); or measure it: {measure}"
    )


def _downloaded_commit(folder: Path) -> str | None:
    """The commit that all weights were downloaded at and are still of; None where none is known."""
    commits = set()
    for weights in weight_files(folder):
        note = folder / _DOWNLOADS / f"{weights.relative_to(folder).as_posix()}.metadata"
        try:
            commit, digest, *_ = note.read_text(encoding="utf-8").split()
        except (OSError, ValueError):
            return None
        if digest != sha256_of(weights):
            return None
        commits.add(commit)
    return commits.pop() if len(commits) == 1 else None


def _free_name(file: Path) -> Path:
    numbered = (file.with_name(f"{file.stem}.old-{number}{file.suffix}") for number in count(1))
    return next(name for name in numbered if not name.exists())
