"""A card for a model that nobody measured: what its files say, and visible places for what is missing."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

import hubdistill
from hubdistill.atomic import write_text
from hubdistill.card.foreign import is_ours, read_card, refuse_to_replace, set_aside
from hubdistill.card.inputs import prompt_table
from hubdistill.card.keep import kept_sections, merge_kept
from hubdistill.card.metadata import LIBRARY, PIPELINE, TAGS, check_metadata, language_list, read_metadata
from hubdistill.card.model_folder import FolderFacts, read_folder
from hubdistill.card.templates import INCOMPLETE, fill
from hubdistill.card.text import Markdown, bullets, code, escape, fenced, model_link, table
from hubdistill.citations import SENTENCE_TRANSFORMERS
from hubdistill.numbers import count, short_count, size

FILE_NAME = "README.md"
NEEDED = Markdown("**[More Information Needed]**")
"""What the Hub's own template writes where something is missing."""

_KEPT = {"training": "training", "use": "intended use", "limitations": "limitations"}
"""Parts that only the owner can write, and the kept sections that they stand in."""

_OF_RECIPE = re.compile(r"`card\.(\w+)`(?: in the recipe)?")
_IN_CARD = r"`\1` in the front matter of README.md"

_OWNERS = {
    "training": "what it was made from, on which texts and how",
    "use": "what it is for, and what not",
    "limitations": "where it fails",
}


@dataclass(frozen=True)
class IncompleteCard:
    """A card that was written, and what it lacks."""

    path: Path
    missing: tuple[str, ...]
    """A line each, with the command or place that mends it."""


@dataclass(frozen=True)
class IncompleteView:
    """The variables of the template for incomplete cards."""

    metadata: Markdown
    """The owner's front matter as it was, and below it what it lacks and the files say."""
    hubdistill_version: str
    title: Markdown
    claim: Markdown
    """One sentence."""
    missing: Markdown
    """What is missing, and what mends it."""
    code: Markdown
    """How to load it; empty where that is unknown."""
    unloadable: str
    """Why there is no code."""
    description: Markdown
    architecture: Markdown
    """What it is made of, in a table."""
    prompts: Markdown
    """Empty where it has none."""
    measure: Markdown
    """The commands that measure it and write the whole card."""
    needs: dict[str, bool]
    """Which parts the owner has not written yet."""
    versions: Markdown
    """Libraries that saved it."""
    citations: Markdown


def write_card_without_report(
    folder: Path, *, repo_id: str | None = None, force: bool = False
) -> IncompleteCard:
    """Write a card from a model's files alone.

    The front matter of a README.md that is there stays as it is, and so do its kept sections.

    Args:
        folder: of a model, made by whomever.
        repo_id: where it is published (`org/name`).
        force: take the place of a README.md that hubdistill did not write; that one stays beside it under
            another name.

    Raises:
        CardError: it is not the folder of a model, a file cannot be read, or README.md is somebody else's.
    """
    path = folder / FILE_NAME
    previous = read_card(path)
    facts = read_folder(folder)
    replaced = [path] if previous and not is_ours(previous) else []
    refuse_to_replace(replaced, force=force)
    card, missing = render_card_without_report(facts, folder, repo_id=repo_id, previous=previous)
    set_aside(replaced)
    write_text(path, card)
    return IncompleteCard(path, tuple(missing))


def render_card_without_report(
    facts: FolderFacts, folder: Path, *, repo_id: str | None = None, previous: str | None = None
) -> tuple[str, list[str]]:
    """Render the card of a model that nobody measured.

    Args:
        folder: as commands name it.
        previous: the card so far.

    Returns:
        The card, and what is missing, a line each.

    Raises:
        CardError: the previous card's front matter or kept sections are broken.
    """
    text, declared = _front_matter(previous or "")
    kept = {section.name for section in kept_sections(previous or "") if not section.empty}
    needs = {part: name not in kept for part, name in _KEPT.items()}
    model_id = repo_id or facts.name
    missing = _missing(facts, f"---\n{text}\n---\n", needs)
    view = IncompleteView(
        metadata=Markdown(text),
        hubdistill_version=hubdistill.__version__,
        title=escape(model_id.rpartition("/")[2]),
        claim=_claim(facts, model_id.rpartition("/")[2]),
        missing=bullets([*missing, "quality, agreement and speed: the commands are under Evaluation"]),
        code=_snippet(facts, model_id),
        unloadable=_unloadable(facts),
        description=_description(facts, declared),
        architecture=_architecture(facts),
        prompts=prompt_table(dict(facts.prompts)),
        measure=fenced("\n".join(_commands(facts, Path(facts.name))), "bash"),
        needs=needs,
        versions=bullets(f"{name}: {version}" for name, version in facts.versions)
        or Markdown(f"{NEEDED} the versions that saved the model."),
        citations=fenced(SENTENCE_TRANSFORMERS, "bibtex"),
    )
    measured = "; then ".join(_commands(facts, folder))
    lines = [*missing, f"quality, agreement and speed: {measured}"]
    return merge_kept(fill(INCOMPLETE, vars(view)), previous or ""), lines


def _front_matter(previous: str) -> tuple[str, dict[str, Any]]:
    """The owner's front matter as it was written, with the fields that it lacks and the files say."""
    text, declared = "", dict[str, Any]()
    if previous.lstrip("\ufeff \t\r\n").startswith("---"):
        declared, body = read_metadata(previous)
        head = previous[: len(previous) - len(body)].strip("\ufeff \t\r\n")
        text = "\n".join(head.splitlines()[1:-1])
    fields = {"library_name": LIBRARY, "pipeline_tag": PIPELINE, "tags": list(TAGS)}
    added = {name: value for name, value in fields.items() if name not in declared}
    if added:
        text = f"{text}\n{yaml.safe_dump(added, sort_keys=False)}".strip()
    return text, {**declared, **added}


def _missing(facts: FolderFacts, front_matter: str, needs: dict[str, bool]) -> list[str]:
    """All that is missing but measurements, and where it goes."""
    lines = [f"metadata: {_OF_RECIPE.sub(_IN_CARD, problem)}" for problem in check_metadata(front_matter)]
    if "language" not in read_metadata(front_matter)[0]:
        lines.append("metadata: no language; set `language` in the front matter of README.md")
    unread = [name for name, value in _facts(facts).items() if value is None]
    if unread:
        lines.append(f"not said by the model's files: {', '.join(unread)}")
    lines += [
        f"{what}: write it into README.md, in the kept section '{_KEPT[part]}'"
        for part, what in _OWNERS.items()
        if needs[part]
    ]
    return lines


def _commands(facts: FolderFacts, folder: Path) -> list[str]:
    place = shlex.quote(str(folder))
    report = shlex.quote(f"evaluation/{facts.name}/report.json")
    return [
        f"hubdistill evaluate {place} --teacher MODEL --similarity PAIRS.tsv",
        f"hubdistill card {place} --report {report}",
    ]


def _facts(facts: FolderFacts) -> dict[str, str | None]:
    """What the table of the architecture says, by its headings; None where the files do not say it."""
    rows: dict[str, str | None] = {"Type": facts.family}
    if facts.kind == "transformer":
        rows |= {
            "Layers": _count(facts.layers),
            "Hidden size": _count(facts.hidden_size),
            "Attention heads": _count(facts.attention_heads),
            "Feed-forward size": _count(facts.feed_forward),
            "Positions": _count(facts.positions),
            "Maximum length": f"{count(facts.max_length)} tokens" if facts.max_length else None,
        }
    elif facts.kind == "static":
        rows = {"Type": "static"}
    unit = ", unit length" if facts.normalized else ""
    return rows | {
        "Vocabulary": _count(facts.vocabulary),
        "Output dimensions": _count(facts.dimensions),
        "Pooling": f"{facts.pooling}{unit}" if facts.pooling else None,
        "Parameters": short_count(facts.parameters) if facts.parameters else None,
        "Precision": facts.dtype,
        "Size on disk": size(facts.bytes),
    }


def _count(value: int | None) -> str | None:
    return None if value is None else count(value)


def _claim(facts: FolderFacts, name: str) -> Markdown:
    kind = {"transformer": "a sentence transformer", "static": "a static embedding model"}
    made = kind.get(facts.kind or "", "a model")
    width = f" that maps texts to vectors of {count(facts.dimensions)} dimensions" if facts.dimensions else ""
    return Markdown(f"**{escape(name)}** is {made}{width}. Nothing of it was measured.")


def _snippet(facts: FolderFacts, model_id: str) -> Markdown:
    if _unloadable(facts):
        return Markdown()
    more = ", trust_remote_code=True" if facts.own_code else ""
    names = {name for name, _ in facts.prompts}
    encode = "model.encode_query" if "query" in names else "model.encode"
    return fenced(
        "from sentence_transformers import SentenceTransformer\n\n"
        f"model = SentenceTransformer({json.dumps(model_id)}{more})\n"
        f'embeddings = {encode}(["The weather is lovely today.", "He drove to the stadium."])\n'
        "print(model.similarity(embeddings, embeddings))",
        "python",
    )


def _unloadable(facts: FolderFacts) -> str:
    return "" if facts.modules else "it has no modules.json, so its pooling is unknown."


def _description(facts: FolderFacts, declared: dict[str, Any]) -> Markdown:
    def said(label: str, value: str | None, *, where: str) -> Markdown:
        return Markdown(f"**{label}:** {escape(value) if value else f'{NEEDED} {where}'}")

    front = "in the front matter"
    links = map(model_link, _texts(declared.get("base_model")))
    codes, licences = (_texts(declared.get(field)) for field in ("language", "license"))
    lines = [
        *(Markdown(f"**Base model:** {link}") for link in links),
        said("Output dimensions", _count(facts.dimensions), where="the files do not say"),
        said("Similarity function", facts.similarity, where="the files do not say"),
        said("Languages", language_list(codes) if codes else None, where=f"`language` {front}"),
        said("Licence", next(iter(licences), None), where=f"`license` {front}"),
    ]
    if facts.own_code:
        lines.append(Markdown("**Code:** it runs code of its own (`trust_remote_code`); read it first"))
    return bullets(lines)


def _texts(value: Any) -> list[str]:
    """What a field of the front matter says: one text, or several."""
    return [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, str) and one]


def _architecture(facts: FolderFacts) -> Markdown:
    rows = [(name, value or NEEDED) for name, value in _facts(facts).items()]
    parts = [table(("", "This model"), rows, numbers_from=1)]
    if facts.modules:
        parts.append(Markdown(f"Modules, in order: {', '.join(code(name) for name in facts.modules)}."))
    return Markdown("\n\n".join(parts))
