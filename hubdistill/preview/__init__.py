"""A card on this machine as the Hub will show it, and what is wrong with it.

Needs the extra `preview`; importing this package without it raises MissingExtraError.
"""

from hubdistill.errors import MissingExtraError

try:
    import mdit_py_plugins  # noqa: F401
    import nh3  # noqa: F401
except ModuleNotFoundError as error:
    raise MissingExtraError("preview", "The preview of a card") from error

from hubdistill.preview.problem import Problem
from hubdistill.preview.problems import card_problems
from hubdistill.preview.server import CardPreview

__all__ = ["CardPreview", "Problem", "card_problems"]
