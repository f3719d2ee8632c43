"""Progress: a bar where somebody looks, log lines where nobody does."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import pytest

from hubdistill import progress


def test_without_a_terminal_nothing_is_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.track(10, "Counting") as advance:
        advance(10)
    assert capsys.readouterr() == ("", "")


def test_without_a_terminal_a_line_is_logged_now_and_then(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, 10.0, 40.0, 45.0])
    # Only this module's clock: servers of other tests may still be running and look at theirs.
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    with caplog.at_level(logging.INFO), progress.track(100, "Counting") as advance:
        for _ in range(3):
            advance(20)
    assert caplog.messages == ["Counting: 40 of 100, 1/s, 60 s left"]


@pytest.mark.parametrize("total", [10, None])
def test_a_bar_goes_to_stderr(total: int | None, capsys: pytest.CaptureFixture[str]) -> None:
    with progress.track(total, "Counting", show=True) as advance:
        advance(4)
    out, err = capsys.readouterr()
    assert out == ""
    assert "Counting" in err


def test_the_environment_switches_bars_off(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUBDISTILL_PROGRESS", "0")
    with progress.track(10, "Counting", show=True) as advance:
        advance(10)
    assert capsys.readouterr().err == ""
