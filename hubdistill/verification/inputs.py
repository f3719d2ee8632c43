"""What a report was measured on: found here or on the Hub, and the same, or left out with the reason."""

from __future__ import annotations

import glob
import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import islice, product
from pathlib import Path
from typing import TypeVar

from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

from hubdistill import __version__, recipe
from hubdistill.corpus import read_corpus, read_rows, text_columns
from hubdistill.errors import CorpusError, EvaluationError, HubDistillError, ReportError
from hubdistill.evaluation import check_held_out
from hubdistill.evaluation.findings import texts_sha256
from hubdistill.evaluation.held_out import HeldOut, of_corpus, of_sources
from hubdistill.evaluation.retrieval_set import read_retrieval_set
from hubdistill.evaluation.similarity import SimilarityPairs, read_similarity_set
from hubdistill.recipe import HELD_OUT, HELD_OUT_RETRIEVAL, SPEED
from hubdistill.recipe_file import load_recipe
from hubdistill.report import DistillationReport, EvaluationData, EvaluationPlan
from hubdistill.verification.local_data import LocalData
from hubdistill.verification.outcome import Problem

logger = logging.getLogger(__name__)

AnySource = TypeVar("AnySource", bound=recipe.DataSource)

_FACTS = (
    "kind",
    "title",
    "source",
    "hub_id",
    "config",
    "split",
    "revision",
    "n",
    "documents",
    "own_documents",
    "language",
    "made_queries",
    "benchmark_task",
)
"""What is known of data, beside its texts."""

_MOST = {"bootstrap": 100_000, "seconds": 60, "repeats": 100, "calls": 10_000}
"""What a report may ask this machine to do, far beyond what a measurement needs."""


_MOST_SECONDS = 600
"""Of speed measurements, for each model."""
_MOST_BATCH = 10_000
_MOST_CALLS = 10_000
_MOST_CHOICES = 20
"""Files of one name that are looked into."""
_MOST_EF = 10_000
_MOST_TEXTS = 100_000


@dataclass
class Inputs:
    """What is measured again.

    Attributes:
        settings: of the sets that are here.
        held_out: None where they are not here, or nothing was measured on them.
        pairs: the similarity sets.
        texts: different texts to embed.
        absent: for the names of data, why it is not here.
        problems: what is wrong with the data.
        unavailable: by name of a metric, why it is not measured.
    """

    settings: recipe.Evaluation
    held_out: HeldOut | None = None
    pairs: list[SimilarityPairs] = field(default_factory=list)
    texts: set[str] = field(default_factory=set)
    absent: dict[str, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    unavailable: dict[str, str] = field(default_factory=dict)


def plan_of(report: DistillationReport, work: Path) -> EvaluationPlan:
    """How a report was measured.

    Args:
        work: a folder for temporary files.

    Raises:
        ReportError: it does not say, or asks for more than any evaluation needs.
    """
    plan = report.plan
    if plan is None and report.recipe:
        known = _recipe(report, work)
        plan = EvaluationPlan(teacher=known.teacher, settings=known.evaluation, texts="corpus")
    if plan is None:
        raise ReportError(
            "report.json says neither how its figures were measured (`plan`) nor by which recipe, as reports "
            "of before they were recorded; evaluate and publish the model anew to have it verified"
        )
    asked = {"bootstrap": plan.settings.bootstrap}
    if speed := plan.settings.speed:
        asked |= {name: getattr(speed, name) for name in ("seconds", "repeats", "calls")}
    for name, value in asked.items():
        if value > _MOST[name]:
            raise ReportError(f"report.json asks for {name}: {value}; at most {_MOST[name]} are run")
    return plan


def read_inputs(
    report: DistillationReport,
    plan: EvaluationPlan,
    data: LocalData,
    texts: Sequence[Path],
    *,
    quick: bool,
    work: Path,
) -> Inputs:
    """Read all data that a report was measured on, and compare it with what the report says of it.

    Args:
        data: where local files may be.
        texts: files of the held-out texts, where the reader has them.
        quick: leave out what a sample has no use for: retrieval.
        work: a folder for temporary files; relative paths start here, where nothing is.
    """
    settings, refused = _affordable(plan.settings)
    plan = plan.model_copy(update={"settings": settings})
    reading = _Reading(report, Inputs(settings), data, work)
    if "hnsw_ef" in refused:
        reading.found.unavailable["ann_recall_at_k"] = refused["hnsw_ef"]
    if "speed" in refused:
        reading.found.absent[SPEED] = refused["speed"]
    similarity = [one for one in map(reading.similarity, plan.settings.similarity) if one]
    # A sample needs no documents, unless the held-out texts are among them.
    wanted = () if quick and plan.texts != "sets" else plan.settings.retrieval
    retrieval = [one for one in map(reading.retrieval, wanted) if one]
    reading.found.settings = plan.settings.model_copy(
        update={
            "similarity": tuple(similarity),
            "retrieval": tuple(retrieval),
            # A server that the report names is none of this machine's business; exact search finds the same.
            "index": "exact",
        }
    )
    if "held_out_texts" in refused:
        reason = refused["held_out_texts"]
        reading.found.absent |= dict.fromkeys((HELD_OUT, HELD_OUT_RETRIEVAL, SPEED), reason)
    elif HELD_OUT in report.data:
        reading.held_out(plan, texts)
    return reading.found


@dataclass
class _Reading:
    report: DistillationReport
    found: Inputs
    data: LocalData
    work: Path

    def similarity(self, one: recipe.SimilaritySet) -> recipe.SimilaritySet | None:
        """The set as it is here, if it is the one that was measured on."""
        with self._reading(one.name):
            recorded = self.report.data.get(one.name)
            here, pairs = self._likeliest(one, recorded)
            if self._same(one.name, pairs.data, here.dataset):
                self.found.pairs.append(pairs)
                self.found.texts.update(pairs.first, pairs.second)
                return here
        return None

    def _likeliest(
        self, one: recipe.SimilaritySet, recorded: EvaluationData | None
    ) -> tuple[recipe.SimilaritySet, SimilarityPairs]:
        """Of several files of one name, those with the texts and scores that were measured on."""
        if one.dataset or not recorded:
            here = self._source(one, recorded)
            return here, read_similarity_set(here, self.work)
        choices = list(islice(product(*map(self.data.all_files, one.files)), _MOST_CHOICES))
        for files in choices:
            here = one.model_copy(update={"files": files})
            try:
                pairs = read_similarity_set(here, self.work)
            except (HubDistillError, OSError, ValueError):
                if len(choices) == 1:
                    raise
                continue
            if len(choices) == 1 or not _other(pairs.data, recorded):
                return here, pairs
        names = ", ".join(Path(file).name for file in one.files)
        raise CorpusError(
            f"{names} is there {len(choices)} times, and none has the texts and scores that were measured "
            "on; --data names the right folder"
        )

    def retrieval(self, one: recipe.RetrievalSet) -> recipe.RetrievalSet | None:
        """As `similarity`."""
        with self._reading(one.name):
            _check_writer(one.make_queries)
            if one.folder:
                here = one.model_copy(update={"folder": self.data.folder(one.folder)})
            else:
                commit = _commit(one.dataset, one.revision, self.report.data.get(one.name))
                here = one.model_copy(update={"revision": commit})
            task = read_retrieval_set(here, self.work, seed=self.report.environment.seed)
            if self._same(one.name, task.data, here.dataset):
                self.found.texts.update(task.documents, task.queries)
                return here
        return None

    def held_out(self, plan: EvaluationPlan, texts: Sequence[Path]) -> None:
        """The held-out texts, if they are those that were measured on."""
        settings = self.found.settings
        seed = self.report.environment.seed
        with self._reading(HELD_OUT, HELD_OUT_RETRIEVAL, SPEED):
            _check_writer(settings.make_queries)
            recorded = self.report.data[HELD_OUT]
            refused = ""
            for read in self._ways(plan, texts):
                held_out = read().head(settings.held_out_texts)
                digest = texts_sha256(held_out.texts)
                if digest == recorded.sha256:
                    check_held_out(settings, held_out, base=self.work, seed=seed)
                    self.found.held_out = held_out
                    self.found.texts.update(held_out.texts)
                    return
                refused = _differ("texts", digest, recorded.sha256)
            raise CorpusError(refused)

    def _ways(self, plan: EvaluationPlan, texts: Sequence[Path]) -> Iterator[Callable[[], HeldOut]]:
        """Where the held-out texts can come from, the likeliest first."""
        seed = self.report.environment.seed
        settings = plan.settings.model_copy(update={"similarity": (), "retrieval": ()})
        if texts:
            files = tuple(recipe.CorpusSource(files=(glob.escape(str(path.absolute())),)) for path in texts)
            yield lambda: of_sources(files, settings, base=self.work, seed=seed)
            yield lambda: HeldOut([text for file in files for text in self._in_order(file)])
        elif plan.texts == "corpus":
            yield self._of_corpus(settings.held_out_texts)
        elif plan.texts == "sources":
            sources = [self._source(source) for source in plan.sources]
            yield lambda: of_sources(sources, settings, base=self.work, seed=seed)
        elif plan.texts == "sets":
            wanted = {one.name for one in plan.settings.similarity}
            wanted |= {one.name for one in plan.settings.retrieval}
            if missing := wanted.intersection(self.found.absent):
                raise CorpusError(
                    f"they are texts of all sets, and {', '.join(sorted(missing))} cannot be read"
                )
            yield lambda: of_sources((), self.found.settings, base=self.work, seed=seed)
        else:
            raise CorpusError("they were handed over by a training script; --texts names a file of them")

    def _in_order(self, source: recipe.CorpusSource) -> list[str]:
        rows = read_rows(source, text_columns(source, self.work), base=self.work)
        return [text for row in rows for text in row if isinstance(text, str)]

    def _of_corpus(self, n: int) -> Callable[[], HeldOut]:
        known = _recipe(self.report, self.work)
        facts = self.report.corpus
        commits = [source.revision for source in facts.sources] if facts else []
        commits += [None] * (len(known.corpus.sources) - len(commits))
        sources = tuple(
            self._source(source.model_copy(update={"revision": commit or source.revision}))
            for source, commit in zip(known.corpus.sources, commits, strict=False)
        )
        if facts:
            logger.info("Reading the corpus: %d texts, of which %d are held out", facts.texts, facts.held_out)
        settings = known.corpus.model_copy(update={"sources": sources})
        return lambda: of_corpus(
            read_corpus(settings, self.work / "corpus", base=self.work, seed=known.seed), n
        )

    def _source(self, source: AnySource, recorded: EvaluationData | None = None) -> AnySource:
        """A source with its files as they are called here, or at the commit that was read."""
        if source.dataset:
            return source.model_copy(update={"revision": _commit(source.dataset, source.revision, recorded)})
        return source.model_copy(update={"files": tuple(map(self.data.files, source.files))})

    @contextmanager
    def _reading(self, *names: str) -> Iterator[None]:
        """Say why data is left out, instead of leaving all."""
        try:
            yield
        # Names and patterns of a stranger: pathlib and the readers refuse some by ValueError.
        except (HubDistillError, OSError, ValueError) as error:
            self.found.absent.update(dict.fromkeys(names, str(error)))

    def _same(self, name: str, here: EvaluationData, dataset: str | None) -> bool:
        """Whether data is what the report was measured on."""
        recorded = self.report.data.get(name)
        if recorded is None:
            self.found.absent[name] = "the report says nothing of this data"
            return False
        if other := _other(here, recorded):
            fact, self.found.absent[name] = other
            # At one commit there are no others.
            if dataset and recorded.revision and here.revision == recorded.revision:
                self._problem(name, f"{fact} is not that of {dataset} at its commit {recorded.revision}")
            return False
        for text in unlike_data(recorded, here, every=self.report.hubdistill_version == __version__):
            self._problem(name, text)
        return True

    def _problem(self, name: str, text: str) -> None:
        self.found.problems.append(Problem(f"report.json, data.{name}", text))


def _affordable(settings: recipe.Evaluation) -> tuple[recipe.Evaluation, dict[str, str]]:
    """Settings without what would take this machine far longer than any evaluation does.

    Returns:
        What is left, and the reason for each setting that is not.
    """
    refused = {}
    if speed := settings.speed:
        lengths = len(speed.tokens)
        seconds = lengths * len(speed.batch_sizes) * speed.repeats * speed.seconds
        if seconds > _MOST_SECONDS or max(speed.batch_sizes) > _MOST_BATCH:
            refused["speed"] = (
                f"the plan asks for {seconds:,.0f} s of each model in batches of up to "
                f"{max(speed.batch_sizes):,}; at most {_MOST_SECONDS:,} s in batches of {_MOST_BATCH:,} "
                "are run"
            )
        elif lengths * speed.calls > _MOST_CALLS:
            refused["speed"] = (
                f"the plan asks for {lengths * speed.calls:,} single calls; at most {_MOST_CALLS:,} are run"
            )
    if max(settings.hnsw_ef, default=0) > _MOST_EF:
        refused["hnsw_ef"] = f"the plan asks for hnsw_ef: {max(settings.hnsw_ef)}; at most {_MOST_EF} are run"
    if settings.held_out_texts > _MOST_TEXTS:
        asked = settings.held_out_texts
        refused["held_out_texts"] = (
            f"the plan asks for {asked:,} held-out texts; at most {_MOST_TEXTS:,} are run"
        )
    nothing = {"speed": None, "hnsw_ef": ()}
    return settings.model_copy(update={key: nothing[key] for key in refused.keys() & nothing.keys()}), refused


def unlike_data(
    recorded: EvaluationData, here: EvaluationData, *, every: bool, but: Collection[str] = ()
) -> list[str]:
    """What a report says of data that is not so.

    Args:
        here: the data as it is described when it is read again.
        every: also compare what only one of both says; another version may not have known it.
        but: facts that are not compared.
    """
    found = []
    for fact in _FACTS:
        said, is_ = getattr(recorded, fact), getattr(here, fact)
        # Where the Hub cannot be asked, then or now, no commit is known.
        unknown = None in (said, is_) and (not every or bool(fact == "revision" and here.hub_id))
        if fact in but or said == is_ or unknown:
            continue
        if fact in ("n", "documents"):
            found.append(f"says {fact}: {said}; there are {is_}")
        else:
            found.append(f"says {fact}: {_quoted(said)}, where the plan reads {_quoted(is_)}")
    return found


def unavailable_parts(settings: recipe.Evaluation) -> dict[str, str]:
    """Parts of an evaluation that this installation cannot run, by the setting that asks for them."""
    needed = {"hnsw_ef": ("qdrant_edge", "qdrant"), "mteb": ("mteb", "mteb")}
    return {
        setting: f"needs the extra '{extra}': pip install 'hubdistill[{extra}]'"
        for setting, (module, extra) in needed.items()
        if getattr(settings, setting) and not find_spec(module)
    }


def check_hub_id(name: str) -> None:
    """Make sure that a name in a report is a Hub id, and can be nothing of this machine.

    Raises:
        EvaluationError: it is not.
    """
    try:
        validate_repo_id(name)
    except HFValidationError:
        raise EvaluationError(f"{name!r} is no Hub id") from None
    # Loaders would take a folder of that name for it.
    if Path(name).exists():
        raise EvaluationError(f"{name!r} of the Hub is a folder here as well; run the command elsewhere")


def check_dataset_id(name: str) -> None:
    """As `check_hub_id`, of data sets: `datasets` has loaders of its own that read files of this machine.

    Raises:
        EvaluationError: it is not a Hub id, or may be the name of such a loader, as `text` and `csv` are.
    """
    check_hub_id(name)
    if "/" not in name:
        raise EvaluationError(f"{name!r} is no data set of the Hub: expected namespace/name")


def _check_writer(make: recipe.MadeQueries | None) -> None:
    if make and make.model:
        check_hub_id(make.model)


def _commit(dataset: str | None, revision: str | None, recorded: EvaluationData | None) -> str | None:
    """The commit of a Hub data set that was read, where it was recorded."""
    check_dataset_id(str(dataset))
    return (recorded.revision if recorded else None) or revision


def _quoted(value: object) -> str:
    return "none" if value is None else repr(value)


def _other(here: EvaluationData, recorded: EvaluationData) -> tuple[str, str] | None:
    """The fact by which data is not what was measured on, and that in words; None where it is."""
    if here.sha256 != recorded.sha256:
        return "sha256", _differ("texts", here.sha256, recorded.sha256)
    if recorded.labels_sha256 not in (None, here.labels_sha256):
        what = "scores" if recorded.kind == "similarity" else "judgements"
        return "labels_sha256", _differ(what, here.labels_sha256, recorded.labels_sha256)
    return None


def _differ(what: str, here: str | None, recorded: str | None) -> str:
    return f"other {what}: sha256 {str(here)[:12]}..., the report has {str(recorded)[:12]}..."


def _recipe(report: DistillationReport, work: Path) -> recipe.Recipe:
    """The recipe in a report, whose paths start where nothing is."""
    if not report.recipe:
        raise ReportError("report.json holds no recipe, which would say where the texts are from")
    path = work / "recipe.yaml"
    path.write_text(report.recipe, encoding="utf-8")
    return load_recipe(path)
