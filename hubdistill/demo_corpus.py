"""English prose for the demo, from the documentation strings of installed packages.

Their sources are read, never imported. What comes out depends on nothing but the versions of the
packages, so it is the same on every machine that has installed the same ones.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import importlib.util
import json
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from hubdistill.atomic import new_folder
from hubdistill.errors import CorpusTooSmallError
from hubdistill.progress import track

PACKAGES = {
    "numpy": "numpy",
    "scipy": "scipy",
    "pandas": "pandas",
    "sklearn": "scikit-learn",
    "matplotlib": "matplotlib",
    "datasets": "datasets",
    "huggingface_hub": "huggingface-hub",
    "sentence_transformers": "sentence-transformers",
}
"""Packages with much prose, which come with hubdistill[demo]: import name -> distribution name."""

FEWEST = 5_000
"""With fewer texts than this the demo would prove nothing."""

SEARCHED = 0.1
"""Share of the documentation strings that is kept out of the texts, to search in."""

_FOREIGN = {"tests", "testing", "_vendor", "externals", "extern", "_lib"}
_HEADING = re.compile(r"^.*\n[ \t]*([-=~^*#])\1{2,}[ \t]*$", re.MULTILINE)
_NOT_PROSE = re.compile(r"^(>>>|\.\. |:\w|[-*+|] |\||\+[-=]|\d+[.)] |\[\d|[@#<{]|```)")
_INLINE = [
    (re.compile(r":[\w:+]+:`[~!]?([^`<]+?)(\s*<[^>]*>)?`"), r"\1"),
    (re.compile(r"`([^`<]+?)\s*<[^>]*>`_{1,2}"), r"\1"),
    (re.compile(r"\[([^\]]+)\]\([^)]*\)"), r"\1"),
    (re.compile(r"\s*\[[\w.+-]+\]_"), ""),
    (re.compile(r"(``|\*\*|`|\*)(?=\S)(.+?)(?<=\S)\1_?"), r"\2"),
]
_ABBREVIATIONS = r"(?<!\b[a-z]\.[a-z]\.)(?<!\bcf\.)(?<!\bvs\.)(?<!\betc\.)(?<!\bal\.)"
_SENTENCE_END = re.compile(r"(?<=[.!?])" + _ABBREVIATIONS + r"\s+(?=[A-Z])")
_WORD = re.compile(r"[(\"']?[A-Za-z][a-z'-]*[\"',;:.!?)]*$")

_Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Documentation:
    """One documentation string as plain sentences: its summary, and the paragraphs after it."""

    summary: str
    paragraphs: tuple[tuple[str, ...], ...]

    @property
    def is_searched(self) -> bool:
        """Whether it belongs to the retrieval task; its own hash decides."""
        digest = hashlib.sha256(self.summary.encode()).digest()
        return int.from_bytes(digest[:8]) < SEARCHED * 2**64


def write_demo_corpus(folder: Path) -> list[str]:
    """Write texts to distil on, and a retrieval task made of other documentation.

    The folder gets `texts/<package>-<version>.txt`, one text a line, and `search/` in BEIR form: each
    query is the summary of a documentation string, and its one relevant document is the rest of that
    string. A folder that is there is kept as it is.

    Returns:
        Paths of the text files, relative to the folder.

    Raises:
        CorpusTooSmallError: the packages' sources hold too little prose.
    """
    if not folder.exists():
        found = {name: list(_read_package(name)) for name in PACKAGES if importlib.util.find_spec(name)}
        with new_folder(folder) as beside:
            searched = [
                item for documentation in found.values() for item in documentation if item.is_searched
            ]
            sentences = _write_search(beside / "search", searched)
            (beside / "texts").mkdir()
            seen: set[str] = set()
            for name, items in found.items():
                texts = [text for text in dict.fromkeys(_texts(items, sentences)) if text not in seen]
                seen.update(texts)
                _write_texts(beside / "texts", name, texts)
            if len(seen) < FEWEST:
                raise CorpusTooSmallError(
                    f"the documentation of {', '.join(PACKAGES)} holds {len(seen):,} texts, the demo needs "
                    f"{FEWEST:,}; install these packages with their sources: pip install 'hubdistill[demo]'"
                )
    return [f"texts/{path.name}" for path in sorted((folder / "texts").iterdir())]


def read_documentation(source: bytes) -> Iterator[Documentation]:
    """Documentation of a module, its classes and functions that begins with a summary in prose."""
    with warnings.catch_warnings():
        # Old escapes in other people's strings.
        warnings.simplefilter("ignore", SyntaxWarning)
        tree = ast.parse(source)
    for node in _documented(tree):
        paragraphs = list(prose(ast.get_docstring(node) or ""))
        if paragraphs and len(paragraphs[0]) == 1:
            yield Documentation(paragraphs[0][0], tuple(paragraphs[1:]))


def _documented(node: _Documented) -> Iterator[_Documented]:
    """A module, and the classes and functions right in it; bodies of functions are passed over."""
    yield node
    for child in node.body if isinstance(node, ast.Module | ast.ClassDef) else ():
        if isinstance(child, _Documented):
            yield from _documented(child)


def prose(documentation: str) -> Iterator[tuple[str, ...]]:
    """Paragraphs of whole English sentences: no headings, lists, tables, code, doctests or fields.

    Markup is taken off: reStructuredText roles, literals, emphasis, references and Markdown links.
    """
    for block in re.split(r"\n\s*\n", _HEADING.sub("", documentation)):
        # Lines set further in, such as the descriptions of parameters, are a paragraph of their own.
        for _, run in groupby(block.splitlines(), key=lambda line: len(line) - len(line.lstrip())):
            lines = [line.strip() for line in run]
            if any(_NOT_PROSE.match(line) or "  " in line for line in lines):
                continue
            text = " ".join(lines)
            for pattern, replacement in _INLINE:
                text = pattern.sub(replacement, text)
            sentences = tuple(split_sentences(text))
            if all(_is_sentence(sentence) for sentence in sentences):
                yield sentences


def split_sentences(text: str) -> list[str]:
    """Split a paragraph where a sentence ends and a capital follows; common abbreviations end none."""
    return _SENTENCE_END.split(text)


def _is_sentence(text: str) -> bool:
    words = text.split()
    plain = sum(bool(_WORD.match(word)) for word in words)
    return (
        4 <= len(words) <= 60
        and text[0].isupper()
        and text[-1] in ".!?"
        and plain >= 0.75 * len(words)
        and not re.search(r"[`|\\{}=<>]|https?:", text)
    )


def _read_package(name: str) -> Iterator[Documentation]:
    """Documentation in a package's sources, in the order of their paths; each summary once."""
    spec = importlib.util.find_spec(name)
    root = Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else Path()
    paths = sorted(path for path in root.rglob("*.py") if not _FOREIGN & {*path.relative_to(root).parts})
    seen: set[str] = set()
    with track(len(paths), f"Reading {name}") as advance:
        for path in paths:
            advance(1)
            for documentation in read_documentation(path.read_bytes()):
                if documentation.summary not in seen:
                    seen.add(documentation.summary)
                    yield documentation


def _texts(documentation: list[Documentation], searched: set[str]) -> Iterator[str]:
    """Sentences, and passages of two to five of them, so that lengths mix; none that is searched."""
    for item in documentation:
        if not item.is_searched:
            for paragraph in ((item.summary,), *item.paragraphs):
                if not searched.intersection(paragraph):
                    yield from paragraph
                    if 2 <= len(paragraph) <= 5:
                        yield " ".join(paragraph)


def _write_texts(folder: Path, name: str, texts: list[str]) -> None:
    distribution = PACKAGES[name]
    path = folder / f"{distribution}-{importlib.metadata.version(distribution)}.txt"
    path.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")


def _write_search(folder: Path, documentation: list[Documentation]) -> set[str]:
    """Write the retrieval task, and return every sentence in it."""
    folder.mkdir()
    documents: dict[str, str] = {}
    for item in documentation:
        rest = " ".join(sentence for paragraph in item.paragraphs for sentence in paragraph)
        # A rest that two summaries share has no one right query.
        if len(rest.split()) >= 12:
            documents.setdefault(rest, item.summary)
    with (
        (folder / "corpus.jsonl").open("w", encoding="utf-8") as corpus,
        (folder / "queries.jsonl").open("w", encoding="utf-8") as queries,
        (folder / "qrels.tsv").open("w", encoding="utf-8") as qrels,
    ):
        qrels.write("query-id\tcorpus-id\tscore\n")
        for number, (rest, summary) in enumerate(documents.items()):
            corpus.write(json.dumps({"_id": f"d{number}", "title": "", "text": rest}) + "\n")
            queries.write(json.dumps({"_id": f"q{number}", "text": summary}) + "\n")
            qrels.write(f"q{number}\td{number}\t1\n")
    return {s for item in documentation for p in ((item.summary,), *item.paragraphs) for s in p}
