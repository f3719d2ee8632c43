"""Everything hubdistill raises on purpose.

    HubDistillError
    ├── RecipeError               a recipe that cannot be read or does not make sense
    ├── MissingExtraError         an optional dependency that is not installed
    ├── CorpusError               texts that cannot be read
    │   ├── MissingColumnError    a source without the column it was asked for
    │   └── CorpusTooSmallError   fewer texts than the step needs (also: none)
    ├── TeacherError              a teacher that cannot be found, loaded or trusted
    ├── CacheError                an embedding cache that cannot be used
    ├── StudentError              a student that cannot be made from this teacher
    │   └── StudentDepthError     more layers asked for than the teacher has
    ├── TrainingError             training that cannot start, or went wrong
    ├── EvaluationError           a measure that is undefined on this input
    ├── ReportError               a report.json that is missing, foreign or inconsistent
    ├── CardError                 a card that cannot be rendered, or whose metadata is invalid
    └── PublishError              a push that must not or cannot happen
        ├── NoTokenError          no Hub token where one is needed
        ├── NotYourRepositoryError  the token may not write there
        ├── LeakError             a file that would carry a secret or a private path
        ├── GateError             a condition on the report that is not met, or cannot be judged
        └── StaleParentError      the repository kept moving while we pushed

Each message says what was given, what was expected and what mends it. The command line prints the
message and exits with `exit_code`: 2 for a call or a recipe that makes no sense, 1 for what cannot be done.
"""

from __future__ import annotations


class HubDistillError(Exception):
    """Base of every error that hubdistill raises on purpose."""

    exit_code = 1


class RecipeError(HubDistillError):
    """A recipe that cannot be read or does not make sense."""

    exit_code = 2


class MissingExtraError(HubDistillError):
    """An optional dependency that is not installed.

    Args:
        extra: the extra of the hubdistill package that brings it.
        purpose: what it is needed for, as the subject of a sentence.
    """

    exit_code = 2

    def __init__(self, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs the extra '{extra}'; run: pip install 'hubdistill[{extra}]'")


class CorpusError(HubDistillError):
    """Texts that cannot be read."""


class MissingColumnError(CorpusError):
    """A source without the column it was asked for."""

    exit_code = 2


class CorpusTooSmallError(CorpusError):
    """Fewer texts than the step needs."""


class TeacherError(HubDistillError):
    """A teacher that cannot be found, loaded or trusted."""


class CacheError(HubDistillError):
    """An embedding cache that cannot be used."""


class StudentError(HubDistillError):
    """A student that cannot be made from this teacher."""

    exit_code = 2


class StudentDepthError(StudentError):
    """More layers asked for than the teacher has."""


class TrainingError(HubDistillError):
    """Training that cannot start, or went wrong."""


class EvaluationError(HubDistillError):
    """A measure that is undefined on this input."""


class ReportError(HubDistillError):
    """A report.json that is missing, foreign or inconsistent."""


class CardError(HubDistillError):
    """A card that cannot be rendered, or whose metadata is invalid."""


class PublishError(HubDistillError):
    """A push that must not or cannot happen."""


class NoTokenError(PublishError):
    """No Hub token where one is needed."""

    exit_code = 2


class NotYourRepositoryError(PublishError):
    """The token may not write there."""


class LeakError(PublishError):
    """A file that would carry a secret or a private path."""


class GateError(PublishError):
    """A condition on the report that is not met, or cannot be judged."""


class StaleParentError(PublishError):
    """The repository kept moving while we pushed."""
