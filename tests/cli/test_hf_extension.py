"""`hf distill`: the extension as `hf` installs and runs it."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest
from huggingface_hub.cli import extensions

from hubdistill import __version__

REPOSITORY = Path(__file__).parents[2] / "extension"
if not REPOSITORY.is_dir():
    pytest.skip("an sdist has no extension", allow_module_level=True)

BIN = Path(sys.executable).parent
RAW = "https://raw.githubusercontent.com/OWNER/hf-distill/HEAD/"


def github(method: str, url: str, **_: object) -> httpx2.Response:
    """What GitHub answers about a repository OWNER/hf-distill that holds our folder `extension`."""
    file = REPOSITORY / url.removeprefix(RAW)
    request = httpx2.Request(method, url)
    if url.startswith(RAW) and file.is_file():
        return httpx2.Response(200, content=file.read_bytes(), request=request)
    if url.endswith("/info/refs"):
        return httpx2.Response(200, text=f"{'a' * 40} HEAD\0", request=request)
    return httpx2.Response(404, request=request).raise_for_status()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home where `hf extensions install OWNER/hf-distill` was run; only the network is not real."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(extensions, "_github_request", github)
    extensions._install_extension(owner="OWNER", repo_name="hf-distill", short_name="distill")
    return tmp_path


def hf(home: Path, *arguments: str, path: str = f"{BIN}:/usr/bin:/bin") -> subprocess.CompletedProcess[str]:
    """Run the real `hf`."""
    environment = {**os.environ, "HOME": str(home), "PATH": path, "HF_HUB_DISABLE_UPDATE_CHECK": "1"}
    return subprocess.run(
        [sys.executable, "-c", "from huggingface_hub.cli.hf import main; main()", *arguments],
        env=environment,
        capture_output=True,
        text=True,
    )


def test_what_hf_installs(home: Path) -> None:
    folder = home / ".local/share/hf/extensions/hf-distill"
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["type"] == "binary"
    assert manifest["executable_path"] == str(folder / "hf-distill")
    assert manifest["description"].startswith("Distil embedding models")
    assert (folder / "hf-distill").stat().st_mode & stat.S_IXUSR


def test_hf_distill_is_hubdistill_by_another_name(home: Path) -> None:
    assert hf(home, "distill", "--version").stdout == f"hubdistill {__version__}\n"
    helped = hf(home, "distill", "push", "--help").stdout
    assert helped.startswith("Usage: hf distill push [OPTIONS]")
    assert "--format" in helped


def test_exit_codes_and_errors_come_through(home: Path) -> None:
    done = hf(home, "distill", "report", "show", "nowhere", "--format", "json")
    assert done.returncode == 1
    assert "no report at nowhere" in done.stderr
    wrong = hf(home, "distill", "psuh")
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("Usage: hf distill")


def test_hf_lists_the_extension(home: Path) -> None:
    listed = hf(home, "--help").stdout
    assert "distill" in listed
    assert "OWNER/hf-distill" in listed


def test_without_hubdistill_it_says_what_to_install(home: Path) -> None:
    done = hf(home, "distill", "--version", path="/usr/bin:/bin")
    assert done.returncode == 127
    assert "pip install hubdistill" in done.stderr
