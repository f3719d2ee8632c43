"""What was edited on the Hub's card is not undone by a push."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hub.model_folder import REPORT, WRITE, push
from huggingface_hub import HfApi, hf_hub_download

from hubdistill.card import render_card
from hubdistill.card.stamp import without_stamp
from hubdistill.errors import CardError
from hubdistill.figures import planned_figures
from hubdistill.hub import PushOutcome, preflight, refuse_foreign_card
from hubdistill.localhub.server import LocalHub

Send = Callable[..., PushOutcome]
Edit = Callable[[str, str], None]


@pytest.fixture
def card(model: Path) -> Path:
    """The card as hubdistill writes it, in a folder that does not know where it will go."""
    path = model / "README.md"
    path.write_text(render_card(REPORT, figures=planned_figures(REPORT)), encoding="utf-8")
    return path


@pytest.fixture
def send(hub: LocalHub, model: Path, card: Path, repo_id: str) -> Send:
    return lambda **options: push(model, repo_id, token=WRITE, endpoint=hub.endpoint, **options)


@pytest.fixture
def on_hub(hub: LocalHub, repo_id: str, tmp_path: Path) -> Callable[[], str]:
    def read() -> str:
        path = hf_hub_download(
            repo_id, "README.md", endpoint=hub.endpoint, token=WRITE, cache_dir=tmp_path / "cache"
        )
        return Path(path).read_text(encoding="utf-8")

    return read


@pytest.fixture
def edit(hub: LocalHub, repo_id: str, on_hub: Callable[[], str]) -> Edit:
    """Edit the card on the Hub."""

    def replace(old: str, new: str) -> None:
        text = on_hub()
        assert old in text
        HfApi(endpoint=hub.endpoint, token=WRITE).upload_file(
            path_or_fileobj=text.replace(old, new, 1).encode(), path_in_repo="README.md", repo_id=repo_id
        )

    return replace


KEEP = "<!-- hubdistill:keep notes -->\n"


def change(card: Path, old: str, new: str) -> None:
    """Edit the card in the folder."""
    text = card.read_text(encoding="utf-8")
    assert old in text
    card.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_card_gets_the_id_of_its_repository(send: Send, on_hub: Callable[[], str], repo_id: str) -> None:
    send()
    assert f'SentenceTransformer("{repo_id}")' in on_hub()
    assert send().commit is None


def test_card_that_its_author_changed_is_left_as_it_is(
    send: Send, on_hub: Callable[[], str], card: Path
) -> None:
    change(card, "## Quick start", "## First steps")
    send()
    assert without_stamp(on_hub()) == card.read_text(encoding="utf-8")


def test_an_author_may_change_his_own_words_as_often_as_he_likes(
    send: Send, on_hub: Callable[[], str], card: Path
) -> None:
    change(card, "## Quick start", "## First steps")
    send()
    change(card, "## First steps", "## Begin here")
    send()
    change(card, "## Begin here\n", "")
    send()
    change(card, KEEP, f"{KEEP}First.\n")
    send()
    change(card, "First.", "Second.")
    assert send().notes == ()
    assert without_stamp(on_hub()) == card.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("there", "stops"),
    [
        ("---\nlicense: mit\n---\n# By hand\n", True),
        ("---\nlicense: mit\nextra_gated_prompt: Who are you?\n---\n", True),
        ("---\nlicense: mit\n---\n", False),
    ],
    ids=["words", "a gate", "as the Hub makes it"],
)
def test_card_of_somebody_else_stops_the_first_push(
    send: Send, on_hub: Callable[[], str], hub: LocalHub, repo_id: str, there: str, stops: bool
) -> None:
    api = HfApi(endpoint=hub.endpoint, token=WRITE)
    api.create_repo(repo_id)
    api.upload_file(path_or_fileobj=there.encode(), path_in_repo="README.md", repo_id=repo_id)
    place = preflight(repo_id, token=WRITE, endpoint=hub.endpoint)
    if "#" in there:
        with pytest.raises(CardError, match="a card that hubdistill did not write"):
            refuse_foreign_card(place, token=WRITE)
    else:
        refuse_foreign_card(place, token=WRITE)
    if stops:
        with pytest.raises(CardError, match="would undo it"):
            send()
        assert on_hub() == there
    send(force=stops)
    assert "by hand" not in on_hub().lower()
    refuse_foreign_card(place, token=WRITE)


@pytest.mark.parametrize(
    ("old", "new", "shown"),
    [
        ("## Limitations\n", "## Limitations\n\nNot for tax law.\n", "+Not for tax law."),
        ("- distillation\n", "- distillation\n- tickets\n", "+- tickets"),
        ("### Out of scope\n", "", "-### Out of scope"),
    ],
    ids=["words", "metadata", "something taken away"],
)
def test_edits_outside_of_kept_sections_stop_the_push(
    send: Send, edit: Edit, on_hub: Callable[[], str], model: Path, old: str, new: str, shown: str
) -> None:
    send()
    edit(old, new)
    edited = on_hub()
    (model / "config.json").write_text("{}")
    with pytest.raises(CardError, match=r"would undo it.*") as refused:
        send()
    assert f"  {shown}\n" in str(refused.value)
    assert len(str(refused.value).splitlines()) < 9
    would_be = send(dry_run=True)
    assert would_be.refused
    assert shown in (would_be.conflict or "")
    assert "its card was edited on the Hub" in str(would_be)
    assert on_hub() == edited
    assert "edited there" in send(create_pr=True).notes[-1]
    send(force=True)
    assert on_hub() != edited
    assert send().commit is None


def test_edit_is_seen_whatever_version_and_template_the_card_is_of(
    send: Send, edit: Edit, model: Path, card: Path
) -> None:
    card.write_text("---\nlicense: mit\n---\n# Student\n\nAll mine.\n", encoding="utf-8")
    send()
    edit("All mine.\n", "All ours.\n")
    (model / "config.json").write_text("{}")
    with pytest.raises(CardError, match=r"(?s)-All mine\..*\+All ours\."):
        send()


def test_edit_that_the_folder_has_as_well_is_no_conflict(
    send: Send, edit: Edit, on_hub: Callable[[], str], card: Path
) -> None:
    send()
    edit("## Limitations\n", "## Limitations\n\nNot for tax law.\n")
    ours = without_stamp(on_hub()).replace("## Quick start", "## First steps")
    card.write_text(ours, encoding="utf-8")
    send()
    assert without_stamp(on_hub()) == ours


def test_metadata_in_another_order_and_other_line_ends_are_no_edit(
    send: Send, edit: Edit, model: Path
) -> None:
    send()
    edit("library_name: sentence-transformers\npipeline_tag: sentence-similarity\n", "")
    edit("tags:\n", "pipeline_tag: sentence-similarity\nlibrary_name: sentence-transformers\ntags:\n")
    edit("## Limitations\n", "\n\n## Limitations  \r\n")
    (model / "config.json").write_text("{}")
    assert send().commit


def test_new_kept_section_on_the_hub_stays(
    send: Send, edit: Edit, on_hub: Callable[[], str], model: Path
) -> None:
    send()
    block = "<!-- hubdistill:keep law -->\nNot for tax law.\n<!-- /hubdistill:keep -->\n"
    edit("## Limitations\n", f"## Limitations\n\n{block}")
    (model / "config.json").write_text("{}")
    assert send().commit
    assert block in on_hub()


def test_kept_section_that_both_changed_stops_the_push(
    send: Send, edit: Edit, on_hub: Callable[[], str], card: Path
) -> None:
    send()
    edit(KEEP, f"{KEEP}Theirs.\n")
    change(card, KEEP, f"{KEEP}Ours.\n")
    with pytest.raises(CardError, match=r"(?s)kept section 'notes' on the Hub.*-Theirs\..*\+Ours\."):
        send()
    send(force=True)
    assert "Ours." in on_hub()
    assert "Theirs." not in on_hub()


def test_folder_that_is_behind_takes_the_newer_text(
    hub: LocalHub, repo_id: str, send: Send, edit: Edit, on_hub: Callable[[], str], model: Path, card: Path
) -> None:
    change(card, KEEP, f"{KEEP}Old.\n")
    send()
    edit("Old.\n", "New.\n")
    api = HfApi(endpoint=hub.endpoint, token=WRITE)
    for number in range(25):  # Commits that leave the card alone do not make its history any longer.
        api.upload_file(path_or_fileobj=b"x" * number, path_in_repo="notes.txt", repo_id=repo_id)
    for number in range(2):
        (model / "config.json").write_text(f'{{"number": {number}}}')
        assert send().notes == (
            "kept section 'notes': the Hub's text stays, which is newer than the folder's",
        )
        assert "New." in on_hub()


def test_renamed_repository_is_pushed_to_as_before(
    hub: LocalHub, send: Send, model: Path, repo_id: str
) -> None:
    send()
    HfApi(endpoint=hub.endpoint, token=WRITE).move_repo(repo_id, f"{repo_id}-renamed")
    (model / "config.json").write_text("{}")
    assert push(model, f"{repo_id}-renamed", token=WRITE, endpoint=hub.endpoint).commit
