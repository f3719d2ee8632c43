"""What was asked of a local Hub, and how it answered."""

from __future__ import annotations

import re
import threading
from collections import deque
from dataclasses import dataclass

from hubdistill.localhub.faults import Fault

_KEPT = 10_000
# The address of an upload is the right to use it.
_UPLOAD_KEY = re.compile(r"(?<=^/api/lfs/)[^/]+")


@dataclass
class RequestRecord:
    """One request, without its query and its headers: neither token nor signature is kept.

    Args:
        method: GET, POST, ...
        path: as it was sent, with the key of an upload address left out.
        route: name of the route, as faults name it.
        account: whose token came with it; None for none, or an unknown one.
        status: of the answer; None until it is given, and where the connection was reset instead.
        bytes_in: bytes of the body that the server has read.
        bytes_out: bytes of the body that it has sent.
        fault: what went wrong by plan.
    """

    method: str
    path: str
    route: str
    account: str | None
    status: int | None = None
    bytes_in: int = 0
    bytes_out: int = 0
    fault: Fault | None = None


class RequestLog:
    """The last ten thousand requests in the order of their arrival."""

    def __init__(self) -> None:
        self._records: deque[RequestRecord] = deque(maxlen=_KEPT)
        self._lock = threading.Lock()

    def begin(self, method: str, path: str, route: str, account: str | None) -> RequestRecord:
        """Note a request that has arrived; its record is filled in as it is served."""
        record = RequestRecord(method, _UPLOAD_KEY.sub("...", path), route, account)
        with self._lock:
            self._records.append(record)
        return record

    def all(self) -> list[RequestRecord]:
        """All records, oldest first."""
        with self._lock:
            return list(self._records)

    def clear(self) -> None:
        """Forget them."""
        with self._lock:
            self._records.clear()
