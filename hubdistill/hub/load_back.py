"""Whether what was published loads from the Hub, and gives the vectors that it gave here."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hubdistill.errors import PublishError
from hubdistill.free_space import refuse_full
from hubdistill.hub.access import client, secret
from hubdistill.private_text import redact

TOLERANCE = 1e-5
"""How far the Hub's vectors may be from the local ones, as a share of the largest entry (of 1 at least).

The same files on the same machine in the same process: nothing but the order in which a library adds up may
differ, which float32 shows from the seventh digit on. Other weights, another tokenizer or another pooling
show in the first digits.
"""
_ATTEMPTS = 2
_FAILED_IN_PASSING = 75
"""The exit code (EX_TEMPFAIL of sysexits.h) after what may have been the network."""
_PROBES = (
    "A man is playing a guitar.",
    "The stock market fell sharply on Monday.",
    "def read(path): return open(path).read()",
    "Wie wird das Wetter morgen?",
)
# Runs in a process of its own: a fresh cache and HF_ENDPOINT are read when the Hub's client is imported.
_CHILD = """
import json, sys, traceback
wish = json.load(sys.stdin)
import numpy
from httpx2 import HTTPError
from sentence_transformers import SentenceTransformer

def vectors_of(name, **options):
    model = SentenceTransformer(name, device="cpu", **options)
    return numpy.asarray(model.encode(wish["texts"], show_progress_bar=False), dtype=numpy.float64)

try:
    hub = vectors_of(wish["repo_id"], revision=wish["revision"])
except (HTTPError, OSError):
    traceback.print_exc()
    sys.exit(75)
here = vectors_of(wish["folder"])
same = hub.shape == here.shape and bool(numpy.isfinite(hub).all())
result = {"difference": float(abs(hub - here).max()) if same else None, "shapes": [hub.shape, here.shape]}
print("\\n" + json.dumps({**result, "largest": float(abs(here).max())}))
"""


@dataclass(frozen=True)
class LoadedBack:
    """How a published model compares with the local one.

    Args:
        difference: the largest absolute difference between their vectors, over all texts and dimensions.
        largest: the largest absolute entry of the local model's vectors.
    """

    difference: float
    largest: float

    @property
    def same(self) -> bool:
        """Whether both are the same model, as far as vectors show it."""
        return self.difference <= TOLERANCE * max(1.0, self.largest)


def refuse_no_room(model_bytes: int) -> None:
    """Refuse a push whose model could not be loaded back, before anything is sent.

    Raises:
        PublishError: the temporary folder has no room for it.
    """
    refuse_full(
        Path(tempfile.gettempdir()),
        {"loading the model back from the Hub": model_bytes},
        PublishError,
        otherwise=", set TMPDIR to a folder that has it, or push with --no-load-back",
    )


def check_loads_back(
    repo_id: str,
    revision: str | None,
    folder: Path,
    token: str | None = None,
    endpoint: str | None = None,
    texts: Sequence[str] = _PROBES,
) -> float:
    """Load a published model in a fresh process with an empty cache, and compare it with the local one.

    Args:
        repo_id: namespace/name.
        revision: branch, tag or commit; main by default.
        folder: the local model that was pushed.
        token: a Hub token, needed for a private repository.
        endpoint: the Hub's address; HF_ENDPOINT by default.
        texts: what both models encode.

    Returns:
        The largest absolute difference between the two models' vectors, over all texts and dimensions.

    Raises:
        PublishError: it does not load, or gives vectors of another shape.
    """
    return compare_with_hub(repo_id, revision, folder, token, endpoint, texts).difference


def compare_with_hub(
    repo_id: str,
    revision: str | None,
    folder: Path,
    token: str | None = None,
    endpoint: str | None = None,
    texts: Sequence[str] = _PROBES,
) -> LoadedBack:
    """Do the same as `check_loads_back`, and say how large the vectors are."""
    api = client(token, endpoint)
    wish = {"repo_id": repo_id, "revision": revision, "folder": str(folder.resolve()), "texts": list(texts)}
    with tempfile.TemporaryDirectory(prefix="hubdistill-") as home:
        environment = {
            name: value
            for name, value in os.environ.items()
            if name not in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_XET_CACHE", "HF_OIDC_RESOURCE")
            and not name.endswith("_OFFLINE")
        }
        environment |= {"HF_HOME": home, "HF_ENDPOINT": api.endpoint, "HF_TOKEN": secret(api)}
        environment |= {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
        environment |= {"TOKENIZERS_PARALLELISM": "false"}
        for attempt in range(_ATTEMPTS):
            # The download may have failed in passing, and goes on from where it was.
            time.sleep(attempt)
            done = subprocess.run(
                [sys.executable, "-P", "-c", _CHILD],
                input=json.dumps(wish),
                capture_output=True,
                text=True,
                env=environment,
                cwd=home,
                check=False,
            )
            if done.returncode != _FAILED_IN_PASSING:
                break
    again = (
        "; a push that changes nothing does not load it again, `hubdistill verify "
        f"{repo_id}{f'@{revision}' if revision else ''} --quick` does"
    )
    if done.returncode != 0:
        why = redact(_last_exception(done.stderr), secret(api))
        raise PublishError(
            f"{repo_id} at {revision or 'main'} does not load from {api.endpoint}: {why}{again}"
        )
    result = json.loads(done.stdout.strip().splitlines()[-1])
    if result["difference"] is None:
        hub, here = result["shapes"]
        raise PublishError(
            f"{repo_id} at {revision or 'main'} gives vectors of shape {hub} (or no numbers), the model in "
            f"{folder} of shape {here}{again}"
        )
    return LoadedBack(float(result["difference"]), float(result["largest"]))


def _last_exception(traceback: str) -> str:
    """What a traceback ends in: the exception and its message."""
    lines = [line.strip() for line in traceback.strip().splitlines()]
    starts = [number for number, line in enumerate(lines) if re.match(r"[\w.]+(Error|Exception): ", line)]
    return " ".join(lines[starts[-1] if starts else -1 :])
