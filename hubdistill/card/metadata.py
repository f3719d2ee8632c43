"""The card's YAML front matter, and the Hub's rules for it as far as they are public.

Rules: hub-docs (modelcard.md, repositories-licenses.md) and huggingface_hub's own parser.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import yaml
from huggingface_hub import EvalResult, ModelCardData
from huggingface_hub.errors import HFValidationError
from huggingface_hub.repocard_data import eval_results_to_model_index
from huggingface_hub.utils._validators import validate_repo_id

from hubdistill.card.licenses import find_conflicts
from hubdistill.card.text import Markdown, plain
from hubdistill.card.vocabulary import LANGUAGES, LICENSES, SPECIAL_LANGUAGES
from hubdistill.errors import CardError
from hubdistill.front_matter import split_front_matter
from hubdistill.numbers import listed
from hubdistill.recipe import Card
from hubdistill.report import DistillationReport, Measurement
from hubdistill.results import metric_order, student_model, teacher_model, title_of, unique
from hubdistill.unique_keys import UniqueKeys

LIBRARY = "sentence-transformers"
PIPELINE = "sentence-similarity"
TAGS = ("sentence-transformers", "sentence-similarity", "feature-extraction", "dense")
MADE_HERE = ("distillation", "hubdistill")
"""Tags of students that hubdistill made."""

_NAMES = """
    ar Arabic bg Bulgarian bn Bengali ca Catalan cs Czech da Danish de German el Greek en English es
    Spanish et Estonian eu Basque fa Persian fi Finnish fr French gl Galician gu Gujarati he Hebrew hi
    Hindi hr Croatian hu Hungarian hy Armenian id Indonesian is Icelandic it Italian ja Japanese ka
    Georgian kk Kazakh ko Korean lt Lithuanian lv Latvian mk Macedonian mr Marathi ms Malay nb Norwegian
    nl Dutch no Norwegian pl Polish pt Portuguese ro Romanian ru Russian sk Slovak sl Slovenian sq
    Albanian sr Serbian sv Swedish sw Swahili ta Tamil te Telugu th Thai tr Turkish uk Ukrainian ur Urdu
    vi Vietnamese zh Chinese
"""
LANGUAGE_NAMES = dict(zip(_NAMES.split()[::2], _NAMES.split()[1::2], strict=True))
"""English names of languages that are often declared."""

_TASKS = {
    "similarity": ("semantic-similarity", "Semantic Similarity"),
    "retrieval": ("information-retrieval", "Information Retrieval"),
    "texts": ("knowledge-distillation", "Knowledge Distillation"),
}
NOTHING: Mapping[str, str | None] = MappingProxyType({})


def metadata(report: DistillationReport, repo_id: str | None = None) -> dict[str, Any]:
    """The front matter as plain data.

    Raises:
        CardError: as `license_id`.
    """
    card: dict[str, Any] = {
        "language": languages(report),
        "license": license_id(report),
        "library_name": LIBRARY,
        "pipeline_tag": PIPELINE,
        "tags": unique(
            [*TAGS, *(MADE_HERE if report.training else ()), *(plain(tag) for tag in report.owner.tags)]
        ),
        "base_model": report.base_model,
        "widget": _widget(report),
        "datasets": unique(s.hub_id for s in report.corpus.sources if s.hub_id) if report.corpus else [],
        "co2_eq_emissions": _emissions(report),
        "metrics": _metrics(report),
        "model-index": _model_index(report, repo_id),
    }
    return {name: value for name, value in card.items() if value}


def front_matter(report: DistillationReport, repo_id: str | None = None) -> Markdown:
    """The front matter as YAML, without its `---` lines.

    Raises:
        CardError: as `metadata`.
    """
    return to_yaml(metadata(report, repo_id))


def to_yaml(card: dict[str, Any]) -> Markdown:
    """Plain data as front matter, without its `---` lines.

    Each value stands on one line: no line begins with a text, which might look like a mark of the card.
    """
    text = yaml.dump(card, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=float("inf"))
    return Markdown(text.strip())


def license_id(report: DistillationReport) -> str:
    """The licence that the recipe sets, or else, for a student that was made of it, the teacher's.

    Raises:
        CardError: there is none, it is not one of the Hub's, or one that it was made of speaks against it.
    """
    origins = _origins(report)
    licence = report.owner.license or next(iter(origins.values()), None)
    check_license(report.owner.model_copy(update={"license": licence}), origins)
    return str(licence)


def check_license(owner: Card, origins: Mapping[str, str | None] = NOTHING) -> None:
    """Insist on a licence that the Hub knows, and that those of the models behind it allow.

    Args:
        owner: the recipe's `card:`, with the teacher's licence where the recipe names none.
        origins: the models that the student is made of, and their licences.

    Raises:
        CardError: there is none, it is not one of the Hub's, or a model's licence plainly does not allow it
            and `card.license_note` does not say what does.
    """
    if not owner.license or owner.license == "unknown":
        raise CardError(
            "no licence: the recipe sets none, and no teacher that the student was made of declares one; set "
            "`card.license` in the recipe to a licence id of the Hub "
            "(https://huggingface.co/docs/hub/repositories-licenses)"
        )
    if problems := _license_problems(owner.license):
        raise CardError(problems[0])
    if not owner.license_note and (conflicts := find_conflicts(owner.license, origins)):
        raise CardError(conflicts[0])


def check_owner(owner: Card, origins: Mapping[str, str | None] = NOTHING) -> None:
    """Insist on metadata that the Hub will accept, before there is a card.

    Args:
        owner: as for `check_license`.
        origins: likewise.

    Raises:
        CardError: as `check_license`; or a language is not one that the Hub knows.
    """
    check_license(owner, origins)
    if problems := _language_problems(list(owner.language)):
        raise CardError(problems[0])


def languages(report: DistillationReport) -> list[str]:
    """The languages the recipe declares, or else those that teacher and texts have in common."""
    if report.owner.language:
        return unique(report.owner.language)
    sources = report.corpus.sources if report.corpus else ()
    seen = unique(source.language for source in sources if source.language)
    declared = teacher_model(report).languages
    return [language for language in seen if language in declared] if declared else seen


def language_list(codes: Sequence[str]) -> str:
    """Languages by name where they have a common one: `English, German and Turkish`."""
    return listed(LANGUAGE_NAMES.get(code, code) for code in codes)


def read_metadata(text: str) -> tuple[dict[str, Any], str]:
    """The front matter of a card as plain data, and what comes after it.

    Raises:
        CardError: there is none, it is not a mapping in YAML, or a key stands there twice.
    """
    said, body = split_front_matter(text)
    if body == text:
        raise CardError("no front matter: the card starts with a line ---, YAML and a line ---")
    try:
        card = yaml.load(said, UniqueKeys)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise CardError(f"the front matter is not YAML: {error}") from error
    if not isinstance(card, dict):
        raise CardError("the front matter is not a mapping of fields")
    return card, body


def check_metadata(text: str) -> list[str]:
    """Find what the Hub would refuse in a card's front matter.

    Args:
        text: the whole card.

    Returns:
        One line for each problem, with the field and what mends it; empty when all is well.
    """
    try:
        card, _ = read_metadata(text)
    except CardError as error:
        return [str(error)]
    problems = [*_license_problems(card.get("license")), *_language_problems(card.get("language"))]
    for field, repo_type in (("base_model", "model"), ("datasets", "data set")):
        for value in _as_list(card.get(field)):
            if not _is_repo_id(value):
                problems.append(f"{field}: {value!r} is not the id of a {repo_type} on the Hub")
    if "base_model_relation" in card:
        problems.append("base_model_relation: the Hub knows no value for a distilled model; leave it out")
    for field in ("tags", "metrics", "library_name", "pipeline_tag"):
        for value in _as_list(card.get(field)):
            if not isinstance(value, str) or not value.strip():
                problems.append(f"{field}: {value!r} is not text; put it in quotes")
    return [*problems, *_widget_problems(card), *_model_index_problems(card)]


def _emissions(report: DistillationReport) -> dict[str, Any]:
    found = report.training.emissions if report.training else None
    if found is None:
        return {}
    where = report.environment
    return {
        "emissions": found.grams,
        "energy_consumed": found.kilowatt_hours,
        "source": "codecarbon",
        "training_type": "fine-tuning",
        "hardware_used": where.processor if where.device == "cpu" else where.device,
    }


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines with their line breaks escaped."""


def _text_scalar(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = '"' if len(f"{text}.".splitlines()) > 1 else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text_scalar)


def _widget(report: DistillationReport) -> list[dict[str, Any]]:
    """What the Hub's widget shows first: the sentences of the quick start, which are ours."""
    source, *others = report.quick_start.sentences or ("",)
    return [{"source_sentence": source, "sentences": others}] if others else []


def _origins(report: DistillationReport) -> dict[str, str | None]:
    """Licences of the models that the student was made of, the teacher's first."""
    if not report.training:
        return {}
    teacher, start = teacher_model(report), report.training.start
    return {teacher.name: teacher.license, **({start.name: start.license} if start else {})}


def _metrics(report: DistillationReport) -> list[str]:
    return unique(plain(m.metric) for m in report.measurements if _is_listed(report, m))


def _is_listed(report: DistillationReport, m: Measurement) -> bool:
    """Whether the Hub is told.

    Not of made queries, for the data set's own queries are others; and of distillation only where there
    was one.
    """
    ours, data = m.model == report.student and m.against in (None, report.teacher), report.data[m.data]
    has_task = data.kind in _TASKS and (data.kind != "texts" or report.training is not None)
    return ours and m.plain and has_task and not data.made_queries


def listed_results(report: DistillationReport) -> list[tuple[Measurement, EvalResult]]:
    """What the Hub is told in the model-index, in its order, each with the measurement that it is."""
    found = []
    for key, data in report.data.items():
        order = metric_order(report, data.kind)
        measured = [m for m in report.measurements if m.data == key and _is_listed(report, m)]
        for m in sorted(measured, key=lambda m: order.index(m.metric)):
            task_type, task_name = _TASKS[data.kind]
            result = EvalResult(
                task_type=task_type,
                task_name=task_name,
                dataset_type=_line(data.hub_id) or _slug(key),
                dataset_name=plain(data.title, 200) or key,
                dataset_config=_line(data.config) if data.hub_id else None,
                dataset_split=_line(data.split) if data.hub_id else None,
                dataset_revision=_line(data.revision) if data.hub_id else None,
                metric_type=plain(m.metric),
                metric_name=_metric_name(report, m) or m.metric,
                metric_value=m.value,
            )
            found.append((m, result))
    return found


def _model_index(report: DistillationReport, repo_id: str | None) -> list[dict[str, Any]]:
    results = [result for _, result in listed_results(report)]
    name = repo_id.rpartition("/")[2] if repo_id else student_model(report).name
    return eval_results_to_model_index(name, results) if results else []


def _metric_name(report: DistillationReport, m: Measurement) -> str:
    name = title_of(report.metrics[m.metric], m.parameters)
    if m.against is not None and "k" in m.parameters:
        name += f" with {report.models[m.against].name}"
    return plain(name, 200)


def _line(text: str | None) -> str | None:
    """One line of visible characters: huggingface_hub writes some others as YAML that reads differently."""
    return plain(text) or None if text else None


def _slug(name: str) -> str:
    """A plain name for data that is not on the Hub."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "unnamed"


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _is_repo_id(value: Any) -> bool:
    try:
        validate_repo_id(value)
    except HFValidationError:
        return False
    return isinstance(value, str)


def _license_problems(value: Any) -> list[str]:
    if value is None:
        return ["license: missing; set `card.license` in the recipe"]
    if isinstance(value, str) and value in LICENSES and value != "unknown":
        return []
    near = difflib.get_close_matches(str(value).lower(), LICENSES, n=1, cutoff=0.5)
    hint = f"did you mean `{near[0]}`? " if near else ""
    return [f"license: {value!r} is not a licence id of the Hub; {hint}set `card.license` in the recipe"]


def _language_problems(value: Any) -> list[str]:
    problems = []
    for code in _as_list(value):
        if isinstance(code, bool):
            problems.append(f"language: YAML reads this as {code}; put the code in quotes: 'no'")
        elif not _is_language(code):
            problems.append(
                f"language: {code!r} is not an ISO 639 code (`en`, `deu`) or `multilingual`; "
                "set `card.language`"
            )
    return problems


def _is_language(code: Any) -> bool:
    if not isinstance(code, str):
        return False
    return code in LANGUAGES or code in SPECIAL_LANGUAGES or re.fullmatch("[a-z]{3}", code) is not None


def _widget_problems(card: dict[str, Any]) -> list[str]:
    """Of the examples that the widget of sentence similarity takes."""
    for example in _as_list(card.get("widget")) if card.get("pipeline_tag") == PIPELINE else ():
        if isinstance(example, dict):
            texts = [example.get("source_sentence"), *_as_list(example.get("sentences"))]
            if len(texts) > 1 and all(isinstance(text, str) for text in texts):
                continue
        return [f"widget: {example!r} is not a `source_sentence` with a list of `sentences`"]
    return []


def _model_index_problems(card: dict[str, Any]) -> list[str]:
    if "model-index" not in card:
        return []
    try:
        parsed = ModelCardData(**card)
        again = yaml.safe_load(parsed.to_yaml())["model-index"]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        return [f"model-index: huggingface_hub cannot read it: {error}"]
    problems = []
    for result in parsed.eval_results or ():
        for field, value in (
            ("task.type", result.task_type),
            ("dataset.type", result.dataset_type),
            ("dataset.name", result.dataset_name),
            ("metrics.type", result.metric_type),
        ):
            if not isinstance(value, str) or not value.strip():
                problems.append(f"model-index: {field} is {value!r}, expected text")
        if isinstance(result.metric_value, bool) or not isinstance(result.metric_value, int | float | str):
            problems.append(f"model-index: the value of {result.metric_type} is {result.metric_value!r}")
    if not problems and again != card["model-index"]:
        problems.append("model-index: huggingface_hub reads it differently from how it is written")
    return problems
