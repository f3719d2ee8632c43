"""What `hubdistill report summary` prints: a report on one screen, in Markdown, as a CI job shows it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from hubdistill.card.claim import claim, glance
from hubdistill.card.text import bullets, code, escape, link
from hubdistill.figures import planned_figures
from hubdistill.report import DistillationReport


def report_summary(report: DistillationReport, pushed: Path | None = None) -> str:
    """The claim, the first figures beside the teacher's, and what became of the push.

    Args:
        pushed: a file with what `hubdistill push --format json` printed, where there was a push.
    """
    outcome = _read_outcome(pushed) if pushed else None
    name = outcome["repo_id"].rpartition("/")[2] if outcome else report.student
    parts: list[str] = [claim(report, name), glance(report)]
    if outcome:
        parts = [_headline(outcome), *parts, _figures(report, outcome), _gates(outcome)]
    return "\n\n".join(part for part in parts if part)


def _read_outcome(path: Path) -> Mapping[str, Any]:
    try:
        outcome = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise typer.BadParameter(f"--pushed {path}: {error}") from None
    if not isinstance(outcome, dict) or "repo_id" not in outcome:
        raise typer.BadParameter(f"--pushed {path}: not what `hubdistill push --format json` prints")
    return outcome


def _headline(outcome: Mapping[str, Any]) -> str:
    """The repository, and the commit, pull request and tag that it got."""
    if outcome["dry_run"]:
        done = "a dry run, nothing was sent"
    elif page := outcome["pull_request_url"]:
        done = link(f"pull request {page.rpartition('/')[2]}", page)
    elif outcome["commit"]:
        done = link(f"commit {outcome['commit'][:7]}", outcome["commit_url"])
    else:
        done = "nothing had changed"
    tag = f", tag {code(outcome['tag'])}" if outcome["tag"] and not outcome["dry_run"] else ""
    return f"### {link(outcome['repo_id'], outcome['url'])}: {done}{tag}"


def _figures(report: DistillationReport, outcome: Mapping[str, Any]) -> str:
    """Links to those of the figures that are on the Hub."""
    if outcome["dry_run"]:
        return ""
    there = {file["path"] for file in outcome["files"] if file["status"] != "removed"}
    files = f"{outcome['url']}/blob/{outcome['commit'] or outcome['revision']}"
    planned = (figure for figure in planned_figures(report) if figure.path in there)
    links = [link(figure.title, f"{files}/{figure.path}") for figure in planned]
    return f"Figures: {', '.join(links)}" if links else ""


def _gates(outcome: Mapping[str, Any]) -> str:
    """Each gate with the figures that it was judged by."""
    lines = []
    for gate in outcome["gates"]:
        said = "; ".join([check["text"] for check in gate["checks"]] + list(gate["notes"]))
        lines.append(code(gate["gate"]) + f" {'met' if gate['met'] else 'not met'}: " + escape(said))
    return f"Gates:\n\n{bullets(lines)}" if lines else ""
