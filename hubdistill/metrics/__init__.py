"""Metric modules of the `evaluate` library: one folder each, loadable offline.

`evaluate.load(str(path("precision_at_k")))` reads a module as evaluate reads any local module, through
its own cache; `load("precision_at_k")` makes the same metric straight from its class. hubdistill's
evaluation calls the plain functions that the metrics are made of, so both give the same figures.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import evaluate

NAMES = ("embedding_spearman", "negative_mse", "precision_at_k", "retained_quality")


def path(name: str) -> Path:
    """Folder of a metric module, as `evaluate.load` takes it.

    Raises:
        ValueError: there is no such metric.
    """
    if name not in NAMES:
        raise ValueError(f"no metric {name!r}; hubdistill has {', '.join(NAMES)}")
    return Path(__file__).parent / name


def load(name: str, **settings: Any) -> evaluate.Metric:
    """A metric, made from its class: no copy of the module, no files in evaluate's cache.

    Args:
        name: one of `NAMES`.
        settings: as `evaluate.Metric` takes them.

    Raises:
        ValueError: there is no such metric.
    """
    folder = path(name)
    module = importlib.import_module(f"{__name__}.{name}.{folder.name}")
    metric = getattr(module, name.title().replace("_", ""))
    return metric(**{"keep_in_memory": True, **settings})
