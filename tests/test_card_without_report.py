"""Cards of models that hubdistill did not make: from the files alone, and from a report that lies elsewhere.

After a wanted change write the golden card anew and read the difference:

HUBDISTILL_UPDATE_GOLDEN=1 pytest tests/test_card_without_report.py
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file
from sample_report import compared_report, static_report

from hubdistill.card import write_card
from hubdistill.card.keep import kept_sections
from hubdistill.card.metadata import read_metadata
from hubdistill.card.model_folder import read_folder
from hubdistill.card.text import outside_fences
from hubdistill.card.without_report import write_card_without_report
from hubdistill.errors import CardError, ReportError, TeacherError
from hubdistill.figures import planned_figures
from hubdistill.preview.problems import card_problems
from hubdistill.report import DistillationReport, load_report

GOLDEN = Path(__file__).parent / "golden" / "foreign.md"
ENCODER = "sentence_transformers.models.Transformer"
README = """\
---
license: mit
language: "no"  # Bokmål
base_model: org/large
tags: [mine]
---
# Somebody's model

Words that nobody may lose.
"""


def write_json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")


@pytest.fixture
def encoder(tmp_path: Path) -> Path:
    """A BERT as an early sentence-transformers saved it."""
    folder = tmp_path / "somebody-s-model"
    write_json(
        folder / "modules.json",
        [
            {"path": "", "type": ENCODER},
            {"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
            {"path": "2_Dense", "type": "sentence_transformers.models.Dense"},
            {"path": "3_Normalize", "type": "sentence_transformers.models.Normalize"},
        ],
    )
    write_json(
        folder / "config.json",
        {
            "model_type": "bert",
            "num_hidden_layers": 3,
            "hidden_size": 8,
            "num_attention_heads": 2,
            "intermediate_size": 16,
            "vocab_size": 50,
            "max_position_embeddings": 64,
        },
    )
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": 32, "do_lower_case": False})
    pooling = {
        "word_embedding_dimension": 8,
        "pooling_mode_cls_token": True,
        "pooling_mode_mean_tokens": True,
    }
    write_json(folder / "1_Pooling" / "config.json", pooling)
    write_json(folder / "2_Dense" / "config.json", {"in_features": 16, "out_features": 4})
    said = {
        "__version__": {"sentence_transformers": "2.2.2", "transformers": "4.30.0"},
        "prompts": {"query": "query: | ", "document": ""},
    }
    write_json(folder / "config_sentence_transformers.json", said)
    tensors = {
        "embeddings.word_embeddings.weight": np.zeros((50, 8), np.float16),
        "embeddings.position_ids": np.zeros((1, 64), np.int64),
        "encoder.weight": np.zeros((3, 100), np.float16),
    }
    save_file(tensors, folder / "model.safetensors")
    save_file({"linear.weight": np.zeros((4, 16), np.float32)}, folder / "2_Dense" / "model.safetensors")
    return folder


@pytest.fixture
def static(tmp_path: Path) -> Path:
    """A static model."""
    folder = tmp_path / "static"
    place = "sentence_transformers.sentence_transformer.modules.static_embedding.StaticEmbedding"
    write_json(folder / "modules.json", [{"path": "", "type": place}])
    write_json(folder / "config_sentence_transformers.json", {"similarity_fn_name": "dot"})
    save_file({"embedding.weight": np.zeros((70, 6), np.float32)}, folder / "model.safetensors")
    return folder


def test_card_from_files_alone_is_as_reviewed(encoder: Path) -> None:
    (encoder / "README.md").write_text(README, encoding="utf-8")
    made = write_card_without_report(encoder, repo_id="example/small", force=True)
    card = made.path.read_text(encoding="utf-8")
    if os.environ.get("HUBDISTILL_UPDATE_GOLDEN"):
        GOLDEN.write_text(card, encoding="utf-8", newline="\n")
    assert card == GOLDEN.read_text(encoding="utf-8")


def test_facts_are_those_of_the_files(encoder: Path) -> None:
    facts = read_folder(encoder)
    assert (facts.layers, facts.hidden_size, facts.attention_heads, facts.feed_forward) == (3, 8, 2, 16)
    assert (facts.vocabulary, facts.positions, facts.max_length) == (50, 64, 32)
    assert (facts.pooling, facts.normalized, facts.dimensions) == ("cls, mean", True, 4)
    assert facts.parameters == 50 * 8 + 300 + 64
    assert facts.dtype == "float16"
    assert facts.prompts == (("query", "query: | "),)


def test_facts_are_those_of_the_loaded_model(tiny_teacher_folder: Path) -> None:
    from hubdistill.evaluation.architecture import describe_architecture
    from hubdistill.models import load_model, locate

    loaded = describe_architecture(load_model(locate(str(tiny_teacher_folder)), device="cpu"))
    read = read_folder(tiny_teacher_folder)
    for name in ("kind", "family", "layers", "hidden_size", "attention_heads", "feed_forward", "vocabulary",
                 "positions", "max_length", "dimensions", "pooling", "normalized", "similarity",
                 "parameters"):  # fmt: skip
        assert getattr(read, name) == getattr(loaded, name), name


def test_static_model_has_no_layers_and_no_maximum(static: Path) -> None:
    made = write_card_without_report(static)
    card = made.path.read_text(encoding="utf-8")
    assert "**static** is a static embedding model that maps texts to vectors of 6 dimensions." in card
    assert "| Vocabulary | 70 |" in card
    assert "**Similarity function:** dot" in card
    assert "Layers" not in card
    assert "Maximum length" not in card


def test_what_is_missing_is_listed_with_what_mends_it(static: Path) -> None:
    missing = write_card_without_report(static).missing
    assert missing[0] == "metadata: license: missing; set `license` in the front matter of README.md"
    assert "`language`" in missing[1]
    assert missing[-1].startswith(
        f"quality, agreement and speed: hubdistill evaluate {static} --teacher MODEL"
    )
    seen = [problem.text for problem in card_problems(static) if "More Information Needed" in problem.text]
    assert len(seen) > 4


def test_unsaid_facts_are_placeholders(encoder: Path) -> None:
    (encoder / "model.safetensors").unlink()
    (encoder / "2_Dense" / "model.safetensors").unlink()
    (encoder / "1_Pooling" / "config.json").unlink()
    made = write_card_without_report(encoder)
    assert "not said by the model's files: Pooling, Parameters, Precision" in made.missing
    assert "| Parameters | **[More Information Needed]** |" in made.path.read_text(encoding="utf-8")


def test_plain_encoder_has_no_snippet(encoder: Path) -> None:
    (encoder / "modules.json").unlink()
    card = write_card_without_report(encoder).path.read_text(encoding="utf-8")
    assert "```python" not in card
    assert "its pooling is unknown" in card


def test_own_code_is_said(encoder: Path) -> None:
    config = json.loads((encoder / "config.json").read_text()) | {"auto_map": {"AutoModel": "code.Model"}}
    write_json(encoder / "config.json", config)
    card = write_card_without_report(encoder).path.read_text(encoding="utf-8")
    assert "trust_remote_code=True" in card
    assert "it runs code of its own" in card


def test_readme_of_somebody_else_is_not_replaced_without_being_asked(
    encoder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    readme = encoder / "README.md"
    readme.write_text(README, encoding="utf-8")
    with pytest.raises(CardError, match=r"README\.md in .*--force.*README\.old-1\.md"):
        write_card_without_report(encoder)
    assert readme.read_text(encoding="utf-8") == README
    with caplog.at_level(logging.WARNING):
        write_card_without_report(encoder, force=True)
    assert "kept as README.old-1.md" in caplog.text
    assert (encoder / "README.old-1.md").read_text(encoding="utf-8") == README
    # Ours is replaced without asking, and the first copy stays.
    write_card_without_report(encoder)
    assert not (encoder / "README.old-2.md").exists()


def test_front_matter_stays_as_its_owner_wrote_it(encoder: Path) -> None:
    (encoder / "README.md").write_text(README, encoding="utf-8")
    card = write_card_without_report(encoder, force=True).path.read_text(encoding="utf-8")
    assert card.startswith(README.split("---\n# ")[0])
    metadata, _ = read_metadata(card)
    assert metadata == {
        "license": "mit",
        "language": "no",
        "base_model": "org/large",
        "tags": ["mine"],
        "library_name": "sentence-transformers",
        "pipeline_tag": "sentence-similarity",
    }
    assert "**Base model:** [org/large](https://huggingface.co/org/large)" in card
    assert "**Languages:** Norwegian" in card


def test_owner_s_words_stay_and_are_no_longer_missing(encoder: Path) -> None:
    first = write_card_without_report(encoder)
    empty = "<!-- hubdistill:keep limitations -->\n<!-- /hubdistill:keep -->"
    mine = "<!-- hubdistill:keep limitations -->\nFails on verse.\n<!-- /hubdistill:keep -->"
    first.path.write_text(first.path.read_text(encoding="utf-8").replace(empty, mine), encoding="utf-8")
    second = write_card_without_report(encoder)
    card = second.path.read_text(encoding="utf-8")
    assert mine in card
    assert "where the model fails" not in card
    assert len(second.missing) == len(first.missing) - 1
    written = second.path.read_bytes()
    assert write_card_without_report(encoder).path.read_bytes() == written


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cards name their figures without waiting for them to be drawn."""
    monkeypatch.setattr(
        "hubdistill.card.draw_figures", lambda report, _, names, **how: planned_figures(report, names)
    )


@pytest.mark.usefixtures("undrawn")
def test_kept_words_find_their_places_on_the_whole_card(static: Path) -> None:
    card = write_card_without_report(static).path
    text = card.read_text(encoding="utf-8")
    for section in kept_sections(text):
        text = text.replace(section.text, section.text.replace("\n", f"\nOn {section.name}.\n", 1))
    card.write_text(text, encoding="utf-8")
    whole = write_card(static, report_file=report_of(static)).read_text(encoding="utf-8")
    for section in kept_sections(text):
        assert section.text in whole
    assert "On training." in whole.split("## Training")[1].split("\n## ")[0]


@pytest.mark.parametrize(
    ("file", "content", "named"),
    [
        ("modules.json", "{", "modules.json"),
        ("config.json", "\xff", "config.json"),
        ("model.safetensors", "not tensors", "model.safetensors"),
        ("modules.json", '[{"path": "../..", "type": "a.Transformer"}]', "not inside"),
        ("README.md", "---\n: [\n---\n<!-- Written by hubdistill 1 -->", "front matter"),
        ("README.md", "<!-- hubdistill:keep a -->\n", "not closed"),
    ],
)
def test_broken_file_is_an_error_that_names_it(encoder: Path, file: str, content: str, named: str) -> None:
    (encoder / file).write_bytes(content.encode("latin-1"))
    with pytest.raises(CardError, match=named):
        write_card_without_report(encoder)


def test_folder_without_a_model_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CardError, match=r"neither modules\.json nor config\.json"):
        write_card_without_report(tmp_path)
    assert list(tmp_path.iterdir()) == []


HOSTILE = '<b>|x|</b>\n# h\n---\n{{ 7 * 7 }} ``` "); import os <!-- hubdistill:keep z -->'


def test_text_of_the_files_is_inert(encoder: Path) -> None:
    folder = encoder.with_name('x"); import os; os.system("y") # <b>')
    encoder.rename(folder)
    config = json.loads((folder / "config.json").read_text()) | {"model_type": HOSTILE}
    write_json(folder / "config.json", config)
    write_json(folder / "1_Pooling" / "config.json", {"pooling_mode": HOSTILE, "embedding_dimension": 8})
    said = {"__version__": {HOSTILE: HOSTILE}, "prompts": {HOSTILE: HOSTILE}, "similarity_fn_name": HOSTILE}
    write_json(folder / "config_sentence_transformers.json", said)
    write_json(
        folder / "modules.json", [{"path": "", "type": ENCODER}, {"path": "1_Pooling", "type": "a.Pooling"}]
    )
    card = write_card_without_report(folder).path.read_text(encoding="utf-8")
    outside = "".join(line for _, line in outside_fences(card.splitlines(keepends=True)))
    assert "<b>" not in outside
    assert "\n# h" not in card
    assert "49" not in card
    assert r'SentenceTransformer("x\"); import os; os.system(\"y\") # <b>", trust_remote_code=True)' in card
    assert {section.name for section in kept_sections(card)} == {
        "introduction", "training", "intended use", "limitations", "notes",
    }  # fmt: skip


def report_of(folder: Path, **changes: Any) -> Path:
    """A report of a folder's weights, written elsewhere."""
    report = static_report()
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    return save(report, folder.parent / "elsewhere", revision=f"sha256:{digest}", **changes)


def save(report: DistillationReport, folder: Path, **changes: Any) -> Path:
    model = report.models[report.student].model_copy(update=changes)
    folder.mkdir(exist_ok=True)
    return report.model_copy(update={"models": report.models | {report.student: model}}).save(folder)


@pytest.mark.usefixtures("undrawn")
def test_report_from_elsewhere_makes_the_whole_card(static: Path) -> None:
    report = report_of(static)
    card = write_card(static, report_file=report, repo_id="me/small")
    assert "# small" in card.read_text(encoding="utf-8")
    assert "](figures/summary.png)" in card.read_text(encoding="utf-8")
    assert (static / "report.json").read_bytes() == report.read_bytes()
    # Now the folder has its own, which the same report does not replace.
    first = card.read_bytes()
    assert write_card(static, report_file=report.parent, repo_id="me/small").read_bytes() == first
    assert write_card(static, repo_id="me/small").read_bytes() == first


def test_report_of_other_weights_is_refused(static: Path) -> None:
    report = save(static_report(), static.parent / "elsewhere", revision=f"sha256:{'0' * 64}")
    with pytest.raises(ReportError, match=r"other weights.*hubdistill evaluate"):
        write_card(static, report_file=report)
    assert not (static / "README.md").exists()
    (static / "model.safetensors").unlink()
    with pytest.raises(TeacherError, match="no weights"):
        write_card(static, report_file=report)


@pytest.mark.usefixtures("undrawn")
def test_report_of_a_commit_needs_its_download(static: Path) -> None:
    commit = "c0" * 20
    report = save(static_report(), static.parent / "elsewhere", revision=commit)
    with pytest.raises(ReportError, match=r"hf download --revision c0c0"):
        write_card(static, report_file=report)
    note = static / ".cache" / "huggingface" / "download" / "model.safetensors.metadata"
    note.parent.mkdir(parents=True)
    digest = hashlib.sha256((static / "model.safetensors").read_bytes()).hexdigest()
    note.write_text(f"{commit}\n{'0' * 64}\n1.5\n")
    with pytest.raises(ReportError, match="hf download"):
        write_card(static, report_file=report)
    note.write_text(f"{commit}\n{digest}\n1.5\n")
    assert write_card(static, report_file=report).is_file()


@pytest.mark.usefixtures("undrawn")
def test_report_from_elsewhere_replaces_nothing_unasked(static: Path) -> None:
    report = report_of(static)
    compared_report().save(static)
    own = (static / "report.json").read_bytes()
    (static / "README.md").write_text(README, encoding="utf-8")
    with pytest.raises(
        CardError, match=r"README\.md and report\.json .*README\.old-1\.md and report\.old-1\.json"
    ):
        write_card(static, report_file=report)
    assert (static / "report.json").read_bytes() == own
    write_card(static, report_file=report, force=True)
    assert (static / "README.old-1.md").read_text(encoding="utf-8") == README
    assert (static / "report.old-1.json").read_bytes() == own
    assert load_report(static) == load_report(report)


def test_no_torch_is_needed() -> None:
    code = "import sys, hubdistill.card.without_report; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
