"""The rules: what each finds, and what it must leave alone. All secrets are made up here, at run time."""

from __future__ import annotations

import random
import socket
import string
from pathlib import Path

import pytest
from hub.model_folder import png, safetensors

from hubdistill.errors import PublishError
from hubdistill.hub.files import select
from hubdistill.hub.leaks import Known, scan
from hubdistill.hub.local import read_files
from hubdistill.hub.machine import own_names
from hubdistill.private_text import find_secrets, mask

_random = random.Random(3)
_HEX = "0123456789abcdef"


def drawn(n: int, alphabet: str = string.ascii_letters + string.digits) -> str:
    return "".join(_random.choices(alphabet, k=n - 4)) + "aZ7b"


def hexadecimal(n: int) -> str:
    return "".join(_random.choices(_HEX, k=n - 2)) + "a7"


TOKENS = {
    "OpenRouter": "sk-" + "or-v1-" + hexadecimal(64),
    "Groq": "gs" + "k_" + drawn(52),
    "xAI": "xa" + "i-" + drawn(80),
    "Perplexity": "pp" + "lx-" + drawn(48),
    "Replicate": "r8" + "_" + drawn(37),
    "Fireworks": "fw" + "_" + drawn(24),
    "Jina": "ji" + "na_" + drawn(60),
    "NVIDIA": "nv" + "api-" + drawn(64),
    "W&B": "wandb" + "_v1_" + drawn(77),
    "LangSmith": "lsv2" + "_pt_" + hexadecimal(32) + "_" + hexadecimal(10),
    "Pinecone": "pc" + "sk_" + drawn(70),
    "Databricks": "da" + "pi" + hexadecimal(32),
    "DigitalOcean": "dop" + "_v1_" + hexadecimal(64),
    "Docker": "dckr" + "_pat_" + drawn(27),
    "Vault": "hv" + "s." + drawn(90),
    "Grafana": "gl" + "sa_" + drawn(32) + "_" + hexadecimal(8),
    "SendGrid": "S" + "G." + drawn(22) + "." + drawn(43),
    "Mailgun": "ke" + "y-" + hexadecimal(32),
    "Twilio": "S" + "K" + hexadecimal(32),
    "Linear": "lin" + "_api_" + drawn(40),
    "Notion": "nt" + "n_" + drawn(46),
    "Shopify": "shp" + "at_" + hexadecimal(32),
    "Doppler": "dp" + ".pt." + drawn(43),
    "New Relic": "NR" + "AK-" + drawn(27).upper(),
    "Telegram": "1234567890" + ":AA" + drawn(33),
    "Azure": drawn(4)[:3] + "8Q" + "~" + drawn(34),
    "age": "AGE-SECRET" + "-KEY-1" + drawn(58).upper(),
    "Discord": "https://discord.com/api/webhooks/123456789012345678/" + drawn(68),
    "AWS secret without a name": drawn(40),
    "with slashes": drawn(20) + "/" + drawn(19),
}
CONTEXTS = {
    "storage account": "AccountName=x;AccountKey=" + drawn(86) + "==;EndpointSuffix=core.example.net",
    "signed URL": "https://x.blob.example.net/c/b?sv=2022&sig=" + drawn(43) + "%3D",
    "token as user": "https://" + drawn(40) + "@git.example.org/a/b",
    "password without a user": "redis://:" + drawn(16) + "@cache:6379/0",
    "netrc": "machine example.org\nlogin nils\npassword " + drawn(9),
    "curl": "curl -u nils:" + drawn(14) + " https://example.org",
    "environment variable": "export MY_SERVICE_KEY=" + drawn(24),
    "personal access token": "AZURE_PAT=" + drawn(52).lower(),
    "service account": '"private_key_id": "' + hexadecimal(40) + '"',
    "plain key": '{"username": "nils", "key": "' + hexadecimal(32) + '"}',
    "call": 'wandb.login(key="' + hexadecimal(40) + '")',
    "header": '-H "X-API-Key: ' + drawn(20) + '"',
}
PATHS = {
    "server": r"\\files\share\nils",
    "server, escaped": r"\\\\files\\share\\nils",
    "home of another": "~nils/models",
    "homes": "/homes/nils/x",
    "on a second disk": "/home2/nils/x",
    "export": "/export/home/nils/x",
    "Git Bash": "/c/Users/nils/x",
    "Hadoop": "hdfs://namenode:8020/user/nils/x",
    "Databricks": "dbfs:/users/nils",
    "ssh": "ssh://nils@gpu01.example.org/x",
    "scp": "nils@gpu01.example.org:/x",
    "network storage": "/fsx/nils/x",
}


@pytest.mark.parametrize(
    "text", [*TOKENS.values(), *CONTEXTS.values(), *PATHS.values()], ids=[*TOKENS, *CONTEXTS, *PATHS]
)
@pytest.mark.parametrize("sentence", ["{}", "We used {} for it.", "x\n  '{}'\ny"])
def test_every_kind_is_found(text: str, sentence: str) -> None:
    assert list(find_secrets(sentence.format(text)))


@pytest.mark.parametrize(
    "innocent",
    [
        "https://docs.google.com/document/d/1BxiMVs0XRA5nFMdKvBdBZjgmUUqptlbs74OgvE2upms/edit",
        "Qwen3-Embedding-0.6B-GGUF-Q4_K_M-IQ3XXS-int8-f16 and mxbai-embed-xsmall-v1-ONNX-Q8-int8-2025",
        "MultipleNegativesRankingLossWithMatryoshka2dLayers and BertForSequenceClassificationV2Config",
        "integrity=sha384-" + drawn(64),
        "![plot](data:image/png;base64," + drawn(200) + ")",
        "ssh-ed25519 " + drawn(68),
        "sha256:" + hexadecimal(64) + " at revision " + hexadecimal(40),
        "keywords: sentence-similarity, monkey: banana123456789012, sort_key: abc123def456ghi789jkl012",
        "the pattern: x1y2z3a4b5c6d7e8, a path: models/v1.0/embedding-2024",
        "login or password, default login page; the machine login is shown",
        r"\begin{tabular} a \\ \hline b \\textbf{c} \\hline\multicolumn{2}{c}{x}",
        "git clone ssh://git@github.com/a/b and git@github.com:a/b.git, mail nils@example.org: see below",
        "s3://commoncrawl/crawl-data/x, gs://public/models, ~50/50, about ~/.cache/huggingface",
        "curl -u user:password https://x and curl -s https://example.org -o x:y",
        "http://localhost:6333, /docs/a/b, 1234567890:ABC",
        "SKILL, dapifer, ski-area, key-value, pa-rt, fw_cfg, r8_uint",
    ],
)
def test_what_is_innocent_is_left_alone(innocent: str) -> None:
    assert list(find_secrets(innocent)) == []


def test_words_drawn_at_random_are_told_from_names() -> None:
    found = sum(bool(list(find_secrets(f"it is {drawn(40)} so"))) for _ in range(200))
    assert found >= 196


@pytest.mark.parametrize("secret", [*TOKENS.values(), *CONTEXTS.values()])
def test_mask_shows_little_of_any_secret(secret: str) -> None:
    hits = list(find_secrets(secret))
    assert hits
    for hit in hits:
        shown = mask(hit.text).partition("…")[0]
        assert len(shown) <= 4 or shown.endswith("/")
        assert len(shown) < len(hit.text) / 3


def test_mask_of_a_secret_with_slashes_is_no_path() -> None:
    assert mask("wJalr/XUtnFEMI/K7MDENG") == "wJal… (22 characters)"
    assert mask("~nils/x") == "~…"
    assert mask("secret12") == "se… (8 characters)"


def test_names_of_this_machine_count_in_paths_and_fields_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USER", "reimersn")
    monkeypatch.setattr(socket, "gethostname", lambda: "gpu-17")
    monkeypatch.setattr(Path, "home", lambda: Path("/archive/people/reimersn"))
    known = Known.of()
    assert {"reimersn", "gpu-17"} <= known.names

    def kinds(text: str) -> set[str]:
        return {leak.kind for leak in scan("config.json", "config", text.encode(), known=known)}

    assert kinds('{"note": "in /archive/shared/reimersn/x"}')
    assert kinds('{"note": "see /archive/people/reimersn now"}') == {"folder of this machine"}
    assert kinds('{"hostname": "gpu-17"}') == {"name of this machine or its user"}
    assert (
        kinds('{"author": "reimersn", "model": "reimersn/student", "url": "https://x.org/a/reimersn/y"}')
        == set()
    )
    assert list(scan("vocab.txt", "tokenizer", b"reimersn\ngpu-17\n", known=known)) == []
    assert list(scan("vocab.txt", "tokenizer", b"/archive/people/reimersn\n", known=known))


def test_names_that_say_nothing_are_not_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("USER", "LOGNAME", "USERNAME", "SUDO_USER"):
        monkeypatch.setenv(name, "runner")
    monkeypatch.setattr(socket, "gethostname", lambda: "localhost")
    monkeypatch.setattr(Path, "home", lambda: Path("/root"))
    assert own_names() == frozenset()


@pytest.mark.parametrize("file", ["tokenizer.json", "vocab.json"])
def test_escaped_token_in_a_vocabulary_is_found(file: str) -> None:
    token = "hf" + "_" + drawn(34)
    escaped = "".join(f"\\u{ord(c):04x}" for c in token)
    content = f'{{"model": {{"vocab": {{"{escaped}": 0, "/home/nils/x": 1}}}}}}'.encode()
    assert [leak.kind for leak in scan(file, "tokenizer", content)] == ["Hugging Face token"]


def test_token_across_the_chunks_of_a_large_file_is_found(model: Path) -> None:
    (model / "onnx").mkdir()
    token = "hf" + "_" + drawn(34)
    (model / "onnx/model.onnx").write_bytes(b"\0" * ((1 << 22) - 9) + token.encode() + b"\0" * 9)
    with pytest.raises(PublishError, match=r"onnx/model\.onnx"):
        read_files(select(model))


@pytest.mark.parametrize("gap", ["between", "after"])
def test_weights_hide_nothing_between_or_after_their_tensors(model: Path, gap: str) -> None:
    whole = safetensors()
    hidden = whole + b"hidden bytes" if gap == "after" else whole.replace(b"[0, 16]", b"[4, 16]")
    (model / "model.safetensors").write_bytes(hidden)
    with pytest.raises(PublishError, match="is not a safetensors file"):
        read_files(select(model))


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"GIF89a", "not a PNG"),
        (png() + png(), "data after the end of the picture"),
        (png((b"IDAT", b"x\x9cc`\0\0\0\2\0\1tail")), "data after the end of the picture"),
    ],
)
def test_pictures_that_cannot_be_looked_into_are_refused(content: bytes, kind: str) -> None:
    (leak,) = scan("figures/x.png", "figure", content)
    assert kind in leak.kind
    assert str(leak).endswith("; save the picture again, without what was added to it")


def test_yaml_that_turns_in_circles_ends() -> None:
    assert list(scan("recipe.yaml", "facts", b"a: &a [*a, *a]\nb: &b {c: *b}\n")) == []
