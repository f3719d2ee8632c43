"""The figures that a card's model-index claims, whoever wrote it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any


@dataclass(frozen=True)
class Entry:
    """One figure of a model-index.

    Args:
        task: the task's type: `semantic-similarity`, `STS`.
        dataset: the data set's `type`, which should be its Hub id.
        title: the data set's name.
        metric: the metric's type: `spearman_cosine`.
        name: the metric's name.
        value: as it stands there.
    """

    task: str
    dataset: str
    title: str
    config: str | None
    split: str | None
    revision: str | None
    metric: str
    name: str
    value: float


def read_entries(metadata: Mapping[str, Any]) -> tuple[list[Entry], list[str]]:
    """Read the model-index of a card's metadata.

    Returns:
        Its figures, and a sentence for each part that cannot be read.
    """
    entries: list[Entry] = []
    faults: list[str] = []
    for model in _items(metadata.get("model-index")):
        for result in _items(model.get("results")):
            task, dataset = _mapping(result.get("task")), _mapping(result.get("dataset"))
            for metric in _items(result.get("metrics")):
                figure = f"{metric.get('type')} on {dataset.get('name') or dataset.get('type')}"
                value = _number(metric.get("value"))
                if value is None:
                    faults.append(f"{figure}: the value {metric.get('value')!r} is not a number")
                    continue
                entries.append(
                    Entry(
                        task=str(task.get("type") or ""),
                        dataset=str(dataset.get("type") or ""),
                        title=str(dataset.get("name") or ""),
                        config=_text(dataset.get("config")),
                        split=_text(dataset.get("split")),
                        revision=_text(dataset.get("revision")),
                        metric=str(metric.get("type") or ""),
                        name=str(metric.get("name") or ""),
                        value=value,
                    )
                )
    return entries, faults


def rounding(value: float) -> float:
    """How far a number may be from what it was rounded from: half a unit of its last decimal.

    At most 0.0005: fewer than three decimals are not taken for an excuse.
    """
    decimals = Decimal(repr(value)).normalize().as_tuple().exponent
    return min(0.5 * 10.0 ** int(decimals), 0.0005)


def _items(value: Any) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if abs(number) < float("inf") else None
