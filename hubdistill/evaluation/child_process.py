"""What processes of our own are told by their environment."""

from __future__ import annotations

import os


def quiet_environment() -> dict[str, str]:
    """This process's environment, for a child that stays offline, shows no progress and speaks UTF-8."""
    quiet = {
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "TRANSFORMERS_VERBOSITY": "error",
        "PYTHONIOENCODING": "utf-8",
    }
    return {**os.environ, **quiet}
