from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from hubdistill.cli import app

Invoke = Callable[..., Result]


@pytest.fixture(autouse=True)
def _settings_restored() -> Iterator[None]:
    """The command line sets up logging and the environment for its own process: undo both."""
    environment = dict(os.environ)
    loggers = [logging.getLogger(), logging.getLogger("hubdistill")]
    before = [(logger, list(logger.handlers), logger.level) for logger in loggers]
    yield
    for logger, handlers, level in before:
        logger.handlers[:] = handlers
        logger.setLevel(level)
    os.environ.clear()
    os.environ.update(environment)


@pytest.fixture
def invoke(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Invoke:
    """Run the command line in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HUBDISTILL_DEBUG", raising=False)
    return lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments])
