"""What a push takes from its environment, each shown by the command in a process of its own."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import termios
from collections.abc import Callable
from pathlib import Path

import pytest
from hub.model_folder import WRITE

from hubdistill.localhub import LocalHub

Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def environment(hub: LocalHub, tmp_path: Path) -> dict[str, str]:
    """The Hub, and no token."""
    ours = ("HF_", "HUBDISTILL_", "XDG_")
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(ours)},
        "HF_ENDPOINT": hub.endpoint,
        "HF_HOME": str(tmp_path / "hf"),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }


@pytest.fixture
def command(environment: dict[str, str], model: Path, repo_id: str) -> Command:
    def run(*options: str, **changes: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "hubdistill", "push", str(model), "--repo-id", repo_id, *options],
            env={**environment, **changes},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_token_of_the_environment_and_the_endpoint(command: Command, hub: LocalHub, repo_id: str) -> None:
    done = command("--no-load-back", "--format", "json", HF_TOKEN=WRITE)
    assert (done.returncode, done.stderr) == (0, "")
    outcome = json.loads(done.stdout)
    assert outcome["url"] == f"{hub.endpoint}/{repo_id}"
    assert outcome["commit"]


def test_token_of_hf_auth_login(command: Command, hub: LocalHub, repo_id: str, tmp_path: Path) -> None:
    (tmp_path / "hf").mkdir()
    (tmp_path / "hf/token").write_text(WRITE)
    done = command("--dry-run", "--quiet")
    assert (done.stdout, done.stderr, done.returncode) == (f"{hub.endpoint}/{repo_id}\n", "", 0)


def test_token_of_the_option_goes_before_that_of_the_environment(command: Command) -> None:
    assert command("--dry-run", "--quiet", "--token", WRITE, HF_TOKEN="hf_nobody").returncode == 0


def test_no_token_is_told(command: Command) -> None:
    done = command("--dry-run")
    assert done.returncode == 2
    assert "no Hub token; log in with `hf auth login`" in done.stderr


def test_offline_is_told_up_front(command: Command, hub: LocalHub) -> None:
    hub.clear_requests()
    done = command(HF_TOKEN=WRITE, HF_HUB_OFFLINE="1")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "Error: HF_HUB_OFFLINE is set, so nothing can be pushed; unset it\n"
    assert hub.requests == []


@pytest.mark.parametrize(("options", "shown"), [((), True), (("--json",), False), (("-q",), False)])
def test_upload_bars_are_for_people_at_a_terminal(
    environment: dict[str, str], model: Path, repo_id: str, options: tuple[str, ...], shown: bool
) -> None:
    without = ("--no-load-back", "--exclude", "figures/")
    terminal, inner = pty.openpty()
    termios.tcsetwinsize(inner, (24, 80))
    with os.fdopen(inner, "wb") as stderr:
        subprocess.run(
            [
                sys.executable,
                "-m",
                "hubdistill",
                "push",
                str(model),
                "--repo-id",
                repo_id,
                *without,
                *options,
            ],
            env={**environment, "HF_TOKEN": WRITE},
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            check=True,
        )
        stderr.write(b"end")
    with os.fdopen(terminal, "rb") as screen:
        seen = b""
        while not seen.endswith(b"end"):
            seen += os.read(screen.fileno(), 4096)
    assert (b"model.safetensors: 100%" in seen) == shown
    assert (b"uploading 12 of 12 files" in seen) == shown
