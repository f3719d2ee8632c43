"""Training of layer-reduced students on cached teacher vectors."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.losses import MatryoshkaLoss

from hubdistill import recipe
from hubdistill.errors import RecipeError, TrainingError
from hubdistill.samplers import LengthBucketSampler
from hubdistill.students.layers import encoder_blocks, reduce_layers
from hubdistill.trainer import TeacherAgreement, last_checkpoint, training_arguments, training_log
from hubdistill.training import LOSSES, token_lengths, train, without_dropout

WORDS = ["the", "a", "of", "and", "to", "in", "is", "that", "for", "it", "this", "not", "sentence", "text"]


def sentences(n: int, seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, size=rng.integers(2, 20))) for _ in range(n)]


def agreement(student: SentenceTransformer, texts: list[str], vectors: np.ndarray) -> float:
    return TeacherAgreement(texts, vectors)(student)["teacher_cosine"]


def run_training(
    teacher: SentenceTransformer, folder: Path, **settings: object
) -> tuple[SentenceTransformer, object]:
    texts, held_out = sentences(300), sentences(50, seed=1)
    student = reduce_layers(teacher, [0, 3])
    facts = train(
        student,
        texts,
        teacher.encode(texts).astype(np.float16),
        held_out_texts=held_out,
        held_out_vectors=teacher.encode(held_out),
        settings=recipe.Training(**{"batch_size": 16, "learning_rate": 3e-3, "epochs": 2, **settings}),
        folder=folder,
        seed=1,
    )
    return student, facts


def test_steps_are_counted_as_one_process_with_several_gpus_makes_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 8)
    settings = recipe.Training(batch_size=32, evaluations=4)
    for device, steps in (("cuda", 98), ("cpu", 782)):
        arguments = training_arguments(
            settings, 100_000, folder=tmp_path, seed=1, device=torch.device(device)
        )
        assert arguments.eval_steps == steps


def test_a_trained_student_agrees_more_with_its_teacher(
    tiny_teacher: SentenceTransformer, tmp_path: Path
) -> None:
    held_out = sentences(50, seed=1)
    vectors = tiny_teacher.encode(held_out)
    before = agreement(reduce_layers(tiny_teacher, [0, 3]), held_out, vectors)
    student, facts = run_training(tiny_teacher, tmp_path)
    assert agreement(student, held_out, vectors) > before + 0.01
    assert facts.loss == "EmbedDistillLoss"
    assert facts.loss_parameters["distance_metric"] == "cosine"


def test_the_best_checkpoint_is_what_remains(tiny_teacher: SentenceTransformer, tmp_path: Path) -> None:
    student, facts = run_training(tiny_teacher, tmp_path)
    held_out = sentences(50, seed=1)
    best = max(line.teacher_cosine for line in facts.log if line.teacher_cosine is not None)
    # During training the student is compared in bfloat16 where the processor has it.
    assert agreement(student, held_out, tiny_teacher.encode(held_out)) == pytest.approx(best, abs=1e-4)
    assert {line.step: line.teacher_cosine for line in facts.log}[facts.best_step] == best


def test_the_token_table_stays_frozen_and_the_layers_move(
    tiny_teacher: SentenceTransformer, tmp_path: Path
) -> None:
    student, _ = run_training(tiny_teacher, tmp_path)
    untrained = reduce_layers(tiny_teacher, [0, 3])
    tables = [model[0].auto_model.get_input_embeddings().weight for model in (student, untrained)]
    assert torch.equal(*tables)
    weights = [encoder_blocks(model)[0].output.dense.weight for model in (student, untrained)]
    assert not torch.equal(*weights)


def test_prefixes_are_compared_with_prefixes_of_the_teachers_vectors(
    tiny_teacher: SentenceTransformer, tmp_path: Path
) -> None:
    seen: list[torch.Tensor] = []
    loss = LOSSES["cosine"](tiny_teacher)
    original = loss.compute_loss_from_embeddings

    def watch(embeddings: list[torch.Tensor], labels: list[torch.Tensor]) -> torch.Tensor:
        seen.extend(labels)
        return original(embeddings, labels)

    loss.compute_loss_from_embeddings = watch
    texts = sentences(6)
    vectors = torch.from_numpy(tiny_teacher.encode(sentences(6, seed=2)))
    whole = MatryoshkaLoss(tiny_teacher.eval(), loss, [8, 32])
    value = whole([tiny_teacher.preprocess(texts)], vectors)
    given = torch.from_numpy(tiny_teacher.encode(texts))
    expected = sum(
        1 - torch.nn.functional.cosine_similarity(given[:, :width], vectors[:, :width]).mean()
        for width in (8, 32)
    )
    assert [label.shape[1] for label in seen] == [32, 8]
    assert value.item() == pytest.approx(expected.item(), abs=1e-5)


def test_a_student_trained_in_prefixes_says_so(tiny_teacher: SentenceTransformer, tmp_path: Path) -> None:
    _, facts = run_training(tiny_teacher, tmp_path, epochs=1, matryoshka=[16, 8])
    assert facts.loss == "MatryoshkaLoss"
    assert facts.loss_parameters["loss"] == "EmbedDistillLoss"
    assert facts.matryoshka == (8, 16)
    assert [text.split("{")[1].split(",")[0] for text in facts.citations] == [
        "kim2023embeddistill",
        "kusupati2024matryoshka",
    ]


def test_private_arguments_stay_out_of_the_facts(tiny_teacher: SentenceTransformer, tmp_path: Path) -> None:
    _, facts = run_training(tiny_teacher, tmp_path, arguments={"hub_token": "hf_secret"})
    assert str(tmp_path) not in facts.model_dump_json()
    assert "hf_secret" not in facts.model_dump_json()
    assert facts.hyperparameters["learning_rate"] == 3e-3


def test_tokens_that_training_does_not_read_are_not_stated(
    tiny_teacher: SentenceTransformer, tmp_path: Path
) -> None:
    counted = token_lengths(tiny_teacher, sentences(300))
    assert counted.max() > 12
    _, facts = run_training(tiny_teacher, tmp_path, max_length=12, epochs=0.1)
    assert (facts.tokens.min, facts.tokens.max) == (counted.min(), 12)
    assert facts.tokens.mean == pytest.approx(np.minimum(counted, 12).mean())
    assert facts.hyperparameters["max_length"] == facts.all_hyperparameters["max_length"] == 12


def test_training_goes_on_from_the_last_whole_checkpoint(
    tiny_teacher: SentenceTransformer, tmp_path: Path
) -> None:
    run_training(tiny_teacher, tmp_path, epochs=1)
    torn = tmp_path / "checkpoint-900"
    shutil.copytree(Path(str(last_checkpoint(tmp_path))), torn)
    (torn / "trainer_state.json").unlink()
    _, facts = run_training(tiny_teacher, tmp_path, epochs=2)
    assert not torn.exists()
    resumed_at = next(line.step for line in facts.log if line.epoch > 1)
    assert facts.log[0].step < resumed_at  # the log of the first run was carried over


def test_an_unknown_training_argument_is_named(tiny_teacher: SentenceTransformer, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"training\.arguments.*learning_rat\b"):
        run_training(tiny_teacher, tmp_path, arguments={"learning_rat": 1})


def test_vectors_of_another_width_are_refused(tiny_teacher: SentenceTransformer, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"32 dimensions.*have 8"):
        train(
            reduce_layers(tiny_teacher, [0]),
            ["a text"],
            np.zeros((1, 8), np.float16),
            held_out_texts=["another"],
            held_out_vectors=np.zeros((1, 8), np.float16),
            settings=recipe.Training(),
            folder=tmp_path,
            seed=1,
        )


def test_batches_hold_texts_of_like_length_and_every_text_once() -> None:
    lengths = np.random.default_rng(0).integers(1, 200, size=1000)
    dataset = Dataset.from_dict({"length": lengths})
    sampler = LengthBucketSampler(dataset, batch_size=10, drop_last=False, seed=3)
    batches = list(sampler)
    assert sorted(row for batch in batches for row in batch) == list(range(1000))
    assert len(batches) == len(sampler) == 100
    padded = sum(len(batch) * lengths[batch].max() for batch in batches)
    assert padded < 1.1 * lengths.sum()


def test_batches_differ_between_epochs_and_repeat_with_the_seed() -> None:
    dataset = Dataset.from_dict({"length": list(range(100))})
    first, second = (LengthBucketSampler(dataset, batch_size=8, drop_last=True, seed=5) for _ in range(2))
    assert list(first) == list(second)
    assert len(list(first)) == len(first) == 12
    before = list(first)
    first.set_epoch(1)
    assert list(first) != before


def test_token_lengths_count_special_tokens_and_ignore_truncation(tiny_teacher: SentenceTransformer) -> None:
    texts = ["the text", " ".join(["the"] * 100)]
    assert token_lengths(tiny_teacher, texts, batch=1).tolist() == [4, 102]


def test_dropout_is_off_but_the_configuration_keeps_it(tiny_teacher: SentenceTransformer) -> None:
    without_dropout(tiny_teacher)
    assert {module.p for module in tiny_teacher.modules() if isinstance(module, torch.nn.Dropout)} == {0.0}
    assert tiny_teacher[0].auto_model.config.hidden_dropout_prob == 0.1


def test_the_log_has_one_line_a_step() -> None:
    history = [
        {"step": 1, "epoch": 0.5, "loss": 0.5, "learning_rate": 0.1, "grad_norm": 1.0},
        {"step": 1, "epoch": 0.5, "eval_teacher_cosine": 0.9, "eval_runtime": 1.0},
        {"step": 2, "epoch": 1.0, "train_runtime": 1.0, "train_loss": 0.4},
    ]
    (line,) = training_log(history)
    assert (line.step, line.loss, line.teacher_cosine) == (1, 0.5, 0.9)
