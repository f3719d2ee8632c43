from __future__ import annotations

import os
import subprocess
import sys

SCRIPT = """
import logging, sys, warnings
from hubdistill.cli.logs import set_up_logs
set_up_logs(verbose={verbose})
logging.getLogger("hubdistill.teacher").info("our remark")
logging.getLogger("some.library").warning("their warning")
warnings.warn("their deprecation")
"""


def _stderr(*, verbose: bool) -> str:
    code = SCRIPT.format(verbose=verbose)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONWARNINGS"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    return done.stderr


def test_only_our_own_remarks_reach_the_terminal() -> None:
    assert _stderr(verbose=False) == "our remark\n"


def test_verbose_shows_what_libraries_say() -> None:
    stderr = _stderr(verbose=True)
    assert stderr.count("our remark") == 1
    assert "WARNING some.library: their warning" in stderr
    assert "their deprecation" in stderr
