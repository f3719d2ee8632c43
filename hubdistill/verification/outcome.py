"""What a verification found, for programs and for people."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any, Literal

Verdict = Literal["same", "holds", "differs", "not run"]
"""What became of a claim.

    same      measured again, with the same outcome but for the last digits
    holds     measured again on a sample or on another machine, and what was found does not speak against it
    differs   measured again, and it is not what was claimed
    not run   not measured again; the reason is given
"""


@dataclass(frozen=True)
class CheckedClaim:
    """One claimed figure, and what it is when it is measured again.

    Args:
        figure: the measure, with its parameters: `precision_at_k[k=10]`, `kept spearman_cosine`.
        model: whose figure it is, as the report names it.
        data: what it was measured on; empty for facts about the model itself.
        source: where it is claimed.
        claimed: the value.
        interval: the claimed interval's ends, where there is one.
        measured: the value now; None when it was not measured.
        measured_interval: its interval's ends.
        verdict: what became of the claim.
        why: the reason of the verdict where it is not plain from the numbers.
        variant: it is of something else than the model's plain vectors on the whole data.
    """

    figure: str
    model: str
    data: str
    source: Literal["report", "card", "model-index"]
    claimed: float
    interval: tuple[float, float] | None
    measured: float | None
    measured_interval: tuple[float, float] | None
    verdict: Verdict
    why: str = ""
    variant: bool = False


@dataclass(frozen=True)
class Problem:
    """Something that speaks against what is published, and is no figure.

    Args:
        place: file, field or line: `model.safetensors`, `README.md, line 40`.
        text: what is wrong, in a sentence.
    """

    place: str
    text: str


@dataclass(frozen=True)
class Verification:
    """What a verification found.

    Args:
        model: the Hub id, or the folder's name.
        revision: the commit, or `sha256:` of the weights of a folder.
        claims: every claimed figure, in the order of the report.
        problems: what else speaks against the publication.
        notes: what a reader should know, in sentences: what was not checked, and why.
        quick: only a sample was measured.
        seconds: that it took.
        student: the model's name in the report; empty without a report.
        teacher: the teacher's.
    """

    model: str
    revision: str
    claims: tuple[CheckedClaim, ...]
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]
    quick: bool
    seconds: float
    student: str = ""
    teacher: str = ""

    @property
    def failed(self) -> bool:
        """Whether something that was checked is not as claimed."""
        return bool(self.problems) or any(claim.verdict == "differs" for claim in self.claims)

    @property
    def checked(self) -> int:
        """How many claims were measured again; those of a card are compared with its report instead."""
        return sum(claim.verdict != "not run" and claim.source != "card" for claim in self.claims)

    @property
    def empty(self) -> bool:
        """Whether no measurement at all could be repeated; facts and card may have been compared."""
        return not any(
            claim.data and claim.source != "card" and claim.verdict != "not run" for claim in self.claims
        )

    @property
    def counts(self) -> dict[Verdict, int]:
        """How many claims have each verdict."""
        return dict(Counter(claim.verdict for claim in self.claims))

    def to_dict(self) -> dict[str, Any]:
        """The verification as JSON types."""
        return {**asdict(self), "failed": self.failed, "checked": self.checked}
