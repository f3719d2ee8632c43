"""A hidden layer for a static student: tokens that change what other tokens mean.

A mean of token vectors adds up what each token says alone. Two Dense modules behind it, with a ReLU between
them, can tell combinations of tokens apart (a deep averaging network). They start as the identity, so that
training goes on from the table that was solved for.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from sentence_transformers import SentenceTransformer, SentenceTransformerModelCardData
from sentence_transformers.sentence_transformer.modules import Dense, Normalize, StaticEmbedding
from torch import nn

UNITS = 4
"""Units of the hidden layer for each dimension of the student."""

CITATION = """\
@inproceedings{iyyer-etal-2015-deep,
    title = {Deep Unordered Composition Rivals Syntactic Methods for Text Classification},
    author = {Iyyer, Mohit and Manjunatha, Varun and Boyd-Graber, Jordan and Daum{\\'e} III, Hal},
    booktitle = {Proceedings of the 53rd Annual Meeting of the Association for Computational Linguistics},
    year = {2015}
}"""

# How strongly the units that carry a dimension through react: with 3, they learn as quickly as the others.
_GAIN = 3.0


@torch.no_grad()
def add_hidden_layer(model: SentenceTransformer, texts: Sequence[str], *, seed: int) -> SentenceTransformer:
    """Make a static model with a hidden layer that gives the same vectors as one without.

    For every dimension two units carry it through, one its positive and one its negative part; as many again
    have random weights and no effect yet.

    Args:
        model: a StaticEmbedding and a Normalize; left as it is.
        texts: some texts, to bring their means to about length 1, which learning rates rely on.
        seed: of the random weights.
    """
    static = model[0]
    assert isinstance(static, StaticEmbedding)
    table = static.embedding.weight
    means = static(static.preprocess(list(texts)))["sentence_embedding"]
    length = means.norm(dim=1).median().clamp_min(1e-6)
    width = table.shape[1]
    carried = torch.eye(width)
    free = torch.randn(
        (UNITS - 2) * width, width, generator=torch.Generator().manual_seed(seed), dtype=table.dtype
    )
    inward = torch.cat([_GAIN * carried, -_GAIN * carried, free])
    outward = torch.cat([carried / _GAIN, -carried / _GAIN, torch.zeros(width, len(free))], dim=1)
    return SentenceTransformer(
        modules=[
            StaticEmbedding(static.tokenizer, embedding_weights=table / length),
            Dense(
                width,
                len(inward),
                activation_function=nn.ReLU(),
                init_weight=inward,
                init_bias=torch.zeros(len(inward)),
            ),
            Dense(
                len(inward),
                width,
                activation_function=None,
                init_weight=outward,
                init_bias=torch.zeros(width),
            ),
            Normalize(),
        ],
        similarity_fn_name=model.similarity_fn_name,
        device="cpu",
        model_card_data=SentenceTransformerModelCardData(local_files_only=True),
    )
