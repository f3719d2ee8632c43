"""Whether what was published loads from the Hub, and gives the vectors that it gave here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from hubdistill.errors import PublishError
from hubdistill.hub.access import client, secret
from hubdistill.hub.secrets import redact

_PROBES = (
    "A man is playing a guitar.",
    "The stock market fell sharply on Monday.",
    "def read(path): return open(path).read()",
    "Wie wird das Wetter morgen?",
)
# Runs in a process of its own: a fresh cache and HF_ENDPOINT are read when the Hub's client is imported.
_CHILD = """
import json, os, sys
wish = json.load(sys.stdin)
import numpy
from sentence_transformers import SentenceTransformer
vectors = []
for name, options in ((wish["repo_id"], {"revision": wish["revision"]}), (wish["folder"], {})):
    model = SentenceTransformer(name, device="cpu", **options)
    vectors.append(numpy.asarray(model.encode(wish["texts"], show_progress_bar=False), dtype=numpy.float64))
hub, here = vectors
same = hub.shape == here.shape and bool(numpy.isfinite(hub).all())
result = {"difference": float(abs(hub - here).max()) if same else None, "shapes": [hub.shape, here.shape]}
print("\\n" + json.dumps(result))
"""


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
        environment |= {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "TOKENIZERS_PARALLELISM": "false"}
        done = subprocess.run(
            [sys.executable, "-P", "-c", _CHILD],
            input=json.dumps(wish),
            capture_output=True,
            text=True,
            env=environment,
            cwd=home,
            check=False,
        )
    if done.returncode != 0:
        why = redact("\n".join(done.stderr.strip().splitlines()[-3:]), secret(api))
        raise PublishError(f"{repo_id} at {revision or 'main'} does not load from {api.endpoint}: {why}")
    result = json.loads(done.stdout.strip().splitlines()[-1])
    if result["difference"] is None:
        hub, here = result["shapes"]
        raise PublishError(f"{repo_id} gives vectors of shape {hub}, the model in {folder} of shape {here}")
    return float(result["difference"])
