"""A small real Hub on 127.0.0.1, for demos and tests: git-backed, for the unmodified client.

It is a test double for the part of the Hub's public protocol that publishing and reading models needs:

- repositories with branches, tags, files by git-lfs in one piece or in parts, commits and their conditions,
  discussions and pull requests, collections;
- users, organisations and their roles, tokens that read, write or have scopes, private and gated
  repositories, rate limits, trusted publishers (`LocalHub.trust`);
- the checks of a card's metadata, and what the Hub reads out of card and files;
- on request, faults (`Fault`, `FaultPlan`); and a log of the requests (`LocalHub.requests`).

It is written after what the client, `huggingface_hub`, sends and reads, and after the Hub's documentation.
It is not the Hub: there is no Xet, no scan of files, no search, no widgets, no paging of long lists, no
spaces that run; the web pages are bare. Where the Hub does more than it documents, this one may differ:
what passes here still has to be tried there once. It has no protection against those who share the machine:
it listens on loopback only, tokens are plain values that the caller names, and whoever may read the folder
reads everything.

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
from hubdistill.localhub.faults import Fault, FaultPlan
from hubdistill.localhub.rate_limit import RateLimit
from hubdistill.localhub.request_log import RequestRecord
from hubdistill.localhub.server import LocalHub, serve

__all__ = ["DEMO_TOKEN", "Account", "Fault", "FaultPlan", "LocalHub", "RateLimit", "RequestRecord", "serve"]
