"""Loading what was published, in a fresh process with an empty cache."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hub.model_folder import CARD, WRITE
from huggingface_hub import HfApi

from hubdistill.errors import PublishError
from hubdistill.hub import check_loads_back, push
from hubdistill.localhub import Fault, FaultPlan, LocalHub

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>':DeprecationWarning")


def save_static_model(folder: Path, scale: float) -> Path:
    """A static model of five words and three dimensions."""
    import numpy as np
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    tokenizer = Tokenizer(
        WordLevel({"[UNK]": 0, "a": 1, "man": 2, "plays": 3, "guitar": 4}, unk_token="[UNK]")
    )
    tokenizer.pre_tokenizer = Whitespace()
    table = scale * np.arange(15, dtype=np.float32).reshape(5, 3)
    model = SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_weights=table)], device="cpu")
    model.save_pretrained(str(folder), create_model_card=False)
    (folder / "README.md").write_text(CARD)
    return folder


def test_published_model_gives_the_local_vectors(hub: LocalHub, repo_id: str, tmp_path: Path) -> None:
    published = save_static_model(tmp_path / "published", 1.0)
    told: list[str] = []
    outcome = push(published, repo_id, token=WRITE, endpoint=hub.endpoint, private=True, progress=told.append)
    assert outcome.left_out == ()
    assert outcome.load_back == 0.0
    assert "Loaded back from the Hub: its vectors differ from those here by at most 0." in str(outcome)
    assert told[-1].startswith("loading the model from the Hub")

    # Twice the table: the largest entry of `guitar` is 14, so the vectors differ by 14 there.
    other = save_static_model(tmp_path / "other", 2.0)
    assert check_loads_back(repo_id, None, other, WRITE, hub.endpoint, texts=["guitar"]) == 14.0


def test_pull_request_is_loaded_back_and_other_vectors_are_told(
    hub: LocalHub, repo_id: str, tmp_path: Path
) -> None:
    folder = save_static_model(tmp_path / "student", 1.0)
    push(folder, repo_id, token=WRITE, endpoint=hub.endpoint, load_back=False)
    save_static_model(folder, 2.0)

    def swap(step: str) -> None:
        if step.startswith("loading"):
            save_static_model(folder, 3.0)

    # Of texts of unknown words the vector is that of [UNK], whose largest entry is 2; with `a` it is above.
    with pytest.raises(
        PublishError, match=r"is at commit \w+, but loaded back its vectors differ .* by up to"
    ):
        push(folder, repo_id, token=WRITE, endpoint=hub.endpoint, create_pr=True, progress=swap)
    api = HfApi(endpoint=hub.endpoint, token=WRITE)
    assert len(api.list_repo_commits(repo_id, revision="refs/pr/1")) == 3


def test_weights_that_stay_behind_are_told_and_no_error(hub: LocalHub, repo_id: str, tmp_path: Path) -> None:
    folder = save_static_model(tmp_path / "student", 1.0)
    push(folder, repo_id, token=WRITE, endpoint=hub.endpoint, load_back=False)
    save_static_model(folder, 2.0)
    (folder / "README.md").write_text(CARD + "More.")
    outcome = push(folder, repo_id, token=WRITE, endpoint=hub.endpoint, include=["README.md"])
    assert (outcome.commit is not None, outcome.load_back) == (True, None)

    settings = folder / "config_sentence_transformers.json"
    settings.write_text(settings.read_text() + "\n")
    outcome = push(folder, repo_id, token=WRITE, endpoint=hub.endpoint, exclude=["*.safetensors"])
    assert outcome.load_back is not None
    assert outcome.load_back > 1
    assert "--include or --exclude left files of the model behind" in outcome.notes[-1]


def test_model_that_does_not_load_is_told(hub: LocalHub, repo_id: str, model: Path) -> None:
    with pytest.raises(
        PublishError,
        match=rf"^the commit has landed, but {repo_id} at \w+ does not load from {hub.endpoint}: "
        "ValueError: Unrecognized processing class .*; a push that changes nothing does not load it again, "
        rf"`hubdistill verify {repo_id}@\w+ --quick` does; mend the folder and push again$",
    ):
        push(model, repo_id, token=WRITE, endpoint=hub.endpoint, tag="v1")
    refs = HfApi(endpoint=hub.endpoint, token=WRITE).list_repo_refs(repo_id)
    assert refs.tags == []


def test_connection_that_breaks_while_loading_back_is_tried_once_more(
    hub: LocalHub, repo_id: str, tmp_path: Path
) -> None:
    folder = save_static_model(tmp_path / "student", 1.0)
    push(folder, repo_id, token=WRITE, endpoint=hub.endpoint, load_back=False)
    hub.faults = FaultPlan(Fault("reset before", "resolve"))
    try:
        assert check_loads_back(repo_id, None, folder, WRITE, hub.endpoint) == 0.0
        assert hub.faults.struck
    finally:
        hub.faults = FaultPlan()


def test_no_room_to_load_back_is_told_before_anything_is_sent(
    hub: LocalHub, repo_id: str, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = shutil.disk_usage(model)._replace(free=10)
    monkeypatch.setattr("hubdistill.free_space.shutil.disk_usage", lambda _: free)
    with pytest.raises(PublishError, match=r"has 10 bytes free, .* needed .*set TMPDIR .* --no-load-back"):
        push(model, repo_id, token=WRITE, endpoint=hub.endpoint)
    assert not HfApi(endpoint=hub.endpoint, token=WRITE).repo_exists(repo_id)
