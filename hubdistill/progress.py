"""Progress of long work: a bar on a terminal, a log line now and then anywhere else."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_LINES = 30.0


@contextmanager
def track(
    total: int | None, description: str, *, show: bool | None = None
) -> Iterator[Callable[[int], None]]:
    """Show how far some work is; the block is given a function that advances it.

    Args:
        total: how many steps there are; None when nobody knows.
        description: what is being done, a few words.
        show: whether to draw a bar; by default when stderr is a terminal. Whatever is said here, the
            environment variable HUBDISTILL_PROGRESS=0 switches bars off.
    """
    wanted = sys.stderr.isatty() if show is None else show
    tracker = _bar if wanted and os.environ.get("HUBDISTILL_PROGRESS") != "0" else _log
    with tracker(total, description) as advance:
        yield advance


@contextmanager
def _bar(total: int | None, description: str) -> Iterator[Callable[[int], None]]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Task as BarTask
    from rich.text import Text

    class RateColumn(ProgressColumn):
        def render(self, task: BarTask) -> Text:
            speed = task.finished_speed or task.speed
            return Text(f"{speed:,.0f}/s" if speed else "", style="progress.data.speed")

    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        RateColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
        console=Console(stderr=True),
    )
    with bar:
        task = bar.add_task(description, total=total)
        yield lambda steps: bar.advance(task, steps)


@contextmanager
def _log(total: int | None, description: str) -> Iterator[Callable[[int], None]]:
    start = last = time.monotonic()
    done = 0

    def advance(steps: int) -> None:
        nonlocal done, last
        done += steps
        now = time.monotonic()
        if now - last < SECONDS_BETWEEN_LINES:
            return
        last = now
        rate = done / (now - start)
        left = f", {(total - done) / rate:.0f} s left" if total else ""
        logger.info("%s: %d%s, %.0f/s%s", description, done, f" of {total}" if total else "", rate, left)

    yield advance
