"""A model folder to push, and a local Hub to push it to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub.constants
import pytest
from hub.model_folder import READ, STRANGER, WRITE, write_model

from hubdistill.localhub.accounts import Account
from hubdistill.localhub.server import LocalHub


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model(tmp_path / "student")


@pytest.fixture(autouse=True)
def _no_calls_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client asks huggingface.co which agents there are, to name them in its user agent."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_TELEMETRY", True)
    for name in ("HF_TOKEN", "HF_OIDC_RESOURCE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def waited(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds between attempts, which no test has to wait."""
    seconds: list[float] = []
    monkeypatch.setattr("hubdistill.hub.retry.time", SimpleNamespace(sleep=seconds.append))
    return seconds


@pytest.fixture(scope="session")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalHub]:
    accounts = {
        WRITE: Account("demo", orgs=("acme",)),
        READ: Account("demo", role="read"),
        STRANGER: Account("stranger"),
    }
    with LocalHub(tmp_path_factory.mktemp("hub"), tokens=accounts) as running:
        yield running


@pytest.fixture
def repo_id(new_name: Callable[[], str]) -> str:
    return f"demo/{new_name()}"


@pytest.fixture(scope="session")
def new_name() -> Callable[[], str]:
    """Names that no other test has used."""
    numbers = iter(range(10_000))
    return lambda: f"student-{next(numbers)}"
