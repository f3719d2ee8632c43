"""The card against the report: does it say what was measured?

A card is a function of its report, so it can be made again and compared. Its metadata is compared as data,
for the Hub and other tools write YAML in an order of their own; its text line by line. What its author
wrote in kept sections is not judged.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml
from huggingface_hub import EvalResult

from hubdistill import __version__
from hubdistill.card import render_card
from hubdistill.card.keep import kept_sections
from hubdistill.card.metadata import listed_results, metadata, read_metadata
from hubdistill.card.stamp import without_stamp
from hubdistill.errors import CardError
from hubdistill.eval_results import FOLDER, PREFIX, benchmark_results
from hubdistill.figures import FOLDER as FIGURES
from hubdistill.figures import planned_figures
from hubdistill.numbers import listed
from hubdistill.report import DistillationReport, Measurement
from hubdistill.results import title_of, unique
from hubdistill.verification.card_lines import CARD, Comparison, compare_text
from hubdistill.verification.index_entries import Entry, read_entries, rounding
from hubdistill.verification.outcome import CheckedClaim, Problem

_FIXED: Final = ("license", "base_model")
"""Fields of the metadata that must be as the report has them."""
_FREE: Final = ("language", "datasets", "library_name", "pipeline_tag", "tags")
"""Fields that an owner may add to; what is missing there is told. All others are the owner's."""

_LOADED = re.compile(r'SentenceTransformer\("([^"\n]+)"')
_PICTURE = re.compile(rf"!\[[^\]\n]*\]\(({FIGURES}/[^)\s]+)\)")


class CardCheck(NamedTuple):
    """What speaks for and against a card.

    Args:
        claims: the figures of the metadata and of .eval_results, `measured` being what the report says; those
            that the report does not have are `not run`.
        problems: what the card says that the report does not.
        notes: what was not compared, and what is different without being wrong.
    """

    claims: tuple[CheckedClaim, ...]
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]


def check_card(
    card: str, report: DistillationReport, *, folder: Path | None = None, repo_id: str | None = None
) -> CardCheck:
    """Compare a published card with the report beside it.

    Args:
        card: the whole README.md.
        report: of the same folder.
        folder: where both lie; with it, the pictures that the card shows and the files of .eval_results are
            looked for.
        repo_id: the repository on the Hub that is verified.
    """
    claims: list[CheckedClaim] = []
    problems: list[Problem] = []
    notes: list[str] = []
    card = without_stamp(card)
    try:
        declared, text = read_metadata(card)
    except CardError as error:
        declared, text = {}, card
        problems.append(Problem(CARD, str(error)))
    claims += _listed_claims(declared, report, problems, notes)
    _check_fields(declared, report, problems, notes)
    _check_text(card, text, report, repo_id, problems, notes)
    notes += _kept(text, problems)
    if folder is not None:
        claims += _benchmark_claims(folder, report, problems, notes)
        problems += _missing_pictures(text, folder)
    return CardCheck(tuple(claims), tuple(problems), tuple(notes))


def _listed_claims(
    declared: Mapping[str, Any], report: DistillationReport, problems: list[Problem], notes: list[str]
) -> list[CheckedClaim]:
    """The figures of the model-index beside those of the report."""
    entries, faults = read_entries(declared)
    problems += (Problem(f"{CARD}, model-index", fault) for fault in faults)
    waiting = listed_results(report)
    names = _names(report)
    renamed: list[str] = []
    claims = []
    for entry in entries:
        same = [one for one in waiting if _is_about(entry, one[1], by_name=True)]
        same = same or [one for one in waiting if _is_about(entry, one[1], by_name=False)]
        if len(same) == 1 or (same and entry.name == same[0][1].metric_name):
            waiting.remove(same[0])
            claims.append(_claim(entry.value, same[0][0], report))
            result = same[0][1]
            for said, meant in ((entry.title, result.dataset_name), (entry.name, result.metric_name)):
                if not said or _folded(said) == _folded(meant):
                    continue
                if _folded(said) in names and _folded(said) != _folded(result.dataset_type):
                    text = (
                        f"{entry.metric} on {entry.dataset}: is named {said!r}, and {meant!r} in the report"
                    )
                    problems.append(Problem(f"{CARD}, model-index", text))
                else:
                    renamed.append(f"{said!r} for {meant!r}")
        else:
            claims.append(_unknown(entry.metric, entry.title or entry.dataset, entry.value, report))
    if renamed:
        notes.append(f"the card's model-index has names of its own: {listed(unique(renamed))}")
    if waiting and entries:
        notes.append(f"the card's model-index lacks {len(waiting)} figures of the report")
    elif waiting:
        notes.append("the card has no model-index, though the report has figures for one")
    return claims


def _names(report: DistillationReport) -> set[str]:
    """What the report calls its data sets and its metrics: a name by which a figure may not be another's."""
    names = {data.title for data in report.data.values()} | {
        data.hub_id or "" for data in report.data.values()
    }
    names |= {metric.title for metric in report.metrics.values()}
    names |= {title_of(report.metrics[m.metric], m.parameters) for m in report.measurements}
    names |= {str(result.metric_name) for _, result in listed_results(report)}
    return set(map(_folded, names))


def _folded(name: object) -> str:
    return " ".join(str(name).casefold().split())


def _is_about(entry: Entry, result: EvalResult, *, by_name: bool) -> bool:
    """Whether an entry is that of the report; names are what people like to change."""
    data = (entry.dataset, entry.config, entry.split, entry.metric)
    same = data == (result.dataset_type, result.dataset_config, result.dataset_split, result.metric_type)
    named = (entry.title, entry.name) == (result.dataset_name, result.metric_name)
    return same and (named or not by_name)


def _claim(value: float, m: Measurement, report: DistillationReport) -> CheckedClaim:
    same = abs(value - m.value) <= rounding(value)
    parameters = ", ".join(f"{name}={parameter}" for name, parameter in m.parameters.items())
    return CheckedClaim(
        figure=f"{m.metric}[{parameters}]" if parameters else m.metric,
        model=report.student,
        data=m.data,
        source="card",
        claimed=value,
        interval=None,
        measured=m.value,
        measured_interval=m.interval.ends if m.interval else None,
        verdict="same" if same else "differs",
        why="" if same else "the report says otherwise",
    )


def _unknown(figure: str, data: str, value: float, report: DistillationReport) -> CheckedClaim:
    return CheckedClaim(
        figure=figure,
        model=report.student,
        data=data,
        source="card",
        claimed=value,
        interval=None,
        measured=None,
        measured_interval=None,
        verdict="not run",
        why="the report does not have it",
    )


def _named(text: str, report: DistillationReport) -> str | None:
    """The repository that the card was written for, as its snippets say; None for none."""
    found = _LOADED.search(text)
    return found[1] if found and found[1] != report.models[report.student].name else None


def _check_fields(
    declared: Mapping[str, Any], report: DistillationReport, problems: list[Problem], notes: list[str]
) -> None:
    """The metadata but for its figures; what was added to a list is its owner's."""
    if not declared:
        return
    try:
        expected = metadata(report)
    except CardError as error:
        notes.append(f"the card's metadata was not compared: {error}")
        return
    for name in (*_FIXED, *_FREE):
        said, meant = _as_list(declared.get(name)), _as_list(expected.get(name))
        lacking = [item for item in meant if item not in said]
        if name in _FIXED and said != meant:
            words = f"{name} is {_words(said)}, and {_words(meant)} in the report"
            problems.append(Problem(f"{CARD}, metadata", words))
        elif lacking:
            notes.append(f"{CARD}, metadata: {name} lacks {_words(lacking)}, which the report calls for")


def _check_text(
    card: str,
    text: str,
    report: DistillationReport,
    repo_id: str | None,
    problems: list[Problem],
    notes: list[str],
) -> None:
    """The text, beside that of the card that the report makes for the same repository."""
    named = _named(text, report)
    first_line = card[: len(card) - len(text)].count("\n") + 1
    found: dict[str | None, Comparison] = {}
    for place in unique([named, repo_id, None]):
        try:
            again = render_card(report, repo_id=place, figures=planned_figures(report))
        except CardError as error:
            notes.append(f"the card's text was not compared, because it cannot be made again: {error}")
            return
        found[place] = compare_text(
            text, read_metadata(again)[1], first_line=first_line, other_template=_other_template(report)
        )
        if not found[place].problems:
            break
    written_for, compared = min(found.items(), key=lambda one: len(one[1].problems))
    problems += compared.problems
    notes += compared.notes
    loads = named or report.models[report.student].name
    if named != written_for:
        problems.append(Problem(CARD, f"its snippets load {loads!r}, another model than the one it is about"))
    elif repo_id and named != repo_id:
        notes.append(f"the card's snippets load {loads!r}, not {repo_id!r}")
    if compared.other_template:
        notes.append(
            f"the card was made with another template or hubdistill than this one ({__version__}): of the "
            f"{compared.expected} lines that this one makes, {compared.compared} are there and were compared"
        )


def _other_template(report: DistillationReport) -> bool:
    """Whether the card is known to be of another template or version."""
    return report.owner.template is not None or report.hubdistill_version != __version__


def _kept(text: str, problems: list[Problem]) -> list[str]:
    try:
        names = [f"'{section.name}'" for section in kept_sections(text) if not section.empty]
    except CardError as error:
        problems.append(Problem(CARD, str(error).removeprefix(f"{CARD}, ")))
        return []
    if not names:
        return []
    return [f"the author's own words are not judged: kept sections {listed(names)}"]


def _benchmark_claims(
    folder: Path, report: DistillationReport, problems: list[Problem], notes: list[str]
) -> list[CheckedClaim]:
    """The figures of .eval_results beside those of the report."""
    waiting = benchmark_results(report)
    claims = []
    for path in sorted((folder / FOLDER).glob("*.y*ml")):
        name = f"{FOLDER}/{path.name}"
        if not path.name.startswith(PREFIX) or path.suffix != ".yaml":
            notes.append(f"{name} is not hubdistill's, and was not checked")
            continue
        try:
            found = [_benchmark(entry) for entry in _as_list(yaml.safe_load(path.read_text("utf-8")))]
        except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError, RecursionError) as error:
            problems.append(Problem(name, f"cannot be read: {error}"))
            continue
        for dataset, task, value in found:
            same = [one for one in waiting if (one[1].dataset_id, one[1].task_id) == (dataset, task)]
            if same:
                nearest = min(same, key=lambda one: abs(one[0].value - value))
                waiting.remove(nearest)
                claims.append(_claim(value, nearest[0], report))
            else:
                claims.append(_unknown("score", f"{dataset}, {task}", value, report))
    return claims


def _benchmark(entry: Any) -> tuple[str, str, float]:
    """Data set, task and score of an entry of .eval_results."""
    return entry["dataset"]["id"], entry["dataset"]["task_id"], float(entry["value"])


def _missing_pictures(text: str, folder: Path) -> list[Problem]:
    problems = []
    for path in dict.fromkeys(_PICTURE.findall(text)):
        if ".." in path.split("/") or not (folder / path).is_file():
            problems.append(Problem(CARD, f"shows {path}, which is not there"))
        elif path.endswith(".png") and not _is_png(folder / path):
            problems.append(Problem(path, "is no PNG picture, though the card shows it"))
    return problems


def _is_png(file: Path) -> bool:
    """Whether a file begins as PNG pictures do (ISO/IEC 15948, 5.2 and 11.2.2): with its size in pixels."""
    with file.open("rb") as opened:
        head = opened.read(24)
    width, height = head[16:20], head[20:24]
    begins = head.startswith(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")
    return begins and len(height) == 4 and any(width) and any(height)


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _words(values: list[Any]) -> str:
    return listed(f"'{value}'" for value in values) or "not there"
