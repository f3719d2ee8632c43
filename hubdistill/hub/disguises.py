"""Secrets in disguise: escapes, entities, encodings and markup that hide a token from a search, undone."""

from __future__ import annotations

import base64
import binascii
import html
import re
import unicodedata
from collections.abc import Iterator
from urllib.parse import unquote

_PERCENT = re.compile(r"(?:%[0-9A-Fa-f]{2})+")
_ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|x([0-9A-Fa-f]{2}))")
# Soft hyphen, zero-width characters and directions: what comes along when text is copied from a page.
_INVISIBLE = re.compile("[\u00ad\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]")
_MARKUP = re.compile(r"\\(?=[_*~.-])|\*{1,3}|`+|</?[a-z][^<>\n]{0,80}>|<!--|-->")
_SIGN = re.compile(r"[%\\&*`]|<[a-z/!]|-->")
_ENCODED = re.compile(r"(?<![\w+/-])[A-Za-z0-9+/_-]{40,}")
_HEXADECIMAL = re.compile(r"[0-9A-Fa-f]+")
_PRINTABLE = re.compile(rb"[\t\n\r\x20-\x7e]+")


def undisguise(text: str) -> Iterator[str]:
    """Read a line as a reader would see it: escapes and entities undone, and then without markup.

    Gives what differs from the line as it stands: at most two readings.
    """
    if text.isascii() and not _SIGN.search(text):
        return
    plain = text
    if "%" in plain:
        plain = _PERCENT.sub(lambda match: unquote(match[0]), plain)
    if "\\" in plain:
        plain = _ESCAPE.sub(lambda match: chr(int(match[1] or match[2], 16)), plain)
    if "&" in plain:
        plain = html.unescape(plain)
    if not plain.isascii():
        plain = unicodedata.normalize("NFKC", _INVISIBLE.sub("", plain))
    if plain != text:
        yield plain
    # Tags hold text as well (addresses, attributes), so they are taken out of a second reading only.
    if (bare := _MARKUP.sub("", plain)) != plain:
        yield bare


def decode_runs(text: str) -> Iterator[tuple[int, str]]:
    """Decode what is text in base64 or hexadecimal digits; gives (where it starts, the text)."""
    for match in _ENCODED.finditer(text):
        run = match[0]
        try:
            if _HEXADECIMAL.fullmatch(run):
                decoded = bytes.fromhex(run)
            else:
                whole = run.replace("-", "+").replace("_", "/")
                decoded = base64.b64decode(whole + "=" * (-len(whole) % 4), validate=True)
        except (ValueError, binascii.Error):
            continue
        if _PRINTABLE.fullmatch(decoded):
            yield match.start(), decoded.decode("ascii")
