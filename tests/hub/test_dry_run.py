"""What a push would do, said beforehand."""

from __future__ import annotations

import json
from pathlib import Path

from hub.model_folder import CARD, WRITE, push, safetensors

from hubdistill.hub import PushOutcome
from hubdistill.localhub import LocalHub


def planned(hub: LocalHub, model: Path, repo_id: str, **options: object) -> PushOutcome:
    return push(model, repo_id, token=WRITE, endpoint=hub.endpoint, dry_run=True, **options)


def test_every_file_is_listed_with_its_size_and_what_happens_to_it(
    hub: LocalHub, model: Path, repo_id: str
) -> None:
    (model / "report.json").unlink()
    push(model, repo_id, token=WRITE, endpoint=hub.endpoint)
    (model / "model.safetensors").write_bytes(safetensors(fill=1))
    (model / "vocab.txt").unlink()
    (model / "LICENSE").write_text("Apache\n")
    outcome = planned(hub, model, repo_id)
    listed = {
        line.split()[-1]: line.split()[0] for line in str(outcome).splitlines() if line.startswith("  ")
    }
    there = {file.relative_to(model).as_posix() for file in model.rglob("*") if file.is_file()}
    assert there | {"vocab.txt"} <= listed.keys()
    assert {path for path, status in listed.items() if status == "unchanged"} == there - {
        "model.safetensors",
        "LICENSE",
    }
    assert "  removed    12 bytes  vocab.txt" in str(outcome).splitlines()
    assert "  new         7 bytes  LICENSE" in str(outcome).splitlines()
    # A push itself names only what it changes.
    assert "unchanged  " not in str(push(model, repo_id, token=WRITE, endpoint=hub.endpoint))


def test_difference_of_the_card_is_shown_with_the_kept_sections_merged(
    hub: LocalHub, model: Path, repo_id: str
) -> None:
    assert planned(hub, model, repo_id).card_diff is None
    written = CARD.replace("keep notes -->\n", "keep notes -->\nOurs.\n")
    (model / "README.md").write_text(written)
    push(model, repo_id, token=WRITE, endpoint=hub.endpoint)
    assert planned(hub, model, repo_id).card_diff is None
    (model / "README.md").write_text(CARD.replace("A small model.", "A smaller model.\n\nFaster."))
    outcome = planned(hub, model, repo_id)
    assert outcome.card_diff is not None
    assert outcome.card_diff.splitlines()[:2] == ["--- README.md on the Hub", "+++ README.md to push"]
    changes = [line for line in outcome.card_diff.splitlines()[2:] if line[0] in "+-"]
    assert changes == ["-A small model.", "+A smaller model.", "+", "+Faster."]
    assert "  -A small model." in str(outcome).splitlines()
    assert json.loads(json.dumps(outcome.to_dict()))["card_diff"] == outcome.card_diff
    assert push(model, repo_id, token=WRITE, endpoint=hub.endpoint).card_diff is None


def test_long_differences_are_cut_for_people(hub: LocalHub, model: Path, repo_id: str) -> None:
    push(model, repo_id, token=WRITE, endpoint=hub.endpoint)
    (model / "README.md").write_text(CARD + "".join(f"Line {n}.\n" for n in range(200)))
    outcome = planned(hub, model, repo_id)
    lines = str(outcome).splitlines()
    shown = lines[lines.index("The card would change:") + 1 :]
    assert outcome.card_diff is not None
    more = len(outcome.card_diff.splitlines()) - 80
    assert len(shown) == 81
    assert shown[-1] == f"  ... and {more} more lines; --json has them all"
