"""What reaches the terminal from the libraries underneath: by default nothing but their errors.

Set before any of them is imported, since most read the environment at import.
"""

from __future__ import annotations

import logging
import os
import sys
import warnings

QUIETER = {
    "TRANSFORMERS_VERBOSITY": "error",
    "DATASETS_VERBOSITY": "error",
    "HF_HUB_VERBOSITY": "error",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
    # Tokenizers warn when a process forks after they have started threads.
    "TOKENIZERS_PARALLELISM": "true",
}


class _StderrLines(logging.Handler):
    """Writes to whatever sys.stderr is at the time: a progress bar replaces it while it is drawn."""

    def emit(self, record: logging.LogRecord) -> None:
        print(self.format(record), file=sys.stderr)


def set_up_logs(*, verbose: bool) -> None:
    """Send hubdistill's own log to stderr; with `verbose`, that of every library as well."""
    handler = _StderrLines()
    root, own = logging.getLogger(), logging.getLogger("hubdistill")
    own.setLevel(logging.INFO)
    if verbose:
        handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
        root.setLevel(logging.INFO)
        root.addHandler(handler)
        return
    own.addHandler(handler)
    # Without any handler, Python prints the warnings of libraries that have set up none.
    root.addHandler(logging.NullHandler())
    for name, value in QUIETER.items():
        os.environ.setdefault(name, value)
    if not sys.stderr.isatty():
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    if not sys.warnoptions:
        warnings.simplefilter("ignore")


def only_warnings() -> None:
    """Leave out hubdistill's remarks on the way and all progress bars, for --quiet and --json."""
    logging.getLogger("hubdistill").setLevel(logging.WARNING)
    os.environ["HUBDISTILL_PROGRESS"] = "0"
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
