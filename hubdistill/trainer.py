"""sentence-transformers' Trainer on cached teacher vectors: data, arguments, agreement, checkpoints, log."""

from __future__ import annotations

import json
import logging
import math
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from datasets import Dataset
from sentence_transformers import (
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)
from sentence_transformers.base.evaluation import BaseEvaluator
from sentence_transformers.base.model import BaseModel
from sentence_transformers.sentence_transformer.data_collator import SentenceTransformerDataCollator
from transformers import PrinterCallback, TrainerCallback, TrainingArguments
from transformers.trainer_utils import get_last_checkpoint

from hubdistill import atomic, recipe, report
from hubdistill.errors import RecipeError
from hubdistill.progress import track
from hubdistill.recipe_file import without_absolute_paths
from hubdistill.samplers import LengthBucketSampler
from hubdistill.students.dimensions import Vectors

logger = logging.getLogger(__name__)

MONITORED_TEXTS = 1_000
"""Held-out texts on which a student is compared with its teacher during training."""

_SPENT = "seconds.json"

PRIVATE_ARGUMENTS = frozenset(
    {"output_dir", "logging_dir", "run_name", "resume_from_checkpoint", "hub_token", "push_to_hub_token"}
)
"""Training arguments that hold paths or secrets and never reach a report."""


class Texts(Protocol):
    """Texts by index: a list, or a table on disk."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> str: ...


class TeacherAgreement(BaseEvaluator):
    """Mean cosine between a student's vectors and the teacher's on held-out texts.

    Args:
        texts: held-out texts.
        vectors: the teacher's vectors of these texts, shape (n_texts, dim).
        prompt: text put before every input; the model's own default prompt when None.
    """

    def __init__(self, texts: Sequence[str], vectors: np.ndarray, prompt: str | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.primary_metric: str = "teacher_cosine"
        self.texts = list(texts)
        self.prompt = prompt
        self.vectors = torch.from_numpy(np.asarray(vectors, dtype=np.float32))

    def __call__(
        self, model: BaseModel, output_path: str | None = None, epoch: float = -1, steps: int = -1
    ) -> dict[str, float]:
        return {self.primary_metric: self.cosine(self.embed(model))}

    def embed(self, model: BaseModel) -> torch.Tensor:
        """The student's vectors, shape (n_texts, dim)."""
        assert isinstance(model, SentenceTransformer)
        embeddings = model.encode(
            self.texts, prompt=self.prompt, convert_to_tensor=True, show_progress_bar=False
        )
        return embeddings.float().cpu()

    def cosine(self, embeddings: torch.Tensor) -> float:
        return torch.nn.functional.cosine_similarity(embeddings, self.vectors).mean().item()


@dataclass
class CachedLabelCollator(SentenceTransformerDataCollator):
    """Looks up texts and teacher vectors by the `row` column, so that the data set itself stays small."""

    texts: Texts = ()
    vectors: Vectors = field(default_factory=lambda: np.empty((0, 0)))

    def __call__(self, features: list[dict[str, Any]]) -> dict[str, Any]:
        rows = [feature["row"] for feature in features]
        batch: dict[str, Any] = super().__call__([{"sentence": self.texts[row]} for row in rows])
        batch["label"] = torch.from_numpy(np.asarray(self.vectors[np.array(rows)], dtype=np.float32))
        return batch


class DistillationTrainer(SentenceTransformerTrainer):
    """SentenceTransformerTrainer without the card that it would collect facts for."""

    def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
        pass


class ProgressBar(TrainerCallback):
    """Training steps on hubdistill's own progress bar."""

    def __init__(self, description: str) -> None:
        self.description = description

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.bar = track(state.max_steps, self.description)
        self.advance = self.bar.__enter__()
        self.advance(state.global_step)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.advance(1)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.bar.__exit__(None, None, None)


class SpentSeconds(TrainerCallback):
    """Adds up what training took until each checkpoint, over all runs that went on from one.

    Args:
        folder: of the checkpoints.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.started = time.perf_counter() - spent_seconds(self.folder)

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.is_world_process_zero:
            seconds = time.perf_counter() - self.started
            atomic.write_text(self.folder / _SPENT, json.dumps({"seconds": seconds}))


def spent_seconds(folder: Path) -> float:
    """Seconds of training that the last checkpoint in a folder stands for; 0 where there is none."""
    record = folder / _SPENT
    return float(json.loads(record.read_text(encoding="utf-8"))["seconds"]) if record.exists() else 0.0


def run_trainer(
    student: SentenceTransformer,
    arguments: SentenceTransformerTrainingArguments,
    data: Dataset,
    loss: torch.nn.Module,
    evaluator: TeacherAgreement,
    collator: CachedLabelCollator,
    *,
    folder: Path,
) -> DistillationTrainer:
    """Train to the end, from the last whole checkpoint on if there is one, and load the best."""
    trainer = DistillationTrainer(
        model=student,
        args=arguments,
        train_dataset=data,
        loss=loss,
        evaluator=evaluator,
        data_collator=collator,
        callbacks=[ProgressBar("Training"), SpentSeconds(folder)],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train(resume_from_checkpoint=last_checkpoint(folder))
    return trainer


def training_arguments(
    settings: recipe.Training,
    texts: int,
    *,
    folder: Path,
    seed: int,
    device: torch.device,
    bf16: bool = False,
) -> SentenceTransformerTrainingArguments:
    """Turn recipe settings into the Trainer's own arguments.

    Raises:
        RecipeError: `training.arguments` names one that does not exist, or a value is refused.
    """
    if torch.distributed.is_initialized():
        replicas = torch.distributed.get_world_size()
    else:  # without a launcher, the Trainer divides its batches over all GPUs
        replicas = max(1, torch.cuda.device_count()) if device.type == "cuda" else 1
    accumulation = settings.arguments.get("gradient_accumulation_steps", 1)
    steps = math.ceil(settings.epochs * texts / (settings.batch_size * replicas * accumulation))
    interval = max(1, math.ceil(steps / settings.evaluations))
    chosen: dict[str, Any] = {
        "num_train_epochs": settings.epochs,
        "per_device_train_batch_size": settings.batch_size,
        "learning_rate": settings.learning_rate,
        "warmup_steps": settings.warmup,
        "weight_decay": settings.weight_decay,
        "use_cpu": device.type == "cpu",
        "bf16": bf16 and not settings.arguments.get("fp16"),
        "batch_sampler": LengthBucketSampler,
        "eval_strategy": "steps",
        "eval_steps": interval,
        "save_strategy": "steps",
        "save_steps": interval,
        "save_total_limit": 1,
        "load_best_model_at_end": True,
        "metric_for_best_model": "teacher_cosine",
        "greater_is_better": True,
        "logging_steps": max(1, steps // 50),
        "seed": seed,
        "dataloader_pin_memory": device.type == "cuda",
        "report_to": "none",
        "disable_tqdm": True,
    }
    try:
        return SentenceTransformerTrainingArguments(
            output_dir=str(folder), **{**chosen, **settings.arguments}
        )
    except (TypeError, ValueError) as error:
        raise RecipeError(f"training.arguments: {error}") from error


def last_checkpoint(folder: Path) -> str | None:
    """Find the newest whole checkpoint; ones that a killed run left half-written are removed."""
    if not folder.is_dir():
        return None
    while checkpoint := get_last_checkpoint(str(folder)):
        if (Path(checkpoint) / "trainer_state.json").exists():  # the Trainer writes it last
            logger.info("Resuming training from %s", Path(checkpoint).name)
            return str(checkpoint)
        with suppress(FileNotFoundError):  # another process of this run removes it as well
            shutil.rmtree(checkpoint)
    return None


def hyperparameters(
    arguments: TrainingArguments,
) -> tuple[dict[str, report.Value], dict[str, report.Value]]:
    """Training arguments for the card: those that differ from the defaults, and all of them."""
    # As the Trainer does it: without the setting, the new arguments would undo the state of the processes.
    unused = SentenceTransformerTrainingArguments("unused", accelerator_config={"use_configured_state": True})
    defaults = plain(unused.to_dict())
    everything = plain(arguments.to_dict())
    return {name: value for name, value in everything.items() if value != defaults.get(name)}, everything


def plain(settings: Mapping[str, Any]) -> dict[str, report.Value]:
    """Settings as a report takes them: without paths and secrets, other types written out."""
    public = {name: value for name, value in settings.items() if name not in PRIVATE_ARGUMENTS}
    return {name: _written(value) for name, value in without_absolute_paths(public).items()}


def _written(value: Any) -> report.Value:
    if isinstance(value, Mapping) and value:
        return ", ".join(f"{name}: {part}" for name, part in value.items())
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def training_log(history: Sequence[dict[str, Any]]) -> tuple[report.TrainingLog, ...]:
    """Merge the Trainer's history into one line for each logged step."""
    lines: dict[int, dict[str, Any]] = {}
    for entry in history:
        if "train_runtime" in entry:
            continue
        line = lines.setdefault(entry["step"], {"step": entry["step"], "epoch": entry["epoch"]})
        line |= {
            name: entry[key]
            for name, key in (
                ("loss", "loss"),
                ("learning_rate", "learning_rate"),
                ("teacher_cosine", "eval_teacher_cosine"),
                ("precision_at_10", "eval_precision_at_10"),
            )
            if key in entry and math.isfinite(entry[key])
        }
    return tuple(report.TrainingLog(**line) for _, line in sorted(lines.items()))
