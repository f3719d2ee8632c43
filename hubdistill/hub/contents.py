"""What there is to read in a file: text in any encoding, the values of JSON and YAML, the text in a PNG."""

from __future__ import annotations

import json
import re
import struct
import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import yaml

PNG = b"\x89PNG\r\n\x1a\n"
COMPRESSED = (b"\x1f\x8b", b"PK\x03\x04", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd", b"7z\xbc\xaf")
"""How gzip, zip, bzip2, xz, zstd and 7z files start."""

_UNSEEN = 1 << 24
"""Bytes of compressed text read from a PNG."""
_PIXELS = frozenset(
    (b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"pHYs", b"gAMA", b"sRGB", b"bKGD", b"sBIT", b"tIME")
)
_QUOTED = re.compile(r"\"((?:[^\"\\\n]|\\.)*)\"")
PRINTABLE = re.compile(rb"[\x20-\x7e\t\n]{8,}")


class Value(NamedTuple):
    """A string of a JSON or YAML document.

    Args:
        path: keys and numbers that lead there.
        key: the nearest key; items of a list have the list's.
        text: the string, or, with `is_key`, a key itself.
    """

    path: tuple[str, ...]
    key: str
    text: str
    is_key: bool = False


def decode(content: bytes) -> str:
    """Decode a text file: UTF-8, or UTF-16 and UTF-32 with a byte order mark or without."""
    if content.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")):
        return content.decode("utf-32", errors="replace")
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", errors="replace")
    if b"\0" in content:
        # ASCII in UTF-16 or UTF-32 is ASCII between zeros.
        content = content.replace(b"\0", b"")
    return content.decode("utf-8-sig", errors="replace")


def quoted(text: str) -> Iterator[Value]:
    """Whatever stands between double quotes: the values of XML, and of JSON that cannot be parsed."""
    for match in _QUOTED.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        yield Value((f"line {line}",), "", match[1])


def json_document(text: str) -> Any:
    """Parse JSON; of keys that come twice, all values are kept.

    Raises:
        ValueError: it is not JSON (also: nested too deeply).
    """
    try:
        return json.loads(text, object_pairs_hook=_keep_repeated)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _keep_repeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    unique = dict(pairs)
    return (
        unique
        if len(unique) == len(pairs)
        else {**unique, "(repeated)": [{key: value} for key, value in pairs]}
    )


def yaml_document(text: str) -> Any:
    """Parse YAML, with plain types only.

    Raises:
        ValueError: it is not YAML.
    """
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError("not YAML") from error


def values(document: Any, path: tuple[str, ...] = ()) -> Iterator[Value]:
    """Yield every string of a document, its keys too; a string that holds JSON is opened in turn."""
    seen: set[int] = set()
    pending: list[tuple[Any, tuple[str, ...], str]] = [(document, path, path[-1] if path else "")]
    while pending:
        node, here, key = pending.pop()
        if isinstance(node, bytes):
            node = node.decode("latin-1")
        if isinstance(node, str):
            yield Value(here, key, node)
            if inner := _inner(key, node):
                pending.append((inner, here, key))
        elif isinstance(node, (dict, list)) and id(node) not in seen:
            seen.add(id(node))  # YAML's aliases may lead in circles
            items = node.items() if isinstance(node, dict) else enumerate(node)
            below = []
            for name, value in items:
                if isinstance(node, dict):
                    yield Value((*here, str(name)), str(name), str(name), is_key=True)
                below.append((value, (*here, str(name)), key if isinstance(node, list) else str(name)))
            pending += reversed(below)


def _inner(key: str, text: str) -> Any:
    try:
        if text.lstrip()[:1] in ("{", "["):
            document = json_document(text)
        elif key == "recipe" and "\n" in text:
            document = yaml_document(text)
        else:
            return None
    except ValueError:
        return None
    return document if isinstance(document, (dict, list)) else None


def strings(node: Any) -> Iterator[str]:
    """Every string of a document, without its place: for vocabularies, which are large."""
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict):
        yield from node
        for value in node.values():
            if not isinstance(value, int):
                yield from strings(value)
    elif isinstance(node, list):
        for value in node:
            yield from strings(value)


class PngError(ValueError):
    """A PNG that holds something that cannot be looked into."""


def png_texts(content: bytes) -> Iterator[str]:
    """The text of a PNG: every chunk that is not pixels or their colours (PNG specification, 11.3).

    Raises:
        PngError: data follow the picture, or text is compressed beyond reason.
    """
    at, pixels = len(PNG), zlib.decompressobj()
    while at + 8 <= len(content):
        (length,) = struct.unpack(">I", content[at : at + 4])
        kind, data = content[at + 4 : at + 8], content[at + 8 : at + 8 + length]
        at += length + 12
        if kind == b"IDAT":
            _skip(pixels, data)
        elif kind in (b"zTXt", b"iCCP"):
            key, _, rest = data.partition(b"\0")
            yield f"{key.decode('latin-1')}: {_inflate(rest[1:])}"
        elif kind == b"iTXt":
            key, _, rest = data.partition(b"\0")
            language, _, rest_after = rest[2:].partition(b"\0")
            keyword, _, value = rest_after.partition(b"\0")
            text = _inflate(value) if rest[:1] == b"\1" else value.decode("utf-8", "replace")
            yield f"{key.decode('latin-1')}: {text}\n{(language + b' ' + keyword).decode('utf-8', 'replace')}"
        elif kind not in _PIXELS:
            yield data.replace(b"\0", b": ").decode("latin-1")
        elif kind == b"IEND":
            break
    if content[at:].strip(b"\0\r\n") or pixels.unused_data:
        raise PngError("data after the end of the picture")


def _skip(pixels: Any, data: bytes) -> None:
    try:
        while data and not pixels.eof:
            pixels.decompress(data, 1 << 20)
            data = pixels.unconsumed_tail
    except zlib.error:
        pass


def _inflate(data: bytes) -> str:
    stream = zlib.decompressobj()
    try:
        text = stream.decompress(data, _UNSEEN)
    except zlib.error:
        return data.decode("latin-1")
    if stream.unconsumed_tail:
        raise PngError("text that is compressed beyond reason")
    return (text + stream.unused_data).decode("utf-8", "replace")
