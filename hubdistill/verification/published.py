"""What is verified: the folder of a model with its report, and the two models that the report is about."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled, RevisionNotFoundError

from hubdistill import recipe
from hubdistill.errors import TeacherError
from hubdistill.evaluation import Candidate
from hubdistill.model_files import folder_digests, is_inside, module_folders, sha256_of, weights_digest
from hubdistill.models import Located, locate
from hubdistill.numbers import listed
from hubdistill.report import DistillationReport, EvaluationPlan, Model
from hubdistill.reporting import Subject, describe_teacher, load_candidate
from hubdistill.teacher import load_teacher
from hubdistill.verification.inputs import check_hub_id
from hubdistill.verification.outcome import CheckedClaim, Problem

logger = logging.getLogger(__name__)

_FILES = ("*.safetensors", "*.json", "*.txt", "*.model", "*.jinja", "*.md", ".eval_results/*", "figures/*")
"""What is fetched of a repository: the model, and what is said of it."""
_BIN = "*.bin"

_COMMIT_LENGTH = 40
_SIZES = (
    "layers",
    "hidden_size",
    "attention_heads",
    "feed_forward",
    "vocabulary",
    "positions",
    "max_length",
    "dimensions",
    "parameters",
    "embedding_parameters",
)
_NEEDED = (
    "config.json",
    "modules.json",
    "config_sentence_transformers.json",
    "sentence_bert_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "merges.txt",
    "preprocessor_config.json",
    "processor_config.json",
    "chat_template.json",
)
_MOST_BESIDE = 10
"""Files beside a model that are told apart."""
_KINDS = ("kind", "family", "pooling", "normalized", "similarity")


@dataclass(frozen=True)
class Published:
    """A model, in a folder of its own or fetched from the Hub.

    Args:
        name: the Hub id, or the folder's name.
        repo_id: on the Hub.
        revision: the commit, or `sha256:` of a local folder's weights.
        model: its files here.
    """

    name: str
    repo_id: str | None
    revision: str
    model: Located

    @property
    def folder(self) -> Path:
        """Where its files are."""
        return self.model.folder


def fetch(model: str, revision: str | None = None) -> Published:
    """Find a model with all that was published with it.

    Args:
        model: a folder, a Hub id, or `id@revision`.
        revision: branch, tag or commit.

    Raises:
        TeacherError: it is not there, or cannot be fetched.
    """
    address = recipe.Teacher.at(model)
    found = locate(address.model, revision=revision or address.revision)
    if found.commit is None:
        return Published(found.name, None, found.revision, found)
    try:
        folder = Path(snapshot_download(found.model, revision=found.commit, allow_patterns=list(_FILES)))
        if not any(folder.rglob("*.safetensors")):
            snapshot_download(found.model, revision=found.commit, allow_patterns=[_BIN])
    except (HfHubHTTPError, OfflineModeIsEnabled, OSError) as error:
        raise TeacherError(f"{found.model!r} cannot be fetched from the Hub: {error}") from error
    return Published(found.model, found.model, found.commit, locate(str(folder)))


def load_student(
    published: Published,
    report: DistillationReport,
    prompt: str | None,
    *,
    device: str | None,
    trust_remote_code: bool,
) -> Candidate:
    """Load the published model, under the name that the report has for it.

    Args:
        prompt: the teacher's.

    Raises:
        TeacherError: it cannot be loaded.
    """
    subject = Subject(
        report.student,
        published.model,
        report.owner,
        training=report.training,
        kept_layers=report.models[report.student].architecture.kept_layers,
        trust_remote_code=trust_remote_code,
    )
    return load_candidate(subject, prompt, device)


def load_reference(
    report: DistillationReport,
    plan: EvaluationPlan,
    given: str | None,
    *,
    base: Path,
    device: str | None,
    trust_remote_code: bool,
) -> Candidate:
    """Load the teacher at its recorded revision, or the one that the reader names.

    Args:
        given: a folder or Hub id; by default what the report says.
        base: where the relative paths of a report start: an empty folder.

    Raises:
        TeacherError, EvaluationError: it cannot be had.
    """
    recorded = report.models[report.teacher]
    settings = plan.teacher.model_copy(
        update={"trust_remote_code": trust_remote_code, "hub_id": None, "revision": None}
    )
    if recorded.dtype in ("float32", "bfloat16"):
        settings = settings.model_copy(update={"dtype": recorded.dtype})
    if given:
        address = recipe.Teacher.at(given)
        settings = settings.model_copy(update={"model": address.model, "revision": address.revision})
        base = Path()
    elif recorded.hub_id is None:
        raise TeacherError(f"{recorded.name!r} was a folder of its author's machine; --teacher names a copy")
    else:
        check_hub_id(recorded.hub_id)
        revision = plan.teacher.revision if _is_digest(recorded.revision) else recorded.revision
        settings = settings.model_copy(update={"model": recorded.hub_id, "revision": revision})
    teacher = load_teacher(settings, base=base, device=device)
    # Under the name that the report has for it, whatever its folder is called.
    facts = describe_teacher(teacher).model_copy(update={"name": report.teacher})
    return Candidate(report.teacher, teacher.model, facts, teacher.prompt, folder=teacher.folder)


def is_missing_revision(error: Exception) -> bool:
    """Whether the Hub has the model, but not the revision that the report names."""
    return isinstance(error.__cause__, RevisionNotFoundError)


def check_weights(folder: Path, recorded: Model, here: str, file: str) -> tuple[Problem | None, str]:
    """Compare weights with those that a report was measured with.

    Args:
        folder: of the model.
        here: its revision: a commit, or `sha256:` of the weights.
        file: what a problem calls them.

    Returns:
        What is wrong, and a sentence where it cannot be told.
    """
    if recorded.revision == here:
        return None, ""
    if not _is_digest(recorded.revision):
        if len(here) == _COMMIT_LENGTH:
            return None, (
                f"{recorded.name} was measured at commit {recorded.revision[:12]} and is verified at "
                f"{here[:12]}: only its figures tell whether the weights are the same"
            )
        return None, (
            f"{recorded.name} was measured at the Hub's commit {recorded.revision[:12]}, this is a folder: "
            "only its figures tell whether the weights are the same"
        )
    digests = list(_digests(folder))
    if recorded.revision in digests:
        return None, ""
    found = digests[0]
    text = (
        f"{found[:19]}... are not the weights that were measured as {recorded.name}: "
        f"the report has {recorded.revision[:19]}..."
    )
    return Problem(file, text), ""


def note_on_other_weights(folder: Path) -> str:
    """A sentence about weights that lie beside those that are loaded; empty for none."""
    loaded = {file for part in module_folders(folder) or [folder] for file in _loaded_weights(part)}
    there = {file for pattern in ("*.safetensors", "pytorch_model*.bin") for file in folder.rglob(pattern)}
    others = [str(file.relative_to(folder)) for file in sorted(there - loaded)]
    if not (loaded and others):
        return ""
    return (
        f"other weights than those that were measured lie beside them, and were not loaded: {listed(others)}"
    )


def check_facts(recorded: Model, here: Model) -> tuple[list[CheckedClaim], list[Problem]]:
    """Compare what a report says a model is made of with what it is."""
    claimed = {name: getattr(recorded.architecture, name) for name in _SIZES}
    measured = {name: getattr(here.architecture, name) for name in _SIZES}
    claimed["bytes"], measured["bytes"] = recorded.bytes, here.bytes
    claims, problems = [], []
    for name, value in claimed.items():
        found = measured[name]
        if value is None or found is None:
            if value != found:
                problems.append(_unlike(recorded, name, value, found))
            continue
        claims.append(
            CheckedClaim(
                figure=name,
                model=recorded.name,
                data="",
                source="report",
                claimed=value,
                interval=None,
                measured=found,
                measured_interval=None,
                verdict="same" if value == found else "differs",
            )
        )
    for name in _KINDS:
        said, is_ = (getattr(one.architecture, name) for one in (recorded, here))
        if said != is_:
            problems.append(_unlike(recorded, name, said, is_))
    return claims, problems


def without_harmless_files(
    claims: list[CheckedClaim], recorded: Model, here: Model, folder: Path
) -> tuple[list[CheckedClaim], str]:
    """A model is no larger by files that its owner laid beside it, and that it does not need.

    Returns:
        The claims, and a sentence where there are such files.
    """
    more = here.bytes - recorded.bytes
    beside = [path for path in sorted(folder.iterdir()) if path.is_file() and _may_lie_beside(path.name)]
    for count in range(1, min(len(beside), _MOST_BESIDE) + 1):
        for some in combinations(beside[:_MOST_BESIDE], count):
            if more > 0 and sum(path.stat().st_size for path in some) == more:
                names = listed(path.name for path in some)
                without = [
                    replace(claim, measured=recorded.bytes, verdict="same")
                    if claim.figure == "bytes"
                    else claim
                    for claim in claims
                ]
                return (
                    without,
                    f"{recorded.name} has files that it does not need, and were not weighed: {names}",
                )
    return claims, ""


def _may_lie_beside(name: str) -> bool:
    return (
        name.endswith((".txt", ".json"))
        and name not in _NEEDED
        and not name.startswith(("tokenizer", "vocab", "model.", "report.", "."))
    )


def without_bytes_of_caches(claims: list[CheckedClaim], recorded: Model, here: Model) -> list[CheckedClaim]:
    """What a folder of the Hub's cache weighs depends on what has been asked of it: only folders compare."""
    if _is_digest(recorded.revision) and _is_digest(here.revision):
        return claims
    return [
        replace(claim, verdict="not run", why="the Hub's cache holds those files that were asked for")
        if claim.figure == "bytes" and claim.verdict == "differs"
        else claim
        for claim in claims
    ]


def _unlike(recorded: Model, name: str, said: object, is_: object) -> Problem:
    return Problem(f"report.json, models.{recorded.name}", f"says {name}: {said}; the model has {is_}")


def _is_digest(revision: str) -> bool:
    return revision.startswith("sha256:")


def _digests(folder: Path) -> Iterator[str]:
    """Of all weights, as a report has it; then of those that are loaded, for a folder may hold others."""
    yield folder_digests(folder)[0]
    if loaded := [file for part in module_folders(folder) or [folder] for file in _loaded_weights(part)]:
        yield weights_digest([sha256_of(file) for file in sorted(set(loaded))])


def _loaded_weights(folder: Path) -> list[Path]:
    """The files that transformers loads of a folder: the first kind that is there."""
    for whole in ("model.safetensors", "pytorch_model.bin"):
        if (folder / whole).is_file():
            return [folder / whole]
        index = _json(folder / f"{whole}.index.json")
        parts = index.get("weight_map") if isinstance(index, dict) else None
        if isinstance(parts, dict):
            return [folder / name for name in parts.values() if is_inside(name) and (folder / name).is_file()]
    return []


def _json(file: Path) -> object:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
