"""Putting a published model into a collection of the Hub."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError

from hubdistill.errors import NotYourRepositoryError, PublishError

_SLUG = re.compile(r"[\w.-]+/[\w-]+-[0-9a-f]{24}")
"""Characters of a note, by the Hub's own limit."""


@dataclass(frozen=True)
class Collection:
    """A collection that a model goes into.

    Args:
        title: as people read it.
        namespace: whose it is.
        slug: its id on the Hub; None as long as it does not exist.
        url: its page.
        created: it is made by this push (on a dry run: would be).
        added: the model is put into it by this push (on a dry run: would be); False when it is in there.
    """

    title: str
    namespace: str
    slug: str | None
    url: str | None
    created: bool
    added: bool

    def __str__(self) -> str:
        where = f" ({self.url})" if self.url else ""
        return f"{self.title}{where}"


def find_collection(
    api: HfApi, wanted: str, *, repo_id: str, user: str | None, namespaces: tuple[str, ...]
) -> Collection:
    """Find the collection that a model is to go into. Nothing is made.

    Args:
        api: the client.
        wanted: a slug, `namespace/title-0123456789abcdef01234567`, the collection's address, or a title. What
            has this title in the model's namespace is taken; where none has, one will be made.
        repo_id: the model.
        user: whose token it is; None for a trusted publisher's.
        namespaces: where this account may make collections.

    Raises:
        PublishError: there is no collection of that slug, or the token is for one repository only.
        NotYourRepositoryError: the collection is somebody else's.
    """
    wanted = wanted.removeprefix(f"{api.endpoint}/collections/").strip()
    if not wanted:
        raise PublishError("the collection's name is empty; give its title or its slug")
    if user is None:
        raise PublishError(
            "a trusted publisher's token is for one repository and cannot change a collection; leave out "
            "--collection, or add the model on the Hub"
        )
    namespace = repo_id.partition("/")[0]
    if _SLUG.fullmatch(wanted):
        slug: str | None = wanted
    elif re.fullmatch(r"[\w.-]+/[\w-]+", wanted):
        raise PublishError(
            f"'{wanted}' is no collection's slug, which ends in 24 hexadecimal digits as the address of its "
            "page does; give that, or a title"
        )
    else:
        titled = (found.slug for found in api.list_collections(owner=namespace) if found.title == wanted)
        slug = next(titled, None)
    if slug is None:
        if namespace not in namespaces:
            raise _foreign(f"make a collection in {namespace}", user, namespaces)
        return Collection(wanted, namespace, None, None, created=True, added=True)
    try:
        found = api.get_collection(slug)
    except HfHubHTTPError as error:
        if error.response.status_code != 404:
            raise
        raise PublishError(
            f"there is no collection {slug}; give a title to have one made in {namespace}"
        ) from error
    owner = slug.partition("/")[0]
    if owner not in namespaces:
        raise _foreign(f"change the collection {slug}", user, namespaces)
    inside = any((item.item_type, item.item_id) == ("model", repo_id) for item in found.items)
    return Collection(found.title, owner, slug, _page(api, slug), created=False, added=not inside)


def put_into(api: HfApi, collection: Collection, repo_id: str, *, note: str | None) -> Collection:
    """Put a model into a collection; one that is in there stays as it is.

    A collection that is missing is made, private as the model's repository is.

    Args:
        api: the client.
        collection: as `find_collection` gave it.
        repo_id: the model.
        note: a sentence that stands beside the model there.
    """
    if not collection.added:
        return collection
    slug = collection.slug
    if slug is None:
        private = bool(api.model_info(repo_id).private)
        # Another push of the family may have made it meanwhile.
        made = api.create_collection(
            collection.title, namespace=collection.namespace, private=private, exists_ok=True
        )
        slug = made.slug
    api.add_collection_item(slug, repo_id, "model", note=note, exists_ok=True)
    return replace(collection, slug=slug, url=_page(api, slug))


def _page(api: HfApi, slug: str) -> str:
    return f"{api.endpoint}/collections/{slug}"


def _foreign(what: str, user: str, namespaces: tuple[str, ...]) -> NotYourRepositoryError:
    return NotYourRepositoryError(f"'{user}' may not {what}; take one in {' or '.join(namespaces)}")
