"""The tags that the Hub derives from a card and from the files beside it."""

from __future__ import annotations

from typing import Any


def listed(value: Any) -> list[str]:
    """A metadata value that may be one or several."""
    return [str(each) for each in value] if isinstance(value, list) else [] if value is None else [str(value)]


def info_tags(card: dict[str, Any], paths: list[str]) -> list[str]:
    """Tags for searching: library, the card's own, format, task, languages, licence, data, base model."""
    tags = listed(card.get("library_name")) + listed(card.get("tags"))
    if any(path.endswith(".safetensors") for path in paths):
        tags.append("safetensors")
    tags += listed(card.get("pipeline_tag")) + listed(card.get("language"))
    tags += [f"license:{each}" for each in listed(card.get("license"))]
    tags += [f"dataset:{each}" for each in listed(card.get("datasets"))]
    for base in listed(card.get("base_model")):
        tags.append(f"base_model:{base}")
        if card.get("base_model_relation"):
            tags.append(f"base_model:{card['base_model_relation']}:{base}")
    return list(dict.fromkeys(tags))
