"""Training the hidden layer of a static student: sampler, gain, resume and what the report says."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import wordpiece_tokenizer
from datasets import Dataset
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, StaticEmbedding

from hubdistill import report, samplers, static_training
from hubdistill.recipe import StaticStudent
from hubdistill.samplers import NeighbourSampler
from hubdistill.static_training import NeighbourAgreement, cluster, train_hidden_layer

WORDS = ["the", "a", "of", "and", "to", "in", "is", "that", "for", "it", "this", "not", "sentence", "text"]
WIDTH = 16
SOLVED = report.Training(
    method="static",
    loss="squared distance",
    loss_parameters={"ridge": 1.0},
    texts=1_000,
    hyperparameters={"ridge": "auto", "iterations": 10, "solves": 2},
    seconds=1.0,
)


@pytest.fixture
def solved() -> SentenceTransformer:
    torch.manual_seed(0)
    static = StaticEmbedding(wordpiece_tokenizer(), embedding_dim=WIDTH)
    return SentenceTransformer(modules=[static, Normalize()], device="cpu")


@pytest.fixture
def texts() -> list[str]:
    rng = np.random.default_rng(0)
    return [" ".join(rng.choice(WORDS, rng.integers(2, 8))) for _ in range(1_200)]


def beyond_a_table(vectors: np.ndarray) -> np.ndarray:
    """Targets that no table can give: sums and differences without their signs."""
    mixed = np.abs(vectors @ np.random.default_rng(1).standard_normal((WIDTH, WIDTH)))
    return (mixed - mixed.mean(axis=0)).astype(np.float16)


def train(
    solved: SentenceTransformer, texts: list[str], targets: np.ndarray, folder: Path, **settings: Any
) -> tuple[SentenceTransformer, report.Training]:
    return train_hidden_layer(
        solved,
        SOLVED,
        texts[:1_000],
        targets[:1_000],
        held_out_texts=texts[1_000:],
        held_out_vectors=targets[1_000:],
        settings=StaticStudent(kind="static", name="tiny", **settings),
        folder=folder,
        seed=3,
    )


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(static_training, "BATCH", 64)
    monkeypatch.setattr(samplers, "GROUP", 16)
    monkeypatch.setattr(static_training, "GROUP", 16)
    monkeypatch.setattr(static_training, "CLUSTER", 100)


@pytest.mark.usefixtures("small_batches")
def test_a_hidden_layer_learns_what_no_table_can_give(
    solved: SentenceTransformer, texts: list[str], tmp_path: Path
) -> None:
    targets = beyond_a_table(solved.encode(texts))
    student, facts = train(solved, texts, targets, tmp_path, epochs=20)

    assert student[1].out_features == 4 * WIDTH
    first, best = facts.log[0], next(line for line in facts.log if line.step == facts.best_step)
    assert first.step == 0
    gain = (best.teacher_cosine or 0) - (first.teacher_cosine or 0)
    assert gain > 0.2
    kept = NeighbourAgreement(texts[1_000:], targets[1_000:])
    assert kept(student)["teacher_cosine"] == pytest.approx(best.teacher_cosine, abs=1e-3)
    assert kept(student)["precision_at_10"] > kept(solved)["precision_at_10"] + 0.1
    assert facts.loss == "NeighbourhoodDistillLoss"
    assert facts.matryoshka == (4, 8)
    assert facts.hyperparameters["batch_sampler"] == "NeighbourSampler"
    assert facts.hyperparameters["ridge"] == 1.0
    assert facts.hyperparameters["learning_rate_mapping"] == r"^model\.0\.: 0.005"
    assert (best.precision_at_10 or 0) > (first.precision_at_10 or 0) + 0.1
    assert any("Iyyer" in citation for citation in facts.citations)
    assert any("Passalis" in citation for citation in facts.citations)


def test_agreement_is_the_share_of_the_teachers_nearest_that_are_found(solved: SentenceTransformer) -> None:
    words = ["the", "a", "of", "and", "to"]
    theirs = solved.encode(words)
    assert NeighbourAgreement(words, theirs)(solved) == pytest.approx(
        {"teacher_cosine": 1, "precision_at_10": 1}, abs=1e-6
    )
    many = [f"{one} {other}" for one, other in combinations(WORDS, 2)]
    other = np.random.default_rng(0).standard_normal((len(many), WIDTH)).astype(np.float32)
    agreement = NeighbourAgreement(many, other)
    near, ours = nearest(other), nearest(solved.encode(many))
    shared = [len({*a} & {*b}) / 10 for a, b in zip(near, ours, strict=True)]
    assert agreement(solved)["precision_at_10"] == pytest.approx(np.mean(shared), abs=1e-3)


def test_a_gain_must_be_larger_than_what_chance_gives() -> None:
    rng = np.random.default_rng(0)
    theirs = torch.from_numpy(rng.standard_normal((200, WIDTH)).astype(np.float32))
    agreement = NeighbourAgreement([""] * 200, theirs.numpy())
    noise = torch.from_numpy(rng.standard_normal((200, WIDTH)).astype(np.float32))
    before, hardly, clearly = theirs + noise, theirs + 0.999 * noise, theirs + 0.7 * noise
    assert agreement.found(hardly).mean() >= agreement.found(before).mean()
    assert not agreement.gains(hardly, before)
    assert agreement.gains(clearly, before)
    assert not agreement.gains(before, clearly)
    assert not agreement.gains(before, before)


def nearest(vectors: np.ndarray) -> np.ndarray:
    """The ten nearest others of each."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    scores = unit @ unit.T
    np.fill_diagonal(scores, -2)
    return np.argsort(-scores, axis=1)[:, :10]


def ours(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What hubdistill logged; the Trainer remarks on checkpoints that are written too quickly."""
    return [record.getMessage() for record in caplog.records if record.name.startswith("hubdistill")]


@pytest.mark.usefixtures("small_batches")
def test_what_was_solved_stays_where_the_hidden_layer_gains_nothing(
    solved: SentenceTransformer, texts: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    targets = solved.encode(texts).astype(np.float16)
    student, facts = train(solved, texts, targets, tmp_path, epochs=1, matryoshka=())
    assert student is solved
    assert facts is SOLVED
    assert not ours(caplog)


@pytest.mark.usefixtures("small_batches")
def test_prefixes_that_were_asked_for_do_not_go_unsaid(
    solved: SentenceTransformer, texts: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    targets = solved.encode(texts).astype(np.float16)
    student, _ = train(solved, texts, targets, tmp_path, epochs=1, matryoshka=(8,))
    assert student is solved
    (warning,) = ours(caplog)
    assert "tiny goes without a hidden layer" in warning
    assert "matryoshka" in warning


@pytest.mark.usefixtures("small_batches")
def test_an_interrupted_training_goes_on_from_its_checkpoint(
    solved: SentenceTransformer, texts: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(NeighbourAgreement, "gains", lambda *_: True)
    targets = beyond_a_table(solved.encode(texts))
    whole, _ = train(solved, texts, targets, tmp_path / "whole", epochs=2)
    assert whole is not solved

    seen = 0
    forward = static_training.NeighbourhoodDistillLoss.forward

    def counting(*given: Any) -> torch.Tensor:
        nonlocal seen
        seen += 1
        if seen == 20:
            raise KeyboardInterrupt
        return forward(*given)

    with monkeypatch.context() as patch:
        patch.setattr(static_training.NeighbourhoodDistillLoss, "forward", counting)
        with pytest.raises(KeyboardInterrupt):
            train(solved, texts, targets, tmp_path / "parts", epochs=2)
        seen = 20
        resumed, _ = train(solved, texts, targets, tmp_path / "parts", epochs=2)
    assert 20 < seen < 20 + 32
    np.testing.assert_allclose(resumed.encode(texts), whole.encode(texts), atol=1e-5)


def test_a_batch_is_made_of_groups_of_one_cluster_and_an_epoch_of_every_text(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(samplers, "GROUP", 4)
    rng = np.random.default_rng(0)
    clusters = rng.permutation(np.repeat(np.arange(5), 16))
    data = Dataset.from_dict({"row": np.arange(80), "cluster": clusters})
    sampler = NeighbourSampler(data, batch_size=12, drop_last=False, seed=1)
    batches = list(sampler)
    assert len(batches) == len(sampler) == 7
    assert sorted(row for batch in batches for row in batch) == list(range(80))
    groups = [clusters[batch[start : start + 4]] for batch in batches for start in range(0, len(batch), 4)]
    assert all(len(set(group)) == 1 for group in groups)
    assert any(len(set(clusters[batch])) > 1 for batch in batches)
    sampler.set_epoch(1)
    assert list(sampler) != batches


def test_a_group_never_lies_across_two_batches() -> None:
    clusters = np.random.default_rng(0).permutation(np.repeat(np.arange(9), 50))
    sampler = NeighbourSampler(
        Dataset.from_dict({"cluster": clusters}), batch_size=50, drop_last=False, seed=1
    )
    assert sampler.batch_size < samplers.GROUP
    assert all(len(set(clusters[batch])) == 1 for batch in sampler)


def test_clusters_hold_texts_that_are_near(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(static_training, "CLUSTER", 50)
    rng = np.random.default_rng(0)
    centres = np.eye(4, 16)
    truth = rng.permutation(np.repeat(np.arange(4), 50))
    vectors = centres[truth] + 0.05 * rng.standard_normal((200, 16))
    found = cluster(vectors.astype(np.float16), seed=0)
    assert found.shape == (200,)
    together = found[:, None] == found[None, :]
    # k-means may divide one of the four and join two others; most pairs must still be right.
    assert (together == (truth[:, None] == truth[None, :])).mean() > 0.85


def test_few_texts_are_one_cluster() -> None:
    vectors = np.random.default_rng(0).standard_normal((40, 8)).astype(np.float16)
    assert set(cluster(vectors, seed=0)) == {0}
