"""Trying again what failed in passing: the network, or a Hub that is overloaded."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from huggingface_hub.errors import HfHubHTTPError

from hubdistill.hub.failures import is_passing, is_stale

ATTEMPTS = 5
"""How often a step of a push is tried when the repository moves or the network fails."""
_LONGEST = 60.0
"""Seconds that are waited at most when the Hub says itself how long (Retry-After)."""

Progress = Callable[[str], None]
T = TypeVar("T")


def patiently(step: Callable[[], T], tell: Progress, *, unless: type[Exception] | tuple[()] = ()) -> T:
    """Do something that may be done twice, again when it failed in passing.

    Args:
        step: what is to be done.
        tell: called with a sentence before each further attempt.
        unless: a failure after which it is not tried again, passing as it may be.

    Raises:
        Exception: what the last attempt raised, or the first failure that is not passing.
    """
    for attempt in range(ATTEMPTS - 1):
        try:
            return step()
        except Exception as error:
            if isinstance(error, unless) or not is_passing(error):
                raise
            tell("the Hub did not answer; trying again")
            wait(error, attempt)
    return step()


def wait(error: Exception, attempt: int) -> None:
    """Wait before the next attempt: longer each time, or as long as the Hub asks for.

    Args:
        error: why the last attempt failed. Where another was faster the wait is short, and drawn by chance,
            so that two do not go on meeting.
        attempt: how many attempts there were before, 0 for the first.
    """
    if is_stale(error):
        time.sleep(random.uniform(0, 0.1 * 2**attempt))
        return
    asked = error.response.headers.get("retry-after", "") if isinstance(error, HfHubHTTPError) else ""
    time.sleep(min(float(asked), _LONGEST) if asked.isdigit() else 2**attempt)
