"""A model folder with everything but weights worth the name."""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from pathlib import Path
from typing import Any

from basic_report import basic_report

from hubdistill import hub
from hubdistill.hub import PushOutcome
from hubdistill.report import DistillationReport

WRITE, READ, STRANGER = "hf_demo", "hf_demo_reads", "hf_stranger"
CARD = """---
license: apache-2.0
library_name: sentence-transformers
pipeline_tag: sentence-similarity
---
# Student

A small model.

## Notes

<!-- hubdistill:keep notes -->
<!-- /hubdistill:keep -->
"""


def push(folder: Path, repo_id: str, **options: Any) -> PushOutcome:
    """Push a folder whose weights are not worth the name, and so cannot be loaded back."""
    return hub.push(folder, repo_id, **{"load_back": False, **options})


def safetensors(metadata: dict[str, str] | None = None, fill: int = 0) -> bytes:
    """A safetensors file with one tensor of four floats."""
    header: dict[str, object] = {"weight": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}
    header["__metadata__"] = {"format": "pt", **(metadata or {})}
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes([fill]) * 16


def report_of(weights: bytes) -> DistillationReport:
    """The sample report, of a student with these weights."""
    report = basic_report()
    revision = f"sha256:{hashlib.sha256(weights).hexdigest()}"
    student = report.models[report.student].model_copy(update={"revision": revision})
    return report.model_copy(update={"models": {**report.models, report.student: student}})


REPORT = report_of(safetensors())


def png(*chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of one grey pixel, with further chunks before its data."""
    pixel = (b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    parts = [pixel, *chunks, (b"IDAT", zlib.compress(b"\0\x80")), (b"IEND", b"")]
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + body


def write_model(folder: Path, *, fill: int = 0) -> Path:
    """A folder as sentence-transformers and hubdistill leave it."""
    modules = [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    ]
    files: dict[str, str | bytes] = {
        "modules.json": json.dumps(modules, indent=2),
        "config.json": json.dumps({"model_type": "bert", "_name_or_path": "demo/teacher"}, indent=2),
        "config_sentence_transformers.json": json.dumps({"similarity_fn_name": "cosine"}),
        "sentence_bert_config.json": json.dumps({"max_seq_length": 128}),
        "tokenizer.json": json.dumps({"model": {"vocab": {"[PAD]": 0, "hello": 1}}}),
        "tokenizer_config.json": json.dumps({"pad_token": "[PAD]", "unk_token": "<|endoftext|>"}),
        "vocab.txt": "[PAD]\nhello\n",
        "model.safetensors": safetensors(fill=fill),
        "1_Pooling/config.json": json.dumps({"pooling_mode": "mean"}),
        "README.md": CARD,
        "report.json": report_of(safetensors(fill=fill)).model_dump_json(),
        "recipe.yaml": "name: demo\nteacher:\n  model: demo/teacher\n",
        "figures/quality.png": png((b"tEXt", b"Software\0Matplotlib version 3.11")),
    }
    for path, content in files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder
