"""`card.samples: 0` keeps every training text out of what is published."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hubdistill.pipeline import Run
from hubdistill.recipe_file import parse_recipe

MARKER = "qzxvkjwq"
WORDS = ["the", "a", "of", "and", "to", "in", "is", "that", "for", "it", "this", "not", "sentence", "text"]


def test_no_file_of_a_student_holds_a_text(tmp_path: Path, tiny_teacher_folder: Path) -> None:
    rng = np.random.default_rng(0)
    texts = [f"{' '.join(rng.choice(WORDS, 5))} {MARKER}{number}" for number in range(300)]
    (tmp_path / "texts.txt").write_text("\n".join(texts))
    pairs = [
        f"{i % 6}\t{' '.join(rng.choice(WORDS, 5))}\t{' '.join(rng.choice(WORDS, 5))}" for i in range(40)
    ]
    (tmp_path / "sts.tsv").write_text("score\tsentence1\tsentence2\n" + "\n".join(pairs))
    recipe = {
        "name": "family",
        "teacher": {"model": str(tiny_teacher_folder), "hub_id": "someone/tiny-teacher"},
        "corpus": {"sources": [{"files": ["texts.txt"], "language": "en"}], "held_out": 0.2},
        "students": [
            {"name": "tiny-2", "layers": 2, "texts": 200},
            {"name": "tiny-static", "kind": "static"},
        ],
        "training": {"batch_size": 32, "evaluations": 2},
        "evaluation": {
            "similarity": [{"name": "sts-test", "files": ["sts.tsv"]}],
            "k": [5],
            "queries": 20,
            "bootstrap": 100,
            "speed": None,
        },
        "card": {"license": "apache-2.0", "language": ["en"], "samples": 0},
    }
    run = Run(parse_recipe(recipe, folder=tmp_path), device="cpu")
    run.distill()
    run.evaluate()
    run.write_cards()

    kept = next((run.folder).rglob("lowest_agreement.jsonl"))
    assert MARKER in kept.read_text()
    for name in ("tiny-2", "tiny-static"):
        files = [path for path in run.student_folder(name).rglob("*") if path.is_file()]
        assert {"README.md", "report.json", "model.safetensors", "summary.png"} <= {f.name for f in files}
        assert [path for path in files if MARKER.encode() in path.read_bytes()] == []
