"""A peer in its own Python environment, as a child process that answers calls one by one."""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np


def add_peer_python(parser: argparse.ArgumentParser) -> None:
    """The argument that names the peer's interpreter."""
    parser.add_argument("--peer-python", type=_program, help="the peer's interpreter (default: this one)")


def _program(text: str) -> str:
    if shutil.which(text) is None:
        raise argparse.ArgumentTypeError(f"there is no program {text}")
    return text


class Peer:
    """One of the scripts in `peers/`, run by another interpreter; what it prints goes to a log.

    Args:
        python: the interpreter; this one when None.
        script: name of a file in `peers/`.
        work: folder for the log and for texts and vectors on their way.
    """

    def __init__(self, python: str | None, script: str, work: Path) -> None:
        self.work = work
        self._log = work / f"{Path(script).stem}.log"
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [python or sys.executable, str(Path(__file__).parent / "peers" / script)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def call(self, function: str, **given: Any) -> dict[str, Any]:
        """Have the peer do something and wait for its answer."""
        assert self._process.stdin
        assert self._process.stdout
        # When it has stopped, the missing answer says so.
        with contextlib.suppress(BrokenPipeError):
            print(json.dumps([function, given]), file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        if not answer:
            last = self._log.read_text(errors="replace").strip()[-2_000:]
            raise SystemExit(f"the peer stopped at {function!r}; the end of {self._log}:\n{last}")
        found: dict[str, Any] = json.loads(answer)
        return found

    def give(self, name: str, texts: Sequence[str]) -> str:
        """Put texts where the peer can read them."""
        path = self.work / f"{name}.json"
        path.write_text(json.dumps(list(texts)), encoding="utf-8")
        return str(path)

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: BaseException | TracebackType | None) -> None:
        assert self._process.stdin
        assert self._process.stdout
        if kind:
            self._process.kill()
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


class PeerModel:
    """A model that lives in the peer, as far as scoring needs it: one without prompts."""

    default_prompt_name = None

    def __init__(self, peer: Peer, name: str) -> None:
        self.peer = peer
        self.name = name
        self.prompts: dict[str, str] = {}

    def get_model_kwargs(self) -> list[str]:
        return []

    def encode(self, texts: Sequence[str], **_: Any) -> np.ndarray:
        file = self.peer.work / "peer_vectors.npy"
        self.peer.call("encode", name=self.name, texts=self.peer.give("peer_texts", texts), output=str(file))
        vectors: np.ndarray = np.load(file)
        return vectors

    encode_query = encode_document = encode
