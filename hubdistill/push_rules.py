"""What the settings of a push cannot say together: recipe, command, preflight and push ask here."""

from __future__ import annotations

MAIN = "main"
"""The branch that a push goes to unless another is named."""

LONGEST_NOTE = 500
"""Characters that the Hub takes beside a collection's item."""


def contradiction(
    *,
    create_pr: bool = False,
    revision: str | None = None,
    tag: str | None = None,
    collection: str | None = None,
    collection_note: str | None = None,
) -> str | None:
    """Say what of a push's settings does not go together, and what to leave out; None if all does."""
    if create_pr and revision not in (None, MAIN):
        return f"a pull request proposes changes to {MAIN}; leave out the revision {revision!r}"
    if create_pr and tag:
        return "a tag marks a commit of a branch; merge the pull request first, then push with the tag"
    if create_pr and collection:
        return "a pull request publishes nothing yet; leave out the collection until it is merged"
    if collection_note and not collection:
        return "the note belongs to a collection; name the collection as well"
    if collection_note and len(collection_note) > LONGEST_NOTE:
        return f"the collection's note has {len(collection_note)} characters; the Hub takes {LONGEST_NOTE}"
    return None
