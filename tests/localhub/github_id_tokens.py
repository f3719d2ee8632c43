"""A stand-in for GitHub's issuer of id tokens: what a job with `id-token: write` finds in its environment."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from hubdistill.localhub.id_tokens import SHA256_PREFIX

_EXPONENT = 65537


def _is_prime(number: int) -> bool:
    """Miller and Rabin's test."""
    if any(number % small == 0 for small in (2, 3, 5, 7, 11, 13, 17, 19, 23, 29)):
        return False
    odd, twos = number - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    for _ in range(20):
        power = pow(secrets.randbelow(number - 3) + 2, odd, number)
        if power in (1, number - 1):
            continue
        for _ in range(twos - 1):
            power = power * power % number
            if power == number - 1:
                break
        else:
            return False
    return True


def _prime(bits: int) -> int:
    while True:
        # The two highest bits, so that a product of two has twice the bits; odd.
        number = secrets.randbits(bits) | 3 << (bits - 2) | 1
        if (number - 1) % _EXPONENT and _is_prime(number):
            return number


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class SigningKey:
    """An RSA key. Of 1024 bits: enough for a test, and made in a moment."""

    def __init__(self, bits: int = 1024) -> None:
        p, q = _prime(bits // 2), _prime(bits // 2)
        self._modulus = p * q
        self._secret = pow(_EXPONENT, -1, (p - 1) * (q - 1))
        self._bytes = bits // 8
        self.public = {
            "kty": "RSA",
            "alg": "RS256",
            "use": "sig",
            "kid": secrets.token_hex(8),
            "n": _base64url(self._modulus.to_bytes(self._bytes)),
            "e": _base64url(_EXPONENT.to_bytes(3)),
        }

    def sign(self, claims: dict[str, Any], **header: object) -> str:
        """Make a JWT."""
        parts = ({"typ": "JWT", "alg": "RS256", "kid": self.public["kid"], **header}, claims)
        signed = ".".join(_base64url(json.dumps(part).encode()) for part in parts)
        digest = SHA256_PREFIX + hashlib.sha256(signed.encode()).digest()
        padded = b"\x00\x01" + b"\xff" * (self._bytes - len(digest) - 3) + b"\x00" + digest
        signature = pow(int.from_bytes(padded), self._secret, self._modulus)
        return f"{signed}.{_base64url(signature.to_bytes(self._bytes))}"


class GitHubIdTokens:
    """Serve id tokens of one job on loopback, and the keys that they are signed with.

    Args:
        repository: owner/name of the repository that the workflow belongs to.
        workflow: file name of the workflow.
        branch: the branch it runs on.
        environment: the environment of the job.

    Example:
        >>> with GitHubIdTokens("me/code", "publish.yml") as github, LocalHub("hub") as hub:
        ...     hub.trust("demo/student", repository="me/code", issuer=github.issuer)
        ...     subprocess.run(..., env={**github.environment, "HF_OIDC_RESOURCE": "demo/student"})
    """

    def __init__(
        self,
        repository: str = "me/code",
        workflow: str = "publish.yml",
        *,
        branch: str = "main",
        environment: str | None = None,
    ) -> None:
        self.key = SigningKey()
        self.claims: dict[str, Any] = {
            "sub": f"repo:{repository}:ref:refs/heads/{branch}",
            "repository": repository,
            "repository_owner": repository.partition("/")[0],
            "ref": f"refs/heads/{branch}",
            "workflow": "Publish",
            "workflow_ref": f"{repository}/.github/workflows/{workflow}@refs/heads/{branch}",
            "event_name": "push",
        }
        if environment is not None:
            self.claims |= {"environment": environment, "sub": f"repo:{repository}:environment:{environment}"}
        self._request_token = secrets.token_urlsafe(16)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.issuer = f"http://127.0.0.1:{self._server.server_port}"

    @property
    def environment(self) -> dict[str, str]:
        """The variables that GitHub sets in a job with `id-token: write`."""
        return {
            "GITHUB_ACTIONS": "true",
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"{self.issuer}/idtoken?api-version=2.0",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": self._request_token,
        }

    def mint(self, audience: str, key: SigningKey | None = None, **claims: object) -> str:
        """Sign an id token of the job.

        Args:
            audience: whom it is for.
            key: signs in place of the issuer's own.
            claims: replace what it states.
        """
        now = int(time.time())
        stated = {
            "iss": self.issuer,
            "aud": audience,
            "iat": now,
            "nbf": now,
            "exp": now + 300,
            "jti": secrets.token_hex(8),
            **self.claims,
            **claims,
        }
        return (key or self.key).sign(stated)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        github = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, body = github._answer(self.path, self.headers.get("Authorization", ""))
                data = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: object) -> None:
                pass

        return Handler

    def _answer(self, target: str, authorization: str) -> tuple[int, dict[str, Any]]:
        url = urlsplit(target)
        if url.path == "/.well-known/openid-configuration":
            return 200, {"issuer": self.issuer, "jwks_uri": f"{self.issuer}/.well-known/jwks"}
        if url.path == "/.well-known/jwks":
            return 200, {"keys": [self.key.public]}
        if url.path != "/idtoken":
            return 404, {"message": "not found"}
        if authorization.lower() != f"bearer {self._request_token}".lower():
            return 401, {"message": "wrong request token"}
        audience = parse_qs(url.query).get("audience", ["https://github.com/me"])[0]
        return 200, {"value": self.mint(audience)}

    def __enter__(self) -> Self:
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        ).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
