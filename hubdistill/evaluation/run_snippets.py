"""A process of its own that runs a card's snippets and compares their vectors.

`quick_start.py` runs this file by its path, from an empty folder. The wishes come on stdin and the answers,
the last line, go to stdout, both as JSON.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import traceback
from pathlib import Path
from typing import Any, TypedDict

LONGEST = 512
"""Snippets that cut texts at more tokens than this are compared with texts cut here, to save the time."""


class Wish(TypedDict):
    """One model's snippets."""

    quick_start: str
    plain: str | None
    """A snippet without sentence-transformers, which defines `embed(texts)`."""
    max_length: int | None
    """At which that snippet cuts texts."""
    prompt: str | None
    """Put before every text by that snippet; the model's own default prompt when None."""


class Answer(TypedDict):
    """What became of them."""

    output: str
    """What the quick start printed."""
    difference: float | None
    """The largest one between vectors of the plain snippet and of sentence-transformers; None where there is
    no such snippet, or where it fails."""
    texts: int
    """That were compared."""
    problem: str | None
    """Why the plain snippet fails."""


def run(wish: Wish) -> Answer:
    """Run the quick start; then compare the model that it loaded with the plain snippet."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        names = execute(wish["quick_start"])
    answer: Answer = {"output": printed.getvalue(), "difference": None, "texts": 0, "problem": None}
    if wish["plain"] is not None:
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                answer["difference"], answer["texts"] = compare(names["model"], names["sentences"], wish)
        except Exception as error:  # noqa: BLE001 - the snippet's own, whatever it is
            answer["problem"] = f"{type(error).__name__}: {error}"
    return answer


def execute(code: str) -> dict[str, Any]:
    """Run a snippet as a user would, and return its names."""
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(code, "snippet", "exec"), names)
    return names


def compare(model: Any, sentences: list[str], wish: Wish) -> tuple[float, int]:
    """The largest difference of the vectors of several texts, in float32 on the CPU, and how many there were.

    The texts are of different lengths; the last one is cut.
    """
    import huggingface_hub
    import numpy as np

    # The snippet asks for files of a repository; here it is a folder.
    vars(huggingface_hub)["hf_hub_download"] = lambda folder, name: str(Path(folder, name))
    code, limit = str(wish["plain"]), wish["max_length"]
    if limit is not None and limit > LONGEST:
        code = code.replace(f"max_length={limit}", f"max_length={LONGEST}")
        limit = model.max_seq_length = LONGEST
    embed = execute(code)["embed"]
    model.to("cpu").float()
    whole = " ".join(sentences)
    long = whole
    while limit is not None and len(model.tokenizer(long)["input_ids"]) <= limit:
        long += f" {long}"
    differences = []
    for texts in ([*sentences, sentences[0].split()[0], whole], [long]):
        ours = np.asarray(embed(texts), np.float32)
        theirs = model.encode(texts, prompt=wish["prompt"])
        if ours.shape != theirs.shape:
            raise ValueError(f"its vectors are of shape {ours.shape}, not {theirs.shape}")
        differences.append(float(np.abs(ours - theirs).max()))
    return max(differences), len(sentences) + 3


def main() -> None:
    """Read the wishes; print the answers, up to the first quick start that fails."""
    answers = []
    for wish in json.load(sys.stdin):
        try:
            answers.append(run(wish))
        except Exception:  # noqa: BLE001 - the parent reads it
            traceback.print_exc()
            break
    print("\n" + json.dumps(answers))


if __name__ == "__main__":
    main()
