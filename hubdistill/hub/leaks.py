"""The leak scan: no file leaves with a secret or a private path in it."""

from __future__ import annotations

import json
import re
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import yaml

from hubdistill.errors import LeakError
from hubdistill.hub.files import Role
from hubdistill.hub.secrets import Hit, find_secrets, is_local_path, mask, redact

_SHOWN = 20
_PNG = b"\x89PNG\r\n\x1a\n"
_LOCAL_NAME = re.compile(r"^\.{1,2}/|^~|\\|^[^/]+/[^/]+/")


@dataclass(frozen=True)
class Leak:
    """One thing that must not travel.

    Args:
        path: file, by its path in the repository.
        line: counted from 1; None for what has no lines.
        kind: what it is.
        masked: enough of it to find it.
        mend: what to do.
    """

    path: str
    line: int | None
    kind: str
    masked: str
    mend: str

    def __str__(self) -> str:
        place = self.path if self.line is None else f"{self.path}:{self.line}"
        return f"{place}: {self.kind} ({self.masked}); {self.mend}"


def refuse_leaks(
    files: Iterable[tuple[str, Role, bytes]], *, message: str = "", known: Iterable[str] = ()
) -> None:
    """Scan everything that is about to travel.

    Args:
        files: path in the repository, role, and content (of weights and exports: the text in them).
        message: the commit message, scanned as well.
        known: secrets known by value, the token in use first of all.

    Raises:
        LeakError: names every place, with the secret itself masked.
    """
    known = [secret for secret in known if secret]
    leaks = [leak for path, role, content in files for leak in scan(path, role, content, known=known)]
    leaks += [
        Leak("commit message", line, h.kind, mask(h.text), h.mend) for line, h in _in_lines(message, False)
    ]
    if not leaks:
        return
    shown = "\n".join(f"  {leak}" for leak in leaks[:_SHOWN])
    more = f"\n  and {len(leaks) - _SHOWN} more" if len(leaks) > _SHOWN else ""
    places = "place" if len(leaks) == 1 else "places"
    raise LeakError(
        f"nothing was sent: {len(leaks)} {places} would publish a secret or a private path\n{shown}{more}"
    )


def scan(path: str, role: Role, content: bytes, *, known: Iterable[str] = ()) -> Iterator[Leak]:
    """Scan one file, its own name included."""
    seen: set[tuple[int | None, str]] = set()
    for line, hit in _hits(path, role, content, known):
        if (line, hit.text) not in seen:
            seen.add((line, hit.text))
            yield Leak(redact(path), line, hit.kind, mask(hit.text), hit.mend)


def _hits(path: str, role: Role, content: bytes, known: Iterable[str]) -> Iterator[tuple[int | None, Hit]]:
    yield from ((None, hit._replace(kind=f"{hit.kind} in the file's name")) for hit in find_secrets(path))
    for secret in known:
        if (start := content.find(secret.encode())) >= 0:
            line = content.count(b"\n", 0, start) + 1
            yield line, Hit("the very token that pushes", start, secret, "remove it and revoke the token")
    if content.startswith(_PNG):
        for text in _png_texts(content):
            yield from ((None, hit) for _, hit in _in_lines(text, False))
        return
    if role in ("weights", "export") and not path.endswith((".json", ".xml")):
        yield from ((None, hit) for _, hit in _in_lines(content.decode("latin-1"), False))
        return
    text = _decode(content)
    vocabulary = role == "tokenizer" and not path.endswith(("config.json", ".jinja"))
    yield from _in_lines(text, vocabulary)
    if path.endswith((".json", ".yaml")) and not vocabulary:
        yield from _in_values(text, PurePosixPath(path).name)


def _in_lines(text: str, vocabulary: bool) -> Iterator[tuple[int, Hit]]:
    for hit in find_secrets(text, vocabulary=vocabulary):
        yield text.count("\n", 0, hit.start) + 1, hit


def _in_values(text: str, name: str) -> Iterator[tuple[int, Hit]]:
    """Look at the decoded values of JSON or YAML: escapes hide nothing, and a value is known to be whole."""
    try:
        values = list(_values(json.loads(text) if name.endswith(".json") else yaml.safe_load(text)))
    except (ValueError, RecursionError, yaml.YAMLError):
        return
    for key, value in values:
        spellings = (json.dumps(value, ensure_ascii=False), json.dumps(value), value)
        start = max(0, *(text.find(spelling) for spelling in spellings))
        line = text.count("\n", 0, start) + 1
        for hit in find_secrets(f"{key}: {value}" if key else value):
            yield line, hit
        if is_local_path(value) or (key == "_name_or_path" and _LOCAL_NAME.search(value)):
            mend = (
                "set it to the model's Hub id, or delete the key"
                if key == "_name_or_path"
                else f"edit '{key}'"
            )
            yield line, Hit(f"local path in '{key}'", start, value, f"{mend} in {name}")
        if key == "recipe" and "\n" in value:
            yield from ((line, hit) for _, hit in _in_values(value, "recipe.yaml"))


def _values(node: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Yield (key, string) for every string below a node; items of a list have the list's key."""
    if isinstance(node, str):
        yield key, node
    elif isinstance(node, dict):
        for name, value in node.items():
            yield from _values(value, str(name))
    elif isinstance(node, list):
        for item in node:
            yield from _values(item, key)


def _decode(content: bytes) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", errors="replace")
    return content.decode("utf-8", errors="replace")


def _png_texts(content: bytes) -> Iterator[str]:
    """The text of a PNG: tEXt, zTXt, iTXt, eXIf chunks (PNG specification, 11.3), and what follows IEND."""
    at = len(_PNG)
    while at + 8 <= len(content):
        (length,) = struct.unpack(">I", content[at : at + 4])
        kind, data = content[at + 4 : at + 8], content[at + 8 : at + 8 + length]
        at += length + 12
        if kind in (b"tEXt", b"eXIf"):
            yield data.replace(b"\0", b": ").decode("latin-1")
        elif kind == b"zTXt":
            key, _, rest = data.partition(b"\0")
            yield f"{key.decode('latin-1')}: {_inflate(rest[1:])}"
        elif kind == b"iTXt":
            key, _, rest = data.partition(b"\0")
            compressed, rest = rest[:1] == b"\1", rest[2:]
            value = rest.split(b"\0", 2)[-1]
            text = _inflate(value) if compressed else value.decode("utf-8", "replace")
            yield f"{key.decode('latin-1')}: {text}"
        elif kind == b"IEND":
            break
    yield content[at:].decode("latin-1")


def _inflate(data: bytes) -> str:
    try:
        return zlib.decompressobj().decompress(data, 1 << 20).decode("utf-8", "replace")
    except zlib.error:
        return ""
