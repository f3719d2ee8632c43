"""What the Hub shows around a card: the labels above it and the panel beside it, read from its metadata.

The metadata may be anything that YAML can say; what has not the expected shape is left out here, and told
by the card's problems.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple
from urllib.parse import quote

from safetensors import SafetensorError, safe_open

from hubdistill.card.metadata import LANGUAGE_NAMES
from hubdistill.card.text import HUB
from hubdistill.numbers import short_count, size
from hubdistill.preview.folder import Folder
from hubdistill.preview.markdown import FILES

_LONGEST = 200
"""Characters of a name or value."""


class Label(NamedTuple):
    """A label above the card."""

    kind: Literal["task", "library", "format", "data", "language", "tag", "base", "results", "licence"]
    text: str


class Link(NamedTuple):
    """A model or data set of the Hub."""

    text: str
    address: str


class Result(NamedTuple):
    """A row of the evaluation results: the value, rounded and in full."""

    metric: str
    value: str
    exact: str


@dataclass(frozen=True)
class ResultGroup:
    """The evaluation results of one task and data set."""

    task: str
    data: str
    results: list[Result]


class FileRow(NamedTuple):
    """A file that would be published."""

    path: str
    address: str
    size: str


@dataclass(frozen=True)
class Panel:
    """Everything around a card."""

    labels: list[Label]
    parameters: str
    tensor_types: list[str]
    base_models: list[Link]
    relation: str
    data_sets: list[Link]
    evaluation: list[ResultGroup]
    files: list[FileRow]
    total: str


def read_panel(metadata: Mapping[str, Any], folder: Folder) -> Panel:
    """Read what stands around a card.

    Args:
        metadata: the card's front matter.
        folder: the files that would be published.
    """
    sizes = {path: file.stat().st_size for path, file in folder.files.items()}
    parameters = count_parameters(folder)
    evaluation = _evaluation(metadata.get("model-index"))
    return Panel(
        labels=_labels(metadata, folder, evaluation),
        parameters=short_count(parameters.total()) if parameters else "",
        tensor_types=[name for name, _ in parameters.most_common()],
        base_models=[Link(model, f"{HUB}/{quote(model)}") for model in _texts(metadata.get("base_model"))],
        relation=next(iter(_texts(metadata.get("base_model_relation"))), "finetune"),
        data_sets=[Link(name, f"{HUB}/datasets/{quote(name)}") for name in _texts(metadata.get("datasets"))],
        evaluation=evaluation,
        files=[FileRow(path, f"{FILES}{quote(path)}", size(count)) for path, count in sizes.items()],
        total=size(sum(sizes.values())),
    )


def count_parameters(folder: Folder) -> Counter[str]:
    """Count the parameters of each type in the weights at the top of a folder, as the Hub does."""
    found: Counter[str] = Counter()
    for path, file in folder.files.items():
        if path.endswith(".safetensors") and "/" not in path:
            try:
                with safe_open(file, "numpy") as weights:
                    for name in weights.keys():  # noqa: SIM118 - it is no mapping
                        tensor = weights.get_slice(name)
                        found[tensor.get_dtype()] += math.prod(tensor.get_shape())
            except (OSError, SafetensorError):
                # A push refuses such a file and says so.
                continue
    return found


def _labels(metadata: Mapping[str, Any], folder: Folder, evaluation: list[ResultGroup]) -> list[Label]:
    tasks, libraries = _texts(metadata.get("pipeline_tag")), _texts(metadata.get("library_name"))
    labels = [Label("task", _words(task)) for task in tasks]
    labels += [Label("library", library) for library in libraries]
    if any(path.endswith(".safetensors") for path in folder.files):
        labels.append(Label("format", "Safetensors"))
    labels += [Label("data", name) for name in _texts(metadata.get("datasets"))]
    labels += [Label("language", LANGUAGE_NAMES.get(code, code)) for code in _texts(metadata.get("language"))]
    labels += [Label("tag", tag) for tag in _texts(metadata.get("tags")) if tag not in (*tasks, *libraries)]
    labels += [Label("base", model) for model in _texts(metadata.get("base_model"))]
    labels += [Label("results", "Eval Results")] if evaluation else []
    return labels + [Label("licence", name) for name in _texts(metadata.get("license"))]


def _evaluation(index: Any) -> list[ResultGroup]:
    groups: dict[tuple[str, str], list[Result]] = {}
    for model in _mappings(index):
        for entry in _mappings(model.get("results")):
            task, data = _mapping(entry.get("task")), _mapping(entry.get("dataset"))
            key = (_name(task), _name(data))
            results = [
                Result(_name(metric), _rounded(metric.get("value")), _shown(metric.get("value")))
                for metric in _mappings(entry.get("metrics"))
            ]
            groups.setdefault(key, []).extend(results)
    return [ResultGroup(task, data, results) for (task, data), results in groups.items() if results]


def _name(value: Mapping[str, Any]) -> str:
    return _shown(value.get("name") or value.get("type") or "unnamed")


def _rounded(value: Any) -> str:
    if not isinstance(value, float):
        return _shown(value)
    return f"{value:.3f}" if abs(value) >= 0.001 or not value else f"{value:.1e}"


def _shown(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _words(identifier: str) -> str:
    return identifier.replace("-", " ").title()


def _texts(value: Any) -> list[str]:
    return [
        each for each in (value if isinstance(value, list) else [value]) if isinstance(each, str) and each
    ]


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _mappings(value: Any) -> list[Mapping[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
