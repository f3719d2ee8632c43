"""Conditions on a report as people write them: `spearman_cosine@stsb-test >= 0.95*teacher`.

    CONDITION   FIGURE SIGN LIMIT, or no_regression
    FIGURE      METRIC[@DATA][[NAME=VALUE, ...]]
    SIGN        >= > <= <
    LIMIT       NUMBER, NUMBER*teacher or teacher

Data is named by its key or its title, parameters are those of the measurement. `hubdistill.hub.gates` holds
a report against them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast

NO_REGRESSION = "no_regression"

EXAMPLES = (
    "`spearman_cosine@stsb-test >= 0.95*teacher`, `precision_at_k@held-out-retrieval[k=10] >= 0.6`, "
    "`speedup >= 2` or `no_regression`"
)

Sign = Literal[">=", ">", "<=", "<"]

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_CONDITION = re.compile(r"(?P<figure>.+?)\s*(?P<sign>>=|<=|>|<)\s*(?P<limit>[^<>=]+)")
_FIGURE = re.compile(
    r"(?P<metric>\w+)\s*(?:\[(?P<first>[^][]*)\])?\s*(?:@\s*(?P<data>[^[].*?))?\s*(?:\[(?P<second>[^][]*)\])?"
)
_LIMIT = re.compile(
    rf"(?P<number>{_NUMBER})(?P<share>\s*\*\s*teacher)?"
    rf"|teacher(?:\s*\*\s*(?P<factor>{_NUMBER}))?"
)


@dataclass(frozen=True)
class Condition:
    """A figure of the student and its limit.

    Args:
        text: as it was written.
        metric: the metric's name in the report.
        data: key or title of the data; None: the only data that the metric was measured on.
        parameters: those that the measurement must have, as they were written.
        sign: how the figure must stand to the limit.
        limit: a number, or what the teacher's figure is multiplied with.
        of_teacher: whether the limit is a share of the teacher's figure.
    """

    text: str
    metric: str
    data: str | None
    parameters: Mapping[str, str]
    sign: Sign
    limit: float
    of_teacher: bool


@dataclass(frozen=True)
class NoRegression:
    """No headline figure may be decidedly worse than in the published report."""

    text: str = NO_REGRESSION


def parse_condition(text: str) -> Condition | NoRegression:
    """Read one condition.

    Raises:
        ValueError: it is none; the message says what was expected.
    """
    text = text.strip()
    if text == NO_REGRESSION:
        return NoRegression()
    parts = _CONDITION.fullmatch(text)
    figure = _FIGURE.fullmatch(parts["figure"]) if parts else None
    if parts is None or figure is None:
        raise ValueError(f"not a condition; write for example {EXAMPLES}")
    limit = _LIMIT.fullmatch(parts["limit"])
    number = float(limit["number"] or limit["factor"] or 1) if limit else math.nan
    if limit is None or not math.isfinite(number):
        raise ValueError(
            f"{parts['limit']!r} is not a limit; write a number (`0.45`), or a share of the teacher's figure "
            "(`0.95*teacher`)"
        )
    return Condition(
        text=text,
        metric=figure["metric"],
        data=figure["data"],
        parameters=_parameters(figure["first"]) | _parameters(figure["second"]),
        sign=cast(Sign, parts["sign"]),
        limit=number,
        of_teacher=limit["number"] is None or limit["share"] is not None,
    )


def _parameters(text: str | None) -> dict[str, str]:
    found = {}
    for part in text.split(",") if text is not None else ():
        name, _, value = (side.strip() for side in part.partition("="))
        if not name or not value:
            raise ValueError(
                f"'[{text}]' does not name parameters; write for example `[k=10, precision=int8]`"
            )
        found[name] = value
    return found
