"""What the files of a model say about it, read without loading it."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from safetensors import SafetensorError, safe_open

from hubdistill.errors import CardError
from hubdistill.model_files import all_files, model_bytes

_LAYERS = ("num_hidden_layers", "n_layers", "num_layers", "n_layer")
_WIDTH = ("hidden_size", "dim", "d_model", "n_embd")
_HEADS = ("num_attention_heads", "n_heads", "num_heads", "n_head")
_FEED_FORWARD = ("intermediate_size", "hidden_dim", "ffn_dim", "d_ff", "n_inner")
_POSITIONS = ("max_position_embeddings", "n_positions")
_POOLING = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
"""Keys of a pooling's configuration before sentence-transformers 5.4, and the modes that they stand for."""

_TYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}
"""Floating-point types by their names in safetensors: those of parameters. Whole numbers are buffers."""

_ENDLESS = 1_000_000
"""Tokens; tokenizers without a maximum say a larger number."""


@dataclass(frozen=True)
class FolderFacts:
    """What a model's files say; None where they do not."""

    name: str
    kind: Literal["transformer", "static"] | None
    """None for a model of another kind."""
    modules: tuple[str, ...]
    """Class names, in order; empty for a plain encoder without modules.json."""
    own_code: bool
    """Whether it brings Python code of its own."""
    bytes: int
    """Of all files that it needs."""
    family: str | None = None
    layers: int | None = None
    hidden_size: int | None = None
    attention_heads: int | None = None
    feed_forward: int | None = None
    vocabulary: int | None = None
    positions: int | None = None
    max_length: int | None = None
    """In tokens."""
    dimensions: int | None = None
    """Of the embedding."""
    pooling: str | None = None
    normalized: bool = False
    similarity: str | None = None
    prompts: tuple[tuple[str, str], ...] = ()
    """Name and text of those that are not empty."""
    parameters: int | None = None
    dtype: str | None = None
    """Of most parameters, as saved."""
    versions: tuple[tuple[str, str], ...] = ()
    """Of the libraries that saved it."""


def read_folder(folder: Path) -> FolderFacts:
    """Read what a model's files say.

    Raises:
        CardError: it is not the folder of a model, or a file cannot be read.
    """
    modules = [one for one in _list(folder / "modules.json") if isinstance(one, dict)]
    if not modules and not (folder / "config.json").is_file():
        raise CardError(
            f"{folder} has neither modules.json nor config.json, so it is not the folder of a model; "
            "give the one that model.save_pretrained wrote"
        )
    types = [str(module.get("type")) for module in modules]
    names = tuple(name.rpartition(".")[2] for name in types)
    places = [_inside(folder, str(module.get("path", ""))) for module in modules] or [folder]
    said = _dict(folder / "config_sentence_transformers.json")
    encoder = _dict(places[0] / "config.json")
    shapes = dict(_tensors(folder))
    facts: dict[str, Any] = {
        "name": folder.resolve().name,
        "modules": names,
        "own_code": "auto_map" in encoder or any(not t.startswith("sentence_transformers.") for t in types),
        "bytes": model_bytes(folder),
        "normalized": "Normalize" in names,
        "similarity": _text(said.get("similarity_fn_name")) or ("cosine" if modules else None),
        "prompts": _pairs(said.get("prompts")),
        "versions": _pairs(said.get("__version__")),
    }
    kinds = Counter[str]()
    for dtype, shape in shapes.values():
        kinds[dtype] += math.prod(shape)
    if kinds:
        facts |= {"parameters": kinds.total(), "dtype": kinds.most_common(1)[0][0]}
    if names[:1] == ("StaticEmbedding",):
        tables = [shape for name, (_, shape) in shapes.items() if name.endswith("embedding.weight")]
        vocabulary, width = tables[0] if tables and len(tables[0]) == 2 else (None, None)
        facts |= {"kind": "static", "vocabulary": vocabulary, "pooling": "mean", "hidden_size": width}
    elif names[:1] in ((), ("Transformer",)):
        text = encoder.get("text_config")
        inner = text if isinstance(text, dict) else encoder
        facts |= {"kind": "transformer", **_transformer(inner), "max_length": _max_length(places[0], inner)}
        facts["family"] = facts["family"] or _text(encoder.get("model_type"))
        if "Pooling" in names:
            facts["pooling"] = _pooling(_dict(places[names.index("Pooling")] / "config.json"))
    else:
        facts["kind"] = None
    facts["dimensions"] = _dimensions(names, places, facts)
    return FolderFacts(**facts)


def _inside(folder: Path, path: str) -> Path:
    place = folder / path
    if not place.resolve().is_relative_to(folder.resolve()):
        raise CardError(f"{folder / 'modules.json'} names the folder {path!r}, which is not inside {folder}")
    return place


def _transformer(config: dict[str, Any]) -> dict[str, Any]:
    return {
        "family": _text(config.get("model_type")),
        "layers": _number(config, *_LAYERS),
        "hidden_size": _number(config, *_WIDTH),
        "attention_heads": _number(config, *_HEADS),
        "feed_forward": _number(config, *_FEED_FORWARD),
        "vocabulary": _number(config, "vocab_size"),
        "positions": _number(config, *_POSITIONS),
    }


def _max_length(folder: Path, config: dict[str, Any]) -> int | None:
    """As sentence-transformers decides: what its file says, or else the tokenizer's within the positions."""
    for path in sorted(folder.glob("sentence_*_config.json")):
        if said := _number(_dict(path), "max_seq_length"):
            return said
    tokenizer = _number(_dict(folder / "tokenizer_config.json"), "model_max_length")
    known = [n for n in (tokenizer, _number(config, "max_position_embeddings")) if n and n < _ENDLESS]
    return min(known) if tokenizer and known else None


def _pooling(config: dict[str, Any]) -> str | None:
    said = config.get("pooling_mode")
    modes = said if isinstance(said, list) else [said] if said else []
    modes = modes or [mode for key, mode in _POOLING.items() if config.get(key) is True]
    return ", ".join(map(str, modes)) or None


def _dimensions(names: tuple[str, ...], places: list[Path], facts: dict[str, Any]) -> int | None:
    """Of what comes out of the last module, following those that change the width."""
    width: int | None = facts.get("hidden_size")
    for name, place in zip(names, places, strict=False):
        config = _dict(place / "config.json")
        if name == "Pooling":
            single = _number(config, "embedding_dimension", "word_embedding_dimension") or width
            width = single * len((_pooling(config) or "").split(", ")) if single else None
        elif name == "Dense":
            width = _number(config, "out_features")
    pooled = facts["kind"] == "static" or (facts["kind"] == "transformer" and "Pooling" in names)
    return width if pooled else None


def _tensors(folder: Path) -> Iterator[tuple[str, tuple[str, list[int]]]]:
    """Type and shape of each parameter, by file and name."""
    for path in all_files(folder):
        if path.suffix != ".safetensors":
            continue
        try:
            with safe_open(path, framework="numpy") as file:
                for name in file.keys():  # noqa: SIM118 - not a dictionary
                    tensor = file.get_slice(name)
                    if dtype := _TYPES.get(str(tensor.get_dtype())):
                        yield f"{path}/{name}", (dtype, tensor.get_shape())
        except (OSError, SafetensorError) as error:
            raise CardError(f"cannot read {path}: {error}; save the model again") from error


def _dict(path: Path) -> dict[str, Any]:
    found = _json(path)
    return found if isinstance(found, dict) else {}


def _list(path: Path) -> list[Any]:
    found = _json(path)
    return found if isinstance(found, list) else []


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise CardError(f"cannot read {path}: {error}") from error


def _number(config: dict[str, Any], *keys: str) -> int | None:
    """The first of some fields that holds a whole number above zero; a tokenizer may write it as 1e30."""
    for key in keys:
        value = config.get(key)
        if isinstance(value, int | float) and math.isfinite(value) and value >= 1 and value is not True:
            return int(value)
    return None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _pairs(value: Any) -> tuple[tuple[str, str], ...]:
    items = value.items() if isinstance(value, dict) else ()
    return tuple((str(name), text) for name, text in items if isinstance(text, str) and text)
