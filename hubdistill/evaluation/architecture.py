"""What a model is made of, what it weighs on disk, and where it was measured."""

from __future__ import annotations

import math
import os
import platform
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import (
    Dense,
    Normalize,
    Pooling,
    StaticEmbedding,
    Transformer,
)
from torch import nn
from transformers import PreTrainedModel

from hubdistill.errors import EvaluationError
from hubdistill.report import Architecture, Environment

LIBRARIES = (
    "hubdistill",
    "sentence-transformers",
    "transformers",
    "torch",
    "tokenizers",
    "numpy",
    "scipy",
    "ir-measures",
    "mteb",
    "qdrant-client",
    "qdrant-edge-py",
)
"""Those that a figure can depend on; some are there only with an extra."""

_FEED_FORWARD = ("intermediate_size", "hidden_dim", "ffn_dim", "d_ff", "n_inner")


def describe_architecture(
    model: SentenceTransformer, kept_layers: Sequence[int] | None = None
) -> Architecture:
    """Describe a model for its report.

    Args:
        model: a transformer of any family, or a StaticEmbedding.
        kept_layers: the teacher's layers that a layer-reduced student keeps, counted from 0.

    Raises:
        EvaluationError: the model is neither.
    """
    first = model[0]
    encoder = model.transformers_model
    limit = model.max_seq_length
    common: dict[str, Any] = {
        "kept_layers": None if kept_layers is None else tuple(kept_layers),
        "max_length": None if limit is None or math.isinf(limit) else int(limit),
        "dimensions": int(model.get_embedding_dimension() or 0),
        "normalized": any(isinstance(module, Normalize) for module in model),
        "similarity": str(model.similarity_fn_name),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "modules": tuple(type(module).__name__ for module in model),
        "prompts": {name: prompt for name, prompt in model.prompts.items() if prompt},
        "default_prompt_name": model.default_prompt_name,
        "dump": dump_modules(model),
    }
    if isinstance(encoder, PreTrainedModel):
        config = encoder.config.get_text_config()
        return Architecture(
            kind="transformer",
            family=config.model_type,
            layers=config.num_hidden_layers,
            hidden_size=config.hidden_size,
            attention_heads=getattr(config, "num_attention_heads", None),
            feed_forward=next(
                (int(getattr(config, k)) for k in _FEED_FORWARD if getattr(config, k, 0)), None
            ),
            vocabulary=encoder.get_input_embeddings().num_embeddings,
            positions=getattr(config, "max_position_embeddings", None),
            pooling=", ".join(_pooling_modes(model)) or "none",
            embedding_parameters=sum(table.weight.numel() for table in _input_tables(encoder)),
            **common,
        )
    if isinstance(first, StaticEmbedding):
        return Architecture(
            kind="static",
            family="static",
            layers=0,
            hidden_size=first.embedding_dim,
            feed_forward=_hidden_units(model),
            vocabulary=first.num_embeddings,
            pooling="mean",
            embedding_parameters=first.embedding.weight.numel(),
            **common,
        )
    raise EvaluationError(
        f"cannot describe a model that starts with {type(first).__name__}; expected a transformer or a "
        "StaticEmbedding of sentence-transformers"
    )


def dump_modules(model: SentenceTransformer) -> str:
    """The model's module tree with its widths; equal blocks in a row are folded into one.

    sentence-transformers prints a transformer as one line; here its inside is shown.
    """
    parts = []
    for name, module in model.named_children():
        text = repr(module)
        if isinstance(module, Transformer):
            text = f"Transformer(\n  (model): {_indented(repr(module.model))}\n)"
        elif isinstance(module, StaticEmbedding):
            text = f"StaticEmbedding(\n  (embedding): {module.embedding!r}\n)"
        parts.append(f"  ({name}): {_indented(text)}")
    return "\n".join([f"{type(model).__name__}(", *parts, ")"])


def environment(seed: int, device: str) -> Environment:
    """Where and with what this process measures.

    Args:
        seed: of the evaluation.
        device: the torch device of the models, as a string.
    """
    accelerator = torch.cuda.get_device_name(device) if device.startswith("cuda") else device
    return Environment(
        device=accelerator,
        processor=_processor(),
        cores=os.cpu_count() or 1,
        threads=torch.get_num_threads(),
        memory_bytes=psutil.virtual_memory().total,
        # Not platform.platform(): a kernel's release can name the house it was built in.
        platform=" ".join(filter(None, (platform.system(), platform.machine(), *platform.libc_ver()))),
        python=platform.python_version(),
        libraries=_versions(),
        seed=seed,
    )


def _versions() -> dict[str, str]:
    found = {}
    for name in LIBRARIES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def _pooling_modes(model: SentenceTransformer) -> Iterator[str]:
    for module in model:
        if isinstance(module, Pooling):
            mode = module.pooling_mode
            yield from [mode] if isinstance(mode, str) else mode


def _hidden_units(model: SentenceTransformer) -> int | None:
    """Of the first Dense that another one follows: what is between the two is seen by nobody."""
    widths = [module.out_features for module in model if isinstance(module, Dense)]
    return widths[0] if len(widths) > 1 else None


def _input_tables(encoder: PreTrainedModel) -> list[nn.Embedding]:
    """The token table and its neighbours: positions, token types."""
    tokens = encoder.get_input_embeddings()
    for module in encoder.modules():
        tables = [child for child in module.children() if isinstance(child, nn.Embedding)]
        if any(table is tokens for table in tables):
            return tables
    return []


def _indented(text: str) -> str:
    return text.replace("\n", "\n  ")


def _processor() -> str:
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), flags=re.MULTILINE)
    except OSError:
        found = None
    return found.group(1).strip() if found else platform.processor() or platform.machine()
