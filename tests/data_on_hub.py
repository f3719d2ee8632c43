"""Data sets on a local Hub, from which `datasets` then loads.

from data_on_hub import publisher, serving
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import datasets
import pytest
from huggingface_hub import HfApi, constants

Rows = Sequence[Mapping[str, Any]]
Publish = Callable[[str, Mapping[tuple[str, str], Rows]], str]
"""Name and tables by configuration and split -> commit."""


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """A local Hub for as long as the block runs; gives its endpoint."""
    pytest.importorskip("dulwich", reason="needs the extra 'localhub'")
    from hubdistill.localhub import Account, LocalHub

    with LocalHub(folder, tokens={"hf_demo": Account("demo")}) as hub:
        yield hub.endpoint


def publisher(endpoint: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Publish:
    """Have this process load data sets from a local Hub, and give the function that puts them there.

    Args:
        endpoint: of the Hub.
        folder: for what is published, and for the caches.
    """
    for name, value in (
        ("ENDPOINT", endpoint),
        ("HUGGINGFACE_CO_URL_TEMPLATE", endpoint + "/{repo_id}/resolve/{revision}/{filename}"),
        ("HF_HUB_CACHE", str(folder / "cache")),
        ("HF_HUB_DISABLE_XET", True),
        ("HF_HUB_DISABLE_TELEMETRY", True),
    ):
        monkeypatch.setattr(constants, name, value)
    for name, value in (
        ("HF_ENDPOINT", endpoint),
        ("HF_DATASETS_CACHE", folder / "datasets"),
        ("HF_UPDATE_DOWNLOAD_COUNTS", False),
    ):
        monkeypatch.setattr(datasets.config, name, value)
    datasets.disable_progress_bars()

    def publish(name: str, tables: Mapping[tuple[str, str], Rows]) -> str:
        card = ["---", "configs:"]
        for (config, split), rows in tables.items():
            file = folder / name / config / f"{split}.jsonl"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("".join(json.dumps(row) + "\n" for row in rows))
            card += [f"- config_name: {config}", "  data_files:", f"  - split: {split}"]
            card += [f"    path: {config}/{split}.jsonl"]
        (folder / name / "README.md").write_text("\n".join([*card, "---", ""]))
        api = HfApi(endpoint=endpoint, token="hf_demo")
        api.create_repo(f"demo/{name}", repo_type="dataset")
        return api.upload_folder(folder_path=folder / name, repo_id=f"demo/{name}", repo_type="dataset").oid

    return publish
