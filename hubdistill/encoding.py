"""Texts to vectors through a SentenceTransformer, in batches planned by length.

The same vectors as `SentenceTransformer.encode`, sooner: texts are tokenised once and ahead of the model,
sorted by their true token count and batched by a budget of tokens, so that next to nothing is spent on
padding; the model computes in bfloat16 where the processor does; and on a CPU several batches are under way
at once. `benchmarks/teacher_pass.py` says what that is worth.
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Transformer

from hubdistill.text_table import TextTable

WINDOW = 16_384
"""Texts that are tokenised and sorted together, at most."""
WINDOW_CHARACTERS = 8_000_000
"""Their size: with it, a window of book chapters takes no more memory than one of sentences."""
_READ = 512
PARALLEL_BATCHES = 8
"""Batches that a CPU works on at once, at most: beyond, Python itself holds them up."""

Precision = Literal["auto", "float32", "bfloat16"]
Positions = npt.NDArray[np.int64]


class Batch(NamedTuple):
    """Some texts' vectors, in the order in which they were made."""

    positions: Positions
    """Places of the texts in the table."""
    vectors: npt.NDArray[np.float32]
    """Shape (n, dimension)."""


class _Window(NamedTuple):
    positions: Positions
    texts: list[str]
    tokens: dict[str, list[list[int]]]
    """Token features by name; empty for models that tokenise for themselves."""
    shared: dict[str, Any]
    """What holds for all texts: modality, prompt length."""


def encode(
    model: SentenceTransformer,
    table: TextTable,
    positions: Positions,
    *,
    prompt: str | None = None,
    precision: Precision = "auto",
    batch_tokens: int | None = None,
) -> Generator[Batch, None, None]:
    """Encode texts of a table, a batch at a time, in an order of our own choosing.

    Args:
        model: used as it is, in evaluation mode.
        table: where the texts are.
        positions: which texts of the table.
        prompt: put before every text; the model's own default prompt when None.
        precision: `auto` is bfloat16 where the processor computes in it. Never float16.
        batch_tokens: tokens in a batch, padding included; chosen for the device when None.
    """
    model = _in_precision(model.eval(), precision)
    budget = batch_tokens or default_batch_tokens(model.device.type)
    prompt = model._resolve_prompt(prompt, None)
    windows = (_tokenise(model, *window, prompt) for window in _windows(table, positions))
    for window in _one_ahead(windows):
        if window.tokens:
            lengths = np.fromiter(map(len, window.tokens["input_ids"]), np.int64)
            yield from _forward_each(model, window, plan_batches(lengths, budget))
        else:
            vectors = model.encode(window.texts, prompt=prompt, show_progress_bar=False)
            yield Batch(window.positions, np.asarray(vectors, np.float32))


def default_batch_tokens(device: str) -> int:
    """Tokens in a batch, by device: on a CPU so few that activations stay in each core's cache."""
    return min(16_384, 2_048 * _threads_of_a_batch()) if device == "cpu" else 65_536


def working_precision(model: SentenceTransformer, precision: Precision) -> Literal["float32", "bfloat16"]:
    """The precision that `encode` computes in: what `auto` comes to on the model's device."""
    if model.dtype == torch.bfloat16:
        return "bfloat16"
    if not _plans_tokens(model):
        return "float32"
    if precision != "auto":
        return precision
    if model.device.type == "cuda":
        quick = torch.cuda.is_bf16_supported(including_emulation=False)
    elif model.device.type == "cpu":
        quick = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    else:
        quick = False
    return "bfloat16" if quick else "float32"


def plan_batches(lengths: npt.NDArray[np.int64], budget: int) -> list[Positions]:
    """Group texts into batches of at most `budget` tokens, padding included, the longest first.

    A text longer than the budget is a batch of its own.
    """
    order = np.argsort(-lengths, kind="stable")
    batches = []
    start = 0
    while start < len(order):
        rows = max(1, budget // max(1, int(lengths[order[start]])))
        batches.append(order[start : start + rows])
        start += rows
    return batches


def _in_precision(model: SentenceTransformer, precision: Precision) -> SentenceTransformer:
    """The model itself, or a copy whose encoder computes in bfloat16."""
    if working_precision(model, precision) == "float32" or model.dtype == torch.bfloat16:
        return model
    model = copy.deepcopy(model)
    # The encoder's weights only: a cast of rotary frequencies, which are buffers, would blur positions,
    # and pooling and normalisation cost nothing in float32.
    for parameter in model[0].parameters():
        parameter.data = parameter.data.to(torch.bfloat16)
    model[0].register_forward_hook(_to_float32)
    return model


def _to_float32(_module: torch.nn.Module, _given: Any, features: dict[str, Any]) -> dict[str, Any]:
    return {name: value.float() if _is_bfloat16(value) else value for name, value in features.items()}


def _is_bfloat16(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.dtype == torch.bfloat16


def _plans_tokens(model: SentenceTransformer) -> bool:
    """Whether the model takes padded token features that we can make for it."""
    first = model[0]
    return (
        isinstance(first, Transformer)
        and first.tokenizer is not None
        and "text" in first.modality_config
        # Chat templates and flattened inputs are the library's own business.
        and "message" not in first.modality_config
        and not first.can_flatten_inputs
    )


def _windows(table: TextTable, positions: Positions) -> Iterator[tuple[Positions, list[str]]]:
    """Texts to tokenise and sort together, bounded in number and in size."""
    start = 0
    while start < len(positions):
        texts: list[str] = []
        characters = 0
        while start + len(texts) < len(positions) and len(texts) < WINDOW and characters < WINDOW_CHARACTERS:
            more = table.select(positions[start + len(texts) :][:_READ]).texts()
            characters += sum(map(len, more))
            texts += more
        yield positions[start : start + len(texts)], texts
        start += len(texts)


def _tokenise(
    model: SentenceTransformer, positions: Positions, texts: list[str], prompt: str | None
) -> _Window:
    if not _plans_tokens(model):
        return _Window(positions, texts, {}, {})
    unpadded: Any = {"text": {"padding": False}, "common": {"return_tensors": None}}
    features = dict(model.preprocess(texts, prompt=prompt, processing_kwargs=unpadded))
    tokens = {name: value for name, value in features.items() if isinstance(value, list)}
    shared = {name: value for name, value in features.items() if not isinstance(value, list)}
    return _Window(positions, texts, tokens, shared)


def _one_ahead(items: Iterator[_Window]) -> Iterator[_Window]:
    """Make the next item in a thread while the caller works on this one."""
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="tokenise") as worker:
        waiting = worker.submit(next, items, None)
        while (item := waiting.result()) is not None:
            waiting = worker.submit(next, items, None)
            yield item


def _parallel_batches() -> int:
    return min(PARALLEL_BATCHES, torch.get_num_threads())


def _threads_of_a_batch() -> int:
    return torch.get_num_threads() // _parallel_batches()


def _forward_each(
    model: SentenceTransformer, window: _Window, batches: Iterable[Positions]
) -> Iterator[Batch]:
    """Run batches through the model, in order; on a CPU each has a share of the threads.

    A batch on one core and another beside it are sooner done than one after the other on both: the products
    of a small encoder are too small to be divided.
    """

    def run(chosen: Positions) -> Batch:
        return Batch(window.positions[chosen], _forward(model, window, chosen))

    workers = _parallel_batches() if model.device.type == "cpu" else 1
    if workers == 1:
        yield from map(run, batches)
        return
    threads = torch.get_num_threads()
    share = partial(torch.set_num_threads, _threads_of_a_batch())
    pool = ThreadPoolExecutor(workers, thread_name_prefix="encode", initializer=share)
    waiting: deque[Future[Batch]] = deque()
    try:
        for chosen in batches:
            waiting.append(pool.submit(run, chosen))
            if len(waiting) == 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)


@torch.inference_mode()
def _forward(model: SentenceTransformer, window: _Window, chosen: Positions) -> npt.NDArray[np.float32]:
    unpadded = {name: [values[i] for i in chosen] for name, values in window.tokens.items()}
    padded = model.tokenizer.pad(unpadded, return_tensors="pt")
    features = {name: value.to(model.device, non_blocking=True) for name, value in padded.items()}
    vectors: torch.Tensor = model(features | window.shared)["sentence_embedding"]
    return np.asarray(vectors[:, : model.truncate_dim].float().cpu().numpy())
