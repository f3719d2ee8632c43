"""One running local Hub for all its tests, and clients of several accounts."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest
from huggingface_hub import HfApi, constants

from hubdistill.localhub import Account, LocalHub

TOKENS = {
    "hf_demo": Account("demo", orgs=("acme",)),
    "hf_demo_read": Account("demo", role="read"),
    "hf_stranger": Account("stranger"),
}


@pytest.fixture(autouse=True)
def _lfs_and_no_telemetry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    # Telemetry would ask the real Hub which agents it knows.
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)


@pytest.fixture(scope="session")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalHub]:
    with LocalHub(tmp_path_factory.mktemp("hub"), tokens=TOKENS) as running:
        yield running


@pytest.fixture(scope="session")
def client(hub: LocalHub) -> Callable[[str | bool], HfApi]:
    """Make a client with a token; False for an anonymous one."""
    return lambda token: HfApi(endpoint=hub.endpoint, token=token)


@pytest.fixture
def api(client: Callable[[str | bool], HfApi]) -> HfApi:
    return client("hf_demo")


_numbers = itertools.count()


@pytest.fixture
def repo(api: HfApi) -> str:
    """A fresh, empty model repository of `demo`."""
    name = f"demo/model-{next(_numbers)}"
    api.create_repo(name)
    return name
