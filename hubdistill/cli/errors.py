"""From exceptions to what a person reads, and to exit codes.

2: the call or the recipe makes no sense; 1: it cannot be done; 130: interrupted.
"""

from __future__ import annotations

import errno
import os
import sys
import traceback
from typing import Any

import typer
from typer.core import TyperGroup

from hubdistill.errors import HubDistillError

DEBUG = "HUBDISTILL_DEBUG"
"""Environment variable that asks for tracebacks."""

INTERRUPTED = "Interrupted. What was finished is kept; the same command continues from there."


class ErrorsExplained(TyperGroup):
    """A group of commands whose exceptions end in a message and an exit code, not in a traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            # The reader went away (`| head`). Python flushes stdout once more at exit: let it go nowhere.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(1) from None
        except (KeyboardInterrupt, Exception) as error:
            if _is_typers_own(error):
                raise
            if os.environ.get(DEBUG):
                traceback.print_exc()
            message, code = explain(error)
            typer.echo(message, err=True)
            raise typer.Exit(code) from None
        return result


def explain(error: BaseException) -> tuple[str, int]:
    """What to tell a person about an exception, and the exit code."""
    match error:
        case KeyboardInterrupt():
            return INTERRUPTED, 130
        case HubDistillError():
            return f"Error: {error}", error.exit_code
        case _ if full := _full_disk(error):
            where = f" ({full.filename})" if isinstance(full, OSError) and full.filename else ""
            return f"Error: the disk is full{where}; free some space, then run the same command again.", 1
        case OSError(errno=errno.EACCES | errno.EPERM | errno.EROFS):
            return f"Error: may not write or read {error.filename}: {error.strerror}", 1
        case OSError(filename=str() | os.PathLike(), strerror=str()):
            return f"Error: cannot write or read {error.filename}: {error.strerror}", 1
        case _:
            first_line = str(error).strip().partition("\n")[0]
            return (
                f"Error: {type(error).__name__}: {first_line}\n"
                f"This was not expected. {DEBUG}=1 in the environment shows the traceback."
            ), 1


def _full_disk(error: BaseException) -> BaseException | None:
    """The exception that a full disk (or quota, or file size limit) began with.

    Libraries written in other languages only say so in their message: safetensors in the system's words,
    PyTorch by a checkpoint that ends elsewhere than it should.
    """
    found: BaseException | None = error
    while found is not None:
        number = found.errno if isinstance(found, OSError) else None
        said = any(
            words in str(found)
            for words in ("No space left on device", "PytorchStreamWriter", "unexpected pos")
        )
        if said or number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            return found
        found = found.__cause__ or found.__context__
    return None


def _is_typers_own(error: BaseException) -> bool:
    """Whether typer itself will print this one (usage errors) or needs it (exit).

    Older typers used click's exceptions, newer ones have their own.
    """
    return type(error).__module__.partition(".")[0] in ("typer", "click")
