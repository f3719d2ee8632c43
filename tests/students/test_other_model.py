"""Students that start from another model: of another width, with another tokenizer."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import save_word_encoder, wordpiece_tokenizer
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Pooling

from hubdistill import recipe
from hubdistill.errors import StudentError
from hubdistill.students.other_model import add_fitted_projection, fit_linear, keep_own_width, load_start

WORDS = ["the", "a", "of", "and", "to", "in", "is", "that", "for", "it", "this", "not", "sentence", "text"]


def sentences(n: int, seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, size=rng.integers(2, 20))) for _ in range(n)]


@pytest.fixture(params=[16, 48], ids=["narrower", "wider"])
def start_folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    folder = tmp_path / "other"
    save_word_encoder(folder, WORDS, width=request.param)
    return folder


def student_of(folder: Path, **settings: object) -> recipe.ModelStudent:
    return recipe.ModelStudent.model_validate(
        {"kind": "model", "name": "small", "model": folder.name, **settings}
    )


def test_a_plain_encoder_becomes_a_student_with_mean_pooling(start_folder: Path) -> None:
    start = load_start(student_of(start_folder), base=start_folder.parent, device="cpu")
    assert isinstance(start.model[1], Pooling)
    assert start.model[1].pooling_mode == "mean"
    assert start.revision.startswith("sha256:")
    assert start.model.transformers_model.config.name_or_path == ""


def test_the_fitted_projection_speaks_the_teachers_space(
    start_folder: Path, tiny_teacher: SentenceTransformer
) -> None:
    start = load_start(student_of(start_folder), base=start_folder.parent, device="cpu")
    texts = sentences(400)
    vectors = tiny_teacher.encode(texts)
    add_fitted_projection(start.model, texts[:300], vectors, teacher=tiny_teacher)
    found = start.model.encode(texts[300:])
    assert found.shape == (100, 32)
    assert np.linalg.norm(found, axis=1) == pytest.approx(np.ones(100), abs=1e-5)
    cosines = (found * vectors[300:]).sum(axis=1)
    # Nearer than the mean of all vectors is: it tells texts apart.
    mean = vectors.mean(axis=0) / np.linalg.norm(vectors.mean(axis=0))
    assert cosines.mean() > (vectors[300:] @ mean).mean() + 0.01


def test_own_width_keeps_every_similarity_of_the_projected_vectors(
    start_folder: Path, tiny_teacher: SentenceTransformer, tmp_path: Path
) -> None:
    start = load_start(student_of(start_folder), base=start_folder.parent, device="cpu")
    width = start.model.get_embedding_dimension()
    texts = sentences(200)
    projection = add_fitted_projection(start.model, texts, tiny_teacher.encode(texts), teacher=tiny_teacher)
    projected = start.model.encode(texts)
    keep_own_width(start.model, projection)
    start.model.save_pretrained(str(tmp_path / "saved"), create_model_card=False)
    student = SentenceTransformer(str(tmp_path / "saved"), device="cpu")
    own = student.encode(texts)
    assert own.shape == (200, width)
    assert own @ own.T == pytest.approx(projected @ projected.T, abs=1e-5)
    assert [type(module) for module in student][-2:] == [Dense, Normalize]


def test_a_linear_map_is_found_again() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(6, 3)).astype(np.float32)
    given = rng.normal(size=(500, 3)).astype(np.float32)
    assert fit_linear(given, given @ truth.T) == pytest.approx(truth, abs=0.01)


def test_a_start_without_tokenizer_is_refused(start_folder: Path) -> None:
    for file in start_folder.glob("tokenizer*"):
        file.unlink()
    with pytest.raises(
        StudentError, match=r"'small' starts from 'other'.*no tokenizer.*students\[2\]\.model"
    ):
        load_start(student_of(start_folder), base=start_folder.parent, device="cpu", field="students[2]")


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("nothing", r"there is no model|neither in the local cache"),
        ("no/such/thing", r"no Hub id; check students\[0\]\.model"),
        ("empty", "neither modules.json nor config.json"),
        ("broken", "cannot be loaded"),
        ("file.txt", r"is a file; students\[0\]\.model names a folder"),
    ],
)
def test_a_start_that_cannot_be_had_says_why(
    model: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.txt").write_text("text")
    save_word_encoder(tmp_path / "broken", WORDS, width=16)
    (tmp_path / "broken/model.safetensors").write_bytes(b"not weights")
    with pytest.raises(StudentError, match=f"student 'small': .*(?:{message})"):
        load_start(student_of(tmp_path / "x", model=model), base=tmp_path, device="cpu")


def test_a_start_brings_its_own_prompt(tiny_teacher_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "prompted"
    shutil.copytree(tiny_teacher_folder, folder)
    model = SentenceTransformer(
        str(folder), device="cpu", prompts={"query": "find: "}, default_prompt_name="query"
    )
    model.save_pretrained(str(folder), create_model_card=False)
    assert load_start(student_of(folder), base=tmp_path, device="cpu").prompt == "find: "


def test_a_static_model_is_no_start(tmp_path: Path) -> None:
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding

    static = StaticEmbedding(wordpiece_tokenizer().backend_tokenizer, embedding_dim=8)
    SentenceTransformer(modules=[static], device="cpu").save_pretrained(
        str(tmp_path / "static"), create_model_card=False
    )
    with pytest.raises(StudentError, match="no transformer to train"):
        load_start(student_of(tmp_path / "static"), base=tmp_path, device="cpu")
