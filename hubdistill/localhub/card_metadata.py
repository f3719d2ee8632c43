"""The metadata of a card: reading it, and the checks that the Hub runs before it accepts a README."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Iterable, Iterator
from typing import Any

import yaml

from hubdistill.card.vocabulary import (
    BASE_MODEL_RELATIONS,
    LANGUAGES,
    LICENSES,
    PIPELINE_TAGS,
    SPECIAL_LANGUAGES,
)
from hubdistill.front_matter import split_front_matter

_REPO_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}(?:/[A-Za-z0-9_][\w.-]{0,95})?")
_THREE_LETTERS = re.compile(r"[a-z]{3}")
_MISSING = "empty or missing yaml metadata in repo card (https://huggingface.co/docs/hub/model-cards#model-card-metadata)"


class _Loader(yaml.SafeLoader):
    """YAML as the Hub reads it: only true and false are booleans, and a key may come once."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node, deep=True)
        if isinstance(key, (list, dict)):
            raise yaml.MarkedYAMLError(None, None, "a key must be a scalar", key_node.start_mark)
        if key in seen:
            raise yaml.MarkedYAMLError(None, None, f"duplicated mapping key '{key}'", key_node.start_mark)
        seen.add(key)
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)
# PyYAML reads YAML 1.1, where `no` is false; the Hub reads 1.2, where it is Norwegian.
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:bool"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)


def read_metadata(readme: str) -> dict[str, Any] | None:
    """The metadata of a README as JSON values; None where there is none, or none that can be read."""
    try:
        value = yaml.load(split_front_matter(readme)[0], _Loader)
    except (yaml.YAMLError, ValueError):
        return None
    return _jsonable(value) if isinstance(value, dict) else None


def _jsonable(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _jsonable(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set):
        return [_jsonable(each) for each in value]
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, str | int | float) else str(value)


def check_card(readme: str) -> tuple[list[str], list[str]]:
    """Check the metadata of a README.

    Returns:
        errors, with which the Hub refuses the file, and warnings.
    """
    text, _ = split_front_matter(readme)
    if not text.strip():
        return [], [_MISSING]
    try:
        metadata = yaml.load(text, _Loader)
    except (yaml.YAMLError, ValueError) as error:
        return [f"YAML metadata cannot be read: {' '.join(str(error).split())}"], []
    if metadata is None:
        return [], [_MISSING]
    if not isinstance(metadata, dict):
        return [f"YAML metadata must be a mapping of names to values, not a {_kind(metadata)}"], []
    return list(_errors(metadata)), list(_warnings(metadata, text))


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    names = {bool: "boolean", int: "number", float: "number", str: "string", list: "list", dict: "mapping"}
    return names.get(type(value), type(value).__name__)


def _errors(metadata: dict[Any, Any]) -> Iterator[str]:
    yield from _license_errors(metadata)
    yield from _language_errors(metadata.get("language"))
    for name in ("base_model", "datasets", "new_version"):
        yield from _id_errors(name, metadata.get(name))
    for name in ("tags", "metrics"):
        yield from _string_list_errors(name, metadata.get(name), list_only=name == "tags")
    for name in ("library_name", "pipeline_tag", "license_name", "license_link", "model_name"):
        if name in metadata and not isinstance(metadata[name], str):
            yield f'"{name}" must be a string, not a {_kind(metadata[name])}'
    relation = metadata.get("base_model_relation")
    known_relation = isinstance(relation, str) and relation in BASE_MODEL_RELATIONS
    if relation is not None and not known_relation:
        known = ", ".join(sorted(BASE_MODEL_RELATIONS))
        yield f'"base_model_relation" must be one of [{known}], not {relation!r}'
    if "model-index" in metadata:
        yield from _model_index_errors(metadata["model-index"])


def _license_errors(metadata: dict[Any, Any]) -> Iterator[str]:
    value = metadata.get("license")
    if value is None:
        return
    for each in value if isinstance(value, list) else [value]:
        if not isinstance(each, str) or each not in LICENSES:
            yield f'"license" must be one of [{", ".join(sorted(LICENSES))}], not {each!r}'


def _language_errors(value: Any) -> Iterator[str]:
    if value is None:
        return
    for place, each in _places("language", value):
        if isinstance(each, bool):
            yield f'"{place}" must be a string, not the boolean that YAML makes of a bare no; quote it: "no"'
        elif not isinstance(each, str):
            yield f'"{place}" must be a string, not a {_kind(each)}'
        elif each != each.lower():
            yield f'"{place}" must only contain lowercase characters'
        elif each not in LANGUAGES | SPECIAL_LANGUAGES and not _THREE_LETTERS.fullmatch(each):
            yield (
                f'"{place}" with value "{each}" is not valid. It must be an ISO 639-1, 639-2 or 639-3 code '
                '(two/three letters), or a special value like "code", "multilingual". '
                "If you want to use BCP-47 identifiers, you can specify them in language_bcp47."
            )


def _places(name: str, value: Any) -> list[tuple[str, Any]]:
    """The members of a list, or a single value, each with the name by which an error calls it."""
    if isinstance(value, list):
        return [(f"{name}[{index}]", each) for index, each in enumerate(value)]
    return [(name, value)]


def _id_errors(name: str, value: Any) -> Iterator[str]:
    """Ids of models or data sets: no local paths, no addresses."""
    if value is None:
        return
    for place, each in _places(name, value):
        if not isinstance(each, str):
            yield f'"{place}" must be a string, not a {_kind(each)}'
        elif not _REPO_ID.fullmatch(each) or ".." in each or "--" in each:
            kind = "dataset" if name == "datasets" else "model"
            yield f'"{place}" with value "{each}" is not valid. Use a {kind} id from https://hf.co/{kind}s.'


def _string_list_errors(name: str, value: Any, *, list_only: bool) -> Iterator[str]:
    if value is None:
        return
    if list_only and not isinstance(value, list):
        yield f'"{name}" must be an array, not a {_kind(value)}'
        return
    for place, each in _places(name, value):
        if not isinstance(each, str):
            yield f'"{place}" must be a string, not a {_kind(each)}'


def _model_index_errors(value: Any) -> Iterator[str]:
    """What huggingface_hub.repocard_data.model_index_to_eval_results needs in order to read it back."""
    if not isinstance(value, list) or not value:
        yield '"model-index" must be an array with at least one item'
        return
    for at, model in _places("model-index", value):
        yield from _require(at, model, {"name": str, "results": list})
        for result_at, result in _places(f"{at}.results", _member(model, "results")):
            yield from _require(result_at, result, {"task": dict, "dataset": dict, "metrics": list})
            yield from _require(f"{result_at}.task", _member(result, "task"), {"type": str})
            yield from _require(
                f"{result_at}.dataset", _member(result, "dataset"), {"type": str, "name": str}
            )
            for metric_at, metric in _places(f"{result_at}.metrics", _member(result, "metrics")):
                yield from _require(metric_at, metric, {"type": str, "value": object})
                number = _member(metric, "value")
                if isinstance(number, float) and not math.isfinite(number):
                    yield f'"{metric_at}.value" must be a finite number, not {number}'
            source = _member(result, "source")
            if source is not None:
                yield from _require(f"{result_at}.source", source, {"url": str})


def _member(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None


def _require(place: str, value: Any, members: dict[str, type]) -> Iterable[str]:
    if value is None:
        return
    if not isinstance(value, dict):
        yield f'"{place}" must be a mapping, not a {_kind(value)}'
        return
    for name, kind in members.items():
        if value.get(name) is None:
            yield f'"{place}.{name}" is required'
        elif not isinstance(value[name], kind):
            wanted = "string" if kind is str else "list" if kind is list else "mapping"
            yield f'"{place}.{name}" must be a {wanted}, not a {_kind(value[name])}'


def _warnings(metadata: dict[Any, Any], text: str) -> Iterator[str]:
    tag = metadata.get("pipeline_tag")
    if isinstance(tag, str) and tag not in PIPELINE_TAGS:
        yield f'The pipeline tag "{tag}" is not in the official list: {", ".join(sorted(PIPELINE_TAGS))}'
    if metadata.get("license") == "other" and not metadata.get("license_name"):
        yield '"license: other" needs "license_name", and "license_link" or a file LICENSE'
    by_python = _places("language", yaml.safe_load(text).get("language"))
    by_hub = _places("language", metadata.get("language"))
    for (place, language), (_, seen) in zip(by_hub, by_python, strict=True):
        if isinstance(seen, bool) and not isinstance(language, bool):
            yield f'"{place}" is a bare {language}, which Python reads as {seen}; quote it: "{language}"'
