"""What the Hub reads out of a model's files: its configuration, parameters and benchmark results."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from math import prod
from typing import Any

import yaml

from hubdistill.localhub.repository import File, GitRepository

_EVAL_RESULTS = ".eval_results/"
_HEADER_MAX_BYTES = 100_000_000


def model_config(repository: GitRepository, oid: str) -> dict[str, Any] | None:
    """The members of config.json that the Hub shows."""
    try:
        config = json.loads(repository.text(oid, "config.json") or "")
    except ValueError:
        return None
    if not isinstance(config, dict):
        return None
    return {name: config[name] for name in ("architectures", "model_type") if name in config}


def parameter_counts(repository: GitRepository, files: Iterable[File]) -> dict[str, Any] | None:
    """How many parameters of each type the safetensors files at the root hold, None where there are none."""
    counts: Counter[str] = Counter()
    for file in files:
        if "/" not in file.path and file.path.endswith(".safetensors"):
            for name, tensor in _safetensors_header(repository, file).items():
                if name != "__metadata__":
                    counts[tensor["dtype"]] += prod(tensor["shape"])
    return {"parameters": dict(counts), "total": counts.total()} if counts else None


def _safetensors_header(repository: GitRepository, file: File) -> dict[str, Any]:
    """The header of a safetensors file, which is 8 bytes of length (little endian) and JSON; {} of others."""
    if file.pointer is None or repository.lfs.size(file.pointer.oid) is None:
        return {}
    with repository.lfs.path(file.pointer.oid).open("rb") as stored:
        length = int.from_bytes(stored.read(8), "little")
        if length > min(file.size, _HEADER_MAX_BYTES):
            return {}
        try:
            header = json.loads(stored.read(length))
        except ValueError:
            return {}
    return header if isinstance(header, dict) else {}


def eval_results(repository: GitRepository, oid: str, files: Iterable[File]) -> list[dict[str, Any]]:
    """The entries of .eval_results/*.yaml, with an error in place of those of a file that is not valid."""
    found: list[dict[str, Any]] = []
    for file in files:
        if not (file.path.startswith(_EVAL_RESULTS) and file.path.endswith((".yaml", ".yml"))):
            continue
        name = file.path.removeprefix(_EVAL_RESULTS)
        try:
            # Dates become text, as they travel.
            text = json.dumps(yaml.safe_load(repository.text(oid, file.path) or ""), default=str)
            entries = json.loads(text)
            for entry in entries:
                _check_result(entry)
        except (yaml.YAMLError, KeyError, TypeError) as error:
            found.append({"filename": name, "error": f"not valid: {error!r}"})
        else:
            found += [{"filename": name, "data": entry} for entry in entries]
    return found


def _check_result(entry: dict[str, Any]) -> None:
    """Ask for the members that an entry must have: the benchmark, its task and the value."""
    if not isinstance(entry["value"], int | float):
        raise TypeError("value is not a number")
    if not all(isinstance(entry["dataset"][name], str) for name in ("id", "task_id")):
        raise TypeError("dataset needs id and task_id")
