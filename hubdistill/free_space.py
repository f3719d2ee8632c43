"""Whether there is room on a disk for what will be written to it."""

from __future__ import annotations

import shutil
from pathlib import Path

from hubdistill.errors import HubDistillError
from hubdistill.numbers import size


def refuse_full(
    folder: Path, needed: dict[str, int], error: type[HubDistillError], *, otherwise: str = ""
) -> None:
    """Refuse work for whose results the disk has no room.

    Args:
        folder: where they go; it need not exist yet.
        needed: what is written -> bytes.
        error: what to raise.
        otherwise: what else would help, as the end of a sentence.

    Raises:
        HubDistillError: of the kind asked for, with what is needed and what is free.
    """
    while not folder.exists():
        folder = folder.absolute().parent
    free = shutil.disk_usage(folder).free
    if sum(needed.values()) > free:
        parts = ", ".join(f"{size(amount)} for {what}" for what, amount in needed.items() if amount)
        raise error(
            f"{folder} has {size(free)} free, and at least {size(sum(needed.values()))} are needed "
            f"({parts}); "
            f"free some space{otherwise}"
        )
