"""Loading what was published, in a fresh process with an empty cache."""

from __future__ import annotations

from pathlib import Path

import pytest
from hub.model_folder import CARD, WRITE

from hubdistill.errors import PublishError
from hubdistill.hub import check_loads_back, push
from hubdistill.localhub.server import LocalHub

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
    outcome = push(published, repo_id, token=WRITE, endpoint=hub.endpoint, private=True)
    assert outcome.left_out == ()
    assert check_loads_back(repo_id, outcome.commit, published, WRITE, hub.endpoint) == 0.0

    # Twice the table: the largest entry of `guitar` is 14, so the vectors differ by 14 there.
    other = save_static_model(tmp_path / "other", 2.0)
    assert check_loads_back(repo_id, None, other, WRITE, hub.endpoint, texts=["guitar"]) == 14.0


def test_model_that_does_not_load_is_told(hub: LocalHub, repo_id: str, model: Path) -> None:
    push(model, repo_id, token=WRITE, endpoint=hub.endpoint)
    with pytest.raises(PublishError, match=f"{repo_id} at main does not load from {hub.endpoint}: "):
        check_loads_back(repo_id, None, model, WRITE, hub.endpoint)
