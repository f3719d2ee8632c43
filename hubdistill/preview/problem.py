"""What is wrong with a card."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """Something on a card that its readers would stumble over, or that the Hub refuses.

    Args:
        line: of README.md, counted from 1; None where it belongs to no line.
        text: what it is and what mends it.
    """

    line: int | None
    text: str

    def __str__(self) -> str:
        return f"README.md:{self.line}: {self.text}" if self.line else f"README.md: {self.text}"
