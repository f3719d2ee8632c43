from __future__ import annotations

import errno
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from hubdistill import errors
from hubdistill.cli.errors import INTERRUPTED, ErrorsExplained, explain


def _all_errors(base: type[errors.HubDistillError]) -> list[type[errors.HubDistillError]]:
    return [base, *(found for child in base.__subclasses__() for found in _all_errors(child))]


def _app_that_raises(error: BaseException) -> typer.Typer:
    app = typer.Typer(cls=ErrorsExplained, rich_markup_mode=None, pretty_exceptions_enable=False)

    @app.callback()
    def options() -> None: ...

    @app.command()
    def fail() -> None:
        raise error

    return app


@pytest.mark.parametrize("kind", _all_errors(errors.HubDistillError))
def test_own_errors_give_their_message_and_exit_code(kind: type[errors.HubDistillError]) -> None:
    error = kind("demo", "this") if kind is errors.MissingExtraError else kind("the reason")
    assert explain(error) == (f"Error: {error}", kind.exit_code)


@pytest.mark.parametrize(
    ("error", "exit_code", "message"),
    [
        (errors.RecipeError("no such key"), 2, "Error: no such key\n"),
        (errors.TeacherError("no such teacher"), 1, "Error: no such teacher\n"),
        (KeyboardInterrupt(), 130, INTERRUPTED + "\n"),
        (
            OSError(errno.ENOSPC, "No space left on device", "shard.npy"),
            1,
            "Error: the disk is full (shard.npy); free some space, then run the same command again.\n",
        ),
        (
            OSError(errno.EFBIG, "File too large"),
            1,
            "Error: the disk is full; free some space, then run the same command again.\n",
        ),
        (
            # As safetensors says it.
            RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"),
            1,
            "Error: the disk is full; free some space, then run the same command again.\n",
        ),
        (
            # As PyTorch says it.
            RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 34816 vs 34708"),
            1,
            "Error: the disk is full; free some space, then run the same command again.\n",
        ),
        (
            NotADirectoryError(errno.ENOTDIR, "Not a directory", "file/runs"),
            1,
            "Error: cannot write or read file/runs: Not a directory\n",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied", "/x"),
            1,
            "Error: may not write or read /x: Permission denied\n",
        ),
    ],
)
def test_a_message_and_no_traceback(error: BaseException, exit_code: int, message: str) -> None:
    result = CliRunner().invoke(_app_that_raises(error), ["fail"])
    assert (result.exit_code, result.stderr, result.stdout) == (exit_code, message, "")


def test_an_unexpected_error_says_how_to_see_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HUBDISTILL_DEBUG", raising=False)
    result = CliRunner().invoke(_app_that_raises(ZeroDivisionError("division by zero\nand more")), ["fail"])
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ZeroDivisionError: division by zero\n")
    assert "HUBDISTILL_DEBUG=1" in result.stderr
    assert "Traceback" not in result.stderr


def test_debug_shows_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUBDISTILL_DEBUG", "1")
    result = CliRunner().invoke(_app_that_raises(errors.TeacherError("no such teacher")), ["fail"])
    assert result.exit_code == 1
    assert "Traceback" in result.stderr
    assert result.stderr.endswith("Error: no such teacher\n")


def test_typers_own_exits_pass() -> None:
    assert CliRunner().invoke(_app_that_raises(typer.Exit(7)), ["fail"]).exit_code == 7


def test_a_reader_that_goes_away_is_no_error() -> None:
    code = (
        "import typer\n"
        "from hubdistill.cli.errors import ErrorsExplained\n"
        "app = typer.Typer(cls=ErrorsExplained)\n"
        "@app.callback()\ndef options(): ...\n"
        "@app.command()\ndef talk():\n"
        "    for number in range(100_000): print(number)\n"
        "app()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, "talk"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "0\n"
        process.stdout.close()
        assert process.stderr.read() == ""
