"""OpenID Connect id tokens: signed statements about a workflow's job, and how they are checked.

Standard library only: checking an RSA signature is one modular power and a comparison.
"""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Mapping
from typing import Any

import httpx2

# The DER prefix of a SHA-256 digest in a PKCS #1 v1.5 signature, RFC 8017 section 9.2.
SHA256_PREFIX = bytes.fromhex("3031300d060960864801650304020105000420")
_LEEWAY_SECONDS = 5
_FETCH_SECONDS = 5.0


class IdTokenError(Exception):
    """An id token that does not prove what it says."""


def _decoded(part: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except ValueError as error:
        raise IdTokenError("not base64url") from error


def _json_object(part: str) -> dict[str, Any]:
    try:
        value = json.loads(_decoded(part))
    except ValueError as error:
        raise IdTokenError("not JSON") from error
    if not isinstance(value, dict):
        raise IdTokenError("not a JSON object")
    return value


def unverified_issuer(token: str) -> str:
    """Who the token says has signed it; nothing is checked yet.

    Raises:
        IdTokenError: not a JWT.
    """
    parts = token.split(".")
    if len(parts) != 3:
        raise IdTokenError("not a JWT of three parts")
    return str(_json_object(parts[1]).get("iss"))


def verified_claims(token: str, *, issuer: str, audience: str) -> dict[str, Any]:
    """Check signature, issuer, audience and times of an id token, and return what it states.

    Raises:
        IdTokenError: one of them is not right, or the issuer's keys cannot be read.
    """
    parts = token.split(".")
    if len(parts) != 3:
        raise IdTokenError("not a JWT of three parts")
    header, claims = _json_object(parts[0]), _json_object(parts[1])
    if header.get("alg") != "RS256":
        raise IdTokenError(f"signed with {header.get('alg')!r}, not RS256")
    keys = [key for key in _published_keys(issuer) if key.get("kid") == header.get("kid")]
    signed = f"{parts[0]}.{parts[1]}".encode()
    if not any(_is_signature(key, signed, _decoded(parts[2])) for key in keys):
        raise IdTokenError(f"not signed by a key that {issuer} publishes")
    if claims.get("iss") != issuer:
        raise IdTokenError(f"issued by {claims.get('iss')}, not by {issuer}")
    audiences = claims.get("aud")
    if audience not in (audiences if isinstance(audiences, list) else [audiences]):
        raise IdTokenError(f"for {audiences}, not for {audience}")
    now = time.time()
    if not _seconds(claims, "nbf", 0) - _LEEWAY_SECONDS <= now:
        raise IdTokenError("not valid yet")
    if not now < _seconds(claims, "exp", 0) + _LEEWAY_SECONDS:
        raise IdTokenError("expired")
    return claims


def _seconds(claims: Mapping[str, Any], name: str, default: float) -> float:
    value = claims.get(name, default)
    if not isinstance(value, int | float):
        raise IdTokenError(f"{name} is not a number")
    return value


def _published_keys(issuer: str) -> list[dict[str, Any]]:
    """The RSA keys of an issuer, by OpenID Connect discovery."""
    try:
        with httpx2.Client(timeout=_FETCH_SECONDS, trust_env=False) as client:
            about = client.get(f"{issuer}/.well-known/openid-configuration").raise_for_status().json()
            keys = client.get(about["jwks_uri"]).raise_for_status().json()["keys"]
            return [key for key in keys if key["kty"] == "RSA"]
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError, KeyError, TypeError) as error:
        raise IdTokenError(f"the keys of {issuer} cannot be read: {error!r}") from error


def _is_signature(key: Mapping[str, Any], signed: bytes, signature: bytes) -> bool:
    """RSASSA-PKCS1-v1_5 with SHA-256, RFC 8017 section 8.2.2."""
    modulus, exponent = (int.from_bytes(_decoded(str(key[name]))) for name in ("n", "e"))
    length = (modulus.bit_length() + 7) // 8
    digest = SHA256_PREFIX + hashlib.sha256(signed).digest()
    padding = b"\xff" * (length - len(digest) - 3)
    expected = b"\x00\x01" + padding + b"\x00" + digest
    value = pow(int.from_bytes(signature), exponent, modulus)
    return len(signature) == length and value.to_bytes(length) == expected
