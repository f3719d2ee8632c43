"""What was edited on the Hub's card is not undone by a push."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hub.model_folder import REPORT, WRITE, push
from huggingface_hub import HfApi, hf_hub_download

from hubdistill.card import render_card
from hubdistill.errors import CardError
from hubdistill.figures import planned_figures
from hubdistill.hub import PushOutcome
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


def test_card_gets_the_id_of_its_repository(send: Send, on_hub: Callable[[], str], repo_id: str) -> None:
    send()
    assert f'SentenceTransformer("{repo_id}")' in on_hub()
    assert send().commit is None


def test_card_that_its_author_changed_is_left_as_it_is(
    send: Send, on_hub: Callable[[], str], card: Path
) -> None:
    changed = card.read_text(encoding="utf-8").replace("## Quick start", "## First steps")
    card.write_text(changed, encoding="utf-8")
    send()
    assert on_hub() == changed


def test_words_outside_of_kept_sections_stop_the_push(
    send: Send, edit: Edit, on_hub: Callable[[], str], model: Path
) -> None:
    send()
    edit("## Limitations\n", "## Limitations\n\nNot for tax law.\n")
    (model / "config.json").write_text("{}")
    with pytest.raises(CardError, match=r"(?s)would undo it.*\+Not for tax law\..*--force") as refused:
        send()
    assert len(str(refused.value).splitlines()) < 9
    assert "Not for tax law." in on_hub()
    send(force=True)
    assert "Not for tax law." not in on_hub()


def test_metadata_that_was_added_stops_the_push(send: Send, edit: Edit, model: Path) -> None:
    send()
    edit("- distillation\n", "- distillation\n- tickets\n")
    (model / "config.json").write_text("{}")
    with pytest.raises(CardError, match=r"\+- tickets"):
        send()


def test_words_that_the_folder_has_as_well_are_no_conflict(
    send: Send, edit: Edit, on_hub: Callable[[], str], card: Path
) -> None:
    send()
    edit("## Limitations\n", "## Limitations\n\nNot for tax law.\n")
    ours = on_hub().replace("## Quick start", "## First steps")
    card.write_text(ours, encoding="utf-8")
    send()
    assert on_hub() == ours


def test_metadata_in_another_order_is_no_edit(send: Send, edit: Edit, model: Path) -> None:
    send()
    edit("library_name: sentence-transformers\npipeline_tag: sentence-similarity\n", "")
    edit("tags:\n", "pipeline_tag: sentence-similarity\nlibrary_name: sentence-transformers\ntags:\n")
    (model / "config.json").write_text("{}")
    assert send().commit
