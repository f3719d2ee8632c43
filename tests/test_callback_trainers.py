"""HubDistillCallback in Trainers of many kinds; nothing is evaluated at the end, and there is no Hub."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from datasets import Dataset
from sentence_transformers import (
    CrossEncoder,
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)
from sentence_transformers.sentence_transformer import losses
from transformers import TrainerCallback, TrainerControl, TrainerState

from hubdistill import HubDistillCallback, callback
from hubdistill.errors import CardError, LeakError, TrainingError
from hubdistill.recipe import Card, Evaluation
from hubdistill.report import Training
from hubdistill.reporting import Subject
from hubdistill.students.layers import reduce_layers

TEXTS = [f"{word} text of number {number}" for number in range(10) for word in ("the", "this", "a", "it")]
PAIRS = {"anchor": TEXTS[:20], "positive": TEXTS[20:]}


class Scripts:
    """Training scripts with the callback."""

    def __init__(self, teacher: Path, folder: Path) -> None:
        self.teacher = teacher
        self.folder = folder
        self.subjects: list[Subject] = []
        self.cards_before: list[str | None] = []

    def student(self) -> SentenceTransformer:
        return reduce_layers(SentenceTransformer(str(self.teacher), device="cpu"), [0, 3])

    def vectors(self) -> Dataset:
        teacher = SentenceTransformer(str(self.teacher), device="cpu")
        return Dataset.from_dict({"sentence": TEXTS, "label": teacher.encode(TEXTS).tolist()})

    def callback(self, **settings: Any) -> HubDistillCallback:
        chosen = {"held_out": TEXTS, "card": Card(license="mit", language=("en",)), "push": False} | settings
        evaluation = Evaluation(k=(5,), queries=10)
        return HubDistillCallback(
            chosen.pop("teacher", str(self.teacher)), "demo/student", evaluation=evaluation, **chosen
        )

    def arguments(self, **settings: Any) -> SentenceTransformerTrainingArguments:
        chosen = {"max_steps": 2, "save_strategy": "no", "report_to": "none", "logging_steps": 1} | settings
        return SentenceTransformerTrainingArguments(
            str(self.folder), per_device_train_batch_size=4, disable_tqdm=True, use_cpu=True, **chosen
        )

    def trainer(
        self,
        *callbacks: TrainerCallback,
        data: Any = None,
        loss: Callable[[SentenceTransformer], Any] = losses.MSELoss,
        evaluated: bool = False,
        kind: type[SentenceTransformerTrainer] = SentenceTransformerTrainer,
        **settings: Any,
    ) -> SentenceTransformerTrainer:
        student = self.student()
        return kind(
            model=student,
            args=self.arguments(
                **({"eval_strategy": "steps", "eval_steps": 1} if evaluated else {}), **settings
            ),
            train_dataset=self.vectors() if data is None else data,
            eval_dataset=self.vectors() if evaluated else None,
            loss=loss(student),
            callbacks=list(callbacks),
        )

    @property
    def facts(self) -> Training:
        training = self.subjects[-1].training
        assert training is not None
        return training


@pytest.fixture
def scripts(tiny_teacher_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scripts:
    made = Scripts(tiny_teacher_folder, tmp_path / "out")

    def remember(teacher: Any, subjects: Sequence[Subject], *_: Any, **__: Any) -> None:
        made.subjects += subjects

    def card(folder: Path, **_: Any) -> None:
        readme = folder / "README.md"
        made.cards_before.append(readme.read_text() if readme.exists() else None)
        readme.write_text("<!-- Written by hubdistill. -->\n")

    monkeypatch.setattr(callback, "write_reports", remember)
    monkeypatch.setattr(callback, "write_card", card)
    return made


class Logged(TrainerCallback):
    """What is logged, as a tracker sees it."""

    def __init__(self) -> None:
        self.seen: list[dict[str, float]] = []

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.seen.append(dict(kwargs["logs"]))


def test_what_an_evaluation_logs_has_the_cosine(scripts: Scripts, capsys: pytest.CaptureFixture[str]) -> None:
    tracker = Logged()
    trainer = scripts.trainer(scripts.callback(), tracker, evaluated=True)
    trainer.train()
    evaluations = [logs for logs in tracker.seen if "eval_loss" in logs]
    assert len(evaluations) == 2
    assert all("eval_teacher_cosine" in logs for logs in evaluations)
    assert capsys.readouterr().out.count("eval_teacher_cosine") == 2
    entries = [entry for entry in trainer.state.log_history if "eval_teacher_cosine" in entry]
    assert [("eval_loss" in entry, entry["step"]) for entry in entries] == [(True, 1), (True, 2)]
    assert trainer.evaluate()["eval_teacher_cosine"] == pytest.approx(entries[-1]["eval_teacher_cosine"])


def test_one_callback_serves_two_trainings(scripts: Scripts) -> None:
    again = scripts.callback()
    scripts.trainer(again).train()
    scripts.folder = scripts.folder.with_name("second")
    scripts.trainer(again, save_strategy="steps", save_steps=1).train()
    assert "in training" in (scripts.folder / "checkpoint-1" / "README.md").read_text()


def test_our_card_is_there_when_the_new_one_is_written(scripts: Scripts) -> None:
    scripts.folder.mkdir()
    ours = "<!-- hubdistill:keep use -->\nmy words\n<!-- /hubdistill:keep -->\n"
    (scripts.folder / "README.md").write_text(ours)
    trainer = scripts.trainer(scripts.callback(), save_strategy="steps", save_steps=1)
    trainer.train()
    assert scripts.cards_before == [ours]


def test_files_of_the_user_stay(scripts: Scripts, caplog: pytest.LogCaptureFixture) -> None:
    scripts.folder.mkdir()
    (scripts.folder / "README.md").write_text("# By hand\n")
    (scripts.folder / ".gitignore").write_text("secrets.env\nruns/")
    with caplog.at_level(logging.WARNING):
        scripts.trainer(scripts.callback()).train()
    assert (scripts.folder / "README.old-1.md").read_text() == "# By hand\n"
    assert "README.old-1.md" in caplog.text
    lines = (scripts.folder / ".gitignore").read_text().splitlines()
    assert lines[0] == "secrets.env"
    assert "training_args.bin" in lines
    assert lines.count("runs/") == 1


def test_a_kept_section_left_open_is_told_before_training(scripts: Scripts) -> None:
    scripts.folder.mkdir()
    (scripts.folder / "README.md").write_text("<!-- hubdistill:keep use -->\n")
    with pytest.raises(CardError, match="not closed"):
        scripts.trainer(scripts.callback()).train()


def test_models_of_model_init_have_their_facts(scripts: Scripts) -> None:
    trainer = SentenceTransformerTrainer(
        model_init=scripts.student,
        args=scripts.arguments(),
        train_dataset=scripts.vectors(),
        loss=losses.MSELoss,
        callbacks=[scripts.callback()],
    )
    trainer.train()
    assert scripts.facts.loss == "MSELoss"


def test_a_trainer_that_notes_nothing_is_refused(scripts: Scripts) -> None:
    class WithoutCard(SentenceTransformerTrainer):
        def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
            pass

    with pytest.raises(TrainingError, match="add_model_card_callback"):
        scripts.trainer(scripts.callback(), kind=WithoutCard).train()


def test_trials_of_a_search_get_the_cosine_and_nothing_else(scripts: Scripts) -> None:
    ours, arguments = scripts.callback(push=True, token="hf_none"), scripts.arguments()
    state, control = TrainerState(is_hyper_param_search=True), TrainerControl()
    student = scripts.student()
    ours.on_train_begin(arguments, state, control, model=student)
    state.log_history.append({"step": 0})
    ours.on_log(arguments, state, control, model=student, logs={"eval_runtime": 1.0})
    metrics: dict[str, float] = {}
    ours.on_evaluate(arguments, state, control, model=student, metrics=metrics)
    ours.on_save(arguments, state, control, model=student)
    ours.on_train_end(arguments, state, control, model=student)
    assert set(metrics) == {"eval_teacher_cosine"}
    assert not scripts.subjects
    assert not scripts.folder.exists()


def test_seconds_are_those_of_all_runs(scripts: Scripts) -> None:
    scripts.trainer(scripts.callback(), save_strategy="steps", save_steps=1).train()
    checkpoint = scripts.folder / "checkpoint-1"
    assert json.loads((checkpoint / "seconds.json").read_text())["seconds"] <= scripts.facts.seconds
    (checkpoint / "seconds.json").write_text('{"seconds": 1000}')
    again = scripts.trainer(scripts.callback(), save_strategy="steps", save_steps=1)
    again.train(resume_from_checkpoint=str(checkpoint))
    assert scripts.facts.seconds > 1000
    scripts.trainer(scripts.callback()).train()  # from the start, with checkpoints in the folder
    assert scripts.facts.seconds < 1000


def test_texts_are_those_that_were_seen(scripts: Scripts) -> None:
    scripts.trainer(scripts.callback(), max_steps=3, gradient_accumulation_steps=2).train()
    assert scripts.facts.texts == 3 * 2 * 4
    scripts.trainer(scripts.callback(), max_steps=30).train()
    assert scripts.facts.texts == len(TEXTS)


def test_vectors_that_are_no_numbers_stop_the_training(scripts: Scripts) -> None:
    class Broken(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            with torch.no_grad():
                next(kwargs["model"].parameters()).fill_(math.nan)

    with pytest.raises(TrainingError, match=r"step 1: the student's vectors are NaN"):
        scripts.trainer(scripts.callback(), Broken(), evaluated=True).train()


@pytest.mark.parametrize(
    ("loss", "pairs", "name", "of_vectors"),
    [
        (lambda s: losses.MatryoshkaLoss(s, losses.MSELoss(s), [32]), False, "MatryoshkaLoss", True),
        (losses.EmbedDistillLoss, False, "EmbedDistillLoss", True),
        (losses.MultipleNegativesRankingLoss, True, "MultipleNegativesRankingLoss", False),
    ],
)
def test_only_losses_on_vectors_are_of_the_teachers_vectors(
    scripts: Scripts, loss: Any, pairs: bool, name: str, of_vectors: bool
) -> None:
    scripts.trainer(scripts.callback(), loss=loss, data=Dataset.from_dict(PAIRS) if pairs else None).train()
    assert (scripts.facts.loss, scripts.facts.teacher_vectors) == (name, of_vectors)


def test_every_loss_is_named(scripts: Scripts) -> None:
    scripts.trainer(
        scripts.callback(),
        data={"texts": scripts.vectors(), "pairs": Dataset.from_dict(PAIRS)},
        loss=lambda s: {"texts": losses.MSELoss(s), "pairs": losses.MultipleNegativesRankingLoss(s)},
    ).train()
    assert scripts.facts.loss == "MSELoss and MultipleNegativesRankingLoss"
    assert scripts.facts.loss_parameters["MultipleNegativesRankingLoss.scale"] == 20
    assert not scripts.facts.teacher_vectors


def test_no_path_of_the_machine_is_among_the_arguments(scripts: Scripts) -> None:
    path = "/home/anna/runs/checkpoint-2"
    scripts.trainer(scripts.callback(), resume_from_checkpoint=path, project="/home/anna/own").train()
    assert "/home/anna" not in scripts.facts.model_dump_json()
    assert scripts.facts.hyperparameters["project"] == "own"


def test_a_leak_is_not_called_complete(scripts: Scripts, monkeypatch: pytest.MonkeyPatch) -> None:
    def leak(*_: Any, **__: Any) -> None:
        raise LeakError("a secret")

    monkeypatch.setattr(callback, "preflight", lambda *_, **__: SimpleNamespace(exists=False))
    monkeypatch.setattr(callback, "refuse_foreign_card", lambda *_, **__: None)
    monkeypatch.setattr(callback, "push", leak)
    with pytest.raises(LeakError) as raised:
        scripts.trainer(scripts.callback(push=True)).train()
    assert not getattr(raised.value, "__notes__", [])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"held_out": "one text"}, "held_out is one string"),
        ({"held_out": ["a text", None]}, r"held_out\[1\] is None"),
        ({"teacher": 3}, "the teacher is a int; name it by its Hub id or its folder"),
    ],
)
def test_a_wrong_call_is_refused_at_once(scripts: Scripts, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        scripts.callback(**settings)


def test_a_teacher_may_be_a_path(scripts: Scripts) -> None:
    assert scripts.callback(teacher=scripts.teacher).teacher_settings.model == str(scripts.teacher)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([0, 1, 2], "names 3 layers, and the student has 2"),
        ([0, 4], "counted from 0 to 3"),
        ([3, 3], "name each that the student keeps once"),
    ],
)
def test_layers_that_cannot_be_are_refused(scripts: Scripts, layers: list[int], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        scripts.trainer(scripts.callback(layers=layers)).train()


def test_models_of_another_kind_are_refused(scripts: Scripts) -> None:
    other = object.__new__(CrossEncoder)
    with pytest.raises(TrainingError, match="the Trainer has a CrossEncoder"):
        scripts.callback().on_train_begin(scripts.arguments(), TrainerState(), TrainerControl(), model=other)


@pytest.mark.parametrize(
    ("base", "message"),
    [
        ("tiny", "its base is a local folder, so"),
        ("demo/base", "on demo/base it cannot be loaded as it is here"),
    ],
)
def test_an_adapter_on_a_base_that_is_not_on_the_hub_is_refused(
    scripts: Scripts, monkeypatch: pytest.MonkeyPatch, base: str, message: str
) -> None:
    trainer = scripts.trainer(scripts.callback())
    student: Any = trainer.model
    named = str(scripts.teacher) if base == "tiny" else base
    monkeypatch.setattr(
        student.transformers_model,
        "peft_config",
        {"default": SimpleNamespace(base_model_name_or_path=named)},
        raising=False,
    )
    # As an adapter's folder: loaded, it is the base and not the student.
    whole = SentenceTransformer(str(scripts.teacher), device="cpu")
    monkeypatch.setattr(student, "save_pretrained", whole.save_pretrained)
    with pytest.raises(TrainingError, match=message):
        trainer.train()
