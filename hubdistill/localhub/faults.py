"""What shall go wrong, and at which requests: faults for testing clients."""

from __future__ import annotations

import threading
from collections.abc import Collection
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal, get_args

BodyFault = Literal["reset before", "reset after", "slow", "truncated", "corrupt"]


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong, and where.

    Args:
        what: a status (408, 429, 500, 502, 503, 504, ...) that is answered in place of the server, or

            - `reset before`: the connection is reset (RST) and the server did nothing;
            - `reset after`: the server does all it is asked, then resets before a byte of the answer;
            - `slow`: the answer trickles in over `seconds`;
            - `truncated`: the full length is announced, half of the body is sent, then a regular end;
            - `corrupt`: one bit of the body is flipped, of what a PUT sends and of what others get.

        route: the requests it is for: the name of a route ("commit", "lfs upload", "resolve"; an unknown
            name is refused with a list of them), a method and a path with wildcards
            ("HEAD /*/resolve/*"), or None for all.
        index: the first of these requests that it hits, counted from 0 since the plan was set. A client's
            retries count as well.
        times: how many in a row it hits; None for all that follow.
        acted: for a status: the server does all it is asked before, as behind a gateway that timed out.
        retry_after: for a status: value of the Retry-After header, in seconds.
        seconds: for `slow`: time from the first byte of the answer to the last.
    """

    what: int | BodyFault
    route: str | None = None
    index: int = 0
    times: int | None = 1
    acted: bool = False
    retry_after: int | None = None
    seconds: float = 1.0

    def __post_init__(self) -> None:
        if not (isinstance(self.what, int) and 400 <= self.what <= 599) and self.what not in get_args(
            BodyFault
        ):
            raise ValueError(
                f"a fault is a status from 400 to 599 or one of {', '.join(get_args(BodyFault))}, "
                f"not {self.what!r}"
            )

    def concerns(self, method: str, path: str, route: str) -> bool:
        """Whether it is for a request of this kind."""
        return self.route is None or self.route == route or fnmatchcase(f"{method} {path}", self.route)

    def hits(self, seen: int) -> bool:
        """Whether it hits the request before which `seen` of its kind came."""
        return seen >= self.index and (self.times is None or seen < self.index + self.times)


class FaultPlan:
    """Faults, and how many requests each has seen. Safe to use from several threads.

    Example:
        >>> hub.faults = FaultPlan(Fault(503, "preupload"), Fault("reset after", "commit"))
        >>> hub.faults = FaultPlan()  # well again
    """

    def __init__(self, *faults: Fault) -> None:
        self.faults = faults
        self._seen = [0] * len(faults)
        self._struck: list[Fault] = []
        self._lock = threading.Lock()

    def check(self, routes: Collection[str]) -> None:
        """Refuse faults for routes that there are not.

        Raises:
            ValueError: neither a known name nor a method with a path.
        """
        for fault in self.faults:
            if fault.route is not None and fault.route not in routes and " /" not in fault.route:
                raise ValueError(
                    f"no route '{fault.route}'; expected 'METHOD /path' with wildcards, or one of "
                    f"{', '.join(sorted(set(routes)))}"
                )

    def next(self, method: str, path: str, route: str) -> Fault | None:
        """Count a request and say what goes wrong with it: of several faults the first of the plan."""
        found = None
        with self._lock:
            for number, fault in enumerate(self.faults):
                if not fault.concerns(method, path, route):
                    continue
                if found is None and fault.hits(self._seen[number]):
                    found = fault
                self._seen[number] += 1
            if found is not None:
                self._struck.append(found)
        return found

    @property
    def struck(self) -> list[Fault]:
        """The faults that happened, in their order, one for each request hit."""
        with self._lock:
            return list(self._struck)
