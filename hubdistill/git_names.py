"""What git allows as the name of a branch or tag."""

from __future__ import annotations

import re

_REFUSED = re.compile(
    r"""
    ^$ | ^@$ | ^HEAD$ | ^-           # nothing; what stands for something else; what looks like an option
    | [\x00-\x20\x7f~^:?*\[\\]       # control characters, spaces, and what revisions are written with
    | \.\. | @\{
    | (?:^|/)\. | //  | ^/           # a part that is empty or begins with a dot
    | \.lock(?:/|$) | [./]$
    """,
    re.VERBOSE,
)


def is_git_name(name: str) -> bool:
    """Whether git takes the name for a branch or tag.

    Source: the rules of git-check-ref-format(1), with those of `git branch` on top.
    """
    return _REFUSED.search(name) is None


def describe_refusal(name: str) -> str:
    """Say why a name is refused, and what is expected."""
    return (
        f"git does not take {name!r} as the name of a branch or tag; use letters, digits, '-', '_', '.' and "
        "'/', not beginning with '-' or '.', without '..'"
    )
