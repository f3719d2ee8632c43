"""Fifty secrets and private paths, each planted somewhere else in a model folder: none of them travels.

All are drawn at run time from parts, so that no scanner takes this file for a leak.
"""

from __future__ import annotations

import base64
import gzip
import html
import json
import logging
import random
import socket
import string
import struct
import traceback
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import pytest
from dulwich.repo import Repo
from hub.model_folder import WRITE, png, safetensors, write_model
from huggingface_hub import HfApi

from hubdistill.errors import LeakError
from hubdistill.hub import push
from hubdistill.localhub.accounts import Account
from hubdistill.localhub.server import LocalHub

_random = random.Random(6)
_LETTERS = string.ascii_letters + string.digits
_HEX = "0123456789abcdef"


def drawn(length: int, alphabet: str = _LETTERS) -> str:
    """Characters drawn at random, with at least one letter and one digit."""
    return "".join(_random.choices(alphabet, k=length - 2)) + "a7"


PERSON = "mq" + drawn(5, string.ascii_lowercase).rstrip("7")
HOST = "ws-" + drawn(6, string.ascii_lowercase)


class Secret(NamedTuple):
    """What is planted, and the part of it that nobody may see again."""

    text: str
    core: str


def token(prefix: str, length: int, alphabet: str = _LETTERS) -> Secret:
    core = drawn(length, alphabet)
    return Secret(prefix + core, core)


def around(before: str, length: int, after: str = "") -> Secret:
    core = drawn(length)
    return Secret(before + core + after, core)


def path(form: str) -> Secret:
    return Secret(form.format(PERSON), PERSON)


def hugging_face() -> Secret:
    return token("hf" + "_", 34)


# How a secret is put into a file: (the file's content, the secret) -> the new content.
Planting = Callable[[bytes, str], bytes]


def end(old: bytes, secret: str) -> bytes:
    return old + f"\nsee {secret} there\n".encode()


def alone(_: bytes, secret: str) -> bytes:
    return secret.encode()


def written(form: str, disguise: Callable[[str], str] = str) -> Planting:
    """At the end, in a sentence, after a change that hides it from a plain search."""
    return lambda old, secret: old + ("\n" + form.format(disguise(secret)) + "\n").encode()


def header(old: bytes, secret: str) -> bytes:
    return old.replace(b"---\n", f"---\nnote: '{secret}'\n".encode(), 1)


def value(key: str, *, escape: bool = False) -> Planting:
    def plant(old: bytes, secret: str) -> bytes:
        text = "".join(f"\\u{ord(c):04x}" for c in secret) if escape else json.dumps(secret)[1:-1]
        return old.replace(b"{", f'{{"{key}": "{text}", '.encode(), 1)

    return plant


def as_key(old: bytes, secret: str) -> bytes:
    return old.replace(b"{", f"{{{json.dumps(secret)}: 1, ".encode(), 1)


def twice(old: bytes, secret: str) -> bytes:
    return old.replace(b"{", f'{{"a": "{secret}", "a": "", '.encode(), 1)


def metadata(_: bytes, secret: str) -> bytes:
    return safetensors({"source": json.dumps({"path": secret})})


def chunk(kind: bytes, prefix: bytes, *, deflate: bool = False) -> Planting:
    return lambda _, secret: png(
        (kind, prefix + (zlib.compress(secret.encode()) if deflate else secret.encode()))
    )


def coded(encoding: str) -> Planting:
    return lambda _, secret: f"about {secret}".encode(encoding)


def in_binary(_: bytes, secret: str) -> bytes:
    return b"\x08\x07\x72" + struct.pack("<B", len(secret)) + secret.encode() + b"\x12\x00"


def base64_text(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def invisible(text: str) -> str:
    return f"{text[:9]}\u200b{text[9:]}"


def references(text: str) -> str:
    return "".join(f"&#{ord(c)};" for c in text)


NOTE = "note"
KEY = "PRIVATE " + "KEY"
REFUSED: list[tuple[str, Secret, Planting]] = [
    # The card: sentences, comments, code, front matter, and disguises.
    ("README.md", hugging_face(), end),
    ("README.md", token("gh" + "p_", 36), written("<!-- {} -->")),
    ("README.md", token("sk-" + "ant-api03-", 90), written('```python\nlogin("{}")\n```')),
    ("README.md", hugging_face(), written("{}", lambda s: s.replace("_", r"\_"))),
    ("README.md", hugging_face(), written("{}", references)),
    ("README.md", hugging_face(), written("{}", invisible)),
    ("README.md", hugging_face(), written("{}", lambda s: f"{s[:8]}**{s[8:]}**")),
    ("README.md", hugging_face(), written("data: {}", base64_text)),
    ("README.md", hugging_face(), written("{}", lambda s: s.encode().hex())),
    ("README.md", hugging_face(), written("<https://example.org/x?next=%3Ft%3D{}>", quote)),
    ("README.md", path("/home/{}/runs"), written("<file:{}>", lambda s: quote(s, safe=""))),
    ("README.md", path(r"C:\Users\{}\runs"), written("`{}`")),
    ("README.md", path("~{}/runs"), end),
    ("README.md", path("/srv/{}"), header),
    ("README.md", path("/archive/group/{}/x"), end),
    ("README.md", around("https://nils:", 14, "@db.example.org/x"), end),
    ("README.md", around("redis://:", 14, "@cache.example.org"), end),
    ("README.md", around("https://discord.com/api/webhooks/123456789012345678/", 68), end),
    ("README.md", token("", 40, _LETTERS + "+"), end),
    ("README.md", around("machine example.org\n  login nils\n  password ", 12), end),
    ("README.md", Secret(f"-----BEGIN OPENSSH {KEY}-----", f"OPENSSH {KEY}"), end),
    # Facts: JSON values, keys and escapes; YAML values and comments; a recipe inside a report.
    ("report.json", hugging_face(), value("processor", escape=True)),
    ("report.json", path("/data/{}"), value("source")),
    ("report.json", path("teacher:\n  model: /srv/{}/teacher\n"), value("recipe")),
    ("report.json", token("gl" + "pat-", 20), as_key),
    ("report.json", Secret(HOST, HOST), value("hostname")),
    ("recipe.yaml", token("AK" + "IA", 16, string.ascii_uppercase), written("# {}", str.upper)),
    ("recipe.yaml", token("dapi", 32, _HEX), written("key: {}")),
    ("recipe.yaml", around("WANDB_API_KEY: ", 40), end),
    ("recipe.yaml", hugging_face(), written("bytes: !!binary {}", base64_text)),
    (".eval_results/mteb.yaml", path("/mnt/{}/results"), written("source: {}")),
    # Configurations and the tokenizer, its vocabulary as well.
    ("config.json", path("runs/{}/student"), value("_name_or_path")),
    ("config.json", hugging_face(), twice),
    ("config.json", path("/srv/{}"), as_key),
    ("sentence_bert_config.json", path("../{}/x"), value("tokenizer_name_or_path")),
    ("modules.json", token("gs" + "k_", 52), value(NOTE)),
    ("1_Pooling/config.json", token("xox" + "b-", 30), value(NOTE)),
    ("tokenizer_config.json", path("/Users/{}/x"), value("vocab_file")),
    ("tokenizer.json", path("/home/{}/corpus.txt"), value(NOTE)),
    ("vocab.txt", token("SG." + drawn(22) + ".", 43), end),
    ("merges.txt", path("#version: 0.2, trained on /scratch/{}/x"), alone),
    ("chat_template.jinja", token("github" + "_pat_", 60), written("{{# {} #}}")),
    # Weights, exports and pictures.
    ("model.safetensors", path("/srv/{}/x"), metadata),
    ("onnx/model.onnx", path("/home/{}/export.py"), in_binary),
    ("openvino/openvino_model.xml", path("/srv/{}"), written('<net><a value="{}"/></net>')),
    ("figures/quality.png", hugging_face(), chunk(b"zTXt", b"Comment\0\0", deflate=True)),
    ("figures/quality.png", path("/home/{}/x"), chunk(b"prVt", b"")),
    ("figures/quality.png", hugging_face(), lambda old, secret: old + gzip.compress(secret.encode())),
    # The licence, in other encodings.
    ("LICENSE", hugging_face(), coded("utf-16-be")),
    ("NOTICE", hugging_face(), lambda _, secret: gzip.compress(secret.encode())),
]
LEFT_BEHIND = (
    *(".env", ".netrc", "training_args.bin", "optimizer.pt", "scheduler.pt", "checkpoint-9/config.json"),
    *(
        "pytorch_model.bin",
        "extra.pkl",
        "run.log",
        "train.py",
        "LICENSE.pkl",
        "runs/9/events.out",
        "1_Pooling/.key",
    ),
)


@pytest.fixture(autouse=True)
def _somebody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let somebody with a name be at work, on a machine with a name."""
    monkeypatch.setenv("USER", PERSON)
    monkeypatch.setattr(socket, "gethostname", lambda: HOST)


@pytest.fixture(scope="module")
def own_hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalHub]:
    with LocalHub(tmp_path_factory.mktemp("planted"), tokens={WRITE: Account("demo")}) as running:
        yield running


def everything_stored(folder: Path) -> bytes:
    """All that the Hub wrote: its files, and its git objects as git reads them."""
    stored = [file.read_bytes() for file in folder.rglob("*") if file.is_file()]
    for repository in folder.glob("models/*/*.git"):
        with Repo(str(repository)) as repo:
            stored += [repo.object_store[oid].as_raw_string() for oid in repo.object_store]
    return b"\n".join(stored)


def test_fifty_planted_secrets_stay_at_home(
    tmp_path: Path, own_hub: LocalHub, caplog: pytest.LogCaptureFixture
) -> None:
    assert len(REFUSED) == 50
    caplog.set_level(logging.DEBUG)
    folder = write_model(tmp_path / "student")
    said: list[str] = []
    wrong: list[str] = []
    for number, (name, secret, plant) in enumerate(REFUSED):
        file = folder / name
        before = file.read_bytes() if file.exists() else None
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(plant(before or b"", secret.text))
        try:
            push(
                folder,
                f"demo/{number}",
                token=WRITE,
                endpoint=own_hub.endpoint,
                progress=said.append,
                load_back=False,
            )
            wrong.append(f"{number}: {name} was pushed")
        except LeakError as refused:
            said.append("".join(traceback.format_exception(refused)))
            if f"\n  {name}\n" not in str(refused):
                wrong.append(f"{number}: refused, but without the name of {name}")
        if before is None:
            file.unlink()
        else:
            file.write_bytes(before)
    assert wrong == []
    assert list(HfApi(endpoint=own_hub.endpoint, token=WRITE).list_models()) == []

    left = {name: hugging_face() for name in LEFT_BEHIND}
    named = hugging_face()
    for name, secret in {**left, f"{named.text}.txt": named}.items():
        (folder / name).parent.mkdir(exist_ok=True, parents=True)
        (folder / name).write_text(secret.text)
    outcome = push(
        folder, "demo/clean", token=WRITE, endpoint=own_hub.endpoint, progress=said.append, load_back=False
    )
    assert outcome.commit
    assert len(outcome.left_out) == len(LEFT_BEHIND) + 1
    said += [
        json.dumps(outcome.to_dict()),
        str(outcome),
        *(str(record.__dict__) for record in caplog.records),
    ]

    told = "\n".join(said)
    stored = everything_stored(own_hub.folder)
    assert b"A small model." in stored
    for number, secret in enumerate((*(secret for _, secret, _ in REFUSED), *left.values(), named)):
        assert secret.core not in told, f"{number} was told"
        for form in (
            secret.core,
            base64_text(secret.core),
            secret.core.encode().hex(),
            html.escape(secret.core),
        ):
            assert form.encode() not in stored, f"{number} was stored"


def test_the_same_folder_without_them_is_published(tmp_path: Path, own_hub: LocalHub) -> None:
    outcome = push(
        write_model(tmp_path / "student"),
        "demo/bare",
        token=WRITE,
        endpoint=own_hub.endpoint,
        load_back=False,
    )
    assert outcome.commit
    assert outcome.left_out == ()
