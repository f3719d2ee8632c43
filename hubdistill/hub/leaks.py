"""The leak scan: no file leaves with a secret or a private path in it."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path, PurePosixPath

from hubdistill.errors import LeakError
from hubdistill.front_matter import split_front_matter
from hubdistill.hub import contents
from hubdistill.hub.contents import Value
from hubdistill.hub.disguises import decode_runs, undisguise
from hubdistill.hub.files import CARD, Role
from hubdistill.hub.machine import names_machine, own_names, own_rules
from hubdistill.private_text import Strength, find_secrets, is_local_path, mask, redact
from hubdistill.private_text_rules import NEW_TOKEN, NO_PATH, Hit, Rule

Entry = tuple[int | tuple[str, ...], str]
"""A piece of text and where it is: a line's number, or the keys that lead to it."""

MESSAGE = "commit message"
_FILES_SHOWN = 12
_SHOWN_OF_A_FILE = 5
# Not a Hub id: those have one slash, and start with a letter or a digit.
_LOCAL_NAME = re.compile(r"^\.{1,2}/|^~|\\|^[^/]+/[^/]+/")
_PUBLISHED_AGAIN = "save the picture again, without what was added to it"
_VOCABULARIES = ("vocab.txt", "vocab.json", "merges.txt", ".model")
_TOKENIZER = "tokenizer.json"


@dataclass(frozen=True)
class Leak:
    """One thing that must not travel.

    Args:
        path: file, by its path in the repository.
        place: where in the file: a line and column, or the keys that lead there; empty: the file as a whole.
        kind: what it is.
        masked: enough of it to find it.
        mend: what to do.
    """

    path: str
    place: str
    kind: str
    masked: str
    mend: str

    def __str__(self) -> str:
        where = f"{self.place}: " if self.place else ""
        return f"{where}{self.kind}{f' ({self.masked})' if self.masked else ''}; {self.mend}"


@dataclass(frozen=True)
class Known:
    """What is known by value: the token in use, and the names and folders of this machine."""

    rules: tuple[Rule, ...] = ()
    names: frozenset[str] = frozenset()

    @classmethod
    def of(cls, secrets: Iterable[str] = (), folders: Iterable[Path] = ()) -> Known:
        """Take down secrets, and what names this machine."""
        names = own_names()
        tokens = [
            Rule("the very token that pushes", re.compile(re.escape(secret)), NEW_TOKEN, (secret,))
            for secret in secrets
            if secret
        ]
        return cls((*tokens, *own_rules(names, [Path.home(), Path.cwd(), *folders])), names)


NOTHING_KNOWN = Known()


def refuse_leaks(
    files: Iterable[tuple[str, Role, bytes]], *, message: str = "", known: Known = NOTHING_KNOWN
) -> None:
    """Scan everything that is about to travel.

    Args:
        files: path in the repository, role, and content (of weights and exports: the text in them).
        message: the commit message, scanned as well.
        known: secrets and names known by value.

    Raises:
        LeakError: names every place, with the secret itself masked.
    """
    found = {path: list(scan(path, role, content, known=known)) for path, role, content in files}
    found[MESSAGE] = [_leak(MESSAGE, *hit) for hit in _in_lines(message.split("\n"), known)]
    leaking = {path: leaks for path, leaks in found.items() if leaks}
    if not leaking:
        return
    number = sum(map(len, leaking.values()))
    lines = [
        f"nothing was sent: {_count(number, 'place')} in {_count(len(leaking), 'file')} would publish "
        "a secret or a private path"
    ]
    for leaks in list(leaking.values())[:_FILES_SHOWN]:
        lines.append(f"  {leaks[0].path}")
        lines += [f"    {leak}" for leak in leaks[:_SHOWN_OF_A_FILE]]
        if len(leaks) > _SHOWN_OF_A_FILE:
            lines.append(f"    and {len(leaks) - _SHOWN_OF_A_FILE} more in this file")
    if len(leaking) > _FILES_SHOWN:
        lines.append(f"  and {len(leaking) - _FILES_SHOWN} more files")
    raise LeakError("\n".join(lines))


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def scan(path: str, role: Role, content: bytes, *, known: Known = NOTHING_KNOWN) -> Iterator[Leak]:
    """Scan one file, its own name included."""
    seen: set[tuple[str, str]] = set()
    for place, hit in _hits(path, role, content, known):
        if (place, hit.text) not in seen:
            seen.add((place, hit.text))
            yield _leak(path, place, hit)


def _leak(path: str, place: str, hit: Hit) -> Leak:
    masked = mask(hit.text) if hit.text else ""
    return Leak(redact(path), redact(place), redact(hit.kind), masked, hit.mend)


def _hits(path: str, role: Role, content: bytes, known: Known) -> Iterator[tuple[str, Hit]]:
    name = PurePosixPath(path).name
    yield from (("", hit._replace(kind=f"{hit.kind} in the file's name")) for hit in find_secrets(path))
    if role == "figure":
        yield from _in_picture(content, known)
    elif role in ("weights", "export") and not path.endswith((".json", ".xml", ".safetensors")):
        yield from (("", hit) for _, hit in _search([((), content.decode("latin-1"))], "binary", known))
    elif content.startswith(contents.COMPRESSED):
        yield "", _unseen("a compressed file, which cannot be looked into", "publish it as text")
    elif name.endswith(_VOCABULARIES):
        yield from _in_vocabulary(name, content, known)
    else:
        yield from _in_text(name, contents.decode(content), known)


def _unseen(kind: str, mend: str) -> Hit:
    return Hit(kind, 0, "", mend)


def _in_picture(content: bytes, known: Known) -> Iterator[tuple[str, Hit]]:
    if not content.startswith(contents.PNG):
        yield "", _unseen("not a PNG picture, so it cannot be looked into", _PUBLISHED_AGAIN)
        return
    try:
        for text in contents.png_texts(content):
            yield from (("", hit) for _, hit in _in_lines(text.split("\n"), known))
    except contents.PngError as error:
        yield "", _unseen(str(error), _PUBLISHED_AGAIN)


def _in_vocabulary(name: str, content: bytes, known: Known) -> Iterator[tuple[str, Hit]]:
    text = contents.decode(content)
    if text.startswith("#version"):
        header, _, text = text.partition("\n")
        yield from _in_lines([header], known)
        text = f"\n{text}"
    yield from _search(list(_lines(text.split("\n"))), "exact", known)
    if name.endswith(".json") and "\\" in text:
        try:
            tokens = "\n".join(contents.strings(contents.json_document(text)))
        except ValueError:
            return
        yield from _search([((), tokens)], "exact", known)


def _in_text(name: str, text: str, known: Known) -> Iterator[tuple[str, Hit]]:
    """Look at the decoded values of JSON and YAML: escapes hide nothing, and a value is known to be whole."""
    if name.endswith((".json", ".safetensors")):
        try:
            document = contents.json_document(text)
        except ValueError:
            yield from _in_lines(text.split("\n"), known)
            yield from _in_values(contents.quoted(text), name, known)
            return
        vocabulary = None
        if name == _TOKENIZER and isinstance(document, dict):
            vocabulary = document.pop("model", None)
        elif name.endswith(".safetensors") and isinstance(document, dict):
            vocabulary, document = document, document.pop("__metadata__", None)
        if vocabulary is not None:
            yield from _search([(("model",), "\n".join(contents.strings(vocabulary)))], "exact", known)
        yield from _in_values(contents.values(document), name, known)
        return
    found = set()
    for place, hit in _in_lines(text.split("\n"), known):
        found.add(hit.text)
        yield place, hit
    if name.endswith(".xml"):
        further = contents.quoted(text)
    elif name == CARD or name.endswith(".yaml"):
        try:
            further = contents.values(
                contents.yaml_document(split_front_matter(text)[0] if name == CARD else text)
            )
        except ValueError:
            return
    else:
        return
    for place, hit in _in_values(further, name, known):
        if not any(hit.text in other or other in hit.text for other in found):
            yield place, hit


def _in_lines(lines: Sequence[str], known: Known) -> Iterator[tuple[str, Hit]]:
    yield from _plainly(list(_lines(lines)), known)


def _lines(lines: Iterable[str]) -> Iterator[Entry]:
    return enumerate(lines, 1)


def _in_values(values: Iterable[Value], name: str, known: Known) -> Iterator[tuple[str, Hit]]:
    """Look at the values of a document, each with its key before it, as secrets are known by their key."""
    entries: list[Entry] = []
    paths = set()
    for path, key, text, is_key in values:
        entries.append((path, text if is_key or not key else f"{key}: {text}"))
        is_name = key.endswith("name_or_path") and not is_key
        if is_local_path(text) or (is_name and _LOCAL_NAME.search(text)):
            mend = "set it to the model's Hub id, or delete the key" if is_name else NO_PATH
            paths.add(_place(path))
            yield _place(path), Hit("local path", 0, text, f"{mend}, in {name}")
        elif not is_key and names_machine(key, text, known.names):
            yield _place(path), Hit("name of this machine or its user", 0, text, f"delete the key, in {name}")
    for place, hit in _plainly(entries, known):
        if place not in paths or "path" not in hit.kind:
            yield place, hit


def _place(path: tuple[str, ...]) -> str:
    """Keys as a reader would write them; one that is itself a leak is masked."""
    return ".".join(
        mask(part) if len(part) > 3 and (is_local_path(part) or any(find_secrets(part))) else part
        for part in path
    )


def _plainly(entries: Sequence[Entry], known: Known) -> Iterator[tuple[str, Hit]]:
    """Search text as it stands, then with disguises undone where that makes a difference."""
    places = set()
    for place, hit in _search(entries, "prose", known):
        places.add(place.partition(", column")[0])
        yield place, hit
    undone = [(place, reading) for place, text in entries for reading in undisguise(text)]
    encoded = [(place, plain) for place, text in entries if len(text) >= 40 for _, plain in decode_runs(text)]
    for place, hit in _search(undone + encoded, "prose", known):
        if (line := place.partition(", column")[0]) not in places:
            yield line, hit._replace(kind=f"{hit.kind}, in disguise")


def _search(entries: Sequence[Entry], strength: Strength, known: Known) -> Iterator[tuple[str, Hit]]:
    """Search entries as one text, which is much faster than one by one."""
    text = "\n".join(entry for _, entry in entries)
    starts: list[int] = []
    for hit in sorted(find_secrets(text, strength=strength, also=known.rules), key=lambda hit: hit.start):
        starts = starts or list(accumulate((len(entry) + 1 for _, entry in entries), initial=0))
        at = bisect_right(starts, hit.start) - 1
        where = entries[at][0]
        if isinstance(where, int):
            yield f"line {where}, column {hit.start - starts[at] + 1}", hit
        else:
            yield _place(where), hit
