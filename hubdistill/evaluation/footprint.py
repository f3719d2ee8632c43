"""Footprint: time to load and peak memory, of each model in a process of its own."""

from __future__ import annotations

import json
import logging
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from hubdistill.errors import EvaluationError
from hubdistill.evaluation import load_and_embed
from hubdistill.evaluation.child_process import quiet_environment
from hubdistill.evaluation.findings import Findings
from hubdistill.evaluation.load_and_embed import Answer, Wish
from hubdistill.evaluation.speed import spread
from hubdistill.progress import track
from hubdistill.recipe import Speed
from hubdistill.report import Model

logger = logging.getLogger(__name__)

LOADS = 3
SECONDS = 1800
"""Before a process that does not end is given up."""


def measure_footprint(
    findings: Findings,
    data: str,
    models: Sequence[tuple[Model, Path]],
    texts_by_length: Mapping[int, Sequence[str]],
    settings: Speed,
    *,
    device: str,
) -> None:
    """Measure one model after the other; memory with one batch of the longest texts.

    Each process is offline, and computes with as many threads as this one. If one of them fails, for example
    because this one fills the accelerator's memory or has it to itself, nothing is added for any model, and
    the log says why: figures of only some models would mislead.

    Args:
        findings: is added to.
        data: name of the data.
        models: facts and folders. A model is loaded in the precision in which the other figures were
            measured, and with its own code where the facts say so.
        texts_by_length: what `cut_texts` made.
        settings: whether the footprint is measured; the first of its batch sizes is used.
        device: torch device on which models are loaded.
    """
    if not settings.footprint:
        return
    tokens, batch_size = max(texts_by_length), settings.batch_sizes[0]
    longest = texts_by_length[tokens]
    torch.cuda.empty_cache()  # The other processes may need what this one only keeps for reuse.
    answers: dict[str, Answer] = {}
    try:
        with track(len(models), "Loading models in processes of their own") as advance:
            for facts, folder in models:
                answers[facts.name] = _run(
                    facts.name,
                    {
                        "folder": str(folder.resolve()),
                        "device": device,
                        "dtype": facts.dtype,
                        "trust_remote_code": facts.trust_remote_code,
                        "threads": torch.get_num_threads(),
                        "texts": [longest[place % len(longest)] for place in range(batch_size)],
                        "loads": LOADS,
                    },
                )
                advance(1)
    except EvaluationError as error:
        logger.warning("time to load and peak memory are left out for all models: %s", error)
        return
    for name, answer in answers.items():
        seconds = answer["load_seconds"]
        findings.measure(
            "load_seconds",
            name,
            statistics.median(seconds),
            data,
            n=LOADS,
            interval=spread(np.array(seconds)),
        )
        parameters = {"tokens": tokens, "batch_size": batch_size}
        for metric in ("peak_memory", "peak_device_memory"):
            if (peak := answer[metric]) is not None:
                findings.measure(metric, name, peak, data, n=batch_size, parameters=parameters)


def _run(name: str, wish: Wish) -> Answer:
    """What the process says.

    Raises:
        EvaluationError: the model cannot be loaded or used there.
    """
    try:
        # With -P the files beside the script do not shadow the modules it imports.
        done = subprocess.run(
            [sys.executable, "-P", load_and_embed.__file__],
            input=json.dumps(wish),
            capture_output=True,
            encoding="utf-8",
            env=quiet_environment(),
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise EvaluationError(f"{name}: its own process did not end in {SECONDS} s") from None
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        why = said[-1].strip() if said else f"it ended with code {done.returncode} and without a message"
        raise EvaluationError(f"{name} cannot be used in a process of its own: {why}")
    answer: Answer = json.loads(done.stdout.splitlines()[-1])
    return answer
