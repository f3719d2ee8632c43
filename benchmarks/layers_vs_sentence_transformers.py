"""Our layer-reduced student against the recipe that sentence-transformers ships as its example.

The example (examples/.../distillation/model_distillation_layer_reduction.py) keeps every n-th layer and
trains on a `label` column of the teacher's vectors: MSELoss, learning rate 1e-4, batches of 64, 10 %
warm-up, one epoch, the token table trained as well, batches not sorted by length. It asks for half
precision: float16, with a line for bfloat16. Here it runs in float32, and in bfloat16 too where the processor
trains in it, as ours then does. It runs without its evaluator, whose seconds are so not counted against it.
Ours has the recipe's defaults, its evaluations included.
"""

from __future__ import annotations

import json
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
from comparison import Setting, arguments, prepare
from layer_comparison import PeerRecipe, Trained, add_layers, compare
from sentence_transformers import (
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)
from sentence_transformers.sentence_transformer.losses import MSELoss
from transformers import PrinterCallback

from hubdistill.students.layers import encoder_blocks
from hubdistill.training import trains_in_bf16

EXAMPLE = "sentence-transformers' example"


def main() -> None:
    parser = arguments(__doc__ or "")
    add_layers(parser)
    options = parser.parse_args()
    datasets.disable_progress_bars()
    setting = prepare(options)
    peers: dict[str, PeerRecipe] = {EXAMPLE: train}
    if trains_in_bf16(setting.teacher.model):
        peers[f"{EXAMPLE}, bfloat16"] = partial(train, bf16=True)
    compare(options, "layers_vs_sentence_transformers", setting, peers)


def train(setting: Setting, texts: int, layers: int, seed: int, *, bf16: bool = False) -> Trained:
    """The example's steps."""
    labels, teacher_seconds = label_vectors(setting, texts)
    student, kept = every_nth_layer(setting.teacher.model, str(setting.teacher.folder), layers)
    data = datasets.Dataset.from_dict({"sentence": setting.corpus.train.texts(0, texts)}).map(
        lambda _, rows: {"label": labels[rows].tolist()}, with_indices=True, batched=True
    )
    with tempfile.TemporaryDirectory() as checkpoints:
        trainer = SentenceTransformerTrainer(
            model=student,
            args=SentenceTransformerTrainingArguments(
                output_dir=checkpoints,
                num_train_epochs=1,
                per_device_train_batch_size=64,
                learning_rate=1e-4,
                warmup_steps=0.1,
                bf16=bf16,
                logging_steps=1_000,
                save_strategy="no",
                seed=seed,
                use_cpu=student.device.type == "cpu",
                dataloader_pin_memory=student.device.type == "cuda",
                report_to="none",
                disable_tqdm=True,
            ),
            train_dataset=data,
            loss=MSELoss(student),
        )
        trainer.remove_callback(PrinterCallback)
        started = time.perf_counter()
        trainer.train()
        return Trained(student, time.perf_counter() - started, teacher_seconds, kept)


def every_nth_layer(
    teacher: SentenceTransformer, folder: str, layers: int
) -> tuple[SentenceTransformer, tuple[int, ...]]:
    """The teacher loaded again, with layers 0, n, 2n, ... left in it: 6 to 3 keeps 0, 2 and 4."""
    student = SentenceTransformer(folder, device=str(teacher.device))
    encoder: Any = student.transformers_model
    blocks = encoder_blocks(student)
    kept = tuple(block * len(blocks) // layers for block in range(layers))
    parent, _, name = next(path for path, module in encoder.named_modules() if module is blocks).rpartition(
        "."
    )
    setattr(encoder.get_submodule(parent), name, torch.nn.ModuleList(blocks[layer] for layer in kept))
    encoder.config.num_hidden_layers = layers
    return student, kept


def label_vectors(setting: Setting, texts: int) -> tuple[np.ndarray, float]:
    """The teacher's vectors as the example makes them, kept for the next run with the seconds they took."""
    key = f"{setting.teacher.cache_key().digest}-{setting.corpus.facts.sha256[:16]}-{texts}"
    file, record = setting.work / f"labels-{key}.npy", setting.work / f"labels-{key}.json"
    if not record.exists():
        started = time.perf_counter()
        vectors = setting.teacher.model.encode(
            setting.corpus.train.texts(0, texts),
            prompt=setting.teacher.prompt,
            batch_size=128,
            show_progress_bar=False,
        )
        seconds = time.perf_counter() - started
        np.save(file, vectors)
        record.write_text(json.dumps({"seconds": seconds}), encoding="utf-8")
    return np.load(file), float(json.loads(Path(record).read_text(encoding="utf-8"))["seconds"])


if __name__ == "__main__":
    main()
