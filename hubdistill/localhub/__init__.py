"""A small real Hub on 127.0.0.1, for demos and tests: git-backed, for the unmodified client.

Needs the extra `localhub`; importing this package without it raises MissingExtraError.
"""

from hubdistill.errors import MissingExtraError

try:
    import dulwich  # noqa: F401
    import markdown_it  # noqa: F401
    import starlette  # noqa: F401
    import uvicorn  # noqa: F401
except ModuleNotFoundError as error:
    raise MissingExtraError("localhub", "the local Hub") from error

from hubdistill.localhub.accounts import DEMO_TOKEN, Account
from hubdistill.localhub.server import LocalHub, serve

__all__ = ["DEMO_TOKEN", "Account", "LocalHub", "serve"]
