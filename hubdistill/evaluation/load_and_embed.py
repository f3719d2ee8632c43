"""A process of its own that loads one model and embeds one batch, and says what that took.

`footprint.py` runs this file by its path, so that nothing of hubdistill counts as memory of the model. The
wish comes on stdin and the answer, the last line, goes to stdout, both as JSON.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import TypedDict


class Wish(TypedDict):
    """What to do."""

    folder: str
    device: str
    dtype: str
    trust_remote_code: bool
    threads: int
    """For torch to compute with."""
    texts: list[str]
    """One batch."""
    loads: int
    """How often to time the loading."""


class Answer(TypedDict):
    """What it took."""

    load_seconds: list[float]
    peak_memory: int
    """Bytes."""
    peak_device_memory: int | None
    """Bytes; None where the device is not a CUDA one."""


def load_and_embed(wish: Wish) -> Answer:
    """Load the model, embed the batch, read the peaks; only then load again, for the time.

    The first loading imports the model's code and fetches its files from the disk, and counts for nothing
    but the peak.
    """
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(wish["threads"])
    on_cuda = torch.device(wish["device"]).type == "cuda"

    def load() -> SentenceTransformer:
        model = SentenceTransformer(
            wish["folder"],
            device=wish["device"],
            local_files_only=True,
            trust_remote_code=wish["trust_remote_code"],
            model_kwargs={"dtype": wish["dtype"]},
        )
        if on_cuda:
            torch.cuda.synchronize(wish["device"])
        return model

    loaded = [load()]
    loaded[0].encode(wish["texts"], batch_size=len(wish["texts"]), show_progress_bar=False)
    peak = peak_resident_bytes()
    on_device = torch.cuda.max_memory_allocated(wish["device"]) if on_cuda else None
    seconds = []
    for _ in range(wish["loads"]):
        loaded.clear()
        gc.collect()
        start = time.perf_counter()
        loaded.append(load())
        seconds.append(time.perf_counter() - start)
    return {"load_seconds": seconds, "peak_memory": peak, "peak_device_memory": on_device}


def peak_resident_bytes() -> int:
    """The most memory that this process has had resident."""
    # On Linux, ru_maxrss begins with the parent's: it survives fork and exec. VmHWM begins anew.
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    if sys.platform == "win32":
        import psutil  # type: ignore[import-untyped]

        return int(psutil.Process().memory_info().peak_wset)
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def end_with_parent() -> None:
    """End this process soon after its parent; the system gives an orphan another parent.

    Not on Windows, which keeps the number: there it ends with its work.
    """
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def main() -> None:
    """Read the wish, print the answer."""
    end_with_parent()
    print("\n" + json.dumps(load_and_embed(json.load(sys.stdin))))


if __name__ == "__main__":
    main()
