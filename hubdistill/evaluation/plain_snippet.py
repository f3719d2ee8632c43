"""A snippet that embeds texts without sentence-transformers, made from a model's own modules.

Encoders run with transformers; static models need tokenizers and numpy only.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense, Transformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, StaticEmbedding
from torch import nn
from transformers import MODEL_MAPPING, PreTrainedModel

from hubdistill.report import PLACEHOLDER

_NO_LIMIT = 10**6
"""Tokenizers without a maximum say a number beyond this."""

_PADDED_RIGHT = {
    "mean": "(tokens * mask).sum(dim=1) / mask.sum(dim=1)",
    "max": 'tokens.masked_fill(mask == 0, float("-inf")).amax(dim=1)',
    "cls": "tokens[:, 0]",
    "lasttoken": "tokens[torch.arange(len(texts)), mask.sum(dim=1).flatten() - 1]",
}
_PADDED_LEFT = _PADDED_RIGHT | {
    "cls": "tokens[torch.arange(len(texts)), mask.argmax(dim=1).flatten()]",
    "lasttoken": "tokens[:, -1]",
}
_READING = ["from huggingface_hub import hf_hub_download", "from safetensors.torch import load_file"]
_IN_TORCH: dict[type, str] = {
    nn.Identity: "{}",
    nn.ReLU: "torch.relu({})",
    nn.Tanh: "torch.tanh({})",
}
_IN_NUMPY: dict[type, str] = {nn.Identity: "{}", nn.ReLU: "np.maximum(0, {})", nn.Tanh: "np.tanh({})"}


@dataclass(frozen=True)
class PlainSnippet:
    """Code that defines `embed(texts)`, as it was written: nobody has run it yet."""

    code: str
    """With the placeholder MODEL_ID for the repository id."""
    packages: tuple[str, ...]
    """What to install for it."""
    max_length: int | None
    """In tokens, as the code says it; None: it says none."""


def plain_snippet(
    model: SentenceTransformer,
    folder: Path,
    sentences: Sequence[str],
    *,
    prompt: str | None = None,
    trust_remote_code: bool = False,
) -> PlainSnippet | None:
    """Write the snippet for a model.

    Args:
        folder: where the model is saved.
        sentences: what the snippet embeds.
        prompt: put before every text; the model's own default prompt when None.
        trust_remote_code: whether the model's own Python code is run: the snippet then says so.

    Returns:
        None for modules, poolings and activations that this does not know.
    """
    prompt = model._resolve_prompt(prompt, None)
    texts = f"[{_quoted(prompt)} + text for text in texts]" if prompt else "texts"
    first, *others = model
    # A plain encoder has none; sentence-transformers then adds the pooling.
    modules = _json(folder / "modules.json") or [{"path": ""}] * len(model)
    paths = [module["path"] for module in modules]
    if len(paths) != len(model) or paths[0]:
        return None
    if isinstance(first, StaticEmbedding):
        snippet = _static(first, list(zip(others, paths[1:], strict=True)), texts)
    elif isinstance(first, Transformer) and isinstance(first.model, PreTrainedModel):
        config = _json(folder / "config.json") or {}
        wide = config.get("dtype", config.get("torch_dtype")) in (None, "float32")
        located = list(zip(others, paths[1:], strict=True))
        snippet = _transformer(first, located, texts, wide=wide, trust_remote_code=trust_remote_code)
    else:
        return None
    if snippet is None:
        return None
    listed = "".join(f"    {_quoted(sentence)},\n" for sentence in sentences)
    use = f"\n\n\nsentences = [\n{listed}]\nembeddings = embed(sentences)\nprint(embeddings.shape)"
    return PlainSnippet(snippet.code + use, snippet.packages, snippet.max_length)


def _transformer(
    first: Transformer,
    others: Sequence[tuple[nn.Module, str]],
    texts: str,
    *,
    wide: bool,
    trust_remote_code: bool,
) -> PlainSnippet | None:
    encoder: Any = first.model
    tokenizer: Any = first.tokenizer
    taken = set(inspect.signature(encoder.forward).parameters)
    arguments = ["padding=True"]
    limit = tokenizer.model_max_length if tokenizer.model_max_length < _NO_LIMIT else None
    if limit is not None:
        arguments += ["truncation=True", f"max_length={limit}"]
    if "token_type_ids" in tokenizer.model_input_names and "token_type_ids" not in taken:
        arguments.append("return_token_type_ids=False")
    steps: list[str] = []
    weights: list[str] = []
    for module, path in others:
        if isinstance(module, Pooling):
            modes = _PADDED_LEFT if tokenizer.padding_side == "left" else _PADDED_RIGHT
            if module.pooling_mode not in modes or not module.include_prompt:
                return None
            steps.append(modes[str(module.pooling_mode)])
        elif isinstance(module, Dense):
            name = f"dense_{len(weights) + 1}"
            if (line := _dense(module, name, _IN_TORCH, "" if wide else ".float()")) is None:
                return None
            steps.append(line)
            weights.append(_loading(name, path))
        elif isinstance(module, Normalize):
            steps.append("torch.nn.functional.normalize(vectors)")
        else:
            return None
    if not others or not isinstance(others[0][0], Pooling):
        return None
    mapped: Any = MODEL_MAPPING.get(type(encoder.config), None)
    usual = trust_remote_code or mapped is type(encoder)
    name = "AutoModel" if usual else type(encoder).__name__
    trusting = ", trust_remote_code=True" if trust_remote_code else ""
    dtype = "" if wide else ', dtype="float32"'
    lines = [
        "import torch",
        *(_READING * bool(weights)),
        f"from transformers import {', '.join(sorted([name, 'AutoTokenizer']))}",
        "",
        f'tokenizer = AutoTokenizer.from_pretrained("{PLACEHOLDER}"{trusting})',
        f'model = {name}.from_pretrained("{PLACEHOLDER}"{dtype}{trusting})',
        *weights,
        "",
        "",
        "def embed(texts):",
        f'    inputs = tokenizer({texts}, {", ".join(arguments)}, return_tensors="pt")',
        "    with torch.no_grad():",
        "        tokens = model(**inputs).last_hidden_state",
        '    mask = inputs["attention_mask"].unsqueeze(-1)',
        *(f"    vectors = {step}" for step in steps[:-1]),
        f"    return {steps[-1]}",
    ]
    if "mask" not in steps[0]:
        lines.remove('    mask = inputs["attention_mask"].unsqueeze(-1)')
    return PlainSnippet("\n".join(lines), ("torch", "transformers"), limit)


def _loading(name: str, path: str) -> str:
    return f'{name} = load_file(hf_hub_download("{PLACEHOLDER}", "{path}/model.safetensors"))'


def _dense(module: Dense, name: str, activations: dict[type, str], cast: str = "") -> str | None:
    activation = activations.get(type(module.activation_function))
    inside = {module.module_input_name, module.module_output_name} == {"sentence_embedding"}
    if activation is None or not inside or module.use_residual:
        return None
    line = f'vectors @ {name}["linear.weight"]{cast}.T'
    if module.bias:
        line += f' + {name}["linear.bias"]{cast}'
    return activation.format(line)


def _static(
    first: StaticEmbedding, others: Sequence[tuple[nn.Module, str]], texts: str
) -> PlainSnippet | None:
    steps: list[str] = []
    weights: list[str] = []
    for module, path in others:
        if isinstance(module, Dense):
            name = f"dense_{len(weights) + 1}"
            if (line := _dense(module, name, _IN_NUMPY)) is None:
                return None
            steps.append(line)
            weights.append(_loading(name, path))
        elif isinstance(module, Normalize):
            steps.append("vectors / np.linalg.norm(vectors, axis=1, keepdims=True)")
        else:
            return None
    wide = first.embedding.weight.dtype == torch.float32
    # numpy knows no bfloat16.
    library, cast = ("numpy", "") if wide else ("torch", ".float().numpy()")
    lines = [
        "import numpy as np",
        "from huggingface_hub import hf_hub_download",
        f"from safetensors.{library} import load_file",
        "from tokenizers import Tokenizer",
        "",
        f'tokenizer = Tokenizer.from_file(hf_hub_download("{PLACEHOLDER}", "tokenizer.json"))',
        f'table = load_file(hf_hub_download("{PLACEHOLDER}", "model.safetensors"))["embedding.weight"]{cast}',
        *weights,
        "",
        "",
        "def embed(texts):",
        f"    encodings = tokenizer.encode_batch({texts}, add_special_tokens=False)",
        "    vectors = np.stack([table[encoding.ids].mean(axis=0) for encoding in encodings])",
        *(f"    vectors = {step}" for step in steps[:-1]),
        f"    return {steps[-1] if steps else 'vectors'}",
    ]
    packages = ("huggingface_hub", "numpy", "safetensors", "tokenizers", *(() if wide else ("torch",)))
    return PlainSnippet("\n".join(lines), packages, None)


def _quoted(text: str) -> str:
    """A Python literal, in double quotes."""
    return json.dumps(text, ensure_ascii=False)


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
