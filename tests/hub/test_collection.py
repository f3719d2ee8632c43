"""Putting what was pushed into a collection."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hub.model_folder import STRANGER, WRITE, push
from huggingface_hub import HfApi

from hubdistill.errors import NotYourRepositoryError, PublishError
from hubdistill.hub import PushOutcome, preflight
from hubdistill.localhub import Fault, FaultPlan, LocalHub

Push = Callable[..., PushOutcome]


@pytest.fixture
def send(hub: LocalHub, model: Path, repo_id: str) -> Push:
    def send(to: str = repo_id, token: str = WRITE, **options: object) -> PushOutcome:
        return push(model, to, token=token, endpoint=hub.endpoint, **options)

    return send


@pytest.fixture
def api(hub: LocalHub) -> HfApi:
    return HfApi(endpoint=hub.endpoint, token=WRITE)


@pytest.fixture
def title(new_name: Callable[[], str]) -> str:
    return f"Collection {new_name()}"


def items(api: HfApi, slug: str | None) -> list[str]:
    assert slug is not None
    return [item.item_id for item in api.get_collection(slug).items]


def test_family_goes_into_one_collection_which_the_first_makes(
    send: Push, api: HfApi, repo_id: str, title: str
) -> None:
    first = send(collection=title, collection_note="Two layers.").collection
    assert first is not None
    assert (first.created, first.added, first.namespace, first.title) == (True, True, "demo", title)
    second = send(f"{repo_id}-b", collection=title).collection
    assert second is not None
    assert (second.created, second.added, second.slug) == (False, True, first.slug)
    assert items(api, first.slug) == [repo_id, f"{repo_id}-b"]
    assert [item.note for item in api.get_collection(str(first.slug)).items] == ["Two layers.", None]


def test_model_that_is_in_there_stays_and_a_slug_or_an_address_will_do(
    send: Push, api: HfApi, repo_id: str, title: str, hub: LocalHub
) -> None:
    slug = api.create_collection(title, namespace="acme").slug
    outcome = send(collection=slug)
    assert str(outcome).endswith(f"Put into the collection {title} ({hub.endpoint}/collections/{slug})")
    again = send(collection=f"{hub.endpoint}/collections/{slug}")
    assert again.commit is None
    assert again.collection is not None
    assert not again.collection.added
    assert str(again).endswith(f"In the collection {title} ({hub.endpoint}/collections/{slug}) already")
    assert items(api, slug) == [repo_id]


@pytest.mark.parametrize("private", [True, False])
def test_collection_of_a_private_model_is_private(
    send: Push, api: HfApi, title: str, *, private: bool
) -> None:
    made = send(private=private, collection=title).collection
    assert made is not None
    assert api.get_collection(str(made.slug)).private is private


def test_collection_is_made_as_the_repository_is_whatever_the_push_says(
    send: Push, api: HfApi, repo_id: str, title: str
) -> None:
    api.create_repo(repo_id, private=True)
    made = send(collection=title).collection
    assert made is not None
    assert api.get_collection(str(made.slug)).private


def test_dry_run_says_what_would_happen_and_makes_nothing(send: Push, api: HfApi, title: str) -> None:
    outcome = send(collection=title, dry_run=True)
    assert f"Would go into a new collection {title}" in str(outcome).splitlines()
    assert outcome.to_dict()["collection"]["created"]
    assert title not in [found.title for found in api.list_collections(owner="demo")]


@pytest.mark.parametrize(
    ("collection", "kind", "message"),
    [
        ("demo/none-0123456789abcdef01234567", PublishError, "there is no collection demo/none-0123"),
        ("demo/small-models", PublishError, "'demo/small-models' is no collection's slug, which ends in 24"),
        (" ", PublishError, "the collection's name is empty"),
    ],
)
def test_what_cannot_be_is_told_before_anything_is_sent(
    send: Push, api: HfApi, repo_id: str, collection: str, kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        send(collection=collection)
    assert not api.repo_exists(repo_id)


def test_collection_of_somebody_else_is_refused(hub: LocalHub, api: HfApi, repo_id: str, title: str) -> None:
    slug = HfApi(endpoint=hub.endpoint, token=STRANGER).create_collection(title).slug
    with pytest.raises(NotYourRepositoryError, match=f"'demo' may not change .* {slug}; take one"):
        preflight(repo_id, token=WRITE, endpoint=hub.endpoint, collection=slug)


def test_pull_request_goes_into_no_collection_and_notes_are_short(send: Push, title: str) -> None:
    with pytest.raises(PublishError, match="leave out the collection until it is merged"):
        send(create_pr=True, collection=title)
    with pytest.raises(PublishError, match="has 501 characters; the Hub takes 500"):
        send(collection=title, collection_note="x" * 501)


def test_failure_after_the_commit_says_that_it_landed(
    send: Push, api: HfApi, repo_id: str, title: str, hub: LocalHub
) -> None:
    hub.faults = FaultPlan(Fault(500, "add to collection", times=None))
    with pytest.raises(
        PublishError, match=rf"is at commit \w+, but putting it into the collection '{title}' failed"
    ):
        send(collection=title)
    hub.faults = FaultPlan()
    again = send(collection=title)
    assert again.commit is None
    assert again.collection is not None
    assert items(api, again.collection.slug) == [repo_id]


def test_answers_that_are_lost_do_no_harm(
    send: Push, api: HfApi, repo_id: str, title: str, hub: LocalHub, waited: list[float]
) -> None:
    hub.faults = FaultPlan(
        Fault("reset after", "create collection"),
        Fault("reset after", "add to collection"),
        Fault(429, "create", retry_after=7),
    )
    made = send(collection=title).collection
    hub.faults = FaultPlan()
    assert made is not None
    assert items(api, made.slug) == [repo_id]
    assert [found.title for found in api.list_collections(owner="demo")].count(title) == 1
    assert waited == [7.0, 1, 2]
