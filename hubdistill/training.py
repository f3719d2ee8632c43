"""Train a student with layers on cached teacher vectors with sentence-transformers' own Trainer."""

from __future__ import annotations

import logging
import math
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
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
from sentence_transformers.base.sampler import DefaultBatchSampler
from sentence_transformers.sentence_transformer.data_collator import SentenceTransformerDataCollator
from sentence_transformers.sentence_transformer.losses import EmbedDistillLoss, MatryoshkaLoss, MSELoss
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import PrinterCallback, TrainerCallback, TrainingArguments
from transformers.trainer_utils import get_last_checkpoint

from hubdistill import recipe, report
from hubdistill.encoding import working_precision
from hubdistill.errors import RecipeError, TrainingError
from hubdistill.progress import track
from hubdistill.students.dimensions import Vectors
from hubdistill.students.layers import freeze_token_embeddings

logger = logging.getLogger(__name__)

MONITORED_TEXTS = 1_000
"""Held-out texts on which a student is compared with its teacher during training."""

LOSSES: dict[str, Callable[[SentenceTransformer], EmbedDistillLoss]] = {
    "cosine": lambda model: EmbedDistillLoss(model, distance_metric="cosine"),
    "mse": MSELoss,
}

PLAIN_ATTENTION_TOKENS = 256
"""Longest texts, in tokens, for which attention in training is computed without fusing on a CPU."""

PRIVATE_ARGUMENTS = frozenset({"output_dir", "logging_dir", "run_name", "hub_token", "push_to_hub_token"})
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


class LengthBucketSampler(DefaultBatchSampler):
    """Batches of texts of like length, in random order.

    Texts are shuffled, cut into windows of `WINDOW` batches and sorted by their `length` column inside
    each window; then the batches are shuffled. Padding all but vanishes, and a text meets different
    neighbours in every epoch.
    """

    WINDOW = 64

    def __init__(self, dataset: Dataset, batch_size: int, drop_last: bool, **kwargs: Any) -> None:
        super().__init__(dataset, batch_size=batch_size, drop_last=drop_last, **kwargs)
        self.lengths = np.asarray(dataset.with_format("numpy")["length"][:])

    def __iter__(self) -> Iterator[list[int]]:
        rng = np.random.default_rng((self.seed, self.epoch))
        order = rng.permutation(len(self.lengths))
        batches: list[list[int]] = []
        for start in range(0, len(order), self.WINDOW * self.batch_size):
            window = order[start : start + self.WINDOW * self.batch_size]
            window = window[np.argsort(self.lengths[window], kind="stable")]
            batches += [
                window[i : i + self.batch_size].tolist() for i in range(0, len(window), self.batch_size)
            ]
        if self.drop_last:
            batches = [batch for batch in batches if len(batch) == self.batch_size]
        for index in rng.permutation(len(batches)):
            yield batches[index]

    def __len__(self) -> int:
        rows = len(self.lengths)
        return rows // self.batch_size if self.drop_last else math.ceil(rows / self.batch_size)


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


def train(
    student: SentenceTransformer,
    texts: Texts,
    vectors: Vectors,
    *,
    held_out_texts: Sequence[str],
    held_out_vectors: np.ndarray,
    settings: recipe.Training,
    folder: Path,
    seed: int,
    prompt: str | None = None,
) -> report.Training:
    """Train a student in place until its vectors match the teacher's; the best checkpoint is kept.

    Checkpoints go to `folder`; a run that finds one there goes on from it.

    Args:
        student: the model to train, as wide as the vectors.
        texts: training texts, n_texts of them.
        vectors: the teacher's vectors, shape (n_texts, dim).
        held_out_texts: texts for the comparison during training.
        held_out_vectors: the teacher's vectors of these, shape (n_held_out, dim).
        prompt: text put before every input, as the teacher had it.

    Raises:
        TrainingError: the student's vectors are not as wide as the teacher's.
        RecipeError: as `training_arguments`.
    """
    width, teacher_width = student.get_embedding_dimension(), vectors[np.array([0])].shape[1]
    if width != teacher_width:
        raise TrainingError(
            f"the student gives {width} dimensions, but the teacher's vectors have {teacher_width}"
        )
    if settings.freeze_token_embeddings:
        freeze_token_embeddings(student)
    without_dropout(student)
    started = time.perf_counter()
    lengths = token_lengths(student, texts)
    arguments = training_arguments(
        settings, len(texts), folder=folder, seed=seed, device=student.device, bf16=trains_in_bf16(student)
    )
    loss: EmbedDistillLoss | MatryoshkaLoss = LOSSES[settings.loss](student)
    citations = [loss.citation.strip()]
    if settings.matryoshka:
        loss = MatryoshkaLoss(student, loss, [*settings.matryoshka, teacher_width])
        citations.append(loss.citation.strip())
    longest = min(int(lengths.max()), settings.max_length or student.max_seq_length or 512)
    with quick_attention(arguments, longest):
        trainer = run_trainer(
            student,
            arguments,
            Dataset.from_dict({"row": np.arange(len(texts)), "length": lengths}),
            loss,
            TeacherAgreement(held_out_texts[:MONITORED_TEXTS], held_out_vectors[:MONITORED_TEXTS], prompt),
            CachedLabelCollator(
                student.preprocess,
                texts=texts,
                vectors=vectors,
                prompts=prompt,
                max_length=settings.max_length,
            ),
            folder=folder,
        )
    changed, everything = hyperparameters(arguments)
    ours: dict[str, report.Value] = {"dropout": 0.0, "batch_sampler": LengthBucketSampler.__name__}
    return report.Training(
        method="layers",
        loss=type(loss).__name__,
        loss_parameters=plain(loss.get_config_dict()),
        matryoshka=tuple(sorted(settings.matryoshka)),
        texts=len(texts),
        tokens=report.TokenCounts(min=lengths.min(), mean=lengths.mean(), max=lengths.max()),
        hyperparameters=changed | ours,
        all_hyperparameters=everything | ours,
        log=training_log(trainer.state.log_history),
        best_step=trainer.state.best_global_step,
        seconds=time.perf_counter() - started,
        citations=tuple(citations),
    )


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
        callbacks=[ProgressBar("Training")],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train(resume_from_checkpoint=last_checkpoint(folder))
    return trainer


def without_dropout(model: torch.nn.Module) -> None:
    """Switch dropout off in every module; the saved configuration keeps its rates for later fine-tuning.

    The target is a noiseless function of the text, so noise in the student only blurs it: on 10,000
    texts, 6 -> 3 layers, STS-B test rose from 0.8113 to 0.8144 (one seed).
    """
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0


def trains_in_bf16(student: SentenceTransformer) -> bool:
    """Whether the processor multiplies in bfloat16; weights and optimizer states stay in float32.

    On a CPU with avx512_bf16, training on 10,000 texts took two thirds of the time of float32.
    """
    return student.dtype == torch.float32 and working_precision(student, "auto") == "bfloat16"


def quick_attention(arguments: TrainingArguments, longest: int) -> AbstractContextManager[Any]:
    """Attention as plain matrix products for bfloat16 on a CPU.

    There the backward pass of torch's fused attention takes a quarter of a training step's time. Long
    texts stay with it: plain products need memory that grows with the square of the length.
    """
    plain = arguments.bf16 and arguments.use_cpu and longest <= PLAIN_ATTENTION_TOKENS
    return sdpa_kernel(SDPBackend.MATH) if plain else nullcontext()


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
    processes = max(1, torch.distributed.get_world_size()) if torch.distributed.is_initialized() else 1
    accumulation = settings.arguments.get("gradient_accumulation_steps", 1)
    steps = math.ceil(settings.epochs * texts / (settings.batch_size * processes * accumulation))
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


def token_lengths(model: SentenceTransformer, texts: Texts, batch: int = 10_000) -> np.ndarray:
    """Count each text's tokens, special tokens included and before truncation; shape (n_texts,)."""
    lengths = np.empty(len(texts), dtype=np.int32)
    with track(len(texts), "Counting tokens") as advance:
        for start in range(0, len(texts), batch):
            part = [texts[i] for i in range(start, min(start + batch, len(texts)))]
            encoded = model.tokenizer(part, return_attention_mask=False, verbose=False)
            lengths[start : start + batch] = [len(ids) for ids in encoded["input_ids"]]
            advance(len(part))
    return lengths


def last_checkpoint(folder: Path) -> str | None:
    """Find the newest whole checkpoint; ones that a killed run left half-written are removed."""
    if not folder.is_dir():
        return None
    while checkpoint := get_last_checkpoint(str(folder)):
        if (Path(checkpoint) / "trainer_state.json").exists():  # the Trainer writes it last
            logger.info("Resuming training from %s", Path(checkpoint).name)
            return str(checkpoint)
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


def plain(settings: dict[str, Any]) -> dict[str, report.Value]:
    """Settings as a report takes them: without paths and secrets, other types written out."""
    return {
        name: value if isinstance(value, str | int | float | bool | None) else str(value)
        for name, value in settings.items()
        if name not in PRIVATE_ARGUMENTS
    }


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
            )
            if key in entry
        }
    return tuple(report.TrainingLog(**line) for _, line in sorted(lines.items()))
