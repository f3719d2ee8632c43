"""`hubdistill preview`, as it is run."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest
from hub.model_folder import CARD, write_model
from typer.testing import Result

Invoke = Callable[..., Result]
EMPTY = "nothing stands below the heading 'Notes'; write it, or take it out"
TODO = "'TODO' is a placeholder; write what belongs here"


def test_preview_prints_address_and_problems_and_the_problems_again_after_a_change(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "student")
    with subprocess.Popen(
        [sys.executable, "-m", "hubdistill", "preview", str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        deadline = threading.Timer(30, process.kill)
        deadline.start()
        first = [process.stdout.readline() for _ in range(3)]
        address = first[0].partition("http")[1] + first[0].partition("http")[2].partition(";")[0]
        assert httpx2.get(address).status_code == 200
        (folder / "README.md").write_text(f"{CARD}\nTODO\n", encoding="utf-8")
        then = [process.stdout.readline() for _ in range(3)]
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
        deadline.cancel()
    assert first == [f"The card is shown at {address}; Ctrl-C ends it.\n", "\n", f"README.md:10: {EMPTY}\n"]
    assert then == ["Changed:\n", "\n", f"README.md:15: {TODO}\n"]
    assert (process.returncode, errors) == (0, "")


@pytest.fixture
def ended_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C as soon as the preview waits."""

    def wait(preview: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("hubdistill.preview.CardPreview.wait", wait)


@pytest.mark.usefixtures("ended_at_once")
def test_machines_get_address_and_problems(tmp_path: Path, invoke: Invoke) -> None:
    said = json.loads(invoke("preview", write_model(tmp_path / "student"), "--json").stdout)
    assert said["address"].startswith("http://127.0.0.1:")
    assert said["problems"] == [{"line": 10, "text": EMPTY}]


@pytest.mark.usefixtures("ended_at_once")
def test_quiet_prints_the_address_and_a_line_a_problem(tmp_path: Path, invoke: Invoke) -> None:
    lines = invoke("preview", write_model(tmp_path / "student") / "README.md", "-q").stdout.splitlines()
    assert lines[0].startswith("http://127.0.0.1:")
    assert lines[1:] == [f"README.md:10: {EMPTY}"]


@pytest.mark.usefixtures("ended_at_once")
def test_the_browser_is_opened_when_asked(
    tmp_path: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    write_model(tmp_path / "student")
    invoke("preview", "student")
    assert opened == []
    address = invoke("preview", "student", "--open", "-q").stdout.splitlines()[0]
    assert opened == [address]


def test_a_folder_that_is_not_there_is_a_message(invoke: Invoke) -> None:
    result = invoke("preview", "none")
    assert result.exit_code == 1
    assert "there is no folder none" in result.stderr
